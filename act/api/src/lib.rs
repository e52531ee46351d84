//! The API: one for the CLI, the console, agents, edges and CI, in JSON over a Unix socket, or TLS.
//!
//! Four parts that know each other only through this crate's types:
//! - [`Core`] is what the API asks of the server: plain questions and orders, no word of HTTP.
//! - [`Authority`] decides who is who, and who may what. Between the routes and the core stands a guard that asks it
//!   about each question and each order.
//! - [`serve`] puts a core on a socket: who may come in (the owner and root, told by the kernel; elsewhere whoever has a
//!   token), what a request may weigh, and that every answer that is not the wanted one is a `Refusal`.
//! - [`Client`] is the other end, typed. [`Follow`] is what roles use: it reconnects by itself for ever,
//!   since losing the server is no event for them.
//!
//! [`metrics`] is the text form of what an edge has counted.
//!
//! What changes is told as whole values by server-sent events. A reader that is slow gets the newest
//! value, never a backlog: nothing here holds an unbounded queue.

mod authority;
mod client;
mod core;
mod error;
mod message;
pub mod metrics;
mod server;

pub use authority::Authority;
pub use axum::Router as Pages;
pub use client::{Client, Events, Fingerprint, Follow, Lines, Remote, fingerprint};
pub use core::{Answer, Core, Duplex, EventStream, ImageStream, LogStream};
pub use error::{ClientError, Ground, Refused};
pub use message::{
    CopyOrder, DemandAnswer, Event, EventKind, EventQuery, ExecOrder, ImageEvent, ImageOrder, LogLine,
    LogQuery, LogSource, PlanRequest, PruneAct, PruneOrder, ReachOrder, RunOrder, ShowAssets, ShutdownOrder,
    Snapshot, Status, Taken, TerminalOrder, WatchEvent, WatchQuery,
};
pub use server::{BODY_MAX, CONNECTIONS_MAX, CONTENT_MAX, Door, Origin, guarded, openapi, serve};
