//! What is looked at as the world goes: retirement, availability, callers, receipts.

use crate::ground::Ground;
use crate::host::{Death, Mood};
use crate::property::{
    CALLERS_ARE_SERVED, NO_UNFINISHED_WORK_ENDED, ORDER_OF_RETIREMENT, PROMISED_AVAILABILITY, RUNS_ONCE,
    STALE_ACTORS_REFUSED,
};
use crate::records::targets;
use crate::sight::Sight;
use crate::sim::Sim;
use crate::work::{Place, WorkId};
use naru_model::{
    AtLimit, Duty, Ending, Generation, InstanceId, InstanceRecord, Intent, OperationId, OperationKind, Order,
    RouteTable, ServiceName, Span, StackName, Time,
};
use std::collections::{BTreeMap, BTreeSet};

/// After a fault, a call may fail for so long: edges hold for less, and instances come back by then.
const EXCUSED: Span = Span::mins(5);

/// After a fault, the server may take so long to hear of it, and to act on it: its connections are as bad as
/// the scenario has them.
const AFTERMATH: Span = Span::mins(3);

/// What the checks remember.
pub(crate) struct Checks {
    instances: BTreeMap<InstanceId, Known>,
    operations: BTreeSet<OperationId>,
    applied: Vec<Generation>,
    acked: Vec<(u32, Generation)>,
    promises: BTreeMap<(StackName, ServiceName), Promise>,
    /// Whether availability may have changed since it was looked at.
    look: Look,
    /// When an edge died last.
    edge_died: Option<Time>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Needed,
    Done,
}

/// How many instances of a service an operation has to leave routed and ready.
#[derive(Default)]
struct Promise {
    level: u32,
    /// Whether the level was reached, and no fault has struck since.
    state: Kept,
    /// When a fault struck last.
    struck: Option<Time>,
    /// When a level was first reached since then.
    reached: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    NotReached,
    Reached,
    /// The new does not come first.
    Void,
    /// It is listed, and people ordered that none of it run.
    Away,
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

    /// Whether an edge died since.
    pub(crate) fn edge_died_since(&self, at: Time) -> bool {
        self.edge_died.is_some_and(|died| died >= at)
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
            OperationKind::Stop { services } => services.contains(&record.service),
            _ => false,
        };
        let ordered = operations
            .filter(|one| one.ending == Ending::Cut)
            .any(|one| record.retired_by == Some(one.id) || covers(&one.kind));
        let policy = records.definition(record).map(|service| &service.work);
        let late = |limit: Span| record.since + limit <= self.ground.now;
        let by_policy =
            policy.is_some_and(|work| work.at_limit == AtLimit::Cut && work.postpone_max.is_some_and(late));
        record.intent == Intent::Cut && (ordered || by_policy)
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

    /// A piece of work found nobody to take it.
    pub(crate) fn check_unserved(&mut self, id: WorkId, how: &str) {
        let work = self.books.get(id);
        let Some(parent) = work.parent else { return };
        let Place::On { instance: caller, .. } = self.books.get(parent).place.clone() else { return };
        let promise = self.checks.promises.get(&(work.stack.clone(), work.service.clone()));
        let recent = |at: Option<Time>| at.is_some_and(|at| at + EXCUSED > self.ground.now);
        let excused = promise.is_none_or(|promise| {
            let off = matches!(promise.state, Kept::Void | Kept::Away);
            recent(promise.struck) || off || promise.reached.is_none()
        });
        if excused
            || recent(self.checks.edge_died)
            || self
                .ground
                .windows
                .iter()
                .any(|w| w.to + EXCUSED > self.ground.now && w.from < self.ground.now)
        {
            return;
        }
        let what = format!(
            "a call of {caller}, in the course of work {}, to {} failed: {how}",
            parent.0, work.service
        );
        let subjects = [caller.as_str().to_string(), format!("{}.{}", work.stack, work.service)];
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        self.ground.violated(&CALLERS_ARE_SERVED, &subjects, what);
    }

