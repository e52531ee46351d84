//! The networks of a container: made when they are missing, removed when nothing is on them.

use crate::engine::{Found, Kind};
use crate::find::{HOME, SERVICE, STACK};
use crate::mounts::map;
use crate::{Error, Launch, Reach};
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
    NetworkInspect,
};
use bollard::query_parameters::{
    InspectNetworkOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};
use naru_model::{Attachment, Connection, Namespace, Network, ServiceName};
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};

/// Label: a network's key in the file.
const KEY: &str = "naru.network";

/// Where a container is on the network and what it shares with others, with every name resolved.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    /// `NetworkMode` in the engine's words: the first network, or a mode.
    pub(crate) mode: String,
    /// Its networks, the first of which it is made with.
    endpoints: Vec<(String, EndpointSettings)>,
    pub(crate) shared: Shared,
    pub(crate) reach: Reach,
}

/// Other namespaces, in the engine's words.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) pid: Option<String>,
    pub(crate) ipc: Option<String>,
    pub(crate) uts: Option<String>,
    pub(crate) users: Option<String>,
    pub(crate) cgroup: Option<String>,
    pub(crate) cgroup_parent: Option<String>,
}

impl Joined {
    /// The network that the container is made with: older engines take one only.
    pub(crate) fn first_endpoint(&self) -> Option<(String, EndpointSettings)> {
        self.endpoints.first().cloned()
    }

    /// The same networks without the names and addresses there, by which others find the service.
    pub(crate) fn nameless(mut self) -> Joined {
        for (_, endpoint) in &mut self.endpoints {
            (endpoint.aliases, endpoint.ipam_config, endpoint.mac_address) = (None, None, None);
        }
        self
    }
}

/// Makes what is missing, and says how the container is joined to it.
pub(crate) async fn join(engine: &Found, home: &str, launch: &Launch) -> Result<Joined, Error> {
    let shared = shared(engine, home, launch).await?;
    let mode = |mode: String, reach| Joined { mode, endpoints: vec![], shared: shared.clone(), reach };
    let attachments = match &launch.container.connection {
        Connection::Networks(attachments) => attachments,
        Connection::None => return Ok(mode("none".into(), Reach::Direct)),
        Connection::Host => return Ok(mode("host".into(), Reach::Host)),
        Connection::Bridge => return Ok(mode("bridge".into(), reach_of(engine, "bridge").await?)),
        Connection::Service(service) => {
            let other = instance_of(engine, home, launch, service).await?;
            return Ok(mode(format!("container:{other}"), Reach::Direct));
        }
        Connection::Container(other) => return Ok(mode(format!("container:{other}"), Reach::Direct)),
        Connection::Named(name) => return Ok(mode(name.clone(), reach_of(engine, name).await?)),
    };
    let own = [default_network(launch)];
    let attachments = if attachments.is_empty() { &own } else { attachments.as_slice() };
    let mut endpoints = Vec::new();
    for attachment in attachments {
        ensure(engine, home, launch, &attachment.network).await?;
        endpoints.push((attachment.network.name.clone(), endpoint(launch, attachment)));
    }
    let first = endpoints.first().map(|(name, _)| name.clone()).unwrap_or_default();
    let reach = reach_of(engine, &first).await?;
    Ok(Joined { mode: first, endpoints, shared, reach })
}

/// Puts the container on its other networks. It does not run yet.
pub(crate) async fn connect_others(engine: &Found, joined: &Joined, container: &str) -> Result<(), Error> {
    for (name, endpoint) in joined.endpoints.iter().skip(1) {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint.clone()),
        };
        let asked = engine.docker.connect_network(name, request);
        engine.ask(asked, || format!("put a container on network {name}")).await?;
    }
    Ok(())
}

