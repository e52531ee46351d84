//! What all workers have seen, put together.

use crate::register::service_of;
use naru_model::{
    EdgeReport, EdgeSnapshot, InstanceId, InstanceSnapshot, Latencies, ListenerSnapshot, MadeBy, RouteTable,
    Rule, Time,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One worker's part of a snapshot.
pub struct Seen {
    /// Of each listener.
    pub listeners: Vec<ListenerSnapshot>,
    /// Of each instance: whole answers by status (1xx to 5xx) and how long they took, and how often it was passed over
    /// for a while.
    pub instances: Vec<(InstanceId, [u64; 5], Latencies, u64)>,
}

/// Where the instances come from that tables named.
#[derive(Default)]
pub struct Origins(HashMap<InstanceId, MadeBy>);

impl Origins {
    /// Takes what a table says, but what it has in common with the one before it.
    pub fn learn(&mut self, table: &RouteTable, before: &RouteTable) {
        for (at, listener) in table.listeners.iter().enumerate() {
            let own = listener.service.iter().map(|service| (service, &listener.splits));
            let rules = listener.all_rules();
            let old = before.listeners.get(at).filter(|old| old.stack == listener.stack);
            let old = old.map(|old| &*old.rules).unwrap_or_default();
            let is_new =
                |(at, rule): &(usize, &Arc<Rule>)| !old.get(*at).is_some_and(|old| Arc::ptr_eq(old, rule));
            let ruled = rules.iter().enumerate().filter(is_new);
            let ruled = ruled.filter_map(|(_, rule)| service_of(&rule.action));
            for (service, splits) in own.chain(ruled) {
                for backend in splits.iter().flat_map(|split| &split.backends) {
                    // What made an instance never changes.
                    if !self.0.contains_key(&backend.instance) {
                        let (stack, service) = (listener.stack.clone(), service.clone());
                        let made_by = MadeBy { stack, service, release: backend.release };
                        self.0.insert(backend.instance.clone(), made_by);
                    }
                }
            }
        }
    }
}

/// The workers' parts, and the books of the report.
pub fn assemble(
    report: EdgeReport,
    seen: Vec<Seen>,
    origins: &mut Origins,
    table: &RouteTable,
    at: Time,
) -> EdgeSnapshot {
    let of = |id: &InstanceId| InstanceSnapshot { made_by: origins.0.get(id).cloned(), ..Default::default() };
    let mut instances: BTreeMap<_, _> = report.instances.keys().map(|id| (id.clone(), of(id))).collect();
    for (id, counts) in report.instances {
        instances.entry(id).and_modify(|instance| instance.counts = counts);
    }
    let mut listeners: BTreeMap<String, ListenerSnapshot> = BTreeMap::new();
    for part in seen {
        for (id, answers, latencies, ejections) in part.instances {
            let sum = instances.entry(id).or_default();
            sum.answers.iter_mut().zip(answers).for_each(|(mine, more)| *mine += more);
            sum.latencies.add(&latencies);
            sum.ejections += ejections;
        }
        for listener in part.listeners {
            match listeners.get_mut(&listener.name) {
                Some(sum) => join(sum, &listener),
                None => drop(listeners.insert(listener.name.clone(), listener)),
            }
        }
    }
    // What is told no more, and named no more, is gone.
    origins.0.retain(|id, _| instances.contains_key(id));
    origins.learn(table, &RouteTable::default());
    EdgeSnapshot {
        node: report.node,
        edge: report.edge,
        began: report.began,
        at,
        acked: report.acked,
        listeners: listeners.into_values().collect(),
        instances,
        access_logs: BTreeMap::new(),
        draining: vec![],
    }
}

/// Two workers go by the same table, save for the moment of a change: then what only one has is its part alone.
fn join(sum: &mut ListenerSnapshot, part: &ListenerSnapshot) {
    sum.accepted += part.accepted;
    sum.turned_away += part.turned_away;
    sum.open += part.open;
    sum.held += part.held;
    for rule in &part.rules {
        match sum.rules.iter_mut().find(|one| one.name == rule.name) {
            Some(one) => one.tally += &rule.tally,
            None => sum.rules.push(rule.clone()),
        }
    }
}