    /// Sets the levels that operations have to keep, by what is wanted now.
    pub(crate) fn promise_levels(&mut self) {
        for record in self.store.records.instances.values() {
            self.checks.remember(record);
        }
        let records = &self.store.records;
        for stack in records.stacks.values() {
            let wants = targets(records, stack);
            let rests = stack.steering.is_none();
            let mine = self.checks.promises.iter_mut().filter(|((of, _), _)| *of == stack.name);
            for ((_, service), promise) in mine {
                let listed =
                    stack.target.as_ref().and_then(|target| records.release(&stack.name, target.release));
                let listed = listed.is_some_and(|release| release.stack.services.contains_key(service));
                if !wants.iter().any(|want| want.service == *service) {
                    let away = listed || promise.state == Kept::Away;
                    (promise.level, promise.state) = (0, if away { Kept::Away } else { Kept::NotReached });
                } else if promise.state == Kept::Away {
                    (promise.state, promise.reached) = (Kept::NotReached, None);
                }
            }
            for want in wants.iter().filter(|want| want.has_port) {
                let promise =
                    self.checks.promises.entry((stack.name.clone(), want.service.clone())).or_default();
                let rollout = &want.definition.rollout;
                let orders = [rollout.update.order, rollout.rollback.order];
                promise.level = if promise.level == 0 { want.count } else { promise.level.min(want.count) };
                if want.definition.singleton || orders.contains(&Order::StopFirst) {
                    promise.state = Kept::Void;
                } else if rests && (promise.state == Kept::Void || promise.level < want.count) {
                    (promise.level, promise.state) = (want.count, Kept::NotReached);
                }
            }
        }
        self.checks.look_again();
    }

    /// How many instances of a service can serve and be chosen, at the worker of an edge that has the fewest.
    pub(crate) fn routed_and_ready(&self, stack: &StackName, service: &ServiceName) -> u32 {
        let able = |id: &InstanceId| {
            self.host.last(id).is_some_and(|(_, process)| process.is_well() && process.mood == Mood::Takes)
        };
        let count = |table: &RouteTable| {
            let mine = table.listeners.iter().filter(|one| one.stack == *stack && one.service == *service);
            let listeners = mine.filter(|one| !one.name.ends_with("@preview"));
            let each = listeners.map(|listener| {
                let splits = listener.splits.iter().filter(|split| split.weight > 0);
                splits.flat_map(|split| &split.backends).filter(|one| able(&one.instance)).count() as u32
            });
            each.min().unwrap_or(0)
        };
        let edges = self.edges.iter().filter(|edge| edge.is_up() && edge.acked() > Generation(0));
        edges.flat_map(|edge| edge.tables()).map(count).min().unwrap_or(0)
    }

    /// Looks whether operations keep up what is promised.
    pub(crate) fn check_availability(&mut self) {
        if self.checks.look == Look::Done {
            return;
        }
        self.checks.look = Look::Done;
        let now = self.ground.now;
        let shaken = |at: Option<Time>| at.is_some_and(|at| at + AFTERMATH > now);
        let keys: Vec<_> = self.checks.promises.keys().cloned().collect();
        for (stack, service) in keys {
            let ready = self.routed_and_ready(&stack, &service);
            let mine = self.store.records.instances_of(&stack, &service);
            let serving = mine.filter(|one| one.duty == Duty::Serving).count() as u32;
            let key = (stack.clone(), service.clone());
            let Some(promise) = self.checks.promises.get_mut(&key) else { continue };
            match promise.state {
                Kept::Void | Kept::Away => {}
                Kept::NotReached if shaken(promise.struck) || shaken(self.checks.edge_died) => {}
                Kept::NotReached if promise.level > 0 && ready.min(serving) >= promise.level => {
                    promise.state = Kept::Reached;
                    promise.reached.get_or_insert(now);
                }
                Kept::Reached if ready < promise.level => {
                    let what = format!(
                        "{ready} of {service} of {stack} are routed and ready, {} were promised",
                        promise.level
                    );
                    let subject = format!("{stack}.{service}");
                    return self.ground.violated(
                        &PROMISED_AVAILABILITY,
                        &[&subject, "edge ", "operation", "table"],
                        what,
                    );
                }
                _ => {}
            }
        }
    }
}
