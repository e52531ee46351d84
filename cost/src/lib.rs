//! What running costs, and what sleeping spares: how long everything was on, used and asleep, by the day; against prices that
//! the user supplies; and the hours that would have spared more, by those in which nobody used what was on.
//!
//! All of it is a function of looks at the world. Time that nobody looked at is neither on nor asleep: it is not known.

mod meter;
mod money;
mod prices;
mod propose;
mod report;
mod slots;

pub use meter::{Day, Look, Meter, Metered, Now, Subject, day_of};
pub use money::Micros;
pub use prices::{FILE, Prices, Rate, read as read_prices};
pub use propose::{Proposal, propose};
pub use report::{Around, CostView, Month, Row, report};
pub use slots::Slots;
