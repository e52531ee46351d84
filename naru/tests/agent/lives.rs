//! Starts, health, restarts and ends.

use crate::bench::{Bench, ID, http, sh, shell, web};
use naru_model::*;
use std::net::Ipv4Addr;
use std::time::Instant;

#[tokio::test]
async fn it_is_ready_when_its_port_accepts_and_sees_its_surroundings() {
    let mut bench = Bench::new().await;
    let seen = bench.path("seen");
    let dump = format!(
        "echo $FROM_FILE $NARU_URL_OTHER $NARU_INSTANCE $NARU_STACK $NARU_SERVICE $NARU_RELEASE \
         $NARU_PORT_8080 $NARU_WORK_URL > {seen}"
    );
    let template = Template { post_start: vec![shell(&dump).into()], ..web(bench.dir.path()) };
    let began = Instant::now();
    bench.want(ID, template);
    let ready = bench.phase(Phase::Ready).await;
    println!("ready after {} ms", began.elapsed().as_millis());
    let port = ready.ports[&8080];
    assert!((20_000..30_000).contains(&port));
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let seen = std::fs::read_to_string(seen).unwrap();
    let start = format!("yes http://127.0.0.1:9 {ID} shop web 1 {port} http://127.0.0.1:");
    assert!(seen.starts_with(&start), "{seen}");
    bench.intend(Intent::Stop);
    assert_eq!(bench.phase(Phase::Exited).await.restarts, 0);
    bench.end().await;
}

#[tokio::test]
async fn health_goes_and_comes() {
    let mut bench = Bench::new().await;
    let file = bench.dir.path().join("healthz");
    let health = Health {
        check: Check::Http(http("/healthz")),
        interval: Span(50),
        timeout: Span::secs(5),
        retries: 2,
        start_period: Span::ZERO,
        start_interval: Span(50),
    };
    bench.want(ID, Template { health: Some(health), ..web(bench.dir.path()) });
    let note = "not ready yet: GET /healthz answered 404";
    bench.until(|s| s.phase == Phase::Starting && s.note.as_deref() == Some(note)).await;
    std::fs::write(&file, "").unwrap();
    let ready = bench.phase(Phase::Ready).await;
    std::fs::remove_file(&file).unwrap();
    let down = bench.phase(Phase::Unready).await;
    assert_eq!(down.note.as_deref(), Some("its health check fails: GET /healthz answered 404"));
    std::fs::write(&file, "").unwrap();
    let again = bench.phase(Phase::Ready).await;
    assert_eq!((again.pid, again.restarts), (ready.pid, ready.restarts));
    bench.end().await;
}

#[tokio::test]
async fn a_crash_loop_is_given_up() {
    let mut bench = Bench::new().await;
    let restart = Restart { max_attempts: Some(3), delay: Span(10), ..sh("").restart };
    bench.want(ID, Template { restart, ..sh("exit 7") });
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.restarts, exited.last_exit), (3, Some(Exit::Status(7))));
    assert_eq!(exited.note.as_deref(), Some("exited with status 7; given up after 3 restarts in a row"));
    bench.end().await;
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let mut bench = Bench::new().await;
    let run = Run::Process(Process { command: vec!["/no/such/program".into()] });
    let restart = Restart { policy: RestartPolicy::No, ..sh("").restart };
    bench.want(ID, Template { run, restart, ..sh("") });
    let exited = bench.phase(Phase::Exited).await;
    let Some(Exit::NotStarted(why)) = exited.last_exit else { panic!("{exited:?}") };
    assert!(why.contains("/no/such/program"), "{why}");
    let run = Run::Container(Container::of("nginx").into());
    let restart = Restart { policy: RestartPolicy::No, ..sh("").restart };
    bench.want("shop.web.1.2", Template { run, restart, ..sh("") });
    let id = InstanceId::from("shop.web.1.2");
    let is_over = |report: &AgentReport| report.instances.get(&id).is_some_and(|s| s.phase == Phase::Exited);
    let refused = bench.report(is_over).await.instances[&id].last_exit.clone();
    let Some(Exit::NotStarted(why)) = refused else { panic!("{refused:?}") };
    assert!(
        why.starts_with("no container engine answers (tried /no/such/engine.sock: is not there)"),
        "{why}"
    );
    bench.end().await;
}

