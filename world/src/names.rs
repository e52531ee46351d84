//! How containers find services: each by its name, which leads to an address of the host's where the edge listens on the
//! service's own ports. So requests between tiers are counted, retried and drained like those from outside.
//!
//! The agent of a node has such addresses made, one for each service that a container there may call, and reports
//! them. They are written down: a server that has just started takes no listener away because an agent has not spoken
//! yet. Beside them each container has its service's name in the engine's own networks, where whoever has no address of
//! a service finds its instances directly.

use crate::World;
use crate::draft::Draft;
use naru_model::{Attachment, Connection, Container, InstanceRecord, Service, ServiceName, Stack, StackName};
use std::collections::{BTreeMap, BTreeSet};

/// Writes down at which addresses the nodes' containers find services.
pub fn note(draft: &mut Draft) {
    let world = draft.world;
    for (node, report) in &world.agents {
        for (stack, services) in &report.host_addresses {
            for (service, address) in services {
                let known = world.stacks.get(stack).and_then(|stack| stack.services.get(service));
                if known.is_none_or(|known| known.host_addresses.get(node) == Some(address)) {
                    continue;
                }
                if let Some(record) = draft.stack_mut(stack).services.get_mut(service) {
                    record.host_addresses.insert(node.clone(), address.clone());
                }
            }
        }
    }
}

/// By which names an instance finds which services of its stack at the edge. A process finds them by its environment.
pub fn hosts(world: &World, record: &InstanceRecord) -> BTreeMap<String, ServiceName> {
    let Some(stack) = world.release(&record.stack, record.release).map(|release| &release.stack) else {
        return BTreeMap::new();
    };
    let template = world.template(record);
    let Some(caller) = template.as_ref().and_then(|template| template.run.container()) else {
        return BTreeMap::new();
    };
    // What leads nowhere else does not lead to the host either.
    let leading: BTreeSet<&str> = attachments(caller)
        .filter(|one| !one.network.internal)
        .map(|one| one.network.name.as_str())
        .collect();
    if leading.is_empty() && !caller.connection.is_none_written() {
        return BTreeMap::new();
    }
    let found = called(world, &record.stack, stack);
    let names = found.flat_map(|(name, service)| {
        names_of(name, service, caller).into_iter().map(|word| (word, name.clone()))
    });
    names.collect()
}

/// The services of a stack that are called at the edge.
fn called<'a>(
    world: &'a World,
    name: &'a StackName,
    stack: &'a Stack,
) -> impl Iterator<Item = (&'a ServiceName, &'a Service)> {
    let record = world.stacks.get(name);
    let is_known =
        move |service: &ServiceName| record.is_some_and(|record| record.services.contains_key(service));
    let at_edge = |service: &Service| !service.direct && !service.template.targets.is_empty();
    stack.services.iter().filter(move |(name, service)| at_edge(service) && is_known(name))
}

/// The names by which `caller` finds a service: those that the networks which both are on would give it. A process is
/// found by its service's name everywhere.
fn names_of(name: &ServiceName, service: &Service, caller: &Container) -> Vec<String> {
    let own = name.to_string();
    let Some(container) = service.template.run.container() else { return vec![own] };
    let is_default = |one: &Container| one.connection.is_none_written();
    if is_default(container) && is_default(caller) {
        return vec![own];
    }
    let theirs: BTreeSet<&str> = attachments(caller).map(|one| one.network.name.as_str()).collect();
    let shared: Vec<&Attachment> =
        attachments(container).filter(|one| theirs.contains(one.network.name.as_str())).collect();
    if shared.is_empty() {
        return vec![];
    }
    let aliases = shared.into_iter().flat_map(|one| one.aliases.iter().cloned());
    [own].into_iter().chain(container.name.clone()).chain(aliases).collect()
}

fn attachments(container: &Container) -> impl Iterator<Item = &Attachment> {
    let networks = match &container.connection {
        Connection::Networks(all) => all.as_slice(),
        _ => &[],
    };
    networks.iter()
}
