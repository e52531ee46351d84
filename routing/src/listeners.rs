//! `x-naru.listeners`: addresses of the stack itself.

use crate::Setting;
use crate::reader::{Reader, resolve};
use crate::sni;
use crate::tls::tls;
use naru_model::{AccessFormat, AccessLog, Entrance, StackListener, ips_overlap};
use naru_yaml::Node;

const KEYS: &[&str] = &[
    "port",
    "host_ip",
    "tls",
    "redirect",
    "trusted",
    "access_log",
    "server_timing",
    "accept_proxy",
    "max_connections",
    "max_connections_per_source",
    "sni",
];

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
            other.port == listener.port && ips_overlap(&other.host_ip, &listener.host_ip)
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
    reader.keys(node, KEYS);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(is_plain) {
        reader.wrong(node.key, "is no name for a listener", "write letters, digits, - and _, at most 63");
    }
    if node.get("port").is_none() {
        reader.wrong(node.key, "has no port", "add port: 8080");
    }
    let port = reader.whole("port", node.get("port"), 1..=65535);
    let host_ip = host_ip(reader, node)?;
    let entrance = entrance(reader, node, setting);
    let redirect = reader.word("redirect", node.get("redirect"), &[("https", ())]).is_some();
    if let (Some(both), true) = (node.get("tls"), redirect) {
        let advice = "let the listener that ends TLS have the routes, and another one redirect to it";
        reader.wrong(both.key, "both ends TLS and redirects to https", advice);
    }
    Some(StackListener { name: name.into(), host_ip, port: port? as u16, entrance, to_https: redirect })
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
    let mut most = |key: &str| reader.whole(key, node.get(key), 1..=1_000_000).map(|most| most as u32);
    let (max_connections, max_connections_per_source) =
        (most("max_connections"), most("max_connections_per_source"));
    let ends = tls(reader, node.get("tls"), setting);
    let entrance = Entrance {
        tls: sni::passthrough(reader, node, setting).or(ends),
        trusted: reader.networks("trusted", node.get("trusted")),
        accept_proxy: reader.truth("accept_proxy", node.get("accept_proxy")).unwrap_or(false),
        max_connections,
        max_connections_per_source,
        access_log: access_log(reader, node.get("access_log"), setting),
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

fn access_log(reader: &mut Reader<'_>, node: Option<&Node>, setting: &Setting<'_>) -> Option<AccessLog> {
    let node = node?;
    let mut reader = reader.below("access_log");
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, &["file", "format"]);
    if node.get("file").is_none() {
        reader.wrong(node.key, "names no file", "add file: ./access.log");
    }
    let formats = [("json", AccessFormat::Json), ("combined", AccessFormat::Combined)];
    let format = reader.word("format", node.get("format"), &formats).unwrap_or(AccessFormat::Json);
    let file = reader.text("file", node.get("file"))?;
    Some(AccessLog { file: resolve(setting.folder, &file), format })
}
