//! A ledger's life as text: one line in, what came of it out.

use super::{Beat, Death, Entry, Given, Gone, Ledger, MAX_ENDED, MAX_OPEN, Refusal, Request};
use naru_model::{InstanceId, Outcome, Span, Time};

fn request(name: &str, ttl: u64) -> Request {
    Request::new(name, Some(Span(ttl))).unwrap()
}

fn count(entries: usize) -> String {
    format!("{entries} entries")
}

fn gone(result: Result<String, Gone>) -> String {
    result.unwrap_or_else(|gone| gone.to_string())
}

fn death(run: u64, jobs: u64, outcome: Outcome) -> Death {
    Death { run, cause: "was killed (signal 9)".into(), jobs, since: Time(0), outcome }
}

/// One line: `TIME VERB ARGUMENTS`, with `TIME` in ms.
fn step(ledger: &mut Ledger, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let now = Time(words[0].parse().unwrap());
    let number = |n: usize| words[n].parse::<u64>().unwrap();
    match words[1] {
        "take" => match ledger.take(now, number(2), request("job", number(3))) {
            Ok(_) => "given".into(),
            Err(refusal) => refusal.to_string(),
        },
        "beat" => gone(ledger.beat(now, words[2], Beat::default()).map(|()| "lives".into())),
        "done" => gone(ledger.end(now, words[2], Outcome::Done).map(|_| "ended".into())),
        "failed" => gone(ledger.end(now, words[2], Outcome::Failed).map(|_| "ended".into())),
        "expire" => count(ledger.expire(now).len()),
        "lose" => count(ledger.lose(now, &death(0, 0, Outcome::Lost)).len()),
        "die" => count(ledger.lose(now, &death(number(2), number(3), Outcome::Lost)).len()),
        "die-cut" => count(ledger.lose(now, &death(number(2), number(3), Outcome::Cut)).len()),
        "cut" => count(ledger.cut(now, "cut by order").len()),
        "quiet" => count(ledger.quiet().iter().len()),
        "resume" => {
            ledger.resume(now);
            format!("wakes at {:?}", ledger.wake().map(|at| at.0))
        }
        "close" => match ledger.close() {
            Ok(entry) => format!("closed, {}", count(entry.iter().len())),
            Err(open) => super::in_progress(open),
        },
        other => panic!("no such verb: {other}"),
    }
}

#[track_caller]
fn check(script: &[(&str, &str)]) -> Ledger {
    let mut ledger = Ledger::new(InstanceId::from("s.v.1.1"));
    for (line, want) in script {
        assert_eq!(step(&mut ledger, line), *want, "at `{line}`");
    }
    ledger
}

#[test]
fn a_job_is_taken_beaten_and_done() {
    let ledger = check(&[
        ("0 take 1 30000", "given"),
        ("0 take 2 30000", "given"),
        ("25000 beat 1", "lives"),
        ("30000 expire", "1 entries"),
        ("31000 beat 2", "the lease has ended: lost, no heartbeat for 30 s"),
        ("40000 done 1", "ended"),
        ("40000 done 1", "the lease has ended: done"),
        ("40000 done 7", "no such lease"),
    ]);
    assert_eq!((ledger.counts().jobs, ledger.counts().jobs_lost, ledger.open()), (1, 1, 0));
    assert_eq!(ledger.durations().count(), 1);
    let badly: Vec<_> = ledger.ended_badly().map(|job| job.id.as_str()).collect();
    assert_eq!(badly, ["2"]);
}

#[test]
fn only_an_empty_ledger_closes_and_then_for_good() {
    let ledger = check(&[
        ("0 take 1 1000", "given"),
        ("1 quiet", "1 entries"),
        ("1 quiet", "0 entries"),
        ("2 take 2 1000", "given"),
        ("3 close", "2 jobs are in progress"),
        ("4 failed 1", "ended"),
        ("4 close", "1 job is in progress"),
        ("5 done 2", "ended"),
        ("6 close", "closed, 1 entries"),
        ("6 close", "closed, 0 entries"),
        ("7 take 3 1000", "the instance is being stopped and takes no new work"),
        ("8 quiet", "0 entries"),
    ]);
    assert_eq!((ledger.counts().jobs, ledger.counts().jobs_failed), (2, 1));
}

#[test]
fn a_cut_and_a_death_list_each_job_with_its_cause() {
    let ledger = check(&[
        ("0 take 1 1000", "given"),
        ("1 lose", "1 entries"),
        ("1 lose", "0 entries"),
        ("2 take 2 1000", "given"),
        ("3 cut", "2 entries"),
        ("3 take 3 1000", "the instance is being stopped and takes no new work"),
        ("3 done 2", "the lease has ended: cut, cut by order"),
    ]);
    let causes: Vec<_> = ledger.ended_badly().map(|job| job.cause.as_deref().unwrap()).collect();
    assert_eq!(causes, ["was killed (signal 9)", "cut by order"]);
    assert_eq!((ledger.counts().jobs_lost, ledger.counts().cut), (1, 1));
}

