//! The way out of an instance, whose order is the promise:
//! the table without it → every edge has acknowledged that → it is told to be quiet → its work is seen to
//! be at zero → it is told to stop → it has exited → it is accounted for, and gone.
//!
//! Each step is taken on what was observed, in a round of its own; nothing here looks at a timer, except to
//! raise the alarm that the file asks for.

use crate::draft::Draft;
use crate::observe::Acked;
use crate::{World, incident, stay};
use naru_model::{
    AtLimit, Counts, Duty, Ending, Exit, InstanceId, InstanceReceipt, InstanceRecord, Intent, Operation,
    OperationId, OperationKind, Phase, Reason, Span, StackName, Time, WorkPolicy,
};

/// Sends an instance on its way out, on an operation's receipt.
pub(crate) fn retire(draft: &mut Draft, id: &InstanceId, operation: OperationId) {
    let (world, now) = (draft.world, draft.now);
    let Some(mut record) = draft.instance(id).cloned() else { return };
    if let Some(operation) = draft.operation_mut(operation) {
        begin(world, now, &mut record, operation);
    }
    draft.add_instance(record);
}

/// The same, on records in hand.
pub(crate) fn begin(world: &World, now: Time, record: &mut InstanceRecord, operation: &mut Operation) {
    record.duty = Duty::Retiring;
    record.since = now;
    record.retired_by = Some(operation.id);
    let lifetime = world.counted(record);
    let found = world.work(&record.id);
    let line = InstanceReceipt {
        service: record.service.clone(),
        release: record.release,
        retired: now,
        unrouted: None,
        quiet: None,
        found,
        idle: None,
        exited: None,
        waited: Span::ZERO,
        alarmed: None,
        during: Counts::default(),
        lifetime,
        jobs: vec![],
    };
    operation.receipt.instances.insert(record.id.clone(), line);
    enter_baseline(world, record, operation);
    operation.say(now, Reason::Retires { instance: record.id.clone(), found });
}

/// Notes what was counted before the operation, as soon as that is known: nothing, for what it made itself.
pub(crate) fn enter_baseline(world: &World, record: &InstanceRecord, operation: &mut Operation) {
    let known = match record.made_by == operation.id {
        true => Counts::default(),
        false if world.is_heard(&record.id) => world.counted(record),
        false => return,
    };
    operation.receipt.baseline.entry(record.id.clone()).or_insert(known);
}

/// Takes each retiring instance of a stack one step further, where what was observed allows it.
pub(crate) fn advance(draft: &mut Draft, stack: &StackName) {
    let retiring = draft.instances_of(stack).into_iter().filter(|one| one.duty == Duty::Retiring);
    for record in retiring.collect::<Vec<_>>() {
        let Some(operation) = record.retired_by else { continue };
        let world = draft.world;
        let lacks = |one: &Operation| !one.receipt.baseline.contains_key(&record.id);
        if draft.operation(operation).is_some_and(lacks) && world.is_heard(&record.id) {
            draft.operation_mut(operation).into_iter().for_each(|one| enter_baseline(world, &record, one));
        }
        match record.intent {
            _ if draft.world.is_over(&record.id) => account(draft, &record, operation),
            Intent::Run => quiet(draft, &record, operation),
            Intent::Quiet => stop(draft, &record, operation),
            Intent::Stop if is_cut(draft, &record).is_some() => stop(draft, &record, operation),
            Intent::Stop | Intent::Cut => {}
        }
    }
}

pub(crate) fn line<'a>(
    draft: &'a mut Draft,
    record: &InstanceRecord,
    operation: OperationId,
) -> Option<&'a mut InstanceReceipt> {
    draft.operation_mut(operation)?.receipt.instances.get_mut(&record.id)
}

pub(crate) fn set_intent(draft: &mut Draft, id: &InstanceId, intent: Intent) {
    if let Some(record) = draft.instance_mut(id) {
        record.intent = record.intent.max(intent);
    }
}

