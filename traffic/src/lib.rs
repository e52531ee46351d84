//! What an edge decides for each request: which rule takes it, what that makes of it, and which instance gets it.
//!
//! Pure: no clock, no chance, no sockets. A request is an [`Ask`]; time is an argument. What an edge asks for each
//! request allocates nothing, unless the request's path has to be normalised first.

mod ask;
mod choice;
mod expand;
mod explain;
mod names;
mod network;
mod path;
mod rate;
mod rules;

pub use ask::{Ask, Fields};
pub use choice::{
    Budget, Candidate, Hint, Micros, NoPick, Pick, Query, Reach, Roster, Ticket, Verdict, Why as PickedWhy,
    digest, mark, set_lines,
};
pub use expand::{Parts, edit_path, location};
pub use explain::{Considered, Why, explain};
pub use network::{BadNetwork, Network, subscriber};
pub use path::{Captures, Invalid, NAMED, normal};
pub use rate::{Rates, Wait};
pub use rules::{Bad, Found, Rules, captures, specificity};
