//! How an image is made from sources, as `build` says it.
//!
//! It is no part of what an instance is made from: that is the image, whichever way it came to be.

use crate::{ExtraHost, Ulimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Not;
use utoipa::ToSchema;

/// How an image is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Build {
    /// A folder, absolute, or the address of a repository or archive.
    pub context: String,
    /// The recipe, relative to the context; `None`: it is `inline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// The recipe itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Values of the recipe's arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// The stage that is built; `None`: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Other contexts that the recipe names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_contexts: BTreeMap<String, String>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Further names of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it is built for; empty: the service's platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Images whose layers may be used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    /// Where layers are kept for later builds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    /// Whether no layer of earlier builds is used.
    #[serde(skip_serializing_if = "Not::not")]
    pub no_cache: bool,
    /// Whether the images that it begins with are fetched anew.
    #[serde(skip_serializing_if = "Not::not")]
    pub pull: bool,
    /// The network of its commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Names and addresses for the table of hosts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// The size of `/dev/shm`, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Limits of its commands.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
}
