//! The work ledger of a node on disk, and the work API over HTTP on loopback.
//!
//! A workload says that it is in the middle of a job by holding a lease: `POST $NARU_WORK_URL` takes one, `PUT`
//! keeps it, `DELETE` ends it, `GET` tells whether to take no new work. The rules are the pure
//! [`naru_supervise::lease`]; here they meet the disk, the clock and the network:
//!
//! - [`Book`] holds the ledgers of all instances. A lease that was answered for is on disk, so an agent that
//!   is killed forgets none; the next one gives each its whole `ttl` again.
//! - [`WorkServer`] answers on 127.0.0.1, at a port that outlives the agent, because instances have it in their
//!   environment. The path carries an unguessable token for each instance.
//! - [`run()`] is the other side: `naru work run -- COMMAND` holds a lease while a command runs.

mod api;
mod book;
mod call;
mod clock;
mod error;
mod file;
mod hold;
mod journal;
mod port;
mod run;
mod server;
mod span;

pub use book::Book;
pub use clock::now;
pub use error::WorkError;
pub use hold::Held;
pub use port::{free_port, is_free, seed_after};
pub use run::{RunConfig, RunError, run};
pub use server::{WorkServer, serve_at};
pub use span::{BadSpan, parse_span};
