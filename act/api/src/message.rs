//! What the API says beyond the model's nouns: questions, envelopes and events.

use naru_model::{
    Admitted, Ending, ImageAct, InstanceId, InstanceView, Operation, OperationId, Refusal, RouteTable,
    ServiceName, Span, Stack, StackName, Time, UsedImage,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// How the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Of the server's binary.
    pub version: String,
    /// The server's process.
    pub pid: u32,
    /// How long that process runs.
    pub uptime: Span,
    /// Stacks that have a target or an instance.
    pub stacks: u64,
    /// Instances that are not accounted for.
    pub instances: u64,
    /// Agents that this process has heard.
    pub agents: u64,
    /// Edges that serve and that this process has heard.
    pub edges: u64,
    /// Why nothing can be changed at present, if so.
    pub fault: Option<String>,
}

/// What a plan is wanted of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanRequest {
    /// The contents.
    pub stack: Stack,
    /// Only these services and what they depend on; empty: all.
    #[serde(default)]
    pub only: Vec<ServiceName>,
    /// What the references of images mean now, as far as that is known.
    #[serde(default)]
    pub images: BTreeMap<String, UsedImage>,
}

/// What is wanted of the images of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageOrder {
    /// The stack.
    pub stack: Stack,
    /// Only of these services; empty: of all.
    #[serde(default)]
    pub only: Vec<ServiceName>,
    /// What.
    pub act: ImageAct,
}

/// How it goes with images; the last one is `settled` or `failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum ImageEvent {
    /// How far one has come; the next of the same image takes its place.
    Progress {
        /// Its reference.
        image: String,
        /// `pulling web:1 (3.1 of 40.2 MB)`.
        text: String,
    },
    /// What a builder says.
    Output {
        /// The image that is made.
        image: String,
        /// One line.
        line: String,
    },
    /// Something that a person should know.
    Note {
        /// One sentence.
        text: String,
    },
    /// One is there, or sent.
    Done {
        /// Its reference.
        image: String,
        /// `pulled`, `built`, `pushed`.
        what: String,
        /// What it is.
        is: UsedImage,
    },
    /// All is done.
    Settled {
        /// What each reference means; without those that are not here.
        images: BTreeMap<String, UsedImage>,
    },
    /// It was given up.
    Failed {
        /// Why, and what to do.
        refusal: Refusal,
    },
}

/// What is to be done about images that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneOrder {
    /// What.
    pub act: PruneAct,
}

/// What is done about images that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PruneAct {
    /// They are told.
    Show,
    /// They are removed.
    Remove,
}

/// The answer to a demand that was taken.
pub type DemandAnswer = Admitted;

/// What is shown of assets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShowAssets {
    /// What is known.
    #[default]
    Known,
    /// What every cloud shows now.
    Looked,
}

/// How the background processes are to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShutdownOrder {
    /// `finish`: refused while instances run. `cut`: they are ended first, and listed.
    #[serde(default)]
    pub ending: Ending,
}

/// Which report the server has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Taken {
    /// The `seq` of the report; what follows from it is stored.
    pub seq: u64,
    /// The instances of an edge's report of which the server has no record any more. The edge may forget what
    /// it counted for them; what it counted for others is on no receipt yet.
    #[serde(default)]
    pub gone: Vec<InstanceId>,
}

/// What is to be watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// Only of this stack.
    pub stack: Option<StackName>,
    /// This operation at any rate, even if it ended long ago.
    pub operation: Option<OperationId>,
}

/// A change, as the whole new value. The first ones of a watch are the present state.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// An operation began or went on.
    Operation(Box<Operation>),
    /// The instances, all of them.
    Instances(Vec<InstanceView>),
    /// The route table; of a watched stack, its listeners only.
    Routes(RouteTable),
}

/// What a watch looks at: everything as it is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Those asked for, oldest first.
    pub operations: Vec<Operation>,
    /// All, or a stack's.
    pub instances: Vec<InstanceView>,
    /// All, or a stack's.
    pub routes: RouteTable,
}

/// Which lines of which logs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Of this stack.
    pub stack: Option<StackName>,
    /// Of this service of it.
    pub service: Option<ServiceName>,
    /// Of this instance.
    pub instance: Option<InstanceId>,
    /// The last so many of each instance; all that are kept if it is missing.
    pub tail: Option<u64>,
    /// Go on with lines as they are written, of instances that are yet to come too.
    pub follow: bool,
}

/// A line of an instance's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Whose.
    pub instance: InstanceId,
    /// Of which service.
    pub service: ServiceName,
    /// When it was written.
    pub time: Time,
    /// Where it came from.
    pub stream: LogSource,
    /// Without its line feed.
    pub line: String,
}

/// Where a line of a log came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogSource {
    /// The instance's stdout.
    Stdout,
    /// The instance's stderr.
    Stderr,
    /// Naru's own remark, such as lines dropped on a full disk.
    Note,
}

