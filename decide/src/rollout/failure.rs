//! Has the new release failed, and what follows from that?
//!
//! A new instance has failed when it ended, ended three times before it ever served, was not ready in its
//! time, or became unready while it was watched. A service has failed, too, when its new instances answer
//! with more errors than is borne, and with more than the old ones did.

use super::crew::Crew;
use super::{concerned, config, settle};
use crate::draft::Draft;
use naru_model::{
    Counts, Duty, Exit, FailureAction, InstanceId, InstanceRecord, OperationId, OperationOutcome,
    OperationPhase, Phase, Reason, Rollout, ServiceName, StackName, Time,
};

/// A new instance that ended so often before it served will not get better by waiting.
const TRIES: u32 = 3;

/// Fewer answers than this say nothing of a share of errors.
const ENOUGH: u64 = 20;

/// Judges the new instances of each service. True: the operation was turned round, paused or given up, and
/// this round is over.
pub(super) fn judge(draft: &mut Draft, stack: &StackName, id: OperationId) -> bool {
    concerned(draft, stack).into_iter().any(|service| judge_service(draft, stack, &service, id))
}

fn judge_service(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) -> bool {
    let Some(definition) = draft.wanted_definition(stack, service) else { return false };
    let rollout = definition.rollout.clone();
    let crew = Crew::of(draft, stack, service);
    let news = failures(draft, &crew, &rollout, id);
    if news.is_empty() {
        return false;
    }
    for (instance, reason) in news {
        draft.say(id, reason);
        let progress = draft.operation_mut(id).and_then(|operation| operation.services.get_mut(service));
        if let Some(progress) = progress {
            progress.failed.push(instance);
        }
    }
    follow(draft, &crew, &rollout, id)
}

/// The failures that the operation has not noted yet.
fn failures(draft: &mut Draft, crew: &Crew, rollout: &Rollout, id: OperationId) -> Vec<(InstanceId, Reason)> {
    let Some(progress) = draft.operation(id).and_then(|operation| operation.services.get(&crew.service))
    else {
        return vec![];
    };
    let known = progress.failed.clone();
    let began = draft.operation(id).map(|operation| operation.began).unwrap_or_default();
    let (mine, old): (Vec<_>, Vec<_>) =
        crew.fresh.iter().filter(|one| !known.contains(&one.id)).partition(|one| one.made_by == id);
    let mut news: Vec<_> = old.iter().filter_map(|one| long_unwell(draft, one, rollout, began)).collect();
    for one in &mine {
        match (failure_of(draft, one, rollout), ready_by(draft, one, rollout)) {
            (Some(reason), _) => news.push((one.id.clone(), reason)),
            (None, Some(due)) if one.duty == Duty::Warming && !draft.world.is_ready(&one.id) => {
                draft.wake_at(due);
            }
            (None, _) => {}
        }
    }
    if let (true, Some(first), Some(reason)) =
        (news.is_empty(), mine.first(), errors(draft, crew, rollout, id))
    {
        news.push((first.id.clone(), reason));
    }
    news
}

/// An instance that an earlier operation made is no news when it fails, but it must not hold this one for ever.
fn long_unwell(
    draft: &mut Draft,
    one: &InstanceRecord,
    rollout: &Rollout,
    began: Time,
) -> Option<(InstanceId, Reason)> {
    let status = draft.world.status(&one.id).filter(|status| status.phase != Phase::Ready)?;
    let (within, note) = (rollout.healthy_within, status.note.clone());
    // In a crash loop its phase changes all the time: there, what counts is when it began.
    let troubled = one.incident.and_then(|id| draft.operation(id)).map(|incident| incident.began);
    let since = if one.duty == Duty::Warming { one.made } else { troubled.unwrap_or(status.since) };
    let due = began.max(since) + within;
    if draft.now < due {
        draft.wake_at(due);
        return None;
    }
    Some((one.id.clone(), Reason::NotReady { instance: one.id.clone(), within, note }))
}

fn failure_of(draft: &Draft, one: &InstanceRecord, rollout: &Rollout) -> Option<Reason> {
    let instance = one.id.clone();
    let status = draft.world.status(&one.id);
    let exit = || status.and_then(|status| status.last_exit.clone()).unwrap_or(Exit::Unknown);
    let is_one_shot = draft.world.definition(one).is_some_and(|service| service.template.targets.is_empty());
    let (phase, restarts) = status.map_or((Phase::Pending, 0), |status| (status.phase, status.restarts));
    let note = || status.and_then(|status| status.note.clone());
    let within = rollout.healthy_within;
    match one.duty {
        _ if phase.is_over() && is_one_shot && exit().is_success() => None,
        _ if phase.is_over() => Some(Reason::Ended { instance, exit: exit() }),
        Duty::Warming if restarts >= TRIES => Some(Reason::Ended { instance, exit: exit() }),
        Duty::Warming
            if phase != Phase::Ready && ready_by(draft, one, rollout).is_some_and(|due| draft.now >= due) =>
        {
            Some(Reason::NotReady { instance, within, note: note() })
        }
        Duty::Serving if restarts > 0 => Some(Reason::Ended { instance, exit: exit() }),
        Duty::Serving if phase == Phase::Unready => Some(Reason::NotReady { instance, within, note: note() }),
        _ => None,
    }
}

