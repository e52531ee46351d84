//! How what is wanted comes to serve. One operation steers a stack at a time; for each service it takes the
//! next step that what was observed allows.
//!
//! The ways: [`rolling`] (some at a time, new before old), [`switch`] (blue-green and canary: the whole new
//! set beside the old), [`handover`] (old before new, where two may not be). [`failure`] judges the new
//! instances; [`crew`] sorts a service's instances into fresh and stale.

mod crew;
mod failure;
mod handover;
mod rolling;
mod switch;
mod turn;

use crate::draft::Draft;
use crate::observe::Acked;
use crate::retire::{has_callers, retire};
use crate::share::stop_first;
use crate::stay::{is_kept, is_named_for_them_alone};
use crate::want::total;
use crew::Crew;
use naru_model::{
    Condition, Duty, InstanceId, OperationId, OperationOutcome, OperationPhase, Reason, ServiceName,
    ServiceProgress, Span, StackName, Stage, Strategy, UpdateConfig,
};

/// A surplus instance with work in progress may come back within this time; then it is told to be quiet, so
/// that a worker which fetches its own jobs comes to an end.
const HOLD: Span = Span::secs(10);

/// A stage, and what is waited for in it.
pub(crate) type Standing = (Stage, Option<Reason>);

/// Takes the steering operation of a stack one step further; without one, keeps up the number of instances.
pub(crate) fn steer(draft: &mut Draft, stack: &StackName) {
    match draft.steering(stack).map(|operation| (operation.id, operation.phase)) {
        None => maintain(draft, stack),
        Some((_, OperationPhase::Paused)) => {}
        Some((id, _)) => {
            if !is_watched(draft, stack, id) || !failure::judge(draft, stack, id) {
                step_all(draft, stack, id);
            }
        }
    }
    release_held(draft, stack);
}

fn step_all(draft: &mut Draft, stack: &StackName, id: OperationId) {
    for service in concerned(draft, stack) {
        let standing = step(draft, stack, &service, id);
        record(draft, id, &service, standing);
    }
    let Some(operation) = draft.operation(id) else { return };
    let has_come = |progress: &ServiceProgress| progress.stage == Stage::CutOver;
    let all = operation.services.values().all(has_come);
    // A service that is dropped or stopped may have to stay for hours, for those that still call it.
    let stays = |service: &ServiceName, progress: &ServiceProgress| {
        draft.wanted(stack, service) == 0 && progress.stage == Stage::Waiting
    };
    let serves = operation.services.iter().all(|(service, one)| has_come(one) || stays(service, one));
    match (all, serves) {
        (true, _) => cut_over(draft, stack, id, Left::Nothing),
        (false, true) => cut_over(draft, stack, id, Left::Callers),
        (false, false) => {}
    }
}

/// What of an operation is not done yet when its release serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// A service that it drops waits for its callers.
    Callers,
}

/// Whether new instances are still judged: until `monitor` has passed since the cut-over.
fn is_watched(draft: &Draft, stack: &StackName, id: OperationId) -> bool {
    let cut_over = draft.operation(id).and_then(|operation| operation.cut_over);
    cut_over.is_none_or(|at| draft.now < at + watch_for(draft, stack, id))
}

/// The services that the target wants, in order; then those that still have instances, callers first.
fn concerned(draft: &Draft, stack: &StackName) -> Vec<ServiceName> {
    let mut services = draft.in_order(stack);
    let present: std::collections::BTreeSet<_> =
        draft.instances().filter(|one| one.stack == *stack).map(|one| one.service.clone()).collect();
    let gone: Vec<_> = present.into_iter().filter(|service| !services.contains(service)).collect();
    services.extend(gone);
    services
}

fn step(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) -> Standing {
    complete(draft, stack, service, id);
    clear_failed(draft, stack, service, id);
    if draft.wanted(stack, service) == 0 || draft.is_completed(stack, service) {
        return leave(draft, stack, service, id);
    }
    if let Some(wait) = gate(draft, stack, service, id) {
        return (Stage::Waiting, Some(wait));
    }
    let crew = Crew::of(draft, stack, service);
    crew.take_back(draft, id);
    let crew = Crew::of(draft, stack, service);
    crew.serve_ready(draft, crew.way(draft, id));
    let crew = Crew::of(draft, stack, service);
    match crew.way(draft, id) {
        Way::Rolling => rolling::step(draft, &crew, id),
        Way::Switch => switch::step(draft, &crew, id),
        Way::HandOver => handover::step(draft, &crew, id),
    }
}

/// The way in which fresh instances take the place of stale ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Rolling,
    Switch,
    HandOver,
}

