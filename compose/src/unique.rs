//! Lists in which a later item takes the place of an earlier one with the same key: environment by name,
//! volumes and devices by target, ports by address, target and protocol.

use crate::short::volume_target;
use naru_yaml::{Node, Path, Report, Value};
use std::collections::HashMap;

/// Removes what a later item takes the place of, everywhere below `node`.
pub(crate) fn enforce(report: &mut Report, node: &mut Node, path: &Path) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                enforce(report, value, &path.key(key));
            }
        }
        Value::List(list) => {
            let Some((_, index)) = RULES.iter().find(|(pattern, _)| path.matches(pattern)) else { return };
            let items = std::mem::take(list);
            *list = deduplicate(report, items, path, *index);
        }
        _ => {}
    }
}

fn deduplicate(report: &mut Report, items: Vec<Node>, path: &Path, index: Index) -> Vec<Node> {
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    let mut known: HashMap<String, usize> = HashMap::new();
    for item in items {
        match index(&item) {
            Err(missing) => {
                report.error_in(
                    path,
                    item.pos,
                    format!("{path}: this item has no {missing}"),
                    format!("add {missing}: …"),
                );
                kept.push(item);
            }
            Ok(Some(key)) if known.contains_key(&key) => kept[known[&key]] = item,
            Ok(key) => {
                if let Some(key) = key {
                    known.insert(key, kept.len());
                }
                kept.push(item);
            }
        }
    }
    kept
}

/// An item's key; `Ok(None)` for what the schema check will refuse; `Err` with the key that it lacks.
type Index = fn(&Node) -> Result<Option<String>, &'static str>;

const RULES: &[(&str, Index)] = &[
    ("networks.*.labels", name),
    ("networks.*.ipam.options", name),
    ("services.*.annotations", name),
    ("services.*.build.args", name),
    ("services.*.build.additional_contexts", name),
    ("services.*.build.platform", name),
    ("services.*.build.tags", name),
    ("services.*.build.labels", name),
    ("services.*.cap_add", name),
    ("services.*.cap_drop", name),
    ("services.*.devices", device),
    ("services.*.configs", config_mount),
    ("services.*.deploy.labels", name),
    ("services.*.dns", name),
    ("services.*.dns_opt", name),
    ("services.*.dns_search", name),
    ("services.*.environment", name),
    ("services.*.env_file", env_file),
    ("services.*.expose", whole),
    ("services.*.labels", name),
    ("services.*.links", name),
    ("services.*.networks.*.aliases", name),
    ("services.*.networks.*.link_local_ips", name),
    ("services.*.ports", port),
    ("services.*.profiles", name),
    ("services.*.secrets", secret_mount),
    ("services.*.sysctls", name),
    ("services.*.tmpfs", name),
    ("services.*.volumes", volume),
];

fn name(item: &Node) -> Result<Option<String>, &'static str> {
    Ok(item.str().map(|text| text.split('=').next().unwrap_or(text).to_string()))
}

fn whole(item: &Node) -> Result<Option<String>, &'static str> {
    Ok(item.scalar())
}

fn volume(item: &Node) -> Result<Option<String>, &'static str> {
    match &item.value {
        Value::Map(_) => target(item),
        Value::Str(text) => Ok(volume_target(text)),
        _ => Ok(None),
    }
}

fn device(item: &Node) -> Result<Option<String>, &'static str> {
    match &item.value {
        Value::Map(_) => target(item),
        Value::Str(text) => Ok(text.split(':').take(2).last().map(str::to_string)),
        _ => Ok(None),
    }
}

fn target(item: &Node) -> Result<Option<String>, &'static str> {
    item.get("target").and_then(Node::scalar).map(Some).ok_or("target")
}

fn config_mount(item: &Node) -> Result<Option<String>, &'static str> {
    mount(item, "")
}

fn secret_mount(item: &Node) -> Result<Option<String>, &'static str> {
    mount(item, "/run/secrets")
}

fn mount(item: &Node, folder: &str) -> Result<Option<String>, &'static str> {
    let source = item.str().or_else(|| item.get_str("source"));
    Ok(match item.get_str("target") {
        Some(target) => Some(target.to_string()),
        None => source.map(|source| format!("{folder}/{source}")),
    })
}

fn env_file(item: &Node) -> Result<Option<String>, &'static str> {
    match &item.value {
        Value::Map(_) => item.get("path").and_then(Node::scalar).map(Some).ok_or("path"),
        _ => Ok(item.scalar()),
    }
}

fn port(item: &Node) -> Result<Option<String>, &'static str> {
    if item.map().is_none() {
        return Ok(item.scalar());
    }
    let part = |key: &str| item.get(key).and_then(Node::scalar);
    let target = part("target").ok_or("target")?;
    let (published, host) = (part("published"), part("host_ip"));
    let protocol = part("protocol").unwrap_or_else(|| "tcp".into());
    Ok(Some(format!(
        "{}:{}:{target}/{protocol}",
        host.unwrap_or_else(|| "0.0.0.0".into()),
        published.unwrap_or_default()
    )))
}
