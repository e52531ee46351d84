//! The end of a process, as its ledger takes it: what held a lease, and what was only told of.
//!
//! A busy check tells how many jobs there are, and not which. Those that no lease is of get a record each
//! when their process ends, so that they are counted and listed like the others; until then they are nobody's.

use super::MAX_ENDED;
use naru_model::{InstanceId, JobRecord, Outcome, Span, Time};
use serde::{Deserialize, Serialize};

/// The name of a job that has no other.
pub const TOLD_NAME: &str = "told by the busy check";
/// The cause of what a person, or a written policy, had cut.
pub const CUT_BY_ORDER: &str = "cut by order";

/// How a process ended, and the jobs without a lease that ended with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// Which start of the instance it was: the jobs of each are taken once.
    pub run: u64,
    /// The sentence that its leases get: `its process exited with status 3`.
    pub cause: String,
    /// Jobs in progress that no lease was of.
    pub jobs: u64,
    /// Since when there were such jobs.
    pub since: Time,
    /// What became of them.
    pub outcome: Outcome,
}

impl Death {
    /// The records of the jobs without a lease; the first [`MAX_ENDED`], as more are not remembered.
    pub(super) fn records(&self, instance: &InstanceId, at: Time) -> impl Iterator<Item = JobRecord> {
        let cause = if self.outcome == Outcome::Cut { CUT_BY_ORDER } else { &self.cause };
        (1..=self.jobs.min(MAX_ENDED as u64)).map(move |number| JobRecord {
            id: format!("{instance}-{}-{number}", self.run),
            name: TOLD_NAME.into(),
            instance: instance.clone(),
            began: self.since,
            heartbeat: self.since,
            ttl: Span::ZERO,
            progress: None,
            note: None,
            outcome: Some(self.outcome),
            ended: Some(at),
            cause: Some(cause.into()),
        })
    }
}
