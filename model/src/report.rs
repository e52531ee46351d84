//! What agents and edges report: whole states, so that a lost, late or doubled report does no harm.

use crate::{
    Counts, Durations, EdgeId, Generation, InProgress, InstanceId, InstanceStatus, NodeId, ServiceName,
    StackName, Time, Waiting,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// What an agent sees, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentReport {
    /// Its node.
    pub node: NodeId,
    /// One number for each life of the agent's process, growing.
    pub incarnation: u64,
    /// Grows with each report of an incarnation: an older one than the last seen is dropped.
    pub seq: u64,
    /// The desired state that it has applied.
    pub applied: Generation,
    /// All instances that it has, and those that ended until the server no longer names them.
    pub instances: BTreeMap<InstanceId, InstanceStatus>,
    /// The zone that its node is in, if it was told of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Addresses of the node that its containers reach, one for each service that one of them may call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_addresses: BTreeMap<StackName, BTreeMap<ServiceName, String>>,
}

/// What an edge sees, whole. Counters run since the edge's process began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeReport {
    /// Its node.
    pub node: NodeId,
    /// One life of an edge process.
    pub edge: EdgeId,
    /// When that life began. A report from an edge that began later on the same node says that the one
    /// before is gone: an edge starts only once it holds its node's lock.
    pub began: Time,
    /// Grows with each report.
    pub seq: u64,
    /// The route table by which all its workers choose.
    pub acked: Generation,
    /// By instance. An instance stays listed as long as work is in progress or the table names it, and
    /// for as long as the report that its work reached zero has not been taken by the server.
    pub instances: BTreeMap<InstanceId, EdgeCounts>,
    /// Listeners that could not be opened.
    pub faults: Vec<ListenerFault>,
    /// Requests that wait for instances of services that may be asleep.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: Waiting,
}

/// One instance's requests and streams at one edge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EdgeCounts {
    /// Now.
    pub in_progress: InProgress,
    /// The oldest of them began then.
    pub oldest: Option<Time>,
    /// Since the edge began.
    pub counts: Counts,
    /// How long finished requests took.
    pub request_durations: Durations,
    /// When the newest of them began that counts as use, and when one ended last; `None`: since this edge began,
    /// none did.
    #[serde(default, skip_serializing_if = "Used::is_never")]
    pub used: Used,
}

impl EdgeCounts {
    /// Adds what was counted for the same instance elsewhere.
    pub fn add(&mut self, more: &EdgeCounts) {
        self.in_progress += more.in_progress;
        self.counts += more.counts;
        self.request_durations.add(&more.request_durations);
        self.oldest = [self.oldest, more.oldest].into_iter().flatten().min();
        self.used = self.used.and(more.used);
    }
}

/// Adds requests that wait elsewhere.
pub fn add_waiting(sum: &mut Waiting, more: &Waiting) {
    for (stack, services) in more {
        let sum = sum.entry(stack.clone()).or_default();
        services.iter().for_each(|(service, held)| *sum.entry(service.clone()).or_default() += held);
    }
}

/// When an instance was used last, as far as one edge knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Used {
    /// When the newest request or stream began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<Time>,
    /// When one ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
}

impl Used {
    /// Whether it was not used at all.
    pub fn is_never(&self) -> bool {
        *self == Used::default()
    }

    /// The later of both, of each.
    pub fn and(self, other: Used) -> Used {
        Used { began: self.began.max(other.began), ended: self.ended.max(other.ended) }
    }
}

/// A listener that could not be opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListenerFault {
    /// The listener's name.
    pub listener: String,
    /// The address.
    pub address: String,
    /// What the system said.
    pub error: String,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The workload said: done.
    Done,
    /// The workload said: failed.
    Failed,
    /// Its process is gone, or its heartbeat stopped.
    Lost,
    /// It was in progress when a person, or a written policy, had it cut.
    Cut,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Lost => "lost",
            Outcome::Cut => "cut",
        })
    }
}

/// A job in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobRecord {
    /// The lease's id, unique on its node.
    pub id: String,
    /// The workload's own name for it.
    pub name: String,
    /// Where it runs.
    pub instance: InstanceId,
    /// When the lease was taken.
    pub began: Time,
    /// The last heartbeat.
    pub heartbeat: Time,
    /// Without a heartbeat for so long, it is lost.
    pub ttl: crate::Span,
    /// 0 to 1, where the workload says.
    pub progress: Option<f64>,
    /// The workload's own words.
    pub note: Option<String>,
    /// `None` while in progress.
    pub outcome: Option<Outcome>,
    /// When it ended.
    pub ended: Option<Time>,
    /// Why, where it was lost or cut.
    pub cause: Option<String>,
}