impl Crew {
    fn way(&self, draft: &Draft, id: OperationId) -> Way {
        let Some(definition) = draft.wanted_definition(&self.stack, &self.service) else {
            return Way::Rolling;
        };
        let config = config(draft, id, &definition.rollout.update, &definition.rollout.rollback);
        match definition.rollout.strategy {
            _ if stop_first(definition, config).is_some() => Way::HandOver,
            Strategy::BlueGreen | Strategy::Canary if !self.stale.is_empty() => Way::Switch,
            _ => Way::Rolling,
        }
    }

    /// How many are replaced at a time; `parallelism: 0` is all.
    fn parallelism(&self, draft: &Draft, id: OperationId) -> u32 {
        let Some(definition) = draft.wanted_definition(&self.stack, &self.service) else {
            return self.wanted;
        };
        match config(draft, id, &definition.rollout.update, &definition.rollout.rollback).parallelism {
            0 => self.wanted,
            some => some,
        }
    }
}

/// Which of the two configurations counts: an operation that goes back uses `rollback_config`.
fn config<'a>(
    draft: &Draft,
    id: OperationId,
    update: &'a UpdateConfig,
    rollback: &'a UpdateConfig,
) -> &'a UpdateConfig {
    if draft.operation(id).is_some_and(|operation| operation.back.is_some()) { rollback } else { update }
}

/// What has to come first, before instances of a service are made.
fn gate(draft: &Draft, stack: &StackName, service: &ServiceName, id: OperationId) -> Option<Reason> {
    let crew = Crew::of(draft, stack, service);
    if !crew.fresh.is_empty() || !crew.held.is_empty() {
        return None;
    }
    let definition = draft.wanted_definition(stack, service)?;
    let operation = draft.operation(id)?;
    if let Some(wait) = waits_for_dependency(draft, stack, service) {
        return Some(wait);
    }
    let (retiring, max) = (crew.retiring_generations(), definition.rollout.max_retiring);
    let crowded = !crew.stale.is_empty() && operation.back.is_none() && retiring >= max.max(1);
    crowded.then(|| Reason::WaitsForRetirement { service: service.clone(), retiring, max })
}

/// The first dependency that has not come as far as the file asks.
fn waits_for_dependency(draft: &Draft, stack: &StackName, service: &ServiceName) -> Option<Reason> {
    let dependencies = &draft.wanted_definition(stack, service)?.depends_on;
    let (on, dependency) = dependencies.iter().find(|(on, dependency)| {
        draft.wanted(stack, on) > 0 && !is_met(draft, stack, on, dependency.condition)
    })?;
    let (service, on, condition) = (service.clone(), on.clone(), dependency.condition);
    Some(Reason::WaitsForDependency { service, on, condition })
}

/// While an operation steers, a dependency has to have cut over; without one, to serve.
fn is_met(draft: &Draft, stack: &StackName, on: &ServiceName, condition: Condition) -> bool {
    let progress = draft.steering(stack).map(|operation| operation.services.get(on));
    let serves = match progress {
        Some(progress) => progress.is_some_and(|progress| progress.stage == Stage::CutOver),
        None => Crew::of(draft, stack, on).ready(draft) > 0,
    };
    match condition {
        Condition::ServiceCompletedSuccessfully => draft.is_completed(stack, on),
        Condition::ServiceHealthy => serves,
        Condition::ServiceStarted => serves || Crew::of(draft, stack, on).has_started(draft),
    }
}

/// Notes a one-shot's success, so that it is not run again, and lets its instance go.
fn complete(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) {
    let Some(definition) = draft.wanted_definition(stack, service) else { return };
    if !definition.template.targets.is_empty() {
        return;
    }
    let crew = Crew::of(draft, stack, service);
    let succeeded = |one: &&naru_model::InstanceRecord| {
        let status = draft.world.status(&one.id).filter(|status| status.phase.is_over());
        status.and_then(|status| status.last_exit.as_ref()).is_some_and(|exit| exit.is_success())
    };
    let done: Vec<_> = crew.fresh.iter().filter(succeeded).map(|one| one.id.clone()).collect();
    if done.is_empty() {
        return;
    }
    if succeed(draft, stack, service, done.len() as u32) {
        let fingerprint = draft.fingerprint(stack, service);
        draft.stack_mut(stack).services.entry(service.clone()).or_default().completed = fingerprint;
    }
    done.iter().for_each(|one| retire(draft, one, id));
}

