//! What a container is made from, as a Compose file says it and a container engine is told it.
//!
//! Everything is resolved: paths are absolute, networks and volumes stand in the container with the names that the
//! engine knows them by and with what they are made from, so that whoever starts it needs nothing else. What the file
//! does not say is left out, and is then as the image or the engine has it.
//!
//! The content of secrets and configs is never here. A [`crate::ContentId`] is: whoever hands the stack over hands the
//! contents over beside it, and they are kept as files of their own that only Naru's user may read.

use crate::{
    Connection, ContentFile, Dns, EnginePort, ExtraHost, Hardware, HookCommand, Limits, Mount, Namespaces,
    Privileges, Span,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
}
