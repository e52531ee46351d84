//! What is looked at whenever the store's records change.

use crate::property::{
    BOUNDED_RECORDS, CUT_OVER_IS_TRUE, GENERATIONS_GROW, IDS_ARE_NEW, INTENT_GOES_DOWN, ONE_STEERING,
    WAKES_ARE_KEPT,
};
use crate::sight::Sight;
use crate::sim::Sim;
use naru_decide::{EdgeRecord, World, Write};
use naru_model::{
    Duty, Generation, InstanceRecord, Operation, OperationId, OperationKind, OperationOutcome,
    OperationPhase, Reason, Release, ServiceName, Span, StackName, StackRecord,
};
use std::collections::{BTreeMap, BTreeSet};

/// More instances than this, of all stacks, retiring ones included, are a leak: a stack wants 20 at most, and
/// up to five generations of it live side by side.
const MOST_INSTANCES: usize = 250;

impl Sim {
    /// Carries a transaction out at the store, and looks at what it does.
    pub(crate) fn write_records(&mut self, guard: Generation, writes: &[Write]) -> Generation {
        writes.iter().for_each(|write| self.check_write(write));
        self.check_due(writes);
        let before = self.before(writes);
        let gone: Vec<InstanceRecord> = writes.iter().filter_map(|write| self.forgets(write)).collect();
        let generation = self.store.write(&mut self.ground, guard, writes);
        gone.iter().for_each(|record| self.check_receipt(record));
        for (id, cut_over) in before {
            let Some(operation) = self.store.records.operations.get(&id).cloned() else { continue };
            if cut_over == CutOver::NotYet && operation.cut_over.is_some() {
                self.check_cut_over(&operation);
            }
        }
        self.check_steering();
        self.see_generations();
        self.promise_levels();
        if self.store.records.instances.len() > MOST_INSTANCES {
            self.ground.violated(&BOUNDED_RECORDS, &[], format!("more than {MOST_INSTANCES} instances"));
        }
        generation
    }

    fn forgets(&self, write: &Write) -> Option<InstanceRecord> {
        match write {
            Write::ForgetInstance(id) => self.store.records.instances.get(id).cloned(),
            _ => None,
        }
    }

    fn before(&self, writes: &[Write]) -> Vec<(OperationId, CutOver)> {
        let operation = |write: &Write| match write {
            Write::Operation(operation) => {
                let known = self.store.records.operations.get(&operation.id);
                let cut_over = known.is_some_and(|known| known.cut_over.is_some());
                Some((operation.id, if cut_over { CutOver::Already } else { CutOver::NotYet }))
            }
            _ => None,
        };
        writes.iter().filter_map(operation).collect()
    }

    fn check_write(&mut self, write: &Write) {
        self.ground.note(5, || format!("written: {}", said(write)));
        match write {
            Write::Instance(record) => self.check_instance(record),
            Write::Operation(operation) => self.check_operation(operation),
            Write::Routes(table) => {
                let known = self.store.records.routes.generation;
                self.ground.trace.mix(table.generation.0);
                if table.generation <= known {
                    let what = format!("table {} was written over table {known}", table.generation);
                    self.ground.violated(&GENERATIONS_GROW, &[], what);
                }
            }
            Write::ForgetOperation(id) => {
                if let Some(operation) = self.store.records.operations.get(id) {
                    self.checks.forgets(operation.stack.clone());
                }
            }
            Write::Run(run) => self.check_run(run),
            Write::Edge(edge) => self.see_edge(edge),
            Write::Stack(stack) => {
                let known = self.store.records.stacks.get(&stack.name);
                let back = known.is_some_and(|known| {
                    known.newest > stack.newest || known.instances_made > stack.instances_made
                });
                if back {
                    let what = format!("the numbers of stack {} went back", stack.name);
                    self.ground.violated(&GENERATIONS_GROW, &[stack.name.as_str()], what);
                }
            }
            _ => {}
        }
    }

