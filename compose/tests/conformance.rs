//! Agreement with Docker Compose 2.40.3 on public files: which are accepted, and what their canonical form
//! is. The cases lie beside the repository; the list of what differs is kept in `docs/`.
//!
//! `UPDATE=1` writes the list anew; without it, the list must be what is found.

use naru_compose::{Effect, Errors, Loaded, OBJECT_KEYS, Options, SERVICE_KEYS, load_texts};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of accepted documents, how many are accepted here; of rejected ones, how many are rejected; of those
/// accepted by both, how many have an equal canonical form. In thousandths; they only go up.
const ACCEPTED: usize = 1000;
const REJECTED: usize = 885;
/// Of those rejected for something else than a key that it is too old to know, how many are rejected here.
const REJECTED_OF_ITS_AGE: usize = 960;
const EQUAL: usize = 992;

/// The longest that one document may take.
const SLOWEST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });

/// Why a document differs, by a part of its id. A difference without a reason fails the test.
const REASONS: &[(&str, &str)] = &[
    ("compose-with-variables", BESIDE),
    ("pihole-cloudflared-DoH", BESIDE),
    ("fixtures/dotenv/development", BESIDE),
    ("fixtures/nested", BESIDE),
    ("SSHWithKeysValues", SSH),
    ("build-test/ssh", SSH),
    ("PreStart", NEWER_HOOK),
    ("NoCacheFilter", NEWER_FILTER),
    (
        "TestResetCycle__5",
        "one anchor for the services test and test.unit is taken for a circle there; it is none",
    ),
];

const BESIDE: &str = "a .env file lay beside it there, which the cases do not have";
const SSH: &str = "it is read there, and fails only at printing, whose JSON for ssh keys is not JSON";
const NEWER_HOOK: &str = "pre_start is newer than 2.40.3; the specification has it";
const NEWER_FILTER: &str = "no_cache_filter is newer than 2.40.3; the specification has it";

/// Measured by this test and `mutation.rs` in a release build, which hold each file to [`SLOWEST`].
const TIMES: &str = "\
## How long it takes

In a release build, in time on a CPU: the slowest of all documents takes 18 ms (a bomb of aliases); of 3,000 damaged files, \
the slowest takes 2 ms; of nine bombs of our own (aliases, merges, depth, chains, ranges of ports), the slowest takes 70 ms. \
A file may take 100 ms. `fuzz/run compose SECONDS` looks for files that panic, hang, or need more than 1 GiB.
";

struct Case {
    id: String,
    yaml: String,
    accepted: bool,
    canonical: Value,
}

fn cases() -> Option<Vec<Case>> {
    let path = root().parent()?.join("shared/compose-conformance/cases.jsonl");
    let text = std::fs::read_to_string(path).ok()?;
    let parse = |line: &str| {
        let json: Value = serde_json::from_str(line).expect("each line is JSON");
        let text = |key: &str| json[key].as_str().expect("a text").to_string();
        let accepted = json["accepted"].as_bool().expect("a boolean");
        Case { id: text("id"), yaml: text("yaml"), accepted, canonical: json["canonical"].clone() }
    };
    Some(text.lines().map(parse).collect())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_path_buf()
}

const FOLDER: &str = "/conformance/case";

fn load(yaml: &str) -> Result<Loaded, Errors> {
    let path = format!("{FOLDER}/compose.yaml");
    let options = Options {
        files: vec![path.clone().into()],
        project_name: Some("test".into()),
        environment: [("PATH", "/usr/bin"), ("HOME", "/root")].map(|(k, v)| (k.into(), v.into())).into(),
        ..Options::default()
    };
    load_texts(BTreeMap::from([(path, yaml.to_string())]), &options)
}

/// Texts of the canonical form with this run's folder written as the cases have it.
fn with_dir(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.replace(FOLDER, "{DIR}")),
        Value::Array(list) => list.iter().map(with_dir).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), with_dir(value))).collect(),
        other => other.clone(),
    }
}

/// Equality of what is meant: the order of keys does not count, nor does `1.0` against `1`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Where two canonical forms first differ.
fn difference(want: &Value, got: &Value, path: &str) -> String {
    if let (Value::Object(want), Value::Object(got)) = (want, got) {
        let keys = want.keys().chain(got.keys());
        let null = &Value::Null;
        for key in keys {
            let (in_want, in_got) = (want.get(key), got.get(key));
            let differ = in_want.is_some() != in_got.is_some()
                || !same(in_want.unwrap_or(null), in_got.unwrap_or(null));
            if differ {
                let path = format!("{path}.{key}");
                return difference(in_want.unwrap_or(null), in_got.unwrap_or(null), &path);
            }
        }
    }
    let short = |value: &Value| value.to_string().chars().take(120).collect::<String>();
    format!("`{}` is `{}` there and `{}` here", path.trim_start_matches('.'), short(want), short(got))
}

#[derive(Default)]
struct Tally {
    accepted: (usize, usize),
    rejected: (usize, usize),
    /// Rejected there for a key that it is too old to know.
    newer: usize,
    equal: (usize, usize),
    list: Vec<String>,
    unexplained: Vec<String>,
}

