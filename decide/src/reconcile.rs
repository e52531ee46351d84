//! Given records and observations: what is to be written next?

use crate::draft::{Decision, Draft};
use crate::{World, Write, incident, jobs, names, power, retire, rollout, route};
use naru_model::{
    Duty, Ending, InstanceRecord, NodeId, Operation, OperationId, OperationKind, OperationPhase, Reason,
    StackName, Time,
};

/// Ended operations kept for each stack: a month of ten deploys a day, with room; and as many incidents, so
/// that a crash loop does not push out what people did.
const KEEP_OPERATIONS: usize = 500;

/// Releases kept for each stack, to roll back to.
const KEEP_RELEASES: u64 = 50;

/// One round over all stacks. New instances are placed on `node`.
///
/// A round takes each thing one step further; the caller commits its writes and calls again, until there is
/// nothing to write.
pub fn reconcile(world: &World, node: &NodeId, now: Time) -> Decision {
    let mut draft = Draft::new(world, node, now);
    incident::replace_edges(&mut draft);
    incident::notice_losses(&mut draft);
    names::note(&mut draft);
    power::look(&mut draft);
    for stack in world.stacks.keys() {
        power::advance(&mut draft, stack);
        rollout::steer(&mut draft, stack);
        retire::advance(&mut draft, stack);
        jobs::advance(&mut draft, stack);
    }
    route::reroute(&mut draft);
    for id in draft.open_operations() {
        end(&mut draft, id);
    }
    for stack in world.stacks.keys() {
        prune(&mut draft, stack);
    }
    draft.finish()
}

/// An operation is over when it has settled and the last instance on its receipt is gone.
fn end(draft: &mut Draft, id: OperationId) {
    let Some(operation) = draft.operation(id) else { return };
    if operation.phase != OperationPhase::Retiring || operation.kind == OperationKind::Incident {
        return;
    }
    let kind = operation.kind.clone();
    let cuts = operation.ending == Ending::Cut;
    let (stack, now) = (operation.stack.clone(), draft.now);
    let concerns = |one: &InstanceRecord| match &kind {
        _ if one.retired_by == Some(id) => true,
        OperationKind::Cancel { job, run } => one.service == *job && one.run == Some(*run),
        _ => cuts && one.duty == Duty::Retiring,
    };
    let open = draft.all_instances().any(|one| one.stack == stack && concerns(one));
    let falls = matches!(&kind, OperationKind::Sleep { services } if power::is_falling_asleep(draft, &stack, services));
    if open || falls {
        return;
    }
    if let Some(operation) = draft.operation_mut(id) {
        operation.phase = OperationPhase::Done;
        operation.ended = Some(now);
        operation.receipt.baseline.clear();
    }
    draft.say(id, Reason::Done);
}

/// Forgets what is older than anybody asks for.
fn prune(draft: &mut Draft, stack: &StackName) {
    let world = draft.world;
    for incidents in [true, false] {
        let of_kind = |one: &&Operation| (one.kind == OperationKind::Incident) == incidents;
        let ended = |one: &&Operation| one.stack == *stack && one.ended.is_some();
        let old: Vec<_> = world.operations.values().filter(ended).filter(of_kind).map(|one| one.id).collect();
        let surplus = old.len().saturating_sub(KEEP_OPERATIONS);
        old.into_iter().take(surplus).for_each(|id| draft.forget(Write::ForgetOperation(id)));
    }
    jobs::prune(draft, stack);
    let record = draft.stack(stack);
    let oldest = record.newest.0.saturating_sub(KEEP_RELEASES);
    let before = |operation: &Operation| operation.before.as_ref().map(|target| target.release);
    let target = record.target.as_ref().map(|target| target.release);
    let kept: Vec<_> = target
        .into_iter()
        .chain(record.serving)
        .chain(record.steering.and_then(|id| draft.operation(id)).and_then(before))
        .chain(draft.all_instances().filter(|one| one.stack == *stack).map(|one| one.release))
        .chain(draft.open_runs(stack).iter().filter_map(|key| draft.run(key)).map(|run| run.release))
        .collect();
    let numbers = world.releases.keys().filter(|(of, number)| of == stack && number.0 <= oldest);
    let unused: Vec<_> = numbers.filter(|(_, number)| !kept.contains(number)).cloned().collect();
    for (of, number) in unused {
        draft.forget(Write::ForgetRelease(of, number));
    }
}
