//! What is accepted and has no effect yet: named, each key once, at its place.

use crate::load::Unsupported;
use crate::xnaru::KEYS;
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
        match self.unsupported {
            Unsupported::Strict => {
                let message = format!("not supported yet: {key}");
                self.report.error_advised(pos, message, "remove it, or do without --strict");
            }
            Unsupported::Warn | Unsupported::Loose => {
                self.report.warn(pos, format!("not supported yet: {key}, ignored"));
            }
        }
    }

    /// A key that a process has no use for.
    pub fn not_for_process(&mut self, key: impl std::fmt::Display, pos: Pos) {
        match self.unsupported {
            Unsupported::Strict => {
                let message = format!("{key} has no effect on a process");
                self.report.error_advised(pos, message, "remove it, or do without --strict");
            }
            Unsupported::Warn | Unsupported::Loose => {
                self.report.warn(pos, format!("{key} has no effect on a process, ignored"));
            }
        }
    }

    /// Top-level keys of the merged file.
    pub fn file(&mut self, root: &Node) {
        for key in ["jobs", "models"] {
            if let Some(node) = root.get(key).filter(|node| is_written(node)) {
                self.not_yet(key, node.key);
            }
        }
    }

    /// Top-level volumes and networks that services use.
    pub fn resources(&mut self, root: &Node) {
        for (kind, keys) in OF_RESOURCES {
            for (name, resource) in root.get(kind).into_iter().flat_map(Node::entries) {
                for key in *keys {
                    let node = resource.at(&key.split('.').collect::<Vec<_>>());
                    if let Some(node) = node.filter(|node| is_written(node)) {
                        self.not_yet(format_args!("{kind}.{name}.{key}"), node.key);
                    }
                }
            }
        }
    }

    /// The keys of a canonical service.
    pub fn service(&mut self, name: &str, service: &Node) {
        let process = service.at(&["x-naru", "process"]).is_some();
        for key in NOT_YET {
            let parts: Vec<&str> = key.split('.').collect();
            let Some(node) = service.at(&parts).filter(|node| is_written(node)) else { continue };
            if !(process && OF_IMAGE.contains(key)) {
                self.not_yet(format_args!("services.{name}.{key}"), node.key);
            }
        }
        if let Some(labels) = service.get("labels").filter(|_| process) {
            self.not_for_process(format_args!("services.{name}.labels"), labels.key);
        }
        for key in ["volumes", "hostname", "container_name", "secrets", "configs"] {
            match service.get(key) {
                Some(node) if process => {
                    self.not_for_process(format_args!("services.{name}.{key}"), node.key)
                }
                Some(node) if key != "volumes" => {
                    self.not_yet(format_args!("services.{name}.{key}"), node.key);
                }
                Some(node) => self.mounts(name, node),
                None => {}
            }
        }
        self.networks(name, service);
        self.own(name, service);
    }

    /// What a mount says beyond source, target and read_only.
    fn mounts(&mut self, name: &str, volumes: &Node) {
        for volume in volumes.items() {
            let groups = ["bind", "volume", "tmpfs", "image"].iter().filter_map(|key| volume.get(key));
            for (key, node) in groups.flat_map(Node::entries).filter(|(key, _)| *key != "create_host_path") {
                self.not_yet(format_args!("services.{name}.volumes.{key}"), node.key);
            }
        }
    }

    /// The implicit network is everyone's; any other is not kept apart yet.
    fn networks(&mut self, name: &str, service: &Node) {
        let Some(networks) = service.get("networks") else { return };
        let implicit = networks.entries().all(|(name, node)| name == "default" && node.is_null());
        if implicit {
            return;
        }
        let key = format!("services.{name}.networks");
        match service.at(&["x-naru", "process"]).is_some() {
            true => self.not_for_process(key, networks.key),
            false => self.not_yet(key, networks.key),
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

/// Keys about an image, which a process does without.
const OF_IMAGE: &[&str] = &["build", "pull_policy", "platform", "init", "attach", "develop"];

/// Keys of top-level volumes and networks.
const OF_RESOURCES: &[(&str, &[&str])] = &[
    ("volumes", &["driver", "driver_opts", "labels"]),
    (
        "networks",
        &[
            "driver",
            "driver_opts",
            "external",
            "internal",
            "attachable",
            "labels",
            "enable_ipv4",
            "enable_ipv6",
            "ipam.config",
        ],
    ),
];

/// Keys of a service, by their canonical paths.
const NOT_YET: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpuset",
    "credential_spec",
    "deploy.endpoint_mode",
    "deploy.labels",
    "deploy.placement",
    "deploy.resources.reservations.cpus",
    "deploy.resources.reservations.devices",
    "deploy.resources.reservations.generic_resources",
    "deploy.resources.reservations.memory",
    "develop",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "init",
    "ipc",
    "isolation",
    "links",
    "logging",
    "mac_address",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "platform",
    "pre_start",
    "privileged",
    "provider",
    "pull_policy",
    "read_only",
    "runtime",
    "security_opt",
    "shm_size",
    "stdin_open",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "use_api_socket",
    "userns_mode",
    "uts",
    "volumes_from",
];
