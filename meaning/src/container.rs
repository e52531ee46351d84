//! A service's container, as the engine is told of it.

use crate::read::Reader;
use crate::service::{Runs, Setting, is_true, number, text, texts, words};
use crate::{hooks, mounts, networks};
use naru_model::{
    Container, Device, DeviceRequest, Dns, EnginePort, ExtraHost, Hardware, ImageHealth, Limits, Logging,
    Namespace, Namespaces, Privileges, PullPolicy, Span, Ulimit,
};
use naru_yaml::{Node, units};
use std::collections::BTreeMap;

/// The container of the service at `node`, with the ports that the engine publishes.
pub(crate) fn container(
    reader: &mut Reader<'_>,
    node: &Node,
    setting: &Setting<'_>,
    ports: Vec<EnginePort>,
) -> Container {
    let command = |key: &str| node.get(key).and_then(Node::list).map(|_| words(node, key));
    let built = || format!("{}-{}", setting.stack, reader.service);
    Container {
        image: text(node, "image").unwrap_or_else(built),
        pull: pull(reader, node),
        platform: text(node, "platform"),
        entrypoint: command("entrypoint"),
        command: command("command"),
        image_health: image_health(reader, node),
        name: text(node, "container_name"),
        hostname: text(node, "hostname"),
        domainname: text(node, "domainname"),
        connection: networks::connection(node, setting.root),
        ports,
        extra_hosts: extra_hosts(node),
        dns: Dns {
            servers: words(node, "dns"),
            search: words(node, "dns_search"),
            options: words(node, "dns_opt"),
        },
        mounts: mounts::mounts(node, setting.root),
        files: setting.shelf.files(reader, node, setting.root),
        tmpfs: mounts::tmpfs(node),
        privileges: privileges(node),
        hardware: hardware(node),
        namespaces: namespaces(node),
        limits: limits(node),
        init: node.get("init").map(|init| is_true(Some(init))),
        tty: is_true(node.get("tty")),
        stdin_open: is_true(node.get("stdin_open")),
        logging: node.get("logging").map(|logging| Logging {
            driver: text(logging, "driver"),
            options: texts(logging.get("options")),
        }),
        annotations: texts(node.get("annotations")),
        runtime: text(node, "runtime"),
        pre_start: hooks::preludes(reader, node),
    }
}

/// `pull_policy`. What the schema lets pass and nobody knows keeps the stack from being run.
fn pull(reader: &mut Reader<'_>, node: &Node) -> PullPolicy {
    let Some(written) = node.get("pull_policy") else { return PullPolicy::default() };
    let every = |text: &str| {
        let nanos = text.strip_prefix("every_").and_then(units::duration).filter(|nanos| *nanos >= 0)?;
        Some(PullPolicy::Every(Span(nanos.unsigned_abs().div_ceil(1_000_000))))
    };
    let known = match written.str().unwrap_or_default() {
        "missing" | "if_not_present" => Some(PullPolicy::Missing),
        "always" | "refresh" => Some(PullPolicy::Always),
        "never" => Some(PullPolicy::Never),
        "build" => Some(PullPolicy::Build),
        "daily" => Some(PullPolicy::Every(Span::secs(86_400))),
        "weekly" => Some(PullPolicy::Every(Span::secs(7 * 86_400))),
        other => every(other),
    };
    known.unwrap_or_else(|| {
        let what = format!("pull_policy {} is not one that is known", written.shown());
        reader.unfit(written.pos, what, "write always, missing, never, build, daily, weekly, or every_12h");
        PullPolicy::default()
    })
}

/// Whether the image's own health check counts. Times for a check that only the image has cannot be kept.
fn image_health(reader: &mut Reader<'_>, node: &Node) -> ImageHealth {
    let Some(written) = node.get("healthcheck") else { return ImageHealth::Counts };
    let test = written.get("test").map(Node::items).unwrap_or_default();
    let is_none = test.first().is_some_and(|first| first.str() == Some("NONE"));
    if is_true(written.get("disable")) || is_none {
        return ImageHealth::Off;
    }
    if test.is_empty() && node.at(&["x-naru", "health"]).is_none() {
        let what = "healthcheck has no test, and its times are not taken over to the image's own";
        reader.warn(written.key, what, "write the test as well");
    }
    ImageHealth::Counts
}