#[tokio::test]
async fn an_idle_one_that_ignores_its_stop_signal_is_killed_after_the_grace() {
    let mut bench = Bench::new().await;
    let template = sh("trap '' TERM; while :; do sleep 0.05; done");
    bench.want(ID, Template { stop_grace: Span(300), ..template });
    bench.phase(Phase::Ready).await;
    bench.intend(Intent::Stop);
    let stopping = bench.phase(Phase::Stopping).await;
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!(exited.last_exit, Some(Exit::Signal(9)));
    assert!(exited.since.since(stopping.since) >= Span(300));
    bench.end().await;
}

#[tokio::test]
async fn a_one_shot_runs_once_and_pre_stop_comes_before_the_signal() {
    let mut bench = Bench::new().await;
    bench.want(ID, sh("exit 0"));
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!((exited.restarts, exited.last_exit), (0, Some(Exit::Status(0))));
    bench.end().await;

    let mut bench = Bench::new().await;
    let order = bench.path("order");
    let script = format!("trap 'echo signal >> {order}; exit 0' TERM; while :; do sleep 0.05; done");
    let pre_stop = vec![shell(&format!("echo pre_stop >> {order}")).into()];
    bench.want(ID, Template { pre_stop, ..sh(&script) });
    bench.phase(Phase::Ready).await;
    bench.intend(Intent::Stop);
    bench.phase(Phase::Exited).await;
    assert_eq!(std::fs::read_to_string(order).unwrap(), "pre_stop\nsignal\n");
    bench.end().await;
}

#[tokio::test]
async fn a_stale_order_is_refused_by_a_new_agent_too() {
    let mut bench = Bench::new().await;
    bench.want(ID, sh("exec sleep 1000"));
    bench.want("shop.web.1.2", sh("exec sleep 1000"));
    bench.report(|report| report.applied == Generation(2)).await;
    let ready = bench.phase(Phase::Ready).await;
    bench.restart().await;
    bench.intend_at(Generation(1), Intent::Cut);
    bench.until(|_| true).await;
    bench.intend_at(Generation(3), Intent::Run);
    let report = bench.report(|report| report.applied == Generation(3)).await;
    let status = &report.instances[&ID.into()];
    assert_eq!((status.phase, status.pid, &status.note), (Phase::Ready, ready.pid, &None));
    bench.end().await;
}

#[tokio::test]
async fn a_new_agent_counts_as_later_though_the_clock_was_set_back() {
    let mut bench = Bench::new().await;
    let first = bench.report(|_| true).await.incarnation;
    bench.kill().await;
    let state = bench.dir.path().join("agent/state.json");
    let ahead = first + 3_600_000;
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace(&first.to_string(), &ahead.to_string())).unwrap();
    bench.revive();
    assert_eq!(bench.report(|_| true).await.incarnation, ahead + 1);
    bench.end().await;
}

#[tokio::test]
async fn an_instance_that_is_not_named_is_left_alone() {
    let mut bench = Bench::new().await;
    bench.want(ID, sh("exec sleep 1000"));
    let ready = bench.phase(Phase::Ready).await;
    let named = bench.drop_named();
    let report = bench.report(|report| report.applied == Generation(2)).await;
    let status = &report.instances[&ID.into()];
    assert_eq!((status.phase, status.pid), (Phase::Ready, ready.pid));
    bench.name_again(named);
    bench.end().await;
}

#[tokio::test]
async fn an_end_while_no_agent_runs_is_seen_by_the_next() {
    let mut bench = Bench::new().await;
    let restart = Restart { policy: RestartPolicy::No, ..sh("").restart };
    bench.want(ID, Template { restart, ..sh("exec sleep 1000") });
    let ready = bench.phase(Phase::Ready).await;
    bench.kill().await;
    let pid = rustix::process::Pid::from_raw(ready.pid.unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    bench.revive();
    let exited = bench.phase(Phase::Exited).await;
    assert_eq!(exited.last_exit, Some(Exit::Signal(9)));
    bench.end().await;
}
