//! What a Compose file asks for, after merge, with every default filled in.
//!
//! A [`Service`] has two halves. Its [`Template`] is everything that an instance is made from: when it
//! changes, instances are replaced. The rest says how many there are, who reaches them and how they are
//! replaced: a change of it touches no instance.

use crate::{
    Build, Container, Images, Job, Policy, Power, Protocol, Published, PullPolicy, Refusal, ServiceName,
    Span, StackListener, StackName, StackRoute,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Not;
use utoipa::ToSchema;

/// What one Compose file, after merge, describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stack {
    /// Its name: `-p`, the file's `name`, or the folder's.
    pub name: StackName,
    /// The folder of the first file, absolute.
    pub project_dir: String,
    /// Services, without those whose profile is not active.
    pub services: BTreeMap<ServiceName, Service>,
    /// Jobs, likewise. None has a service's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<ServiceName, Job>,
    /// Addresses of the stack itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<StackListener>,
    /// What becomes of requests there, by priority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StackRoute>,
}

impl Stack {
    /// The services named, and what they depend on.
    ///
    /// # Errors
    /// One that is named is not there.
    pub fn with_dependencies(&self, only: &[ServiceName]) -> Result<BTreeSet<ServiceName>, Refusal> {
        let mut chosen = BTreeSet::new();
        let mut open: Vec<ServiceName> = only.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(&name) else {
                if !only.contains(&name) {
                    continue;
                }
                let all: Vec<_> = self.services.keys().map(|service| service.as_str()).collect();
                let hint = format!("its services are: {}", all.join(", "));
                return Err(Refusal::new(format!("the file has no service `{name}`"), hint));
            };
            if chosen.insert(name) {
                open.extend(service.depends_on.keys().cloned());
            }
        }
        Ok(chosen)
    }

    /// What instances of services, and then runs of jobs, are made from; and how its image is made.
    pub fn templates(&self) -> impl Iterator<Item = (&ServiceName, &Template, Option<&Build>)> {
        let services = self.services.iter().map(|(name, one)| (name, &one.template, one.build.as_ref()));
        services.chain(self.jobs.iter().map(|(name, one)| (name, &one.template, one.build.as_ref())))
    }
}

/// One entry of a stack's services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// What each instance is made from.
    pub template: Template,
    /// How its image is made; `None`: it is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Whether `replicas` counts for the whole stack or for each node.
    pub mode: Mode,
    /// How many instances there are to be; of a job, how many are to end with status 0.
    pub replicas: u32,
    /// Of a job: no more than so many at once. `None`: all at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Addresses that others reach it at, from outside the stack. (Within it, every target port has an
    /// address of its own.)
    pub ports: Vec<Port>,
    /// Which services it is started after.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// How one release replaces another.
    pub rollout: Rollout,
    /// What a retiring instance's work may ask of an operation.
    pub work: WorkPolicy,
    /// At most one instance at any time, across releases: replacement is hand-over by stop-first.
    pub singleton: bool,
    /// Whether containers reach its instances without the edge.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direct: bool,
    /// How requests to it are treated.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// What holds for all that comes in at its published ports.
    #[serde(default, skip_serializing_if = "Published::is_default")]
    pub published: Published,
    /// When it is asleep; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
}

/// Whether the number of instances is for the stack or for each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As many as `replicas` says.
    Replicated,
    /// One on each node.
    Global,
    /// So many that end with status 0, as `replicas` says; then it is complete.
    ReplicatedJob,
    /// One on each node that ends with status 0; then it is complete.
    GlobalJob,
}

impl Mode {
    /// Whether its instances run to their end: that is their work, and nobody stops one before.
    pub fn is_job(self) -> bool {
        matches!(self, Mode::ReplicatedJob | Mode::GlobalJob)
    }
}

/// Everything that an instance is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Template {
    /// A host process or a container.
    pub run: Run,
    /// The whole environment that the file gives it.
    pub environment: BTreeMap<String, String>,
    /// Absolute. Empty: a container's is as its image has it.
    pub working_dir: String,
    /// A user's name or number, with `:GROUP` perhaps. `None`: as the agent; of a container, as its image has it.
    pub user: Option<String>,
    /// Ports that it listens on, in the file's terms. The first is `PORT`.
    pub targets: Vec<TargetPort>,
    /// How one knows that it can serve. `None`: when its ports accept; without ports, when it has run for
    /// a second.
    pub health: Option<Health>,
    /// What follows when it ends by itself.
    pub restart: Restart,
    /// A signal's name (`SIGTERM`, `TERM`) or number. Empty: a container's is as its image has it.
    pub stop_signal: String,
    /// How long a stop signal may be ignored by an idle instance before SIGKILL.
    pub stop_grace: Span,
    /// Limits, by cgroup where the system lets us.
    pub resources: Resources,
    /// How Naru asks whether jobs are in progress, beside leases.
    pub busy: Option<Action>,
    /// How Naru tells it to take no new work.
    pub quiet: Option<QuietCall>,
    /// Run in the instance's surroundings after it started, before it counts as ready.
    pub post_start: Vec<HookCommand>,
    /// Run before the stop signal.
    pub pre_stop: Vec<HookCommand>,
    /// Labels, as given.
    pub labels: BTreeMap<String, String>,
    /// The digest of the content of files that it reads at start (secrets, configs, env files).
    pub content_digest: Option<String>,
}

