//! The nouns of Naru: what is stored, sent and shown. No behaviour beyond what a value says of itself.
//!
//! Depends on nothing of Naru. Every type is plain data with a serde form, which is at once the store's
//! record, the API's body and the simulation's state, so that there is one tree of types and no conversions.

mod count;
mod id;
mod instance;
//X mod operation;
mod phrase;
//X mod reason;
//X mod record;
mod report;
mod route;
mod spec;
mod time;

pub use count::{Counts, Durations, InProgress};
pub use id::{EdgeId, Generation, InstanceId, NodeId, OperationId, ReleaseNo, ServiceName, StackName};
pub use instance::{Desired, DesiredInstance, Exit, InstanceStatus, Intent, Phase};
//X pub use operation::{
//X     InstanceReceipt, LogEntry, Operation, OperationKind, OperationPhase, Receipt, ServiceProgress, Stage,
//X };
pub use phrase::{plural, quantity};
//X pub use reason::Reason;
//X pub use record::{Duty, InstanceRecord, PastCounts, Release, RolloutState, ServiceRecord, StackRecord, Target};
pub use report::{AgentReport, EdgeCounts, EdgeReport, JobRecord, ListenerFault, Outcome};
pub use route::{Backend, Listener, Protocol, RouteTable, Split};
pub use spec::{
    Action, AtLimit, CanaryStep, Check, Condition, Dependency, FailureAction, Health, HttpCall, Mode, Order,
    Port, Process, QuietCall, Resources, Restart, RestartPolicy, Rollout, Run, Service, Stack, Strategy,
    TargetPort, Template, UpdateConfig, Volume, WorkPolicy,
};
pub use time::{Span, Time};
