//! What a container is made from, as a Compose file says it and a container engine is told it.
//!
//! Everything is resolved: paths are absolute, networks and volumes stand in the container with the names that the
//! engine knows them by and with what they are made from, so that whoever starts it needs nothing else. What the file
//! does not say is left out, and is then as the image or the engine has it.
//!
//! The content of secrets and configs is never here. A [`ContentId`] is: whoever hands the stack over hands the
//! contents over beside it, and they are kept as files of their own that only Naru's user may read.

use crate::{HookCommand, ServiceName, Span};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Not;
use utoipa::ToSchema;

/// All that a container engine is told of a container, beside what any instance has (environment, user, ports, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Container {
    /// The image's reference.
    pub image: String,
    /// When the image is fetched. No part of what the instance is: it does not count in the fingerprint.
    #[serde(skip_serializing_if = "PullPolicy::is_default")]
    pub pull: PullPolicy,
    /// `linux/amd64` and the like; `None`: the engine's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Instead of the image's entrypoint. An empty list is none at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Instead of the image's command. An empty list is none at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Whether a health check that the image has counts, where the file has none of its own.
    #[serde(skip_serializing_if = "ImageHealth::is_default")]
    pub image_health: ImageHealth,
    /// The container's whole name; `None`: Naru's choice, different for each instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it takes itself for; `None`: the engine's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The domain of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// What it sees of the network.
    #[serde(skip_serializing_if = "Connection::is_none_written")]
    pub connection: Connection,
    /// Ports that the engine itself publishes, past the edge: `mode: host`, and what the edge cannot carry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EnginePort>,
    /// Names and addresses for its table of hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// Whom it asks for names.
    #[serde(skip_serializing_if = "Dns::is_default")]
    pub dns: Dns,
    /// What it mounts: volumes, folders of the host, memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Secrets and configs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ContentFile>,
    /// Memory file systems with options as `mount` has them (`size=64m,mode=1777`), by where they are mounted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// What it may do.
    #[serde(skip_serializing_if = "Privileges::is_default")]
    pub privileges: Privileges,
    /// What of the host's hardware it has.
    #[serde(skip_serializing_if = "Hardware::is_default")]
    pub hardware: Hardware,
    /// What it shares with others beside the network.
    #[serde(skip_serializing_if = "Namespaces::is_default")]
    pub namespaces: Namespaces,
    /// Limits beyond those that any instance may have.
    #[serde(skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Whether a process of the engine's is the first in it, and reaps; `None`: as the engine is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Whether it has a terminal.
    #[serde(skip_serializing_if = "Not::not")]
    pub tty: bool,
    /// Whether its standard input is kept open.
    #[serde(skip_serializing_if = "Not::not")]
    pub stdin_open: bool,
    /// Where the engine writes what it says; `None`: as the engine is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Annotations of the container, beside its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who runs it for the engine (`runc`, `nvidia`); `None`: as the engine is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Containers that run to their end before it starts, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_start: Vec<Prelude>,
}

impl Container {
    /// A container of `image` that is otherwise as image and engine have it.
    pub fn of(image: impl Into<String>) -> Container {
        Container { image: image.into(), ..Container::default() }
    }
}

/// When an image is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// When it is not there.
    #[default]
    Missing,
    /// At each release.
    Always,
    /// Never: what is not there is an error.
    Never,
    /// Never, since it is built here.
    Build,
    /// When it was fetched longer ago than this.
    Every(Span),
}

impl PullPolicy {
    /// Whether it is what holds where nothing is written.
    pub fn is_default(&self) -> bool {
        *self == PullPolicy::default()
    }
}

/// Whether a health check that the image has counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageHealth {
    /// It does, where the file has none.
    #[default]
    Counts,
    /// The file turns it off.
    Off,
}

impl ImageHealth {
    /// Whether it is what holds where nothing is written.
    pub fn is_default(&self) -> bool {
        *self == ImageHealth::default()
    }
}

/// What a container sees of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// It has an address on each of these, the one with the highest priority first.
    Networks(Vec<Attachment>),
    /// Nothing.
    None,
    /// What the host sees: it listens on the host's own ports.
    Host,
    /// The engine's own bridge.
    Bridge,
    /// What an instance of this service sees.
    Service(ServiceName),
    /// What this container sees, by name or id, whoever made it.
    Container(String),
    /// A network or a mode that the engine knows by this name.
    Named(String),
}

impl Default for Connection {
    fn default() -> Connection {
        Connection::Networks(Vec::new())
    }
}

impl Connection {
    /// Whether no network and no mode is named.
    pub fn is_none_written(&self) -> bool {
        matches!(self, Connection::Networks(all) if all.is_empty())
    }
}

/// A container on a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Attachment {
    /// Which.
    pub network: Network,
    /// Names that it has there, beside its service's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its address there, which only one instance at a time can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<String>,
    /// The same for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
    /// Further addresses of the link.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
    /// Its hardware address there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// What its interface there is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<String>,
    /// Which network has the default route: the highest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_priority: Option<i64>,
    /// Options of the network's driver for this container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
}

