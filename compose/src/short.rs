//! Short forms to long ones: what may be written as a text or a list becomes the mapping it stands for.
//!
//! Runs on a tree that the schema check has seen; what that has refused is left as it is.

use crate::merge::started;
use crate::ports;
use naru_yaml::{Map, Node, Path, Report, Value, unix_path};

/// Rewrites every short form below `node`.
pub(crate) fn lengthen(report: &mut Report, node: &mut Node, path: &Path) {
    if let Some((_, rewrite)) = REWRITES.iter().find(|(pattern, _)| path.matches(pattern)) {
        rewrite(report, node, path);
    }
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                lengthen(report, value, &path.key(key));
            }
        }
        Value::List(list) => {
            let path = path.item();
            list.iter_mut().for_each(|item| lengthen(report, item, &path));
        }
        _ => {}
    }
}

type Rewrite = fn(&mut Report, &mut Node, &Path);

const REWRITES: &[(&str, Rewrite)] = &[
    ("services.*.build", |_, node, _| wrap(node, "context")),
    ("services.*.triggers.schedule.*", |_, node, _| wrap(node, "cron")),
    ("services.*.extends", |_, node, _| wrap(node, "service")),
    ("services.*.build.secrets.*", |_, node, _| wrap(node, "source")),
    ("services.*.secrets.*", |_, node, _| wrap(node, "source")),
    ("services.*.configs.*", |_, node, _| wrap(node, "source")),
    ("services.*.build.provenance", |_, node, _| print(node)),
    ("services.*.build.sbom", |_, node, _| print(node)),
    ("services.*.build.additional_contexts", pairs),
    ("services.*.build.ssh", keys),
    ("services.*.build.ulimits.*", ulimit),
    ("services.*.ulimits.*", ulimit),
    ("services.*.depends_on", dependencies),
    ("services.*.env_file", env_files),
    ("services.*.label_file", |_, node, _| listed(node)),
    ("services.*.dns", |_, node, _| listed(node)),
    ("services.*.develop.watch.*.ignore", |_, node, _| listed(node)),
    ("services.*.develop.watch.*.include", |_, node, _| listed(node)),
    ("services.*.gpus", gpus),
    ("services.*.networks", |_, node, _| names(node)),
    ("services.*.models", |_, node, _| names(node)),
    ("services.*.volumes.*", volume),
    ("services.*.devices.*", device),
    ("services.*.ports", service_ports),
    ("volumes.*", external),
    ("networks.*", external),
    ("secrets.*", external),
    ("configs.*", external),
];

fn mapping(near: &Node, entries: Vec<(&str, Value)>) -> Node {
    let entries = entries.into_iter().map(|(key, value)| (key.to_string(), Node::derived(value, near)));
    Node::derived(Value::Map(entries.collect()), near)
}

/// A text as a mapping with the one key `key`.
fn wrap(node: &mut Node, key: &str) {
    if let Value::Str(text) = &node.value {
        *node = mapping(node, vec![(key, Value::Str(text.clone()))]);
    }
}

fn print(node: &mut Node) {
    if let Some(text) = node.scalar() {
        node.value = Value::Str(text);
    }
}

/// A text as a list of one.
fn listed(node: &mut Node) {
    if node.str().is_some() {
        *node = Node::derived(Value::List(vec![node.clone()]), node);
    }
}

/// A list of names as a mapping without values.
fn names(node: &mut Node) {
    if let Value::List(list) = &node.value {
        let entry = |item: &Node| Some((item.str()?.to_string(), Node::derived(Value::Null, item)));
        let map: Map = list.iter().filter_map(entry).collect();
        *node = Node::derived(Value::Map(map), node);
    }
}

/// A list of `KEY=value` as a mapping.
fn pairs(report: &mut Report, node: &mut Node, path: &Path) {
    let Value::List(list) = &node.value else { return };
    let mut map = Map::new();
    for item in list {
        let Some(text) = item.str() else { continue };
        match text.split_once('=') {
            Some((key, value)) => drop(map.insert(key.to_string(), Node::text(value, item))),
            None => report.error_in(
                path,
                item.pos,
                format!("{path}: {} has no value", item.shown()),
                "write it as NAME=VALUE",
            ),
        }
    }
    *node = Node::derived(Value::Map(map), node);
}

