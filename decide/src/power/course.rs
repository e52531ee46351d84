//! How a service comes from on to asleep and back. Falling asleep is a retirement like any other: out of the routes, quiet,
//! its work seen to be at zero, stopped; each with a receipt. As long as an instance was not told to be quiet, a want turns
//! it back.

use super::Verdict;
use crate::admit::falls_asleep;
use crate::draft::Draft;
use crate::incident;
use crate::retire::{enter_baseline, has_callers, retire};
use crate::rollout;
use naru_model::{
    Duty, Ending, InstanceRecord, OperationId, OperationKind, OperationOutcome, OperationPhase, Reason,
    ServiceName, StackName, Stage, Want,
};
use std::collections::BTreeMap;

/// Takes each service of a stack that may be asleep one step further. While an operation steers, all are on.
pub(crate) fn advance(draft: &mut Draft, stack: &StackName) {
    forget_wakes(draft, stack);
    let verdicts = draft.verdicts(stack);
    if verdicts.is_empty() {
        // What was to wake may never be asleep any more: a later release has no hours.
        return end_wake(draft, stack, OperationOutcome::Superseded);
    }
    if draft.steering(stack).is_some() {
        return end_wake(draft, stack, OperationOutcome::Superseded);
    }
    for service in draft.in_order(stack).iter().rev() {
        match verdicts.get(service) {
            Some(verdict) if !verdict.awake => fall_asleep(draft, stack, service, verdict),
            Some(verdict) => turn_back(draft, stack, service, verdict),
            None => {}
        }
    }
    wake(draft, stack, &verdicts);
    follow_wake(draft, stack, &verdicts);
}

/// Wakes that have ended are nobody's any more.
fn forget_wakes(draft: &mut Draft, stack: &StackName) {
    let now = draft.now;
    let is_over = |wake: &naru_model::Wake| wake.until <= now;
    let old = |name: &ServiceName| {
        draft.stack(stack).services.get(name).is_some_and(|one| one.power.wakes.iter().any(is_over))
    };
    let names: Vec<ServiceName> =
        draft.stack(stack).services.keys().filter(|name| old(name)).cloned().collect();
    for name in names {
        if let Some(record) = draft.stack_mut(stack).services.get_mut(&name) {
            record.power.wakes.retain(|wake| !is_over(wake));
        }
    }
}

/// Takes its instances out of the routes, once nobody on the way out may still call them.
fn fall_asleep(draft: &mut Draft, stack: &StackName, service: &ServiceName, verdict: &Verdict) {
    let present = present(draft, stack, service);
    let serving: Vec<_> = present.into_iter().filter(|one| one.duty != Duty::Held).collect();
    if serving.is_empty() || serving.iter().any(|one| has_callers(draft, stack, one).is_some()) {
        return;
    }
    let id = sleep_operation(draft, stack, service, verdict);
    let cuts = draft.operation(id).is_some_and(|operation| operation.ending == Ending::Cut);
    for one in serving {
        if cuts || one.duty == Duty::Warming {
            retire(draft, &one.id, id);
            continue;
        }
        let world = draft.world;
        draft.operation_mut(id).into_iter().for_each(|operation| enter_baseline(world, &one, operation));
        rollout::hold(draft, &one.id, id);
        draft.say(id, Reason::Holds { instance: one.id });
    }
}

fn present(draft: &Draft, stack: &StackName, service: &ServiceName) -> Vec<InstanceRecord> {
    draft.instances_in(stack, service).into_iter().filter(|one| one.duty != Duty::Retiring).collect()
}

/// The open operation by which the service falls asleep, or a new one.
fn sleep_operation(
    draft: &mut Draft,
    stack: &StackName,
    service: &ServiceName,
    verdict: &Verdict,
) -> OperationId {
    let want = verdict.wants.first().cloned().unwrap_or(Want::Unknown);
    let open = open(draft, stack, |kind| matches!(kind, OperationKind::Sleep { .. }));
    let id = open.unwrap_or_else(|| {
        let kind = OperationKind::Sleep { services: vec![] };
        let mut operation = incident::unordered(draft, stack.clone(), kind);
        falls_asleep(&mut operation);
        let id = operation.id;
        draft.add_operation(operation);
        id
    });
    let is_news = draft.operation_mut(id).is_some_and(|operation| {
        let OperationKind::Sleep { services } = &mut operation.kind else { return false };
        let falls =
            |reason: &Reason| matches!(reason, Reason::FallsAsleep { service: of, .. } if of == service);
        let is_told = operation.log.iter().any(|entry| falls(&entry.reason));
        if !services.contains(service) {
            services.push(service.clone());
            services.sort();
        }
        !is_told
    });
    if is_news {
        draft.say(id, Reason::FallsAsleep { service: service.clone(), want });
    }
    id
}

/// Whether an operation by which services fall asleep has something to retire yet, or will have once another steers no longer.
pub(crate) fn is_falling_asleep(draft: &Draft, stack: &StackName, services: &[ServiceName]) -> bool {
    let (verdicts, is_steered) = (draft.verdicts(stack), draft.steering(stack).is_some());
    let falls = |service: &ServiceName| match is_steered {
        true => draft.stack(stack).services.get(service).is_some_and(|record| record.power.sleep.is_some()),
        false => verdicts.get(service).is_some_and(|verdict| !verdict.awake),
    };
    services.iter().filter(|service| falls(service)).any(|service| !present(draft, stack, service).is_empty())
}