/// A network of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Network {
    /// What the engine knows it by.
    pub name: String,
    /// Its key in the file.
    pub key: String,
    /// Whether it is there already and is never made or removed.
    #[serde(skip_serializing_if = "Not::not")]
    pub external: bool,
    /// Who provides it; `None`: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// Whether it leads nowhere else.
    #[serde(skip_serializing_if = "Not::not")]
    pub internal: bool,
    /// Whether containers of others may join it.
    #[serde(skip_serializing_if = "Not::not")]
    pub attachable: bool,
    /// Whether it has IPv4; `None`: as the engine has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6; `None`: as the engine has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Who hands out its addresses; `None`: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipam_driver: Option<String>,
    /// Out of which ranges.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<AddressPool>,
    /// Labels of the network.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A range of addresses of a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AddressPool {
    /// As `10.5.0.0/16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Who leads out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The part of it that containers get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// Addresses that are taken, by the names of who has them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, String>,
}

/// A port that the engine publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnginePort {
    /// The host's address.
    pub host_ip: String,
    /// The host's port; `None`: one that is free.
    pub published: Option<u16>,
    /// The container's port.
    pub target: u16,
    /// Over what.
    pub transport: Transport,
}

/// What a port is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Transport {
    /// As the engine writes it.
    pub fn word(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::Sctp => "sctp",
        }
    }
}

/// A name in a container's table of hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address, or `host-gateway`.
    pub address: String,
}

/// Whom a container asks for names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Dns {
    /// Addresses of servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Domains that short names are looked up in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    /// Whether nothing is written.
    pub fn is_default(&self) -> bool {
        *self == Dns::default()
    }
}

/// Something mounted in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where, absolute.
    pub target: String,
    /// Whether it may not be written.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub read_only: bool,
}

impl Mount {
    /// The named volume, if it is one.
    pub fn volume(&self) -> Option<&Volume> {
        match &self.source {
            MountSource::Volume { volume, .. } => volume.as_ref(),
            _ => None,
        }
    }
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Absolute.
        path: String,
        /// Whether a folder is made there if nothing is.
        #[serde(default, skip_serializing_if = "Not::not")]
        create_host_path: bool,
        /// How mounts below it are seen on the other side (`rprivate`, `rshared`, …).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        propagation: Option<String>,
        /// `z` (shared) or `Z` (its own): what SELinux is told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selinux: Option<String>,
        /// `enabled`, `disabled`, `writable` or `readonly`: what becomes of mounts below it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recursive: Option<String>,
    },
    /// A volume of the engine.
    Volume {
        /// Which; `None`: one of the instance's own, without a name, which goes with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        volume: Option<Volume>,
        /// Whether what the image has there is not copied into it when it is new.
        #[serde(default, skip_serializing_if = "Not::not")]
        nocopy: bool,
        /// The folder in it that is mounted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
        /// Labels of a volume without a name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; `None`: no limit but the host's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Permission bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
    },
    /// What an image holds.
    Image {
        /// Its reference.
        image: String,
        /// The folder in it that is mounted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
    },
}

/// A named volume of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Volume {
    /// What the engine knows it by.
    pub name: String,
    /// Its key in the file.
    pub key: String,
    /// Whether it is there already and is never made or removed.
    #[serde(skip_serializing_if = "Not::not")]
    pub external: bool,
    /// Who provides it; `None`: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// Labels of the volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A secret or config, as a file in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContentFile {
    /// What it is.
    pub kind: ContentKind,
    /// Its key in the file.
    pub name: String,
    /// Where it is, absolute.
    pub target: String,
    /// Permission bits.
    pub mode: u32,
    /// Whose it is, by number; `None`: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Which group's it is, by number; `None`: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// What is in it: another content is another release.
    pub content: ContentId,
}

/// Secret or config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// Not for everyone's eyes.
    Secret,
    /// For anyone's.
    Config,
}

impl ContentKind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            ContentKind::Secret => "secret",
            ContentKind::Config => "config",
        }
    }
}

/// Which content: the SHA-256 of its bytes, 64 hex digits in lower case. It is the name of the file that holds it,
/// so nothing else can be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String)]
pub struct ContentId(String);

impl ContentId {
    /// That of `content`.
    pub fn of(content: &[u8]) -> ContentId {
        ContentId(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContentId {
    type Error = String;

    fn try_from(text: String) -> Result<ContentId, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Ok(ContentId(text)),
            false => Err("a content's id is 64 hex digits in lower case".into()),
        }
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

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

/// Where the engine writes what a container says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Logging {
    /// The driver; `None`: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// A container that runs to its end before the instance starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Prelude {
    /// What it runs.
    #[serde(flatten)]
    pub command: HookCommand,
    /// Its image; `None`: the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// For whom it is run.
    #[serde(default)]
    pub runs: PreludeRuns,
}

/// For whom a prelude is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PreludeRuns {
    /// Once for each release.
    #[default]
    Once,
    /// Before each instance.
    EachInstance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_not_stored_either() {
        let container = Container::of("web:1");
        let json = serde_json::to_string(&container).expect("plain data");
        assert_eq!(json, r#"{"image":"web:1"}"#);
        assert_eq!(serde_json::from_str::<Container>(&json).expect("its own form"), container);
    }

    #[test]
    fn a_content_is_named_by_its_digest_and_by_nothing_else() {
        let id = ContentId::of(b"");
        assert!(id.as_str().starts_with("e3b0c44298fc1c14"), "{id}");
        let again: ContentId = serde_json::from_str(&format!("\"{id}\"")).expect("its own form");
        assert_eq!(again, id);
        for other in ["", "../../etc/passwd", &id.as_str()[1..], &id.as_str().to_uppercase()] {
            assert!(ContentId::try_from(other.to_string()).is_err(), "{other}");
        }
    }
}
