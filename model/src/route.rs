//! Routes: who answers on which address. A table is immutable; a change is a new table with a higher
//! generation, which every edge acknowledges once no worker of it can choose by the old one.

use crate::{Generation, InstanceId, ReleaseNo, ServiceName, StackName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// All routes, whole. What is not in it is not served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteTable {
    /// Higher is newer.
    pub generation: Generation,
    /// Sorted by `name`.
    pub listeners: Vec<Listener>,
}

/// One address that an edge listens on, and the service behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listener {
    /// Unique and stable across tables: `STACK/SERVICE:TARGET@ADDRESS`. An edge keeps a listener whose
    /// address stays, with all its connections, when only what is behind it changes.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// How it is spoken.
    pub protocol: Protocol,
    /// The stack served.
    pub stack: StackName,
    /// The service served.
    pub service: ServiceName,
    /// Shares of the traffic. Empty, or without backends: answered 503 (HTTP) or closed (TCP).
    pub splits: Vec<Split>,
}

/// How a port is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, with upgrade.
    Http,
    /// Bytes both ways; each connection is one stream.
    Tcp,
}

/// A share of a listener's traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Split {
    /// Share, relative to the other splits with backends. 0 gets nothing.
    pub weight: u32,
    /// Chosen among by least load.
    pub backends: Vec<Backend>,
}

/// One instance behind a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// The instance.
    pub instance: InstanceId,
    /// The release that made it.
    pub release: ReleaseNo,
    /// `IP:PORT` of the instance itself.
    pub address: String,
}
