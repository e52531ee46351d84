//! The merged tree as a whole project: only active services, only what they use, variables resolved.

use crate::check::{self, Absent};
use crate::discover::Start;
use crate::encode::{self, encode};
use crate::layers::Loader;
use crate::normalize::{each_service, normalize};
use crate::shape::PROJECT;
use crate::{dotenv, files};
use naru_yaml::{Map, Node, Path, Pos, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A project in canonical form.
#[derive(Debug)]
pub(crate) struct Project {
    pub root: Node,
    /// Services in which something is wrong already.
    pub broken: BTreeMap<String, Node>,
    /// Texts that services read at their start, by service: env files and label files.
    pub contents: BTreeMap<String, Vec<String>>,
}

/// Services of one stack. The checks follow dependencies by recursion.
const MOST_SERVICES: usize = 2_000;

/// The canonical form of `root`. `None` where it has no services that could be looked at.
pub(crate) fn project(loader: &mut Loader<'_>, mut root: Node, start: &Start) -> Option<Project> {
    normalize(&mut root, &start.name, &start.variables);
    let entries = |kind: &str| root.get(kind).map_or(0, |entries| entries.entries().count());
    let count = entries("services") + entries("jobs");
    if count > MOST_SERVICES {
        let message = format!("{count} services and jobs are too many; {MOST_SERVICES} are the most");
        let at = root.get("services").or_else(|| root.get("jobs"))?.key;
        loader.report.error_advised(at, message, "split the file into several stacks");
        return None;
    }
    if root.get("services").is_some_and(|services| services.map().is_none()) {
        return None;
    }
    let extensions = extensions(&root);
    let mut root = encode(loader.report, PROJECT, &root, &Path::default());
    let name = Node::text(start.name.clone(), &root);
    let map = root.map_mut()?;
    map.insert("name".into(), name);
    map.extend(extensions);
    let mut broken = BTreeMap::new();
    let absent = take_absent(loader, &mut root, &start.profiles, &mut broken);
    check::project(loader.report, &root, &absent);
    let contents = resolve_files(loader, &mut root, start);
    drop_unused(&mut root);
    Some(Project { root, broken, contents })
}

/// The project as JSON, in the way that the reference prints it.
pub(crate) fn to_json(root: &Node) -> serde_json::Value {
    encode::to_json(root)
}

/// Top-level keys that begin with `x-`; an empty list in them prints as null.
fn extensions(root: &Node) -> Vec<(String, Node)> {
    let own = root.entries().filter(|(key, _)| key.starts_with("x-"));
    own.map(|(key, value)| (key.clone(), without_empty_lists(value))).collect()
}

fn without_empty_lists(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(list) if list.is_empty() => Value::Null,
        Value::List(list) => Value::List(list.iter().map(without_empty_lists).collect()),
        Value::Map(map) => {
            Value::Map(map.iter().map(|(key, value)| (key.clone(), without_empty_lists(value))).collect())
        }
        other => other.clone(),
    };
    Node::derived(value, node)
}

/// Takes out services and jobs that are not active, or in which something is wrong.
fn take_absent(
    loader: &Loader<'_>,
    root: &mut Node,
    profiles: &[String],
    broken: &mut BTreeMap<String, Node>,
) -> BTreeMap<String, Absent> {
    let mut absent = BTreeMap::new();
    for kind in ["services", "jobs"] {
        let entries = root.map_mut().and_then(|map| map.get_mut(kind)).and_then(Node::map_mut);
        let Some(entries) = entries else { continue };
        entries.retain(|name, entry| {
            let own = entry.get("profiles").map(Node::items).unwrap_or_default();
            let chosen =
                |own: &Node| profiles.iter().any(|profile| own.str() == Some(profile) || profile == "*");
            let why = if loader.report.broken().contains(name) {
                Some(Absent::Broken)
            } else if !own.is_empty() && !own.iter().any(chosen) {
                Some(Absent::Disabled)
            } else {
                None
            };
            if why == Some(Absent::Broken) && kind == "services" {
                broken.insert(name.clone(), entry.clone());
            }
            absent.extend(why.map(|why| (name.clone(), why)));
            why.is_none()
        });
    }
    absent
}

/// Reads `env_file` and `label_file` into `environment` and `labels`, and takes the keys away.
fn resolve_files(loader: &mut Loader<'_>, root: &mut Node, start: &Start) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::new();
    each_service(root, |name, service| {
        let mut reader = FileReader { loader, start, texts: Vec::new() };
        if let Some(files) = service.shift_remove("env_file") {
            reader.environment(service, &files);
        }
        if let Some(files) = service.shift_remove("label_file") {
            reader.labels(service, &files);
        }
        contents.insert(name.to_string(), reader.texts);
    });
    contents
}