fn keys(report: &mut Report, node: &mut Node, path: &Path) {
    let Value::List(list) = &node.value else { return };
    let mut map = Map::new();
    for item in list {
        let Some(text) = item.str() else { continue };
        match text.split_once('=') {
            Some((id, key)) => drop(map.insert(id.to_string(), Node::text(key, item))),
            None if text == "default" => {
                map.insert(text.to_string(), Node::derived(Value::Null, item));
            }
            None => report.error_in(
                path,
                item.pos,
                format!("{path}: {} names no key", item.shown()),
                "write default, or ID=PATH",
            ),
        }
    }
    *node = Node::derived(Value::Map(map), node);
}

fn ulimit(report: &mut Report, node: &mut Node, path: &Path) {
    if let Value::Str(_) | Value::Float(_) = node.value {
        let message = format!("{path} must be a whole number, or a mapping with soft and hard");
        report.error_in(path, node.pos, message, "write a whole number");
    }
}

fn dependencies(_: &mut Report, node: &mut Node, _: &Path) {
    match &mut node.value {
        Value::List(list) => {
            let entry = |item: &Node| Some((item.str()?.to_string(), started(item)));
            let map: Map = list.iter().filter_map(entry).collect();
            *node = Node::derived(Value::Map(map), node);
        }
        Value::Map(map) => {
            for value in map.values_mut() {
                let near = value.clone();
                let Some(entry) = value.map_mut() else { continue };
                if let Value::Map(defaults) = started(&near).value {
                    for (key, default) in defaults {
                        entry.entry(key).or_insert(default);
                    }
                }
            }
        }
        _ => {}
    }
}

fn env_files(_: &mut Report, node: &mut Node, _: &Path) {
    listed(node);
    let Value::List(list) = &mut node.value else { return };
    for item in list {
        wrap(item, "path");
        let required = Node::derived(Value::Bool(true), item);
        if let Some(map) = item.map_mut() {
            map.entry("required".to_string()).or_insert(required);
        }
    }
}

fn gpus(_: &mut Report, node: &mut Node, _: &Path) {
    if node.str().is_some() {
        let all = mapping(node, vec![("count", Value::Str("all".into()))]);
        *node = Node::derived(Value::List(vec![all]), node);
    }
}

fn device(report: &mut Report, node: &mut Node, path: &Path) {
    let Some(text) = node.str() else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            let message = format!("{path}: {} has too many colons for a device", node.shown());
            return report.error_in(path, node.pos, message, "write it as SOURCE:TARGET:PERMISSIONS");
        }
    };
    let target = if target.is_empty() { source } else { target };
    let text = |text: &str| Value::Str(text.to_string());
    let entries =
        vec![("source", text(source)), ("target", text(target)), ("permissions", text(permissions))];
    *node = mapping(node, entries);
}

fn service_ports(report: &mut Report, node: &mut Node, path: &Path) {
    let Value::List(list) = &node.value else { return };
    let mut all = Vec::new();
    for item in list {
        let Some(found) = ports_of(report, item, path) else { continue };
        if all.len() + found.len() > ports::MOST_PORTS {
            let message = format!("{path} are too many; {} are the most", ports::MOST_PORTS);
            report.error_in(path, item.pos, message, "publish fewer ports");
            // It is refused: what later steps would make of the others is time for nothing.
            all.clear();
            break;
        }
        all.extend(found);
    }
    *node = Node::derived(Value::List(all), node);
}

/// What one entry stands for.
fn ports_of(report: &mut Report, item: &Node, path: &Path) -> Option<Vec<Node>> {
    let text = match &item.value {
        Value::Int(_) | Value::Str(_) => item.scalar().unwrap_or_default(),
        Value::Map(_) => return Some(vec![item.clone()]),
        _ => {
            let message = format!("{path}: {} is not a port", item.shown());
            report.error_in(path, item.pos, message, "write it as PUBLISHED:TARGET");
            return None;
        }
    };
    match ports::parse(&text) {
        Ok(found) => Some(found.into_iter().map(|port| port_node(item, port)).collect()),
        Err(what) => {
            let message = format!("{path}: {} is not a port: {what}", item.shown());
            report.error_in(path, item.pos, message, "write it as [ADDRESS:]PUBLISHED:TARGET[/PROTOCOL]");
            None
        }
    }
}

fn port_node(near: &Node, port: ports::ShortPort) -> Node {
    let mut entries = vec![("mode", Value::Str("ingress".into()))];
    if !port.host_ip.is_empty() {
        entries.push(("host_ip", Value::Str(port.host_ip)));
    }
    entries.push(("target", Value::Int(port.target.into())));
    if !port.published.is_empty() {
        entries.push(("published", Value::Str(port.published)));
    }
    entries.push(("protocol", Value::Str(port.protocol)));
    mapping(near, entries)
}

