//! One run, step by step.

use super::definition;
use crate::draft::Draft;
use crate::retire::{is_cut, line, set_intent};
use crate::{RunKey, incident};
use naru_model::{
    Condition, Counts, Dependency, Duty, Exit, InProgress, InstanceReceipt, InstanceRecord, InstanceStatus,
    Intent, Job, JobRecord, Operation, OperationKind, Outcome, Overlap, Phase, Reason, RunRecord, RunState,
    ServiceName, Span, StackName, Time, Try,
};

/// What ends a run that has not begun, or that would have to begin again.
const TAKEN_DOWN: &str = "the stack was taken down";

/// Takes a run that has not ended one step further.
pub(super) fn step(draft: &mut Draft, key: &RunKey) {
    let Some(run) = draft.run(key).cloned() else { return };
    let release = draft.world.release(&run.stack, run.release);
    let one_off = run.one_off.as_deref();
    let Some(job) = release.and_then(|release| definition(release, &run.job, one_off)) else {
        // Its release is kept as long as it has not ended.
        return end(draft, key, RunState::Cancelled);
    };
    match run.present_try() {
        Some(one) => watch(draft, &run, &job, one),
        None => begin(draft, &run, &job),
    }
}

fn key_of(run: &RunRecord) -> RunKey {
    (run.stack.clone(), run.job.clone(), run.number)
}

fn end(draft: &mut Draft, key: &RunKey, state: RunState) {
    let now = draft.now;
    if let Some(run) = draft.run_mut(key) {
        (run.state, run.ended, run.waits_for) = (state, Some(now), None);
        run.one_off.iter_mut().for_each(|one| **one = one.without_values());
    }
}

/// A run without a try in progress: the first, or the next, is made once nothing else comes first.
fn begin(draft: &mut Draft, run: &RunRecord, job: &Job) {
    let key = key_of(run);
    if draft.stack(&run.stack).target.is_none() {
        let failed = !run.tries.is_empty();
        draft.run_mut(&key).into_iter().for_each(|run| run.cut = Some(TAKEN_DOWN.into()));
        return end(draft, &key, if failed { RunState::Failed } else { RunState::Cancelled });
    }
    if let RunState::BackingOff { until } = run.state
        && draft.now < until
    {
        return draft.wake_at(until);
    }
    let wait = waits_for_run(draft, run).or_else(|| waits_for_service(draft, run, job));
    match wait {
        Some(wait) => {
            if let Some(run) = draft.run_mut(&key) {
                (run.state, run.waits_for) = (RunState::Waiting, Some(wait));
            }
        }
        None => make(draft, run, job),
    }
}

/// The run before it, where the two may not be side by side.
fn waits_for_run(draft: &Draft, run: &RunRecord) -> Option<Reason> {
    if run.overlap == Overlap::Allow {
        return None;
    }
    let mut open = draft.open_runs(&run.stack).into_iter();
    let before = open.find(|key| key.1 == run.job && key.2 < run.number)?;
    Some(Reason::WaitsForRun { job: run.job.clone(), run: before.2 })
}

/// The first service that has not come as far as the file asks.
fn waits_for_service(draft: &Draft, run: &RunRecord, job: &Job) -> Option<Reason> {
    let wanted = |on: &ServiceName| draft.wanted(&run.stack, on) > 0;
    let unmet =
        |(on, how): &(&ServiceName, &Dependency)| wanted(on) && !is_met(draft, &run.stack, on, how.condition);
    let (on, how) = job.depends_on.iter().find(unmet)?;
    let (service, on, condition) = (run.job.clone(), on.clone(), how.condition);
    Some(Reason::WaitsForDependency { service, on, condition })
}

/// Of whatever release its instances are: a run does not wait for a rollout.
fn is_met(draft: &Draft, stack: &StackName, on: &ServiceName, condition: Condition) -> bool {
    let phases: Vec<Phase> = draft
        .instances_in(stack, on)
        .iter()
        .filter_map(|one| draft.world.status(&one.id))
        .map(|status| status.phase)
        .collect();
    match condition {
        Condition::ServiceCompletedSuccessfully => draft.is_completed(stack, on),
        Condition::ServiceHealthy => phases.contains(&Phase::Ready),
        Condition::ServiceStarted => {
            phases.iter().any(|phase| matches!(phase, Phase::Starting | Phase::Ready | Phase::Unready))
        }
    }
}

