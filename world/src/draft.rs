//! A decision in the making: the world, with the changes made so far laid over it.

use crate::{RunKey, World, Write};
use naru_model::{
    Duty, InstanceId, InstanceRecord, Intent, NodeId, Operation, OperationId, Reason, ReleaseNo, RouteTable,
    RunRecord, ServiceName, StackName, StackRecord, Time, Want,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be written, all in one transaction, and when to look again at the latest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Records to change.
    pub writes: Vec<Write>,
    /// When time alone may change the decision.
    pub wake: Option<Time>,
}

/// What is wanted of a service that may be asleep.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether it is to be on.
    pub awake: bool,
    /// Why: what decides comes first.
    pub wants: Vec<Want>,
    /// When time alone may change that.
    pub next: Option<Time>,
}

/// The world as it will be once this round's writes are committed.
pub struct Draft<'w> {
    /// The world as it is; observations are read here.
    pub world: &'w World,
    /// Now.
    pub now: Time,
    /// Where new instances are placed.
    pub node: &'w NodeId,
    stacks: BTreeMap<StackName, StackRecord>,
    instances: BTreeMap<InstanceId, Option<InstanceRecord>>,
    operations: BTreeMap<OperationId, Operation>,
    runs: BTreeMap<RunKey, RunRecord>,
    forgotten: Vec<Write>,
    routes: Option<RouteTable>,
    edges: Vec<Write>,
    /// What is wanted of services that may be asleep.
    verdicts: BTreeMap<StackName, BTreeMap<ServiceName, Verdict>>,
    wake: Option<Time>,
}

