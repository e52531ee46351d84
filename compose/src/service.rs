//! The last step: a canonical service as the model has it, with every default of Naru filled in.

use crate::health;
use crate::network::{self, Runs};
use crate::read::Reader;
use crate::rollout::{self, Together};
use crate::unix_path;
use naru_model::{
    Action, AtLimit, Condition, Container, Dependency, HookCommand, HttpCall, Mode, Mount, MountSource,
    Process, QuietCall, Resources, Restart, RestartPolicy, Run, Service, ServiceName, Span, TargetPort,
    Template, Volume, WorkPolicy,
};
use naru_yaml::{Node, Value, units};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a service is made in.
pub(crate) struct Setting<'a> {
    /// The canonical tree.
    pub root: &'a Node,
    /// The project's folder, absolute.
    pub folder: &'a str,
    /// The stack's name.
    pub stack: &'a str,
    /// Texts that the service reads at its start.
    pub contents: &'a [String],
}

/// Instances of one service. A number beyond it is a slip of the finger.
const MOST_REPLICAS: u64 = 10_000;

/// The service at `node`. What does not fit is reported, and a default stands in its place.
pub(crate) fn service(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Service {
    let own = node.get("x-naru");
    let runs = if node.at(&["x-naru", "process"]).is_some() { Runs::Process } else { Runs::Container };
    let (ports, targets) = network::ports(reader, node, runs);
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
    let template = template(reader, node, setting, targets);
    let singleton =
        reader.truth("x-naru.singleton", own.and_then(|own| own.get("singleton"))).unwrap_or(false);
    let together = if singleton { Together::Never } else { Together::Allowed };
    let replicas = replicas(reader, node, together);
    let rollout = rollout::rollout(reader, node, template.health.as_ref(), replicas, together);
    Service {
        build: None,
        mode: mode(reader, node),
        replicas,
        ports,
        depends_on: depends_on(node, setting.root),
        rollout,
        work: work_policy(reader, own.and_then(|own| own.get("work"))),
        singleton,
        policy,
        direct: reader.truth("x-naru.direct", own.and_then(|own| own.get("direct"))).unwrap_or(false),
        published,
        template,
    }
}

fn template(
    reader: &mut Reader<'_>,
    node: &Node,
    setting: &Setting<'_>,
    targets: Vec<TargetPort>,
) -> Template {
    let work = node.at(&["x-naru", "work"]);
    let text = |key: &str| node.get_str(key).map(str::to_string);
    Template {
        run: run(reader, node, setting),
        environment: texts(node.get("environment")),
        working_dir: working_dir(node, setting.folder),
        user: text("user"),
        health: health::health(reader, node, &targets),
        restart: restart(reader, node),
        stop_signal: signal(reader, "stop_signal", node.get("stop_signal"), node)
            .unwrap_or_else(|| "SIGTERM".into()),
        stop_grace: reader.span("stop_grace_period", node.get("stop_grace_period")).unwrap_or(Span::secs(10)),
        resources: resources(node),
        busy: busy(reader, work, &targets),
        quiet: quiet(reader, work, node, &targets),
        post_start: hooks(reader, node, "post_start"),
        pre_stop: hooks(reader, node, "pre_stop"),
        labels: texts(node.get("labels")),
        content_digest: content_digest(node, setting),
        targets,
    }
}

fn texts(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.into_iter().flat_map(Node::entries);
    entries.filter_map(|(name, value)| Some((name.clone(), value.scalar()?))).collect()
}

fn run(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Run {
    if let Some(process) = node.at(&["x-naru", "process"]) {
        let Some(command) = process.get("command") else {
            reader.lack(process.key, "x-naru.process has no command", "add command: [program, argument]");
            return Run::Process(Process::default());
        };
        return Run::Process(reader.command("x-naru.process.command", command).unwrap_or_default());
    }
    let words = |key: &str| {
        let list = node.get(key).and_then(Node::list)?;
        Some(list.iter().filter_map(Node::scalar).collect())
    };
    let built = || format!("{}-{}", setting.stack, reader.service);
    let image = node.get_str("image").map_or_else(built, str::to_string);
    let container = Container {
        entrypoint: words("entrypoint"),
        command: words("command"),
        mounts: mounts(node, setting.root),
        ..Container::of(image)
    };
    Run::Container(container.into())
}

/// A process runs in the project's folder, or in one relative to it. A container's folder is the image's
/// own, written as an empty text, unless the file names one.
fn working_dir(node: &Node, folder: &str) -> String {
    let is_process = node.at(&["x-naru", "process"]).is_some();
    match (node.get_str("working_dir"), is_process) {
        (Some(path), true) => unix_path::absolute(folder, path, None),
        (None, true) => folder.to_string(),
        (path, false) => path.unwrap_or_default().to_string(),
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
    let words = [("replicated", Mode::Replicated), ("global", Mode::Global)];
    reader.word("deploy.mode", node.at(&["deploy", "mode"]), &words).unwrap_or(Mode::Replicated)
}

fn depends_on(node: &Node, root: &Node) -> BTreeMap<ServiceName, Dependency> {
    let active = |name: &String| root.at(&["services", name]).is_some();
    let truth =
        |node: &Node, key: &str| matches!(node.get(key).map(|node| &node.value), Some(Value::Bool(true)));
    let dependency = |node: &Node| Dependency {
        condition: match node.get_str("condition") {
            Some("service_healthy") => Condition::ServiceHealthy,
            Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
            _ => Condition::ServiceStarted,
        },
        required: truth(node, "required"),
        restart: truth(node, "restart"),
    };
    let entries = node.get("depends_on").into_iter().flat_map(Node::entries);
    entries
        .filter(|(name, _)| active(name))
        .map(|(name, node)| (name.as_str().into(), dependency(node)))
        .collect()
}

fn restart(reader: &mut Reader<'_>, node: &Node) -> Restart {
    let natural = Restart {
        policy: RestartPolicy::OnFailure,
        delay: Span(100),
        max_attempts: None,
        window: Span::secs(10),
    };
    match (node.get("restart"), node.at(&["deploy", "restart_policy"])) {
        (written, Some(policy)) => {
            if let Some(written) = written {
                let what = "restart gives way to deploy.restart_policy";
                reader.warn(written.key, what, "write it in one place");
            }
            restart_policy(reader, policy, natural)
        }
        (Some(written), None) => restart_word(reader, written, natural),
        (None, None) => natural,
    }
}

/// `restart: on-failure:3` and the like.
fn restart_word(reader: &mut Reader<'_>, written: &Node, natural: Restart) -> Restart {
    let text = written.str().unwrap_or_default();
    let (word, count) = match text.split_once(':') {
        Some((word, count)) => (word, Some(Node::text(count, written))),
        None => (text, None),
    };
    let words = [
        ("no", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::Always),
        ("on-failure", RestartPolicy::OnFailure),
    ];
    let word = reader.word("restart", Some(&Node::text(word, written)), &words);
    let max_attempts = attempts(reader, "restart", count.as_ref());
    Restart { policy: word.unwrap_or(natural.policy), max_attempts, ..natural }
}

fn restart_policy(reader: &mut Reader<'_>, policy: &Node, natural: Restart) -> Restart {
    let words = [
        ("any", RestartPolicy::Always),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::Always),
        ("on-failure", RestartPolicy::OnFailure),
        ("none", RestartPolicy::No),
        ("no", RestartPolicy::No),
    ];
    let key = |name: &str| format!("deploy.restart_policy.{name}");
    let word = reader.word(&key("condition"), policy.get("condition"), &words);
    Restart {
        policy: word.unwrap_or(RestartPolicy::Always),
        delay: reader.span(&key("delay"), policy.get("delay")).unwrap_or(natural.delay),
        max_attempts: attempts(reader, &key("max_attempts"), policy.get("max_attempts")),
        window: reader.span(&key("window"), policy.get("window")).unwrap_or(natural.window),
    }
}

/// 0 means no limit.
fn attempts(reader: &mut Reader<'_>, key: &str, node: Option<&Node>) -> Option<u32> {
    let count = reader.whole(key, node, 0, u64::from(u32::MAX))?;
    u32::try_from(count).ok().filter(|count| *count > 0)
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

fn work_policy(reader: &mut Reader<'_>, work: Option<&Node>) -> WorkPolicy {
    let get = |key: &str| work.and_then(|work| work.get(key));
    let words = [("wait", AtLimit::Wait), ("cut", AtLimit::Cut)];
    let at_limit = reader.word("x-naru.work.at_limit", get("at_limit"), &words).unwrap_or(AtLimit::Wait);
    let postpone_max = reader.span("x-naru.work.postpone_max", get("postpone_max"));
    if let Some(node) = get("at_limit").filter(|_| postpone_max.is_none() && at_limit == AtLimit::Cut) {
        let what = "x-naru.work.at_limit says what follows postpone_max, which is not written";
        reader.lack(node.key, what, "add postpone_max: 12h");
    }
    WorkPolicy { postpone_max, at_limit }
}

fn busy(reader: &mut Reader<'_>, work: Option<&Node>, targets: &[TargetPort]) -> Option<Action> {
    let node = work?.get("busy")?;
    action(reader, "x-naru.work.busy", node, targets)
}

fn quiet(
    reader: &mut Reader<'_>,
    work: Option<&Node>,
    service: &Node,
    targets: &[TargetPort],
) -> Option<QuietCall> {
    let node = work?.get("quiet")?;
    let Some(by_signal) = node.get("signal") else {
        return action(reader, "x-naru.work.quiet", node, targets).map(QuietCall::Call);
    };
    if let Some(other) = node.get("http").or_else(|| node.get("command")) {
        reader.error(other.key, "x-naru.work.quiet has two ways to tell", "keep one of them");
    }
    signal(reader, "x-naru.work.quiet.signal", Some(by_signal), service).map(QuietCall::Signal)
}

/// A signal by name or number. A container's is its engine's to judge.
fn signal(reader: &mut Reader<'_>, key: &str, node: Option<&Node>, service: &Node) -> Option<String> {
    let node = node?;
    let text = node.scalar()?;
    if service.at(&["x-naru", "process"]).is_some() && !units::is_signal(&text) {
        let what = format!("{key}: {} is no signal", node.shown());
        reader.error(node.pos, what, "write a name as SIGTERM or TERM, or a number from 1 to 64");
        return None;
    }
    Some(text)
}

/// `{http, port}`, `{command}`, or a command by itself.
fn action(reader: &mut Reader<'_>, key: &str, node: &Node, targets: &[TargetPort]) -> Option<Action> {
    if node.map().is_none() {
        return reader.command(key, node).map(Action::Command);
    }
    match (node.get("http"), node.get("command")) {
        (Some(_), None) => http_call(reader, key, node, targets).map(Action::Http),
        (None, Some(command)) => reader.command(&format!("{key}.command"), command).map(Action::Command),
        (Some(http), Some(_)) => {
            reader.error(http.key, format!("{key} has both http and command"), "keep one of them");
            None
        }
        (None, None) => {
            reader.lack(
                node.key,
                format!("{key} does not say whom to ask"),
                "add http: /path, or command: […]",
            );
            None
        }
    }
}

/// `http` and `port` below `node`, which has `http`.
pub(crate) fn http_call(
    reader: &mut Reader<'_>,
    key: &str,
    node: &Node,
    targets: &[TargetPort],
) -> Option<HttpCall> {
    let http = node.get("http")?;
    let path = http.str().unwrap_or_default().to_string();
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        let what = format!("{key}.http must be a path, not {}", http.shown());
        reader.error(http.pos, what, "write it with its leading slash: /healthz");
        return None;
    }
    let port = network::target(reader, &format!("{key}.port"), node.get("port"), targets);
    if targets.is_empty() && port.is_none() {
        let what = format!("{key}.http asks a port, and the service has none");
        reader.lack(http.pos, what, "add ports or expose");
    }
    Some(HttpCall { path, port })
}

fn hooks(reader: &mut Reader<'_>, node: &Node, key: &str) -> Vec<HookCommand> {
    let mut found = Vec::new();
    for hook in node.get(key).map(Node::items).unwrap_or_default() {
        for (other, value) in hook.entries().filter(|(name, _)| *name != "command") {
            reader.warn(
                value.key,
                format!("{key}.{other} is not supported yet, ignored"),
                "write it in the command",
            );
        }
        let command = hook.get("command").filter(|command| command.list().is_some());
        match command {
            Some(command) => {
                found.extend(reader.command(&format!("{key}.command"), command).map(HookCommand::from))
            }
            None => {
                reader.lack(hook.key, format!("{key} has an entry without a command"), "add command: […]")
            }
        }
    }
    found
}

fn mounts(node: &Node, root: &Node) -> Vec<Mount> {
    let mount = |node: &Node| Mount {
        source: mounted(node, root),
        target: node.get_str("target").unwrap_or_default().to_string(),
        read_only: is_true(node.get("read_only")),
    };
    node.get("volumes").map(Node::items).unwrap_or_default().iter().map(mount).collect()
}

fn is_true(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.value), Some(Value::Bool(true)))
}