/// Makes the instance of the next try.
fn make(draft: &mut Draft, run: &RunRecord, job: &Job) {
    let now = draft.now;
    let release = draft.world.release(&run.stack, run.release);
    let fingerprint = release.and_then(|release| release.fingerprints.get(&run.job)).cloned();
    let fingerprint = fingerprint.unwrap_or_else(|| job.template.fingerprint());
    let made_by = draft.newest_operation(&run.stack).unwrap_or_default();
    let newborn = draft.newborn((&run.stack, &run.job, run.release), fingerprint, made_by);
    let id = newborn.id.clone();
    draft.add_instance(InstanceRecord { run: Some(run.number), ..newborn });
    if let Some(run) = draft.run_mut(&key_of(run)) {
        (run.state, run.waits_for) = (RunState::Running, None);
        run.tries.push(Try { instance: id, made: now, started: None, ended: None, timed_out: false });
    }
}

/// A run with a try in progress.
fn watch(draft: &mut Draft, run: &RunRecord, job: &Job, present: &Try) {
    let key = key_of(run);
    let Some(record) = draft.instance(&present.instance).cloned() else {
        return try_ended(draft, run, job, Exit::Unknown, None);
    };
    let status = draft.world.status(&record.id).cloned();
    if let Some(status) = status.as_ref().filter(|status| status.phase.is_over()) {
        let exit = status.last_exit.clone().unwrap_or(Exit::Unknown);
        account(draft, &record, present, status, &exit);
        draft.forget_instance(&record.id);
        return try_ended(draft, run, job, exit, Some(&record));
    }
    let started = status.and_then(|status| status.started);
    if present.started.is_none() && started.is_some() {
        last_try(draft, &key).into_iter().for_each(|one| one.started = started);
    }
    wait_with_down(draft, &record);
    let Some(record) = draft.instance(&present.instance).cloned() else { return };
    if let Some(by) = is_cut(draft, &record) {
        return cut(draft, &key, &record, by);
    }
    if let (Some(limit), Some(started), false) = (job.timeout, started, present.timed_out) {
        match started + limit {
            due if draft.now < due => draft.wake_at(due),
            _ => {
                last_try(draft, &key).into_iter().for_each(|one| one.timed_out = true);
                set_intent(draft, &record.id, Intent::Cut);
            }
        }
    }
}

fn last_try<'a>(draft: &'a mut Draft, key: &RunKey) -> Option<&'a mut Try> {
    draft.run_mut(key)?.tries.last_mut()
}

/// An open `down` waits for runs: they are on its receipt.
fn wait_with_down(draft: &mut Draft, record: &InstanceRecord) {
    if record.retired_by.is_some() || draft.stack(&record.stack).target.is_some() {
        return;
    }
    let is_down = |one: &&Operation| one.stack == record.stack && one.kind == OperationKind::Down;
    let open = draft.open_operations().into_iter().filter_map(|id| draft.operation(id)).find(is_down);
    let Some(id) = open.map(|operation| operation.id) else { return };
    let now = draft.now;
    let line = newborn_line(record, now);
    if let Some(operation) = draft.operation_mut(id) {
        let found = line.found;
        operation.receipt.instances.insert(record.id.clone(), line);
        operation.say(now, Reason::Retires { instance: record.id.clone(), found });
    }
    if let Some(record) = draft.instance_mut(&record.id) {
        (record.duty, record.since, record.retired_by) = (Duty::Retiring, now, Some(id));
    }
}

/// A run's line on the receipt of an operation that concerns it.
pub(crate) fn newborn_line(record: &InstanceRecord, now: Time) -> InstanceReceipt {
    InstanceReceipt {
        service: record.service.clone(),
        release: record.release,
        retired: now,
        unrouted: None,
        quiet: None,
        found: InProgress { jobs: 1, ..InProgress::default() },
        idle: None,
        exited: None,
        waited: Span::ZERO,
        alarmed: None,
        during: Counts::default(),
        lifetime: Counts::default(),
        jobs: vec![],
    }
}

