//! What is seen from outside, against a client's own count: `naru top` and `naru metrics`.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

const REQUESTS: u64 = 50;
const MISSES: u64 = 7;

fn naru(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(crate::naru());
    command.args(args).current_dir(folder).env("NARU_HOME", folder.join("home"));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asks on a connection of its own, and returns the status.
fn ask(address: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The listener that is published, as the route table has it.
fn published(folder: &Path) -> Value {
    let table: Value = serde_json::from_str(&said(&naru(folder, &["routes", "--json"]))).unwrap();
    let listeners = table["listeners"].as_array().unwrap();
    let of_web = listeners.iter().find(|one| one["service"] == "web");
    of_web.expect("the service has an address").clone()
}

/// Counts of answers can come a moment after the answers: the edge counts once it has handed over the last byte.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        match look() {
            Some(seen) => return seen,
            None => assert!(std::time::Instant::now() < patience, "the counts never agree"),
        }
    }
}

fn is_counted(folder: &Path, listener: &Value) {
    let row = until(|| {
        let top: Value = serde_json::from_str(&said(&naru(folder, &["top", "--json"]))).unwrap();
        let rules = top["rules"].as_array().unwrap();
        let row = rules.iter().find(|row| row["listener"] == listener["name"]).expect("the listener").clone();
        assert_eq!(top["instances"][0]["instance"], "seen.web.1.1");
        (row["requests"] == REQUESTS + MISSES).then_some(row)
    });
    assert_eq!((&row["service"], &row["in_progress"], &row["queue"]), (&"web".into(), &0.into(), &0.into()));
    let per_s = |name: &str| row[name].as_f64().unwrap();
    assert!(per_s("errors_4xx_per_s") > 0.0 && per_s("errors_5xx_per_s") == 0.0, "{row}");
    assert!(per_s("p50_ms") > 0.0 && per_s("p50_ms") <= per_s("p99_ms"), "{row}");
    let metrics = said(&naru(folder, &["metrics"]));
    let name = listener["name"].as_str().unwrap();
    for (code, n) in [("2xx", REQUESTS), ("4xx", MISSES), ("5xx", 0)] {
        let labels = format!("listener=\"{name}\",rule=\"\",stack=\"seen\",service=\"web\",code=\"{code}\"");
        let line = format!("\nnaru_requests_total{{{labels}}} {n}\n");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    let table = said(&naru(folder, &["top", "--once", "--instances"]));
    assert!(table.starts_with("INSTANCE") && table.contains("seen.web.1.1"), "{table}");
}

/// Runs the service, and lets look at it.
fn with_web(look: impl FnOnce(&Path, &Value) + std::panic::UnwindSafe) {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let exe = crate::naru().display();
    let file = format!(
        "name: seen\nservices:\n  web:\n    image: x\n    ports: [{{ target: 80, host_ip: 127.0.0.1, app_protocol: http }}]\n    \
         x-naru: {{ process: {{ command: [\"{exe}\", demo-tier, \"1\"] }}, health: {{ http: /healthz }} }}\n"
    );
    std::fs::write(folder.path().join("compose.yaml"), file).unwrap();
    let no_edge = naru(folder.path(), &["top", "--once"]);
    let up = naru(folder.path(), &["up"]);
    let path = folder.path();
    let looked = std::panic::catch_unwind(|| {
        said(&up);
        look(path, &published(path));
    });
    let ended = naru(path, &["down"]).status.success() && naru(path, &["shutdown"]).status.success();
    assert!(ended, "what was started is ended");
    if let Err(failed) = looked {
        std::panic::resume_unwind(failed);
    }
    assert_eq!(no_edge.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&no_edge.stderr).contains("no edge is running"), "{no_edge:?}");
}

#[test]
fn top_and_metrics_count_what_a_client_counts() {
    with_web(|folder, listener| {
        let address = listener["address"].as_str().unwrap();
        assert!((0..REQUESTS).all(|_| ask(address, "/read") == 200));
        assert!((0..MISSES).all(|_| ask(address, "/none") == 404));
        is_counted(folder, listener);
    });
}

/// The sum of a metric's samples.
fn metric(metrics: &str, name: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Edges are replaced while each carries a request: no count goes back, the old ones' connections show, and when the
/// last of them has ended everything that a client counted is there.
#[test]
fn counts_go_on_while_edges_are_replaced() {
    with_web(|folder, listener| {
        let address = listener["address"].as_str().unwrap();
        let counts = || {
            let metrics = said(&naru(folder, &["metrics"]));
            let of = |name| metric(&metrics, name);
            let open = [of("naru_edges_draining"), of("naru_connections"), of("naru_connections_draining")];
            (of("naru_requests_total"), of("naru_connections_accepted_total"), open)
        };
        let mut kept: Vec<TcpStream> = vec![];
        for round in 0..3 {
            assert!((0..10).all(|_| ask(address, "/read") == 200));
            // A request whose head has not ended.
            let mut half = TcpStream::connect(address).unwrap();
            half.write_all(b"GET /read HTTP/1.1\r\nHost: t\r\n").unwrap();
            kept.push(half);
            let wanted = (10 * (round + 1), 11 * (round + 1), [round, round + 1, round]);
            until(|| (counts() == wanted).then_some(()));
            said(&naru(folder, &["upgrade", "--edge"]));
            let (requests, accepted, [draining, open, _]) = counts();
            assert_eq!((requests, accepted, draining, open), (wanted.0, wanted.1, round + 1, round + 1));
        }
        let top: Value = serde_json::from_str(&said(&naru(folder, &["top", "--json"]))).unwrap();
        let draining = top["draining"].as_array().unwrap();
        assert!(draining.len() == 3 && draining.iter().all(|one| one["connections"] == 1), "{draining:?}");
        let table = said(&naru(folder, &["top", "--once"]));
        assert!(table.contains("3 old edges drain: process "), "{table}");
        for mut half in kept {
            half.write_all(b"Connection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            half.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        until(|| (counts() == (33, 33, [0, 0, 0])).then_some(()));
    });
}
