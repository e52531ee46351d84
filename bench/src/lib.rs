//! Measurements of the whole: `naru` as a user runs it, under load from a client that keeps its own books.
//!
//! [`deploys`] changes releases in a row, [`kills`] does so while processes are killed, [`handover`] replaces the edge, [`up`] takes times and
//! sizes, [`wake`] the time that a request waits for a service that is asleep, [`compose`] holds it against Docker Compose. Each ends with a [`report::Report`]: figures, and bars that are met or missed. The end-to-end tests
//! run the first three with smaller numbers.

pub mod compose;
pub mod deploys;
pub mod dice;
pub mod edge;
pub mod handover;
pub mod kills;
pub mod load;
pub mod report;
pub mod rights;
pub mod roles;
pub mod stage;
pub mod up;
pub mod wake;
