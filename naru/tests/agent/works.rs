//! Jobs: what holds up an end, and what becomes of them.

use crate::bench::{Bench, DONE, ID, TAKE, http, sh, shell, web};
use naru_model::*;

/// Takes a lease at once, and ends it when the file `go` is there.
fn worker(bench: &Bench) -> Template {
    let go = bench.path("go");
    sh(&format!("mkfifo {go}; {TAKE}; read line < {go}; {DONE}; exec sleep 1000"))
}

async fn go(bench: &Bench) {
    let go = bench.path("go");
    tokio::task::spawn_blocking(move || std::fs::write(go, "go\n").unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_job_holds_up_the_stop_until_it_is_done() {
    let mut bench = Bench::new().await;
    bench.want(ID, worker(&bench));
    let ready = bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 1).await;
    assert_eq!(ready.open_jobs[0].name, "job");
    bench.intend(Intent::Quiet);
    let quiet = bench.phase(Phase::Quiet).await;
    assert!(quiet.quiet_told);
    bench.intend(Intent::Stop);
    let held = bench.until(|s| s.note.is_some()).await;
    assert_eq!(held.phase, Phase::Quiet);
    let note = "ordered to stop, and 1 job is in progress: it stays until that ends";
    assert_eq!(held.note.as_deref(), Some(note));
    go(&bench).await;
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.counts.jobs, exited.counts.jobs_lost), (1, 0));
    assert_eq!(exited.last_exit, Some(Exit::Signal(15)));
    assert_eq!((exited.restarts, exited.jobs), (0, InProgress::default()));
    bench.drop_named();
    bench.report(|report| report.instances.is_empty()).await;
    for left in [format!("agent/memory/{ID}.json"), format!("agent/work/{ID}.ledger")] {
        assert!(!bench.dir.path().join(&left).exists(), "{left}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_cut_ends_a_job_and_lists_it() {
    let mut bench = Bench::new().await;
    bench.want(ID, worker(&bench));
    bench.until(|s| s.jobs.jobs == 1).await;
    bench.intend(Intent::Cut);
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.counts.cut, exited.counts.jobs_lost), (1, 0));
    assert_eq!(exited.ended_badly[0].cause.as_deref(), Some("cut by order"));
    bench.end().await;
}

#[tokio::test]
async fn a_death_loses_its_jobs_with_the_cause_and_is_followed_by_a_restart() {
    let mut bench = Bench::new().await;
    let once = bench.path("once");
    let script = format!("if mkdir {once}; then {TAKE}; kill -9 $$; fi; exec sleep 1000");
    bench.want(ID, sh(&script));
    let again = bench.until(|s| s.phase == Phase::Ready && s.restarts == 1).await;
    assert_eq!((again.counts.jobs_lost, again.jobs.jobs), (1, 0));
    assert_eq!(again.ended_badly[0].cause.as_deref(), Some("its process was killed (signal 9)"));
    assert_eq!(again.last_exit, Some(Exit::Signal(9)));
    bench.end().await;
}

#[tokio::test]
async fn a_busy_check_holds_up_the_stop() {
    let mut bench = Bench::new().await;
    let mark = bench.path("busy");
    std::fs::write(&mark, "").unwrap();
    let busy = Some(Action::Command(shell(&format!("test -e {mark}"))));
    let quiet = Some(QuietCall::Call(Action::Command(shell(&format!("touch {}", bench.path("told"))))));
    bench.want(ID, Template { busy, quiet, ..sh("exec sleep 1000") });
    bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 1).await;
    bench.intend(Intent::Stop);
    let held = bench.until(|s| s.note.as_deref().is_some_and(|note| note.contains("1 job"))).await;
    assert_eq!(held.phase, Phase::Quiet);
    assert!(bench.dir.path().join("told").exists());
    std::fs::remove_file(&mark).unwrap();
    bench.phase(Phase::Exited).await;
    bench.end().await;
}