fn mounted(node: &Node, root: &Node) -> MountSource {
    let source = node.get_str("source").map(str::to_string);
    let text = |group: &str, key: &str| node.at(&[group, key]).and_then(Node::scalar);
    match node.get_str("type") {
        Some("bind") => MountSource::Bind {
            path: source.unwrap_or_default(),
            create_host_path: is_true(node.at(&["bind", "create_host_path"])),
            propagation: text("bind", "propagation"),
            selinux: text("bind", "selinux"),
            recursive: text("bind", "recursive"),
        },
        Some("tmpfs") => MountSource::Tmpfs {
            size: text("tmpfs", "size").and_then(|size| size.parse().ok()),
            mode: text("tmpfs", "mode").and_then(|mode| mode.parse().ok()),
        },
        Some("image") => {
            MountSource::Image { image: source.unwrap_or_default(), subpath: text("image", "subpath") }
        }
        _ => MountSource::Volume {
            volume: source.map(|key| volume(root, key)),
            nocopy: is_true(node.at(&["volume", "nocopy"])),
            subpath: text("volume", "subpath"),
            labels: texts(node.at(&["volume", "labels"])),
        },
    }
}

/// The top-level volume of this key.
fn volume(root: &Node, key: String) -> Volume {
    let written = root.at(&["volumes", &key]);
    let text = |name: &str| written.and_then(|volume| volume.get(name)).and_then(Node::scalar);
    Volume {
        name: text("name").unwrap_or_else(|| key.clone()),
        external: text("external").as_deref() == Some("true"),
        driver: text("driver"),
        driver_options: texts(written.and_then(|volume| volume.get("driver_opts"))),
        labels: texts(written.and_then(|volume| volume.get("labels"))),
        key,
    }
}

/// Env files, and configs and secrets that say their content themselves.
fn content_digest(node: &Node, setting: &Setting<'_>) -> Option<String> {
    let mut hash = Sha256::new();
    let mut any = !setting.contents.is_empty();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    setting.contents.iter().for_each(|text| add(text));
    for item in node.get("configs").map(Node::items).unwrap_or_default() {
        let config = setting.root.at(&["configs", item.get_str("source").unwrap_or_default()]);
        if let Some(content) = config.and_then(|config| config.get_str("content")) {
            add(content);
            any = true;
        }
    }
    any.then(|| hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}
