//! Which key of a service has an effect where: one table, by which files are warned about and the report is written.
//!
//! Keys have their canonical paths. A group that is honoured as a whole has one row; a test holds that every key of
//! the canonical form has one.

use Effect::{Aside, Honoured, NoEffect, NotYet};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is honoured.
    Honoured,
    /// It is about the container that the process takes the place of: left aside without a word.
    Aside,
    /// A process has no use for it: accepted, with a warning.
    NoEffect,
    /// Accepted, with a warning: not supported yet.
    NotYet,
}

/// A key of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceKey {
    /// Its canonical path, below the service.
    pub path: &'static str,
    /// What becomes of it where the service is a process of the host.
    pub process: Effect,
    /// What becomes of it where the service is a container.
    pub container: Effect,
}

const fn on(path: &'static str, process: Effect, container: Effect) -> ServiceKey {
    ServiceKey { path, process, container }
}

/// All keys of a service, by their canonical paths.
pub const SERVICE_KEYS: &[ServiceKey] = &[
    on("annotations", NoEffect, Honoured),
    on("attach", Aside, NotYet),
    on("blkio_config", NotYet, NotYet),
    on("build.additional_contexts", Aside, NotYet),
    on("build.args", Aside, Honoured),
    on("build.cache_from", Aside, Honoured),
    on("build.cache_to", Aside, NotYet),
    on("build.context", Aside, Honoured),
    on("build.dockerfile", Aside, Honoured),
    on("build.dockerfile_inline", Aside, Honoured),
    on("build.entitlements", Aside, NotYet),
    on("build.extra_hosts", Aside, Honoured),
    on("build.isolation", Aside, NotYet),
    on("build.labels", Aside, Honoured),
    on("build.network", Aside, Honoured),
    on("build.no_cache", Aside, Honoured),
    on("build.no_cache_filter", Aside, NotYet),
    on("build.platforms", Aside, Honoured),
    on("build.privileged", Aside, NotYet),
    on("build.provenance", Aside, NotYet),
    on("build.pull", Aside, Honoured),
    on("build.sbom", Aside, NotYet),
    on("build.secrets", Aside, NotYet),
    on("build.shm_size", Aside, Honoured),
    on("build.ssh", Aside, NotYet),
    on("build.tags", Aside, Honoured),
    on("build.target", Aside, Honoured),
    on("build.ulimits", Aside, NotYet),
    on("cap_add", NotYet, Honoured),
    on("cap_drop", NotYet, Honoured),
    on("cgroup", NotYet, Honoured),
    on("cgroup_parent", NotYet, Honoured),
    on("command", Aside, Honoured),
    on("configs", NoEffect, Honoured),
    on("container_name", NoEffect, Honoured),
    on("cpu_count", NotYet, NotYet),
    on("cpu_percent", NotYet, NotYet),
    on("cpu_period", NotYet, Honoured),
    on("cpu_quota", NotYet, Honoured),
    on("cpu_rt_period", NotYet, NotYet),
    on("cpu_rt_runtime", NotYet, NotYet),
    on("cpu_shares", NotYet, Honoured),
    on("cpus", Honoured, Honoured),
    on("cpuset", NotYet, Honoured),
    on("credential_spec", NotYet, NotYet),
    on("depends_on", Honoured, Honoured),
    on("deploy.endpoint_mode", NotYet, NotYet),
    on("deploy.labels", NotYet, NotYet),
    on("deploy.mode", Honoured, Honoured),
    on("deploy.placement", NotYet, NotYet),
    on("deploy.replicas", Honoured, Honoured),
    on("deploy.resources.limits", Honoured, Honoured),
    on("deploy.resources.reservations.cpus", NotYet, NotYet),
    on("deploy.resources.reservations.devices", NotYet, Honoured),
    on("deploy.resources.reservations.generic_resources", NotYet, NotYet),
    on("deploy.resources.reservations.memory", NotYet, Honoured),
    on("deploy.restart_policy", Honoured, Honoured),
    on("deploy.rollback_config", Honoured, Honoured),
    on("deploy.update_config", Honoured, Honoured),
    on("develop", Aside, NotYet),
    on("device_cgroup_rules", NotYet, Honoured),
    on("devices", NotYet, Honoured),
    on("dns", NotYet, Honoured),
    on("dns_opt", NotYet, Honoured),
    on("dns_search", NotYet, Honoured),
    on("domainname", NotYet, Honoured),
    on("entrypoint", Aside, Honoured),
    on("env_file", Honoured, Honoured),
    on("environment", Honoured, Honoured),
    on("expose", Honoured, Honoured),
    on("external_links", NotYet, NotYet),
    on("extra_hosts", NotYet, Honoured),
    on("gpus", NotYet, Honoured),
    on("group_add", NotYet, Honoured),
    on("healthcheck", Honoured, Honoured),
    on("hostname", NoEffect, Honoured),
    on("image", Aside, Honoured),
    on("init", Aside, Honoured),
    on("ipc", NotYet, Honoured),
    on("isolation", NotYet, NotYet),
    on("label_file", NoEffect, Honoured),
    on("labels", NoEffect, Honoured),
    on("links", NotYet, NotYet),
    on("logging", NotYet, Honoured),
    on("mac_address", NotYet, Honoured),
    on("mem_limit", Honoured, Honoured),
    on("mem_reservation", NotYet, Honoured),
    on("mem_swappiness", NotYet, Honoured),
    on("memswap_limit", NotYet, Honoured),
    on("models", NotYet, NotYet),
    on("network_mode", NotYet, Honoured),
    on("networks", NoEffect, Honoured),
    on("oom_kill_disable", NotYet, Honoured),
    on("oom_score_adj", NotYet, Honoured),
    on("pid", NotYet, Honoured),
    on("pids_limit", Honoured, Honoured),
    on("platform", Aside, Honoured),
    on("ports", Honoured, Honoured),
    on("post_start", Honoured, Honoured),
    on("pre_start", NotYet, Honoured),
    on("pre_stop", Honoured, Honoured),
    on("privileged", NotYet, Honoured),
    on("profiles", Honoured, Honoured),
    on("provider", NotYet, NotYet),
    on("pull_policy", Aside, Honoured),
    on("read_only", NotYet, Honoured),
    on("restart", Honoured, Honoured),
    on("runtime", NotYet, Honoured),
    on("scale", Honoured, Honoured),
    on("secrets", NoEffect, Honoured),
    on("security_opt", NotYet, Honoured),
    on("shm_size", NotYet, Honoured),
    on("stdin_open", NotYet, Honoured),
    on("stop_grace_period", Honoured, Honoured),
    on("stop_signal", Honoured, Honoured),
    on("storage_opt", NotYet, NotYet),
    on("sysctls", NotYet, Honoured),
    on("tmpfs", NotYet, Honoured),
    on("tty", NotYet, Honoured),
    on("ulimits", NotYet, Honoured),
    on("use_api_socket", NotYet, NotYet),
    on("user", Honoured, Honoured),
    on("userns_mode", NotYet, Honoured),
    on("uts", NotYet, Honoured),
    on("volumes", NoEffect, Honoured),
    on("volumes_from", NotYet, NotYet),
    on("working_dir", Honoured, Honoured),
];

/// Keys of top-level objects that have no effect yet: they are the cluster's of another orchestrator.
pub const OBJECT_KEYS: &[(&str, &[&str])] = &[
    ("secrets", &["labels", "driver", "driver_opts", "template_driver"]),
    ("configs", &["labels", "driver", "driver_opts", "template_driver"]),
];

#[cfg(test)]
mod tests {
    use super::SERVICE_KEYS;

    #[test]
    fn every_key_stands_once_and_in_order() {
        let paths: Vec<&str> = SERVICE_KEYS.iter().map(|key| key.path).collect();
        assert!(paths.is_sorted_by(|a, b| a < b), "{paths:?}");
    }
}
