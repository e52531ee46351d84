//! What is seen from outside: how many requests each listener and each rule had, how they were answered, how long
//! that took.
//!
//! Each worker counts for itself, in plain cells. A [`Visit`] is one request from the moment its head was understood
//! to the last byte of its answer: whatever carries it says what it sees, and the visit counts once, when it is
//! dropped. A path that forgets to say how it ended counts as the client's leaving. Where an access log is asked for, the
//! same visit is a line of it: `access` makes it, `text` keeps it on one line and without secrets, `file` has it written
//! by another thread.

mod access;
mod file;
mod register;
mod snapshot;
mod tally;
mod text;
mod visit;

pub(crate) use access::Asked;
pub(crate) use file::Logs;
pub(crate) use register::{PlannedRegister, Register};
pub(crate) use snapshot::{Origins, assemble};
pub(crate) use tally::Histogram;
pub(crate) use visit::{Again, Passing, Visit};