    /// An edge takes another's place: was the other's last word heard?
    fn see_edge(&mut self, edge: &EdgeRecord) {
        let Some(gone) = self.store.records.edges.get(&edge.node).map(|known| known.edge.clone()) else {
            return;
        };
        let heard = self.server.world.reports.get(&gone).map(|report| report.seq);
        let last = self.edges.iter().any(|one| one.node == edge.node && one.is_last_word(&gone, heard));
        if !last {
            self.ground.note(6, || format!("edge {gone} is taken for gone, and its last word was not heard"));
            self.checks.goes_unheard(self.clock());
        }
    }

    /// What leaves the routes to fall asleep is kept on by nobody.
    fn check_wake(&mut self, record: &InstanceRecord) {
        let known = self.store.records.instances.get(&record.id).map(|known| known.duty);
        let leaves = matches!(record.duty, Duty::Held | Duty::Retiring)
            && known.is_some_and(|known| !matches!(known, Duty::Held | Duty::Retiring));
        let operation = record.retired_by.and_then(|id| self.store.records.operations.get(&id));
        let sleeps = operation.is_some_and(|one| matches!(one.kind, OperationKind::Sleep { .. }));
        let orders = self
            .store
            .records
            .stacks
            .get(&record.stack)
            .and_then(|stack| stack.services.get(&record.service));
        let now = self.clock();
        let wake = orders.and_then(|orders| orders.power.wakes.iter().find(|wake| wake.until > now));
        if let (true, true, Some(wake)) = (leaves, sleeps, wake) {
            let what = format!("{} falls asleep, and {} keeps it on", record.id, wake.owner);
            self.ground.violated(&WAKES_ARE_KEPT, &[record.id.as_str()], what);
        }
        if leaves && sleeps {
            self.ground.sees(Sight::FellAsleep);
        }
    }

    fn check_instance(&mut self, record: &InstanceRecord) {
        self.check_wake(record);
        let id = record.id.as_str();
        self.ground.trace.mix_text(id);
        self.ground.trace.mix(record.duty as u64 * 8 + record.intent as u64);
        match self.store.records.instances.get(&record.id) {
            Some(known) if known.intent > record.intent => {
                let what = format!("{id} was told {:?} after {:?}", record.intent, known.intent);
                self.ground.violated(&INTENT_GOES_DOWN, &[id], what);
            }
            Some(_) => {}
            None if self.checks.is_new(&record.id) => {}
            None => self.ground.violated(&IDS_ARE_NEW, &[id], format!("{id} is made a second time")),
        }
    }

    fn check_operation(&mut self, operation: &Operation) {
        self.ground.trace.mix(operation.id.0 * 16 + operation.phase as u64);
        self.see_operation(operation);
        let known = self.store.records.operations.contains_key(&operation.id);
        if !known && !self.checks.is_new_operation(operation.id) {
            let what = format!("operation {} is made a second time", operation.id);
            self.ground.violated(&IDS_ARE_NEW, &[&format!("operation {}", operation.id)], what);
        }
    }

    fn see_operation(&mut self, operation: &Operation) {
        let outcome = operation.outcome.and_then(|outcome| match outcome {
            OperationOutcome::RolledBack => Some(Sight::RolledBack),
            OperationOutcome::Superseded => Some(Sight::Superseded),
            OperationOutcome::Aborted => Some(Sight::Aborted),
            OperationOutcome::Succeeded | OperationOutcome::Failed => None,
        });
        let paused = (operation.phase == OperationPhase::Paused).then_some(Sight::Paused);
        let news = operation.log.iter().rev().take_while(|entry| entry.at == self.clock());
        let news: Vec<Sight> = news.filter_map(|entry| sight_of(&entry.reason)).collect();
        let waits = operation.services.values().filter_map(|progress| progress.waits_for.as_ref());
        let kept = waits.into_iter().any(|wait| matches!(wait, Reason::WaitsForCallers { .. }));
        let kept = kept.then_some(Sight::KeptForCallers);
        let all = [outcome, paused, kept].into_iter().flatten().chain(news);
        all.for_each(|sight| self.ground.sees(sight));
    }

