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
mod draft;
mod estimate;
mod garbage;
mod images;
mod incident;
mod jobs;
mod names;
mod observe;
mod plan;
mod reconcile;
mod retire;
mod rollout;
mod route;
mod share;
mod stay;
pub mod view;
mod want;
mod world;

pub use admit::{Context, admit};
pub use garbage::{Sweep, garbage};
pub use images::{ImageStep, ImageWay, image_steps};
pub use plan::plan;
pub use reconcile::{Decision, reconcile};
pub use world::{EdgeRecord, Heard, RunKey, World, Write};
