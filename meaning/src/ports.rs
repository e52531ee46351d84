//! Ports of a service: which ones an instance listens on, and which are published.

use crate::container::is_on_host;
use crate::read::Reader;
use crate::service::Runs;
use naru_model::{EnginePort, Port, Protocol, TargetPort, Transport};
use naru_yaml::{Node, nearest, units::port_range};

/// The ports of a service.
#[derive(Default)]
pub(crate) struct Ports {
    /// Published by the edge.
    pub published: Vec<Port>,
    /// Published by the container engine, past the edge.
    pub engine: Vec<EnginePort>,
    /// All that an instance listens on: those of `ports` first, then of `expose`.
    pub targets: Vec<TargetPort>,
}

impl Ports {
    fn target(&mut self, port: u16, protocol: Protocol) {
        match self.targets.iter_mut().find(|target| target.port == port) {
            // Of one number for both it is TCP that says whether the instance is there.
            Some(target) if target.protocol == Protocol::Udp => target.protocol = protocol,
            Some(_) => {}
            None => self.targets.push(TargetPort { port, protocol }),
        }
    }
}

/// Published ports, and all targets.
pub(crate) fn ports(reader: &mut Reader<'_>, node: &Node) -> Ports {
    let (runs, mut found) = (Runs::of(node), Ports::default());
    for written in node.get("ports").map(Node::items).unwrap_or_default() {
        let is_engines =
            written.get_str("mode") == Some("host") || written.get_str("protocol") == Some("sctp");
        if runs == Runs::Container && is_engines && !is_on_host(node) {
            engine_port(reader, written, &mut found);
        } else if let Some(port) = port(reader, written, runs) {
            found.target(port.target, port.protocol);
            match is_on_host(node) {
                true => on_host(reader, written, &port),
                false => found.published.push(port),
            }
        }
    }
    for written in node.get("expose").map(Node::items).unwrap_or_default() {
        for port in exposed(reader, written) {
            if found.targets.iter().all(|target| target.port != port) {
                found.target(port, Protocol::Http);
            }
        }
    }
    found
}

/// On the host's network a container listens on the host's ports itself, and nobody else publishes them.
fn on_host(reader: &mut Reader<'_>, node: &Node, port: &Port) {
    if let Some(published) = port.published.filter(|published| *published != port.target) {
        let at = node.get("published").map_or(node.pos, |published| published.pos);
        let what = format!(
            "ports publishes {published}, and with network_mode: host the container listens on {} itself",
            port.target
        );
        reader.warn(at, what, "publish the port that it listens on, or remove network_mode");
    }
}

/// A port that the engine publishes: `mode: host` asks for it, and SCTP is nothing that the edge speaks.
fn engine_port(reader: &mut Reader<'_>, node: &Node, found: &mut Ports) {
    let Some(target) = reader.port("ports.target", node.get("target")) else { return };
    let Some(published) = published(reader, node) else { return };
    let transport = match node.get_str("protocol") {
        Some("udp") => Transport::Udp,
        Some("sctp") => Transport::Sctp,
        _ => Transport::Tcp,
    };
    let host_ip = node.get_str("host_ip").unwrap_or("0.0.0.0").to_string();
    found.engine.push(EnginePort { host_ip, published, target, transport });
    match transport {
        Transport::Tcp => {
            if let Some(protocol) = protocol(reader, node, Runs::Container) {
                found.target(target, protocol.unwrap_or(Protocol::Http));
            }
        }
        Transport::Udp => found.target(target, Protocol::Udp),
        Transport::Sctp => {}
    }
}

fn port(reader: &mut Reader<'_>, node: &Node, runs: Runs) -> Option<Port> {
    let target = match node.get("target") {
        Some(target) => reader.port("ports.target", Some(target))?,
        None => {
            reader.lack(node.pos, "ports has an entry without a target", "add target: 80");
            return None;
        }
    };
    let protocol = protocol(reader, node, runs)?;
    let published = published(reader, node)?;
    if let Some(mode) = node.get("mode").filter(|mode| mode.str() == Some("host") && runs == Runs::Process) {
        reader.warn(
            mode.pos,
            "ports.mode host has no effect on a process, ignored",
            "its ports are published by the edge",
        );
    }
    Some(Port {
        host_ip: node.get_str("host_ip").unwrap_or("0.0.0.0").to_string(),
        published,
        target,
        protocol: protocol.unwrap_or(Protocol::Http),
        stated: protocol.is_some(),
    })
}

