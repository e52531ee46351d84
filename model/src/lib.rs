//! The nouns of Naru: what is stored, sent and shown. No behaviour beyond what a value says of itself.
//!
//! Depends on nothing of Naru. Every type is plain data with a serde form, which is at once the store's
//! record, the API's body and the simulation's state, so that there is one tree of types and no conversions.

mod asset;
mod asset_reason;
mod build;
mod container;
mod count;
mod engine;
mod id;
mod image;
mod instance;
mod job;
mod latency;
mod mount;
mod network;
mod one_off;
mod operation;
mod order;
mod phrase;
mod power;
mod reason;
mod record;
mod report;
mod route;
mod route_change;
mod snapshot;
mod spec;
mod time;
mod traffic;
mod view;

pub use asset::{
    AssetEntry, AssetHours, AssetOrder, AssetView, AssetWant, AssetsView, CloudRefusal, Machine, MachineAct,
    MachineState, ProviderView, Pursuit, RefusalKind, Wanted,
};
pub use asset_reason::AssetReason;
pub use build::Build;
pub use container::{Container, ImageHealth, Logging, Prelude, PreludeRuns, PullPolicy};
pub use count::{Counts, Durations, InProgress};
pub use engine::{Device, DeviceRequest, Hardware, Limits, Namespace, Namespaces, Privileges, Ulimit};
pub use id::{
    AssetId, AssetName, EdgeId, Generation, InstanceId, NodeId, OperationId, ReleaseNo, ServiceName,
    StackName,
};
pub use image::{BuildChoice, BuildSettings, FateReason, ImageAct, ImageFate, Images, StockImage, UsedImage};
pub use instance::{Desired, DesiredInstance, Exit, InstanceStatus, Intent, Phase};
pub use job::{
    Armed, CatchUp, DueTally, Job, JobState, JobView, Overlap, RunCause, RunRecord, RunState, Schedule, Try,
};
pub use latency::Latencies;
pub use mount::{ContentFile, ContentId, ContentKind, Mount, MountSource, Volume};
pub use network::{AddressPool, Attachment, Connection, Dns, EnginePort, ExtraHost, Network, Transport};
pub use one_off::{OneOff, OneOffTerms, SessionKind};
pub use operation::{
    Ending, InstanceReceipt, LogEntry, Operation, OperationKind, OperationOutcome, OperationPhase, Receipt,
    ServiceProgress, Stage,
};
pub use order::{Admitted, Change, Demand, Imported, Plan, PlanAction, Refusal, ServicePlan};
pub use phrase::{plural, quantity};
pub use power::{Ignored, OffHours, Power, PowerOrders, PowerState, PowerView, Sleep, Waiting, Wake, Want};
pub use reason::Reason;
pub use record::{Duty, InstanceRecord, PastCounts, Release, ServiceRecord, StackRecord, Target};
pub use report::{AgentReport, EdgeCounts, EdgeReport, JobRecord, ListenerFault, Outcome, Used, add_waiting};
pub use route::{Backend, Listener, Protocol, RouteTable, Split};
pub use route_change::{ListenerChange, RouteChange, RuleChange, same_rules};
pub use snapshot::{
    DrainingEdge, EdgeSnapshot, InstanceSnapshot, ListenerSnapshot, LogCounts, MadeBy, OwnAnswers,
    RuleSnapshot, RuleTally,
};
pub use spec::{
    Action, AtLimit, CanaryStep, Check, Condition, Dependency, FailureAction, Health, HookCommand, HttpCall,
    Mode, Order, Port, Process, QuietCall, Resources, Restart, RestartPolicy, Rollout, Run, Service, Stack,
    Strategy, TargetPort, Template, UpdateConfig, WorkPolicy, ips_overlap,
};
pub use time::{Span, Time};
pub use traffic::{
    AccessFormat, AccessLog, Acme, Balance, BasicAuth, CertificateFiles, Doze, Edits, Ejection, Entrance,
    FieldEdits, FieldMatch, Files, Forward, ForwardAuth, Guard, HashKey, Match, OwnZone, PathEdit, PathMatch,
    Policy, ProxyVersion, Published, Queue, RateKey, RateLimit, Redirect, Respond, Retry, Rule, RuleAction,
    SniRoute, StackListener, StackRoute, Sticky, StickyTo, Terminate, Tls, ValueMatch,
};
pub use view::{AddressView, InstanceView, Reach, ServiceView, StackView, WorkView};
