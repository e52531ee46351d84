//! An instance as its agent knows it: what is wanted of it, and what was seen.

use crate::{
    Durations, Generation, InProgress, InstanceId, NodeId, OneOffTerms, ReleaseNo, ServiceName, Span,
    StackName, Template, Time, UsedImage,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// All that a node's agent is to have, whole. An instance that is not in it and that the agent has not
/// been told to stop is left alone and reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Desired {
    /// For which node.
    pub node: NodeId,
    /// An older one than the last applied is refused.
    pub generation: Generation,
    /// By id.
    pub instances: BTreeMap<InstanceId, DesiredInstance>,
}

/// What is wanted of one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DesiredInstance {
    /// Its stack.
    pub stack: StackName,
    /// Its service.
    pub service: ServiceName,
    /// The release that made it.
    pub release: ReleaseNo,
    /// What it is made from.
    pub template: Template,
    /// Environment that Naru adds, such as `NARU_URL_<SERVICE>`.
    pub environment: BTreeMap<String, String>,
    /// Names by which it finds services of its stack, each at an address of the node where the edge listens. Only
    /// containers need them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, ServiceName>,
    /// A container that runs already, by the engine's id, made by another tool: it is the instance's first run. Where it
    /// does not run any more, a container is made as for any instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<String>,
    /// What the references of images in its template mean, as its release recorded it. One that is missing means
    /// whatever the engine takes it for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, UsedImage>,
    /// What there is to know of it as a one-off; `None`: it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_off: Option<OneOffTerms>,
    /// What it is to do.
    pub intent: Intent,
}

/// What an instance is to do. Only ever goes down the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Run and take work.
    Run,
    /// Finish what is in progress and take nothing new.
    Quiet,
    /// End, once the agent too sees no job in progress. If it does see one, it stays quiet and says so.
    Stop,
    /// End, whatever is in progress; a person, or a policy that the user wrote, ordered it.
    Cut,
}

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Wanted, and not started yet; or waiting for its next restart.
    Pending,
    /// Its process runs and is not known to serve.
    Starting,
    /// Serves.
    Ready,
    /// Served, and its health check fails.
    Unready,
    /// Told to take no new work.
    Quiet,
    /// Told to end.
    Stopping,
    /// Ended, and not to be started again.
    Exited,
    /// Its node is gone.
    Lost,
}

impl Phase {
    /// The word in DESIGN.md's line of phases.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Unready => "unready",
            Phase::Quiet => "quiet",
            Phase::Stopping => "stopping",
            Phase::Exited => "exited",
            Phase::Lost => "lost",
        }
    }

    /// Whether its process is gone for good.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Exited | Phase::Lost)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with a status.
    Status(i32),
    /// By a signal, by number.
    Signal(i32),
    /// It could not be started: why.
    NotStarted(String),
    /// It is gone, and nobody saw how (its shim was killed, the machine restarted).
    Unknown,
}

impl Exit {
    /// Whether it ended with status 0.
    pub fn is_success(&self) -> bool {
        *self == Exit::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Status(status) => write!(f, "exited with status {status}"),
            Exit::Signal(9) => write!(f, "was killed (signal 9)"),
            Exit::Signal(signal) => write!(f, "ended by signal {signal}"),
            Exit::NotStarted(why) => write!(f, "could not be started: {why}"),
            Exit::Unknown => write!(f, "is gone, and nobody saw how it ended"),
        }
    }
}

/// What an agent saw of one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceStatus {
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: Time,
    /// When its present process was started.
    pub started: Option<Time>,
    /// Its process.
    pub pid: Option<u32>,
    /// Where its ports are; `None`: on the host's loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Target port → port there.
    #[schema(value_type = BTreeMap<String, u16>)]
    pub ports: BTreeMap<u16, u16>,
    /// What its present container is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<UsedImage>,
    /// How often it was started again after it ended by itself, in all.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// Whether it was told to be quiet, and the busy check, where there is one, has answered since.
    pub quiet_told: bool,
    /// Jobs in progress (requests and streams are the edge's to count), by lease and by busy check.
    pub jobs: InProgress,
    /// The leases among them, oldest first; the first 1,000.
    pub open_jobs: Vec<crate::JobRecord>,
    /// The oldest job in progress began then.
    pub oldest_job: Option<Time>,
    /// When a job ended last, or was seen in progress last where only a busy check tells of jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_job: Option<Time>,
    /// The last words of a failing health check, of a restart or of a refusal to stop.
    pub note: Option<String>,
    /// Jobs ended so far, over the whole life of the instance, agents' restarts included.
    pub counts: crate::Counts,
    /// How long those jobs took.
    pub job_durations: Durations,
    /// The jobs that were lost or cut, with their causes; the last 1,000.
    pub ended_badly: Vec<crate::JobRecord>,
    /// How long until the next restart, when one is due.
    pub restart_in: Option<Span>,
}

impl InstanceStatus {
    /// Where a target port answers on its node, as `127.0.0.1:20000`; `None`: it has no such port.
    pub fn socket(&self, target: u16) -> Option<String> {
        let port = self.ports.get(&target)?;
        Some(format!("{}:{port}", self.address.as_deref().unwrap_or("127.0.0.1")))
    }
}
