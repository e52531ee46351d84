//! What the schema cannot say: names that have to exist, settings that exclude each other, cycles.
//!
//! [`objects`] looks at the merged tree, [`project`] at the canonical one.

use naru_yaml::{Node, Path, Pos, Report, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Top-level objects and items of services, each by itself.
pub(crate) fn objects(report: &mut Report, node: &Node, path: &Path) {
    if let Some((_, check)) = OBJECTS.iter().find(|(pattern, _)| path.matches(pattern)) {
        return check(report, node, path);
    }
    match &node.value {
        Value::Map(map) => map.iter().for_each(|(key, value)| objects(report, value, &path.key(key))),
        Value::List(list) => list.iter().for_each(|item| objects(report, item, &path.item())),
        _ => {}
    }
}

type Object = fn(&mut Report, &Node, &Path);

const OBJECTS: &[(&str, Object)] = &[
    ("volumes.*", external_alone),
    ("configs.*", |report, node, path| one_source(report, node, path, &["file", "environment", "content"])),
    ("secrets.*", |report, node, path| one_source(report, node, path, &["file", "environment"])),
    ("services.*.ports.*", host_ip),
    ("services.*.volumes.*", bind_source),
    ("services.*.develop.watch.*.path", not_blank),
    ("services.*.deploy.resources.reservations.devices.*", count_or_ids),
    ("services.*.gpus.*", count_or_ids),
];

fn external_alone(report: &mut Report, node: &Node, path: &Path) {
    if node.get("external").and_then(Node::scalar).as_deref() != Some("true") {
        return;
    }
    for (key, value) in node.entries() {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = format!("{path} is external, so that {key} has no meaning");
            report.error_in(path, value.key, message, format!("remove {key} or external"));
        }
    }
}

fn one_source(report: &mut Report, node: &Node, path: &Path, keys: &[&str]) {
    let written: Vec<&Node> = keys.iter().filter_map(|key| node.get(key)).collect();
    if let [_, second, ..] = written.as_slice() {
        report.error_in(
            path,
            second.key,
            format!("{path} has two of {}", keys.join(", ")),
            "keep one of them",
        );
    }
    let elsewhere = node.get("driver").or_else(|| node.get("external"));
    if written.is_empty() && elsewhere.is_none() {
        let message = format!("{path} does not say where its content is");
        report.error_in(path, node.key, message, format!("add one of {}", keys.join(", ")));
    }
}

fn host_ip(report: &mut Report, node: &Node, path: &Path) {
    if let Some(host) = node.get("host_ip")
        && host.str().is_none_or(|text| text.parse::<IpAddr>().is_err())
    {
        let message = format!("{path}: {} is not an IP address", host.shown());
        report.error_in(path, host.pos, message, "write an address, as 127.0.0.1");
    }
}

fn bind_source(report: &mut Report, node: &Node, path: &Path) {
    if node.get_str("type") == Some("bind") && node.get("source").is_none() {
        report.error_in(
            path,
            node.pos,
            format!("{path}: a bind mount has to have a source"),
            "add source: ./folder",
        );
    }
    if node.get("target").is_none() {
        report.error_in(
            path,
            node.pos,
            format!("{path}: a volume has to have a target"),
            "add target: /path",
        );
    }
}

fn not_blank(report: &mut Report, node: &Node, path: &Path) {
    if node.str() == Some("") {
        report.error_in(path, node.pos, format!("{path} is empty"), "write a path");
    }
}

fn count_or_ids(report: &mut Report, node: &Node, path: &Path) {
    if let (Some(_), Some(ids)) = (node.get("count"), node.get("device_ids")) {
        report.error_in(path, ids.key, format!("{path} has both count and device_ids"), "keep one of them");
    }
}

/// The canonical tree as a whole. `absent` are services that are written but not in it.
pub(crate) fn project(report: &mut Report, root: &Node, absent: &BTreeMap<String, Absent>) {
    let services = root.get("services");
    for kind in ["services", "jobs"] {
        for (name, service) in root.get(kind).into_iter().flat_map(Node::entries) {
            let check = Service { kind, name, service, root, absent };
            check.contents(report);
            check.references(report);
            check.dependencies(report);
            check.limits(report);
            check.mounts(report);
        }
    }
    names_apart(report, root);
    for (name, secret) in root.get("secrets").into_iter().flat_map(Node::entries) {
        let external = matches!(secret.get("external").map(|node| &node.value), Some(Value::Bool(true)));
        if !external && secret.get("file").is_none() && secret.get("environment").is_none() {
            let message = format!("secrets.{name} does not say where its content is");
            report.error_advised(secret.key, message, "add file or environment");
        }
    }
    services.into_iter().for_each(|services| cycles(report, services));
}

/// A run of a job and an instance of a service are called by the same names.
fn names_apart(report: &mut Report, root: &Node) {
    for (name, job) in root.get("jobs").into_iter().flat_map(Node::entries) {
        if root.at(&["services", name]).is_some() {
            let message = format!("jobs.{name} has the name of a service");
            report.error_advised(job.key, message, "rename one of them");
        }
    }
}