    fn see_generations(&mut self) {
        let mut living: BTreeMap<(&StackName, &ServiceName), BTreeSet<&str>> = BTreeMap::new();
        for one in self.store.records.instances.values() {
            living.entry((&one.stack, &one.service)).or_default().insert(&one.fingerprint);
        }
        if living.values().any(|prints| prints.len() >= 3) {
            self.ground.sees(Sight::ThreeGenerations);
        }
    }

    fn check_steering(&mut self) {
        for stack in self.store.records.stacks.values() {
            let mine = self.store.records.operations.values().filter(|one| one.stack == stack.name);
            let steering = mine.filter(|one| one.is_steering() && one.kind != OperationKind::Incident);
            let steering: Vec<OperationId> = steering.map(|one| one.id).collect();
            let named: Vec<OperationId> = stack.steering.into_iter().collect();
            if steering != named {
                let what = format!("stack {} names {named:?}, and {steering:?} steer", stack.name);
                let name = stack.name.clone();
                return self.ground.violated(&ONE_STEERING, &[name.as_str()], what);
            }
        }
    }

    /// What an operation wanted serves, at every edge, and nothing else does.
    fn check_cut_over(&mut self, operation: &Operation) {
        let Some(stack) = self.store.records.stacks.get(&operation.stack) else { return };
        if operation.back.is_some() {
            return;
        }
        let wanted = targets(&self.store.records, stack);
        // One that wakes services says nothing of others, whose change may be paused.
        let is_about = |service: Option<&ServiceName>| match &operation.kind {
            OperationKind::Wake { services } => service.is_some_and(|service| services.contains(service)),
            _ => true,
        };
        let mut wrong = None;
        for edge in self.edges.iter().filter(|edge| edge.is_up()) {
            for table in edge.tables() {
                let of_stack = table.listeners.iter().filter(|one| one.stack == stack.name);
                let mine = of_stack.filter(|one| is_about(one.service.as_ref()));
                for listener in mine.filter(|listener| !listener.name.ends_with("@preview")) {
                    let want = wanted.iter().find(|want| Some(&want.service) == listener.service.as_ref());
                    // Those without a share are there for clients that began there.
                    let shares = listener.all_splits().filter(|split| split.weight > 0);
                    let backends = shares.flat_map(|split| &split.backends);
                    for backend in backends {
                        let print = self.checks.fingerprint(&backend.instance);
                        // What is not wanted any more may stay for those that still call it.
                        let internal = listener.name.ends_with("@internal");
                        let right = want.map_or(internal, |want| Some(&want.fingerprint) == print);
                        if !right {
                            wrong = Some((edge.id().clone(), backend.instance.clone()));
                        }
                    }
                }
            }
        }
        let name = format!("operation {}", operation.id);
        if let Some((edge, instance)) = wrong {
            let what =
                format!("{name} says that it has cut over, and edge {edge} still routes to {instance}");
            return self.ground.violated(&CUT_OVER_IS_TRUE, &[&name, instance.as_str(), "edge "], what);
        }
        for want in wanted.into_iter().filter(|want| is_about(Some(&want.service))) {
            let ready = self.routed_and_ready(&operation.stack, &want.service);
            if want.has_port
                && ready < want.count
                && self.checks.is_undisturbed(&operation.stack, &want.service)
            {
                let what = format!(
                    "{name} says that it has cut over, and {ready} of {} {} are routed and ready",
                    want.count, want.service
                );
                return self.ground.violated(&CUT_OVER_IS_TRUE, &[&name, "edge "], what);
            }
        }
    }
}

