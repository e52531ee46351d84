//! Jobs and their runs as tables.

use crate::moment::{ago, date};
use crate::paint::{self, Tone};
use crate::table::{Table, foreign};
use naru_model::{Exit, JobView, Reason, RunCause, RunRecord, RunState, Time};
use std::collections::BTreeSet;

/// The jobs as a table; a stack's name is shown where there are several.
pub fn jobs_table(jobs: &[JobView], now: Time) -> String {
    let several = jobs.iter().map(|job| &job.stack).collect::<BTreeSet<_>>().len() > 1;
    let mut table = Table::new(&["STACK", "JOB", "SCHEDULE", "NEXT", "OPEN", "LAST", "MISSED", "HELD BACK"]);
    for job in jobs {
        let schedules: Vec<String> = job.schedules.iter().map(ToString::to_string).collect();
        let open: Vec<String> = job.open.iter().map(|run| format!("{} {}", run.number, state(run))).collect();
        let count = |n: u64| if n == 0 { String::new() } else { n.to_string() };
        table.row([
            if several { job.stack.to_string() } else { String::new() },
            job.name.to_string(),
            if schedules.is_empty() { "by hand".into() } else { foreign(&schedules.join(", ")) },
            job.next.map(date).unwrap_or_default(),
            open.join(", "),
            job.last.as_ref().map(|run| last(run, now)).unwrap_or_default(),
            count(job.tally.missed),
            count(job.tally.held_back),
        ]);
    }
    table.render()
}

fn last(run: &RunRecord, now: Time) -> String {
    format!("{} {} {}", run.number, state(run), ago(run.ended.unwrap_or(run.made), now))
}

fn state(run: &RunRecord) -> String {
    let tone = match run.state {
        RunState::Succeeded => Tone::Good,
        RunState::Failed | RunState::TimedOut => Tone::Bad,
        RunState::Cancelled => Tone::Quiet,
        RunState::Waiting | RunState::Running | RunState::BackingOff { .. } => Tone::Busy,
    };
    paint::tone(tone, run.state)
}

/// Runs as a table.
pub fn runs_table(runs: &[RunRecord], now: Time) -> String {
    let mut table =
        Table::new(&["JOB", "RUN", "RELEASE", "FOR", "MADE", "STATE", "TOOK", "TRIES", "HELD BACK", "NOTE"]);
    for run in runs {
        let began = run.tries.first().map(|one| one.started.unwrap_or(one.made));
        let took = began.map(|began| run.ended.unwrap_or(now).since(began).to_string());
        table.row([
            run.job.to_string(),
            run.number.to_string(),
            run.release.to_string(),
            cause(run),
            date(run.made),
            state(run),
            took.unwrap_or_default(),
            if run.tries.len() > 1 { run.tries.len().to_string() } else { String::new() },
            if run.held_back > 0 { run.held_back.to_string() } else { String::new() },
            run_note(run),
        ]);
    }
    table.render()
}

fn cause(run: &RunRecord) -> String {
    match &run.cause {
        RunCause::Order { actor, .. } if run.one_off.is_some() => format!("{}, one-off", foreign(actor)),
        RunCause::Schedule { .. } => "schedule".into(),
        RunCause::CatchUp { .. } => "missed runs".into(),
        RunCause::Order { actor, .. } => foreign(actor),
    }
}

/// What it waits for, or how it ended.
pub fn run_note(run: &RunRecord) -> String {
    let exit = run.tries.last().and_then(|one| one.ended.as_ref()).map(|(_, exit)| exit);
    let bad = exit.filter(|exit| !exit.is_success()).map(Exit::to_string);
    let cut = run.cut.as_ref().map(|by| format!("cut by order of {}", foreign(by)));
    let waits = run.waits_for.as_ref().map(Reason::to_string);
    waits.or(cut).or(bad).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{jobs_table, runs_table};
    use anstream::adapter::strip_str;
    use naru_model::{
        DueTally, Exit, JobView, Overlap, Reason, ReleaseNo, RunCause, RunRecord, RunState, Schedule, Time,
        Try,
    };

    fn run(number: u64, state: RunState) -> RunRecord {
        RunRecord {
            stack: "shop".into(),
            job: "backup".into(),
            number,
            release: ReleaseNo(2),
            cause: RunCause::Schedule { due: Time(60_000) },
            overlap: Overlap::Forbid,
            one_off: None,
            made: Time(60_000),
            state,
            waits_for: None,
            tries: vec![],
            ended: None,
            held_back: 0,
            cut: None,
        }
    }

    #[test]
    fn jobs_tell_when_they_are_due_and_what_came_of_it() {
        let mut failed = run(7, RunState::Failed);
        let tried = |n: u64, at: u64| Try {
            instance: format!("shop.backup.2.{n}").into(),
            made: Time(at),
            started: Some(Time(at)),
            ended: Some((Time(at + 1_000), Exit::Status(3))),
            timed_out: false,
        };
        failed.tries = vec![tried(4, 60_000), tried(5, 71_000)];
        failed.ended = Some(Time(72_000));
        let mut waits = run(8, RunState::Waiting);
        waits.waits_for = Some(Reason::WaitsForRun { job: "backup".into(), run: 7 });
        waits.cause = RunCause::Order { actor: "ann".into(), message: None };
        let schedule = Schedule {
            cron: "0 3 * * *".into(),
            timezone: "Europe/Paris".into(),
            overlap: Overlap::Queue,
            catch_up: Default::default(),
        };
        let job = JobView {
            stack: "shop".into(),
            name: "backup".into(),
            schedules: vec![schedule],
            by_hand: true,
            next: None,
            tally: DueTally { run: 4, held_back: 0, missed: 2 },
            open: vec![waits.clone()],
            last: Some(failed.clone()),
        };
        let shown = strip_str(&jobs_table(&[job], Time(132_000))).to_string();
        let want = "\
JOB     SCHEDULE                  OPEN       LAST                 MISSED
backup  0 3 * * * (Europe/Paris)  8 waiting  7 failed 60 s ago  2
";
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), want.split_whitespace().collect::<Vec<_>>());
        let shown = strip_str(&runs_table(&[waits, failed], Time(132_000))).to_string();
        assert!(shown.contains("backup waits for its run 7 to end"), "{shown}");
        assert!(shown.contains("exited with status 3"), "{shown}");
        assert!(shown.contains("12 s"), "{shown}");
    }
}
