//! Instances as containers of Docker Engine or Podman, so that the agent may come and go.
//!
//! The engine holds the containers; this crate holds nothing that it could not ask the engine again. Each container
//! carries labels that say whose it is: which home's, which instance's, which start of it. A [`Runtime`] finds by
//! them what an earlier agent left ([`Runtime::adopt`]), and never starts the same start twice.
//!
//! What keeps this honest, one mechanism each:
//! - *Unknown is not ended.* An engine that does not answer says nothing about its containers. Every wait goes on
//!   until it answers again, and an end is told only when the engine has said so.
//! - *State, not events.* An event of the engine only causes a look. What the look finds is told, each end exactly
//!   once; so a stream that breaks loses nothing.
//! - *The engine restarts nothing.* Its own restart policy is off: whether an instance is started again is decided
//!   elsewhere.
//! - *No line twice.* What a container says is copied to the instance's log, in the form of every instance's log. Where
//!   to go on after a break is read from that log itself.
//!
//! The engine is sought when the first container needs it, and not before: a machine without one runs processes as ever.

mod address;
mod attach;
mod body;
mod brought;
mod build;
mod context;
mod copy;
mod credentials;
mod engine;
mod error;
mod exec;
mod files;
mod find;
mod follow;
mod image;
mod images;
mod import;
mod launch;
mod mounts;
mod network;
mod prelude;
mod push;
mod runtime;
mod session;
mod start;
mod steady;
mod stock;
mod subnet;
mod usage;
mod watch;

pub use build::Recipe;
pub use engine::{Config, sockets};
pub use error::Error;
pub use exec::{ExecEnd, ExecOutput, ExecRequest};
pub use image::{Image, Progress};
pub use images::Images;
pub use import::{Foreign, Project, projects};
pub use launch::{FileFrom, Launch, PortMap, Reach};
pub use naru_logs::KeepLogs;
pub use runtime::{Adopted, AdoptedState, Ended, Events, Known, Prepared, Runtime, Started};
