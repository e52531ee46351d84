//! Addresses of this host that every container reaches, one for each name.
//!
//! Each is the gateway of a small bridge network without containers. Such a bridge exists for as long as the network
//! does; a container on any other network of the engine reaches it by its default route, and the engine's walls between
//! networks do not stand before the host itself. Nobody but this machine has a route to it.

use crate::Error;
use crate::engine::{Found, Kind};
use crate::find::HOME;
use crate::network::{gateways, is_here};
use crate::subnet::{Subnet, routes};
use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder};
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

/// Label: whose address the network's gateway is.
const NAME: &str = "naru.host-address";
/// Where the networks are taken from: 8,192 of them, out of a range that few networks use.
const POOL: Subnet = Subnet::new(Ipv4Addr::new(10, 231, 0, 0), 16);
/// The smallest that the engine takes with room for its own: eight addresses.
const BITS: u8 = 29;
/// So many that look free may be refused: somebody has a route that the kernel's table does not show.
const TRIES: usize = 16;

/// The address of a name, made if it is not there yet.
pub(crate) async fn host_address(engine: &Found, home: &str, name: &str) -> Result<Ipv4Addr, Error> {
    if matches!(engine.kind, Kind::Podman { .. }) {
        return Err(none(name, "Podman makes a bridge only with its first container"));
    }
    // One question for what is there and for what is taken: a list tells of subnets and gateways, too.
    let listed = engine.docker.list_networks(None::<ListNetworksOptions>);
    let others = engine.ask(listed, || "list networks".into()).await?;
    if let Some(address) = addresses(&others, home).get(name) {
        return check(name, *address);
    }
    let mut taken: Vec<Subnet> = routes().into_iter().map(|route| route.subnet).collect();
    taken.extend(others.iter().flat_map(subnets));
    let free =
        POOL.parts(BITS, start(home, name)).filter(|part| !taken.iter().any(|one| one.overlaps(*part)));
    let mut refused = Error::Unstartable(format!("no network is free in {POOL} for an address of this host"));
    for subnet in free.take(TRIES) {
        match make(engine, home, name, subnet).await {
            Ok(()) => {
                let checked = check(name, subnet.gateway());
                if checked.is_err() {
                    remove_host_address(engine, home, name).await?;
                }
                return checked;
            }
            Err(error @ Error::Refused { .. }) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

/// All addresses of this home, by name.
pub(crate) async fn host_addresses(engine: &Found, home: &str) -> Result<BTreeMap<String, Ipv4Addr>, Error> {
    let filters = HashMap::from([("label", vec![format!("{HOME}={home}"), NAME.to_owned()])]);
    let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let listed = engine.docker.list_networks(Some(options));
    Ok(addresses(&engine.ask(listed, || "list networks".into()).await?, home))
}

/// The addresses of this home among networks, by name.
fn addresses(networks: &[Network], home: &str) -> BTreeMap<String, Ipv4Addr> {
    let mut all = BTreeMap::new();
    for network in networks {
        let Some(labels) = &network.labels else { continue };
        let Some(name) = labels.get(NAME).filter(|_| labels.get(HOME).is_some_and(|of| of == home)) else {
            continue;
        };
        let gateway = gateways(network.ipam.as_ref()).next();
        all.extend(gateway.map(|gateway| (name.clone(), gateway)));
    }
    all
}

/// Gives the address of a name back. One that is not there is no error.
pub(crate) async fn remove_host_address(engine: &Found, home: &str, name: &str) -> Result<(), Error> {
    let network = network_of(home, name);
    let asked = engine.docker.remove_network(&network);
    match engine.ask(asked, || format!("remove network {network}")).await {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

async fn make(engine: &Found, home: &str, name: &str, subnet: Subnet) -> Result<(), Error> {
    let network = network_of(home, name);
    let pool = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(subnet.gateway().to_string()),
        ..IpamConfig::default()
    };
    let labels = [(HOME.to_owned(), home.to_owned()), (NAME.to_owned(), name.to_owned())];
    let request = NetworkCreateRequest {
        name: network.clone(),
        driver: Some("bridge".into()),
        ipam: Some(Ipam { config: Some(vec![pool]), ..Ipam::default() }),
        labels: Some(HashMap::from(labels)),
        ..NetworkCreateRequest::default()
    };
    let made = engine.docker.create_network(request);
    engine.ask(made, || format!("make network {network}")).await.map(drop)
}

fn network_of(home: &str, name: &str) -> String {
    let fits = |c: char| match c {
        '/' => '.',
        c if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') => c,
        _ => '_',
    };
    format!("naru-{}-{}", &home[..home.len().min(6)], name.chars().map(fits).collect::<String>())
}

fn subnets(network: &Network) -> Vec<Subnet> {
    let pools = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let subnets = pools.into_iter().flatten().filter_map(|pool| pool.subnet.as_ref());
    subnets.filter_map(|text| text.parse().ok()).collect()
}

/// Where the search begins: spread, so that two homes of one machine seldom try the same.
fn start(home: &str, name: &str) -> u32 {
    home.bytes()
        .chain(name.bytes())
        .fold(2_166_136_261, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
}

fn check(name: &str, address: Ipv4Addr) -> Result<Ipv4Addr, Error> {
    let elsewhere = "it runs without root, or in another machine";
    if is_here(address) { Ok(address) } else { Err(none(name, elsewhere)) }
}

fn none(name: &str, why: &str) -> Error {
    Error::Unstartable(format!("the container engine gives this host no address for {name}: {why}"))
}
