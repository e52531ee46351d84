//! What is due: each time of a schedule is run, held back, or told as missed, and counted as one of these, once.
//!
//! The one thing remembered is up to when all was accounted for. A server that was down, or whose clock was set forward,
//! finds the times since then, however many; one that wrote and was not told reads what it wrote, and finds none. The times up
//! to now and the runs made of them are written in one transaction.

use super::{jobs, newborn};
use crate::draft::Draft;
use crate::incident;
use naru_model::{
    Armed, CatchUp, Job, JobState, Overlap, Reason, Release, RunCause, RunRecord, Schedule, ServiceName,
    Span, StackName, Time,
};
use naru_schedule::{Due, MOST_COUNTED, Times};
use std::collections::BTreeSet;

/// A run that is begun within this time of being due is on time. A server that is restarted is back by then.
const ON_TIME: Span = Span::secs(60);

/// Clocks are set: what is due later than this is looked for again before.
const LOOK: Span = Span::secs(30);

/// Judges the due times of all jobs of a stack since the last look, and sees to the next.
pub(super) fn arm(draft: &mut Draft, stack: &StackName) {
    let wanted = jobs(draft, stack);
    let known = draft.stack(stack).jobs.iter().filter(|(_, state)| state.armed.is_some());
    let known: BTreeSet<ServiceName> = known.map(|(name, _)| name.clone()).collect();
    for name in known.iter().filter(|name| !wanted.contains_key(*name)) {
        disarm(draft, stack, name, None);
    }
    for (name, (release, job)) in wanted {
        let armed = draft.stack(stack).jobs.get(&name).and_then(|state| state.armed.clone());
        match armed {
            Some(armed) if armed.schedules == job.schedules => {
                judge(draft, stack, &name, (release, job), &armed)
            }
            None if job.schedules.is_empty() => {}
            _ => {
                let now = draft.now;
                let schedules = job.schedules.clone();
                let next = next(&schedules, now);
                let armed = Armed { schedules, since: now, seen: now, next };
                disarm(draft, stack, &name, Some(armed).filter(|armed| !armed.schedules.is_empty()));
            }
        }
        look_again(draft, stack, &name);
    }
}

/// The old schedule of a job counts no longer. What was due by it and was not judged yet is missed.
fn disarm(draft: &mut Draft, stack: &StackName, name: &ServiceName, new: Option<Armed>) {
    let now = draft.now;
    let old = draft.stack(stack).jobs.get(name).and_then(|state| state.armed.clone());
    for schedule in old.iter().flat_map(|armed| &armed.schedules) {
        if let Some(due) = due(schedule, old.as_ref().map_or(now, |armed| armed.seen), now) {
            miss(
                draft,
                stack,
                name,
                Missed { count: due.count, first: due.first, last: due.newest, made_up: false },
            );
        }
    }
    state(draft, stack, name).armed = new;
}

/// For changing what is kept of a job.
fn state<'a>(draft: &'a mut Draft, stack: &StackName, name: &ServiceName) -> &'a mut JobState {
    draft.stack_mut(stack).jobs.entry(name.clone()).or_default()
}

/// What of a schedule came after `seen`. One that cannot be read was refused; if it is there all the same, it never comes.
fn due(schedule: &Schedule, seen: Time, now: Time) -> Option<Due> {
    Times::read(schedule).ok()?.between(seen, now)
}

fn judge(
    draft: &mut Draft,
    stack: &StackName,
    name: &ServiceName,
    (release, job): (&Release, &Job),
    armed: &Armed,
) {
    let now = draft.now;
    if armed.next.is_none_or(|next| next > now) {
        return;
    }
    let armed_anew = Armed { seen: now, next: next(&job.schedules, now), ..armed.clone() };
    state(draft, stack, name).armed = Some(armed_anew);
    for schedule in &job.schedules {
        let Some(due) = due(schedule, armed.seen, now) else { continue };
        judge_one(draft, stack, name, release, schedule, &due);
    }
}

