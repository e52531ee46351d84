//! Jobs in the simulated world: what people have in their files, the orders about runs, and what must hold of them.
//!
//! When a job is due is reckoned here anew, for the few schedules that simulated people write: each so many seconds.

use crate::event::{Event, OutsideEvent};
use crate::host::State;
use crate::property::{DUE_ONCE, MISSED_IS_TOLD, NO_UNFINISHED_WORK_ENDED, ONE_RUN_AT_A_TIME, TRUE_RECEIPT};
use crate::sight::Sight;
use crate::sim::Sim;
use naru_decide::Write;
use naru_model::{
    Armed, CatchUp, Change, Demand, Ending, InstanceId, InstanceRecord, Intent, Job, Overlap, Reason,
    RunCause, RunRecord, RunState, Schedule, ServiceName, Span, StackName, Template, Time,
};
use naru_sim_stacks::{Behaviour, Calls, Dice, Fate, Jobs, Kind, Term, template};
use std::collections::BTreeMap;

/// The schedules that people write, and how many seconds are between the times of each.
const SCHEDULES: &[(&str, u64)] =
    &[("*/20 * * * * *", 20), ("* * * * *", 60), ("*/5 * * * *", 300), ("*/30 * * * *", 1800)];

/// The names of jobs.
pub(crate) const NAMES: &[&str] = &["nightly", "report"];

/// The jobs that people have in their file.
#[derive(Default)]
pub(crate) struct Sketches {
    jobs: BTreeMap<ServiceName, Job>,
    version: u64,
}

impl Sketches {
    /// Writes them anew, some of them.
    pub(crate) fn edit(&mut self, dice: &mut Dice) {
        for name in NAMES {
            match dice.below(10) {
                0..=2 => {
                    self.version += 1;
                    self.jobs.insert((*name).into(), job(self.version, dice));
                }
                3 => drop(self.jobs.remove(&ServiceName::from(*name))),
                _ => {}
            }
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<ServiceName, Job> {
        self.jobs.clone()
    }
}

fn job(version: u64, dice: &mut Dice) -> Job {
    let takes = dice.span(Span::secs(1), Span::mins(20));
    let fate = match dice.below(10) {
        0 | 1 => Fate::ExitsAtStart(3),
        _ => Fate::Finishes(takes),
    };
    let term = if dice.hits(150) { Term::Ignores } else { Term::Prompt };
    let (jobs, calls) = (Jobs::FromRequests(0), Calls::Nobody);
    let behaviour = Behaviour { version, start: Span::secs(2), fate, term, jobs, calls };
    let overlap = dice.weighted(&[(3, Overlap::Forbid), (2, Overlap::Queue), (1, Overlap::Allow)]);
    let schedule = |dice: &mut Dice| Schedule {
        // The frequent ones are what makes a run long.
        cron: SCHEDULES[dice.weighted(&[(2, 0), (3, 1), (7, 2), (8, 3)])].0.into(),
        timezone: "UTC".into(),
        overlap,
        catch_up: if dice.hits(600) { CatchUp::One } else { CatchUp::Skip },
    };
    let schedules = (0..dice.weighted(&[(1, 0), (6, 1), (1, 2)])).map(|_| schedule(dice)).collect();
    Job {
        template: Template { environment: behaviour.environment(), ..template(Kind::Setup, dice) },
        build: None,
        depends_on: BTreeMap::new(),
        schedules,
        by_hand: dice.hits(900),
        overlap,
        timeout: dice.hits(250).then(|| dice.span(Span::secs(20), Span::mins(10))),
        retries: *dice.pick(&[0, 0, 1, 3]),
        backoff: dice.span(Span::secs(1), Span::mins(1)),
    }
}

/// How many times of a schedule come after one time, up to another.
fn come(schedule: &Schedule, after: Time, until: Time) -> u64 {
    let step =
        SCHEDULES.iter().find(|(cron, _)| *cron == schedule.cron).map_or(1, |(_, seconds)| seconds * 1000);
    (until.0 / step).saturating_sub(after.0 / step)
}

fn all_come(armed: &Armed, until: Time) -> u64 {
    armed.schedules.iter().map(|schedule| come(schedule, armed.seen, until)).sum()
}

impl Sim {
    /// The server's clock: it is set forward now and then.
    pub(crate) fn clock(&self) -> Time {
        self.ground.now + self.skew
    }

    /// Somebody wants a run of a job, or wants one no longer.
    pub(crate) fn job_order(&mut self, stack: usize) {
        if self.ground.now >= self.calm {
            return;
        }
        let next = self.ground.jobs.around(Span::mins(6));
        self.ground.after(next, Event::Outside(OutsideEvent::JobOrder(stack)));
        let dice = &mut self.ground.jobs;
        let job = ServiceName::from(*dice.pick(NAMES));
        let cancels = dice.hits(400);
        if !self.server.is_free() || self.people[stack].pending.is_some() {
            return;
        }
        let name = self.people[stack].stack().clone();
        let (change, ending) = if cancels {
            let open = self.open_runs(&name, &job).map(|run| run.number).next();
            (Change::Cancel { job, run: open }, Ending::Cut)
        } else {
            (Change::Run { job }, Ending::Finish)
        };
        let demand = Demand { stack: name, change, ending, actor: "bob".into(), message: None };
        self.ground.proclaim(stack as u64, || format!("ORDER: {} {:?}", demand.stack, demand.change));
        self.server_hears_order(stack, &demand);
    }

    fn open_runs<'a>(
        &'a self,
        stack: &'a StackName,
        job: &'a ServiceName,
    ) -> impl Iterator<Item = &'a RunRecord> {
        let runs = self.store.records.runs.values();
        runs.filter(move |run| run.stack == *stack && run.job == *job && !run.state.is_over())
    }

