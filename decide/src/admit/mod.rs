//! May this be done, and what does the store then say? A demand is taken whole or refused whole.
//!
//! Taking one writes the stack's new target and an open operation; [`reconcile`](crate::reconcile()) does the
//! rest. An operation that steered the stack until now is superseded: what it had begun to retire goes on
//! retiring on its own receipt.

mod deploy;
mod job;
mod power;
mod steer;

pub use power::end_wakes;

use crate::want::MOST_REPLICAS;
use crate::{World, Write};
use naru_model::{
    Admitted, Change, Counts, Demand, Duty, Ending, InstanceId, NodeId, Operation, OperationId,
    OperationKind, OperationOutcome, OperationPhase, Reason, Receipt, Refusal, ReleaseNo, ServiceName,
    StackName, StackRecord, Target, Time,
};
use std::collections::BTreeMap;

pub(crate) use deploy::{Contents, contents};
pub(crate) use power::falls_asleep;

/// What admission needs beside the world.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now.
    pub now: Time,
    /// Ports of this machine's loopback that nothing listens on, for stable addresses; at least as many as
    /// the demand's stack has target ports, twice.
    pub free_ports: Vec<u16>,
    /// Where instances are placed.
    pub node: NodeId,
}

/// Takes a demand: the writes that make it so, or a refusal that changes nothing.
pub fn admit(world: &World, demand: &Demand, context: &Context) -> Result<(Admitted, Vec<Write>), Refusal> {
    let admission = Admission { world, demand, now: context.now };
    match &demand.change {
        Change::Deploy { stack, only, images, idle } => {
            admission.deploy(stack, (only, idle), images, &context.free_ports)
        }
        Change::Import { stack, found } => admission.import(stack, found, &context.free_ports),
        Change::Rollback { to } => admission.rollback(*to),
        Change::Scale { replicas } => admission.scale(replicas),
        Change::Stop { services } => admission.stop(services),
        Change::Start { services } => admission.start(services),
        Change::Restart { services } => admission.restart(services),
        Change::Wake { services, within } => admission.wake(services, *within),
        Change::Extend { services, by } => admission.extend(services, *by),
        Change::Sleep { services } => admission.sleep(services, &context.node),
        Change::Down => admission.down(),
        Change::Run { job } => admission.run(job),
        Change::OneOff { service, with } => admission.one_off(service, with),
        Change::Cancel { job, run } => admission.cancel(job, *run),
        Change::Pause => admission.pause(),
        Change::Resume => admission.resume(),
        Change::Promote => admission.promote(),
        Change::Abort => admission.abort(),
    }
}

/// Whether so many instances may be wanted.
fn check_count(service: &ServiceName, wanted: u32) -> Result<(), Refusal> {
    if wanted <= MOST_REPLICAS {
        return Ok(());
    }
    let error = format!("{wanted} instances of `{service}` are too many: at most {MOST_REPLICAS}");
    Err(Refusal::new(error, "ask for fewer"))
}

type Answer = Result<(Admitted, Vec<Write>), Refusal>;

/// One demand being judged.
struct Admission<'a> {
    world: &'a World,
    demand: &'a Demand,
    now: Time,
}

