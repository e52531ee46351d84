//! The books of an edge: what is in progress on each instance and what became of the rest (`count`), a copy of that which
//! outlives the process (`sheet`), and what is seen from outside: how many requests each listener and each rule had,
//! how they were answered, how long that took.
//!
//! Each worker counts for itself, in plain cells. A [`Claim`] is a piece of work on one instance. A [`Visit`] is one
//! request from the moment its head was understood to the last byte of its answer: whatever carries it says what it
//! sees, and the visit counts once, when it is dropped. A path that forgets to say how it ended counts as the client's
//! leaving. Where an access log is asked for, the same visit is a line of it: `access` makes it, `text` keeps it on one
//! line and without secrets, `file` has it written by another thread.

mod access;
mod count;
mod file;
mod load;
mod numbers;
mod register;
mod sheet;
mod snapshot;
mod tally;
mod text;
mod visit;

pub use access::Asked;
pub use count::{Claim, Ending, Entry, Kind, News};
pub use file::{LogFile, Logs};
pub use load::{Crowd, Load, Waiting};
pub use register::{Listened, PlannedRegister, Register};
pub use sheet::{Life, Sheet, Slot, recover};
pub use snapshot::{Origins, Seen, assemble};
pub use visit::{Again, Passing, Visit};