fn cut(draft: &mut Draft, key: &RunKey, record: &InstanceRecord, by: String) {
    if record.intent == Intent::Cut {
        return;
    }
    set_intent(draft, &record.id, Intent::Cut);
    draft.run_mut(key).into_iter().for_each(|run| run.cut = Some(by.clone()));
    if let Some(operation) = record.retired_by {
        let work = draft.world.work(&record.id);
        draft.say(operation, Reason::Cuts { instance: record.id.clone(), work, by });
    }
}

/// What became of a try, on the receipt of the operation that waited for it, or cut it.
fn account(draft: &mut Draft, record: &InstanceRecord, present: &Try, status: &InstanceStatus, exit: &Exit) {
    let Some(id) = record.retired_by else { return };
    let now = draft.now;
    let (counts, outcome) = match (record.intent, exit.is_success()) {
        (Intent::Cut, _) => (Counts { cut: 1, ..Counts::default() }, Outcome::Cut),
        (_, true) => (Counts { jobs: 1, ..Counts::default() }, Outcome::Done),
        (_, false) => (Counts { jobs: 1, jobs_failed: 1, ..Counts::default() }, Outcome::Failed),
    };
    let key = (record.stack.clone(), record.service.clone(), record.run.unwrap_or_default());
    let by = draft.run(&key).and_then(|run| run.cut.clone()).unwrap_or_default();
    let kind = if draft.world.one_off(record).is_some() { "one-off" } else { "run" };
    let name = format!("{kind} {} of {}", record.run.unwrap_or_default(), record.service);
    let began = present.started.unwrap_or(present.made);
    let bad = (outcome == Outcome::Cut).then(|| JobRecord {
        id: record.run.unwrap_or_default().to_string(),
        name,
        instance: record.id.clone(),
        began,
        heartbeat: now,
        ttl: Span::ZERO,
        progress: None,
        note: None,
        outcome: Some(outcome),
        ended: Some(now),
        cause: Some(format!("cut by order of {by}")),
    });
    if let Some(line) = line(draft, record, id) {
        line.idle = (outcome != Outcome::Cut).then_some(now);
        line.exited = Some((now, exit.clone()));
        line.waited = now.since(line.retired);
        (line.during, line.lifetime) = (counts, counts);
        // Leases that it held itself are parts of it.
        line.jobs = bad.into_iter().chain(status.ended_badly.iter().cloned()).collect();
    }
    draft.say(id, Reason::Gone { instance: record.id.clone(), exit: exit.clone() });
}

/// A try is over: the run is, too, or is tried again.
fn try_ended(draft: &mut Draft, run: &RunRecord, job: &Job, exit: Exit, record: Option<&InstanceRecord>) {
    let (key, now) = (key_of(run), draft.now);
    let Some(present) = last_try(draft, &key) else { return };
    present.ended = Some((now, exit.clone()));
    let (timed_out, began) = (present.timed_out, present.started.unwrap_or(present.made));
    let is_cut = record.is_some_and(|record| record.intent == Intent::Cut) && !timed_out;
    let tries = run.tries.len();
    match () {
        () if is_cut => end(draft, &key, RunState::Cancelled),
        // What a person ran ends as it does: nobody is told, and no other is measured by it.
        () if run.one_off.is_some() => {
            let state = if exit.is_success() { RunState::Succeeded } else { RunState::Failed };
            end(draft, &key, state);
        }
        () if exit.is_success() && !timed_out => {
            end(draft, &key, RunState::Succeeded);
            let state = draft.stack_mut(&run.stack).jobs.entry(run.job.clone()).or_default();
            state.durations.record(now.since(began));
        }
        () if tries <= job.retries as usize && draft.stack(&run.stack).target.is_some() => {
            let until = now + job.backoff_after(tries);
            draft.run_mut(&key).into_iter().for_each(|run| run.state = RunState::BackingOff { until });
            draft.wake_at(until);
        }
        () => {
            let timeout = job.timeout.filter(|_| timed_out);
            end(draft, &key, if timed_out { RunState::TimedOut } else { RunState::Failed });
            let (job, run_no, tries) = (run.job.clone(), run.number, tries as u32);
            let reason = Reason::RunFailed { job, run: run_no, tries, exit, timeout };
            incident::tell_at_once(draft, &run.stack, reason);
        }
    }
}
