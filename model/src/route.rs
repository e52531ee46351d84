//! Routes: who answers on which address. A table is immutable; a change is a new table with a higher
//! generation, which every edge acknowledges once no worker of it can choose by the old one.

use crate::traffic::{Entrance, Policy, Rule, RuleAction, SniRoute, Tls};
use crate::{Generation, InstanceId, ReleaseNo, ServiceName, StackName};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
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
    /// The service served by what no rule takes. `None` for a listener of the stack itself, which has rules
    /// only: what none of them takes is answered 404.
    pub service: Option<ServiceName>,
    /// Shares of the traffic. Empty, or without backends: answered 503 (HTTP) or closed (TCP).
    pub splits: Vec<Split>,
    /// How the splits' instances are chosen and treated.
    #[serde(default, skip_serializing_if = "Policy::is_default")]
    pub policy: Policy,
    /// What holds for all that comes in here.
    #[serde(default, skip_serializing_if = "Entrance::is_default")]
    pub entrance: Entrance,
    /// By priority: the first that matches counts. Without one, the splits do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Rule>)]
    pub rules: Vec<Arc<Rule>>,
}

impl Protocol {
    /// Whether requests are told apart.
    pub fn is_http(self) -> bool {
        matches!(self, Protocol::Http | Protocol::Http2)
    }

    /// As addresses are written: `http`, `tcp` or `udp`.
    pub fn scheme(self) -> &'static str {
        match self {
            Protocol::Http | Protocol::Http2 => "http",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl Listener {
    /// The splits of the listener itself, of its rules, and of the names that it tells apart.
    pub fn all_splits(&self) -> impl Iterator<Item = &Split> {
        let ruled = self.rules.iter().filter_map(|rule| match &rule.action {
            RuleAction::Forward(forward) => Some(&forward.splits),
            _ => None,
        });
        let named = self.names().iter().map(|route| &route.forward.splits);
        self.splits.iter().chain(ruled.chain(named).flatten())
    }

    /// Where TLS connections are passed on to by the name that they ask for.
    pub fn names(&self) -> &[SniRoute] {
        match &self.entrance.tls {
            Some(Tls::Passthrough(routes)) => routes,
            Some(Tls::Terminate(_)) | None => &[],
        }
    }

    /// The rules. Where connections are told apart by name alone, each of those names is one.
    pub fn all_rules(&self) -> Cow<'_, [Arc<Rule>]> {
        match self.names() {
            [] => Cow::Borrowed(&self.rules),
            names => Cow::Owned(names.iter().map(|name| name.as_rule().into()).collect()),
        }
    }

    /// The same listener, without rules of its own.
    pub fn without_rules(&self) -> Listener {
        Listener {
            name: self.name.clone(),
            address: self.address.clone(),
            protocol: self.protocol,
            stack: self.stack.clone(),
            service: self.service.clone(),
            splits: self.splits.clone(),
            policy: self.policy.clone(),
            entrance: self.entrance.clone(),
            rules: vec![],
        }
    }
}

/// How a port is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP. Clients may speak HTTP/1.1 or HTTP/2, instances speak HTTP/1.1, with upgrade.
    Http,
    /// As `Http`, but instances speak HTTP/2 without TLS. gRPC is of this kind.
    Http2,
    /// Bytes both ways; each connection is one stream.
    Tcp,
    /// Datagrams; each flow (client address and port) is one stream.
    Udp,
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
    /// The oldest release of the same contents that has an instance: what clients that stay on a release are told.
    /// `None`: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ReleaseNo>,
    /// `IP:PORT` of the instance itself.
    pub address: String,
    /// The zone of its node, where the policy asks for it and it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Backend {
    /// An instance of a release at an address.
    pub fn new(instance: InstanceId, release: ReleaseNo, address: String) -> Backend {
        Backend { instance, release, version: None, address, zone: None }
    }

    /// What clients that stay on a release are told.
    pub fn version(&self) -> ReleaseNo {
        self.version.unwrap_or(self.release)
    }
}
