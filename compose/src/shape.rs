//! The canonical form as data: which keys each mapping has, what each holds, and when it is left out.
//!
//! Taken from what `docker compose config --format json` prints: an empty text is left out, a number of
//! zero mostly too, `command` and `entrypoint` never.

use Empty::{Keep, Omit, Pointer};
use Kind::*;

/// What a key holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Bool,
    Int,
    Float,
    Duration,
    /// A size, printed in bytes as a text.
    Bytes,
    /// A file's mode, printed in octal as a text.
    Mode,
    /// A number of devices; `all` is -1.
    Count,
    /// A list of words, or a text that a shell would split.
    Command,
    /// A health check's test: a list, or a text for the shell.
    Test,
    /// A list of texts, or one text.
    Texts,
    /// Texts by name; a name without a value is null.
    Environment,
    /// Texts by name; a name without a value is empty.
    Pairs,
    /// Lists of texts by name.
    Lists,
    /// Addresses of hosts, printed as a sorted list of `HOST=ADDRESS`.
    Hosts,
    Ssh,
    Ulimit,
    /// Kept as it is.
    Raw,
    List(&'static Kind),
    Map(&'static Kind),
    Struct(&'static [Field]),
}

/// When a key is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// When there is nothing in it.
    Omit,
    /// When it is not written.
    Pointer,
    /// Never.
    Keep,
}

/// One key of a mapping.
pub(crate) struct Field {
    pub key: &'static str,
    pub kind: Kind,
    pub empty: Empty,
}

const fn omit(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, empty: Omit }
}

const fn pointer(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, empty: Pointer }
}

const fn keep(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, empty: Keep }
}

/// The whole file. `name` is set by the caller; keys that begin with `x-` are passed through.
pub(crate) const PROJECT: &[Field] = &[
    keep("name", Text),
    keep("services", Map(&Struct(SERVICE))),
    // Written as services are; the schema keeps apart which key is whose.
    omit("jobs", Map(&Struct(SERVICE))),
    omit("networks", Map(&Struct(NETWORK))),
    omit("volumes", Map(&Struct(VOLUME))),
    omit("secrets", Map(&Struct(FILE_OBJECT))),
    omit("configs", Map(&Struct(FILE_OBJECT))),
    // Looked at by the checks, and not printed.
    omit("models", Raw),
];

const SERVICE: &[Field] = &[
    omit("profiles", Texts),
    omit("annotations", Pairs),
    pointer("attach", Bool),
    pointer("build", Struct(BUILD)),
    pointer("develop", Struct(&[omit("watch", List(&Struct(WATCH)))])),
    pointer("blkio_config", Struct(BLKIO)),
    omit("cap_add", Texts),
    omit("cap_drop", Texts),
    omit("cgroup_parent", Text),
    omit("cgroup", Text),
    omit("cpu_count", Int),
    omit("cpu_percent", Float),
    omit("cpu_period", Int),
    omit("cpu_quota", Int),
    omit("cpu_rt_period", Int),
    omit("cpu_rt_runtime", Int),
    omit("cpus", Float),
    omit("cpuset", Text),
    omit("cpu_shares", Int),
    keep("command", Command),
    omit("configs", List(&Struct(FILE_REFERENCE))),
    omit("container_name", Text),
    pointer("credential_spec", Struct(&[omit("config", Text), omit("file", Text), omit("registry", Text)])),
    omit("depends_on", Map(&Struct(DEPENDENCY))),
    pointer("deploy", Struct(DEPLOY)),
    omit("device_cgroup_rules", Texts),
    omit("devices", List(&Struct(DEVICE))),
    omit("dns", Texts),
    omit("dns_opt", Texts),
    omit("dns_search", Texts),
    omit("domainname", Text),
    keep("entrypoint", Command),
    pointer("provider", Struct(&[omit("type", Text), omit("options", Lists)])),
    omit("environment", Environment),
    omit("env_file", List(&Struct(ENV_FILE))),
    omit("expose", Texts),
    omit("external_links", Texts),
    omit("extra_hosts", Hosts),
    omit("group_add", Texts),
    omit("gpus", List(&Struct(DEVICE_REQUEST))),
    omit("hostname", Text),
    pointer("healthcheck", Struct(HEALTH)),
    omit("image", Text),
    pointer("init", Bool),
    omit("ipc", Text),
    omit("isolation", Text),
    omit("labels", Pairs),
    omit("label_file", Texts),
    omit("links", Texts),
    pointer("logging", Struct(&[omit("driver", Text), omit("options", Pairs)])),
    omit("mem_limit", Bytes),
    omit("mem_reservation", Bytes),
    omit("memswap_limit", Bytes),
    omit("mem_swappiness", Bytes),
    omit("mac_address", Text),
    omit("models", Map(&Struct(&[omit("endpoint_var", Text), omit("model_var", Text)]))),
    omit("network_mode", Text),
    omit("networks", Map(&Struct(SERVICE_NETWORK))),
    omit("oom_kill_disable", Bool),
    omit("oom_score_adj", Int),
    omit("pid", Text),
    omit("pids_limit", Int),
    omit("platform", Text),
    omit("ports", List(&Struct(PORT))),
    omit("privileged", Bool),
    omit("pull_policy", Text),
    omit("read_only", Bool),
    omit("restart", Text),
    omit("runtime", Text),
    pointer("scale", Int),
    omit("secrets", List(&Struct(FILE_REFERENCE))),
    omit("security_opt", Texts),
    omit("shm_size", Bytes),
    omit("stdin_open", Bool),
    pointer("stop_grace_period", Duration),
    omit("stop_signal", Text),
    omit("storage_opt", Pairs),
    omit("sysctls", Pairs),
    omit("tmpfs", Texts),
    omit("triggers", Struct(TRIGGERS)),
    omit("tty", Bool),
    omit("ulimits", Map(&Ulimit)),
    omit("use_api_socket", Bool),
    omit("user", Text),
    omit("userns_mode", Text),
    omit("uts", Text),
    omit("volumes", List(&Struct(MOUNT))),
    omit("volumes_from", Texts),
    omit("working_dir", Text),
    omit("pre_start", List(&Struct(PRE_START))),
    omit("post_start", List(&Struct(HOOK))),
    omit("pre_stop", List(&Struct(HOOK))),
    // The reference drops what begins with x- from a service; what Naru reads is shown.
    pointer("x-naru", Raw),
];

