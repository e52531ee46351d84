//! Operations and their receipts.

use crate::{
    Counts, Exit, Generation, InProgress, InstanceId, JobRecord, OperationId, Reason, ReleaseNo, ServiceName,
    Span, StackName, Target, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// A change with a receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its number.
    pub id: OperationId,
    /// The stack it changes.
    pub stack: StackName,
    /// What it does.
    pub kind: OperationKind,
    /// Who ordered it; `naru` for what nobody ordered.
    pub actor: String,
    /// Why, in the actor's words.
    pub message: Option<String>,
    /// When it was admitted.
    pub began: Time,
    /// Where it is.
    pub phase: OperationPhase,
    /// How it went, once that is settled; old instances may still retire after that.
    pub outcome: Option<OperationOutcome>,
    /// When what it wanted served: every edge had acknowledged it. A person's wait ends here.
    pub cut_over: Option<Time>,
    /// When its last instance was gone, and its receipt final.
    pub ended: Option<Time>,
    /// The release that it brings.
    pub release: Option<ReleaseNo>,
    /// What was wanted before it, and had served: where a rollback goes.
    pub before: Option<Target>,
    /// Set when it is given up: how it is to be called once what was before serves again.
    pub back: Option<OperationOutcome>,
    /// A person ordered `--cut`: work in progress on what it retires is ended.
    pub ending: Ending,
    /// A person ordered `promote`.
    pub promoted: Option<Time>,
    /// How far each service has come.
    pub services: BTreeMap<ServiceName, ServiceProgress>,
    /// What happened and why, in order; the last [`Operation::MAX_LOG`].
    pub log: Vec<LogEntry>,
    /// What became of work.
    pub receipt: Receipt,
}

impl Operation {
    /// Enough for a rollout of a thousand instances to be told step by step; the record stays below 1 MiB.
    pub const MAX_LOG: usize = 2_000;

    /// Adds a line to the log, unless it only repeats the one before it.
    pub fn say(&mut self, at: Time, reason: Reason) {
        if self.log.last().is_none_or(|last| last.reason != reason) {
            self.log.push(LogEntry { at, reason });
        }
        if self.log.len() > Self::MAX_LOG {
            self.log.remove(0);
        }
    }

    /// Whether it still steers its stack. An incident never does, nor what only tells of services' power.
    pub fn is_steering(&self) -> bool {
        let aside = matches!(
            self.kind,
            OperationKind::Incident | OperationKind::Sleep { .. } | OperationKind::Wake { .. }
        );
        !aside && self.outcome.is_none() && self.ended.is_none()
    }
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationKind {
    /// A new release.
    Deploy,
    /// A new release with old contents.
    Rollback {
        /// Whose.
        to: ReleaseNo,
    },
    /// Another number of instances.
    Scale {
        /// Of which services.
        replicas: BTreeMap<ServiceName, u32>,
    },
    /// No instances of these services, for now.
    Stop {
        /// Which.
        services: Vec<ServiceName>,
    },
    /// Instances of these services again.
    Start {
        /// Which.
        services: Vec<ServiceName>,
    },
    /// New instances of the same release.
    Restart {
        /// Of which services.
        services: Vec<ServiceName>,
    },
    /// Services fall asleep: no instances until something wakes them.
    Sleep {
        /// Which.
        services: Vec<ServiceName>,
    },
    /// Services that were asleep are on again.
    Wake {
        /// Which.
        services: Vec<ServiceName>,
    },
    /// Nothing of the stack any more.
    Down,
    /// A run of a job is cut, or not begun.
    Cancel {
        /// Which job.
        job: ServiceName,
        /// Which run of it.
        run: u64,
    },
    /// Nobody ordered it: an instance or an edge failed.
    Incident,
}

/// `deploy`, `rollback to 3`, …
impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |list: &[ServiceName]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>().join(", ");
        match self {
            OperationKind::Deploy => write!(f, "deploy"),
            OperationKind::Rollback { to } => write!(f, "rollback to {to}"),
            OperationKind::Scale { replicas } => {
                let said: Vec<_> = replicas.iter().map(|(s, n)| format!("{s}={n}")).collect();
                write!(f, "scale {}", said.join(" "))
            }
            OperationKind::Stop { services } => write!(f, "stop {}", names(services)),
            OperationKind::Start { services } => write!(f, "start {}", names(services)),
            OperationKind::Restart { services } => write!(f, "restart {}", names(services)),
            OperationKind::Sleep { services } => write!(f, "sleep {}", names(services)),
            OperationKind::Wake { services } => write!(f, "wake {}", names(services)),
            OperationKind::Down => write!(f, "down"),
            OperationKind::Cancel { job, run } => write!(f, "cancel run {run} of {job}"),
            OperationKind::Incident => write!(f, "incident"),
        }
    }
}

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationPhase {
    /// On its way to cut-over.
    Running,
    /// A person, or `failure_action: pause`, stopped it where it is.
    Paused,
    /// It failed, and the release before is being restored.
    RollingBack,
    /// It serves, and is watched for `monitor`.
    Monitoring,
    /// Settled; old instances finish their work.
    Retiring,
    /// Over.
    Done,
}

