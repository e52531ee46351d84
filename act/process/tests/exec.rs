//! Commands beside a running instance.

mod bench;

use bench::{bench, gone, id, sh};
use naru_model::Exit;
use naru_process::{Error, ExecEnd};
use std::time::{Duration, Instant};

fn words(script: &str) -> Vec<String> {
    ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_command_sees_the_instances_surroundings() {
    let bench = bench().await;
    let home = tempfile::tempdir().unwrap();
    let mut launch = sh("exec sleep 1000");
    launch.environment.insert("PORT".into(), "8080".into());
    launch.working_dir = home.path().canonicalize().unwrap();
    let started = bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    let group = std::fs::read_to_string(format!("/proc/{}/cgroup", started.pid)).unwrap();
    let script = "echo $PORT; pwd; echo oops >&2; cat /proc/self/cgroup; exit 3";
    let output = bench.runtime.exec(&id("a"), &words(script), LONG).await.unwrap();
    assert_eq!(output.end, ExecEnd::Exit(Exit::Status(3)));
    assert!(!output.is_success());
    assert_eq!(output.tail, format!("8080\n{}\noops\n{group}", launch.working_dir.display()));
    bench.runtime.kill(&id("a")).await.unwrap();
    let after = bench.runtime.exec(&id("a"), &words("exit 0"), LONG).await;
    assert!(matches!(after, Err(Error::NotRunning(_))), "{after:?}");
}

#[tokio::test]
async fn past_its_time_a_command_is_killed_with_its_children() {
    let bench = bench().await;
    bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    let began = Instant::now();
    let script = "setsid sleep 1000 & echo $!; sleep 1000 & echo $!; wait";
    let output = bench.runtime.exec(&id("a"), &words(script), Duration::from_millis(300)).await.unwrap();
    assert_eq!(output.end, ExecEnd::TimedOut);
    assert!(began.elapsed() >= Duration::from_millis(300));
    for pid in output.tail.lines() {
        assert!(!bench::is_there(pid.parse().unwrap()));
    }
    assert_eq!(output.tail.lines().count(), 2);
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_is_killed_when_it_ends() {
    let bench = bench().await;
    bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    let output = bench.runtime.exec(&id("a"), &words("setsid sleep 1000 & echo $!"), LONG).await.unwrap();
    assert!(output.is_success());
    assert!(!bench::is_there(output.tail.trim().parse().unwrap()));
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn a_command_nobody_awaits_is_killed() {
    let bench = bench().await;
    bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
    let (runtime, argv) = (bench.runtime.clone(), words(&script));
    let task = tokio::spawn(async move { runtime.exec(&id("a"), &argv, LONG).await });
    let written = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(bench::LIMIT, written).await.unwrap();
    let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(bench::is_there(pid));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gone(pid).await;
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn output_is_bounded_and_a_missing_program_is_said() {
    let bench = bench().await;
    bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    let script = "yes | head -c 1000000; echo the end";
    let output = bench.runtime.exec(&id("a"), &words(script), LONG).await.unwrap();
    assert!(output.tail.len() == 4096 && output.tail.ends_with("y\nthe end\n"), "{}", output.tail.len());
    let error = bench.runtime.exec(&id("a"), &["no-such-check".to_owned()], LONG).await.unwrap_err();
    assert!(error.to_string().starts_with("program \"no-such-check\" not found in PATH"), "{error}");
    bench.runtime.kill(&id("a")).await.unwrap();
}
