//! What is looked at as the world goes: retirement, signals, starts, generations; and what the checks remember.

use crate::availability::{Kept, Look, Promise};
use crate::ground::Ground;
use crate::host::{Death, Mood};
use crate::property::{NO_UNFINISHED_WORK_ENDED, ORDER_OF_RETIREMENT, RUNS_ONCE, STALE_ACTORS_REFUSED};
use crate::sight::Sight;
use crate::sim::Sim;
use crate::work::WorkId;
use naru_model::{
    AtLimit, Ending, Generation, InstanceId, InstanceRecord, Intent, OperationId, OperationKind, ServiceName,
    Span, StackName, Time,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the checks remember.
pub(crate) struct Checks {
    instances: BTreeMap<InstanceId, Known>,
    operations: BTreeSet<OperationId>,
    applied: Vec<Generation>,
    acked: Vec<(u32, Generation)>,
    pub(crate) promises: BTreeMap<(StackName, ServiceName), Promise>,
    /// Whether availability may have changed since it was looked at.
    pub(crate) look: Look,
    /// When an edge died last.
    pub(crate) edge_died: Option<Time>,
    /// When the server took over from an edge without having heard its last word.
    unseen: Option<Time>,
    /// Stacks whose oldest operations were forgotten.
    forgot: BTreeSet<StackName>,
    /// When work was seen last, at the end of the run.
    last_work: Time,
}

/// What is known of an instance that was ever made.
struct Known {
    stack: StackName,
    service: ServiceName,
    fingerprint: String,
}

impl Checks {
    pub(crate) fn new(nodes: usize) -> Checks {
        Checks {
            instances: BTreeMap::new(),
            operations: BTreeSet::new(),
            applied: vec![Generation(0); nodes],
            acked: vec![(0, Generation(0)); nodes],
            promises: BTreeMap::new(),
            look: Look::Needed,
            edge_died: None,
            unseen: None,
            forgot: BTreeSet::new(),
            last_work: crate::judgement::NEVER,
        }
    }

    pub(crate) fn is_new(&mut self, id: &InstanceId) -> bool {
        !self.instances.contains_key(id)
    }

    pub(crate) fn remember(&mut self, record: &InstanceRecord) {
        if !self.instances.contains_key(&record.id) {
            let known = Known {
                stack: record.stack.clone(),
                service: record.service.clone(),
                fingerprint: record.fingerprint.clone(),
            };
            self.instances.insert(record.id.clone(), known);
        }
    }

    pub(crate) fn is_new_operation(&mut self, id: OperationId) -> bool {
        self.operations.insert(id)
    }

    pub(crate) fn fingerprint(&self, id: &InstanceId) -> Option<&String> {
        self.instances.get(id).map(|known| &known.fingerprint)
    }

    /// A fault struck an instance.
    pub(crate) fn struck(&mut self, id: &InstanceId, now: Time) {
        let Some(known) = self.instances.get(id) else { return };
        let promise = self.promises.entry((known.stack.clone(), known.service.clone())).or_default();
        promise.struck = Some(now);
        promise.reached = None;
        if promise.state == Kept::Reached {
            promise.state = Kept::NotReached;
        }
    }

    /// An edge died.
    pub(crate) fn edge_struck(&mut self, now: Time) {
        self.edge_died = Some(now);
        for promise in self.promises.values_mut().filter(|promise| promise.state == Kept::Reached) {
            promise.state = Kept::NotReached;
        }
    }

    /// Work is still in progress.
    pub(crate) fn work_seen(&mut self, now: Time) {
        self.last_work = now;
    }

    pub(crate) fn last_work(&self) -> Time {
        self.last_work
    }

    pub(crate) fn look_again(&mut self) {
        self.look = Look::Needed;
    }

    /// Whether a service reached what it promises, and no fault has struck it since.
    pub(crate) fn is_undisturbed(&self, stack: &StackName, service: &ServiceName) -> bool {
        let promise = self.promises.get(&(stack.clone(), service.clone()));
        promise.is_some_and(|promise| promise.struck.is_none()) && self.edge_died.is_none()
    }

    /// An operation, and its receipt, is kept no longer.
    pub(crate) fn forgets(&mut self, stack: StackName) {
        self.forgot.insert(stack);
    }

    /// Whether every operation of a stack is still kept.
    pub(crate) fn remembers(&self, stack: &StackName) -> bool {
        !self.forgot.contains(stack)
    }

    /// An edge is taken for gone, and its last word was not heard.
    pub(crate) fn goes_unheard(&mut self, now: Time) {
        self.unseen = Some(now);
    }

    /// Whether an edge went unheard since.
    pub(crate) fn unheard_since(&self, at: Time) -> bool {
        self.unseen.is_some_and(|unseen| unseen >= at)
    }

    /// An agent carries out a desired state.
    pub(crate) fn agent_applies(&mut self, ground: &mut Ground, node: usize, generation: Generation) {
        if generation < self.applied[node] {
            let what = format!("agent {node} applied {generation} after {}", self.applied[node]);
            ground.violated(&STALE_ACTORS_REFUSED, &[&format!("agent {node}")], what);
        }
        self.applied[node] = generation;
    }

    /// All workers of an edge choose by a table.
    pub(crate) fn edge_acknowledges(
        &mut self,
        ground: &mut Ground,
        node: usize,
        life: u32,
        acked: Generation,
    ) {
        let (of, before) = self.acked[node];
        if of == life && acked < before {
            let what = format!("edge {node} went back from table {before} to {acked}");
            ground.violated(&STALE_ACTORS_REFUSED, &[&format!("edge n{node}")], what);
        }
        self.acked[node] = (life, acked);
    }

    /// The ledger says that a lease is gone whose job beats.
    pub(crate) fn lease_taken_away(&mut self, ground: &mut Ground, id: &InstanceId, why: &str) {
        let what = format!("a lease of {id} is gone although its job lives: {why}");
        ground.violated(&NO_UNFINISHED_WORK_ENDED, &[id.as_str()], what);
    }
}

impl Sim {
    /// What was told last about an instance, by the records.
    pub(crate) fn intent_in_store(&self, id: &InstanceId) -> Option<Intent> {
        self.store.records.instances.get(id).map(|record| record.intent)
    }

    /// Whether somebody who may has ordered that the work of this instance be cut.
    pub(crate) fn is_cut(&self, id: &InstanceId) -> bool {
        let records = &self.store.records;
        let Some(record) = records.instances.get(id) else { return false };
        let operations = records.operations.values().filter(|one| one.stack == record.stack);
        let covers = |kind: &OperationKind| match kind {
            OperationKind::Down => true,
            OperationKind::Stop { services } => record.run.is_none() && services.contains(&record.service),
            OperationKind::Cancel { job, run } => record.run == Some(*run) && record.service == *job,
            _ => false,
        };
        let ordered = operations
            .filter(|one| one.ending == Ending::Cut)
            .any(|one| record.retired_by == Some(one.id) || covers(&one.kind));
        let policy = records.definition(record).map(|service| &service.work);
        let late = |limit: Span| record.since + limit <= self.clock();
        let by_policy =
            policy.is_some_and(|work| work.at_limit == AtLimit::Cut && work.postpone_max.is_some_and(late));
        record.intent == Intent::Cut && (ordered || by_policy || self.is_timed_out(record))
    }

    /// An instance is about to be told to take no new work.
    pub(crate) fn check_quiet(&mut self, id: &InstanceId) {
        if self.intent_in_store(id) == Some(Intent::Cut) {
            return;
        }
        if let Some(edge) = self.edges.iter().find(|edge| edge.names(id)) {
            let what = format!("{id} is told to be quiet, and edge {} may still choose it", edge.id());
            self.ground.violated(&ORDER_OF_RETIREMENT, &[id.as_str(), "edge "], what);
        }
    }

    /// A piece of work is given to an instance.
    pub(crate) fn check_taken(&mut self, work: WorkId, id: &InstanceId) {
        let told = self.intent_in_store(id).is_none_or(|intent| intent != Intent::Run);
        let quiet = self.host.last(id).is_some_and(|(_, process)| process.mood == Mood::Quiet);
        if told && quiet && self.intent_in_store(id) != Some(Intent::Cut) {
            let what = format!("{id} was given work {} after it was told to be quiet", work.0);
            self.ground.violated(&ORDER_OF_RETIREMENT, &[id.as_str(), "edge "], what);
        }
    }

    /// An agent is about to start a process.
    pub(crate) fn check_launch(&mut self, id: &InstanceId, run: u64) {
        if self.host.last(id).is_some_and(|(_, process)| process.lives() && process.run != run) {
            let what = format!("{id} is started a second time while it runs");
            self.ground.violated(&RUNS_ONCE, &[id.as_str()], what);
        }
        let records = &self.store.records;
        let Some(record) = records.instances.get(id) else { return };
        if record.run.is_some() {
            let record = record.clone();
            return self.check_run_launch(&record);
        }
        if !records.definition(record).is_some_and(|service| service.singleton) {
            return;
        }
        let same = |other: &InstanceId| {
            let known = records.instances.get(other).filter(|_| other != id);
            known.is_some_and(|known| known.stack == record.stack && known.service == record.service)
        };
        if let Some(other) =
            self.host.living().map(|(_, process)| &process.instance).find(|other| same(other))
        {
            let what = format!("{id} of a singleton is started while {other} runs");
            let subjects = [id.to_string(), other.to_string()];
            self.ground.violated(&RUNS_ONCE, &[&subjects[0], &subjects[1]], what);
        }
    }

    /// A process is about to be signalled by its agent.
    pub(crate) fn check_signal(&mut self, id: &InstanceId, pid: u32, how: &Death) {
        let open = self.host.get(pid).open.clone();
        let intent = self.intent_in_store(id);
        if intent.is_some_and(|intent| intent < Intent::Stop) {
            let what = format!("{id} is signalled, and its record says {intent:?}");
            self.ground.violated(&STALE_ACTORS_REFUSED, &[id.as_str()], what);
        }
        self.check_run_signal(id);
        if open.is_empty() {
            if *how == Death::Killed {
                self.ground.sees(Sight::Killed);
            }
            return;
        }
        if self.is_cut(id) {
            return self.ground.sees(Sight::Cut);
        }
        let said: Vec<String> =
            open.iter().map(|work| format!("{} {}", self.books.get(*work).kind.word(), work.0)).collect();
        let what = format!("{id} gets its signal ({how:?}) with {} in progress", said.join(", "));
        self.ground.violated(&NO_UNFINISHED_WORK_ENDED, &[id.as_str()], what);
    }
}
