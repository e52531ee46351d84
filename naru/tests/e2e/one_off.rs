//! One-offs of services: in containers and as host processes, through pipes and a terminal, before the first `up`, through a
//! deploy, `down` and a cut, detached, and when whoever ran them is gone.

use crate::containers::{Stack, stack};
use crate::engine::{IMAGE, Kind};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

/// A container and a host process, what both depend on, and a tool that no plain `up` starts.
const FILE: &str = r#"
name: shop
services:
  db:
    image: none
    x-naru: { process: { command: [sleep, "100000"] } }
  web:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    environment: { GREETING: hello, VERSION: "1" }
    expose: ["8080"]
    configs: [{ source: page, target: /www/page }]
    healthcheck: { test: [CMD, "true"], interval: 1s }
    depends_on: [db]
    container_name: NAME
    stop_grace_period: 1s
  beside:
    image: none
    environment: { GREETING: hello, VERSION: "1" }
    x-naru: { process: { command: [sleep, "100000"] } }
    depends_on: [db]
  tool:
    image: IMAGE
    profiles: [tools]
    environment: { VERSION: "1" }
    command: [sh, -c, "echo tool of $$VERSION"]
    depends_on: [db]
configs: { page: { content: "as configured" } }
"#;

const BOTH: [&str; 2] = ["web", "beside"];

fn write(stack: &Stack, version: &str) {
    let file = FILE.replace("IMAGE", IMAGE).replace("\"1\"", &format!("{version:?}"));
    // A name that is this test's alone.
    let name = format!("web-{}", std::process::id());
    std::fs::write(stack.folder.path().join("compose.yaml"), file.replace("NAME", &name)).unwrap();
}

fn begin(stack: &Stack, args: &[&str]) -> Child {
    let mut command = stack.command(crate::naru().as_os_str());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// With this input.
fn fed(stack: &Stack, args: &[&str], input: &[u8]) -> Output {
    let mut child = begin(stack, args);
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ps(stack: &Stack) -> Vec<Value> {
    stack.json(&["ps", "--json"]).as_array().unwrap().clone()
}

fn one_offs(stack: &Stack) -> Vec<Value> {
    ps(stack).into_iter().filter(|one| one["one_off"] == true).collect()
}

#[test]
fn a_command_is_run_once_in_a_container_and_as_a_process() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stack) = stack(Kind::Docker) else { return };
    write(&stack, "1");
    before_the_first_up_it_brings_what_it_needs(&stack);
    stack.said(&["up"]);
    for service in BOTH {
        all_of_it_comes_through(&stack, service);
        a_terminal_is_one_there_too(&stack, service);
        it_is_beside_those_that_serve(&stack, service);
        whoever_goes_away_leaves_nothing(&stack, service);
        what_cannot_be_run_says_so(&stack, service);
        detached_it_goes_on_and_leaves_a_log(&stack, service);
    }
    the_services_own_things_are_there(&stack);
    it_is_written_down(&stack);
    a_cut_lists_it(&stack);
    stack.said(&["up"]);
    neither_a_deploy_nor_down_ends_it(&stack);
}

/// `docker compose run` starts what is depended on, and what has a profile.
fn before_the_first_up_it_brings_what_it_needs(stack: &Stack) {
    let alone = fed(stack, &["run", "-T", "--no-deps", "tool"], b"");
    assert_eq!(text(&alone.stdout), "tool of 1\n", "{}", text(&alone.stderr));
    assert_eq!(ps(stack), Vec::<Value>::new());
    let with = fed(stack, &["run", "-T", "tool", "sh", "-c", "echo mine; exit 9"], b"");
    assert_eq!(
        (text(&with.stdout).as_str(), with.status.code()),
        ("mine\n", Some(9)),
        "{}",
        text(&with.stderr)
    );
    let services: Vec<Value> = ps(stack).iter().map(|one| one["service"].clone()).collect();
    assert_eq!(services, ["db"]);
}