impl Template {
    /// A digest of the template: two instances with the same are interchangeable. 16 hex digits of the
    /// SHA-256 of its JSON form, without how an image is fetched.
    pub fn fingerprint(&self) -> String {
        let mut told = self.clone();
        if let Run::Container(container) = &mut told.run {
            container.pull = PullPolicy::default();
        }
        let json = serde_json::to_vec(&told).expect("a template has only text keys");
        hex(&Sha256::digest(json)[..8])
    }

    /// The same, made from these images.
    pub fn fingerprint_of(&self, images: &Images) -> String {
        let own = self.fingerprint();
        if images.is_empty() {
            return own;
        }
        let ids = images.iter().fold(Sha256::new(), |sum, (reference, image)| {
            sum.chain_update(reference).chain_update([0]).chain_update(&image.id).chain_update([0])
        });
        format!("{own}.{}", hex(&ids.finalize()[..4]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A host process or a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// `x-naru.process`.
    Process(Process),
    /// `image`.
    Container(Box<Container>),
}

impl Run {
    /// What a container is made from; `None`: it is a process.
    pub fn container(&self) -> Option<&Container> {
        match self {
            Run::Container(container) => Some(container),
            Run::Process(_) => None,
        }
    }
}

/// A command on the host, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// Program and arguments. `$NAME` and `${NAME}` in them are replaced from the instance's environment
    /// when it starts (`PORT`, `NARU_PORT_<target>`, `NARU_URL_<SERVICE>`, what the file gives).
    pub command: Vec<String>,
}

/// A command that is run in an instance's surroundings at some point of its life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HookCommand {
    /// What is run.
    #[serde(flatten)]
    pub process: Process,
    /// In a container: as whom; `None`: as the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In a container: where; `None`: where the instance runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// In a container: variables beside the instance's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// In a container: whether it may do all that the host's root may.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub privileged: bool,
}

impl From<Process> for HookCommand {
    fn from(process: Process) -> HookCommand {
        HookCommand { process, ..HookCommand::default() }
    }
}

/// A port that an instance listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetPort {
    /// The number in the file. A process listens on another, told by `PORT` and `NARU_PORT_<port>`.
    pub port: u16,
    /// How it is spoken.
    pub protocol: Protocol,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// The address that the edge listens on: the file's host IP, or `0.0.0.0` as Compose has it.
    pub host_ip: String,
    /// The published port; `None`: one that is free, chosen once for the stack.
    pub published: Option<u16>,
    /// Which of the template's targets.
    pub target: u16,
    /// How it is spoken.
    pub protocol: Protocol,
    /// Whether `protocol` is written in the file; if not, the plan says what it was taken for.
    pub stated: bool,
}

/// Whether one port cannot be listened on at both addresses: they are the same, or one of them is all.
pub fn ips_overlap(a: &str, b: &str) -> bool {
    let is_any = |ip: &str| matches!(ip, "0.0.0.0" | "::");
    a == b || is_any(a) || is_any(b)
}

/// A probe of an instance's health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// What is asked.
    pub check: Check,
    /// From the end of one probe to the next.
    pub interval: Span,
    /// A probe that takes longer has failed.
    pub timeout: Span,
    /// So many failures in a row make it unready.
    pub retries: u32,
    /// Failures within this time of the start do not count.
    pub start_period: Span,
    /// The interval within the start period, until it is ready.
    pub start_interval: Span,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A GET answered with a status of 200 to 399.
    Http(HttpCall),
    /// A connection is accepted. `None`: on the first target.
    Tcp {
        /// Which target port.
        port: Option<u16>,
    },
    /// A command that exits with 0 (CMD-SHELL is `/bin/sh -c …`).
    Command(Process),
}

/// A path on one of the instance's own ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HttpCall {
    /// With its leading slash.
    pub path: String,
    /// Which target port; `None`: the first.
    pub port: Option<u16>,
}