/// Tells it to take no new work, once it is not kept for those that began there, and every edge has acknowledged a
/// table without it.
fn quiet(draft: &mut Draft, record: &InstanceRecord, operation: OperationId) {
    if let Some(until) = stay::until(draft, record) {
        return draft.wake_at(until);
    }
    if record.routed.is_some() {
        let Some(generation) = record.unrouted else { return };
        if draft.world.acked(generation) != Acked::All {
            return;
        }
        let now = draft.now;
        if let Some(line) = line(draft, record, operation) {
            line.unrouted = Some((generation, now));
        }
    }
    set_intent(draft, &record.id, Intent::Quiet);
    draft.say(operation, Reason::Quiets { instance: record.id.clone() });
}

/// Tells it to stop, once its work is seen to be at zero; or cuts it, where that was ordered.
fn stop(draft: &mut Draft, record: &InstanceRecord, operation: OperationId) {
    let now = draft.now;
    let told = draft.world.status(&record.id).filter(|status| status.phase == Phase::Quiet);
    let told = told.filter(|status| status.quiet_told).map(|status| status.since);
    if let (Some(since), Some(line)) = (told, line(draft, record, operation)) {
        line.quiet.get_or_insert(since);
    }
    if let Some(by) = is_cut(draft, record) {
        let work = draft.world.work(&record.id);
        set_intent(draft, &record.id, Intent::Cut);
        return draft.say(operation, Reason::Cuts { instance: record.id.clone(), work, by });
    }
    if !draft.world.is_idle(record) {
        return alarm(draft, record, operation);
    }
    let Some(line) = line(draft, record, operation) else { return };
    line.idle = Some(now);
    line.waited = now.since(line.retired);
    let waited = line.waited;
    set_intent(draft, &record.id, Intent::Stop);
    draft.say(operation, Reason::Stops { instance: record.id.clone(), waited });
}

/// Who ordered that its work is cut, if anybody did.
pub(crate) fn is_cut(draft: &Draft, record: &InstanceRecord) -> Option<String> {
    let covers = |operation: &Operation| match &operation.kind {
        _ if record.retired_by == Some(operation.id) => true,
        OperationKind::Down => true,
        OperationKind::Stop { services } => record.run.is_none() && services.contains(&record.service),
        OperationKind::Cancel { job, run } => record.run == Some(*run) && record.service == *job,
        _ => false,
    };
    let ordered =
        draft.open_operations().into_iter().filter_map(|id| draft.operation(id)).find(|operation| {
            operation.stack == record.stack && operation.ending == Ending::Cut && covers(operation)
        });
    ordered.map(|operation| operation.actor.clone()).or_else(|| cut_by_policy(draft, record))
}

fn cut_by_policy(draft: &Draft, record: &InstanceRecord) -> Option<String> {
    let policy = policy(draft, record)?;
    let operation = draft.operation(record.retired_by?)?;
    let alarmed = operation.receipt.instances.get(&record.id)?.alarmed;
    (policy.at_limit == AtLimit::Cut && alarmed.is_some()).then(|| "the file's at_limit: cut".into())
}

fn policy<'a>(draft: &Draft<'a>, record: &InstanceRecord) -> Option<&'a WorkPolicy> {
    Some(&draft.world.definition(record)?.work)
}

/// Raises the alarm, once, when its work outlasts `postpone_max`.
fn alarm(draft: &mut Draft, record: &InstanceRecord, operation: OperationId) {
    let Some(limit) = policy(draft, record).and_then(|policy| policy.postpone_max) else { return };
    let now = draft.now;
    let Some(line) = line(draft, record, operation) else { return };
    if line.alarmed.is_some() {
        return;
    }
    // It was meant to take work until then.
    let from = line.unrouted.map_or(line.retired, |(_, at)| at);
    let (due, waited) = (from + limit, now.since(from));
    if now < due {
        return draft.wake_at(due);
    }
    line.alarmed = Some(now);
    draft.say(operation, Reason::Alarm { instance: record.id.clone(), waited, limit });
}

