//! What people are shown of the server's state, in words and columns, without a terminal: how far an operation that is
//! followed has come ([`State`], [`rows`]), what routes carry ([`Traffic`]), tables and colours.

pub mod paint;
mod rates;
mod row;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod state;
pub mod table;

pub use rates::{InstanceRow, Rates, RuleRow, Traffic};
pub use row::{Row, in_background, rows, waits};
pub use state::{End, State, Until, Wish, is_fault};