/// What somebody is to be connected with. The answer is a stream of frames of `naru-reach` both ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReachOrder {
    /// A command beside an instance.
    Exec(ExecOrder),
    /// The streams of a one-off that is about to be started for whoever asks. It ends when they go away.
    Run(RunOrder),
    /// The files at a path of an instance, as an archive, from it.
    CopyOut(CopyOrder),
    /// The same to it: the name that the archive's root is to have comes first.
    CopyIn(CopyOrder),
    /// What instances use of the machine, of a stack or of all: a reading at first, and another for each frame of input.
    Usage(Option<StackName>),
}

/// Files of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyOrder {
    /// Which instance.
    pub instance: InstanceId,
    /// Of a container: absolute. Of a process: on the host; relative to where it began.
    pub path: String,
    /// What is copied to it is called so at its source; it keeps that name within a folder.
    #[serde(default)]
    pub name: String,
}

/// A command beside an instance, and for whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExecOrder {
    /// Which instance.
    pub instance: InstanceId,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables beside the instance's own. They are kept nowhere, and stand in no log.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// As whom; without: as the instance.
    #[serde(default)]
    pub user: Option<String>,
    /// Where; without: where the instance began.
    #[serde(default)]
    pub working_dir: Option<String>,
    /// In a container: with all that the host's root may do.
    #[serde(default)]
    pub privileged: bool,
    /// It has a terminal; without: three pipes.
    #[serde(default)]
    pub terminal: Option<TerminalOrder>,
    /// Who orders it; the server sets it.
    #[serde(default)]
    pub actor: String,
}

/// A one-off, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunOrder {
    /// Which instance.
    pub instance: InstanceId,
    /// It has a terminal, as its order asked for; without: three pipes.
    #[serde(default)]
    pub terminal: Option<TerminalOrder>,
}

/// A terminal for a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TerminalOrder {
    /// How wide, in characters.
    pub columns: u16,
    /// How high.
    pub lines: u16,
    /// Its kind, as TERM says it; for a process. An engine says it by itself for a container.
    #[serde(default)]
    pub kind: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// When.
    pub time: Time,
    /// What kind of thing.
    pub kind: EventKind,
    /// In which stack.
    pub stack: StackName,
    /// Of which service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// To which instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// By which operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// By whom, where it was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// In words; of a command: the command.
    pub text: String,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// Somebody ran a command beside an instance.
    Exec,
    /// Somebody copied files from an instance, or to it.
    Copy,
    /// Somebody ran a one-off of a service.
    Run,
    /// A wake of a service ends in a few minutes.
    WakeEnds,
    /// Somebody asked at the service desk for what they may not do.
    RequestMade,
    /// That was approved.
    RequestApproved,
    /// The right that was approved is used: its time begins.
    RequestUsed,
    /// That was denied.
    RequestDenied,
    /// Whoever asked took it back.
    RequestWithdrawn,
    /// What was approved was taken back.
    RequestRevoked,
    /// An operation was admitted.
    OperationBegan,
    /// What it wants serves.
    OperationServes,
    /// It ended, and its last old instance is gone.
    OperationEnded,
    /// An instance is wanted that was not there before.
    InstanceMade,
    /// Its process or container was started.
    InstanceStarts,
    /// It serves.
    InstanceReady,
    /// Its health check fails.
    InstanceUnready,
    /// It ended by itself and is started again.
    InstanceFailed,
    /// It is on its way out.
    InstanceRetires,
    /// Its work outlasts `postpone_max`.
    InstanceOverdue,
    /// It was told to take no new work.
    InstanceQuiet,
    /// It was told to end.
    InstanceStops,
    /// It has ended.
    InstanceExited,
    /// Its node is gone.
    InstanceLost,
    /// It has ended, and what became of its work is on a receipt.
    InstanceGone,
}

impl EventKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Exec => "exec",
            EventKind::Copy => "copy",
            EventKind::Run => "run",
            EventKind::WakeEnds => "wake-ends",
            EventKind::RequestMade => "request-made",
            EventKind::RequestApproved => "request-approved",
            EventKind::RequestUsed => "request-used",
            EventKind::RequestDenied => "request-denied",
            EventKind::RequestWithdrawn => "request-withdrawn",
            EventKind::RequestRevoked => "request-revoked",
            EventKind::OperationBegan => "operation-began",
            EventKind::OperationServes => "operation-serves",
            EventKind::OperationEnded => "operation-ended",
            EventKind::InstanceMade => "instance-made",
            EventKind::InstanceStarts => "instance-starts",
            EventKind::InstanceReady => "instance-ready",
            EventKind::InstanceUnready => "instance-unready",
            EventKind::InstanceFailed => "instance-failed",
            EventKind::InstanceRetires => "instance-retires",
            EventKind::InstanceOverdue => "instance-overdue",
            EventKind::InstanceQuiet => "instance-quiet",
            EventKind::InstanceStops => "instance-stops",
            EventKind::InstanceExited => "instance-exited",
            EventKind::InstanceLost => "instance-lost",
            EventKind::InstanceGone => "instance-gone",
        }
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Of this stack.
    pub stack: Option<StackName>,
    /// Since then, in milliseconds since the epoch; all that are kept if it is missing.
    pub since: Option<u64>,
    /// Go on with what happens from now on.
    pub follow: bool,
}
