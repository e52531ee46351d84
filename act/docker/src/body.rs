//! A launch in the engine's words.

use crate::find::{HOME, INSTANCE, RUN, SERVICE, STACK};
use crate::mounts::{binds, map, mounts};
use crate::network::Joined;
use crate::{Launch, PortMap};
use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, Mount, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use naru_model::{Container, InstanceId, Transport};
use std::collections::HashMap;

/// What is settled for one start, beside its launch.
pub(crate) struct Settled<'a> {
    pub(crate) home: &'a str,
    pub(crate) id: &'a InstanceId,
    pub(crate) run: u64,
    /// The image's id.
    pub(crate) image: &'a str,
    pub(crate) joined: &'a Joined,
    /// Ports of loopback, where the host reaches the container only so.
    pub(crate) publish: &'a PortMap,
    /// Those of its secrets and configs.
    pub(crate) files: Vec<Mount>,
    /// Whether somebody has its streams: its input ends when they go.
    pub(crate) attached: bool,
}

/// The whole of what the engine is told.
pub(crate) fn body(launch: &Launch, settled: Settled) -> ContainerCreateBody {
    let container = &launch.container;
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let bindings = bindings(launch, settled.publish);
    let mut exposed: Vec<String> = bindings.keys().cloned().collect();
    exposed.sort();
    ContainerCreateBody {
        image: Some(settled.image.to_owned()),
        hostname: container.hostname.clone(),
        domainname: container.domainname.clone(),
        user: launch.user.clone(),
        tty: Some(container.tty),
        open_stdin: Some(container.stdin_open),
        stdin_once: Some(container.stdin_open && settled.attached),
        env: Some(launch.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: container.command.clone(),
        entrypoint: container.entrypoint.clone().map(no_entrypoint),
        working_dir: text(&launch.working_dir),
        labels: Some(labels(launch, &settled)),
        stop_signal: text(&launch.stop_signal),
        healthcheck: Some(no_check()),
        exposed_ports: Some(exposed),
        networking_config: settled.joined.first_endpoint().map(|(name, endpoint)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(name, endpoint)])),
        }),
        host_config: Some(host_config(launch, &settled, bindings)),
        ..ContainerCreateBody::default()
    }
}

/// An empty list is, for the engine, as if nothing were said; a list of one empty word is none at all.
fn no_entrypoint(words: Vec<String>) -> Vec<String> {
    if words.is_empty() { vec![String::new()] } else { words }
}

/// The engine asks nothing: Naru asks by itself, the image's own check too.
fn no_check() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".into()]), ..HealthConfig::default() }
}