/// Removes the networks of this home's stacks that nothing is on. Those that somebody else made stay.
pub(crate) async fn remove_unused(engine: &Found, home: &str) -> Result<(), Error> {
    let labels = vec![format!("{HOME}={home}"), KEY.to_owned()];
    let filters = HashMap::from([("label", labels)]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let listed = engine.docker.list_networks(Some(options));
    let networks = engine.ask(listed, || "list networks".into()).await?;
    for name in networks.into_iter().filter_map(|network| network.name) {
        if used_by(engine, &name).await? > 0 {
            continue;
        }
        let asked = engine.docker.remove_network(&name);
        match engine.ask(asked, || format!("remove network {name}")).await {
            // Something came in between: then it is used.
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Containers that are on a network, or will be when they start.
async fn used_by(engine: &Found, network: &str) -> Result<usize, Error> {
    let filters = HashMap::from([("network", vec![network.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = engine.docker.list_containers(Some(options));
    Ok(engine.ask(listed, || format!("list what is on network {network}")).await?.len())
}

/// What a service is on for which the file names no network.
fn default_network(launch: &Launch) -> Attachment {
    let network =
        Network { name: format!("{}_default", launch.stack), key: "default".into(), ..Network::default() };
    Attachment { network, ..Attachment::default() }
}

fn endpoint(launch: &Launch, attachment: &Attachment) -> EndpointSettings {
    let mut aliases = vec![launch.service.to_string()];
    aliases.extend(attachment.aliases.iter().cloned());
    let Attachment { ipv4_address, ipv6_address, link_local_ips, mac_address, .. } = attachment.clone();
    let asks = ipv4_address.is_some() || ipv6_address.is_some() || !link_local_ips.is_empty();
    let links = (!link_local_ips.is_empty()).then_some(link_local_ips);
    let ipam = EndpointIpamConfig { ipv4_address, ipv6_address, link_local_ips: links };
    EndpointSettings {
        aliases: Some(aliases),
        ipam_config: asks.then_some(ipam),
        mac_address,
        driver_opts: map(&attachment.driver_options),
        gw_priority: attachment.gateway_priority,
        ..EndpointSettings::default()
    }
}

async fn ensure(engine: &Found, home: &str, launch: &Launch, network: &Network) -> Result<(), Error> {
    let name = &network.name;
    match inspect(engine, name).await {
        Ok(_) => return Ok(()),
        Err(error) if !error.is_missing() => return Err(error),
        Err(_) if network.external => {
            return Err(Error::Unstartable(format!(
                "network {name} ({} in the file) is external, and the container engine has none of that name: make it, \
                 or leave `external` out",
                network.key
            )));
        }
        Err(_) => {}
    }
    let mut labels = map(&network.labels).unwrap_or_default();
    let own = [(HOME, home.to_owned()), (STACK, launch.stack.to_string()), (KEY, network.key.clone())];
    labels.extend(own.map(|(label, value)| (label.to_owned(), value)));
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        options: map(&network.driver_options),
        ipam: ipam(network),
        labels: Some(labels),
        ..NetworkCreateRequest::default()
    };
    let made = engine.docker.create_network(request);
    engine.ask(made, || format!("make network {name}")).await.map(drop)
}

fn ipam(network: &Network) -> Option<Ipam> {
    if network.ipam_driver.is_none() && network.pools.is_empty() {
        return None;
    }
    let pools = network.pools.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: map(&pool.aux_addresses),
    });
    Some(Ipam { driver: network.ipam_driver.clone(), config: Some(pools.collect()), options: None })
}

pub(crate) async fn inspect(engine: &Found, name: &str) -> Result<NetworkInspect, Error> {
    let asked = engine.docker.inspect_network(name, None::<InspectNetworkOptions>);
    engine.ask(asked, || format!("look at network {name}")).await
}

/// Whether this host reaches addresses on a network: a bridge of this machine has its gateway here. Podman, as root,
/// makes the bridge only with the first container, and always on this machine.
async fn reach_of(engine: &Found, name: &str) -> Result<Reach, Error> {
    if let Kind::Podman { rootless } = engine.kind {
        return Ok(if rootless { Reach::Published } else { Reach::Direct });
    }
    let here = gateways(inspect(engine, name).await?.ipam.as_ref()).any(is_here);
    Ok(if here { Reach::Direct } else { Reach::Published })
}

/// The addresses that a network has on its host.
pub(crate) fn gateways(ipam: Option<&Ipam>) -> impl Iterator<Item = Ipv4Addr> {
    let pools = ipam.and_then(|ipam| ipam.config.as_ref());
    let gateways = pools.into_iter().flatten().filter_map(|pool| pool.gateway.as_ref());
    gateways.filter_map(|text| text.split('/').next()?.parse().ok())
}

/// Whether an address is one of this host's: then it can be listened on.
pub(crate) fn is_here(address: Ipv4Addr) -> bool {
    TcpListener::bind((address, 0)).is_ok()
}

async fn shared(engine: &Found, home: &str, launch: &Launch) -> Result<Shared, Error> {
    let asked = &launch.container.namespaces;
    let mut words = Vec::new();
    for one in [&asked.pid, &asked.ipc, &asked.uts, &asked.users, &asked.cgroup] {
        words.push(match one {
            None => None,
            Some(Namespace::Word(word)) => Some(word.clone()),
            Some(Namespace::Container(other)) => Some(format!("container:{other}")),
            Some(Namespace::Service(service)) => {
                Some(format!("container:{}", instance_of(engine, home, launch, service).await?))
            }
        });
    }
    let mut words = words.into_iter();
    let mut next = || words.next().flatten();
    Ok(Shared {
        pid: next(),
        ipc: next(),
        uts: next(),
        users: next(),
        cgroup: next(),
        cgroup_parent: asked.cgroup_parent.clone(),
    })
}

/// A running container of another service of the stack, the newest.
async fn instance_of(
    engine: &Found,
    home: &str,
    launch: &Launch,
    service: &ServiceName,
) -> Result<String, Error> {
    let stack = &launch.stack;
    let labels = vec![format!("{HOME}={home}"), format!("{STACK}={stack}"), format!("{SERVICE}={service}")];
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::default().filters(&filters).build();
    let listed = engine.docker.list_containers(Some(options));
    let running = engine.ask(listed, || format!("look for {service}")).await?;
    let newest = running.into_iter().max_by_key(|one| one.created);
    newest.and_then(|one| one.id).ok_or_else(|| {
        Error::Unstartable(format!("it shares a namespace with {service}, of which no container runs"))
    })
}
