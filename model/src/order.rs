//! What a person orders, and the answers: a plan, an admission, or a refusal.

use crate::{Ending, OneOff, OperationId, ReleaseNo, ServiceName, Span, Stack, StackName, UsedImage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A change that somebody wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Demand {
    /// Of which stack.
    pub stack: StackName,
    /// Which change.
    pub change: Change,
    /// What is done with work in progress on what retires.
    #[serde(default)]
    pub ending: Ending,
    /// Who. The API sets it from the connection; what a client says is ignored.
    #[serde(default)]
    pub actor: String,
    /// Why, in the actor's words.
    #[serde(default)]
    pub message: Option<String>,
}

/// A change of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A new release with these contents.
    Deploy {
        /// The contents.
        stack: Box<Stack>,
        /// Only these services and what they depend on; empty: all. The others stay as they are.
        #[serde(default)]
        only: Vec<ServiceName>,
        /// What the references of images mean now, as it was found just before. One that is missing stays what it was.
        #[serde(default)]
        images: BTreeMap<String, UsedImage>,
        /// Services that are to be there for one-offs, and are not started. With one of them, `only` may name none.
        #[serde(default)]
        idle: Vec<ServiceName>,
    },
    /// A first release with these contents, whose first instances run already: containers that another tool made.
    Import {
        /// The contents.
        stack: Box<Stack>,
        /// What runs already.
        found: Imported,
    },
    /// A new release with the contents of an old one.
    Rollback {
        /// Whose contents; `None`: the one that served before the present one.
        to: Option<ReleaseNo>,
    },
    /// Other numbers of instances.
    Scale {
        /// By service.
        replicas: BTreeMap<ServiceName, u32>,
    },
    /// No instances, for now. Empty: of all services.
    Stop {
        /// Of which services.
        services: Vec<ServiceName>,
    },
    /// Instances again. Empty: of all services.
    Start {
        /// Of which services.
        services: Vec<ServiceName>,
    },
    /// New instances in the place of the present ones. Empty: of all services.
    Restart {
        /// Of which services.
        services: Vec<ServiceName>,
    },
    /// On, for a time. Empty: all services that may be asleep.
    Wake {
        /// Which services.
        services: Vec<ServiceName>,
        /// For how long, from now on.
        within: Span,
    },
    /// One's own wake lasts longer. Empty: of all services of which one has a wake.
    Extend {
        /// Of which services.
        services: Vec<ServiceName>,
        /// By how long.
        by: Span,
    },
    /// Asleep before its time. Empty: all services that may be asleep.
    Sleep {
        /// Which services.
        services: Vec<ServiceName>,
    },
    /// Nothing of the stack any more.
    Down,
    /// A job is run now.
    Run {
        /// Which.
        job: ServiceName,
    },
    /// A run is made of a service, beside its instances.
    OneOff {
        /// Which.
        service: ServiceName,
        /// What it has other than they have.
        with: Box<OneOff>,
    },
    /// A run of a job is cut; or, if nothing of it is in progress, not begun.
    Cancel {
        /// Which job.
        job: ServiceName,
        /// Which run; `None`: the only one that has not ended.
        run: Option<u64>,
    },
    /// Stop the open rollout where it is.
    Pause,
    /// Go on with it.
    Resume,
    /// Give the new set the traffic.
    Promote,
    /// Give the open rollout up: back to the release before.
    Abort,
}

/// What of a stack another tool runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Imported {
    /// The engine's ids of containers that run, by service.
    pub containers: BTreeMap<ServiceName, Vec<String>>,
    /// One-shots that have succeeded: they are not run again.
    pub done: BTreeSet<ServiceName>,
    /// What the containers are made from, by the references of the file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, UsedImage>,
}

/// An order was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Admitted {
    /// The operation that carries it out. `None`: everything is as wanted already.
    pub operation: Option<OperationId>,
    /// What the plan says of it.
    pub notes: Vec<String>,
    /// The number of the run that was made, where a job or a one-off was to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

/// An order, or a request to the API, was not taken. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// What is wrong, one sentence.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal with what to do.
    pub fn new(error: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { error: error.into(), hint: Some(hint.into()) }
    }
}

/// What a deploy would change, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Of which stack.
    pub stack: StackName,
    /// The number that the release would get; the present one if nothing would change.
    pub release: ReleaseNo,
    /// Each service of the present and the new contents, by name.
    pub services: Vec<ServicePlan>,
    /// What would change of the stack's own addresses and routes, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// What would change of its jobs, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// Whether a deploy would change anything.
    pub fn changes(&self) -> bool {
        !self.routes.is_empty()
            || !self.jobs.is_empty()
            || self.services.iter().any(|service| service.action != PlanAction::Keep)
    }
}

/// What a deploy would do with one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServicePlan {
    /// Which.
    pub service: ServiceName,
    /// What.
    pub action: PlanAction,
    /// How many instances now, and then.
    pub replicas: (u32, u32),
    /// What differs, by key.
    pub differs: Vec<String>,
    /// How it is done, and what follows from that; one sentence each.
    pub how: Vec<String>,
}

/// What a deploy would do with a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanAction {
    /// It is new.
    Create,
    /// Its instances are replaced.
    Replace,
    /// Instances are added or retired.
    Scale,
    /// Only routes or policies change: no instance is touched.
    Adjust,
    /// Its instances are retired.
    Remove,
    /// Nothing.
    Keep,
}