/// `Some(None)` where the file does not say; `None` where it cannot be honoured.
fn protocol(reader: &mut Reader<'_>, node: &Node, runs: Runs) -> Option<Option<Protocol>> {
    if let Some(transport) = node.get("protocol") {
        match transport.str() {
            Some("tcp") | None => {}
            Some("udp") => return Some(Some(Protocol::Udp)),
            Some(other) => {
                let what = format!("ports.protocol {other} is not supported yet");
                return refuse(reader, transport, &what, runs);
            }
        }
    }
    let Some(written) = node.get("app_protocol") else { return Some(None) };
    match written.str().unwrap_or_default() {
        "http" => Some(Some(Protocol::Http)),
        "tcp" => Some(Some(Protocol::Tcp)),
        "http2" | "h2c" | "grpc" => Some(Some(Protocol::Http2)),
        other => {
            let known = ["http", "http2", "h2c", "grpc", "tcp"];
            let what = format!("ports.app_protocol {} is not one of {}", written.shown(), known.join(", "));
            match runs {
                Runs::Process => {
                    let advice = match other {
                        "udp" => "write protocol: udp".into(),
                        _ => nearest(other, known.into_iter()).unwrap_or_else(|| "write http or tcp".into()),
                    };
                    reader.error(written.pos, what, advice);
                    None
                }
                Runs::Container => {
                    reader.warn(written.pos, what + ", and is taken for tcp", "write http or tcp");
                    Some(Some(Protocol::Tcp))
                }
            }
        }
    }
}

/// An error where a process would have to listen; a container's port is left out with a warning.
fn refuse(reader: &mut Reader<'_>, node: &Node, what: &str, runs: Runs) -> Option<Option<Protocol>> {
    match runs {
        Runs::Process => reader.error(node.pos, what, "use tcp or udp, or leave this port out"),
        Runs::Container => reader.warn(node.pos, format!("{what}, this port is left out"), "use tcp or udp"),
    }
    None
}

/// `Some(None)` where the file leaves the choice; `None` where what it says is no port.
fn published(reader: &mut Reader<'_>, node: &Node) -> Option<Option<u16>> {
    let Some(written) = node.get("published") else { return Some(None) };
    match port_range(written.str().unwrap_or_default()) {
        Ok((0, 0)) => Some(None),
        Ok((first, last)) if first == last => Some(Some(first)),
        Ok((first, _)) => {
            let what = format!("ports.published is a range to choose from, and {first} is taken");
            reader.warn(written.pos, what, "write one number, or none for any free port");
            Some(Some(first))
        }
        Err(what) => {
            reader.error(written.pos, format!("ports.published: {what}"), "write a number from 1 to 65535");
            None
        }
    }
}

/// `3000`, `3000-3005`, `3000/tcp`. What is not for TCP is left out.
fn exposed(reader: &mut Reader<'_>, node: &Node) -> Vec<u16> {
    let text = node.scalar().unwrap_or_default();
    let (numbers, transport) = text.split_once('/').unwrap_or((&text, "tcp"));
    if transport != "tcp" {
        let what = format!("expose: {transport} is not supported yet, ignored");
        reader.warn(node.pos, what, "expose tcp ports, and list udp ports in ports");
        return Vec::new();
    }
    match port_range(numbers) {
        Ok((first, last)) if first > 0 && last - first < MOST_EXPOSED => (first..=last).collect(),
        Ok(_) => {
            let what = format!("expose: {} has too many ports", node.shown());
            reader.error(node.pos, what, format!("{MOST_EXPOSED} are the most"));
            Vec::new()
        }
        Err(what) => {
            reader.error(node.pos, format!("expose: {what}"), "write a port, as 3000");
            Vec::new()
        }
    }
}

/// Each exposed port has an address of its own on the edge.
const MOST_EXPOSED: u16 = 100;

/// A port that has to be one of the service's targets.
pub(crate) fn target(
    reader: &mut Reader<'_>,
    key: &str,
    node: Option<&Node>,
    targets: &[TargetPort],
) -> Option<u16> {
    let node = node?;
    let port = reader.port(key, Some(node))?;
    if !targets.iter().any(|target| target.port == port) {
        let what = format!("{key} is {port}, which is no port of this service");
        reader.lack(node.pos, what, "add it to ports or expose");
    }
    Some(port)
}
