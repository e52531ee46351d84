//! What is accepted and has no effect: named, each key once, at its place.

use crate::keys::{Effect, OBJECT_KEYS, SERVICE_KEYS};
use crate::service::Runs;
use crate::xnaru::KEYS;
use crate::{Unsupported, job};
use naru_routing::Support;
use naru_yaml::{Node, Pos, Report, Value};

/// Tells of keys without effect, as the user asked: by warning, or by error.
pub(crate) struct Teller<'a> {
    pub report: &'a mut Report,
    pub unsupported: Unsupported,
}

impl Teller<'_> {
    /// `not supported yet: KEY, ignored`.
    pub fn not_yet(&mut self, key: impl std::fmt::Display, pos: Pos) {
        self.tell(format!("not supported yet: {key}"), pos);
    }

    /// A key that a process has no use for.
    pub fn not_for_process(&mut self, key: impl std::fmt::Display, pos: Pos) {
        self.tell(format!("{key} has no effect on a process"), pos);
    }

    fn tell(&mut self, what: String, pos: Pos) {
        match self.unsupported {
            Unsupported::Strict => {
                self.report.error_advised(pos, what, "remove it, or do without --strict");
            }
            Unsupported::Warn | Unsupported::Loose => self.report.warn(pos, format!("{what}, ignored")),
        }
    }

    /// Top-level keys of the merged file.
    pub fn file(&mut self, root: &Node) {
        if let Some(models) = root.get("models").filter(|node| is_written(node)) {
            self.not_yet("models", models.key);
        }
    }

    /// Top-level objects that services use.
    pub fn objects(&mut self, root: &Node) {
        for (kind, keys) in OBJECT_KEYS {
            for (name, object) in root.get(kind).into_iter().flat_map(Node::entries) {
                let written = keys.iter().filter_map(|key| Some((key, object.get(key)?)));
                for (key, node) in written.filter(|(_, node)| is_written(node)) {
                    self.not_yet(format_args!("{kind}.{name}.{key}"), node.key);
                }
            }
        }
    }

    /// The keys of a canonical job.
    pub fn job(&mut self, name: &str, job: &Node, root: &Node) {
        self.service("jobs", name, job);
        for key in job::WITHOUT_EFFECT {
            if let Some(node) = job.get(key).filter(|node| is_written(node)) {
                self.not_yet(format_args!("jobs.{name}.{key}"), node.key);
            }
        }
        for (on, node) in job::on_jobs(job, root) {
            self.not_yet(format_args!("jobs.{name}.depends_on.{on}, which is a job"), node.key);
        }
    }

    /// The keys of a canonical service, or of a job, which has the same.
    pub fn service(&mut self, kind: &str, name: &str, service: &Node) {
        let runs = Runs::of(service);
        for key in SERVICE_KEYS {
            let effect = match runs {
                Runs::Process => key.process,
                Runs::Container => key.container,
            };
            let parts: Vec<&str> = key.path.split('.').collect();
            let Some(node) = service.at(&parts).filter(|node| is_written(node)) else { continue };
            // The implicit network is everyone's.
            let implicit = || {
                key.path == "networks"
                    && node.entries().all(|(name, node)| name == "default" && node.is_null())
            };
            if key.path == "networks" && runs == Runs::Container {
                let own = node.entries().filter_map(|(_, network)| network.get("interface_name"));
                own.for_each(|own| {
                    self.not_yet(format_args!("{kind}.{name}.networks.interface_name"), own.key)
                });
            }
            match effect {
                Effect::NotYet => self.not_yet(format_args!("{kind}.{name}.{}", key.path), node.key),
                Effect::NoEffect if !implicit() => {
                    self.not_for_process(format_args!("{kind}.{name}.{}", key.path), node.key);
                }
                Effect::NoEffect | Effect::Honoured | Effect::Aside => {}
            }
        }
        if kind == "services" {
            self.own(name, service);
        }
    }

    /// The keys of `x-naru`. A group without effect is named, not each key in it.
    fn own(&mut self, name: &str, service: &Node) {
        let Some(own) = service.get("x-naru") else { return };
        for key in KEYS.iter().filter(|key| key.support == Support::Later) {
            let parts: Vec<&str> = key.path.split('.').collect();
            let parent = parts[..parts.len() - 1].join(".");
            let told = KEYS.iter().any(|other| other.path == parent && other.support == Support::Later);
            if let (Some(node), false) = (own.at(&parts), told) {
                self.not_yet(format_args!("services.{name}.x-naru.{}", key.path), node.key);
            }
        }
    }
}

/// `false`, `[]` and the like are what holds without the key.
fn is_written(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) => true,
    }
}
