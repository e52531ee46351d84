//! Jobs of a stack: templates that are run to their end, by a schedule or by hand; and what is kept of their runs.
//!
//! A run is work like any other: no operation ends one that has not finished.

use crate::{
    Build, Dependency, Durations, Exit, InstanceId, OneOff, Reason, ReleaseNo, ServiceName, Span, StackName,
    Template, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// One entry of a stack's jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// What each run is made from.
    pub template: Template,
    /// How its image is made; `None`: it is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Services that a run waits for before it begins.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// When it is run by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Whether a person may run it.
    pub by_hand: bool,
    /// What follows when a person runs it while a run of it is in progress.
    pub overlap: Overlap,
    /// A try that takes longer is cut. Each try has the whole time, from the start of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// So many tries more after the first, where one fails.
    #[serde(default)]
    pub retries: u32,
    /// From the end of the first try to the second; doubled from one to the next, up to [`Job::LONGEST_BACKOFF`].
    pub backoff: Span,
}

impl Job {
    /// Between two tries there is never more than an hour.
    pub const LONGEST_BACKOFF: Span = Span::mins(60);

    /// How long after the `tries`th try has failed the next begins.
    pub fn backoff_after(&self, tries: usize) -> Span {
        let doubled = self.backoff.times(1 << tries.saturating_sub(1).min(30));
        doubled.min(Job::LONGEST_BACKOFF.max(self.backoff))
    }
}

/// When a job is run by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// A cron expression of five fields, or of six with seconds first.
    pub cron: String,
    /// The zone that it is meant in, by its name in the tz database.
    pub timezone: String,
    /// What follows when it is due while a run is in progress.
    pub overlap: Overlap,
    /// What follows for times that were missed.
    pub catch_up: CatchUp,
}

/// `0 3 * * * (Europe/Paris)`
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.cron, self.timezone)
    }
}

/// What follows when a run is due while another of the same job is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is not begun, and counted.
    #[default]
    Forbid,
    /// One begins after it; what is due until then is counted.
    Queue,
    /// They run side by side.
    Allow,
}

/// What follows for times at which nothing could be begun: the server was down, or the clock was set forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// One run for all of them.
    #[default]
    One,
    /// None. They are reported as in any case.
    Skip,
}

/// What lives as long as a job of a stack, across releases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobState {
    /// By what it is due; `None`: it has no schedule now.
    pub armed: Option<Armed>,
    /// How many runs of it there ever were; the number of the last.
    pub runs: u64,
    /// What became of its due times.
    pub tally: DueTally,
    /// How long past tries took that succeeded.
    #[serde(default)]
    pub durations: Durations,
}

/// A schedule that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Armed {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// Since when: what was due before is not theirs.
    pub since: Time,
    /// What was due up to then is accounted for, once and for all.
    pub seen: Time,
    /// The first time after that; `None`: there is none.
    pub next: Option<Time>,
}

/// What became of a job's due times, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DueTally {
    /// A run was made for each of these.
    pub run: u64,
    /// Another run was in progress, and the file forbids a second.
    pub held_back: u64,
    /// Nothing could be begun in time; each is on the log of an incident.
    pub missed: u64,
}

impl DueTally {
    /// All that came.
    pub fn total(self) -> u64 {
        self.run + self.held_back + self.missed
    }
}

/// A run of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunRecord {
    /// Its stack.
    pub stack: StackName,
    /// Its job; of a one-off, its service.
    pub job: ServiceName,
    /// Its number within that, from 1.
    pub number: u64,
    /// The release by which it runs, whatever is deployed meanwhile.
    pub release: ReleaseNo,
    /// What for.
    pub cause: RunCause,
    /// What holds between it and other runs of its job.
    pub overlap: Overlap,
    /// Of a one-off: what it has other than its service's instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_off: Option<Box<OneOff>>,
    /// When it was made.
    pub made: Time,
    /// Where it is.
    pub state: RunState,
    /// What it waits for now, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Reason>,
    /// Its tries, in order; the last is in progress unless it has ended.
    pub tries: Vec<Try>,
    /// When it ended.
    pub ended: Option<Time>,
    /// Due times that passed while it was in progress, or waited, at which no other was begun.
    #[serde(default)]
    pub held_back: u64,
    /// Who had it cut, or what else ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

impl RunRecord {
    /// The try that is in progress.
    pub fn present_try(&self) -> Option<&Try> {
        self.tries.last().filter(|one| one.ended.is_none())
    }
}

/// What a run is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunCause {
    /// It was due.
    Schedule {
        /// Then.
        due: Time,
    },
    /// It was due, and missed; it stands for all that were missed with it.
    CatchUp {
        /// The last of them.
        due: Time,
    },
    /// A person wanted it.
    Order {
        /// Who.
        actor: String,
        /// Why, in the actor's words.
        message: Option<String>,
    },
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Something else comes first.
    Waiting,
    /// A try is in progress.
    Running,
    /// A try has failed, and the next begins then.
    BackingOff {
        /// When.
        until: Time,
    },
    /// It ended with status 0.
    Succeeded,
    /// Its last try has failed.
    Failed,
    /// Its last try took longer than the file allows.
    TimedOut,
    /// It was cut, or was not to begin any more.
    Cancelled,
}

impl RunState {
    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        !matches!(self, RunState::Waiting | RunState::Running | RunState::BackingOff { .. })
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RunState::Waiting => "waiting",
            RunState::Running => "running",
            RunState::BackingOff { .. } => "backing off",
            RunState::Succeeded => "succeeded",
            RunState::Failed => "failed",
            RunState::TimedOut => "timed out",
            RunState::Cancelled => "cancelled",
        })
    }
}

/// A try of a run: one instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Try {
    /// The instance.
    pub instance: InstanceId,
    /// When it was made.
    pub made: Time,
    /// When its process was started.
    pub started: Option<Time>,
    /// When it was seen to have ended, and how.
    pub ended: Option<(Time, Exit)>,
    /// Whether it was cut because it took longer than the file allows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
}

/// A job, as `naru job ls` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its stack.
    pub stack: StackName,
    /// Its name.
    pub name: ServiceName,
    /// By which schedules it is due. None: by hand only, or the stack is down.
    pub schedules: Vec<Schedule>,
    /// Whether a person may run it.
    pub by_hand: bool,
    /// When it is due next.
    pub next: Option<Time>,
    /// What became of its due times.
    pub tally: DueTally,
    /// The runs that have not ended, oldest first.
    pub open: Vec<RunRecord>,
    /// The one that ended last.
    pub last: Option<RunRecord>,
}