impl<'a> Admission<'a> {
    fn name(&self) -> &'a StackName {
        &self.demand.stack
    }

    /// The stack, if it has anything.
    fn known(&self) -> Result<&'a StackRecord, Refusal> {
        self.world.stacks.get(self.name()).ok_or_else(|| {
            let names: Vec<_> = self.world.stacks.keys().map(|name| name.as_str()).collect();
            let hint = match names.as_slice() {
                [] => "nothing runs here yet; `naru up` starts a stack".to_string(),
                names => format!("the stacks here are: {}", names.join(", ")),
            };
            Refusal::new(format!("there is no stack `{}`", self.name()), hint)
        })
    }

    /// What is wanted of the stack, if it is not down.
    fn target(&self) -> Result<(&'a StackRecord, Target), Refusal> {
        let stack = self.known()?;
        let target = stack.target.clone().ok_or_else(|| {
            Refusal::new(format!("stack `{}` is down", self.name()), "`naru up` starts it again")
        })?;
        Ok((stack, target))
    }

    /// The services named, or all; each has to be one of the target's release.
    fn services(&self, target: &Target, named: &[ServiceName]) -> Result<Vec<ServiceName>, Refusal> {
        let release = self.world.release(self.name(), target.release);
        let known: Vec<ServiceName> =
            release.map(|release| release.stack.services.keys().cloned().collect()).unwrap_or_default();
        if named.is_empty() {
            return Ok(known);
        }
        if let Some(stranger) = named.iter().find(|service| !known.contains(service)) {
            let all: Vec<_> = known.iter().map(|service| service.as_str()).collect();
            return Err(Refusal::new(
                format!("stack `{}` has no service `{stranger}`", self.name()),
                format!("its services are: {}", all.join(", ")),
            ));
        }
        Ok(named.to_vec())
    }

    /// An operation that has just begun.
    fn operation(
        &self,
        kind: OperationKind,
        release: Option<ReleaseNo>,
        before: Option<Target>,
    ) -> Operation {
        let id = self.world.operations.keys().next_back().copied().unwrap_or_default().next();
        let mut operation = Operation {
            id,
            stack: self.name().clone(),
            kind,
            actor: self.demand.actor.clone(),
            message: self.demand.message.clone(),
            began: self.now,
            phase: OperationPhase::Running,
            outcome: None,
            cut_over: None,
            ended: None,
            release,
            before,
            back: None,
            ending: self.demand.ending,
            promoted: None,
            services: BTreeMap::new(),
            log: vec![],
            receipt: Receipt { baseline: self.baseline(), ..Receipt::default() },
        };
        let what = match operation.ending {
            Ending::Finish => operation.kind.to_string(),
            Ending::Cut => format!("{} --cut", operation.kind),
        };
        operation.say(self.now, Reason::Ordered { actor: self.demand.actor.clone(), what });
        operation
    }

    /// What each instance that it may retire has counted so far; what has not been heard of is entered later.
    fn baseline(&self) -> BTreeMap<InstanceId, Counts> {
        let mine = self.world.instances.values().filter(|one| one.stack == *self.name());
        let mine = mine
            .filter(|one| one.run.is_none() && one.duty != Duty::Retiring && self.world.is_heard(&one.id));
        mine.map(|one| (one.id.clone(), self.world.counted(one))).collect()
    }

    /// The writes of a new target: the operation that brings it takes the place of the one that steers.
    fn steer(
        &self,
        mut stack: StackRecord,
        target: Option<Target>,
        kind: OperationKind,
        release: Option<ReleaseNo>,
        notes: Vec<String>,
    ) -> (Admitted, Vec<Write>) {
        let mut writes = Vec::new();
        let old = stack.steering.and_then(|id| self.world.operations.get(&id)).cloned();
        let old = old.filter(|operation| operation.is_steering());
        let before = match &old {
            Some(old) if old.cut_over.is_none() && old.back.is_none() => old.before.clone(),
            _ => stack.target.clone(),
        };
        let operation = self.operation(kind, release, before);
        if let Some(old) = old {
            writes.push(Write::Operation(Box::new(self.superseded(old, operation.id))));
        }
        stack.target = target;
        stack.steering = Some(operation.id);
        let admitted = Admitted { operation: Some(operation.id), notes, run: None };
        writes.push(Write::Stack(Box::new(stack)));
        writes.push(Write::Operation(Box::new(operation)));
        (admitted, writes)
    }

    fn superseded(&self, mut old: Operation, by: OperationId) -> Operation {
        old.outcome = Some(match (old.cut_over, old.back) {
            (_, Some(back)) => back,
            (Some(_), None) => OperationOutcome::Succeeded,
            (None, None) => OperationOutcome::Superseded,
        });
        old.phase = OperationPhase::Retiring;
        old.say(self.now, Reason::Superseded { by });
        old
    }
}

/// Nothing to do: everything is as wanted.
fn unchanged(note: impl Into<String>) -> Answer {
    Ok((Admitted { operation: None, notes: vec![note.into()], run: None }, vec![]))
}