/// Counts instances that ended well. Whether that is all of them: of a job as many as it says, of any other service one.
fn succeed(draft: &mut Draft, stack: &StackName, service: &ServiceName, count: u32) -> bool {
    let Some(definition) = draft.wanted_definition(stack, service).filter(|one| one.mode.is_job()) else {
        return true;
    };
    let Some(fingerprint) = draft.fingerprint(stack, service) else { return false };
    let record = draft.stack_mut(stack).services.entry(service.clone()).or_default();
    let known = record.successes.take().filter(|(of, _)| *of == fingerprint).map_or(0, |(_, count)| count);
    record.successes = Some((fingerprint, known + count));
    known + count >= total(definition)
}

/// What had ended for good before this operation began is in nobody's way: it is replaced.
fn clear_failed(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) {
    for one in draft.instances_in(stack, service) {
        let is_old = one.duty != Duty::Retiring && one.made_by != id;
        if is_old && draft.world.has_failed(&one) {
            retire(draft, &one.id, id);
        }
    }
}

/// The way out of a service that is not wanted, once nobody on the way out may still call it.
fn leave(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) -> Standing {
    let crew = Crew::of(draft, stack, service);
    let present: Vec<_> = crew.all().cloned().collect();
    for one in &present {
        // Nobody calls a one-shot that is done.
        let is_wanted = draft.wanted(stack, service) > 0;
        match has_callers(draft, stack, one).filter(|_| !is_wanted) {
            Some(caller) => {
                return (Stage::Waiting, Some(Reason::WaitsForCallers { service: service.clone(), caller }));
            }
            None => retire(draft, &one.id, id),
        }
    }
    let crew = Crew::of(draft, stack, service);
    if crew.retiring.iter().all(|one| is_out(draft, one)) {
        return (Stage::CutOver, None);
    }
    (Stage::Switching, wait_for_edges(draft))
}

/// Whether no edge can choose the instance any more, but for those that began there.
fn is_out(draft: &Draft, one: &naru_model::InstanceRecord) -> bool {
    let world = draft.world;
    let stays = || {
        let kept = is_kept(draft, one) && is_named_for_them_alone(world, one);
        kept && world.acked(world.routes.generation) == Acked::All
    };
    let unrouted = || one.unrouted.is_some_and(|generation| world.acked(generation) == Acked::All);
    one.routed.is_none() || unrouted() || stays()
}

/// What is waited for until all edges choose by the table in force.
fn wait_for_edges(draft: &Draft) -> Option<Reason> {
    let generation = draft.world.routes.generation;
    match draft.world.acked(generation) {
        Acked::All => None,
        Acked::Behind(behind) => Some(Reason::WaitsForEdges { generation, behind }),
        Acked::NoEdge => Some(Reason::WaitsForAnEdge { generation }),
    }
}

pub(crate) fn record(
    draft: &mut Draft,
    id: OperationId,
    service: &ServiceName,
    (stage, waits_for): Standing,
) {
    let now = draft.now;
    let current = draft.operation(id).and_then(|operation| operation.services.get(service));
    if current.is_some_and(|known| known.stage == stage && known.waits_for == waits_for) {
        return;
    }
    let was = current.map(|known| known.stage);
    let stack = draft.operation(id).map(|operation| operation.stack.clone());
    let is_wanted = stack.is_some_and(|stack| draft.wanted(&stack, service) > 0);
    let Some(operation) = draft.operation_mut(id) else { return };
    let fresh = || ServiceProgress { stage, since: now, failed: vec![], last_batch: None, waits_for: None };
    let progress = operation.services.entry(service.clone()).or_insert_with(fresh);
    if progress.stage != stage {
        (progress.stage, progress.since) = (stage, now);
    }
    progress.waits_for = waits_for;
    let release = operation.release.filter(|_| operation.back.is_none());
    let is_first = is_wanted && was != Some(stage) && operation.cut_over.is_none();
    if let (Stage::CutOver, Some(release), true) = (stage, release, is_first) {
        draft.say(id, Reason::CutOver { service: service.clone(), release });
    }
}

/// All services serve: the person's wait is over. Then the new instances are watched for `monitor`.
fn cut_over(draft: &mut Draft, stack: &StackName, id: OperationId, left: Left) {
    let now = draft.now;
    let serving = draft.stack(stack).target.as_ref().map(|target| target.release);
    let Some(operation) = draft.operation(id) else { return };
    if let (Some(outcome), Left::Nothing) = (operation.back, left) {
        draft.stack_mut(stack).serving = serving;
        return settle(draft, stack, id, outcome);
    }
    if operation.cut_over.is_none() && operation.back.is_none() {
        let took = now.since(operation.began);
        draft.stack_mut(stack).serving = serving;
        if let Some(operation) = draft.operation_mut(id) {
            operation.cut_over = Some(now);
            operation.phase = OperationPhase::Monitoring;
        }
        draft.say(id, Reason::Serves { took });
    }
    let until = draft.operation(id).and_then(|one| one.cut_over).unwrap_or(now) + watch_for(draft, stack, id);
    match left {
        _ if now < until => draft.wake_at(until),
        Left::Callers => {}
        Left::Nothing => settle(draft, stack, id, OperationOutcome::Succeeded),
    }
}

