//! The API against its own document, by a tool that is not ours: Schemathesis reads the OpenAPI document and asks every
//! route what comes to its mind, as a user with few rights. No answer is a fault of the server's or outside the document.

use crate::containers::{free_port, pause};
use crate::moto::python;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

const PACKAGES: [&str; 2] = ["schemathesis==4.32.5", "hypothesis==6.170.17"];

/// Something of each kind to be shown: a route, a job that ran, hours, contents, an order of start.
const FILE: &str = r#"
name: shop
services:
  api:
    image: none
    ports: [{ target: 80, host_ip: 127.0.0.1, app_protocol: http }]
    depends_on: [db]
    deploy: { replicas: 2, update_config: { monitor: 0s } }
    x-naru:
      process: { command: ["NARU", demo-tier, "VERSION"] }
      health: { http: /healthz }
      power: { off: "Sun 03:00-04:00", timezone: Asia/Seoul, holidays: ["2026-12-25"], idle_after: 10h, wake: [request, person] }
  db:
    image: none
    x-naru: { process: { command: [sleep, "100000"] } }
jobs:
  tick:
    x-naru: { process: { command: ["true"] } }
    triggers: { schedule: ["0 3 * * *"] }
"#;

/// What the body of such a route may be goes on for ever, and so does listing all that it may not be.
const DEEP: [&str; 5] = [
    "/v1/demands",
    "/v1/plan",
    "/v1/images",
    "/v1/nodes/{node}/agent-report",
    "/v1/nodes/{node}/edge-report",
];

struct Place {
    folder: tempfile::TempDir,
    server: Child,
    port: u16,
}

impl Drop for Place {
    fn drop(&mut self) {
        for args in [&["down", "--cut", "--yes", "--progress", "quiet"][..], &["shutdown"]] {
            let _ = crate::command(self.folder.path(), args);
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Place {
    fn start() -> Place {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new(crate::naru());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
        command.current_dir(folder.path()).env("NARU_HOME", folder.path().join("home"));
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let place = Place { folder, server, port };
        let deadline = Instant::now() + STARTS_WITHIN;
        while crate::command(place.folder.path(), &["ls"]).is_err() {
            assert!(Instant::now() < deadline, "the server does not start");
            pause(Duration::from_millis(50));
        }
        for version in ["1", "2"] {
            let file = FILE.replace("NARU", &crate::naru().to_string_lossy()).replace("VERSION", version);
            std::fs::write(place.folder.path().join("compose.yaml"), file).unwrap();
            place.naru(&["up", "--progress", "quiet"]);
        }
        place.naru(&["job", "run", "tick"]);
        place
    }

    fn naru(&self, args: &[&str]) -> String {
        crate::command(self.folder.path(), args).unwrap()
    }

    /// Of somebody who sees all, and may do much with a stack that there is not: so each order is read to its end, and refused.
    fn token(&self) -> String {
        self.naru(&["user", "add", "few", "--no-password"]);
        self.naru(&["grant", "add", "user/few", "--role", "viewer", "--on", "all"]);
        let more = ["read-logs", "read-releases"].map(|action| ["--action", action]).concat();
        self.naru(&[&["grant", "add", "user/few", "--on", "all"], &more[..]].concat());
        self.naru(&["grant", "add", "user/few", "--role", "admin", "--on", "stack/elsewhere"]);
        self.naru(&["token", "create", "few", "--for", "1h"]).trim().into()
    }

    fn asked(&self, python: &Path, token: &str, args: &[String]) -> Output {
        let mut command = Command::new(python.join("bin/schemathesis"));
        command.args([
            "--no-color",
            "run",
            "openapi.json",
            "--tls-verify",
            "false",
            "--request-timeout",
            "2",
        ]);
        command.args([
            "--url",
            &format!("https://127.0.0.1:{}", self.port),
            "--seed",
            "1",
            "--continue-on-failure",
        ]);
        command.args([
            "--header",
            &format!("Authorization: Bearer {token}"),
            "--suppress-health-check",
            "all",
        ]);
        command.args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ]);
        command.args(args).current_dir(self.folder.path()).output().unwrap()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn no_answer_is_outside_of_the_document() {
    let _turn = crate::TURN.blocking_lock();
    let Some(python) = python::installed("no_answer_is_outside_of_the_document", &PACKAGES) else { return };
    let place = Place::start();
    let token = place.token();
    let document = naru_api::openapi().to_json().unwrap();
    std::fs::write(place.folder.path().join("openapi.json"), &document).unwrap();
    // What follows for ever is not waited for.
    std::fs::write(place.folder.path().join("schemathesis.toml"), "[parameters]\n\"query.follow\" = false\n")
        .unwrap();
    let without = |paths: &[&str]| {
        paths.iter().flat_map(|path| ["--exclude-path".into(), (*path).into()]).collect::<Vec<_>>()
    };
    // What follows for ever is asked a few times: each answer takes until nobody waits for more of it.
    let endless = ["/v1/watch"];
    let all = [words("--phases fuzzing --max-examples 30"), without(&endless)].concat();
    let edges = [words("--phases coverage --max-examples 30"), without(&DEEP), without(&endless)].concat();
    let streams = words("--phases fuzzing --max-examples 3 --include-path /v1/watch");
    for args in [all, edges, streams] {
        let output = place.asked(&python, &token, &args);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{args:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        let count = |what: &str| {
            said.split(what).nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
        };
        let selected = count("Selected: ").unwrap();
        assert_eq!(count("Tested: "), selected.split('/').next().map(str::to_owned), "{said}");
    }
}