/// Until when a new instance may take to be ready; `None`: its time has not begun. A container's begins when it was started:
/// before that its image comes, and the agent gives up on one that comes no more.
fn ready_by(draft: &Draft, one: &InstanceRecord, rollout: &Rollout) -> Option<Time> {
    let definition = draft.world.definition(one);
    let is_container = definition.is_some_and(|service| service.template.run.container().is_some());
    let began = match draft.world.status(&one.id) {
        Some(status) if is_container && status.phase <= Phase::Starting => one.made.max(status.started?),
        _ => one.made,
    };
    Some(began + rollout.healthy_within)
}

/// Whether the new instances answer with too many errors.
fn errors(draft: &Draft, crew: &Crew, rollout: &Rollout, id: OperationId) -> Option<Reason> {
    let sum = |of: &mut dyn Iterator<Item = &InstanceRecord>| {
        let mut sum = Counts::default();
        of.for_each(|one| sum += draft.world.counted(one));
        sum
    };
    let share = |counts: Counts| counts.errors * 1000 / counts.requests.max(1);
    let new = sum(&mut crew.fresh.iter().filter(|one| one.made_by == id));
    let old = sum(&mut crew.stale.iter().chain(&crew.retiring).chain(&crew.held));
    let (permille, before) = (share(new), share(old));
    let limit = rollout.max_error_permille;
    let is_bad = new.requests >= ENOUGH && permille > u64::from(limit) && permille > before;
    is_bad.then(|| Reason::Errors { service: crew.service.clone(), permille, before, limit })
}

/// What follows from a failure. True: the round is over.
fn follow(draft: &mut Draft, crew: &Crew, rollout: &Rollout, id: OperationId) -> bool {
    let Some(operation) = draft.operation(id) else { return false };
    let failed = operation.services.get(&crew.service).map_or(0, |progress| progress.failed.len() as u32);
    let goes_back = operation.back.is_some();
    let config = config(draft, id, &rollout.update, &rollout.rollback);
    let borne = failed * 1000 <= config.max_failure_permille * crew.wanted;
    let (service, wanted) = (crew.service.clone(), crew.wanted);
    // There is nothing to go back to, and what was imported has served for who knows how long.
    let is_imported = crew.fresh.iter().any(|one| one.imported.is_some());
    let action = if is_imported { FailureAction::Pause } else { config.failure_action };
    match action {
        _ if borne => draft.say(id, Reason::Bears { service, failed, wanted }),
        FailureAction::Continue => draft.say(id, Reason::Bears { service, failed, wanted }),
        _ if goes_back => {
            settle(draft, &crew.stack, id, OperationOutcome::Failed);
            return true;
        }
        FailureAction::Pause => {
            pause(draft, &crew.service, id);
            return true;
        }
        FailureAction::Rollback => {
            go_back(draft, &crew.stack, id, OperationOutcome::RolledBack);
            return true;
        }
    }
    false
}

fn pause(draft: &mut Draft, service: &ServiceName, id: OperationId) {
    if let Some(operation) = draft.operation_mut(id) {
        operation.phase = OperationPhase::Paused;
    }
    draft.say(id, Reason::PausesOnFailure { service: service.clone() });
}

/// Turns an operation round: what was wanted before it is wanted again. Where there was nothing before, it
/// has failed and is left as it is.
pub(crate) fn go_back(draft: &mut Draft, stack: &StackName, id: OperationId, called: OperationOutcome) {
    let before = draft.operation(id).and_then(|operation| operation.before.clone());
    let Some(before) = before else {
        draft.say(id, Reason::NothingToGoBackTo);
        return settle(draft, stack, id, OperationOutcome::Failed);
    };
    let to = before.release;
    draft.stack_mut(stack).target = Some(before);
    if let Some(operation) = draft.operation_mut(id) {
        operation.back = Some(called);
        operation.phase = OperationPhase::RollingBack;
        operation.services.clear();
    }
    draft.say(id, Reason::RollsBack { to });
}
