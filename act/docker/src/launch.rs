//! What a container is started with: what the file says, and what this node knows.

use crate::Image;
use naru_model::{Container, ContentFile, Resources, ServiceName, StackName};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Target port → the port at which it answers.
pub type PortMap = BTreeMap<u16, u16>;

/// What a container is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Its stack, for labels and for other services' sake.
    pub stack: StackName,
    /// Its service: its alias on each of its networks.
    pub service: ServiceName,
    /// What the file says.
    pub container: Container,
    /// The image to use instead of the one that the reference names now: an earlier start's, so that an instance that
    /// starts again is the same.
    pub pinned: Option<Image>,
    /// Variables beside the image's own. May hold secrets.
    pub environment: BTreeMap<String, String>,
    /// Instead of the image's working folder; empty: the image's.
    pub working_dir: String,
    /// Instead of the image's user.
    pub user: Option<String>,
    /// The signal that the engine itself sends when somebody stops the container past Naru; empty: the image's.
    pub stop_signal: String,
    /// Labels, as the file gives them.
    pub labels: BTreeMap<String, String>,
    /// Limits.
    pub resources: Resources,
    /// Ports that it listens on, which others are to reach.
    pub targets: Vec<u16>,
    /// Those of them that are UDP.
    pub udp: Vec<u16>,
    /// Names for its table of hosts, beside the file's: how it finds other services.
    pub extra_hosts: Vec<(String, Ipv4Addr)>,
    /// The contents of its secrets and configs.
    pub files: Vec<FileFrom>,
}

/// A secret or config, and where its bytes are.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFrom {
    /// What it is and where it goes.
    pub file: ContentFile,
    /// The host's file with its bytes.
    pub source: PathBuf,
}

/// How the host reaches ports of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At an address of its own, which the engine chooses, and at its own ports.
    Direct,
    /// At the host's loopback and at its own ports: it sees what the host sees.
    Host,
    /// At the host's loopback, at ports that the caller chooses: its addresses are out of reach (an engine without
    /// root, or in a machine of its own).
    Published,
}