    /// What a transaction says of due times, beside what the records said before it.
    pub(crate) fn check_due(&mut self, writes: &[Write]) {
        let mut told: BTreeMap<(StackName, ServiceName), u64> = BTreeMap::new();
        for write in writes {
            let Write::Operation(operation) = write else { continue };
            if self.store.records.operations.contains_key(&operation.id) {
                continue;
            }
            for entry in &operation.log {
                let Reason::RunsMissed { job, count, made_up, .. } = &entry.reason else { continue };
                let told = told.entry((operation.stack.clone(), job.clone())).or_default();
                *told += count - u64::from(*made_up);
            }
        }
        for write in writes {
            let Write::Stack(stack) = write else { continue };
            let before = self.store.records.stacks.get(&stack.name).map(|before| before.jobs.clone());
            let before = before.unwrap_or_default();
            for (name, state) in &stack.jobs {
                let old = before.get(name).cloned().unwrap_or_default();
                let seen = state.armed.as_ref().map(|armed| armed.seen);
                let until = if old.armed == state.armed { None } else { seen.or(Some(self.clock())) };
                let came = match (&old.armed, until) {
                    (Some(armed), Some(until)) => all_come(armed, until),
                    _ => 0,
                };
                let told = told.get(&(stack.name.clone(), name.clone())).copied().unwrap_or_default();
                let missed = state.tally.missed - old.tally.missed;
                let counted = state.tally.total() - old.tally.total();
                // A schedule that went had its last look when that was decided, some time before it was written.
                let all = counted == came || state.armed.is_none() && counted < came;
                if !all || told != missed {
                    let what = format!(
                        "{name} of {}: {came} due times came, {counted} are counted, of which {missed} missed, and {told} are told",
                        stack.name
                    );
                    return self.ground.violated(&MISSED_IS_TOLD, &[name.as_str(), "stack "], what);
                }
                let sees = [
                    (missed > 0, Sight::RunMissed),
                    (state.tally.held_back > old.tally.held_back, Sight::RunHeldBack),
                ];
                sees.into_iter().filter(|(is, _)| *is).for_each(|(_, sight)| self.ground.sees(sight));
            }
        }
    }

    /// A run is written.
    pub(crate) fn check_run(&mut self, run: &RunRecord) {
        let key = (run.stack.clone(), run.job.clone(), run.number);
        self.ground.trace.mix(run.number * 16 + run.tries.len() as u64);
        let known = self.store.records.runs.get(&key).cloned();
        if let (None, RunCause::Schedule { due } | RunCause::CatchUp { due }) = (&known, &run.cause)
            && !self.due.insert((run.stack.clone(), run.job.clone(), *due))
        {
            let what = format!("a second run of {} of {} for {}", run.job, run.stack, due.utc());
            self.ground.violated(&DUE_ONCE, &[run.job.as_str()], what);
        }
        if let (None, RunCause::CatchUp { .. }) = (&known, &run.cause) {
            self.ground.sees(Sight::RunCaughtUp);
        }
        if known.is_some_and(|known| known.state.is_over() && known != *run) {
            let what = format!("run {} of {} had ended, and is changed", run.number, run.job);
            self.ground.violated(&TRUE_RECEIPT, &[run.job.as_str()], what);
        }
        match run.state {
            RunState::BackingOff { .. } => self.ground.sees(Sight::RunRetried),
            RunState::TimedOut => self.ground.sees(Sight::RunTimedOut),
            RunState::Cancelled if !run.tries.is_empty() => self.ground.sees(Sight::RunCut),
            _ => {}
        }
    }