/// Why a service that is written is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Its profile is not active.
    Disabled,
    /// Something in it is wrong, and has been told.
    Broken,
}

/// A service, or a job.
struct Service<'a> {
    kind: &'static str,
    name: &'a str,
    service: &'a Node,
    root: &'a Node,
    absent: &'a BTreeMap<String, Absent>,
}

impl Service<'_> {
    fn get(&self, key: &str) -> Option<&Node> {
        self.service.get(key)
    }

    fn say(&self, report: &mut Report, pos: Pos, what: impl std::fmt::Display, advice: &str) {
        report.error_advised(pos, format!("{}.{} {what}", self.kind, self.name), advice);
    }

    fn contents(&self, report: &mut Report) {
        let runs = ["image", "build", "provider"].iter().any(|key| self.get(key).is_some());
        let process = self.service.at(&["x-naru", "process"]).is_some();
        if !runs && !process {
            let what = format!("{}.{} has neither an image nor anything to build", self.kind, self.name);
            report.unfit(self.service.key, what, "add image, build, or x-naru.process");
        }
        if let Some(build) = self.get("build")
            && let (Some(inline), Some(_)) = (build.get("dockerfile_inline"), build.get("dockerfile"))
        {
            let what = "has both build.dockerfile and build.dockerfile_inline";
            self.say(report, inline.key, what, "keep one of them");
        }
        if let (Some(platform), Some(platforms)) =
            (self.get("platform"), self.service.at(&["build", "platforms"]))
            && !platforms.items().iter().any(|known| known.same(platform))
        {
            let what = "has a platform that build.platforms does not list";
            self.say(report, platform.pos, what, "add it to build.platforms");
        }
        if let Some(first) = self.service.at(&["healthcheck", "test"]).and_then(|test| test.items().first())
            && !matches!(first.str(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            let what = "has a healthcheck.test that begins with neither CMD, CMD-SHELL nor NONE";
            self.say(report, first.pos, what, "write [CMD, program, argument], or one text for a shell");
        }
        for watch in self.service.at(&["develop", "watch"]).map(Node::items).unwrap_or_default() {
            let in_place = matches!(watch.get_str("action"), Some("rebuild" | "restart"));
            if watch.get("target").is_none() && !in_place {
                self.say(report, watch.pos, "has a develop.watch without a target", "add target: /path");
            }
        }
    }

    /// Networks, volumes, configs, secrets and models that have to be defined.
    fn references(&self, report: &mut Report) {
        if let (Some(mode), Some(_)) = (self.get("network_mode"), self.get("networks")) {
            self.say(report, mode.key, "has both network_mode and networks", "keep one of them");
        }
        for (network, node) in self.get("networks").into_iter().flat_map(Node::entries) {
            self.defined(report, "networks", network, node);
        }
        for (model, node) in self.get("models").into_iter().flat_map(Node::entries) {
            self.defined(report, "models", model, node);
        }
        for volume in self.get("volumes").map(Node::items).unwrap_or_default() {
            if let (Some("volume"), Some(source)) = (volume.get_str("type"), volume.get("source")) {
                self.defined(report, "volumes", source.str().unwrap_or_default(), source);
            }
        }
        let build = self.service.at(&["build", "secrets"]).map(Node::items).unwrap_or_default();
        let secrets = self.get("secrets").map(Node::items).unwrap_or_default();
        for secret in secrets.iter().chain(build) {
            self.defined(report, "secrets", secret.get_str("source").unwrap_or_default(), secret);
        }
        for config in self.get("configs").map(Node::items).unwrap_or_default() {
            self.defined(report, "configs", config.get_str("source").unwrap_or_default(), config);
        }
        self.built_contexts(report);
    }

    fn built_contexts(&self, report: &mut Report) {
        let contexts = self.service.at(&["build", "additional_contexts"]);
        for (_, context) in contexts.into_iter().flat_map(Node::entries) {
            let Some(target) = context.str().and_then(|text| text.strip_prefix("service:")) else { continue };
            if self.root.at(&["services", target]).and_then(|service| service.get("build")).is_none() {
                let what = format!("takes the service \"{target}\" as a context, which is not built here");
                self.say(report, context.pos, what, "name a service that has build");
            }
        }
    }

    fn defined(&self, report: &mut Report, kind: &str, name: &str, node: &Node) {
        let known = self.root.get(kind);
        if known.is_some_and(|known| known.get(name).is_some()) {
            return;
        }
        let names = known.into_iter().flat_map(Node::entries).map(|(name, _)| name.as_str());
        let advice = naru_yaml::nearest(name, names)
            .unwrap_or_else(|| format!("define it under the top-level {kind}, as \"{name}:\""));
        let what = format!("refers to {kind}.{name}, which is not defined");
        self.say(report, node.pos, what, &advice);
    }

    fn dependencies(&self, report: &mut Report) {
        for (name, dependency) in self.get("depends_on").into_iter().flat_map(Node::entries) {
            let services = self.root.get("services");
            if services.is_some_and(|services| services.get(name).is_some()) {
                continue;
            }
            if self.kind == "jobs" && self.root.at(&["jobs", name]).is_some() {
                continue;
            }
            let required = dependency.get("required").map(|node| &node.value);
            match (self.absent.get(name), required) {
                (Some(Absent::Broken), _) | (Some(Absent::Disabled), Some(Value::Bool(false))) => {}
                (Some(Absent::Disabled), _) => {
                    let what = format!("depends on \"{name}\", whose profile is not active");
                    let advice = "activate it with --profile, or add required: false";
                    self.say(report, dependency.key, what, advice);
                }
                (None, _) => {
                    let names = services.into_iter().flat_map(Node::entries).map(|(name, _)| name.as_str());
                    let nearest = naru_yaml::nearest(name, names);
                    let advice = nearest.unwrap_or_else(|| "name a service of this file".into());
                    let what = format!("depends on \"{name}\", which is not defined");
                    self.say(report, dependency.key, what, &advice);
                }
            }
        }
    }

    /// Numbers that are written in two places, and numbers of instances.
    fn limits(&self, report: &mut Report) {
        let number =
            |node: Option<&Node>| node.and_then(Node::scalar).and_then(|text| text.parse::<f64>().ok());
        let twins: [(&str, &[&str]); 4] = [
            ("cpus", &["deploy", "resources", "limits", "cpus"]),
            ("mem_limit", &["deploy", "resources", "limits", "memory"]),
            ("mem_reservation", &["deploy", "resources", "reservations", "memory"]),
            ("pids_limit", &["deploy", "resources", "limits", "pids"]),
        ];
        for (own, deploy) in twins {
            let Some(node) = self.get(own) else { continue };
            let group = self.service.at(&deploy[..3]).is_some();
            if group && number(Some(node)) != number(self.service.at(deploy)) {
                let what = format!("says {own} and {} otherwise", deploy.join("."));
                self.say(report, node.pos, what, "write it in one place");
            }
        }
        let (scale, replicas) = (self.get("scale"), self.service.at(&["deploy", "replicas"]));
        for (node, key) in [(scale, "scale"), (replicas, "deploy.replicas")] {
            if let Some(node) = node.filter(|node| number(Some(node)).is_some_and(|count| count < 0.0)) {
                self.say(report, node.pos, format!("has a {key} below 0"), "write 0 or more");
            }
        }
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && number(Some(scale)) != number(Some(replicas))
        {
            self.say(report, scale.pos, "says scale and deploy.replicas otherwise", "write it in one place");
        }
        let count = number(scale.or(replicas)).unwrap_or(1.0);
        if let Some(container) = self.get("container_name").filter(|_| count > 1.0) {
            let what = format!("has a container_name, which has to be unique, and {count} instances");
            self.say(report, container.pos, what, "remove container_name, or have one instance");
        }
    }

    fn mounts(&self, report: &mut Report) {
        let mut known: BTreeMap<String, Pos> = BTreeMap::new();
        let tmpfs = self.get("tmpfs").map(Node::items).unwrap_or_default();
        let volumes = self.get("volumes").map(Node::items).unwrap_or_default();
        let tmpfs = tmpfs.iter().map(|node| (node.str().and_then(|text| text.split(':').next()), node));
        let volumes = volumes.iter().map(|node| (node.get_str("target"), node));
        for (target, node) in tmpfs.chain(volumes) {
            let target = target.unwrap_or_default();
            if let Some(earlier) = known.insert(target.to_string(), node.pos) {
                let what = format!("mounts {target} twice, first on line {}", earlier.line);
                self.say(report, node.pos, what, "remove one of them");
            }
        }
    }
}

