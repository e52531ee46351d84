//! From what is written to what is meant: defaults, absolute paths, the implicit network, implied
//! dependencies, names of resources, variables taken from outside.

use crate::interpolate::Variables;
use naru_yaml::{Map, Node, Value, unix_path};

/// What paths and variables are resolved against.
pub(crate) struct Surroundings<'a> {
    /// The project's folder, absolute.
    pub folder: &'a str,
    pub variables: &'a Variables,
}

impl Surroundings<'_> {
    pub fn absolute(&self, path: &str) -> String {
        unix_path::absolute(self.folder, path, self.variables.get("HOME").map(String::as_str))
    }
}

/// Fills in what a missing key stands for. Before paths are resolved, since `build.context` is one.
pub(crate) fn set_defaults(root: &mut Node) {
    each_service(root, |_, service| {
        if let Some(build) = service.get_mut("build") {
            let context = Node::text(".", build);
            insert_missing(build, "context", context);
        }
        for secret in items_mut(service.get_mut("secrets")) {
            let source = secret.get("source").and_then(Node::scalar).unwrap_or_default();
            let target = Node::text(format!("/run/secrets/{source}"), secret);
            insert_missing(secret, "target", target);
        }
        for port in items_mut(service.get_mut("ports")) {
            let (tcp, ingress) = (Node::text("tcp", port), Node::text("ingress", port));
            insert_missing(port, "protocol", tcp);
            insert_missing(port, "mode", ingress);
        }
        items_mut(service.get_mut("gpus")).for_each(default_count);
        items_mut(at_mut(service, &["deploy", "resources", "reservations", "devices"]))
            .for_each(default_count);
    });
}

fn default_count(request: &mut Node) {
    if request.get("device_ids").is_none() {
        let all = Node::text("all", request);
        insert_missing(request, "count", all);
    }
}

/// Of the days on which something is asleep, those that a calendar's file says.
fn calendars(own: Option<&mut Node>, near: &Surroundings<'_>) {
    let power = own.and_then(|own| own.map_mut()?.get_mut("power"));
    let Some(days) = power.and_then(|power| power.map_mut()?.get_mut("holidays")) else { return };
    let is_file = |day: &Node| day.str().is_some_and(|text| text.ends_with(".ics") && !text.contains("://"));
    if is_file(days) {
        return path_at(Some(days), near);
    }
    items_mut(Some(days)).filter(|day| is_file(day)).for_each(|day| path_at(Some(day), near));
}

/// Makes every path absolute.
pub(crate) fn resolve_paths(root: &mut Node, near: &Surroundings<'_>) {
    each_service(root, |_, service| {
        if let Some(build) = service.get_mut("build") {
            build_paths(build, near);
        }
        for file in items_mut(service.get_mut("env_file")) {
            path_at(file.map_mut().and_then(|file| file.get_mut("path")), near);
        }
        items_mut(service.get_mut("label_file")).for_each(|file| path_at(Some(file), near));
        for watch in items_mut(at_mut(service, &["develop", "watch"])) {
            path_at(watch.map_mut().and_then(|watch| watch.get_mut("path")), near);
        }
        for volume in items_mut(service.get_mut("volumes")) {
            if volume.get_str("type") == Some("bind") {
                place_at(volume.map_mut().and_then(|volume| volume.get_mut("source")), near);
            }
        }
        path_at(at_mut(service, &["extends", "file"]), near);
        calendars(service.get_mut("x-naru"), near);
    });
    calendars(root.map_mut().and_then(|root| root.get_mut("x-naru")), near);
    for kind in ["configs", "secrets"] {
        each_entry(root, kind, |_, object| {
            place_at(object.map_mut().and_then(|object| object.get_mut("file")), near);
        });
    }
    each_entry(root, "volumes", |_, volume| bound_volume(volume, near));
}

