//! Agents that die, shims that die, machines that restart: what a new agent finds.

mod bench;

use bench::{Bench, Steps, bench, bench_in, gone, id, is_there, kill9, sh};
use naru_model::Exit;
use naru_process::{AdoptedState, RunNo, Signal, StartError};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An agent in a process of its own.
fn agent(dir: &Path, script: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_naru-shim-test"));
    command.arg("agent").arg(dir).args(["a", script]).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// An agent that has started `script`, and was killed; with the instance's pid.
fn dead_agent(dir: &Path, script: &str) -> i32 {
    let mut agent = agent(dir, script);
    let mut line = String::new();
    BufReader::new(agent.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    line.trim().strip_prefix("started ").expect("it started").parse().unwrap()
}

fn state_file(bench: &Bench) -> std::path::PathBuf {
    bench.dir.join("a/state")
}

#[tokio::test]
async fn a_killed_agents_instance_is_adopted_and_its_exit_seen() {
    let home = tempfile::tempdir().unwrap();
    let (dir, steps) = (home.path().join("i"), Steps::new(home.path(), "steps"));
    let pid = dead_agent(&dir, &format!("echo before; read x < {}; echo after; exit 5", steps.path));
    let mut bench = bench_in(&dir).await;
    let [adopted] = bench.adopted.as_slice() else { panic!("{:?}", bench.adopted) };
    assert_eq!(
        (&adopted.id, adopted.run, adopted.metadata.as_slice()),
        (&id("a"), RunNo(1), &b"from the agent"[..])
    );
    assert!(matches!(adopted.state, AdoptedState::Running { pid: found, .. } if found == pid as u32));
    assert!(is_there(pid));
    let again = bench.runtime.start(&id("a"), &sh("exit 0"), b"").await;
    assert!(matches!(again, Err(StartError::AlreadyRunning(_))), "{again:?}");
    steps.go();
    let ended = bench.ended().await;
    assert_eq!((ended.run, ended.exit), (RunNo(1), Exit::Status(5)));
    assert_eq!(bench.log_lines("a"), ["Stdout before", "Stdout after"]);
}

#[tokio::test]
async fn an_exit_while_no_agent_lives_is_in_what_is_adopted() {
    let home = tempfile::tempdir().unwrap();
    let (dir, steps) = (home.path().join("i"), Steps::new(home.path(), "steps"));
    let pid = dead_agent(&dir, &format!("read x < {}; exit 6", steps.path));
    let shim = std::fs::read(dir.join("a/state")).unwrap();
    let shim: serde_json::Value = serde_json::from_slice(&shim).unwrap();
    steps.go();
    gone(pid).await;
    gone(shim["shim"]["pid"].as_i64().unwrap() as i32).await;
    let mut bench = bench_in(&dir).await;
    let [adopted] = bench.adopted.as_slice() else { panic!("{:?}", bench.adopted) };
    assert!(
        matches!(adopted.state, AdoptedState::Ended { exit: Exit::Status(6), at: Some(_) }),
        "{adopted:?}"
    );
    // The next event is of the next run: the first one's end came once.
    bench.runtime.start(&id("a"), &sh("exit 0"), b"").await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.run, ended.exit), (RunNo(2), Exit::Status(0)));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the kill is to come at any moment, so nothing is waited for")]
async fn an_agent_killed_at_any_moment_of_a_start_leaves_none_or_one() {
    let mut seen = std::collections::BTreeMap::new();
    for round in 0..60u64 {
        let home = tempfile::tempdir().unwrap();
        let (dir, pids) = (home.path().join("i"), home.path().join("pids"));
        let script = format!("echo $$ >> {}; exec sleep 1000", pids.display());
        let mut agent = agent(&dir, &script);
        std::thread::sleep(Duration::from_micros(round * 250));
        agent.kill().unwrap();
        agent.wait().unwrap();
        let mut bench = bench_in(&dir).await;
        let what = match bench.adopted.first().map(|adopted| &adopted.state) {
            None => "nothing",
            Some(AdoptedState::Running { .. }) => "running",
            Some(AdoptedState::Ended { exit: Exit::NotStarted(_), .. }) => "not started",
            Some(other) => panic!("round {round}: {other:?}"),
        };
        *seen.entry(what).or_insert(0) += 1;
        let again = bench.runtime.start(&id("a"), &sh(&script), b"").await;
        match what {
            "running" => assert!(matches!(again, Err(StartError::AlreadyRunning(_))), "{again:?}"),
            _ => drop(again.unwrap()),
        }
        bench.runtime.kill(&id("a")).await.unwrap();
        assert_eq!(bench.exit().await, Exit::Signal(9));
        let pids = std::fs::read_to_string(&pids).unwrap_or_default();
        assert!(pids.lines().count() <= 1, "round {round} ({what}): two were started: {pids}");
        assert!(pids.lines().all(|pid| !is_there(pid.parse().unwrap())));
    }
    println!("found after a kill: {seen:?}");
    assert!(seen.contains_key("running"), "no kill came late enough: {seen:?}");
}

#[tokio::test]
async fn a_start_cut_short_before_its_shim_is_no_instance() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("i");
    std::fs::create_dir_all(dir.join("a")).unwrap();
    std::fs::write(dir.join("a/launch"), r#"{"run": 3}"#).unwrap();
    std::fs::write(dir.join("a/exit"), r#"{"run": 2, "exit": {"status": 0}, "at": 1}"#).unwrap();
    let mut bench = bench_in(&dir).await;
    let [adopted] = bench.adopted.as_slice() else { panic!("{:?}", bench.adopted) };
    assert_eq!(adopted.run, RunNo(3));
    assert!(
        matches!(&adopted.state, AdoptedState::Ended { exit: Exit::NotStarted(_), at: None }),
        "{adopted:?}"
    );
    assert_eq!(bench.runtime.start(&id("a"), &sh("exit 0"), b"").await.unwrap().run, RunNo(4));
    assert_eq!(bench.exit().await, Exit::Status(0));
}

#[tokio::test]
async fn a_start_under_way_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("i");
    std::fs::create_dir_all(dir.join("a")).unwrap();
    std::fs::write(dir.join("a/launch"), r#"{"run": 1}"#).unwrap();
    // As a shim would that has not come to its first record.
    let lock = std::fs::File::create(dir.join("a/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let open = tokio::spawn(async move { bench_in(&dir).await });
    // Nothing can be waited for where nothing may happen.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!open.is_finished(), "a start under way was taken for none");
    drop(lock);
    let bench = tokio::time::timeout(bench::LIMIT, open).await.unwrap().unwrap();
    assert!(matches!(&bench.adopted[0].state, AdoptedState::Ended { exit: Exit::NotStarted(_), .. }));
}

#[tokio::test]
async fn a_killed_shim_leaves_its_instance_running_and_its_exit_unknown() {
    let mut first = bench().await;
    first.runtime.start(&id("a"), &sh("sleep 1000 & echo $!; wait"), b"m").await.unwrap();
    let mut log = first.log("a");
    let child: i32 = first.line(&mut log).await.parse().unwrap();
    let shim = first.shim_pid("a");
    kill9(shim);
    gone(shim).await;
    let mut second = bench_in(&first.dir.clone()).await;
    let AdoptedState::Running { pid, .. } = second.adopted[0].state else { panic!("{:?}", second.adopted) };
    assert!(is_there(pid as i32) && is_there(child));
    let again = second.runtime.start(&id("a"), &sh("exit 0"), b"").await;
    assert!(matches!(again, Err(StartError::AlreadyRunning(_))), "{again:?}");
    second.runtime.signal(&id("a"), Signal::TERM).await.unwrap();
    assert_eq!((second.exit().await, first.exit().await), (Exit::Unknown, Exit::Unknown));
    assert!(!is_there(pid as i32) && !is_there(child), "what it left was not ended");
}

#[tokio::test]
async fn kill_works_without_a_shim() {
    let mut bench = bench().await;
    bench.runtime.start(&id("a"), &sh("setsid sleep 1000 & echo $!; wait"), b"m").await.unwrap();
    let mut log = bench.log("a");
    let child: i32 = bench.line(&mut log).await.parse().unwrap();
    kill9(bench.shim_pid("a"));
    bench.runtime.kill(&id("a")).await.unwrap();
    assert_eq!(bench.exit().await, Exit::Unknown);
    // Without a control group, a process that left both session and family cannot be found any more.
    if Path::new("/sys/fs/cgroup/unified/naru").exists() || Path::new("/sys/fs/cgroup/naru").exists() {
        assert!(!is_there(child));
    } else {
        kill9(child);
    }
}

#[tokio::test]
async fn after_a_restart_of_the_machine_the_exit_is_unknown() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("instances");
    // One agent at a time: one that lives would look after its shim at the same moment.
    let pid = dead_agent(&dir, "exec sleep 1000");
    let path = dir.join("a/state");
    let state = std::fs::read_to_string(&path).unwrap();
    let known: serde_json::Value = serde_json::from_str(&state).unwrap();
    let shim = known["shim"]["pid"].as_i64().unwrap() as i32;
    kill9(shim);
    gone(shim).await;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    std::fs::write(&path, state.replace(boot.trim(), "another")).unwrap();
    let second = bench_in(&dir).await;
    let seen = &second.adopted[0].state;
    assert!(matches!(seen, AdoptedState::Ended { exit: Exit::Unknown, at: None }), "{seen:?}");
    assert!(is_there(pid), "a process of another boot was signalled");
    kill9(pid);
    gone(pid).await;
    // A machine that restarts has no groups; this one still has.
    for group in known["cgroups"].as_array().unwrap() {
        removed(Path::new(group.as_str().unwrap())).await;
    }
}

/// A group is busy until whoever reaps has seen its last process end.
async fn removed(group: &Path) {
    let removed = async {
        while std::fs::remove_dir(group).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(bench::LIMIT, removed)
        .await
        .unwrap_or_else(|_| panic!("{} is busy", group.display()));
}

#[tokio::test]
async fn a_reused_pid_is_neither_adopted_nor_signalled() {
    let mut bench = bench().await;
    bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"m").await.unwrap();
    let text = std::fs::read(state_file(&bench)).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&text).unwrap();
    kill9(bench.shim_pid("a"));
    bench.runtime.kill(&id("a")).await.unwrap();
    bench.ended().await;
    // A stranger that leads a session of its own, as an instance would. It ends with the test, however that ends.
    let mut stranger = Command::new("setsid").args(["cat"]).stdin(Stdio::piped()).spawn().unwrap();
    state["main"]["pid"] = stranger.id().into();
    // The clock ticks 100 times a second, and no pid comes back within one tick but here.
    state["main"]["start"] = (state["main"]["start"].as_u64().unwrap() - 1).into();
    std::fs::write(state_file(&bench), state.to_string()).unwrap();
    let second = bench_in(&bench.dir).await;
    assert!(matches!(second.adopted[0].state, AdoptedState::Ended { exit: Exit::Unknown, .. }));
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was signalled");
    let third = second.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    assert_eq!(third.run, RunNo(2));
    second.runtime.kill(&id("a")).await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was signalled");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn neither_shim_nor_instance_is_the_agents_or_its_terminals() {
    let bench = bench().await;
    let started = bench.runtime.start(&id("a"), &sh("exec sleep 1000"), b"").await.unwrap();
    let fields = |pid: i32| -> Vec<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let rest = stat.rsplit(") ").next().unwrap().to_owned();
        rest.split(' ').skip(1).take(3).map(|field| field.parse().unwrap()).collect()
    };
    let (shim, main) = (bench.shim_pid("a"), started.pid as i32);
    let of_shim = fields(shim);
    assert_ne!(of_shim[0], std::process::id() as i32);
    assert_eq!(of_shim[2], shim);
    assert_eq!(fields(main), [shim, main, main]);
    let signal = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(shim).unwrap(), signal).unwrap()
    };
    use rustix::process::Signal as S;
    [S::INT, S::HUP, S::TERM, S::QUIT, S::USR1].into_iter().for_each(signal);
    assert!(is_there(shim) && is_there(main));
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn metadata_can_be_replaced_and_kept_logs_are_no_instance() {
    let mut bench = bench().await;
    bench.runtime.start(&id("a"), &sh("echo hello"), b"one").await.unwrap();
    bench.runtime.update_metadata(&id("a"), b"two").await.unwrap();
    bench.ended().await;
    let second = bench_in(&bench.dir).await;
    assert_eq!(second.adopted[0].metadata, b"two");
    second.runtime.remove(&id("a"), naru_process::KeepLogs::Keep).await.unwrap();
    let third = bench_in(&bench.dir).await;
    assert!(third.adopted.is_empty());
    assert_eq!(third.log_lines("a"), ["Stdout hello"]);
    third.runtime.remove(&id("a"), naru_process::KeepLogs::Delete).await.unwrap();
    assert!(third.log_lines("a").is_empty() && !bench.dir.join("a").exists());
}

#[tokio::test]
async fn adopting_a_hundred_is_quick() {
    let bench = bench().await;
    for n in 0..100 {
        bench.runtime.start(&id(&format!("i{n}")), &sh("exec sleep 1000"), b"").await.unwrap();
    }
    let began = Instant::now();
    let second = bench_in(&bench.dir).await;
    println!("adopted {} in {:?}", second.adopted.len(), began.elapsed());
    assert!(second.adopted.iter().all(|adopted| matches!(adopted.state, AdoptedState::Running { .. })));
    for adopted in &second.adopted {
        second.runtime.kill(&adopted.id).await.unwrap();
    }
    assert_eq!(second.adopted.len(), 100);
}
