//! The last step: a canonical service as the model has it, with every default of Naru filled in.

use crate::contents::Shelf;
use crate::read::Reader;
use crate::restart::restart;
use crate::rollout::{self, Together};
use crate::{build, container, health, hooks, ports, power, work};
use naru_model::{
    Condition, Dependency, EnginePort, Mode, Power, Process, Resources, RestartPolicy, Run, Service,
    ServiceName, Span, TargetPort, Template,
};
use naru_yaml::{Node, Value, unix_path};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What an instance of the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    Process,
    Container,
}

impl Runs {
    /// What the service at `node` is.
    pub fn of(node: &Node) -> Runs {
        if node.at(&["x-naru", "process"]).is_some() { Runs::Process } else { Runs::Container }
    }
}

/// What a service is made in.
pub(crate) struct Setting<'a> {
    /// The canonical tree.
    pub root: &'a Node,
    /// The project's folder, absolute.
    pub folder: &'a str,
    /// The stack's name.
    pub stack: &'a str,
    /// What the file says of all services' power.
    pub power: Option<&'a Power>,
    /// Texts that the service reads at its start.
    pub texts: &'a [String],
    /// Where contents of secrets and configs are read, and kept until they are handed over.
    pub shelf: &'a Shelf<'a>,
}

/// Instances of one service. A number beyond it is a slip of the finger.
const MOST_REPLICAS: u64 = 10_000;

/// The service at `node`. What does not fit is reported, and a default stands in its place.
pub(crate) fn service(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Service {
    let own = node.get("x-naru");
    let found = ports::ports(reader, node);
    let (ports, targets) = (found.published, found.targets);
    let traffic = own.and_then(|own| own.get("traffic"));
    // One number may be a port for TCP and one for UDP: of targets it is one.
    let spoken = ports.iter().map(|port| TargetPort { port: port.target, protocol: port.protocol });
    let spoken: Vec<TargetPort> = spoken.chain(targets.iter().cloned()).collect();
    let policy = naru_routing::policy(reader.report, reader.service, traffic, &spoken);
    let outside: Vec<TargetPort> =
        ports.iter().map(|port| TargetPort { port: port.target, protocol: port.protocol }).collect();
    let published = own.and_then(|own| own.get("published"));
    let published =
        naru_routing::published(reader.report, reader.service, published, &outside, setting.folder);
    let template = template(reader, node, setting, targets, found.engine);
    let singleton =
        reader.truth("x-naru.singleton", own.and_then(|own| own.get("singleton"))).unwrap_or(false);
    let together = if singleton { Together::Never } else { Together::Allowed };
    let replicas = replicas(reader, node, together);
    let rollout = rollout::rollout(reader, node, template.health.as_ref(), together);
    let mode = mode(reader, node);
    let max_concurrent = max_concurrent(reader, node, mode);
    check_job(reader, node, mode, &template);
    Service {
        build: build::build(node),
        mode,
        max_concurrent,
        replicas,
        ports,
        depends_on: depends_on(node, setting.root),
        rollout,
        work: work::work_policy(reader, own.and_then(|own| own.get("work"))),
        singleton,
        policy,
        direct: reader.truth("x-naru.direct", own.and_then(|own| own.get("direct"))).unwrap_or(false),
        published,
        power: power::power(reader, node, setting, mode),
        template,
    }
}

pub(crate) fn template(
    reader: &mut Reader<'_>,
    node: &Node,
    setting: &Setting<'_>,
    targets: Vec<TargetPort>,
    engine: Vec<EnginePort>,
) -> Template {
    let runs = Runs::of(node);
    let told = node.at(&["x-naru", "work"]);
    Template {
        run: run(reader, node, setting, engine),
        environment: texts(node.get("environment")),
        working_dir: working_dir(node, setting.folder),
        user: text(node, "user"),
        health: health::health(reader, node, &targets),
        restart: restart(reader, node),
        stop_signal: stop_signal(reader, node, runs),
        stop_grace: reader.span("stop_grace_period", node.get("stop_grace_period")).unwrap_or(Span::secs(10)),
        resources: resources(node),
        busy: work::busy(reader, told, &targets),
        quiet: work::quiet(reader, told, node, &targets),
        post_start: hooks::hooks(reader, node, "post_start", runs),
        pre_stop: hooks::hooks(reader, node, "pre_stop", runs),
        labels: texts(node.get("labels")),
        content_digest: content_digest(setting.texts),
        targets,
    }
}

/// A container's is its image's, written as an empty text, unless the file names one.
fn stop_signal(reader: &mut Reader<'_>, node: &Node, runs: Runs) -> String {
    let written = work::signal(reader, "stop_signal", node.get("stop_signal"), node);
    written.unwrap_or_else(|| if runs == Runs::Process { "SIGTERM".into() } else { String::new() })
}

/// The scalars below `node`, by name.
pub(crate) fn texts(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.into_iter().flat_map(Node::entries);
    entries.filter_map(|(name, value)| Some((name.clone(), value.scalar()?))).collect()
}

/// The scalars of the list at `key`.
pub(crate) fn words(node: &Node, key: &str) -> Vec<String> {
    node.get(key).map(Node::items).unwrap_or_default().iter().filter_map(Node::scalar).collect()
}

/// The text at `key`, if it is not empty.
pub(crate) fn text(node: &Node, key: &str) -> Option<String> {
    node.get_str(key).filter(|text| !text.is_empty()).map(str::to_string)
}

/// The number at `key`.
pub(crate) fn number<T: std::str::FromStr>(node: &Node, key: &str) -> Option<T> {
    node.get(key)?.scalar()?.parse().ok()
}

pub(crate) fn is_true(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.value), Some(Value::Bool(true)))
}