struct FileReader<'a, 'l> {
    loader: &'a mut Loader<'l>,
    start: &'a Start,
    texts: Vec<String>,
}

impl FileReader<'_, '_> {
    fn environment(&mut self, service: &mut Map, files: &Node) {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        let own: BTreeMap<String, String> = service
            .get("environment")
            .into_iter()
            .flat_map(Node::entries)
            .filter_map(|(name, value)| Some((name.clone(), value.str()?.to_string())))
            .collect();
        for file in files.items() {
            let Some(path) = file.get("path").filter(|path| path.str().is_some()) else { continue };
            let required = !matches!(file.get("required").map(|node| &node.value), Some(Value::Bool(false)));
            if !required && !self.loader.files.exists(path.str().unwrap_or_default()) {
                continue;
            }
            let raw = file.get_str("format") == Some("raw");
            let outside = |name: &str| {
                let known = self.start.variables.get(name).or_else(|| own.get(name));
                known.cloned().or_else(|| found.get(name).cloned())
            };
            let read = read_pairs(self.loader, path, if raw { Format::Raw } else { Format::Env }, &outside);
            let Some((text, pairs)) = read else { continue };
            found.extend(pairs);
            self.texts.push(text);
        }
        add_missing(service, "environment", found, files);
    }

    fn labels(&mut self, service: &mut Map, files: &Node) {
        let mut found = BTreeMap::new();
        for path in files.items() {
            let outside = |name: &str| self.start.variables.get(name).cloned();
            let Some((text, pairs)) = read_pairs(self.loader, path, Format::Env, &outside) else { continue };
            found.extend(pairs);
            self.texts.push(text);
        }
        add_missing(service, "labels", found, files);
    }
}

/// Adds texts by name to the mapping at `key`; what is there wins.
fn add_missing(service: &mut Map, key: &str, found: BTreeMap<String, String>, near: &Node) {
    if found.is_empty() {
        return;
    }
    let empty = Node::derived(Value::Map(Map::new()), near);
    let Some(map) = service.entry(key.to_string()).or_insert(empty).map_mut() else { return };
    for (name, value) in found {
        map.entry(name).or_insert_with(|| Node::text(value, near));
    }
}

/// How the lines of an env file are read.
#[derive(Clone, Copy)]
enum Format {
    Env,
    /// No quotes, no variables: what follows the first `=` is the value.
    Raw,
}

fn read_pairs(
    loader: &mut Loader<'_>,
    path: &Node,
    format: Format,
    outside: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, BTreeMap<String, String>)> {
    let name = path.str()?;
    let text = match loader.files.read(name) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read {}: {}", loader.report.name_of(name), files::why(&error));
            let advice = match error.kind() {
                std::io::ErrorKind::NotFound => "create it, or write it with required: false",
                _ => files::advice(&error),
            };
            loader.report.error_advised(path.pos, message, advice);
            return None;
        }
    };
    let read = match format {
        Format::Raw => Ok(raw_pairs(&text)),
        Format::Env => dotenv::parse(&text, outside),
    };
    match read {
        Ok(pairs) => Some((text, pairs)),
        Err(fault) => {
            let number = loader.report.add_secret_source(name);
            let pos = Pos { file: number, line: fault.line as u32, col: 1, width: 1 };
            loader.report.error_advised(pos, fault.what, "write it as NAME=VALUE");
            None
        }
    }
}

fn raw_pairs(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Leaves out networks, volumes, secrets and configs that no active service uses.
fn drop_unused(root: &mut Node) {
    let mut used: BTreeSet<(&str, String)> = BTreeSet::new();
    let services = root.get("services").into_iter().flat_map(Node::entries);
    for (_, service) in services.chain(root.get("jobs").into_iter().flat_map(Node::entries)) {
        let networks = service.get("networks").into_iter().flat_map(Node::entries);
        used.extend(networks.map(|(name, _)| ("networks", name.clone())));
        let mut sources = |key: &'static str, list: Option<&Node>| {
            let sources = list.map(Node::items).unwrap_or_default().iter();
            used.extend(sources.filter_map(|item| Some((key, item.get_str("source")?.to_string()))));
        };
        sources("secrets", service.get("secrets"));
        sources("secrets", service.at(&["build", "secrets"]));
        sources("configs", service.get("configs"));
        let named = service.get("volumes").map(Node::items).unwrap_or_default().iter();
        let named = named.filter(|volume| volume.get_str("type") == Some("volume"));
        used.extend(named.filter_map(|volume| Some(("volumes", volume.get_str("source")?.to_string()))));
    }
    let Some(map) = root.map_mut() else { return };
    map.shift_remove("models");
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let Some(entries) = map.get_mut(kind).and_then(Node::map_mut) else { continue };
        entries.retain(|name, _| used.contains(&(kind, name.clone())));
        if entries.is_empty() {
            map.shift_remove(kind);
        }
    }
}
