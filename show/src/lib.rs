//! What people are shown of the server's state, in words and columns, without a terminal: how far an operation that is
//! followed has come ([`State`], [`rows`]), what routes carry ([`Traffic`]), instances, jobs and their runs, receipts, assets,
//! times, tables and colours.

mod assets;
mod cost;
mod explained;
mod instances;
pub mod moment;
pub mod paint;
pub mod picture;
pub mod power;
mod rates;
mod receipt;
mod row;
mod runs;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod sheet;
mod state;
pub mod table;
mod traffic;
mod way;

pub use assets::{asset_faults, assets_table, machines_table, no_assets, stop_ends};
pub use cost::{cost_notes, cost_table};
pub use explained::{Explained, ExplainedRule, explained};
pub use instances::{Detail, instances};
pub use rates::{InstanceRow, Rates, RuleRow, Traffic};
pub use receipt::{how_it_went, percent, receipt, story, totals};
pub use row::{Row, in_background, rows, waits};
pub use runs::{jobs_table, run_note, runs_table};
pub use sheet::{Direction, Entry, Sheet};
pub use state::{End, State, Until, Wish, is_fault};
pub use traffic::{By, draining, rate, traffic_sheet};
pub use way::way;
