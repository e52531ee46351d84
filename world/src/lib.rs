//! The world that the server's judgements are about, in pure code: records and observations ([`World`]), a decision in the
//! making laid over them ([`Draft`]), and what is read of both.
//!
//! Nothing is chosen here, but for what nobody ordered ([`incident`]): that is told, not decided.

pub mod claim;
pub mod draft;
pub mod estimate;
pub mod incident;
pub mod names;
pub mod observe;
mod one_off;
pub mod want;
mod world;

pub use draft::{Decision, Draft, Verdict};
pub use world::{EdgeRecord, Heard, RunKey, World, Write, definition};
