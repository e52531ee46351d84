//! People and scripts that reach into instances: commands beside a container and beside a host process, through the server.

use crate::containers::{Stack, stack};
use crate::engine::{IMAGE, Kind};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Output, Stdio};

/// A container, and a host process.
const FILE: &str = r#"
name: shop
services:
  web:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
  beside:
    image: none
    x-naru: { process: { command: [sleep, "100000"] } }
"#;

fn up() -> Option<Stack> {
    let stack = stack(Kind::Docker)?;
    std::fs::write(stack.folder.path().join("compose.yaml"), FILE.replace("IMAGE", IMAGE)).unwrap();
    stack.said(&["up"]);
    Some(stack)
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

/// On a terminal of 91 by 33 characters.
fn on_terminal(stack: &Stack, line: &str) -> String {
    let line = format!("stty cols 91 rows 33; {} {line}", crate::naru().display());
    let mut command = stack.command("script".as_ref());
    let output = command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn jobs(stack: &Stack) -> Vec<String> {
    let all = stack.json(&["work", "--json"]);
    let names = all.as_array().unwrap().iter().filter_map(|one| one["job"][1].as_str());
    names.map(str::to_owned).collect()
}

#[test]
fn a_command_runs_beside_a_container_and_beside_a_process() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stack) = up() else { return };
    for service in ["web", "beside"] {
        all_of_it_comes_through(&stack, service);
        a_terminal_is_one_there_too(&stack, service);
        whoever_goes_away_leaves_nothing(&stack, service);
        files_go_there_and_back(&stack, service);
        nothing_that_is_not_there_is_run(&stack, service);
    }
    it_is_written_down(&stack);
    what_both_use_is_told(&stack);
    an_instance_waits_for_it(&stack);
}

fn all_of_it_comes_through(stack: &Stack, service: &str) {
    let script = "echo $NARU_SERVICE $SECRET; wc -c; echo oops >&2; exit 3";
    let input = vec![b'x'; 1 << 20];
    let args = ["exec", "-T", "-e", "SECRET=hush", service, "sh", "-c", script];
    let output = fed(stack, &args, &input);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{service} hush\n{}\n", 1 << 20));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "oops\n");
    let much = fed(stack, &["exec", "-T", service, "sh", "-c", "head -c 3000000 /dev/zero"], b"");
    assert_eq!(much.stdout.len(), 3_000_000);
}

fn a_terminal_is_one_there_too(stack: &Stack, service: &str) {
    // A container's terminal is told its size a moment after it began.
    let size = "until stty size | grep 33.91; do sleep 0.1; done";
    let seen = on_terminal(stack, &format!("exec {service} sh -c 'test -t 0 && {size}'"));
    assert!(seen.contains("33 91"), "{service}: {seen:?}");
}

fn files_go_there_and_back(stack: &Stack, service: &str) {
    let path = |name: &str| stack.folder.path().join(name);
    let (tree, back) = (path(&format!("tree-{service}")), path(&format!("back-{service}")));
    std::fs::create_dir_all(tree.join("inner")).unwrap();
    std::fs::write(tree.join("inner/big"), vec![5; 3 << 20]).unwrap();
    std::os::unix::fs::symlink("inner/big", tree.join("link")).unwrap();
    let there = tempfile::tempdir().unwrap();
    // A container has no such folder yet; a process shares it with this test.
    let there = if service == "web" { "/www".into() } else { there.path().display().to_string() };
    let tree = tree.file_name().unwrap().to_str().unwrap();
    stack.said(&["cp", tree, &format!("{service}:{there}")]);
    let back = back.file_name().unwrap().to_str().unwrap();
    stack.said(&["cp", &format!("{service}:{there}/{tree}"), back]);
    assert_eq!(std::fs::read(path(back).join("inner/big")).unwrap(), vec![5; 3 << 20]);
    assert_eq!(std::fs::read_link(path(back).join("link")).unwrap(), std::path::Path::new("inner/big"));
    stack.said(&["cp", &format!("{back}/inner/big"), &format!("{service}:{there}/renamed")]);
    let count = fed(stack, &["exec", "-T", service, "sh", "-c", &format!("wc -c < {there}/renamed")], b"");
    assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), (3 << 20).to_string());
    let missing = stack.naru(&["cp", &format!("{service}:/no/such/file"), "."]);
    assert!(!missing.status.success(), "{missing:?}");
}

fn whoever_goes_away_leaves_nothing(stack: &Stack, service: &str) {
    let mut child = begin(stack, &["exec", "-T", service, "sh", "-c", "echo up; exec sleep 98765"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    assert_eq!(jobs(stack), ["exec sh -c echo up; exec sleep 98765 (root)"]);
    child.kill().unwrap();
    child.wait().unwrap();
    stack.until("nothing of it is left", || jobs(stack).is_empty().then_some(()));
    let left = std::process::Command::new("pgrep").args(["-f", "sleep 98765"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
}

fn nothing_that_is_not_there_is_run(stack: &Stack, service: &str) {
    let missing = fed(stack, &["exec", "-T", service, "no-such-program"], b"");
    // An engine has its own number for it.
    assert!(matches!(missing.status.code(), Some(126 | 127)), "{service}: {missing:?}");
    let nobody = fed(stack, &["exec", "-T", "--index", "7", service, "true"], b"");
    assert_eq!(nobody.status.code(), Some(125), "{nobody:?}");
}

/// Who, where and what; never a variable's value.
fn it_is_written_down(stack: &Stack) {
    let log = stack.said(&["events", "--json"]);
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["kind"].as_str()).collect();
    for kind in ["operation-began", "instance-ready", "operation-serves"] {
        assert!(kinds.contains(&kind), "{kind}: {log}");
    }
    let first = events.iter().find(|event| event["kind"] == "exec").unwrap();
    assert_eq!((&first["actor"], &first["service"]), (&"root".into(), &"web".into()));
    assert!(first["text"].as_str().unwrap().starts_with("sh -c echo $NARU_SERVICE"), "{first}");
    assert!(!log.contains("hush"));
}

fn what_both_use_is_told(stack: &Stack) {
    let all = stack.json(&["stats", "--json"]);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 2, "{all:?}");
    for one in all {
        assert!(one["memory"].as_u64().unwrap() > 0 && one["tasks"].as_u64().unwrap() > 0, "{one}");
        assert!(one["cpu_percent"].as_f64().unwrap() >= 0.0, "{one}");
    }
    let table = stack.said(&["stats", "--no-stream", "web"]);
    assert!(table.contains("shop.web.1.") && !table.contains("shop.beside"), "{table}");
}

/// A command is work like any other: its instance retires when it has ended.
fn an_instance_waits_for_it(stack: &Stack) {
    let mut child =
        begin(stack, &["exec", "-T", "beside", "sh", "-c", "echo up; read word; echo \"<$word>\""]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    stack.said(&["restart", "beside"]);
    stack.until("the old one waits", || {
        let all = stack.json(&["ps", "--json"]);
        let waits = |one: &Value| one["waits_for"].as_str().is_some_and(|words| words.contains("1 job"));
        all.as_array().unwrap().iter().any(waits).then_some(())
    });
    child.stdin.take().unwrap().write_all(b"word\n").unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "<word>\n");
    assert!(child.wait().unwrap().success());
    stack.until("it has gone", || {
        let all = stack.json(&["ps", "--json", "beside"]);
        (all.as_array().unwrap().len() == 1).then_some(())
    });
}