fn all_of_it_comes_through(stack: &Stack, service: &str) {
    let script = "echo $GREETING $MORE $NARU_SERVICE; wc -c; echo oops >&2; exit 3";
    let args = ["run", "-T", "--rm", "-e", "MORE=hush", service, "sh", "-c", script];
    let output = fed(stack, &args, &vec![b'x'; 1 << 20]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(text(&output.stdout), format!("hello hush {service}\n{}\n", 1 << 20));
    assert_eq!(text(&output.stderr), "oops\n");
    assert_eq!(text(&fed(stack, &["run", "-T", service, "cat"], b"x\n").stdout), "x\n");
    let much = fed(stack, &["run", "-T", "--rm", service, "sh", "-c", "head -c 3000000 /dev/zero"], b"");
    assert_eq!(much.stdout.len(), 3_000_000);
    let elsewhere =
        fed(stack, &["run", "-T", "-w", "/tmp", "-u", "1:1", service, "sh", "-c", "pwd; id -u"], b"");
    assert_eq!(text(&elsewhere.stdout), "/tmp\n1\n", "{elsewhere:?}");
}

/// On a terminal of 91 by 33 characters.
fn a_terminal_is_one_there_too(stack: &Stack, service: &str) {
    let size = "until stty size | grep 33.91; do sleep 0.1; done";
    let line = format!(
        "stty cols 91 rows 33; {} run {service} sh -c 'test -t 0 && {size}'",
        crate::naru().display()
    );
    let mut command = stack.command("script".as_ref());
    let output = command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    assert!(text(&output.stdout).contains("33 91"), "{service}: {output:?}");
}

/// A run that says a line and then waits for a word.
struct Waiting {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Waiting {
    fn begin(stack: &Stack, service: &str) -> Waiting {
        let script = "echo up $VERSION; read word; echo \"<$word>\"";
        let mut child = begin(stack, &["run", "-T", service, "sh", "-c", script]);
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut waiting = Waiting { child, stdin, stdout };
        let mut line = String::new();
        waiting.stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("up "), "{line:?}: {}", waiting.errors());
        waiting
    }

    fn errors(&mut self) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    fn ends_well(mut self) {
        self.stdin.write_all(b"word\n").unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "<word>\n");
        assert!(self.child.wait().unwrap().success());
    }
}

fn it_is_beside_those_that_serve(stack: &Stack, service: &str) {
    let waiting = Waiting::begin(stack, service);
    let seen = one_offs(stack);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0]["service"], &seen[0]["duty"]), (&service.into(), &"warming".into()));
    let table = stack.said(&["ps"]);
    assert!(table.contains(&format!("{service} (one-off ")), "{table}");
    let work = stack.said(&["work"]);
    assert!(work.contains(&format!("one-off of {service}")), "{work}");
    // A command beside the service is run beside those that serve.
    let beside = text(&fed(stack, &["exec", "-T", service, "sh", "-c", "echo $NARU_INSTANCE"], b"").stdout);
    assert_ne!(Value::from(beside.trim()), seen[0]["id"]);
    let ls = stack.json(&["ls", "--json"]);
    let of = ls[0]["services"].as_array().unwrap().iter().find(|one| one["name"] == service).unwrap();
    assert_eq!((&of["wanted"], &of["ready"]), (&1.into(), &1.into()), "{of}");
    waiting.ends_well();
    stack.until("it has gone", || one_offs(stack).is_empty().then_some(()));
}