impl<'w> Draft<'w> {
    /// A draft that changes nothing yet.
    pub fn new(world: &'w World, node: &'w NodeId, now: Time) -> Draft<'w> {
        Draft {
            world,
            now,
            node,
            stacks: BTreeMap::new(),
            instances: BTreeMap::new(),
            operations: BTreeMap::new(),
            runs: BTreeMap::new(),
            forgotten: Vec::new(),
            routes: None,
            edges: Vec::new(),
            verdicts: BTreeMap::new(),
            wake: None,
        }
    }

    /// What is wanted of a service that may be asleep.
    pub fn set_verdict(&mut self, stack: &StackName, service: ServiceName, verdict: Verdict) {
        self.verdicts.entry(stack.clone()).or_default().insert(service, verdict);
    }

    /// What is wanted of the services of a stack that may be asleep.
    pub fn verdicts(&self, stack: &StackName) -> BTreeMap<ServiceName, Verdict> {
        self.verdicts.get(stack).cloned().unwrap_or_default()
    }

    /// The same of one service, while it is to be asleep.
    pub fn asleep(&self, stack: &StackName, service: &ServiceName) -> Option<&Verdict> {
        self.verdicts.get(stack)?.get(service).filter(|verdict| !verdict.awake)
    }

    /// A stack as it will be.
    pub fn stack(&self, name: &StackName) -> &StackRecord {
        self.stacks.get(name).unwrap_or_else(|| &self.world.stacks[name])
    }

    /// For changing it.
    pub fn stack_mut(&mut self, name: &StackName) -> &mut StackRecord {
        let world = self.world;
        self.stacks.entry(name.clone()).or_insert_with(|| world.stacks[name].clone())
    }

    /// An instance as it will be.
    pub fn instance(&self, id: &InstanceId) -> Option<&InstanceRecord> {
        match self.instances.get(id) {
            Some(changed) => changed.as_ref(),
            None => self.world.instances.get(id),
        }
    }

    /// For changing an instance that is there.
    pub fn instance_mut(&mut self, id: &InstanceId) -> Option<&mut InstanceRecord> {
        let world = self.world;
        let entry = self.instances.entry(id.clone());
        entry.or_insert_with(|| world.instances.get(id).cloned()).as_mut()
    }

    /// The record of a new instance, with the next number of its stack; it is not added yet.
    pub fn newborn(
        &mut self,
        (stack, service, release): (&StackName, &ServiceName, ReleaseNo),
        fingerprint: String,
        made_by: OperationId,
    ) -> InstanceRecord {
        let record = self.stack_mut(stack);
        record.instances_made += 1;
        InstanceRecord {
            id: InstanceId::new(stack, service, release, record.instances_made),
            stack: stack.clone(),
            service: service.clone(),
            run: None,
            release,
            fingerprint,
            node: self.node.clone(),
            imported: None,
            made: self.now,
            made_by,
            duty: Duty::Warming,
            since: self.now,
            intent: Intent::Run,
            routed: None,
            unrouted: None,
            retired_by: None,
            past: Default::default(),
            on_incidents: Default::default(),
            restarts_told: 0,
            incident: None,
        }
    }

    /// Adds an instance, or puts it in the place of what it was.
    pub fn add_instance(&mut self, record: InstanceRecord) {
        self.instances.insert(record.id.clone(), Some(record));
    }

    /// There is no such instance any more.
    pub fn forget_instance(&mut self, id: &InstanceId) {
        self.instances.insert(id.clone(), None);
    }

    /// The instances of services as they will be, oldest first. Runs of jobs are not among them: no rollout, retirement or
    /// route concerns them.
    pub fn instances(&self) -> impl Iterator<Item = &InstanceRecord> {
        self.all_instances().filter(|one| one.run.is_none())
    }

    /// All instances as they will be, oldest first; runs of jobs too.
    pub fn all_instances(&self) -> impl Iterator<Item = &InstanceRecord> {
        let kept = self.world.instances.iter().filter(|(id, _)| !self.instances.contains_key(*id));
        let changed = self.instances.values().flatten();
        let mut all: Vec<_> = kept.map(|(_, record)| record).chain(changed).collect();
        all.sort_by_key(|record| order_of(record));
        all.into_iter()
    }

    /// The instances of a stack, oldest first.
    pub fn instances_of(&self, stack: &StackName) -> Vec<InstanceRecord> {
        self.instances().filter(|one| one.stack == *stack).cloned().collect()
    }

    /// The instances of a service, oldest first.
    pub fn instances_in(&self, stack: &StackName, service: &ServiceName) -> Vec<InstanceRecord> {
        self.instances().filter(|one| one.stack == *stack && one.service == *service).cloned().collect()
    }

    /// An operation as it will be.
    pub fn operation(&self, id: OperationId) -> Option<&Operation> {
        self.operations.get(&id).or_else(|| self.world.operations.get(&id))
    }

    /// For changing an operation that is there.
    pub fn operation_mut(&mut self, id: OperationId) -> Option<&mut Operation> {
        let original = self.world.operations.get(&id);
        match self.operations.entry(id) {
            std::collections::btree_map::Entry::Occupied(there) => Some(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => Some(free.insert(original?.clone())),
        }
    }

    /// Adds an operation.
    pub fn add_operation(&mut self, operation: Operation) {
        self.operations.insert(operation.id, operation);
    }

    /// A run as it will be.
    pub fn run(&self, key: &RunKey) -> Option<&RunRecord> {
        self.runs.get(key).or_else(|| self.world.runs.get(key))
    }

    /// For changing a run that is there.
    pub fn run_mut(&mut self, key: &RunKey) -> Option<&mut RunRecord> {
        let world = self.world;
        match self.runs.entry(key.clone()) {
            std::collections::btree_map::Entry::Occupied(there) => Some(there.into_mut()),
            std::collections::btree_map::Entry::Vacant(free) => {
                Some(free.insert(world.runs.get(key)?.clone()))
            }
        }
    }

    /// Adds a run.
    pub fn add_run(&mut self, run: RunRecord) {
        self.runs.insert((run.stack.clone(), run.job.clone(), run.number), run);
    }

    /// The runs of a stack that have not ended, as they will be, by job and number.
    pub fn open_runs(&self, stack: &StackName) -> Vec<RunKey> {
        let first = (stack.clone(), ServiceName::from(""), 0);
        let mine = |key: &&RunKey| key.0 == *stack;
        let known = self.world.runs.range(first.clone()..).map(|(key, _)| key).take_while(mine);
        let changed = self.runs.range(first..).map(|(key, _)| key).take_while(mine);
        let keys: BTreeSet<&RunKey> = known.chain(changed).collect();
        let open = |key: &&RunKey| self.run(key).is_some_and(|run| !run.state.is_over());
        keys.into_iter().filter(open).cloned().collect()
    }

    /// The id that the next operation gets.
    pub fn next_operation(&self) -> OperationId {
        let changed = self.operations.keys().next_back();
        changed.max(self.world.operations.keys().next_back()).copied().unwrap_or_default().next()
    }

    /// The ids of all operations, as they will be.
    pub fn all_operations(&self) -> BTreeSet<OperationId> {
        self.world.operations.keys().chain(self.operations.keys()).copied().collect()
    }

    /// The ids of operations that have not ended, as they will be.
    pub fn open_operations(&self) -> Vec<OperationId> {
        self.all_operations()
            .into_iter()
            .filter(|id| self.operation(*id).is_some_and(|one| one.ended.is_none()))
            .collect()
    }

    /// Adds a line to an operation's story.
    pub fn say(&mut self, id: OperationId, reason: Reason) {
        let now = self.now;
        if let Some(operation) = self.operation_mut(id) {
            operation.say(now, reason);
        }
    }

    /// The table as it will be.
    pub fn routes(&self) -> &RouteTable {
        self.routes.as_ref().unwrap_or(&self.world.routes)
    }

    /// Another table.
    pub fn set_routes(&mut self, table: RouteTable) {
        self.routes = Some(table);
    }

    /// Another edge serves on its node.
    pub fn write_edge(&mut self, edge: crate::EdgeRecord) {
        self.edges.push(Write::Edge(edge));
    }

    /// Something is not kept any longer.
    pub fn forget(&mut self, write: Write) {
        self.forgotten.push(write);
    }

    /// Asks for another look at `at`, or earlier.
    pub fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// What differs from the world.
    pub fn finish(self) -> Decision {
        let world = self.world;
        let mut writes = Vec::new();
        let stacks = self.stacks.into_values().filter(|one| world.stacks.get(&one.name) != Some(one));
        writes.extend(stacks.map(|stack| Write::Stack(Box::new(stack))));
        for (id, changed) in self.instances {
            match changed {
                Some(record) if world.instances.get(&id) == Some(&record) => {}
                Some(record) => writes.push(Write::Instance(Box::new(record))),
                None if world.instances.contains_key(&id) => writes.push(Write::ForgetInstance(id)),
                None => {}
            }
        }
        let operations =
            self.operations.into_values().filter(|one| world.operations.get(&one.id) != Some(one));
        writes.extend(operations.map(|one| Write::Operation(Box::new(one))));
        let runs = self.runs.into_iter().filter(|(key, run)| world.runs.get(key) != Some(run));
        writes.extend(runs.map(|(_, run)| Write::Run(Box::new(run))));
        writes.extend(self.edges);
        writes.extend(self.forgotten);
        writes.extend(self.routes.filter(|table| *table != world.routes).map(Write::Routes));
        Decision { writes, wake: self.wake }
    }
}

/// Oldest first, by the number that the stack gave; ids as text do not sort that way.
fn order_of(record: &InstanceRecord) -> (Time, usize, &InstanceId) {
    (record.made, record.id.as_str().len(), &record.id)
}