impl Tally {
    fn take(&mut self, case: &Case, result: Result<Loaded, Errors>) {
        let first =
            |errors: &Errors| errors.errors.first().map(|error| error.message.clone()).unwrap_or_default();
        match (case.accepted, result) {
            (true, Ok(loaded)) => {
                self.accepted.0 += 1;
                self.equal.1 += 1;
                let (want, got) = (&case.canonical, with_dir(&loaded.canonical));
                match same(want, &got) {
                    true => self.equal.0 += 1,
                    false => self.note(case, &format!("form: {}", difference(want, &got, ""))),
                }
            }
            (true, Err(errors)) => self.note(case, &format!("refused here: {}", first(&errors))),
            (false, Err(_)) => self.rejected.0 += 1,
            (false, Ok(_)) => self.note(case, "accepted here only"),
        }
        match case.accepted {
            true => self.accepted.1 += 1,
            false => self.rejected.1 += 1,
        }
    }

    fn note(&mut self, case: &Case, what: &str) {
        let reason = REASONS.iter().find(|(part, _)| case.id.contains(part)).map(|(_, reason)| *reason);
        if [Some(NEWER_HOOK), Some(NEWER_FILTER)].contains(&reason) {
            self.newer += 1;
        }
        if reason.is_none() {
            self.unexplained.push(case.id.clone());
        }
        self.list.push(format!("- `{}`: {what}. Why: {}", case.id, reason.unwrap_or("unknown")));
    }

    fn rejected_of_its_age(&self) -> (usize, usize) {
        (self.rejected.0, self.rejected.1 - self.newer)
    }

    fn permille((good, all): (usize, usize)) -> usize {
        good * 1000 / all.max(1)
    }
}

/// The CPU time of this thread: a busy machine proves nothing.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn agreement_with_docker_compose() {
    let Some(cases) = cases() else {
        assert!(std::env::var_os("CI").is_none(), "the cases are not beside the repository");
        println!("skipped: ../shared/compose-conformance is not there");
        return;
    };
    let mut tally = Tally::default();
    let mut slowest = (Duration::ZERO, String::new());
    for case in &cases {
        let began = spent();
        let result = load(&case.yaml);
        slowest = slowest.max((spent() - began, case.id.clone()));
        tally.take(case, result);
    }
    assert!(slowest.0 < SLOWEST, "{} took {:?}", slowest.1, slowest.0);
    let text = page(&tally);
    println!("{text}slowest: {} in {:?}", slowest.1, slowest.0);
    assert!(Tally::permille(tally.accepted) >= ACCEPTED);
    assert!(Tally::permille(tally.rejected) >= REJECTED);
    assert!(Tally::permille(tally.rejected_of_its_age()) >= REJECTED_OF_ITS_AGE);
    assert!(Tally::permille(tally.equal) >= EQUAL);
    assert!(tally.unexplained.is_empty(), "without a reason: {:?}", tally.unexplained);
    let path = root().join("docs/compose-conformance.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "docs/compose-conformance.md is not what is found: run this test with UPDATE=1");
}

fn page(tally: &Tally) -> String {
    let mut out = String::new();
    let mut row = |what: &str, (good, all): (usize, usize)| {
        let permille = Tally::permille((good, all));
        let _ = writeln!(out, "| {what} | {good} of {all} | {}.{} % |", permille / 10, permille % 10);
    };
    row("accepted by both, of those that Docker Compose accepts", tally.accepted);
    row("rejected by both, of those that it rejects", tally.rejected);
    row("the same, without those that use a key newer than it", tally.rejected_of_its_age());
    row("equal canonical form, of those accepted by both", tally.equal);
    format!(
        "# Agreement with Docker Compose 2.40.3\n\nOn public documents; written by the test \
         `compose/tests/conformance.rs`.\n\n| | count | share |\n| --- | --- | --- |\n{out}\n{TIMES}\n## What differs\n\n{}\n\n{}",
        tally.list.join("\n"),
        keys()
    )
}

/// What becomes of each key, by the table that files are warned by.
fn keys() -> String {
    let mut out = String::from(
        "## Which key is honoured where\n\nA service is a process of the host (`x-naru.process`) or a container. *No \
         effect* and *not yet* are accepted, with a warning; with `--strict` they are errors. *Aside* is about the \
         container that the process takes the place of, and is passed over.\n\n| key of a service | process | container |\n\
         | --- | --- | --- |\n",
    );
    let word = |effect| match effect {
        Effect::Honoured => "honoured",
        Effect::Aside => "aside",
        Effect::NoEffect => "no effect",
        Effect::NotYet => "not yet",
    };
    for key in SERVICE_KEYS {
        let _ = writeln!(out, "| `{}` | {} | {} |", key.path, word(key.process), word(key.container));
    }
    out += "\nOf top-level objects, these keys are accepted with a warning:\n\n";
    for (kind, keys) in OBJECT_KEYS {
        let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let _ = writeln!(out, "- `{kind}`: {}", keys.join(", "));
    }
    out += "\nTop-level `models` are accepted with a warning. `jobs` (the specification's pull request 642, newer than 2.40.3) are run: \
            of their keys, `triggers` and those of a service that are honoured there; `expose`, `healthcheck`, `ports` and a \
            dependency on another job have no effect yet. Of a service's `networks`, `interface_name` is not yet honoured.\n";
    out
}
