//! What a project in canonical form means: `naru_model::Stack`, with every default of Naru filled in.
//!
//! It is the last step of reading a Compose file, and the first that knows of Naru. Each module reads one matter of a
//! service, from the tree whose every value has its place, so that whatever does not fit is told there, all of it at
//! once, and a default stands in its place meanwhile. Three kinds of findings:
//!
//! - an error: the file cannot be used;
//! - a warning: it is used, and something in it has no effect ([`SERVICE_KEYS`] says which key has one where) or may
//!   surprise;
//! - what is *unfit*: the file is right, and can be looked at, but not run here and now: a secret whose file is not
//!   there.
//!
//! The content of secrets and configs is read here and handed out beside the stack, which has only its digests.

mod build;
mod container;
mod contents;
mod health;
mod hooks;
mod job;
mod keys;
mod mounts;
mod networks;
mod ports;
mod power;
mod read;
mod restart;
mod rollout;
mod service;
mod support;
mod work;
mod xnaru;

pub use contents::Contents;
pub use keys::{Effect, OBJECT_KEYS, SERVICE_KEYS, ServiceKey};
pub use naru_schedule::Addresses;
pub use xnaru::{JOB_KEYS, JOB_SCHEMA, KEYS, SCHEMA, schema};

use contents::Shelf;
use naru_model::{Protocol, Service, ServiceName, Stack};
use naru_routing::Traffic;
use naru_yaml::{Node, Report};
use read::{Lacks, Reader};
use service::Setting;
use std::collections::BTreeMap;
use std::io;
use support::Teller;

/// What follows when a key is known and has no effect, or is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unsupported {
    /// No effect: a warning. Not known: an error.
    #[default]
    Warn,
    /// Both are errors.
    Strict,
    /// No effect: a warning. Not known: ignored.
    Loose,
}

/// A project in canonical form, and what it is read beside.
pub struct Project<'a> {
    /// The canonical tree, only active services and what they use in it.
    pub root: &'a Node,
    /// Services in which something is wrong already, and has been told.
    pub broken: &'a BTreeMap<String, Node>,
    /// Texts that services read at their start, by service.
    pub texts: &'a BTreeMap<String, Vec<String>>,
    /// The stack's name.
    pub name: &'a str,
    /// The project's folder, absolute.
    pub folder: &'a str,
    /// Variables from outside, for secrets and configs that name one.
    pub variables: &'a BTreeMap<String, String>,
    /// Reads a file by its absolute path.
    pub read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    /// Reads the calendars at addresses.
    pub addresses: &'a Addresses,
    /// What follows when a key has no effect.
    pub unsupported: Unsupported,
}

/// What a project means.
#[derive(Clone, Debug, PartialEq)]
pub struct Meant {
    /// The stack.
    pub stack: Stack,
    /// The contents of its secrets and configs.
    pub contents: Contents,
}

/// Tells of top-level keys of the merged file that have no effect.
pub fn tell_file(report: &mut Report, root: &Node, unsupported: Unsupported) {
    Teller { report, unsupported }.file(root);
}

/// What the project means. What is wrong goes into the report.
pub fn stack(report: &mut Report, project: &Project<'_>) -> Meant {
    let shelf = Shelf::new(project);
    let mut reader = Reader { report: &mut *report, kind: "services", service: "*", lacks: Lacks::Tell };
    let power = power::of_file(&mut reader, project.root, &shelf);
    let (mut services, mut jobs) = (BTreeMap::new(), BTreeMap::new());
    let none = Vec::new();
    let setting = |name: &str| Setting {
        root: project.root,
        folder: project.folder,
        stack: project.name,
        power: power.as_ref(),
        texts: project.texts.get(name).unwrap_or(&none),
        shelf: &shelf,
    };
    for (name, node) in project.root.get("services").into_iter().flat_map(Node::entries) {
        let mut reader = Reader { report: &mut *report, kind: "services", service: name, lacks: Lacks::Tell };
        services.insert(name.as_str().into(), service::service(&mut reader, node, &setting(name)));
        Teller { report: &mut *report, unsupported: project.unsupported }.service("services", name, node);
    }
    for (name, node) in project.root.get("jobs").into_iter().flat_map(Node::entries) {
        let mut reader = Reader { report: &mut *report, kind: "jobs", service: name, lacks: Lacks::Tell };
        jobs.insert(name.as_str().into(), job::job(&mut reader, node, &setting(name)));
        Teller { report: &mut *report, unsupported: project.unsupported }.job(name, node, project.root);
    }
    for (name, node) in project.broken {
        let mut reader = Reader { report: &mut *report, kind: "services", service: name, lacks: Lacks::Hide };
        service::service(&mut reader, node, &setting(name));
    }
    Teller { report: &mut *report, unsupported: project.unsupported }.objects(project.root);
    let traffic = traffic(report, project.root, project.folder, &services);
    let stack = Stack {
        name: project.name.into(),
        project_dir: project.folder.to_string(),
        services,
        jobs,
        listeners: traffic.listeners,
        routes: traffic.routes,
    };
    Meant { stack, contents: shelf.into_contents() }
}

fn traffic(
    report: &mut Report,
    root: &Node,
    folder: &str,
    services: &BTreeMap<ServiceName, Service>,
) -> Traffic {
    let ports = |is: fn(Protocol) -> bool| {
        let of = move |service: &Service| {
            let spoken = service.template.targets.iter().filter(|target| is(target.protocol));
            spoken.map(|target| target.port).collect::<Vec<u16>>()
        };
        services.iter().map(|(name, service)| (name.clone(), of(service))).collect()
    };
    let (http, tcp) = (ports(Protocol::is_http), ports(|protocol| protocol == Protocol::Tcp));
    let udp = ports(|protocol| protocol == Protocol::Udp);
    let setting = naru_routing::Setting { folder, services: &http, tcp: &tcp, udp: &udp };
    naru_routing::traffic(report, root, &setting)
}
