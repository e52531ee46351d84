//! What a container may do, has and is limited to.

use crate::ServiceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Not;
use utoipa::ToSchema;

/// What a container may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Privileges {
    /// All that the host's root may.
    #[serde(skip_serializing_if = "Not::not")]
    pub privileged: bool,
    /// Capabilities beside the engine's usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities that it does without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Options of SELinux, AppArmor, seccomp.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Groups of its user, beside its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// Whether its root file system may not be written.
    #[serde(skip_serializing_if = "Not::not")]
    pub read_only: bool,
}

impl Privileges {
    /// Whether nothing is written.
    pub fn is_default(&self) -> bool {
        *self == Privileges::default()
    }
}

/// What of the host's hardware a container has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hardware {
    /// Devices of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Rules for groups of devices, as `c 1:3 mr`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cgroup_rules: Vec<String>,
    /// Devices by what they can do: `gpus`, and `deploy.resources.reservations.devices`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<DeviceRequest>,
}

impl Hardware {
    /// Whether nothing is written.
    pub fn is_default(&self) -> bool {
        *self == Hardware::default()
    }
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// Its path on the host, or its name in the form `vendor.com/class=name` of the Container Device Interface.
    pub source: String,
    /// Its path in the container.
    pub target: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

/// Devices by what they can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeviceRequest {
    /// Who provides them; `None`: whoever can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How many; -1: all. `None`: those of `device_ids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Which.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_ids: Vec<String>,
    /// What they have to be able to do, all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// What a container shares with others, beside the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Namespaces {
    /// Processes that it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<Namespace>,
    /// Shared memory, semaphores and queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<Namespace>,
    /// The host's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<Namespace>,
    /// Numbers of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Namespace>,
    /// Control groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Namespace>,
    /// The control group that its own is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
}

impl Namespaces {
    /// Whether nothing is written.
    pub fn is_default(&self) -> bool {
        *self == Namespaces::default()
    }
}

/// Whose namespace a container is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// That of an instance of this service.
    Service(ServiceName),
    /// That of this container, by name or id, whoever made it.
    Container(String),
    /// What the engine makes of this word: `host`, `private`, `shareable`, `none`.
    Word(String),
}

/// Limits of a container, beyond those that any instance may have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Limits {
    /// By name, as `nofile`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Parameters of the kernel.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// The size of `/dev/shm`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Its weight against other containers, where CPUs are short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// The CPUs that it runs on, as `0-3,5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// Microseconds of CPU time in each period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// Microseconds of such a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<i64>,
    /// Bytes of memory and swap together; -1: no limit to swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_and_swap: Option<i64>,
    /// How readily its memory is swapped out, from 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<i64>,
    /// Whether it waits for memory instead of being killed.
    #[serde(skip_serializing_if = "Not::not")]
    pub oom_kill_disable: bool,
    /// How readily it is killed when memory is short, from -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i64>,
}

impl Limits {
    /// Whether nothing is written.
    pub fn is_default(&self) -> bool {
        *self == Limits::default()
    }
}

/// A limit of the kernel for a user's processes. -1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ulimit {
    /// What holds.
    pub soft: i64,
    /// Up to where a process may raise it.
    pub hard: i64,
}
