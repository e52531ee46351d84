//! What the store keeps of stacks, releases and instances: what is wanted, never what was merely seen.

use crate::{
    Counts, Durations, EdgeId, Generation, InstanceId, Intent, JobState, NodeId, OperationId, PowerOrders,
    ReleaseNo, ServiceName, Stack, StackName, Time, UsedImage,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// An immutable, numbered version of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Its number within the stack.
    pub number: ReleaseNo,
    /// The operation that made it.
    pub operation: OperationId,
    /// When.
    pub made: Time,
    /// For a rollback: the release whose contents these are.
    pub same_as: Option<ReleaseNo>,
    /// Its contents.
    pub stack: Stack,
    /// The fingerprint of each service: of its template, and of its images as far as they are known.
    pub fingerprints: BTreeMap<ServiceName, String>,
    /// What the references of images meant for each service when it was made: a tag may mean another image by now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<ServiceName, BTreeMap<String, UsedImage>>,
}

/// A stack: what is wanted of it now, and what lives as long as it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StackRecord {
    /// Its name.
    pub name: StackName,
    /// The number of the newest release.
    pub newest: ReleaseNo,
    /// How many instances it ever made; the last part of their ids.
    pub instances_made: u64,
    /// What is wanted. `None`: nothing, it was taken down.
    pub target: Option<Target>,
    /// The release that cut over last.
    pub serving: Option<ReleaseNo>,
    /// The operation that steers it now; at most one. Older ones may still have instances that retire.
    pub steering: Option<OperationId>,
    /// By name; those of past releases too, as long as an instance of them lives.
    pub services: BTreeMap<ServiceName, ServiceRecord>,
    /// By name; those of past releases too, as long as a run of them is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<ServiceName, JobState>,
}

/// What is wanted of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Target {
    /// The release.
    pub release: ReleaseNo,
    /// `naru scale` since that release.
    pub replicas: BTreeMap<ServiceName, u32>,
    /// Services that are to have no instance: `naru stop`, or never started by `naru up SERVICE`.
    pub stopped: BTreeSet<ServiceName>,
}

/// What lives as long as a service of a stack, across releases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceRecord {
    /// Its stable addresses within the node: target port → port on loopback. `NARU_URL_<SERVICE>` names the
    /// first.
    pub addresses: BTreeMap<u16, u16>,
    /// Where containers of each node find it: an address of the node, with the targets' own ports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_addresses: BTreeMap<NodeId, String>,
    /// Ports chosen for `ports` without a published number: target port → port.
    pub published: BTreeMap<u16, u16>,
    /// Grows with each `naru restart`: instances of an older one are replaced.
    pub restarts: u64,
    /// The fingerprint of the one-shot that succeeded last: it is not run again.
    pub completed: Option<String>,
    /// How many instances of a job have succeeded so far, and by which fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successes: Option<(String, u32)>,
    /// Containers of another tool's, by the engine's ids, that are to become instances of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub importable: Vec<String>,
    /// What people ordered of its power.
    #[serde(default, skip_serializing_if = "PowerOrders::is_empty")]
    pub power: PowerOrders,
    /// How long past requests took.
    pub request_durations: Durations,
    /// How long past jobs took.
    pub job_durations: Durations,
}

/// An instance: what is wanted of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceRecord {
    /// Its id.
    pub id: InstanceId,
    /// Its stack.
    pub stack: StackName,
    /// Its service; of a job's run, its job.
    pub service: ServiceName,
    /// Of a job or a one-off, the number of the run that it is a try of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The release that made it. It serves later releases too, as long as its fingerprint is theirs.
    pub release: ReleaseNo,
    /// Of its template, and of `naru restart`s up to its making.
    pub fingerprint: String,
    /// Where it runs.
    pub node: NodeId,
    /// The container, by the engine's id, that another tool made and that is its first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// When it was made.
    pub made: Time,
    /// The operation in whose course it was made.
    pub made_by: OperationId,
    /// Its part in the routes.
    pub duty: Duty,
    /// Since when it has that part.
    pub since: Time,
    /// What its agent is told.
    pub intent: Intent,
    /// The table that named it first, since it last came into the routes; `None`: none ever did.
    pub routed: Option<Generation>,
    /// The first table that no longer names it; `None` while a table may name it, or if none ever did.
    pub unrouted: Option<Generation>,
    /// The operation that retires it.
    pub retired_by: Option<OperationId>,
    /// What edges that are gone had counted for it, each once.
    pub past: PastCounts,
    /// Losses that are on an incident's receipt already.
    pub on_incidents: Counts,
    /// How many of its restarts are on an incident's receipt.
    pub restarts_told: u32,
    /// The incident that is open about it.
    pub incident: Option<OperationId>,
}

/// The part an instance has in the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// Made, and not to be named by the table yet.
    Warming,
    /// Named by the table while it is ready.
    Serving,
    /// Not named, and free to serve again: it has not been told to be quiet.
    Held,
    /// Not named, and on its way out. There is no way back.
    Retiring,
}

/// What edges that are gone had counted for an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PastCounts {
    /// The sum.
    pub counts: Counts,
    /// How long those requests took.
    pub request_durations: Durations,
    /// Whose counts are in it.
    pub edges: BTreeSet<EdgeId>,
}
