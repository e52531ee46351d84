//! Jobs of the file, in a real server: each second and by hand, as a process and as a container; the server killed and a
//! release deployed in the middle of a run. What ran is counted by files that runs write themselves.

use crate::engine::{Engine, IMAGE, Kind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Each run writes a line when it begins and one when it ends. The long one ends when the test says so.
const FILE: &str = r#"
name: shop
services:
  idle:
    x-naru: { process: { command: [sleep, "100000"] } }
jobs:
  tick:
    x-naru: { process: { command: [sh, -c, "echo VERSION $$NARU_INSTANCE >> ticks"] } }
    triggers: { schedule: ["* * * * * *"] }
  long:
    x-naru:
      process: { command: [sh, -c, "echo begun VERSION >> long; until [ -e go ]; do sleep 0.1; done; echo ended VERSION >> long"] }
  bad:
    x-naru: { process: { command: [sh, -c, "echo it is bad; exit 3"] }, retries: 1, backoff: 100ms }
"#;

struct Stack {
    folder: tempfile::TempDir,
    engine: Option<Engine>,
}

impl Stack {
    fn new(engine: Option<Engine>) -> Stack {
        Stack { folder: tempfile::tempdir().unwrap(), engine }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn naru(&self, args: &[&str]) -> Output {
        let mut command = Command::new(crate::naru());
        command.args(args).current_dir(self.path()).env("NARU_HOME", self.path().join("home"));
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", format!("unix://{}", engine.socket().display()));
        }
        command.output().unwrap()
    }

    fn said(&self, args: &[&str]) -> String {
        let output = self.naru(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "naru {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn up(&self, file: &str, version: &str) {
        let file = file.replace("VERSION", version).replace("IMAGE", IMAGE);
        std::fs::write(self.path().join("compose.yaml"), file).unwrap();
        self.said(&["up"]);
    }

    fn runs(&self, job: &str) -> Vec<Value> {
        let runs: Value = serde_json::from_str(&self.said(&["job", "runs", job, "--json"])).unwrap();
        runs.as_array().unwrap().clone()
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(Instant::now() < deadline, "{what}: {}", self.said(&["job", "runs"]));
            pause(Duration::from_millis(100));
        }
    }

    /// Kills a role with SIGKILL; the keeper starts it again.
    fn kill(&self, role: &str) {
        let pid = std::fs::read_to_string(self.path().join(format!("home/{role}.lock"))).unwrap();
        let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a number");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.naru(&["shutdown", "--cut", "--yes"]);
    }
}

#[test]
fn processes_run_each_second_and_by_hand_through_a_deploy_and_a_killed_server() {
    let _turn = crate::TURN.blocking_lock();
    let stack = Stack::new(None);
    stack.up(FILE, "1");
    stack.until("the job ticks", || (stack.lines("ticks").len() >= 3).then_some(()));
    stack.said(&["job", "run", "long", "--detach"]);
    stack.until("the long run has begun", || (stack.lines("long") == ["begun 1"]).then_some(()));
    let twice = stack.naru(&["job", "run", "long"]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("run 1 of `long` has not ended"), "{twice:?}");
    // A deploy in the middle of it, and the death of the server.
    stack.up(FILE, "2");
    stack.kill("server");
    stack.until("the job ticks by the new release", || {
        stack.lines("ticks").iter().any(|line| line.starts_with("2 ")).then_some(())
    });
    assert_eq!(stack.lines("long"), ["begun 1"], "the run goes on");
    let work = stack.said(&["work"]);
    assert!(work.contains("long"), "{work}");
    std::fs::write(stack.path().join("go"), "").unwrap();
    let ended = stack.until("the long run has ended", || {
        stack.runs("long").into_iter().find(|run| !run["ended"].is_null())
    });
    assert_eq!((&ended["state"], &ended["release"]), (&"succeeded".into(), &1.into()), "{ended}");
    assert_eq!(stack.lines("long"), ["begun 1", "ended 1"]);
    stack.said(&["job", "run", "long"]);
    assert_eq!(stack.lines("long")[2..], ["begun 2", "ended 2"]);
    a_bad_one_is_tried_again_and_told(&stack);
    each_second_is_accounted_for_once(&stack);
}

fn a_bad_one_is_tried_again_and_told(stack: &Stack) {
    let bad = stack.naru(&["job", "run", "bad"]);
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    let said = String::from_utf8_lossy(&bad.stderr).into_owned();
    assert!(said.contains("in 2 tries: exited with status 3"), "{said}");
    assert!(stack.said(&["job", "logs", "bad"]).matches("it is bad").count() == 2);
    let history = stack.said(&["history"]);
    assert!(history.contains("incident"), "{history}");
}

/// Each run wrote one line, no two of them are for one time, and run, held back and missed are all that came.
fn each_second_is_accounted_for_once(stack: &Stack) {
    stack.said(&["down", "--cut", "--yes"]);
    let runs = stack.runs("tick");
    let due =
        |run: &Value| run["cause"]["schedule"]["due"].as_u64().or(run["cause"]["catch-up"]["due"].as_u64());
    let times: BTreeSet<u64> = runs.iter().filter_map(due).collect();
    assert_eq!(times.len(), runs.len(), "no time twice: {runs:?}");
    let wrote: BTreeSet<String> = stack.lines("ticks").into_iter().collect();
    assert_eq!(wrote.len(), stack.lines("ticks").len(), "no run wrote twice");
    for run in runs.iter().filter(|run| run["state"] == "succeeded") {
        let instance = run["tries"][0]["instance"].as_str().unwrap();
        assert!(wrote.iter().any(|line| line.ends_with(&format!(" {instance}"))), "{run}");
    }
}

/// The run ends when the test says so, by a file in a folder that both see.
const CONTAINERS: &str = r#"
name: shop
services:
  beside:
    image: IMAGE
    command: [sleep, "100000"]
    stop_grace_period: 1s
jobs:
  long:
    image: IMAGE
    command: [sh, -c, "echo begun VERSION >> /out/long; until [ -e /out/go ]; do sleep 0.1; done; echo ended VERSION >> /out/long"]
    volumes: ["./out:/out"]
    depends_on: [beside]
"#;

#[test]
fn a_container_runs_to_its_end_through_a_deploy_a_killed_server_and_down() {
    let _turn = crate::TURN.blocking_lock();
    let Some(engine) = Engine::start(Kind::Docker) else { return };
    let stack = Stack::new(Some(engine));
    std::fs::create_dir(stack.path().join("out")).unwrap();
    stack.up(CONTAINERS, "1");
    stack.said(&["job", "run", "long", "--detach"]);
    stack.until("the run has begun", || (stack.lines("out/long") == ["begun 1"]).then_some(()));
    stack.up(CONTAINERS, "2");
    stack.kill("server");
    stack.until("the server is back", || stack.naru(&["job", "ls"]).status.success().then_some(()));
    stack.said(&["down", "--detach"]);
    pause(Duration::from_millis(500));
    assert_eq!(stack.lines("out/long"), ["begun 1"], "down waits for it");
    std::fs::write(stack.path().join("out/go"), "").unwrap();
    let engine = stack.engine.as_ref().unwrap();
    stack.until("nothing is left", || engine.containers("naru.instance").is_empty().then_some(()));
    assert_eq!(stack.lines("out/long"), ["begun 1", "ended 1"]);
    let run = &stack.runs("long")[0];
    assert_eq!((&run["state"], &run["release"]), (&"succeeded".into(), &1.into()), "{run}");
}

fn pause(time: Duration) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(time);
    drop(sender);
}
