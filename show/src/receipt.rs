//! An operation's receipt: who, what, why and when; how long it waited and for what; what became of each piece of work.

use crate::moment::{ago, clock, date};
use crate::paint::{self, Tone, heading};
use crate::table::{Table, foreign, pad};
use naru_model::{
    Counts, Ending, InstanceId, InstanceReceipt, Operation, OperationOutcome, OperationPhase, Outcome, Span,
    Time, plural, quantity,
};

/// The receipt as a person reads it.
pub fn receipt(one: &Operation, now: Time) -> String {
    let release = one.release.map(|release| format!(", release {release}")).unwrap_or_default();
    let mut text = heading(&format!("operation {}: {} of {}{release}", one.id, one.kind, one.stack));
    for (name, value) in facts(one, now) {
        text += &format!("  {}{value}\n", paint::dim(pad(name, 10)));
    }
    if !one.receipt.instances.is_empty() {
        text += &format!("\n{}", instances(one));
    }
    text += &badly_ended(one);
    for unknown in &one.receipt.unknown {
        text += &format!("{} {}\n", paint::warning("unknown:"), foreign(unknown));
    }
    text
}

fn facts(one: &Operation, now: Time) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("who", foreign(&one.actor)),
        ("when", format!("{} ({})", date(one.began), ago(one.began, now))),
        ("state", how_it_went(one)),
    ];
    if let Some(message) = &one.message {
        facts.insert(1, ("why", foreign(message)));
    }
    if let Some(at) = one.cut_over {
        facts.push(("cut over", format!("after {}", at.since(one.began))));
    }
    facts.push(("ended", ended(one, now)));
    facts.push(("waited", waited(one, now)));
    if one.ending == Ending::Cut {
        facts.push(("cut", format!("ordered by {}", foreign(&one.actor))));
    }
    facts.push(("work", totals(&one.receipt.total())));
    facts
}

fn ended(one: &Operation, now: Time) -> String {
    let open = one.receipt.instances.values().filter(|instance| instance.exited.is_none()).count() as u64;
    match one.ended {
        Some(at) => format!("after {}", at.since(one.began)),
        None if open > 0 => format!("not yet: {} to go", plural(open, "instance")),
        None => format!("not yet, after {}", now.since(one.began)),
    }
}

/// The longest wait for work, and for what; or the wait that goes on.
fn waited(one: &Operation, now: Time) -> String {
    let all = || one.receipt.instances.iter().filter(|(_, instance)| !instance.found.is_idle());
    let open = all().filter(|(_, instance)| instance.idle.is_none() && instance.exited.is_none());
    if let Some((id, instance)) = open.min_by_key(|(_, instance)| instance.quiet.unwrap_or(now)) {
        let since = now.since(instance.quiet.unwrap_or(now));
        return format!("{since} so far, for {} on {id}", quantity(instance.found));
    }
    match all().max_by_key(|(_, instance)| instance.waited) {
        Some((id, instance)) if instance.waited > Span::ZERO => {
            format!("{} for {} on {id}", instance.waited, quantity(instance.found))
        }
        _ => "for nothing".into(),
    }
}