/// `external: {name: …}`, as it was once written, as `external: true` and `name`.
fn external(report: &mut Report, node: &mut Node, path: &Path) {
    let Some(external) = node.get("external").filter(|external| external.map().is_some()).cloned() else {
        return;
    };
    let (own, theirs) = (node.get("name"), external.get("name"));
    if let (Some(own), Some(theirs)) = (own, theirs)
        && !own.same(theirs)
    {
        let message = format!("{path}: name and external.name differ");
        report.error_in(path, theirs.pos, message, "write name, and external: true");
    }
    let theirs = theirs.cloned();
    let Some(map) = node.map_mut() else { return };
    map.insert("external".into(), Node::derived(Value::Bool(true), &external));
    if let Some(theirs) = theirs {
        map.entry("name".into()).or_insert(theirs);
    }
}

fn volume(report: &mut Report, node: &mut Node, path: &Path) {
    let Some(text) = node.str() else { return };
    match short_volume(text) {
        Ok(entries) => *node = volume_node(node, entries),
        Err(what) => {
            let message = format!("{path}: {} is not a volume: {what}", node.shown());
            report.error_in(path, node.pos, message, "write it as [SOURCE:]TARGET[:ro]");
        }
    }
}

/// A volume in short form, taken apart.
#[derive(Debug, Default)]
struct ShortVolume {
    source: String,
    target: String,
    options: Vec<String>,
}

/// Where a volume in short form is mounted, if it can be read.
pub(crate) fn volume_target(text: &str) -> Option<String> {
    short_volume(text).ok().map(|volume| volume.target)
}

fn short_volume(text: &str) -> Result<ShortVolume, &'static str> {
    let mut parts: Vec<String> = Vec::new();
    for piece in text.split(':') {
        match parts.last_mut() {
            // A single letter before a colon is a drive of Windows.
            Some(last) if last.len() == 1 && last.starts_with(|c: char| c.is_alphabetic()) => {
                *last += ":";
                *last += piece;
            }
            _ => parts.push(piece.to_string()),
        }
    }
    if text.is_empty() {
        return Err("it is empty");
    }
    if parts.iter().any(String::is_empty) {
        return Err("there is nothing between two colons, or beside one");
    }
    let options = |text: &str| text.split(',').map(str::to_string).collect();
    match parts.as_slice() {
        [target] => Ok(ShortVolume { target: target.clone(), ..ShortVolume::default() }),
        [source, target] => {
            Ok(ShortVolume { source: source.clone(), target: target.clone(), options: Vec::new() })
        }
        [source, target, last] => {
            Ok(ShortVolume { source: source.clone(), target: target.clone(), options: options(last) })
        }
        _ => Err("it has too many colons"),
    }
}

fn volume_node(near: &Node, volume: ShortVolume) -> Node {
    let text = |text: &str| Value::Str(text.to_string());
    let bind = is_path(&volume.source);
    let mut entries = vec![("type", text(if bind { "bind" } else { "volume" }))];
    if !volume.source.is_empty() {
        entries.push(("source", text(&volume.source)));
    }
    entries.push(("target", text(&unix_path::clean(&volume.target))));
    let access = volume.options.iter().rfind(|option| matches!(option.as_str(), "ro" | "rw"));
    if access.is_some_and(|access| access == "ro") {
        entries.push(("read_only", Value::Bool(true)));
    }
    let mut of_bind = Vec::new();
    if bind {
        of_bind.push(("create_host_path", Value::Bool(true)));
    }
    let propagation = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];
    if let Some(mode) = volume.options.iter().rfind(|option| propagation.contains(&option.as_str())) {
        of_bind.push(("propagation", text(mode)));
    }
    if let Some(label) = volume.options.iter().rfind(|option| matches!(option.as_str(), "z" | "Z")) {
        of_bind.push(("selinux", text(label)));
    }
    if !of_bind.is_empty() {
        entries.push(("bind", mapping(near, of_bind).value));
    }
    let no_copy = volume.options.iter().any(|option| option == "nocopy");
    if !bind || no_copy {
        let own = if no_copy { vec![("nocopy", Value::Bool(true))] } else { Vec::new() };
        entries.push(("volume", mapping(near, own).value));
    }
    mapping(near, entries)
}

/// Whether a volume's source is a path of the host.
fn is_path(source: &str) -> bool {
    let drive = source.as_bytes().get(1) == Some(&b':') && source.starts_with(|c: char| c.is_alphabetic());
    source.starts_with(['.', '/', '~']) || source.starts_with(r"\\") || drive
}