fn whoever_goes_away_leaves_nothing(stack: &Stack, service: &str) {
    let mut child = begin(stack, &["run", "-T", service, "sh", "-c", "echo up; exec sleep 87654"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    child.kill().unwrap();
    child.wait().unwrap();
    stack.until("nothing of it is left", || one_offs(stack).is_empty().then_some(()));
    let left = std::process::Command::new("pgrep").args(["-f", "sleep 87654"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
}

fn what_cannot_be_run_says_so(stack: &Stack, service: &str) {
    let missing = fed(stack, &["run", "-T", service, "no-such-program"], b"");
    assert_eq!(missing.status.code(), Some(127), "{service}: {missing:?}");
    let nobody = fed(stack, &["run", "-T", "nobody", "true"], b"");
    assert!(!nobody.status.success() && text(&nobody.stderr).contains("no service `nobody`"), "{nobody:?}");
}

fn detached_it_goes_on_and_leaves_a_log(stack: &Stack, service: &str) {
    let run = |rest: &[&str]| {
        let args = [&["run", "-d"], rest, &[service, "sh", "-c", "echo from afar; exit 4"]].concat();
        let id = stack.said(&args).trim().to_owned();
        stack.until("it has ended", || {
            let runs = stack.json(&["job", "runs", service, "--json"]);
            let mine = |run: &&Value| run["tries"][0]["instance"] == id.as_str();
            let run = runs.as_array().unwrap().iter().find(mine).cloned().unwrap();
            (!run["ended"].is_null()).then_some(run)
        })
    };
    let kept = run(&[]);
    assert_eq!(kept["state"], "failed", "{kept}");
    let log = || stack.naru(&["job", "logs", service, &kept["number"].to_string()]);
    stack.until("its log is whole", || text(&log().stdout).contains("from afar").then_some(()));
    let gone = run(&["--rm"]);
    let id = gone["tries"][0]["instance"].as_str().unwrap();
    let folder = stack.folder.path().join("home/instances").join(id);
    stack.until("its log is gone", || (!folder.exists()).then_some(()));
    let history = stack.said(&["history"]);
    assert!(!history.contains("incident"), "what a person ran that failed is none: {history}");
}

fn the_services_own_things_are_there(stack: &Stack) {
    let page = fed(stack, &["run", "-T", "web", "cat", "/www/page"], b"");
    assert_eq!(text(&page.stdout), "as configured");
    let entry = fed(stack, &["run", "-T", "--entrypoint", "echo 'two words'", "web", "more"], b"");
    assert_eq!(text(&entry.stdout), "two words more\n", "{entry:?}");
    let process = fed(stack, &["run", "-T", "--entrypoint", "echo", "beside"], b"");
    assert_eq!(process.status.code(), Some(125), "{process:?}");
    let literal = fed(stack, &["run", "-T", "beside", "echo", "$HOME"], b"");
    assert_eq!(text(&literal.stdout), "$HOME\n", "a person's shell has replaced what was to be replaced");
}

/// Who, of which service, and what; never a variable's value.
fn it_is_written_down(stack: &Stack) {
    let log = stack.said(&["events", "--json"]);
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = events.iter().find(|event| event["kind"] == "run").unwrap();
    assert_eq!((&first["actor"], &first["service"]), (&"root".into(), &"tool".into()));
    assert!(first["text"].as_str().unwrap().ends_with(": its own command"), "{first}");
    assert!(!log.contains("hush") && !stack.said(&["job", "runs", "--json"]).contains("hush"));
}

fn a_cut_lists_it(stack: &Stack) {
    let mut both: Vec<Waiting> = BOTH.iter().map(|service| Waiting::begin(stack, service)).collect();
    stack.said(&["down", "--cut", "--yes"]);
    for waiting in &mut both {
        assert!(!waiting.child.wait().unwrap().success());
    }
    let receipt = stack.said(&["receipt"]);
    for service in BOTH {
        assert!(receipt.contains("one-off") && receipt.contains(&format!(" of {service}")), "{receipt}");
    }
}

fn neither_a_deploy_nor_down_ends_it(stack: &Stack) {
    let both: Vec<Waiting> = BOTH.iter().map(|service| Waiting::begin(stack, service)).collect();
    write(stack, "2");
    stack.said(&["up", "--wait=done"]);
    assert_eq!(one_offs(stack).len(), 2);
    let version = fed(stack, &["run", "-T", "web", "sh", "-c", "echo $VERSION"], b"");
    assert_eq!(text(&version.stdout), "2\n");
    stack.said(&["down", "--detach"]);
    stack.until("they alone are left, and what they depend on", || {
        let mut left: Vec<String> = ps(stack).iter().map(|one| one["service"].to_string()).collect();
        left.sort();
        (left == ["\"beside\"", "\"db\"", "\"web\""]).then_some(())
    });
    both.into_iter().for_each(Waiting::ends_well);
    stack.until("all is down", || ps(stack).is_empty().then_some(()));
}
