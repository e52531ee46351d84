//! What an edge decides for each request: which rule takes it, and what that makes of it.
//!
//! Pure: no clock, no chance, no sockets. A request is an [`Ask`]; time is an argument. What an edge asks for each
//! request allocates nothing, unless the request's path has to be normalised first.

mod ask;
mod expand;
mod explain;
mod network;
mod path;
mod rate;
mod rules;

pub use ask::{Ask, Fields};
pub use expand::{Parts, edit_path, location};
pub use explain::{Considered, Why, explain};
pub use network::{BadNetwork, Network};
pub use path::{Captures, Invalid, NAMED, normal};
pub use rate::{Rates, Wait};
pub use rules::{Bad, Found, Rules, captures, specificity};