/// Of jobs.
const TRIGGERS: &[Field] = &[
    pointer("manual", Bool),
    omit(
        "schedule",
        List(&Struct(&[
            keep("cron", Text),
            omit("timezone", Text),
            omit("concurrency", Text),
            omit("missed_fires", Text),
        ])),
    ),
];

const HOOK: &[Field] = &[
    keep("command", Command),
    omit("user", Text),
    omit("privileged", Bool),
    omit("working_dir", Text),
    omit("environment", Environment),
];

const PRE_START: &[Field] = &[
    keep("command", Command),
    omit("image", Text),
    omit("user", Text),
    omit("privileged", Bool),
    omit("working_dir", Text),
    omit("environment", Environment),
    omit("per_replica", Bool),
];

const BUILD: &[Field] = &[
    omit("context", Text),
    omit("dockerfile", Text),
    omit("dockerfile_inline", Text),
    omit("entitlements", Texts),
    omit("args", Environment),
    omit("provenance", Text),
    omit("sbom", Text),
    omit("ssh", Ssh),
    omit("labels", Pairs),
    omit("cache_from", Texts),
    omit("cache_to", Texts),
    omit("no_cache", Bool),
    omit("no_cache_filter", Texts),
    omit("additional_contexts", Pairs),
    omit("pull", Bool),
    omit("extra_hosts", Hosts),
    omit("isolation", Text),
    omit("network", Text),
    omit("target", Text),
    omit("secrets", List(&Struct(FILE_REFERENCE))),
    omit("shm_size", Bytes),
    omit("tags", Texts),
    omit("ulimits", Map(&Ulimit)),
    omit("platforms", Texts),
    omit("privileged", Bool),
];

const WATCH: &[Field] = &[
    keep("path", Text),
    keep("action", Text),
    omit("target", Text),
    keep("exec", Struct(HOOK)),
    omit("include", Texts),
    omit("ignore", Texts),
    omit("initial_sync", Bool),
];

const RATE: Kind = List(&Struct(&[keep("Path", Text), keep("Rate", Bytes)]));

const BLKIO: &[Field] = &[
    omit("weight", Int),
    omit("weight_device", List(&Struct(&[keep("Path", Text), keep("Weight", Int)]))),
    omit("device_read_bps", RATE),
    omit("device_read_iops", RATE),
    omit("device_write_bps", RATE),
    omit("device_write_iops", RATE),
];

const FILE_REFERENCE: &[Field] = &[
    omit("source", Text),
    omit("target", Text),
    omit("uid", Text),
    omit("gid", Text),
    pointer("mode", Mode),
];

const DEPENDENCY: &[Field] = &[omit("condition", Text), omit("restart", Bool), keep("required", Bool)];

const DEPLOY: &[Field] = &[
    omit("mode", Text),
    pointer("replicas", Int),
    omit("labels", Pairs),
    pointer("update_config", Struct(UPDATE)),
    pointer("rollback_config", Struct(UPDATE)),
    keep(
        "resources",
        Struct(&[pointer("limits", Struct(RESOURCE)), pointer("reservations", Struct(RESOURCE))]),
    ),
    pointer(
        "restart_policy",
        Struct(&[
            omit("condition", Text),
            pointer("delay", Duration),
            pointer("max_attempts", Int),
            pointer("window", Duration),
        ]),
    ),
    keep(
        "placement",
        Struct(&[
            omit("constraints", Texts),
            omit("preferences", List(&Struct(&[omit("spread", Text)]))),
            omit("max_replicas_per_node", Int),
        ]),
    ),
    omit("endpoint_mode", Text),
];

const UPDATE: &[Field] = &[
    pointer("parallelism", Int),
    omit("delay", Duration),
    omit("failure_action", Text),
    omit("monitor", Duration),
    omit("max_failure_ratio", Float),
    omit("order", Text),
];

