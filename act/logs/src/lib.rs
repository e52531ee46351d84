//! An instance's log: one line of its output a record, in files that rotate by size.
//!
//! The file format is text, fit for `less` and `grep`: `TIME KIND TEXT`, where `TIME` is milliseconds since
//! the epoch and `KIND` is `o` (stdout), `e` (stderr) or `n` (a note of whoever writes it), followed by `+` if the
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

pub use line::{Extent, Lines, LogLine, Stream, write_record};
pub use queue::Queue;
pub use reader::{From, LogReader};
pub use writer::{Log, LogLimits};

use naru_model::{InstanceId, Time};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the file that is being written; those before it have a number at its end.
pub const LOG: &str = "log";
/// File systems take 255; a record's temporary name and a cgroup's name add to it.
const MAX_ID: usize = 200;

/// The name is not fit for a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no instance id: letters, digits, '.', '_' and '-', at most 200, not beginning with '.'")]
pub struct BadId(String);

/// The folder of an instance below `dir`, where its log is.
///
/// # Errors
/// The id cannot be a folder's name.
pub fn folder_of(dir: &Path, id: &InstanceId) -> Result<PathBuf, BadId> {
    let text = id.as_str();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let good = !text.is_empty() && text.len() <= MAX_ID && !text.starts_with('.') && text.chars().all(fits);
    good.then(|| dir.join(text)).ok_or_else(|| BadId(text.to_owned()))
}

/// Whether a file of an instance's folder is part of its log.
pub fn is_log(name: &str) -> bool {
    name == LOG || name.strip_prefix(LOG).is_some_and(|rest| rest.starts_with('.'))
}

/// What becomes of an instance's log when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepLogs {
    /// The log stays readable until a later removal deletes it.
    Keep,
    /// It is deleted.
    Delete,
}

/// The wall clock.
fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}