    /// A run's process is about to start: nowhere a try of it, or another run of a job that allows one, goes on.
    pub(crate) fn check_run_launch(&mut self, record: &InstanceRecord) {
        let Some(number) = record.run else { return };
        let records = &self.store.records;
        let run_of = |one: &InstanceRecord| {
            records.runs.get(&(one.stack.clone(), one.service.clone(), one.run?)).map(|run| run.overlap)
        };
        let mine = |other: &InstanceRecord| other.stack == record.stack && other.service == record.service;
        let living = self.host.living().filter(|(_, process)| process.instance != record.id);
        let others = living.filter_map(|(_, process)| records.instances.get(&process.instance));
        let allowed = run_of(record) == Some(Overlap::Allow);
        let beside = others.filter(|other| other.run.is_some() && mine(other));
        let wrong = beside
            .filter(|other| other.run == Some(number) || !allowed && run_of(other) != Some(Overlap::Allow));
        if let Some(other) = wrong.map(|other| other.id.clone()).next() {
            let what = format!("{} is started while {other} runs", record.id);
            self.ground.violated(&ONE_RUN_AT_A_TIME, &[record.id.as_str(), other.as_str()], what);
        }
    }

    /// A run's process is about to be signalled, which ends it before its time.
    pub(crate) fn check_run_signal(&mut self, id: &InstanceId) {
        let is_run = self.store.records.instances.get(id).is_some_and(|record| record.run.is_some());
        if is_run && !self.is_cut(id) {
            let what = format!("{id}, a run in progress, gets its signal");
            self.ground.violated(&NO_UNFINISHED_WORK_ENDED, &[id.as_str()], what);
        }
    }

    /// Whether a try has had all the time that its file allows.
    pub(crate) fn is_timed_out(&self, record: &InstanceRecord) -> bool {
        let Some(limit) = self.store.records.job(record).and_then(|job| job.timeout) else { return false };
        let started = self.host.last(&record.id).map(|(_, process)| process.started);
        record.intent == Intent::Cut && started.is_some_and(|at| at + limit <= self.clock())
    }

    /// A run's instance is forgotten: its run tells how it ended.
    pub(crate) fn check_run_receipt(&mut self, record: &InstanceRecord) {
        let id = &record.id;
        let Some(number) = record.run else { return };
        let run = self.store.records.runs.get(&(record.stack.clone(), record.service.clone(), number));
        let tried = run.and_then(|run| run.tries.iter().find(|one| one.instance == *id));
        let said = tried.and_then(|one| one.ended.as_ref()).map(|(_, exit)| exit.clone());
        let is = self.host.last(id).map(|(_, process)| process.state.clone());
        let right = match (&said, &is) {
            (Some(said), Some(State::Dead(exit))) => said == exit,
            (Some(_), None) => true,
            _ => false,
        };
        let on_receipt = record.retired_by.is_none_or(|by| {
            let line = self.store.records.operations.get(&by).and_then(|one| one.receipt.instances.get(id));
            line.is_none_or(|line| line.exited.is_some())
        });
        if !right || !on_receipt {
            let what = format!("{id} is forgotten; its run says {said:?}, and {is:?} is true");
            self.ground.violated(&TRUE_RECEIPT, &[id.as_str()], what);
        }
    }

    /// What of jobs is not as it has to be once all is calm.
    pub(crate) fn wrong_with_jobs(&self) -> Option<String> {
        let now = self.clock();
        for stack in self.store.records.stacks.values() {
            let release = stack.target.as_ref().map(|target| stack.serving.unwrap_or(target.release));
            let release = release.and_then(|number| self.store.records.release(&stack.name, number));
            for (name, state) in &stack.jobs {
                let wanted =
                    release.and_then(|release| release.stack.jobs.get(name)).map(|job| &job.schedules);
                let wanted = wanted.filter(|schedules| !schedules.is_empty());
                let armed = state.armed.as_ref();
                if armed.map(|armed| &armed.schedules) != wanted {
                    return Some(format!(
                        "{name} of {} is due by {armed:?}, and {wanted:?} is wanted",
                        stack.name
                    ));
                }
                // What is due is begun, or told, within minutes: a server comes up, hears, commits.
                let late = armed.is_some_and(|armed| all_come(armed, now - Span::mins(5)) > 0);
                if late {
                    return Some(format!("{name} of {} was due long ago: {armed:?}", stack.name));
                }
            }
        }
        // No run takes longer, with all its tries.
        let old = |run: &&RunRecord| !run.state.is_over() && run.made + Span::mins(12 * 60) < self.ground.now;
        let old = self.store.records.runs.values().find(old);
        old.map(|run| format!("run {} of {} does not end: {:?}", run.number, run.job, run.state))
    }
}