fn sight_of(reason: &Reason) -> Option<Sight> {
    match reason {
        Reason::Shares { .. } => Some(Sight::Shared),
        Reason::TakesBack { .. } => Some(Sight::TakenBack),
        Reason::Wakes { .. } => Some(Sight::Woke),
        Reason::TurnsBack { .. } => Some(Sight::TurnedBack),
        Reason::Stops { waited, .. } if *waited > Span::mins(60) => Some(Sight::LongRetirement),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CutOver {
    NotYet,
    Already,
}

/// What is wanted of a service that is to have instances.
pub(crate) struct Want {
    pub(crate) service: ServiceName,
    pub(crate) fingerprint: String,
    pub(crate) count: u32,
    pub(crate) has_port: bool,
    pub(crate) definition: naru_model::Service,
}

/// What a stack's target wants, read from the records by this crate's own reckoning.
pub(crate) fn targets(records: &World, stack: &StackRecord) -> Vec<Want> {
    let Some(target) = &stack.target else { return vec![] };
    let Some(release) = records.release(&stack.name, target.release) else { return vec![] };
    let running = release.stack.services.iter().filter(|(name, _)| !target.stopped.contains(*name));
    let want = |(name, service): (&ServiceName, &naru_model::Service)| Want {
        service: name.clone(),
        fingerprint: fingerprint(release, stack, name),
        count: target.replicas.get(name).copied().unwrap_or(service.replicas),
        has_port: !service.template.targets.is_empty(),
        definition: service.clone(),
    };
    running.map(want).filter(|want| want.count > 0).collect()
}

fn fingerprint(release: &Release, stack: &StackRecord, service: &ServiceName) -> String {
    let template = release.fingerprints.get(service).cloned().unwrap_or_default();
    match stack.services.get(service).map_or(0, |record| record.restarts) {
        0 => template,
        restarts => format!("{template}-{restarts}"),
    }
}

/// A write, in a line.
pub(crate) fn said(write: &Write) -> String {
    match write {
        Write::Stack(stack) => format!(
            "stack {} wants {:?}, operation {:?} steers",
            stack.name,
            stack.target.as_ref().map(|target| (target.release.0, &target.replicas, &target.stopped)),
            stack.steering.map(|id| id.0)
        ),
        Write::Release(stack, release) => format!("{stack} release {}", release.number),
        Write::ForgetRelease(stack, number) => format!("{stack} release {number} forgotten"),
        Write::Instance(one) => format!(
            "{} {:?} {:?} unrouted {:?} retired by {:?}",
            one.id,
            one.duty,
            one.intent,
            one.unrouted.map(|generation| generation.0),
            one.retired_by.map(|id| id.0)
        ),
        Write::ForgetInstance(id) => format!("{id} forgotten"),
        Write::Operation(one) => {
            let stages: Vec<_> =
                one.services.iter().map(|(name, at)| format!("{name} {:?}", at.stage)).collect();
            let last = one.log.last().map(|entry| entry.reason.to_string()).unwrap_or_default();
            format!(
                "operation {} {:?} {:?}, cut over {}, [{}]: {last}",
                one.id,
                one.phase,
                one.outcome,
                one.cut_over.is_some(),
                stages.join(", ")
            )
        }
        Write::ForgetOperation(id) => format!("operation {id} forgotten"),
        Write::Routes(table) => {
            let named = |listener: &naru_model::Listener| {
                let split = |split: &naru_model::Split| {
                    let all: Vec<_> = split.backends.iter().map(|one| one.instance.as_str()).collect();
                    format!("{}×[{}]", split.weight, all.join(" "))
                };
                let splits: Vec<_> = listener.splits.iter().map(split).collect();
                format!("{} → {}", listener.name, splits.join(" "))
            };
            let all: Vec<_> = table.listeners.iter().map(named).collect();
            format!("table {}: {}", table.generation, all.join("; "))
        }
        Write::Edge(edge) => format!("edge {} serves", edge.edge),
        Write::Person(person) => format!("{person:?}"),
        Write::Run(run) => {
            let tries: Vec<_> = run.tries.iter().map(|one| one.instance.as_str()).collect();
            format!("{} run {} of {} {:?} [{}]", run.stack, run.number, run.job, run.state, tries.join(" "))
        }
        Write::ForgetRun((stack, job, number)) => format!("{stack} run {number} of {job} forgotten"),
    }
}