fn judge_one(
    draft: &mut Draft,
    stack: &StackName,
    name: &ServiceName,
    release: &Release,
    schedule: &Schedule,
    due: &Due,
) {
    let is_late = due.newest + ON_TIME < draft.now;
    let place = place(draft, stack, name, schedule.overlap, due.newest);
    let cause = match (is_late, schedule.catch_up) {
        (false, _) => Some(RunCause::Schedule { due: due.newest }),
        (true, CatchUp::One) => Some(RunCause::CatchUp { due: due.newest }),
        (true, CatchUp::Skip) => None,
    };
    let begins = cause.is_some() && place == Place::Free;
    if let (Some(cause), Place::Free) = (cause, &place) {
        let state = state(draft, stack, name);
        state.runs += 1;
        state.tally.run += 1;
        let number = state.runs;
        let run = newborn(stack, (name, number), release, cause, schedule.overlap, draft.now);
        draft.add_run(run);
    }
    if let (false, Place::Taken(by)) = (is_late, place) {
        state(draft, stack, name).tally.held_back += 1;
        let key = (stack.clone(), name.clone(), by);
        draft.run_mut(&key).into_iter().for_each(|run| run.held_back += 1);
    }
    let (missed, last) = match (is_late, begins) {
        // The newest is on time: those before it are missed.
        (false, _) => (due.count - 1, due.before),
        (true, true) => (due.count, Some(due.newest)),
        (true, false) => (due.count, Some(due.newest)),
    };
    if let Some(last) = last.filter(|_| missed > 0) {
        let made_up = is_late && begins;
        miss(draft, stack, name, Missed { count: missed, first: due.first, last, made_up });
    }
}

/// Due times that are told as missed.
struct Missed {
    count: u64,
    first: Time,
    last: Time,
    /// One run is made for all of them.
    made_up: bool,
}

/// Tells of missed runs, once.
fn miss(draft: &mut Draft, stack: &StackName, name: &ServiceName, missed: Missed) {
    let Missed { count, first, last, made_up } = missed;
    // The one that is made up for is counted as run.
    state(draft, stack, name).tally.missed += count - u64::from(made_up);
    let count = if count >= MOST_COUNTED { Reason::COUNTED } else { count };
    let reason = Reason::RunsMissed { job: name.clone(), count, first, last, made_up };
    incident::tell_at_once(draft, stack, reason);
}

/// Whether a run may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    /// This run is in progress, or waits already.
    Taken(u64),
}

/// Whether a run that was due at `due` may be made beside those that have not ended.
fn place(draft: &Draft, stack: &StackName, name: &ServiceName, overlap: Overlap, due: Time) -> Place {
    let open = draft.open_runs(stack).into_iter().filter(|key| key.1 == *name);
    let open: Vec<RunRecord> = open.filter_map(|key| draft.run(&key).cloned()).collect();
    let is_same = |run: &&RunRecord| matches!(run.cause, RunCause::Schedule { due: of } | RunCause::CatchUp { due: of } if of == due);
    // Two schedules may name the same time.
    match open.iter().find(is_same) {
        Some(same) => Place::Taken(same.number),
        None => beside(&open, overlap),
    }
}

/// Whether a run may be made beside these, which have not ended.
pub(crate) fn beside(open: &[RunRecord], overlap: Overlap) -> Place {
    let newest = open.last().map(|run| run.number);
    let waits =
        open.iter().find(|run| run.tries.is_empty() && run.overlap == Overlap::Queue && open.len() > 1);
    match (overlap, newest, waits) {
        (_, None, _) | (Overlap::Allow, _, _) | (Overlap::Queue, _, None) => Place::Free,
        (Overlap::Queue, _, Some(waits)) => Place::Taken(waits.number),
        (Overlap::Forbid, Some(newest), _) => Place::Taken(newest),
    }
}

/// The first time of these schedules after `seen`.
fn next(schedules: &[Schedule], seen: Time) -> Option<Time> {
    let times = schedules.iter().filter_map(|schedule| Times::read(schedule).ok());
    times.filter_map(|times| times.next_after(seen)).min()
}

/// Sees to it that somebody looks when the job is due next.
fn look_again(draft: &mut Draft, stack: &StackName, name: &ServiceName) {
    let next = draft.stack(stack).jobs.get(name).and_then(|state| state.armed.as_ref()?.next);
    if let Some(next) = next.filter(|next| *next > draft.now) {
        draft.wake_at(next.min(draft.now + LOOK));
    }
}
