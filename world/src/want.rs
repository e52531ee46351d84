//! What is wanted of a service, read from its stack's target.

use crate::World;
use crate::draft::Draft;
use naru_model::{
    Mode, Operation, OperationId, OperationKind, Release, Service, ServiceName, ServiceRecord, StackName,
    StackRecord, Target,
};

/// More instances of one service than this are a slip of the keyboard, as long as all run on one machine.
pub const MOST_REPLICAS: u32 = 1_000;

/// The fingerprint that instances of a service are to have: its template's, and how often it was restarted.
pub fn fingerprint(release: &Release, stack: &StackRecord, service: &ServiceName) -> Option<String> {
    let template = release.fingerprints.get(service)?;
    let restarts = stack.services.get(service).map_or(0, |record| record.restarts);
    Some(if restarts == 0 { template.clone() } else { format!("{template}-{restarts}") })
}

/// How many instances of a service a target asks for.
pub fn replicas(world: &World, stack: &StackName, target: &Target, service: &ServiceName) -> u32 {
    let definition = world.release(stack, target.release).and_then(|r| r.stack.services.get(service));
    match definition {
        Some(_) if target.stopped.contains(service) => 0,
        Some(definition) if definition.mode == Mode::Global => 1,
        Some(definition) if definition.mode.is_job() => {
            let stack = &world.stacks[stack];
            let fingerprint =
                world.release(&stack.name, target.release).and_then(|r| fingerprint(r, stack, service));
            left(definition, stack.services.get(service), fingerprint.as_ref())
        }
        // Records of an earlier version may ask for more than is admitted now.
        Some(definition) => {
            target.replicas.get(service).copied().unwrap_or(definition.replicas).min(MOST_REPLICAS)
        }
        None => 0,
    }
}

/// How many instances of a job there are to be now: as many as have not succeeded yet, and no more than allowed at once.
fn left(definition: &Service, record: Option<&ServiceRecord>, fingerprint: Option<&String>) -> u32 {
    let total = total(definition);
    let known = record.and_then(|record| record.successes.as_ref());
    let done = known.filter(|(of, _)| Some(of) == fingerprint).map_or(0, |(_, count)| *count);
    total.saturating_sub(done).min(definition.max_concurrent.unwrap_or(total))
}

/// How many instances of a job are to succeed.
pub fn total(definition: &Service) -> u32 {
    if definition.mode == Mode::GlobalJob { 1 } else { definition.replicas.min(MOST_REPLICAS) }
}

impl<'w> Draft<'w> {
    /// The release that a stack's target names.
    pub fn target_release(&self, stack: &StackName) -> Option<&'w Release> {
        let target = self.stack(stack).target.as_ref()?;
        self.world.release(stack, target.release)
    }

    /// The definition that is wanted of a service.
    pub fn wanted_definition(&self, stack: &StackName, service: &ServiceName) -> Option<&'w Service> {
        self.target_release(stack)?.stack.services.get(service)
    }

    /// The fingerprint that its instances are to have.
    pub fn fingerprint(&self, stack: &StackName, service: &ServiceName) -> Option<String> {
        fingerprint(self.target_release(stack)?, self.stack(stack), service)
    }

    /// How many instances are wanted of it.
    pub fn wanted(&self, stack: &StackName, service: &ServiceName) -> u32 {
        let record = self.stack(stack);
        let definition = self.wanted_definition(stack, service);
        match (definition.filter(|one| one.mode.is_job()), &record.target) {
            (Some(_), Some(target)) if target.stopped.contains(service) => 0,
            // What has succeeded in this round counts.
            (Some(job), _) => {
                left(job, record.services.get(service), self.fingerprint(stack, service).as_ref())
            }
            (None, _) if self.asleep(stack, service).is_some() => 0,
            (None, target) => {
                target.as_ref().map_or(0, |target| replicas(self.world, stack, target, service))
            }
        }
    }

    /// Whether it is a one-shot that has succeeded as it is defined now.
    pub fn is_completed(&self, stack: &StackName, service: &ServiceName) -> bool {
        let completed = self.stack(stack).services.get(service).and_then(|record| record.completed.clone());
        completed.is_some() && completed == self.fingerprint(stack, service)
    }

    /// The services that the target wants, in an order in which each comes after those it depends on.
    pub fn in_order(&self, stack: &StackName) -> Vec<ServiceName> {
        let Some(release) = self.target_release(stack) else { return vec![] };
        let services = &release.stack.services;
        let mut ordered: Vec<ServiceName> = Vec::new();
        // Each pass places at least one, as long as there is no cycle; the loader refuses cycles.
        for _ in 0..services.len() {
            for (name, service) in services {
                let is_placed =
                    |other: &ServiceName| ordered.contains(other) || !services.contains_key(other);
                if !ordered.contains(name) && service.depends_on.keys().all(is_placed) {
                    ordered.push(name.clone());
                }
            }
        }
        ordered
    }

    /// The operation that steers a stack now.
    pub fn steering(&self, stack: &StackName) -> Option<&Operation> {
        self.operation(self.stack(stack).steering?).filter(|operation| operation.is_steering())
    }

    /// The operation on whose receipt a change of a stack goes when nothing steers it: the newest.
    pub fn newest_operation(&self, stack: &StackName) -> Option<OperationId> {
        let open = self.stack(stack).steering;
        open.or_else(|| {
            let mut mine = self.all_operations().into_iter().rev().filter_map(|id| self.operation(id));
            let newest = mine.find(|operation| {
                let aside = matches!(
                    operation.kind,
                    OperationKind::Incident | OperationKind::Cancel { .. } | OperationKind::Sleep { .. }
                );
                operation.stack == *stack && !aside
            });
            newest.map(|operation| operation.id)
        })
    }
}