fn build_paths(build: &mut Node, near: &Surroundings<'_>) {
    let Some(build) = build.map_mut() else { return };
    context(build.get_mut("context"), near);
    if let Some(Value::Map(contexts)) = build.get_mut("additional_contexts").map(|node| &mut node.value) {
        contexts.values_mut().for_each(|value| context(Some(value), near));
    }
    if let Some(Value::Map(keys)) = build.get_mut("ssh").map(|node| &mut node.value) {
        keys.values_mut().for_each(|value| path_at(Some(value), near));
    }
}

fn context(node: Option<&mut Node>, near: &Surroundings<'_>) {
    let remote = ["https://", "http://", "git://", "ssh://", "github.com/", "git@", "service:"];
    let is_remote = |text: &str| text.contains("://") || remote.iter().any(|prefix| text.starts_with(prefix));
    if let Some(node) = node
        && !node.str().is_some_and(is_remote)
    {
        path_at(Some(node), near);
    }
}

fn path_at(node: Option<&mut Node>, near: &Surroundings<'_>) {
    if let Some(Node { value: Value::Str(path), .. }) = node
        && !path.is_empty()
    {
        *path = near.absolute(path);
    }
}

/// The same where an empty text is the project's folder.
fn place_at(node: Option<&mut Node>, near: &Surroundings<'_>) {
    if let Some(Node { value: Value::Str(path), .. }) = node {
        *path = near.absolute(path);
    }
}

/// A volume of the local driver that is a bind mount in truth.
fn bound_volume(volume: &mut Node, near: &Surroundings<'_>) {
    if volume.get_str("driver") != Some("local") {
        return;
    }
    if let Some(options) = volume.map_mut().and_then(|volume| volume.get_mut("driver_opts"))
        && options.get_str("o") == Some("bind")
    {
        place_at(options.map_mut().and_then(|options| options.get_mut("device")), near);
    }
}

/// Everything else that is meant without being written.
pub(crate) fn normalize(root: &mut Node, name: &str, variables: &Variables) {
    add_default_network(root);
    each_service(root, |_, service| {
        if service.get("pull_policy").is_some_and(|policy| policy.str() == Some("if_not_present")) {
            let missing = Node::text("missing", &service["pull_policy"]);
            service.insert("pull_policy".into(), missing);
        }
        if let Some(build) = service.get_mut("build") {
            if build.get("dockerfile_inline").is_none() {
                let dockerfile = Node::text("Dockerfile", build);
                insert_missing(build, "dockerfile", dockerfile);
            }
            if let Some(args) = build.map_mut().and_then(|build| build.get_mut("args")) {
                from_outside(args, variables, Unset::Drop);
            }
        }
        if let Some(environment) = service.get_mut("environment") {
            from_outside(environment, variables, Unset::Keep);
        }
        for volume in items_mut(service.get_mut("volumes")) {
            if let Some(Node { value: Value::Str(target), .. }) =
                volume.map_mut().and_then(|volume| volume.get_mut("target"))
            {
                *target = unix_path::clean(target);
            }
        }
        imply_dependencies(service);
    });
    for kind in ["networks", "volumes", "configs", "secrets"] {
        each_entry(root, kind, |key, resource| name_resource(resource, key, name));
    }
}

fn add_default_network(root: &mut Node) {
    let mut used = false;
    each_service(root, |_, service| {
        if service.contains_key("provider") || service.contains_key("network_mode") {
            return;
        }
        let none = service.get("networks").is_none_or(|networks| networks.entries().next().is_none());
        if none && let Some(near) = service.values().next().cloned() {
            let nothing = Node::derived(Value::Null, &near);
            let networks: Map = [("default".to_string(), nothing)].into();
            service.insert("networks".into(), Node::derived(Value::Map(networks), &near));
        }
        used |= service.get("networks").is_some_and(|networks| networks.get("default").is_some());
    });
    let near = root.clone_place();
    if let Some(map) = root.map_mut()
        && used
    {
        let nothing = Node::derived(Value::Null, &near);
        let empty = Node::derived(Value::Map(Map::new()), &near);
        insert_missing(map.entry("networks".to_string()).or_insert(empty), "default", nothing);
    }
}