#[tokio::test]
async fn a_busy_check_by_http_tells_the_number() {
    let mut bench = Bench::new().await;
    let busy = bench.dir.path().join("busy");
    std::fs::write(&busy, r#"{"jobs": 3}"#).unwrap();
    let template = Template { busy: Some(Action::Http(http("/busy"))), ..web(bench.dir.path()) };
    bench.want(ID, template);
    bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 3).await;
    bench.intend(Intent::Quiet);
    bench.until(|s| s.quiet_told && s.jobs.jobs == 3).await;
    std::fs::write(&busy, "what?").unwrap();
    let unknown = bench.until(|s| s.jobs.jobs == 1).await;
    assert!(unknown.note.unwrap().contains("answered without {\"jobs\": n}"));
    std::fs::write(&busy, r#"{"jobs": 1000001}"#).unwrap();
    let note = "answered 1000001 jobs, and 1000000 are the most";
    bench.until(|s| s.note.as_deref().is_some_and(|said| said.contains(note))).await;
    std::fs::write(&busy, r#"{"jobs": 0}"#).unwrap();
    bench.until(|s| s.jobs.jobs == 0).await;
    bench.end().await;
}

/// Its jobs are told by a check, and by nothing else.
fn checked(script: &str) -> Template {
    let restart = Restart { policy: RestartPolicy::No, ..sh("").restart };
    Template { busy: Some(Action::Command(shell("true"))), restart, ..sh(script) }
}

#[tokio::test]
async fn jobs_that_a_busy_check_told_are_cut_or_lost_with_their_process() {
    let mut bench = Bench::new().await;
    bench.want(ID, checked("exec sleep 1000"));
    bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 1).await;
    bench.intend(Intent::Cut);
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.counts.cut, exited.counts.jobs_lost), (1, 0));
    let job = &exited.ended_badly[0];
    assert_eq!((job.name.as_str(), job.cause.as_deref()), ("told by the busy check", Some("cut by order")));
    bench.end().await;

    let mut bench = Bench::new().await;
    let go_file = bench.path("go");
    bench.want(ID, checked(&format!("mkfifo {go_file}; read line < {go_file}; exit 3")));
    bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 1).await;
    bench.kill().await;
    go(&bench).await;
    bench.revive();
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.counts.cut, exited.counts.jobs_lost), (0, 1));
    assert_eq!(exited.ended_badly[0].cause.as_deref(), Some("its process exited with status 3"));
    bench.restart().await;
    let again = bench.phase(Phase::Exited).await;
    assert_eq!((again.counts.jobs_lost, again.ended_badly.len()), (1, 1), "counted once");
    bench.end().await;
}

#[tokio::test]
async fn a_signal_tells_it_to_be_quiet() {
    let mut bench = Bench::new().await;
    let told = bench.path("told");
    let script = format!("trap 'touch {told}; exit 0' USR1; while :; do sleep 0.05; done");
    let quiet = Some(QuietCall::Signal("SIGUSR1".into()));
    bench.want(ID, Template { quiet, ..sh(&script) });
    bench.phase(Phase::Ready).await;
    bench.intend(Intent::Quiet);
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.restarts, exited.last_exit), (0, Some(Exit::Status(0))));
    assert!(bench.dir.path().join("told").exists());
    bench.end().await;
}

#[tokio::test]
async fn a_new_agent_finds_everything_as_it_was() {
    let mut bench = Bench::new().await;
    let starts = bench.path("starts");
    let go_file = bench.path("go");
    let take = format!("echo x >> {starts}; mkfifo {go_file}; {TAKE}");
    bench.want(ID, sh(&format!("{take}; read line < {go_file}; {DONE}; exec sleep 1000")));
    let before = bench.until(|s| s.phase == Phase::Ready && s.jobs.jobs == 1).await;
    bench.restart().await;
    let after = bench.until(|_| true).await;
    assert_eq!((after.phase, after.pid, after.since), (Phase::Ready, before.pid, before.since));
    assert_eq!((after.open_jobs[0].id.clone(), after.restarts), (before.open_jobs[0].id.clone(), 0));
    bench.intend(Intent::Stop);
    bench.until(|s| s.note.is_some()).await;
    bench.restart().await;
    let held = bench.until(|_| true).await;
    assert_eq!((held.phase, held.pid, held.jobs.jobs), (Phase::Quiet, before.pid, 1));
    go(&bench).await;
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.counts.jobs, exited.counts.jobs_lost), (1, 0));
    assert_eq!(std::fs::read_to_string(starts).unwrap(), "x\n");
    bench.end().await;
}
