//! What a container sees of the network: the engine's networks, ports that the engine publishes, names.

use crate::ServiceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Not;
use utoipa::ToSchema;

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