/// The longest `monitor` of the services of which the operation made instances.
fn watch_for(draft: &Draft, stack: &StackName, id: OperationId) -> Span {
    let made = draft.instances().filter(|one| one.stack == *stack && one.made_by == id);
    let monitors = made.filter_map(|one| draft.wanted_definition(stack, &one.service));
    let longest = monitors.map(|service| service.rollout.update.monitor).max();
    longest.unwrap_or_default()
}

/// How far a service has come that starts without an operation that steers.
pub(crate) fn standing(draft: &Draft, stack: &StackName, service: &ServiceName) -> Standing {
    let crew = Crew::of(draft, stack, service);
    if crew.settled(draft) >= crew.wanted {
        return (Stage::CutOver, None);
    }
    match waits_to_start(draft, stack, service).filter(|_| crew.fresh.is_empty()) {
        Some(wait) => (Stage::Waiting, Some(wait)),
        None => rolling::waits_for_settled(draft, &crew),
    }
}

/// Why a service of which nothing runs is not started yet without an operation that steers.
fn waits_to_start(draft: &Draft, stack: &StackName, service: &ServiceName) -> Option<Reason> {
    waits_for_dependency(draft, stack, service).or_else(|| turn::waits_for_turn(draft, stack, service))
}

/// Takes an instance out of the routes, so that it may come back.
pub(crate) fn hold(draft: &mut Draft, one: &InstanceId, id: OperationId) {
    crew::hold(draft, one, id);
}

/// Instances that left the routes come back, as far as they are wanted.
pub(crate) fn take_back(draft: &mut Draft, stack: &StackName, service: &ServiceName, id: OperationId) {
    Crew::of(draft, stack, service).take_back(draft, id);
}

/// The operation steers no longer.
pub(crate) fn settle(draft: &mut Draft, stack: &StackName, id: OperationId, outcome: OperationOutcome) {
    if let Some(operation) = draft.operation_mut(id) {
        operation.outcome = Some(outcome);
        operation.phase = OperationPhase::Retiring;
    }
    if draft.stack(stack).steering == Some(id) {
        draft.stack_mut(stack).steering = None;
    }
}

/// Without an operation: as many instances as wanted, and those that became ready serve.
fn maintain(draft: &mut Draft, stack: &StackName) {
    let Some(id) = draft.newest_operation(stack) else { return };
    for service in draft.in_order(stack) {
        complete(draft, stack, &service, id);
        if draft.is_completed(stack, &service) {
            continue;
        }
        let crew = Crew::of(draft, stack, &service);
        crew.serve_ready(draft, Way::Rolling);
        let missing = match crew.way(draft, id) {
            Way::HandOver => crew.room(),
            Way::Rolling | Way::Switch => crew.missing(),
        };
        if missing == 0 || !crew.stale.is_empty() {
            continue;
        }
        match waits_to_start(draft, stack, &service).filter(|_| crew.fresh.is_empty()) {
            Some(Reason::WaitsForTurn { .. }) => turn::look_again(draft),
            Some(_) => {}
            None => crew.make(draft, missing, id),
        }
    }
}

/// Instances that left the routes and might have come back: those of a settled rollout go; a surplus one goes
/// when it is idle, or its time has passed.
fn release_held(draft: &mut Draft, stack: &StackName) {
    let held: Vec<_> = draft.instances_of(stack).into_iter().filter(|one| one.duty == Duty::Held).collect();
    for one in held {
        let Some(id) = one.retired_by else { continue };
        let steers = draft.operation(id).is_some_and(|operation| operation.is_steering());
        let may_go_back = steers && is_watched(draft, stack, id);
        let is_missed = Crew::of(draft, stack, &one.service).missing() > 0;
        let fresh = draft.fingerprint(stack, &one.service).as_ref() == Some(&one.fingerprint);
        let due = one.since + HOLD;
        let idle = draft.world.edges_idle(&one) && draft.world.work(&one.id).is_idle();
        match () {
            () if !fresh && may_go_back || fresh && is_missed => {}
            () if fresh && !idle && draft.now < due => draft.wake_at(due),
            () => retire(draft, &one.id, id),
        }
    }
}