#[test]
fn jobs_without_a_lease_end_once_with_their_process() {
    let ledger = check(&[
        ("0 take 1 1000", "given"),
        ("1 die 1 2", "2 entries"),
        ("2 die 1 2", "0 entries"),
        ("3 die 2 0", "0 entries"),
        ("4 cut", "1 entries"),
        ("5 die-cut 3 1", "1 entries"),
    ]);
    assert_eq!((ledger.counts().jobs_lost, ledger.counts().cut), (3, 1));
    let told = |job: &naru_model::JobRecord| {
        let ended = job.ended.map(|at| at.0);
        format!("{} {}: {} at {ended:?}", job.id, job.name, job.cause.as_deref().unwrap())
    };
    let badly: Vec<_> = ledger.ended_badly().map(told).collect();
    let name = "told by the busy check";
    let want = [
        "1 job: was killed (signal 9) at Some(1)".into(),
        format!("s.v.1.1-1-1 {name}: was killed (signal 9) at Some(1)"),
        format!("s.v.1.1-1-2 {name}: was killed (signal 9) at Some(1)"),
        format!("s.v.1.1-3-1 {name}: cut by order at Some(5)"),
    ];
    assert_eq!(badly, want);
}

#[test]
fn of_many_jobs_the_count_is_exact_and_the_list_bounded() {
    let mut ledger = Ledger::new(InstanceId::from("s.v.1.1"));
    let entries = ledger.lose(Time(1), &death(1, 1_000_000, Outcome::Lost));
    assert_eq!((ledger.counts().jobs_lost, ledger.ended_badly().count()), (1_000_000, MAX_ENDED));
    let mut again = Ledger::new(InstanceId::from("s.v.1.1"));
    entries.iter().chain(&entries).for_each(|entry| again.replay(entry));
    assert_eq!(again, ledger);
}

#[test]
fn the_agents_absence_ends_no_lease() {
    check(&[
        ("0 take 1 1000", "given"),
        ("9000 resume", "wakes at Some(10000)"),
        ("9999 expire", "0 entries"),
        ("10000 expire", "1 entries"),
    ]);
}

#[test]
fn a_replayed_ledger_is_the_same() {
    let mut ledger = Ledger::new(InstanceId::from("s.v.1.1"));
    let mut entries = vec![
        taken(&mut ledger, 1, request("a", 1000)),
        taken(&mut ledger, 2, request("b", 1000).keyed("k").unwrap()),
        ledger.end(Time(7), "1", Outcome::Failed).unwrap(),
    ];
    entries.extend(ledger.quiet());
    entries.extend(ledger.cut(Time(9), "cut by order"));
    let mut again = Ledger::new(InstanceId::from("s.v.1.1"));
    entries.iter().for_each(|entry| again.replay(entry));
    assert_eq!(again, ledger);
}

fn taken(ledger: &mut Ledger, number: u64, request: Request) -> Entry {
    match ledger.take(Time(5), number, request) {
        Ok(Given::New(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repeated_request_is_given_the_same_lease_while_it_is_open() {
    let mut ledger = Ledger::new(InstanceId::from("s.v.1.1"));
    let keyed = |key| request("a", 1000).keyed(key).unwrap();
    taken(&mut ledger, 1, keyed("k"));
    assert_eq!(ledger.take(Time(6), 2, keyed("k")), Ok(Given::Again("1".into())));
    taken(&mut ledger, 3, keyed("l"));
    ledger.end(Time(7), "1", Outcome::Done).unwrap();
    taken(&mut ledger, 4, keyed("k"));
    assert_eq!(ledger.open(), 2);
}

#[test]
fn everything_has_a_bound() {
    let said = |result: Result<Request, super::Invalid>| result.unwrap_err().to_string();
    assert_eq!(said(Request::new(" ", None)), "the lease has no name");
    assert_eq!(said(Request::new(&"x".repeat(201), None)), "the name has 201 bytes, and 200 are the most");
    let ttl = said(Request::new("x", Some(Span::mins(61))));
    assert_eq!(ttl, "the ttl is 1 h 1 min, and must be from 1.0 s to 1 h");
    assert!(Beat::new(Some(1.5), None).is_err() && Beat::new(None, Some("x".repeat(1001))).is_err());
    let mut ledger = Ledger::new(InstanceId::from("s.v.1.1"));
    for number in 0..MAX_OPEN as u64 {
        ledger.take(Time(0), number, request("x", 1000)).unwrap();
    }
    assert_eq!(ledger.take(Time(0), 0, request("x", 1000)), Err(Refusal::Full));
}