impl fmt::Display for OperationPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OperationPhase::Running => "running",
            OperationPhase::Paused => "paused",
            OperationPhase::RollingBack => "rolling back",
            OperationPhase::Monitoring => "monitoring",
            OperationPhase::Retiring => "retiring",
            OperationPhase::Done => "done",
        })
    }
}

/// How an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationOutcome {
    /// As wanted.
    Succeeded,
    /// It failed, and the release before serves again.
    RolledBack,
    /// It failed, and there was nothing to go back to, or the file said to go on.
    Failed,
    /// A later operation took its place before it had cut over.
    Superseded,
    /// A person ordered it to be given up; the release before serves.
    Aborted,
}

impl fmt::Display for OperationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            OperationOutcome::Succeeded => "succeeded",
            OperationOutcome::RolledBack => "rolled back",
            OperationOutcome::Failed => "failed",
            OperationOutcome::Superseded => "superseded",
            OperationOutcome::Aborted => "aborted",
        })
    }
}

/// What an operation does with work that is in progress on what it retires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is finished.
    #[default]
    Finish,
    /// It is ended, and listed.
    Cut,
}

/// How far one service has come in an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceProgress {
    /// Where it is.
    pub stage: Stage,
    /// Since when.
    pub since: Time,
    /// Instances that failed, in this operation.
    pub failed: Vec<InstanceId>,
    /// When the last batch began to serve, or was retired.
    pub last_batch: Option<Time>,
    /// What it waits for now, if anything.
    pub waits_for: Option<Reason>,
}

/// Where a service is in its rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Another service, or a place among the retiring, comes first.
    Waiting,
    /// New instances start, and take the place of old ones as they become ready.
    Replacing,
    /// The whole new set is ready, and stays so for `soak`.
    Soaking,
    /// `naru promote` is awaited.
    AwaitingPromotion,
    /// A canary's share, by index into its steps.
    Step(u32),
    /// The table has been changed; the edges' acknowledgement is awaited.
    Switching,
    /// It serves.
    CutOver,
}

/// One line of an operation's story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// When.
    pub at: Time,
    /// What, and why.
    pub reason: Reason,
}

/// What became of the work of every instance that an operation retired, or that an incident struck.
///
/// An instance is retired by one operation only, so each piece of work is on one receipt only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// What each instance had counted when the operation began.
    pub baseline: BTreeMap<InstanceId, Counts>,
    /// What became of them.
    pub instances: BTreeMap<InstanceId, InstanceReceipt>,
    /// What could not be known, and why.
    pub unknown: Vec<String>,
}

impl Receipt {
    /// What became of work since the operation began, on all instances together.
    pub fn total(&self) -> Counts {
        let mut sum = Counts::default();
        self.instances.values().for_each(|one| sum += one.during);
        sum
    }
}

/// What became of one instance and its work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceReceipt {
    /// Its service.
    pub service: ServiceName,
    /// The release that made it.
    pub release: ReleaseNo,
    /// When it was decided that it goes.
    pub retired: Time,
    /// The first table without it, and when every edge had acknowledged that.
    pub unrouted: Option<(Generation, Time)>,
    /// When it had been told to take no new work.
    pub quiet: Option<Time>,
    /// What was in progress then.
    pub found: InProgress,
    /// When its work was seen to be at zero, at its agent and at every edge.
    pub idle: Option<Time>,
    /// When it was seen to have ended, and how.
    pub exited: Option<(Time, Exit)>,
    /// From quiet to idle.
    pub waited: Span,
    /// When it was found to have been waited for longer than `postpone_max`.
    pub alarmed: Option<Time>,
    /// What was counted since the operation began.
    pub during: Counts,
    /// What was counted in its whole life.
    pub lifetime: Counts,
    /// Each job that was lost or cut, with its cause; the last 1,000.
    pub jobs: Vec<JobRecord>,
}