fn labels(launch: &Launch, settled: &Settled) -> HashMap<String, String> {
    let mut all = map(&launch.labels).unwrap_or_default();
    let own = [
        (HOME, settled.home.to_owned()),
        (INSTANCE, settled.id.to_string()),
        (RUN, settled.run.to_string()),
        (STACK, launch.stack.to_string()),
        (SERVICE, launch.service.to_string()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// Ports that the engine publishes: those that the file asks of it, and on loopback those that the edge needs there.
fn bindings(launch: &Launch, publish: &PortMap) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut all: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    let mut bind = |target: u16, transport: &str, ip: &str, port: Option<u16>| {
        let host_port = port.map(|port| port.to_string()).unwrap_or_default();
        let binding = PortBinding { host_ip: Some(ip.to_owned()), host_port: Some(host_port) };
        all.entry(format!("{target}/{transport}")).or_default().get_or_insert_default().push(binding);
    };
    for port in &launch.container.ports {
        bind(port.target, port.transport.word(), &port.host_ip, port.published);
    }
    for (target, port) in publish {
        let is_udp = launch.udp.contains(target);
        let transport = if is_udp { Transport::Udp } else { Transport::Tcp };
        bind(*target, transport.word(), "127.0.0.1", Some(*port));
    }
    all
}

fn host_config(
    launch: &Launch,
    settled: &Settled,
    bindings: HashMap<String, Option<Vec<PortBinding>>>,
) -> HostConfig {
    let container = &launch.container;
    let mut all_mounts = mounts(launch);
    all_mounts.extend(settled.files.iter().cloned());
    let logging = container
        .logging
        .as_ref()
        .map(|logging| HostConfigLogConfig { typ: logging.driver.clone(), config: map(&logging.options) });
    let mut config = HostConfig {
        network_mode: Some(settled.joined.mode.clone()),
        port_bindings: Some(bindings),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        binds: Some(binds(launch)),
        mounts: Some(all_mounts),
        tmpfs: map(&container.tmpfs),
        extra_hosts: Some(extra_hosts(launch)),
        dns: list(&container.dns.servers),
        dns_search: list(&container.dns.search),
        dns_options: list(&container.dns.options),
        init: container.init,
        log_config: logging,
        annotations: map(&container.annotations),
        runtime: container.runtime.clone(),
        ..HostConfig::default()
    };
    privileges(&mut config, container);
    hardware(&mut config, container);
    namespaces(&mut config, settled.joined);
    limits(&mut config, launch);
    config
}

fn extra_hosts(launch: &Launch) -> Vec<String> {
    let given = launch.container.extra_hosts.iter().map(|host| format!("{}:{}", host.name, host.address));
    let own = launch.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}"));
    given.chain(own).collect()
}

fn privileges(config: &mut HostConfig, container: &Container) {
    let asked = &container.privileges;
    config.privileged = Some(asked.privileged);
    config.cap_add = list(&asked.cap_add);
    config.cap_drop = list(&asked.cap_drop);
    config.security_opt = list(&asked.security_opt);
    config.group_add = list(&asked.group_add);
    config.readonly_rootfs = Some(asked.read_only);
}

fn hardware(config: &mut HostConfig, container: &Container) {
    let devices = container.hardware.devices.iter().map(|device| DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    });
    config.devices = Some(devices.collect());
    config.device_cgroup_rules = list(&container.hardware.cgroup_rules);
    let requests = container.hardware.requests.iter().map(|request| DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: list(&request.device_ids),
        capabilities: Some(vec![request.capabilities.clone()]),
        options: map(&request.options),
    });
    config.device_requests = Some(requests.collect());
}

fn namespaces(config: &mut HostConfig, joined: &Joined) {
    let shared = joined.shared.clone();
    config.pid_mode = shared.pid;
    config.ipc_mode = shared.ipc;
    config.uts_mode = shared.uts;
    config.userns_mode = shared.users;
    config.cgroup_parent = shared.cgroup_parent;
    config.cgroupns_mode = shared.cgroup.as_deref().and_then(|word| match word {
        "host" => Some(HostConfigCgroupnsModeEnum::HOST),
        "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
        _ => None,
    });
}

fn limits(config: &mut HostConfig, launch: &Launch) {
    let (asked, resources) = (&launch.container.limits, &launch.resources);
    let ulimits = asked.ulimits.iter().map(|(name, limit)| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    });
    config.ulimits = Some(ulimits.collect());
    config.sysctls = map(&asked.sysctls);
    config.shm_size = asked.shm_size.map(|bytes| bytes as i64);
    config.cpu_shares = asked.cpu_shares;
    config.cpuset_cpus = asked.cpuset.clone();
    (config.cpu_quota, config.cpu_period) = (asked.cpu_quota, asked.cpu_period);
    // Thousandths of a CPU, told as thousand-millionths.
    config.nano_cpus = resources.cpus_milli.map(|milli| (milli * 1_000_000) as i64);
    config.memory = resources.memory.map(|bytes| bytes as i64);
    config.memory_reservation = resources.reserved_memory.map(|bytes| bytes as i64);
    config.memory_swap = asked.memory_and_swap;
    config.memory_swappiness = asked.swappiness;
    config.pids_limit = resources.pids.map(|count| count as i64);
    config.oom_kill_disable = asked.oom_kill_disable.then_some(true);
    config.oom_score_adj = asked.oom_score_adj;
}

fn list(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}