fn run(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>, ports: Vec<EnginePort>) -> Run {
    let Some(process) = node.at(&["x-naru", "process"]) else {
        return Run::Container(container::container(reader, node, setting, ports).into());
    };
    let Some(command) = process.get("command") else {
        reader.lack(process.key, "x-naru.process has no command", "add command: [program, argument]");
        return Run::Process(Process::default());
    };
    Run::Process(reader.command("x-naru.process.command", command).unwrap_or_default())
}

/// A process runs in the project's folder, or in one relative to it. A container's folder is the image's
/// own, written as an empty text, unless the file names one.
fn working_dir(node: &Node, folder: &str) -> String {
    match (node.get_str("working_dir"), Runs::of(node)) {
        (Some(path), Runs::Process) => unix_path::absolute(folder, path, None),
        (None, Runs::Process) => folder.to_string(),
        (path, Runs::Container) => path.unwrap_or_default().to_string(),
    }
}

fn replicas(reader: &mut Reader<'_>, node: &Node, together: Together) -> u32 {
    let (scale, replicas) = (node.get("scale"), node.at(&["deploy", "replicas"]));
    let written = scale.or(replicas);
    let key = if scale.is_some() { "scale" } else { "deploy.replicas" };
    let count = reader.whole(key, written, 0, MOST_REPLICAS).unwrap_or(1);
    if let Some(written) = written.filter(|_| together == Together::Never && count > 1) {
        reader.error(
            written.pos,
            format!("{key} is {count}, and x-naru.singleton allows 1"),
            "keep one of them",
        );
    }
    u32::try_from(count).unwrap_or(1)
}

fn mode(reader: &mut Reader<'_>, node: &Node) -> Mode {
    let words = [
        ("replicated", Mode::Replicated),
        ("global", Mode::Global),
        ("replicated-job", Mode::ReplicatedJob),
        ("global-job", Mode::GlobalJob),
    ];
    reader.word("deploy.mode", node.at(&["deploy", "mode"]), &words).unwrap_or(Mode::Replicated)
}

fn max_concurrent(reader: &mut Reader<'_>, node: &Node, mode: Mode) -> Option<u32> {
    let written = node.at(&["x-naru", "max_concurrent"]);
    let count = reader.whole("x-naru.max_concurrent", written, 1, MOST_REPLICAS)?;
    if let (false, Some(written)) = (mode == Mode::ReplicatedJob, written) {
        let what = "x-naru.max_concurrent is about deploy.mode replicated-job";
        reader.error(written.pos, what, "write that mode, or leave it out");
    }
    u32::try_from(count).ok()
}

/// What runs to its end is called by nobody, and is not started again once it has ended well.
fn check_job(reader: &mut Reader<'_>, node: &Node, mode: Mode, template: &Template) {
    let Some(written) = node.at(&["deploy", "mode"]).filter(|_| mode.is_job()) else { return };
    if !template.targets.is_empty() {
        let what = format!("deploy.mode: {} has no ports", written.shown());
        reader.error(written.pos, what, "remove ports and expose, or choose another mode");
    }
    if template.restart.policy == RestartPolicy::Always {
        let what = format!("deploy.mode: {} ends, and restart starts it again each time", written.shown());
        reader.error(written.pos, what, "write restart: on-failure, or \"no\"");
    }
}

pub(crate) fn depends_on(node: &Node, root: &Node) -> BTreeMap<ServiceName, Dependency> {
    let active = |name: &String| root.at(&["services", name]).is_some();
    let dependency = |node: &Node| Dependency {
        condition: match node.get_str("condition") {
            Some("service_healthy") => Condition::ServiceHealthy,
            Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
            _ => Condition::ServiceStarted,
        },
        required: is_true(node.get("required")),
        restart: is_true(node.get("restart")),
    };
    let entries = node.get("depends_on").into_iter().flat_map(Node::entries);
    entries
        .filter(|(name, _)| active(name))
        .map(|(name, node)| (name.as_str().into(), dependency(node)))
        .collect()
}

fn resources(node: &Node) -> Resources {
    let at = |path: &[&str], own: &str| node.at(path).or_else(|| node.get(own)).and_then(Node::scalar);
    let milli = |text: Option<String>| {
        let cpus: f64 = text?.parse().ok()?;
        (cpus > 0.0).then(|| (cpus * 1000.0).round() as u64)
    };
    let count = |text: Option<String>| text?.parse().ok().filter(|count: &u64| *count > 0);
    let (limits, reserved) = (["deploy", "resources", "limits"], ["deploy", "resources", "reservations"]);
    let below = |group: [&'static str; 3], key: &'static str| [group[0], group[1], group[2], key];
    Resources {
        cpus_milli: milli(at(&below(limits, "cpus"), "cpus")),
        memory: count(at(&below(limits, "memory"), "mem_limit")),
        pids: count(at(&below(limits, "pids"), "pids_limit")),
        reserved_cpus_milli: milli(node.at(&below(reserved, "cpus")).and_then(Node::scalar)),
        reserved_memory: count(at(&below(reserved, "memory"), "mem_reservation")),
    }
}

/// That of the files that the service's environment and labels are read from.
fn content_digest(texts: &[String]) -> Option<String> {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    (!texts.is_empty()).then(|| hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}
