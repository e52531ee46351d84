//! The whole of Naru's judgement, in pure code: no clock, no randomness, no IO, no async, no threads, no
//! iteration order that varies. Time and everything observed are arguments.
//!
//! The server's side is here: a few judgements over one [`World`]:
//!
//! - [`admit`]: may this be done, and what does the store then say? ([`plan`]: the same, without doing it.)
//! - [`reconcile`]: given records and observations, what is to be written next? It takes state, never events;
//!   it is run when anything was written or reported, and when [`Decision::wake`] says. Success is seen in
//!   the next round, never assumed.
//! - [`World::desired`]: what a node's agent is to have, derived from the records.
//!
//! The agent's side is machines, in the crate naru-supervise.

mod admit;
mod garbage;
mod images;
mod jobs;
mod plan;
mod power;
mod reconcile;
mod retire;
mod rollout;
mod route;
mod share;
mod stay;
pub mod view;

pub use admit::{Context, admit, end_wakes};
pub use garbage::{Sweep, garbage};
pub use images::{ImageStep, ImageWay, image_steps};
pub use naru_world::{Decision, EdgeRecord, Heard, RunKey, World, Write};
pub use plan::plan;
pub use reconcile::reconcile;

use naru_world::{claim, draft, estimate, incident, names, observe, want};