/// What becomes of a variable that has no value here nor outside.
#[derive(Clone, Copy, PartialEq)]
enum Unset {
    Keep,
    Drop,
}

/// Gives variables without a value the one that they have outside.
fn from_outside(node: &mut Node, variables: &Variables, unset: Unset) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                if let (true, Some(outside)) = (value.is_null(), variables.get(key)) {
                    value.value = Value::Str(outside.clone());
                }
            }
            map.retain(|_, value| unset == Unset::Keep || !value.is_null());
        }
        Value::List(list) => {
            for item in list.iter_mut() {
                if let Value::Str(text) = &mut item.value
                    && let Some(outside) = variables.get(text.as_str())
                {
                    *text = format!("{text}={outside}");
                }
            }
            list.retain(|item| unset == Unset::Keep || item.str().is_none_or(|text| text.contains('=')));
        }
        _ => {}
    }
}

/// Links, shared namespaces and shared volumes are dependencies too.
fn imply_dependencies(service: &mut Map) {
    let mut implied: Vec<(String, bool, Node)> = Vec::new();
    for link in service.get("links").map(Node::items).unwrap_or_default() {
        let name = link.str().unwrap_or_default().split(':').next().unwrap_or_default();
        implied.push((name.to_string(), true, link.clone()));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let Some(node) = service.get(key) else { continue };
        if let Some(name) = node.str().and_then(|text| text.strip_prefix("service:")) {
            implied.push((name.to_string(), true, node.clone()));
        }
    }
    for from in service.get("volumes_from").map(Node::items).unwrap_or_default() {
        let text = from.str().unwrap_or_default();
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default();
            implied.push((name.to_string(), false, from.clone()));
        }
    }
    for (name, restart, near) in implied {
        let empty = Node::derived(Value::Map(Map::new()), &near);
        let all = service.entry("depends_on".to_string()).or_insert(empty);
        let mut entry = crate::merge::started(&near);
        insert_missing(&mut entry, "restart", Node::derived(Value::Bool(restart), &near));
        insert_missing(all, &name, entry);
    }
}

fn name_resource(resource: &mut Node, key: &str, project: &str) {
    if resource.is_null() {
        resource.value = Value::Map(Map::new());
    }
    let external = resource.get("external").and_then(Node::scalar);
    let external =
        external.is_some_and(|text| matches!(text.as_str(), "true" | "1" | "t" | "T" | "TRUE" | "True"));
    let name = if external { key.to_string() } else { format!("{project}_{key}") };
    let name = Node::text(name, resource);
    if resource.get("name").is_none_or(Node::is_null)
        && let Some(map) = resource.map_mut()
    {
        map.insert("name".into(), name);
    }
}

pub(crate) fn insert_missing(node: &mut Node, key: &str, value: Node) {
    if let Some(map) = node.map_mut()
        && map.get(key).is_none_or(Node::is_null)
    {
        map.insert(key.to_string(), value);
    }
}

/// Services, and jobs, which are written as services are.
pub(crate) fn each_service(root: &mut Node, mut act: impl FnMut(&str, &mut Map)) {
    for kind in ["services", "jobs"] {
        each_entry(root, kind, |name, service| {
            if let Some(map) = service.map_mut() {
                act(name, map);
            }
        });
    }
}

fn each_entry(root: &mut Node, kind: &str, mut act: impl FnMut(&str, &mut Node)) {
    if let Some(Value::Map(map)) =
        root.map_mut().and_then(|map| map.get_mut(kind)).map(|node| &mut node.value)
    {
        for (name, entry) in map.iter_mut() {
            act(name, entry);
        }
    }
}

fn items_mut(node: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    let list = match node.map(|node| &mut node.value) {
        Some(Value::List(list)) => list.as_mut_slice(),
        _ => &mut [],
    };
    list.iter_mut()
}

fn at_mut<'m>(map: &'m mut Map, path: &[&str]) -> Option<&'m mut Node> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(map.get_mut(*first)?, |node, key| node.map_mut()?.get_mut(*key))
}
