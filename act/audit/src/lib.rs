//! The audit on disk: lines of JSON, each with the digest of the one before it, on the disk before it counts.
//!
//! `audit.jsonl` holds the events, `head` the number and digest of the last one. Whoever changes, inserts or takes out a
//! line breaks the chain; whoever cuts lines off the end is found by `head`. Somebody who can write both files can forge
//! the whole: a head that is kept elsewhere tells even then ([`State::head`](naru_who::AuditState)).

mod chain;
mod file;

pub use chain::ZERO;
pub use file::{Audit, AuditError, read, verify};