/// Dependencies that wait for each other.
fn cycles(report: &mut Report, services: &Node) {
    let mut done = BTreeSet::new();
    for (name, _) in services.entries() {
        let mut way = Vec::new();
        if let Some(at) = walk(services, name, &mut way, &mut done) {
            way.push(name_at(&way, at));
            let ring = &way[at..];
            let first = services.at(&[&ring[0], "depends_on", &ring[1]]);
            let pos = first.map_or(Pos::NOWHERE, |node| node.key);
            let message = format!("services depend on each other in a circle: {}", ring.join(" → "));
            report.error_advised(pos, message, "remove one of these dependencies");
            return;
        }
    }
}

fn name_at(way: &[String], at: usize) -> String {
    way[at].clone()
}

/// Follows the dependencies of `name`; where they come back to, if they do.
fn walk(services: &Node, name: &str, way: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<usize> {
    if let Some(at) = way.iter().position(|known| known == name) {
        return Some(at);
    }
    if done.contains(name) {
        return None;
    }
    way.push(name.to_string());
    for (next, _) in services.at(&[name, "depends_on"]).into_iter().flat_map(Node::entries) {
        if let Some(at) = walk(services, next, way, done) {
            return Some(at);
        }
    }
    way.pop();
    done.insert(name.to_string());
    None
}