const RESOURCE: &[Field] = &[
    omit("cpus", Float),
    omit("memory", Bytes),
    omit("pids", Int),
    omit("devices", List(&Struct(DEVICE_REQUEST))),
    omit(
        "generic_resources",
        List(&Struct(&[pointer(
            "discrete_resource_spec",
            Struct(&[keep("kind", Text), keep("value", Int)]),
        )])),
    ),
];

const DEVICE: &[Field] = &[omit("source", Text), omit("target", Text), omit("permissions", Text)];

const DEVICE_REQUEST: &[Field] = &[
    omit("capabilities", Texts),
    omit("driver", Text),
    omit("count", Count),
    omit("device_ids", Texts),
    omit("options", Pairs),
];

const ENV_FILE: &[Field] = &[omit("path", Text), keep("required", Bool), omit("format", Text)];

const HEALTH: &[Field] = &[
    omit("test", Test),
    pointer("timeout", Duration),
    pointer("interval", Duration),
    pointer("retries", Int),
    pointer("start_period", Duration),
    pointer("start_interval", Duration),
    omit("disable", Bool),
];

const SERVICE_NETWORK: &[Field] = &[
    omit("aliases", Texts),
    omit("driver_opts", Pairs),
    omit("gw_priority", Int),
    omit("interface_name", Text),
    omit("ipv4_address", Text),
    omit("ipv6_address", Text),
    omit("link_local_ips", Texts),
    omit("mac_address", Text),
    omit("priority", Int),
];

const PORT: &[Field] = &[
    omit("name", Text),
    omit("mode", Text),
    omit("host_ip", Text),
    omit("target", Int),
    omit("published", Text),
    omit("protocol", Text),
    omit("app_protocol", Text),
];

const MOUNT: &[Field] = &[
    omit("type", Text),
    omit("source", Text),
    omit("target", Text),
    omit("read_only", Bool),
    omit("consistency", Text),
    pointer(
        "bind",
        Struct(&[
            omit("selinux", Text),
            omit("propagation", Text),
            omit("create_host_path", Bool),
            omit("recursive", Text),
        ]),
    ),
    pointer("volume", Struct(&[omit("labels", Pairs), omit("nocopy", Bool), omit("subpath", Text)])),
    pointer("tmpfs", Struct(&[omit("size", Bytes), omit("mode", Int)])),
    pointer("image", Struct(&[omit("subpath", Text)])),
];

const NETWORK: &[Field] = &[
    omit("name", Text),
    omit("driver", Text),
    omit("driver_opts", Pairs),
    keep(
        "ipam",
        Struct(&[
            omit("driver", Text),
            omit(
                "config",
                List(&Struct(&[
                    omit("subnet", Text),
                    omit("gateway", Text),
                    omit("ip_range", Text),
                    omit("aux_addresses", Pairs),
                ])),
            ),
        ]),
    ),
    omit("external", Bool),
    omit("internal", Bool),
    omit("attachable", Bool),
    omit("labels", Pairs),
    pointer("enable_ipv4", Bool),
    pointer("enable_ipv6", Bool),
];

const VOLUME: &[Field] = &[
    omit("name", Text),
    omit("driver", Text),
    omit("driver_opts", Pairs),
    omit("external", Bool),
    omit("labels", Pairs),
];

const FILE_OBJECT: &[Field] = &[
    omit("name", Text),
    omit("file", Text),
    omit("environment", Text),
    omit("content", Text),
    omit("external", Bool),
    omit("labels", Pairs),
    omit("driver", Text),
    omit("driver_opts", Pairs),
    omit("template_driver", Text),
];

#[cfg(test)]
mod tests {
    use super::{Field, Kind, PROJECT, SERVICE};
    use naru_meaning::SERVICE_KEYS;

    fn below<'f>(fields: &'f [Field], key: &str) -> &'f [Field] {
        match fields.iter().find(|field| field.key == key).map(|field| &field.kind) {
            Some(Kind::Struct(fields)) => fields,
            _ => panic!("{key} is no mapping"),
        }
    }

    #[test]
    fn every_key_of_a_service_has_a_row_that_says_what_becomes_of_it() {
        assert!(PROJECT.iter().any(|field| field.key == "services"));
        let known = |path: &str| {
            let inside = format!("{path}.");
            SERVICE_KEYS.iter().any(|key| key.path == path || key.path.starts_with(&inside))
        };
        let own = SERVICE.iter().filter(|field| !matches!(field.key, "x-naru" | "triggers"));
        let mut paths: Vec<String> = own.map(|field| field.key.to_string()).collect();
        for group in ["build", "deploy"] {
            paths.extend(below(SERVICE, group).iter().map(|field| format!("{group}.{}", field.key)));
        }
        for path in &paths {
            assert!(known(path), "{path} has no row in SERVICE_KEYS");
        }
        for key in SERVICE_KEYS {
            let first: Vec<&str> = key.path.split('.').take(2).collect();
            assert!(paths.contains(&first.join(".")), "{} is no key of a service", key.path);
        }
    }
}
