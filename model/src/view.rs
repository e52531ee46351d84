//! What the API shows: records and observations side by side.

use crate::{
    Duty, InProgress, InstanceId, InstanceStatus, Intent, NodeId, OperationId, PowerView, Protocol,
    ReleaseNo, ServiceName, Span, StackName, Time,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stack, as `naru ls` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StackView {
    /// Its name.
    pub name: StackName,
    /// The release that serves.
    pub serving: Option<ReleaseNo>,
    /// The release that is wanted; `None`: it was taken down.
    pub target: Option<ReleaseNo>,
    /// The operation that steers it.
    pub steering: Option<OperationId>,
    /// Its services.
    pub services: Vec<ServiceView>,
    /// Its own addresses, at which its routes stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<AddressView>,
}

/// A service of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// How many instances are wanted.
    pub wanted: u32,
    /// How many serve.
    pub ready: u32,
    /// How many retire.
    pub retiring: u32,
    /// Where it is reached.
    pub addresses: Vec<AddressView>,
    /// Whether it is on or asleep, and why; `None`: it never is asleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerView>,
}

/// An address of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddressView {
    /// `http://127.0.0.1:8080`, `tcp://…`.
    pub url: String,
    /// How it is spoken.
    pub protocol: Protocol,
    /// Whether it is published, or for the stack's own services.
    pub reach: Reach,
    /// Why it is not open, if it is not.
    pub fault: Option<String>,
}

/// Who may reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Whoever reaches the machine.
    Published,
    /// The stack's own services.
    Internal,
    /// Whoever wants to see a blue-green release before it is promoted.
    Preview,
}

/// An instance, as `naru ps` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// Its id.
    pub id: InstanceId,
    /// Its stack.
    pub stack: StackName,
    /// Its service.
    pub service: ServiceName,
    /// Of a job or a one-off, the number of the run that it is a try of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Whether it is a one-off of its service, beside the instances that serve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub one_off: bool,
    /// The release that made it.
    pub release: ReleaseNo,
    /// Whether it is what the present release wants.
    pub current: bool,
    /// Where it runs.
    pub node: NodeId,
    /// When it was made.
    pub made: Time,
    /// Its part in the routes.
    pub duty: Duty,
    /// What its agent is told.
    pub intent: Intent,
    /// What its agent saw; `None` until it reports.
    pub status: Option<InstanceStatus>,
    /// Its work.
    pub work: InProgress,
    /// The operation that retires it.
    pub retired_by: Option<OperationId>,
    /// What its retirement waits for, one sentence.
    pub waits_for: Option<String>,
    /// About how long that takes.
    pub estimate: Option<Span>,
}

/// Work in progress, as `naru work` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkView {
    /// Where.
    pub instance: InstanceId,
    /// `requests`, `streams`, `job`, or `jobs` where only a busy check tells of them.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// A job's id and name.
    pub job: Option<(String, String)>,
    /// When it, or the oldest of them, began.
    pub began: Option<Time>,
    /// 0 to 1, where the job says.
    pub progress: Option<f64>,
    /// The job's own words.
    pub note: Option<String>,
    /// About how long it still takes.
    pub estimate: Option<Span>,
}