/// Writes what became of it and its work, and forgets it; once no edge has anything of it in progress.
fn account(draft: &mut Draft, record: &InstanceRecord, operation: OperationId) {
    if !draft.world.edges_idle(record) {
        return;
    }
    let status = draft.world.status(&record.id).cloned();
    let exit = status.as_ref().and_then(|status| status.last_exit.clone()).unwrap_or(Exit::Unknown);
    let lifetime = draft.world.counted(record);
    let now = draft.now;
    if let Some(entry) = draft.operation_mut(operation) {
        entry.receipt.unknown.extend(uncounted(record));
        let baseline = entry.receipt.baseline.get(&record.id).copied().unwrap_or_default();
        if let Some(line) = entry.receipt.instances.get_mut(&record.id) {
            line.exited = Some((now, exit.clone()));
            line.lifetime = lifetime;
            line.during = settle(lifetime, record, baseline);
            line.waited = line.idle.unwrap_or(now).since(line.retired);
            line.jobs = status.map(|status| status.ended_badly).unwrap_or_default();
        }
    }
    remember_durations(draft, record);
    incident::end_incident(draft, &record.id);
    draft.forget_instance(&record.id);
    draft.say(operation, Reason::Gone { instance: record.id.clone(), exit });
}

/// What no receipt can tell: what an edge that was killed had answered and not written down.
fn uncounted(record: &InstanceRecord) -> impl Iterator<Item = String> + '_ {
    let told = |edge| {
        let instance = &record.id;
        format!("edge {edge} was killed: work of {instance} that it was just finishing may be called lost")
    };
    record.past.edges.iter().map(told)
}

/// What an operation did: of losses, all that are on no incident's receipt; and what broke because the
/// instance was cut counts as cut.
fn settle(lifetime: Counts, record: &InstanceRecord, baseline: Counts) -> Counts {
    let untold = lifetime - record.on_incidents;
    let mut settled = Counts {
        requests_lost: untold.requests_lost,
        streams_lost: untold.streams_lost,
        jobs_lost: untold.jobs_lost,
        handed_over: untold.handed_over,
        // It is cut at most once, by the operation that retires it.
        cut: lifetime.cut,
        ..lifetime - baseline
    };
    if record.intent == Intent::Cut {
        settled.cut += settled.requests_lost + settled.streams_lost;
        (settled.requests_lost, settled.streams_lost) = (0, 0);
    }
    settled
}

fn remember_durations(draft: &mut Draft, record: &InstanceRecord) {
    let mut requests = record.past.request_durations.clone();
    draft.world.request_durations(&record.id).for_each(|more| requests.add(more));
    let jobs = draft.world.status(&record.id).map(|status| status.job_durations.clone());
    let Some(service) = draft.stack_mut(&record.stack).services.get_mut(&record.service) else { return };
    service.request_durations.add(&requests);
    if let Some(jobs) = jobs {
        service.job_durations.add(&jobs);
    }
}

/// Whether a service that is not wanted any more has to stay, because an instance that is itself on its way
/// out may still call it.
pub(crate) fn has_callers(draft: &Draft, stack: &StackName, record: &InstanceRecord) -> Option<InstanceId> {
    let is_stale =
        |one: &InstanceRecord| draft.fingerprint(stack, &one.service).as_ref() != Some(&one.fingerprint);
    let leaving = |one: &&InstanceRecord| {
        one.duty == Duty::Retiring || is_stale(one) || draft.wanted(stack, &one.service) == 0
    };
    let calls = |one: &&InstanceRecord| {
        let definition = draft.world.definition(one);
        definition.is_some_and(|definition| definition.depends_on.contains_key(&record.service))
    };
    // A run in progress goes on as it was begun.
    let is_run_of = |one: &&InstanceRecord| {
        one.stack == *stack
            && draft.world.job(one).is_some_and(|job| job.depends_on.contains_key(&record.service))
    };
    if let Some(run) = draft.all_instances().find(is_run_of) {
        return Some(run.id.clone());
    }
    let others = draft.instances().filter(|one| one.stack == *stack && one.service != record.service);
    others.filter(leaving).find(calls).map(|one| one.id.clone())
}
