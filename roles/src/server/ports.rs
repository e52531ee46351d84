//! Ports that nothing listens on, for stable addresses.

use naru_decide::World;
use naru_model::{Change, Demand, Stack, StackName};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the ephemeral range of Linux (32768 and up), so that no outgoing connection takes one of these;
/// 2,000 are as many addresses as one machine's services will have.
const RANGE: Range<u16> = 30_000..32_000;

/// Twice the demand's target ports that nothing listens on and that no record names; fewer where there are
/// no more.
pub fn free_ports(world: &World, demand: &Demand, first: u64) -> Vec<u16> {
    let used = used(world);
    let start = (first % RANGE.len() as u64) as usize;
    let ports = RANGE.cycle().skip(start).take(RANGE.len());
    let free = ports.filter(|port| !used.contains(port) && is_free(*port));
    free.take(2 * targets(world, demand)).collect()
}

fn used(world: &World) -> BTreeSet<u16> {
    let services = world.stacks.values().flat_map(|stack| stack.services.values());
    let chosen = services.flat_map(|service| service.addresses.values().chain(service.published.values()));
    let listeners = world.routes.listeners.iter();
    let served = listeners.filter_map(|listener| listener.address.rsplit_once(':')?.1.parse().ok());
    chosen.copied().chain(served).collect()
}

fn targets(world: &World, demand: &Demand) -> usize {
    let ports = |stack: &Stack| -> usize {
        stack.services.values().map(|service| service.template.targets.len() + service.ports.len()).sum()
    };
    let kept = |name: &StackName| {
        let all = world.releases.iter().filter(|((stack, _), _)| stack == name);
        all.map(|(_, release)| ports(&release.stack)).max().unwrap_or(0)
    };
    match &demand.change {
        Change::Deploy { stack, .. } | Change::Import { stack, .. } => ports(stack),
        _ => kept(&demand.stack),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
