//! One instance's life: start, exit, signals, what is refused, what is left behind.

mod bench;

use bench::{bench, command, gone, id, is_there, sh};
use naru_model::Exit;
use naru_process::{Error, KeepLogs, RunNo, Signal, StartError};

#[tokio::test]
async fn an_exit_status_is_seen_once_and_the_next_run_has_the_next_number() {
    let mut bench = bench().await;
    let first = bench.runtime.start(&id("a"), &sh("exit 7"), b"").await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.id, ended.run, ended.exit), (id("a"), RunNo(1), Exit::Status(7)));
    assert!(ended.at.is_some_and(|at| at >= first.at));
    bench.runtime.start(&id("a"), &sh("exit 0"), b"").await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.run, ended.exit), (RunNo(2), Exit::Status(0)));
}

#[tokio::test]
async fn a_signal_reaches_the_main_process() {
    let mut bench = bench().await;
    let script = "trap 'echo got it; exit 3' USR1; echo ready; while :; do sleep 0.05; done";
    bench.runtime.start(&id("a"), &sh(script), b"").await.unwrap();
    let mut log = bench.log("a");
    assert_eq!(bench.line(&mut log).await, "ready");
    bench.runtime.signal(&id("a"), "USR1".parse().unwrap()).await.unwrap();
    assert_eq!(bench.exit().await, Exit::Status(3));
    assert_eq!(bench.line(&mut log).await, "got it");
    let after = bench.runtime.signal(&id("a"), Signal::TERM).await;
    assert!(matches!(after, Err(Error::NotRunning(_))), "{after:?}");
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed() {
    let mut bench = bench().await;
    bench
        .runtime
        .start(&id("a"), &sh("trap '' TERM; echo ready; while :; do sleep 0.05; done"), b"")
        .await
        .unwrap();
    let mut log = bench.log("a");
    assert_eq!(bench.line(&mut log).await, "ready");
    bench.runtime.signal(&id("a"), Signal::TERM).await.unwrap();
    bench.runtime.kill(&id("a")).await.unwrap();
    assert_eq!(bench.exit().await, Exit::Signal(9));
}

#[tokio::test]
async fn a_second_start_is_refused_and_so_is_the_removal_of_what_runs() {
    let mut bench = bench().await;
    bench.runtime.start(&id("a"), &command(&["sleep", "100"]), b"").await.unwrap();
    let second = bench.runtime.start(&id("a"), &command(&["sleep", "100"]), b"").await;
    assert!(matches!(second, Err(StartError::AlreadyRunning(_))), "{second:?}");
    let removed = bench.runtime.remove(&id("a"), KeepLogs::Delete).await;
    assert!(matches!(removed, Err(Error::StillRunning(_))), "{removed:?}");
    bench.runtime.kill(&id("a")).await.unwrap();
    assert_eq!(bench.exit().await, Exit::Signal(9));
    bench.runtime.remove(&id("a"), KeepLogs::Delete).await.unwrap();
    assert!(!bench.dir.join("a").exists());
    bench.runtime.remove(&id("a"), KeepLogs::Delete).await.unwrap();
}

#[tokio::test]
async fn of_many_starts_at_once_one_wins() {
    let mut bench = bench().await;
    let launch = sh("echo $$; sleep 100");
    let (id, starts) = (id("a"), 8);
    let all = (0..starts).map(|_| {
        let (runtime, id, launch) = (bench.runtime.clone(), id.clone(), launch.clone());
        tokio::spawn(async move { runtime.start(&id, &launch, b"").await })
    });
    let mut won = 0;
    for start in all.collect::<Vec<_>>() {
        match start.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, StartError::AlreadyRunning(_)), "{error}"),
        }
    }
    bench.runtime.kill(&id).await.unwrap();
    bench.ended().await;
    assert_eq!((won, bench.log_lines("a").len()), (1, 1));
}

#[tokio::test]
async fn what_the_main_process_leaves_is_ended_daemons_included() {
    let mut bench = bench().await;
    let script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; setsid sh -c 'sleep 1000 & echo $!' & wait $!; exit 4";
    bench.runtime.start(&id("a"), &sh(script), b"").await.unwrap();
    assert_eq!(bench.exit().await, Exit::Status(4));
    let pids: Vec<i32> = bench.log_lines("a").iter().map(|line| line[7..].parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    for pid in pids {
        assert!(!is_there(pid), "process {pid} is still there");
    }
}

#[tokio::test]
async fn kill_ends_grandchildren_too_and_leaves_neither_shim_nor_zombie() {
    let mut bench = bench().await;
    bench.runtime.start(&id("a"), &sh("setsid sleep 1000 & echo $!; wait"), b"").await.unwrap();
    let mut log = bench.log("a");
    let pid: i32 = bench.line(&mut log).await.parse().unwrap();
    let shim = bench.shim_pid("a");
    bench.runtime.kill(&id("a")).await.unwrap();
    assert!(!is_there(pid));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    gone(shim).await;
    let own = std::process::id();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        assert!(!stat.contains(&format!("(naru-shim-test) Z {own} ")), "a zombie: {stat}");
    }
}
