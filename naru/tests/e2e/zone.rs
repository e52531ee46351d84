//! The zone of a machine: told to its background processes by their environment, and known to agent, table and edge.

use std::path::Path;
use std::process::{Command, Output};

fn naru(folder: &Path, zone: &str, args: &[&str]) -> Output {
    let mut command = Command::new(crate::naru());
    command.args(args).current_dir(folder).env("NARU_HOME", folder.join("home")).env("NARU_ZONE", zone);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn play(folder: &Path) {
    said(&naru(folder, "east-1", &["up"]));
    // What the command itself is told does not count: the processes have theirs.
    let table: serde_json::Value =
        serde_json::from_str(&said(&naru(folder, "west", &["routes", "--json"]))).unwrap();
    let listeners = table["listeners"].as_array().unwrap();
    let zones: Vec<_> = listeners.iter().map(|one| &one["splits"][0]["backends"][0]["zone"]).collect();
    assert!(!zones.is_empty() && zones.iter().all(|zone| *zone == "east-1"), "{zones:?}");
    let published = listeners.iter().find(|one| !one["name"].to_string().contains("@internal")).unwrap();
    let url = format!("http://{}/read", published["address"].as_str().unwrap());
    let explained = said(&naru(folder, "", &["routes", "explain", "GET", &url]));
    assert!(explained.contains("those of the edge's zone first"), "{explained}");
}

#[test]
fn a_machine_is_in_the_zone_that_its_processes_were_told() {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let exe = crate::naru().display();
    let file = format!(
        "name: zoned\nservices:\n  web:\n    image: x\n    \
         ports: [{{ target: 80, host_ip: 127.0.0.1, app_protocol: http }}]\n    x-naru:\n      \
         process: {{ command: [\"{exe}\", demo-tier, \"1\"] }}\n      traffic: {{ zone: own }}\n"
    );
    std::fs::write(folder.path().join("compose.yaml"), file).unwrap();
    let wrong = naru(folder.path(), "far away", &["up"]);
    let played = std::panic::catch_unwind(|| play(folder.path()));
    let ended = ["down", "shutdown"].map(|verb| naru(folder.path(), "", &[verb]));
    if let Err(failed) = played {
        std::panic::resume_unwind(failed);
    }
    assert!(ended.iter().all(|output| output.status.success()), "what was started is ended: {ended:?}");
    let told = String::from_utf8_lossy(&wrong.stderr);
    assert!(!wrong.status.success() && told.contains("NARU_ZONE is no name for a zone"), "{told}");
}