/// A call by HTTP or by command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// For busy: GET answered 200 with `{"jobs": n}`. For quiet: POST answered 2xx.
    Http(HttpCall),
    /// For busy: exit status 0 means busy. For quiet: exit status 0 means told.
    Command(Process),
}

/// How an instance is told to take no new work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum QuietCall {
    /// By a call.
    Call(Action),
    /// By a signal, by name or number.
    Signal(String),
}

/// What follows when an instance ends by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Restart {
    /// On which ends.
    pub policy: RestartPolicy,
    /// First delay; doubled at each restart in a row, up to a minute.
    pub delay: Span,
    /// So many restarts in a row, then it stays ended. `None`: no limit.
    pub max_attempts: Option<u32>,
    /// Having run for so long, it counts as started well, and the row begins anew.
    pub window: Span,
}

/// On which ends an instance is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// When it ends other than with status 0. Naru's default, where the file says nothing.
    OnFailure,
    /// Always.
    Always,
}

/// Limits and reservations of one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// CPUs, in thousandths.
    pub cpus_milli: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPUs to set aside, in thousandths.
    pub reserved_cpus_milli: Option<u64>,
    /// Bytes to set aside.
    pub reserved_memory: Option<u64>,
}

/// A service that must have come so far before another starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// How far.
    pub condition: Condition,
    /// Whether its absence matters.
    pub required: bool,
    /// Whether this service is restarted when that one is, by an explicit operation.
    pub restart: bool,
}

/// How far a dependency must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It runs.
    ServiceStarted,
    /// It is ready.
    ServiceHealthy,
    /// It has ended with status 0.
    ServiceCompletedSuccessfully,
}

/// How one release replaces another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// The way.
    pub strategy: Strategy,
    /// `deploy.update_config`.
    pub update: UpdateConfig,
    /// `deploy.rollback_config`.
    pub rollback: UpdateConfig,
    /// Blue-green: how long the new set must stay ready before it is promoted.
    pub soak: Span,
    /// Blue-green and canary: promoted by itself, or by `naru promote`.
    pub promote_auto: bool,
    /// Blue-green: a port at which the new set can be reached before it is promoted.
    pub preview: Option<u16>,
    /// Canary: shares and how long each is held.
    pub steps: Vec<CanaryStep>,
    /// So many releases of a service may retire side by side; the next rollout then waits.
    pub max_retiring: u32,
    /// A new instance that is not ready within this time has failed.
    pub healthy_within: Span,
    /// During `monitor`: a share of requests answered with 5xx above this, in thousandths, is a failure.
    /// Only from 20 requests on, and only where the old release's share is lower.
    pub max_error_permille: u32,
}

/// The way one release replaces another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// A few instances at a time.
    Rolling,
    /// The whole new set beside the old, then all at once.
    BlueGreen,
    /// The whole new set beside the old, with a growing share of the traffic.
    Canary,
}

/// One step of a canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanaryStep {
    /// Percent of the traffic that goes to the new release.
    pub weight: u32,
    /// How long, before the next step.
    #[serde(rename = "for")]
    pub hold: Span,
}

/// `deploy.update_config` and `deploy.rollback_config`: all six keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateConfig {
    /// How many at a time; 0: all.
    pub parallelism: u32,
    /// Between one batch and the next.
    pub delay: Span,
    /// What follows a failure.
    pub failure_action: FailureAction,
    /// How long each new instance is watched after it began to serve.
    pub monitor: Span,
    /// The share of failed instances that is borne, in thousandths.
    pub max_failure_permille: u32,
    /// Which comes first, where nothing forbids it.
    pub order: Order,
    /// Whether `order` is written in the file: then two instances may share a volume meanwhile.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub order_stated: bool,
}

/// What follows a failed rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureAction {
    /// Go on.
    Continue,
    /// Stay as it is, and wait for a person.
    Pause,
    /// Back to the release before. Naru's default, where the file says nothing.
    Rollback,
}

/// Which comes first in a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The new instance is ready before the old one goes. Naru's default.
    StartFirst,
    /// The old one is gone before the new one starts.
    StopFirst,
}

/// What a retiring instance's work may ask of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkPolicy {
    /// A wait for work that is longer than this raises an alarm. `None`: never.
    pub postpone_max: Option<Span>,
    /// What follows then.
    pub at_limit: AtLimit,
}

/// What follows when work outlasts `postpone_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtLimit {
    /// The alarm, and on waiting.
    Wait,
    /// The work is cut, by the policy that the file's author wrote down, and listed.
    Cut,
}
