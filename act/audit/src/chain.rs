//! How one event leads to the next.

use naru_who::{AuditEntry, AuditEvent};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What comes before the first event.
pub const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The end of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) seq: u64,
    pub(crate) digest: String,
}

impl Default for End {
    fn default() -> End {
        End { seq: 0, digest: ZERO.into() }
    }
}

/// The event that follows, and its line.
pub(crate) fn next(end: &End, entry: AuditEntry) -> (AuditEvent, String) {
    let (seq, before) = (end.seq + 1, end.digest.clone());
    let mut event = AuditEvent { seq, entry, before, digest: String::new() };
    event.digest = digest_of(&event);
    let line = serde_json::to_string(&event).expect("an event has only text keys") + "\n";
    (event, line)
}

/// The event of a line that is the next one.
///
/// # Errors
/// It is not, and why.
pub(crate) fn follow(end: &End, line: &str) -> Result<AuditEvent, String> {
    let event: AuditEvent = serde_json::from_str(line).map_err(|error| format!("it is no event: {error}"))?;
    if event.seq != end.seq + 1 {
        return Err(format!("it has number {}, where {} comes next", event.seq, end.seq + 1));
    }
    if event.before != end.digest {
        return Err("it does not follow the one before it".into());
    }
    // What is not among the fields that are digested would be there unseen.
    let same = serde_json::to_string(&event).is_ok_and(|again| again == line);
    if event.digest != digest_of(&event) || !same {
        return Err("it was changed".into());
    }
    Ok(event)
}

fn digest_of(event: &AuditEvent) -> String {
    let mut value = serde_json::to_value(event).expect("an event has only text keys");
    if let Value::Object(fields) = &mut value {
        fields.remove("digest");
    }
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
