//! `x-naru.listeners`: addresses of the stack itself.

use crate::Setting;
use crate::actions::{Among, rate_limit, service_port};
use crate::reader::{Reader, resolve};
use crate::sni;
use crate::tls::tls;
use naru_model::{
    AccessFormat, AccessLog, Entrance, Forward, Protocol, Published, StackListener, TargetPort, ips_overlap,
};
use naru_yaml::{Node, Report};

/// Listeners by name; the map's order is the names'.
pub(crate) fn listeners(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    setting: &Setting<'_>,
) -> Vec<StackListener> {
    let mut reader = reader.below("listeners");
    let mut listeners: Vec<StackListener> = Vec::new();
    let Some(node) = node.filter(|node| reader.is_map(node)) else { return listeners };
    for (name, node) in node.entries() {
        let mut reader = reader.below(name);
        if !reader.is_map(node) {
            continue;
        }
        let Some(listener) = listener(&mut reader, name, node, setting) else { continue };
        let same = |other: &&StackListener| {
            let transport = |one: &StackListener| one.protocol == Protocol::Udp;
            let alike = other.port == listener.port && transport(other) == transport(&listener);
            alike && ips_overlap(&other.host_ip, &listener.host_ip)
        };
        if let Some(other) = listeners.iter().find(same) {
            let what = format!("has the address of {}", other.name);
            reader.wrong(node.key, what, "give one of them another port");
        }
        listeners.push(listener);
    }
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    listeners
}