/// Instances that left the routes to fall asleep come back, as far as they are wanted.
fn turn_back(draft: &mut Draft, stack: &StackName, service: &ServiceName, verdict: &Verdict) {
    let held = present(draft, stack, service).into_iter().filter(|one| one.duty == Duty::Held);
    let by_sleep = |one: &InstanceRecord| {
        let operation = one.retired_by.and_then(|id| draft.operation(id));
        operation.filter(|operation| matches!(operation.kind, OperationKind::Sleep { .. })).map(|one| one.id)
    };
    let held: Vec<_> = held.filter_map(|one| Some((by_sleep(&one)?, one))).collect();
    let Some((id, _)) = held.first() else { return };
    let want = verdict.wants.first().cloned().unwrap_or(Want::Unknown);
    draft.say(*id, Reason::TurnsBack { service: service.clone(), want });
    rollout::take_back(draft, stack, service, *id);
}

/// Services that are to be on and have nothing: an operation tells of their waking.
fn wake(draft: &mut Draft, stack: &StackName, verdicts: &BTreeMap<ServiceName, Verdict>) {
    for service in draft.in_order(stack) {
        let Some(verdict) = verdicts.get(&service).filter(|verdict| verdict.awake) else { continue };
        let has_any = !present(draft, stack, &service).is_empty();
        if has_any || draft.wanted(stack, &service) == 0 || draft.is_completed(stack, &service) {
            continue;
        }
        let id = open_wake(draft, stack).unwrap_or_else(|| begin_wake(draft, stack));
        let Some(operation) = draft.operation_mut(id) else { continue };
        if let OperationKind::Wake { services } = &mut operation.kind
            && !services.contains(&service)
        {
            services.push(service.clone());
            services.sort();
        }
        let is_told = |reason: &Reason| matches!(reason, Reason::Wakes { service: of, .. } if *of == service);
        if !operation.log.iter().any(|entry| is_told(&entry.reason)) {
            let want = verdict.wants.first().cloned().unwrap_or(Want::Unknown);
            draft.say(id, Reason::Wakes { service: service.clone(), want });
        }
    }
}

fn begin_wake(draft: &mut Draft, stack: &StackName) -> OperationId {
    let kind = OperationKind::Wake { services: vec![] };
    let operation = incident::unordered(draft, stack.clone(), kind);
    let id = operation.id;
    draft.add_operation(operation);
    id
}

fn open_wake(draft: &Draft, stack: &StackName) -> Option<OperationId> {
    open(draft, stack, |kind| matches!(kind, OperationKind::Wake { .. }))
}

fn open(draft: &Draft, stack: &StackName, is: impl Fn(&OperationKind) -> bool) -> Option<OperationId> {
    let mut open = draft.open_operations().into_iter().filter_map(|id| draft.operation(id));
    open.find(|one| one.stack == *stack && is(&one.kind)).map(|one| one.id)
}

/// An operation that wakes services is over when they serve, or are not to be on any more.
fn follow_wake(draft: &mut Draft, stack: &StackName, verdicts: &BTreeMap<ServiceName, Verdict>) {
    let Some(id) = open_wake(draft, stack) else { return };
    let Some(OperationKind::Wake { services }) = draft.operation(id).map(|one| one.kind.clone()) else {
        return;
    };
    let is_wanted = |service: &&ServiceName| verdicts.get(*service).is_some_and(|verdict| verdict.awake);
    let wanted: Vec<&ServiceName> = services.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        return end_wake(draft, stack, OperationOutcome::Superseded);
    }
    for service in &wanted {
        let standing = rollout::standing(draft, stack, service);
        rollout::record(draft, id, service, standing);
    }
    let stage = |service: &ServiceName| draft.operation(id)?.services.get(service).map(|one| one.stage);
    let has_failed = |service: &ServiceName| {
        let present = present(draft, stack, service);
        !present.is_empty() && present.iter().all(|one| draft.world.has_failed(one))
    };
    if wanted.iter().all(|service| stage(service) == Some(Stage::CutOver)) {
        end_wake(draft, stack, OperationOutcome::Succeeded);
    } else if wanted.iter().any(|service| has_failed(service)) || is_too_late(draft, stack, id, &wanted) {
        end_wake(draft, stack, OperationOutcome::Failed);
    }
}

/// Whether an instance is not ready within its time: then nobody is let wait any longer, though it goes on trying.
fn is_too_late(draft: &mut Draft, stack: &StackName, id: OperationId, wanted: &[&ServiceName]) -> bool {
    for service in wanted {
        let Some(definition) = draft.wanted_definition(stack, service) else { continue };
        let within = definition.rollout.healthy_within;
        let unready = |one: &InstanceRecord| one.duty == Duty::Warming && !draft.world.is_ready(&one.id);
        let oldest = present(draft, stack, service).into_iter().filter(unready).min_by_key(|one| one.made);
        let Some(late) = oldest else { continue };
        let due = late.made + within;
        if draft.now < due {
            draft.wake_at(due);
            continue;
        }
        let note = draft.world.status(&late.id).and_then(|status| status.note.clone());
        draft.say(id, Reason::NotReady { instance: late.id, within, note });
        return true;
    }
    false
}

/// Closes the operation that wakes services, if one is open.
fn end_wake(draft: &mut Draft, stack: &StackName, outcome: OperationOutcome) {
    let Some(id) = open_wake(draft, stack) else { return };
    let now = draft.now;
    let Some(operation) = draft.operation_mut(id) else { return };
    operation.outcome = Some(outcome);
    operation.phase = OperationPhase::Done;
    operation.ended = Some(now);
    operation.receipt.baseline.clear();
    let took = now.since(operation.began);
    if outcome == OperationOutcome::Succeeded {
        operation.cut_over = Some(now);
        operation.say(now, Reason::Serves { took });
    }
    operation.say(now, Reason::Done);
}
