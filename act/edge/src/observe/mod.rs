//! What is seen from outside: how many requests each listener and each rule had, how they were answered, how long
//! that took.
//!
//! Each worker counts for itself, in plain cells. A [`Visit`] is one request from the moment its head was understood
//! to the last byte of its answer: whatever carries it says what it sees, and the visit counts once, when it is
//! dropped. A path that forgets to say how it ended counts as the client's leaving.

mod register;
mod snapshot;
mod tally;
mod visit;

pub(crate) use register::{PlannedRegister, Register};
pub(crate) use snapshot::{Origins, assemble};
pub(crate) use tally::Histogram;
pub(crate) use visit::{Again, Visit};