fn listener(
    reader: &mut Reader<'_>,
    name: &str,
    node: &Node,
    setting: &Setting<'_>,
) -> Option<StackListener> {
    reader.keys(node, "listeners.NAME");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_plain) {
        reader.wrong(node.key, "is no name for a listener", "write letters, digits, - and _, at most 63");
    }
    if node.get("port").is_none() {
        reader.wrong(node.key, "has no port", "add port: 8080");
    }
    let port = reader.whole("port", node.get("port"), 1..=65535);
    let host_ip = host_ip(reader, node)?;
    let protocols = [("http", Protocol::Http), ("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];
    let protocol = reader.word("protocol", node.get("protocol"), &protocols).unwrap_or(Protocol::Http);
    let forward = whither(reader, node, protocol, setting);
    let entrance = entrance(reader, node, setting);
    let redirect = reader.word("redirect", node.get("redirect"), &[("https", ())]).is_some();
    if let (Some(both), true) = (node.get("tls"), redirect) {
        let advice = "let the listener that ends TLS have the routes, and another one redirect to it";
        reader.wrong(both.key, "both ends TLS and redirects to https", advice);
    }
    let (name, port) = (name.into(), port? as u16);
    Some(StackListener { name, host_ip, port, protocol, forward, entrance, to_https: redirect })
}

/// What says something of requests.
const OF_REQUESTS: &[&str] = &["redirect", "sni", "access_log", "server_timing"];

/// What says something of connections.
const OF_CONNECTIONS: &[&str] =
    &["tls", "trusted", "accept_proxy", "max_connections", "max_connections_per_source"];

/// Where all goes that comes in by a protocol that knows no requests.
fn whither(
    reader: &mut Reader<'_>,
    node: &Node,
    protocol: Protocol,
    setting: &Setting<'_>,
) -> Option<Forward> {
    let (ports, unread) = match protocol {
        Protocol::Http | Protocol::Http2 => {
            if let Some(to) = node.get("to") {
                let advice = "write a route with to, or protocol: tcp or udp";
                reader.error(to.key, "to is for protocols that know no requests", advice);
            }
            return None;
        }
        Protocol::Tcp => (setting.tcp, OF_REQUESTS.to_vec()),
        Protocol::Udp => (setting.udp, [OF_REQUESTS, OF_CONNECTIONS].concat()),
    };
    let word = protocol.scheme();
    for (key, other) in unread.into_iter().filter_map(|key| Some((key, node.get(key)?))) {
        reader.error(other.key, format!("{key} has no meaning beside protocol: {word}"), "remove it");
    }
    let Some(to) = node.get("to") else {
        reader.wrong(node.key, format!("speaks {word} to nobody"), "add to: SERVICE");
        return None;
    };
    let spoken = if protocol == Protocol::Tcp { "TCP" } else { "UDP" };
    let add = |name: &str| format!("write app_protocol: {word} at a port of {name}");
    service_port(reader, to, &Among { key: "to", keys: "listeners.NAME.to", spoken, ports, add: &add })
}

fn host_ip(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    match reader.text("host_ip", node.get("host_ip")) {
        Some(ip) if ip.parse::<std::net::IpAddr>().is_err() => {
            let pos = node.get("host_ip").map_or(node.pos, |node| node.pos);
            reader.error(
                pos,
                format!("host_ip: {ip:?} is not an IP address"),
                "write an address, as 127.0.0.1",
            );
            None
        }
        Some(ip) => Some(ip),
        None => Some("0.0.0.0".into()),
    }
}

fn entrance(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Entrance {
    let ends = tls(reader, node.get("tls"), setting);
    Entrance {
        tls: sni::passthrough(reader, node, setting).or(ends),
        ..coming_in(reader, node, setting.folder)
    }
}

/// Reads `x-naru.published` of a service that publishes ports of these protocols. What is wrong goes into the report.
pub fn published(
    report: &mut Report,
    service: &str,
    node: Option<&Node>,
    ports: &[TargetPort],
    folder: &str,
) -> Published {
    let mut reader = Reader { report, at: format!("services.{service}.x-naru.published") };
    let Some(node) = node.filter(|node| node.map().is_some()) else { return Published::default() };
    let reader = &mut reader;
    let speaks = |is: fn(Protocol) -> bool| ports.iter().any(|port| is(port.protocol));
    if !speaks(|protocol| protocol != Protocol::Udp) {
        let what = "is of connections and requests, and this service publishes no port that has them";
        reader.wrong(node.key, what, "remove it, or publish a port that speaks http or tcp");
    }
    for key in ["rate_limit", "access_log", "server_timing"] {
        if let Some(other) = node.get(key).filter(|_| !speaks(Protocol::is_http)) {
            let what = format!("{key} is of requests, and no published port of this service speaks HTTP");
            reader.error(other.key, what, "remove it, or write app_protocol: http at a port");
        }
    }
    let limit = node.get("rate_limit");
    let rate_limit = limit.and_then(|limit| rate_limit(&mut reader.below("rate_limit"), limit));
    Published { entrance: coming_in(reader, node, folder), rate_limit }
}

/// All but what becomes of TLS.
fn coming_in(reader: &mut Reader<'_>, node: &Node, folder: &str) -> Entrance {
    let mut most = |key: &str| reader.whole(key, node.get(key), 1..=1_000_000).map(|most| most as u32);
    let (max_connections, max_connections_per_source) =
        (most("max_connections"), most("max_connections_per_source"));
    let entrance = Entrance {
        this_machine_only: false,
        tls: None,
        trusted: reader.networks("trusted", node.get("trusted")),
        accept_proxy: reader.truth("accept_proxy", node.get("accept_proxy")).unwrap_or(false),
        max_connections,
        max_connections_per_source,
        access_log: access_log(reader, node.get("access_log"), folder),
        server_timing: reader.truth("server_timing", node.get("server_timing")).unwrap_or(false),
    };
    if let Some(accept) = node.get("accept_proxy")
        && entrance.accept_proxy
        && node.get("trusted").is_none()
    {
        let what = "accept_proxy believes nobody, since trusted names no network";
        reader.error(accept.key, what, "add trusted: [10.0.0.0/8], the networks of the proxies");
    }
    entrance
}

fn access_log(reader: &mut Reader<'_>, node: Option<&Node>, folder: &str) -> Option<AccessLog> {
    let node = node?;
    let mut reader = reader.below("access_log");
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "listeners.NAME.access_log");
    if node.get("file").is_none() {
        reader.wrong(node.key, "names no file", "add file: ./access.log");
    }
    let formats = [("json", AccessFormat::Json), ("combined", AccessFormat::Combined)];
    let format = reader.word("format", node.get("format"), &formats).unwrap_or(AccessFormat::Json);
    let file = reader.text("file", node.get("file"))?;
    Some(AccessLog { file: resolve(folder, &file), format })
}
