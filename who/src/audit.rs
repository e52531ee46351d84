//! The audit: who did what, and who was refused what.

use naru_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Something that somebody did, or asked for in vain, before it gets its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// When.
    pub time: Time,
    /// Who, as far as that was made sure of; of a failed sign-in: who it was said to be.
    pub who: String,
    /// From where.
    pub from: String,
    /// What: an action, `sign-in`, `start`.
    pub action: String,
    /// With what; empty where there is no such thing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub on: String,
    /// What came of it.
    pub outcome: AuditOutcome,
    /// The rule that it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// More, in words: the reason of a refusal, the command that was run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What came of what somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditOutcome {
    /// It was allowed, and passed on to be done.
    Allowed,
    /// It was refused.
    Refused,
}

impl AuditOutcome {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            AuditOutcome::Allowed => "allowed",
            AuditOutcome::Refused => "refused",
        }
    }
}

/// An entry in its place: each names the digest of the one before it, so that none can be changed, taken out or put in
/// between without a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEvent {
    /// Its number, from 1.
    pub seq: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The digest of the event before; 64 zeros for the first.
    pub before: String,
    /// The digest of this one: SHA-256 of its line of JSON without this field.
    pub digest: String,
}

/// Which events of the audit are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Of this person.
    pub who: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// About this resource, or what is within it.
    pub on: Option<String>,
    /// With this outcome.
    pub outcome: Option<AuditOutcome>,
    /// Since then, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// The newest so many; 100 if it is missing, 10,000 at most.
    pub limit: Option<usize>,
}

/// Whether the audit is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditState {
    /// How many events there are.
    pub events: u64,
    /// The digest of the last one: whoever keeps it elsewhere sees later whether the audit before it is still the same.
    pub head: String,
    /// What is wrong with it, if something is.
    pub fault: Option<String>,
}
