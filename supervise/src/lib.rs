//! What an agent decides, in pure code: a machine for each instance, and a [`lease`] ledger for its jobs.
//!
//! One instance on its node: started, probed, told to be quiet, stopped once it has no job, started again when it fails.
//!
//! A pure machine with three verbs: [`Supervisor::input`] takes what was seen, [`Supervisor::effect`] yields what
//! is to be done, [`Supervisor::wake`] says when to call again with [`Input::Tick`]. What must outlive the
//! agent is its [`Memory`]: the caller writes it down after each input and *before* it carries out the
//! effects, so that a new agent goes on where this one was ([`Supervisor::adopt`]) and starts nothing twice.
//! An effect is carried out at least once; only [`Effect::Launch`] is guarded against a second time, by the
//! runtime.
//!
//! How an instance ends, which is where the promise is kept: told to be quiet → the busy check, begun after
//! that and after the order to stop, says zero → the ledger closes, which it does only with no lease open →
//! `pre_stop` → stop signal → SIGKILL after the grace. What cannot be known counts as a job in progress.
//! An instance that was never ready since its process began was never given work: an unanswered check or
//! quiet call does not hold that one up, or a release that does not come up could never be rolled back.

mod effect;
mod ending;
pub mod lease;
mod life;
mod machine;
mod notes;
mod probing;
mod retiring;
mod row;
mod status;
mod stopping;

#[cfg(test)]
mod tests;

pub use effect::{Effect, Hook, Input, Probed, Wait};
pub use life::{Found, Life, Memory, Running, Stage, Unleased};
pub use machine::Supervisor;

use naru_model::Span;

/// A connection to a port on this machine that takes longer is refused by an overloaded process.
pub const CONNECT_TIMEOUT: Span = Span::secs(1);
/// A busy check that takes longer tells nothing.
pub const BUSY_TIMEOUT: Span = Span::secs(10);
/// A quiet call that takes longer has failed, and is repeated.
pub const QUIET_TIMEOUT: Span = Span::secs(30);
/// A hook that takes longer is ended: it holds up a rollout or a stop.
pub const HOOK_TIMEOUT: Span = Span::mins(10);
