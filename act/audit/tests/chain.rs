//! The audit's files, and what is found when somebody changes them.

use naru_audit::{Audit, AuditError, read, verify};
use naru_model::Time;
use naru_who::{AuditEntry, AuditOutcome, AuditQuery};
use std::fs;
use std::path::Path;

fn entry(who: &str, action: &str, on: &str) -> AuditEntry {
    AuditEntry {
        time: Time(7),
        who: who.into(),
        from: "192.0.2.7:4".into(),
        action: action.into(),
        on: on.into(),
        outcome: AuditOutcome::Refused,
        by: None,
        text: "no grant \"of\" kim\nincludes it".into(),
    }
}

fn filled(dir: &Path) {
    let mut audit = Audit::open(dir).unwrap();
    for n in 0..5 {
        audit.add(entry("kim", "deploy", &format!("stack/s{n}"))).unwrap();
    }
}

fn lines(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("audit.jsonl")).unwrap().lines().map(str::to_string).collect()
}

fn put(dir: &Path, lines: &[String]) {
    fs::write(dir.join("audit.jsonl"), lines.iter().map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
}

#[test]
fn events_are_kept_in_a_chain_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    filled(dir.path());
    let state = verify(dir.path()).unwrap();
    assert_eq!((state.events, state.fault), (10, None));
    let events = read(dir.path(), &AuditQuery::default()).unwrap();
    assert_eq!(events.len(), 10);
    assert!(events.windows(2).all(|pair| pair[1].before == pair[0].digest));
    assert_eq!(events[9].digest, state.head);
    let of = AuditQuery { on: Some("stack/s3".into()), limit: Some(1), ..AuditQuery::default() };
    assert_eq!(read(dir.path(), &of).unwrap()[0].seq, 9);
}

#[test]
fn whatever_is_changed_is_found() {
    let change = |make: &dyn Fn(&Path, Vec<String>)| {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        make(dir.path(), lines(dir.path()));
        let fault = verify(dir.path()).unwrap().fault.expect("it was changed");
        assert!(matches!(Audit::open(dir.path()), Err(AuditError::Broken(_))), "nothing is added to it");
        fault
    };
    let altered = change(&|dir, mut lines| {
        lines[2] = lines[2].replace("kim", "lee");
        put(dir, &lines);
    });
    assert_eq!(altered, "line 3: it was changed");
    let spaced = change(&|dir, mut lines| {
        lines[2] = lines[2].replace("\"who\":", "\"who\": ");
        put(dir, &lines);
    });
    assert_eq!(spaced, "line 3: it was changed");
    let without = change(&|dir, mut lines| {
        lines.remove(2);
        put(dir, &lines);
    });
    assert_eq!(without, "line 3: it has number 4, where 3 comes next");
    let swapped = change(&|dir, mut lines| {
        lines.swap(1, 2);
        put(dir, &lines);
    });
    assert!(swapped.starts_with("line 2"), "{swapped}");
    let cut = change(&|dir, lines| put(dir, &lines[..3]));
    assert_eq!(cut, "2 events are gone from its end");
    let headless = change(&|dir, _| fs::remove_file(dir.join("head")).unwrap());
    assert_eq!(headless, "its file `head` is gone");
    let empty = change(&|dir, _| fs::remove_file(dir.join("audit.jsonl")).unwrap());
    assert_eq!(empty, "5 events are gone from its end");
}

#[test]
fn one_that_was_written_anew_after_a_cut_is_found() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    filled(dir.path());
    let mut audit = Audit::open(other.path()).unwrap();
    for _ in 0..6 {
        audit.add(entry("lee", "read", "all")).unwrap();
    }
    fs::copy(other.path().join("audit.jsonl"), dir.path().join("audit.jsonl")).unwrap();
    assert_eq!(verify(dir.path()).unwrap().fault.unwrap(), "event 5 is another one than it was");
}

#[test]
fn half_a_line_that_a_loss_of_power_left_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let whole = fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    fs::write(dir.path().join("audit.jsonl"), format!("{whole}{{\"seq\":6,\"ti")).unwrap();
    assert_eq!(verify(dir.path()).unwrap().fault, None);
    filled(dir.path());
    assert_eq!((verify(dir.path()).unwrap().events, lines(dir.path()).len()), (10, 10));
}

#[test]
fn a_long_text_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let mut audit = Audit::open(dir.path()).unwrap();
    let long = AuditEntry { text: "x".repeat(100_000), ..entry("kim", "exec", "stack/s") };
    let event = audit.add(long).unwrap();
    assert!(event.entry.text.len() < 5_000, "it is cut");
    assert_eq!(verify(dir.path()).unwrap().fault, None);
}