/// `extra_hosts`, each as `HOST=ADDRESS`.
pub(crate) fn extra_hosts(node: &Node) -> Vec<ExtraHost> {
    let split = |text: String| {
        let (name, address) = text.split_once('=')?;
        Some(ExtraHost { name: name.to_string(), address: address.to_string() })
    };
    words(node, "extra_hosts").into_iter().filter_map(split).collect()
}

fn privileges(node: &Node) -> Privileges {
    Privileges {
        privileged: is_true(node.get("privileged")),
        cap_add: words(node, "cap_add"),
        cap_drop: words(node, "cap_drop"),
        security_opt: words(node, "security_opt"),
        group_add: words(node, "group_add"),
        read_only: is_true(node.get("read_only")),
    }
}

fn hardware(node: &Node) -> Hardware {
    let device = |node: &Node| {
        let source = text(node, "source")?;
        Some(Device {
            target: text(node, "target").unwrap_or_else(|| source.clone()),
            permissions: text(node, "permissions").unwrap_or_else(|| "rwm".into()),
            source,
        })
    };
    let items = |node: Option<&Node>| node.map(Node::items).unwrap_or_default().to_vec();
    // What is asked for as a GPU has to be one.
    let gpus = items(node.get("gpus")).into_iter().map(|gpu| {
        let mut request = request(&gpu);
        request.capabilities.push("gpu".into());
        request
    });
    let reserved = items(node.at(&["deploy", "resources", "reservations", "devices"]));
    Hardware {
        devices: items(node.get("devices")).iter().filter_map(device).collect(),
        cgroup_rules: words(node, "device_cgroup_rules"),
        requests: gpus.chain(reserved.iter().map(request)).collect(),
    }
}

fn request(node: &Node) -> DeviceRequest {
    DeviceRequest {
        driver: text(node, "driver"),
        count: number(node, "count"),
        device_ids: words(node, "device_ids"),
        capabilities: words(node, "capabilities"),
        options: texts(node.get("options")),
    }
}

fn namespaces(node: &Node) -> Namespaces {
    let namespace = |key: &str| text(node, key).map(|text| namespace(&text));
    Namespaces {
        pid: namespace("pid"),
        ipc: namespace("ipc"),
        uts: namespace("uts"),
        users: namespace("userns_mode"),
        cgroup: namespace("cgroup"),
        cgroup_parent: text(node, "cgroup_parent"),
    }
}

fn namespace(text: &str) -> Namespace {
    match text.split_once(':') {
        Some(("service", name)) => Namespace::Service(name.into()),
        Some(("container", name)) => Namespace::Container(name.into()),
        _ => Namespace::Word(text.into()),
    }
}

fn limits(node: &Node) -> Limits {
    Limits {
        ulimits: ulimits(node),
        sysctls: texts(node.get("sysctls")),
        shm_size: number(node, "shm_size").filter(|size| *size > 0),
        cpu_shares: number(node, "cpu_shares"),
        cpuset: text(node, "cpuset"),
        cpu_quota: number(node, "cpu_quota"),
        cpu_period: number(node, "cpu_period"),
        memory_and_swap: number(node, "memswap_limit"),
        swappiness: number(node, "mem_swappiness"),
        oom_kill_disable: is_true(node.get("oom_kill_disable")),
        oom_score_adj: number(node, "oom_score_adj"),
    }
}

/// `ulimits`: one number for both, or each.
pub(crate) fn ulimits(node: &Node) -> BTreeMap<String, Ulimit> {
    let ulimit = |node: &Node| match node.scalar() {
        Some(text) => text.parse().ok().map(|both| Ulimit { soft: both, hard: both }),
        None => Some(Ulimit {
            soft: number(node, "soft").unwrap_or_default(),
            hard: number(node, "hard").unwrap_or_default(),
        }),
    };
    let written = node.get("ulimits").into_iter().flat_map(Node::entries);
    written.filter_map(|(name, node)| Some((name.clone(), ulimit(node)?))).collect()
}

/// Whether the service's containers are on the host's own network.
pub(crate) fn is_on_host(node: &Node) -> bool {
    Runs::of(node) == Runs::Container && node.get_str("network_mode") == Some("host")
}
