//! What a container sees of the network, with the networks as the engine knows them.

use crate::service::{is_true, number, text, texts, words};
use naru_model::{AddressPool, Attachment, Connection, Network};
use naru_yaml::{Node, Value};
use std::cmp::Reverse;

/// `network_mode`, or `networks`, of the service.
pub(crate) fn connection(node: &Node, root: &Node) -> Connection {
    let Some(mode) = text(node, "network_mode") else {
        return Connection::Networks(attachments(node, root));
    };
    match (mode.as_str(), mode.split_once(':')) {
        ("none", _) => Connection::None,
        ("host", _) => Connection::Host,
        ("bridge", _) => Connection::Bridge,
        (_, Some(("service", name))) => Connection::Service(name.into()),
        (_, Some(("container", name))) => Connection::Container(name.into()),
        _ => Connection::Named(mode),
    }
}

/// The one with the highest priority first; by name where it is equal. A hardware address that the service names is
/// that on the first.
fn attachments(node: &Node, root: &Node) -> Vec<Attachment> {
    let mut found: Vec<(i64, &String, Attachment)> = Vec::new();
    for (key, written) in node.get("networks").into_iter().flat_map(Node::entries) {
        let priority = number(written, "priority").unwrap_or(0);
        found.push((priority, key, attachment(written, network(root, key))));
    }
    found.sort_by_key(|(priority, key, _)| (Reverse(*priority), *key));
    let mut attachments: Vec<Attachment> = found.into_iter().map(|(_, _, one)| one).collect();
    if let (Some(first), Some(address)) = (attachments.first_mut(), text(node, "mac_address")) {
        first.mac_address.get_or_insert(address);
    }
    attachments
}

fn attachment(written: &Node, network: Network) -> Attachment {
    Attachment {
        network,
        aliases: words(written, "aliases"),
        ipv4_address: text(written, "ipv4_address"),
        ipv6_address: text(written, "ipv6_address"),
        link_local_ips: words(written, "link_local_ips"),
        mac_address: text(written, "mac_address"),
        interface_name: text(written, "interface_name"),
        gateway_priority: number(written, "gw_priority"),
        driver_options: texts(written.get("driver_opts")),
    }
}

/// The top-level network of this key.
fn network(root: &Node, key: &str) -> Network {
    let Some(written) = root.at(&["networks", key]) else {
        return Network { name: key.to_string(), key: key.to_string(), ..Network::default() };
    };
    let truth = |key: &str| match written.get(key).map(|node| &node.value) {
        Some(Value::Bool(truth)) => Some(*truth),
        _ => None,
    };
    let pools = written.at(&["ipam", "config"]).map(Node::items).unwrap_or_default();
    Network {
        name: text(written, "name").unwrap_or_else(|| key.to_string()),
        key: key.to_string(),
        external: is_true(written.get("external")),
        driver: text(written, "driver"),
        driver_options: texts(written.get("driver_opts")),
        internal: is_true(written.get("internal")),
        attachable: is_true(written.get("attachable")),
        enable_ipv4: truth("enable_ipv4"),
        enable_ipv6: truth("enable_ipv6"),
        ipam_driver: written.get("ipam").and_then(|ipam| text(ipam, "driver")),
        pools: pools.iter().map(pool).collect(),
        labels: texts(written.get("labels")),
    }
}

fn pool(written: &Node) -> AddressPool {
    AddressPool {
        subnet: text(written, "subnet"),
        gateway: text(written, "gateway"),
        ip_range: text(written, "ip_range"),
        aux_addresses: texts(written.get("aux_addresses")),
    }
}
