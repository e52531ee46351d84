//! An instance's log: one line of its output a record, in files that rotate by size.
//!
//! The file format is text, fit for `less` and `grep`: `TIME KIND TEXT`, where `TIME` is milliseconds since
//! the epoch and `KIND` is `o` (stdout), `e` (stderr) or `n` (a note of the shim), followed by `+` if the
//! line goes on in the next record of the same kind: a line of more than 16 KiB is cut so.
//!
//! ```text
//! 1763890123456 o listening on 127.0.0.1:8080
//! 1763890124001 e+ {"trace": "…
//! 1763890124002 n 12 lines (3401 bytes) dropped: No space left on device (os error 28)
//! ```
//!
//! `log` is being written, `log.1` is the one before, and so on. A full disk drops lines and never holds
//! the instance up; the next line that fits is preceded by a note of how many were dropped. A slow disk
//! holds the instance up as any reader of its pipe would; one that does nothing at all for a second counts
//! as full.

mod line;
mod queue;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use line::{LogLine, Stream};
pub use reader::{From, LogReader};

pub(crate) use line::Lines;
pub(crate) use queue::Queue;
pub(crate) use writer::Log;