/// `finished 412 requests, 3 streams, 3 jobs; handed over 0; lost 0; cut 0`.
pub fn totals(total: &Counts) -> String {
    let lost = kinds(total.requests_lost, total.streams_lost, total.jobs_lost, Zeros::Hide);
    let alarming = |n: u64, said: String| if n > 0 { paint::tone(Tone::Bad, said) } else { said };
    format!(
        "finished {}; handed over {}; {}; {}",
        kinds(total.requests, total.streams, total.jobs, Zeros::Show),
        total.handed_over,
        alarming(total.lost(), format!("lost {}", if total.lost() > 0 { lost } else { "0".into() })),
        alarming(total.cut, format!("cut {}", total.cut)),
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zeros {
    Show,
    Hide,
}

fn kinds(requests: u64, streams: u64, jobs: u64, zeros: Zeros) -> String {
    let all = [(requests, "request"), (streams, "stream"), (jobs, "job")];
    let shown = all.iter().filter(|(n, _)| *n > 0 || zeros == Zeros::Show);
    shown.map(|(n, noun)| plural(*n, noun)).collect::<Vec<_>>().join(", ")
}

fn instances(one: &Operation) -> String {
    let mut table = Table::new(&[
        "INSTANCE",
        "FOUND",
        "QUIET",
        "WAITED",
        "ENDED",
        "FINISHED",
        "HANDED OVER",
        "LOST",
        "CUT",
    ]);
    for (id, instance) in &one.receipt.instances {
        table.row(instance_row(one, id, instance));
    }
    table.render()
}

fn instance_row(one: &Operation, id: &InstanceId, instance: &InstanceReceipt) -> [String; 9] {
    let after = |at: Time| format!("after {}", at.since(one.began));
    let during = &instance.during;
    let some = |n: u64| if n > 0 { paint::tone(Tone::Bad, n) } else { String::new() };
    let waited = match (instance.quiet, instance.idle) {
        (Some(_), None) if instance.exited.is_none() => "waiting".into(),
        (Some(_), _) => instance.waited.to_string(),
        (None, _) => String::new(),
    };
    let finished = kinds(during.requests, during.streams, during.jobs, Zeros::Hide);
    [
        id.to_string(),
        quantity(instance.found),
        instance.quiet.map(after).unwrap_or_default(),
        waited,
        instance.exited.as_ref().map(|(at, exit)| format!("{}: {exit}", after(*at))).unwrap_or_default(),
        if finished.is_empty() { "nothing".into() } else { finished },
        if during.handed_over > 0 { during.handed_over.to_string() } else { String::new() },
        some(during.lost()),
        some(during.cut),
    ]
}

/// Each job that was lost or cut, with its cause.
fn badly_ended(one: &Operation) -> String {
    let jobs = one.receipt.instances.values().flat_map(|instance| &instance.jobs);
    let bad = jobs.filter(|job| matches!(job.outcome, Some(Outcome::Lost | Outcome::Cut)));
    let mut table = Table::new(&["JOB", "NAME", "INSTANCE", "OUTCOME", "RAN", "PROGRESS", "CAUSE"]);
    for job in bad {
        table.row([
            foreign(&job.id),
            foreign(&job.name),
            job.instance.to_string(),
            job.outcome.map(|outcome| paint::tone(Tone::Bad, outcome)).unwrap_or_default(),
            job.ended.map(|at| at.since(job.began).to_string()).unwrap_or_default(),
            job.progress.map(percent).unwrap_or_default(),
            job.cause.as_deref().map(foreign).unwrap_or_default(),
        ]);
    }
    if table.is_empty() { String::new() } else { format!("\n{}", table.render()) }
}

/// `40 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share.clamp(0.0, 1.0) * 100.0)
}

/// What happened, step by step.
pub fn story(one: &Operation) -> String {
    let lines = one
        .log
        .iter()
        .map(|entry| format!("  {}  {}\n", paint::dim(clock(entry.at)), foreign(&entry.reason.to_string())));
    format!("\n{}{}", heading("what happened"), lines.collect::<String>())
}

/// How it went, and where it still is.
pub fn how_it_went(one: &Operation) -> String {
    let outcome = one.outcome.map(|outcome| {
        let tone = match outcome {
            OperationOutcome::Succeeded => Tone::Good,
            OperationOutcome::Superseded | OperationOutcome::Aborted => Tone::Quiet,
            OperationOutcome::RolledBack | OperationOutcome::Failed => Tone::Bad,
        };
        paint::tone(tone, outcome)
    });
    let phase = (one.phase != OperationPhase::Done).then(|| paint::tone(Tone::Busy, one.phase));
    [outcome, phase].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{receipt as render, totals};
    use crate::sample;
    use anstream::adapter::strip_str;
    use naru_model::{Counts, Exit, InProgress, InstanceReceipt, JobRecord, Outcome, ReleaseNo, Span, Time};

    fn counts() -> Counts {
        Counts { requests: 412, streams: 3, jobs: 1, jobs_lost: 1, ..Counts::default() }
    }

    fn lost_job() -> JobRecord {
        JobRecord {
            id: "9".into(),
            name: "page 3".into(),
            instance: "shop.api.1.1".into(),
            began: Time(50_000),
            heartbeat: Time(70_000),
            ttl: Span::secs(30),
            progress: Some(0.4),
            note: None,
            outcome: Some(Outcome::Lost),
            ended: Some(Time(100_000)),
            cause: Some("its process 4711 is gone".into()),
        }
    }

    fn receipt() -> InstanceReceipt {
        InstanceReceipt {
            service: "api".into(),
            release: ReleaseNo(1),
            retired: Time(61_000),
            unrouted: None,
            quiet: Some(Time(61_500)),
            found: InProgress { jobs: 2, ..InProgress::default() },
            idle: Some(Time(161_500)),
            exited: Some((Time(162_000), Exit::Status(0))),
            waited: Span::secs(100),
            alarmed: None,
            during: counts(),
            lifetime: counts(),
            jobs: vec![lost_job()],
        }
    }

    #[test]
    fn totals_name_every_fate_of_work() {
        let said = |counts: &Counts| strip_str(&totals(counts)).to_string();
        let well = Counts { requests: 412, streams: 3, jobs: 3, ..Counts::default() };
        assert_eq!(said(&well), "finished 412 requests, 3 streams, 3 jobs; handed over 0; lost 0; cut 0");
        let badly = Counts { requests: 1, streams_lost: 2, jobs_lost: 1, cut: 4, ..Counts::default() };
        assert_eq!(
            said(&badly),
            "finished 1 request, 0 streams, 0 jobs; handed over 0; lost 2 streams, 1 job; cut 4"
        );
    }

    #[test]
    fn a_receipt_tells_what_was_waited_for_and_each_lost_job() {
        let mut one = sample::deploy("shop");
        one.ended = Some(Time(162_000));
        one.receipt.instances.insert("shop.api.1.1".into(), receipt());
        let shown = strip_str(&render(&one, Time(200_000))).to_string();
        let lines: Vec<&str> = shown.lines().filter(|line| !line.contains("when")).collect();
        let want = [
            "operation 7: deploy of shop, release 2",
            "  who       mina",
            "  why       new model",
            "  state     running",
            "  ended     after 2 min",
            "  waited    2 min for 2 jobs on shop.api.1.1",
            "  work      finished 412 requests, 3 streams, 1 job; handed over 0; lost 1 job; cut 0",
            "",
            "INSTANCE      FOUND   QUIET        WAITED  ENDED                              FINISHED                        LOST",
            "shop.api.1.1  2 jobs  after 1.5 s  2 min   after 2 min: exited with status 0  412 requests, 3 streams, 1 job  1",
            "",
            "JOB  NAME    INSTANCE      OUTCOME  RAN   PROGRESS  CAUSE",
            "9    page 3  shop.api.1.1  lost     50 s  40 %      its process 4711 is gone",
        ];
        assert_eq!(lines, want);
    }
}
