//! That a receipt that is not true is found out.

use super::{Books, Operation, Time, disagreements};
use serde_json::json;

const BEGAN: u64 = 100_000;

/// Five requests and a job by `a`, three of the requests and the job after the operation began; the engine
/// answered two.
fn books() -> Books {
    let mut books = Books::default();
    let at = |ms: &[u64]| ms.iter().map(|ms| Time(*ms)).collect::<Vec<_>>();
    books.requests.insert("a".into(), at(&[50_000, 60_000, 110_000, 120_000, 130_000]));
    books.engine.insert("e".into(), at(&[50_000, 60_000]));
    books.begun.insert("job".into(), "a".into());
    books.done.insert("job".into(), Time(140_000));
    books
}

fn line(service: &str, during: [u64; 2], lifetime: [u64; 2]) -> serde_json::Value {
    let counts = |of: [u64; 2]| json!({ "requests": of[0], "jobs": of[1] });
    let found = json!({ "requests": 0, "streams": 0, "jobs": 0 });
    json!({
        "service": service, "release": 1, "retired": BEGAN, "unrouted": null, "quiet": null, "found": found,
        "idle": null, "exited": null, "waited": 0, "alarmed": null, "jobs": [],
        "during": counts(during), "lifetime": counts(lifetime),
    })
}

fn operation(kind: &str, instances: serde_json::Value) -> Operation {
    serde_json::from_value(json!({
        "id": 2, "stack": "demo", "kind": kind, "actor": "me", "message": null, "began": BEGAN, "phase": "done",
        "outcome": "succeeded", "cut_over": null, "ended": null, "release": 2, "before": null, "back": null,
        "ending": "finish", "promoted": null, "services": {}, "log": [],
        "receipt": { "baseline": {}, "instances": instances, "unknown": [] },
    }))
    .unwrap()
}

fn said(operations: &[Operation]) -> Vec<String> {
    disagreements(&books(), operations, "api", "engine")
}

#[test]
fn true_receipts_agree() {
    let all = json!({ "a": line("api", [3, 1], [5, 1]), "e": line("engine", [0, 0], [2, 0]) });
    assert_eq!(said(&[operation("deploy", all)]), [""; 0]);
}

#[test]
fn each_wrong_number_is_told() {
    let all = json!({ "a": line("api", [5, 1], [6, 0]), "e": line("engine", [0, 0], [2, 0]) });
    let wrong = [
        "a: in its life, the receipt says 0 jobs, the books 1",
        "a: in its life, the receipt says 6 requests, the books 5",
        "a: since the operation began, the receipt says 5 requests, the books 3 to 3",
    ];
    assert_eq!(said(&[operation("deploy", all)]), wrong);
}

#[test]
fn what_is_on_two_receipts_or_on_none_is_told() {
    let all = json!({ "a": line("api", [3, 1], [5, 1]) });
    let twice = [operation("deploy", all.clone()), operation("down", all.clone())];
    assert_eq!(said(&twice), ["a is on two receipts", "e is on no receipt"]);
    // What an incident tells beside is no second time.
    assert_eq!(said(&[operation("deploy", all.clone()), operation("incident", all)]), ["e is on no receipt"]);
}
