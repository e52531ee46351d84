//! Containers from their start to their end, of Docker Engine and of Podman.

mod bench;
mod engine;

use bench::{Bench, LIMIT, bench, exited, id, sh};
use engine::Kind;
use naru_docker::{Adopted, AdoptedState, Ended, Error, ExecEnd, ExecRequest, KeepLogs, Known};
use naru_model::{Check, Exit, Mount, MountSource, Prelude, PreludeRuns, Process, PullPolicy, Span};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Serves, speaks on both streams, and ends with status 3 at SIGTERM.
const SERVER: &str = "trap 'echo bye; exit 3' TERM; echo hello > /www/index.html; httpd -f -p 8080 -h /www & \
                      echo $GREETING; echo oops >&2; while :; do sleep 0.1; done";

fn get(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

async fn served(address: SocketAddr) -> String {
    let asked = async {
        loop {
            match tokio::task::spawn_blocking(move || get(address)).await.unwrap() {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(LIMIT, asked).await.expect("an answer")
}

#[tokio::test]
async fn docker_a_container_lives() {
    if let Some(bench) = bench(Kind::Docker) {
        lives(bench).await;
    }
}

#[tokio::test]
async fn podman_a_container_lives() {
    if let Some(bench) = bench(Kind::Podman) {
        lives(bench).await;
    }
}

/// Started, asked, signalled, ended, removed.
async fn lives(mut bench: Bench) {
    let mut launch = sh(SERVER);
    launch.environment.insert("GREETING".into(), "up".into());
    launch.targets = vec![8080];
    let started = bench.start("shop.web.1.1", 1, &launch).await.unwrap();
    assert!(started.image.id.contains(|c: char| c.is_ascii_hexdigit()), "{started:?}");
    let address = SocketAddr::from((started.address.expect("an address of its own"), started.ports[&8080]));
    assert!(served(address).await.ends_with("hello\n"));
    assert_eq!(exited(&bench.exec("shop.web.1.1", "echo in $GREETING; exit 4").await), (4, "in up"));
    bench.runtime().signal(&id("shop.web.1.1"), "SIGTERM").await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.id, ended.run, ended.exit), (id("shop.web.1.1"), 1, Exit::Status(3)));
    assert!(ended.at.is_some_and(|at| at >= started.at));
    let mut lines = bench.lines("shop.web.1.1", 3).await;
    lines.sort();
    assert_eq!(lines, ["bye", "oops", "up"]);
    let gone = bench.runtime().signal(&id("shop.web.1.1"), "TERM").await;
    assert!(matches!(gone, Err(Error::NotRunning(_))), "{gone:?}");
    bench.runtime().remove(&id("shop.web.1.1"), KeepLogs::Keep).await.unwrap();
    assert!(bench.engine.containers("naru.instance=shop.web.1.1").is_empty());
    assert!(bench.engine.networks().is_empty(), "{:?}", bench.engine.networks());
    assert_eq!(bench.lines("shop.web.1.1", 3).await.len(), 3);
}

#[tokio::test]
async fn docker_an_agent_comes_and_goes() {
    if let Some(bench) = bench(Kind::Docker) {
        comes_and_goes(bench).await;
    }
}

#[tokio::test]
async fn podman_an_agent_comes_and_goes() {
    if let Some(bench) = bench(Kind::Podman) {
        comes_and_goes(bench).await;
    }
}

/// A new agent finds what runs, and what ended while there was none; a start is never done twice.
async fn comes_and_goes(mut bench: Bench) {
    let count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";
    let started = bench.start("shop.web.1.1", 1, &sh(count)).await.unwrap();
    bench.start("shop.web.1.2", 1, &sh("sleep 0.5; exit 7")).await.unwrap();
    assert_eq!(bench.lines("shop.web.1.1", 3).await, ["1", "2", "3"]);
    bench.close();
    wait_for_end(&bench, "shop.web.1.2").await;
    bench.open();
    let known = ["shop.web.1.1", "shop.web.1.2", "shop.web.1.3"].map(|one| Known { id: id(one), run: 1 });
    let states: Vec<_> =
        bench.runtime().adopt(&known).await.into_iter().map(|one: Adopted| one.state).collect();
    assert!(
        matches!(&states[..], [
            AdoptedState::Running { started: at, .. },
            AdoptedState::Ended { exit: Exit::Status(7), at: Some(_) },
            AdoptedState::Nothing
        ] if *at == started.at),
        "{states:?}"
    );
    // The same start again is the container that runs already.
    let again = bench.start("shop.web.1.1", 1, &sh(count)).await.unwrap();
    assert_eq!((again.at, again.address), (started.at, started.address));
    let second = bench.start("shop.web.1.1", 2, &sh(count)).await;
    assert!(matches!(second, Err(Error::AlreadyRunning(_))), "{second:?}");
    let lines = bench.lines("shop.web.1.1", 40).await;
    let wanted: Vec<String> = (1..=40).map(|n| n.to_string()).collect();
    assert_eq!(lines, wanted, "no line is lost or doubled");
    bench.runtime().kill(&id("shop.web.1.1")).await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.id, ended.run, ended.exit), (id("shop.web.1.1"), 1, Exit::Signal(9)));
}

async fn wait_for_end(bench: &Bench, instance: &str) {
    let label = format!("naru.instance={instance}");
    let container = bench.engine.containers(&label).pop().unwrap();
    let path = format!("http://engine/containers/{container}/json");
    let ended = async {
        loop {
            let said: serde_json::Value =
                serde_json::from_str(&bench.engine.curl(&[&path]).unwrap()).unwrap();
            if said["State"]["Running"] == false {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("an end");
}

#[tokio::test]
async fn docker_what_somebody_removes_has_ended() {
    let Some(mut bench) = bench(Kind::Docker) else { return };
    bench.start("shop.web.1.1", 1, &sh("sleep 1000")).await.unwrap();
    let container = bench.engine.containers("naru.instance=shop.web.1.1").pop().unwrap();
    bench.engine.remove_container(&container);
    let ended = bench.ended().await;
    // Killed and removed at once: the engine may or may not still tell how it ended.
    assert!(matches!(ended.exit, Exit::Signal(9) | Exit::Unknown), "{ended:?}");
    bench.start("shop.web.1.1", 2, &sh("exit 0")).await.unwrap();
    assert_eq!(bench.ended().await.exit, Exit::Status(0));
}

#[tokio::test]
async fn docker_an_engine_that_is_away_has_ended_nothing() {
    let Some(mut bench) = bench(Kind::Docker) else { return };
    let launch = sh("i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done");
    bench.start("shop.web.1.1", 1, &launch).await.unwrap();
    bench.engine.crash();
    bench.open();
    let known = [Known { id: id("shop.web.1.1"), run: 1 }];
    assert_eq!(bench.runtime().adopt(&known).await[0].state, AdoptedState::Unknown);
    let told = tokio::time::timeout(Duration::from_secs(3), bench.events.as_mut().unwrap().next()).await;
    assert!(told.is_err(), "an end was told of an engine that does not answer: {told:?}");
    // Docker Engine, started again without `live-restore`, ends what ran. That is an end, and told once.
    bench.engine.run();
    let Ended { id: whose, run, .. } = bench.ended().await;
    assert_eq!((whose, run), (id("shop.web.1.1"), 1));
    bench.start("shop.web.1.1", 2, &sh("exit 5")).await.unwrap();
    let ended = bench.ended().await;
    assert_eq!((ended.run, ended.exit), (2, Exit::Status(5)));
}

#[tokio::test]
async fn docker_a_command_past_its_time_is_killed() {
    let Some(bench) = bench(Kind::Docker) else { return };
    bench.start("shop.web.1.1", 1, &sh("sleep 1000")).await.unwrap();
    let argv = ["/bin/sh", "-c", "echo $$ > /pid; echo begun; exec sleep 1000"].map(str::to_owned).to_vec();
    let request = ExecRequest { argv, ..ExecRequest::default() };
    let output = bench.runtime().exec(&id("shop.web.1.1"), &request, Duration::from_secs(2)).await.unwrap();
    assert_eq!((output.end, output.tail.trim_end()), (ExecEnd::TimedOut, "begun"));
    let looked = bench
        .exec(
            "shop.web.1.1",
            "i=0; while kill -0 $(cat /pid); do i=$((i+1)); [ $i = 50 ] && exit 9; sleep 0.1; done",
        )
        .await;
    assert_eq!(exited(&looked).0, 0, "{looked:?}");
    let request = ExecRequest { argv: vec!["/no/such".into()], ..ExecRequest::default() };
    let output = bench.runtime().exec(&id("shop.web.1.1"), &request, LIMIT).await.unwrap();
    assert!(matches!(output.end, ExecEnd::Exit(Exit::Status(126 | 127))), "{output:?}");
}

#[tokio::test]
async fn docker_what_cannot_be_is_said() {
    let Some(bench) = bench(Kind::Docker) else { return };
    let mut launch = sh("true");
    launch.container.entrypoint = Some(vec!["/no/such/program".into()]);
    let said = bench.start("shop.web.1.1", 1, &launch).await.unwrap_err().to_string();
    assert!(said.contains("/no/such/program"), "{said}");
    assert!(bench.engine.containers("naru.instance=shop.web.1.1").is_empty(), "nothing is left of it");
    launch.container.image = "localhost/no-such:1".into();
    launch.container.pull = PullPolicy::Never;
    let said = bench.start("shop.web.1.1", 1, &launch).await.unwrap_err().to_string();
    assert!(said.contains("image localhost/no-such:1 is not here, and is not to be pulled"), "{said}");
    // A registry where nobody listens.
    launch.container.image = "127.0.0.1:1/no-such:1".into();
    launch.container.pull = PullPolicy::Missing;
    let said = bench.start("shop.web.1.1", 1, &launch).await.unwrap_err().to_string();
    assert!(said.starts_with("image 127.0.0.1:1/no-such:1 could not be pulled: "), "{said}");
}

#[tokio::test]
async fn docker_an_address_of_the_host_is_reached_from_any_network() {
    let Some(bench) = bench(Kind::Docker) else { return };
    bench.start("shop.web.1.1", 1, &sh("sleep 1000")).await.unwrap();
    let address = bench.runtime().host_address("ledger").await.unwrap();
    let other = bench.runtime().host_address("shop/api").await.unwrap();
    assert_ne!(address, other);
    assert_eq!(bench.runtime().host_address("ledger").await.unwrap(), address);
    let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"from the host\n").await.unwrap();
    });
    let heard = bench.exec("shop.web.1.1", &format!("nc {address} {port} < /dev/null")).await;
    assert_eq!(exited(&heard), (0, "from the host"));
    answer.await.unwrap();
    let all = bench.runtime().host_addresses().await.unwrap();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("ledger".into(), address), ("shop/api".into(), other)]);
    bench.runtime().remove_host_address("ledger").await.unwrap();
    bench.runtime().remove_host_address("ledger").await.unwrap();
    assert_eq!(bench.runtime().host_addresses().await.unwrap().len(), 1);
}

#[tokio::test]
async fn docker_an_images_own_health_check_is_told_and_not_run_by_the_engine() {
    let Some(bench) = bench(Kind::Docker) else { return };
    bench.engine.load_checked_image("localhost/checked:1", "--interval=3s --retries=2 CMD test -e /www/up");
    let mut launch = sh("sleep 60");
    launch.container.image = "localhost/checked:1".into();
    let started = bench.start("shop.web.1.1", 1, &launch).await.unwrap();
    let health = started.image.health.expect("the image has one");
    let line = ["/bin/sh", "-c", "test -e /www/up"].map(str::to_owned).to_vec();
    assert_eq!(health.check, Check::Command(Process { command: line }));
    assert_eq!((health.interval, health.timeout, health.retries), (Span::secs(3), Span::secs(30), 2));
    assert_eq!((health.start_period, health.start_interval), (Span::ZERO, Span::secs(5)));
    let container = bench.engine.containers("naru.instance=shop.web.1.1").remove(0);
    let said = bench.engine.curl(&[&format!("http://engine/containers/{container}/json")]).unwrap();
    assert!(said.contains(r#""Test":["NONE"]"#), "{said}");
}

fn before(script: &str) -> Prelude {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Prelude { command: Process { command }.into(), image: None, runs: PreludeRuns::Once }
}

#[tokio::test]
async fn docker_what_is_to_run_before_runs_before_and_once() {
    if let Some(bench) = bench(Kind::Docker) {
        runs_before(bench).await;
    }
}

#[tokio::test]
async fn podman_what_is_to_run_before_runs_before_and_once() {
    if let Some(bench) = bench(Kind::Podman) {
        runs_before(bench).await;
    }
}

/// It shares the volumes, is awaited by the next agent, and its end decides.
async fn runs_before(mut bench: Bench) {
    let shared = bench.home.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let mut launch = sh("cat /shared/ran; sleep 60");
    let source = MountSource::Bind {
        path: shared.to_string_lossy().into_owned(),
        create_host_path: false,
        propagation: None,
        selinux: None,
        recursive: None,
    };
    launch.container.mounts = vec![Mount { source, target: "/shared".into(), read_only: false }];
    launch.environment.insert("WHO".into(), "service".into());
    let mut first =
        before("echo $WHO-$MORE >> /shared/ran; echo begun; while [ ! -e /shared/go ]; do sleep 0.05; done");
    first.command.environment.insert("MORE".into(), "prelude".into());
    launch.container.pre_start = vec![first, before("exit 3")];
    let (id, prepared) = (id("shop.web.1.1"), bench.runtime().prepare(&launch, |_| {}).await.unwrap());
    {
        let first = bench.runtime().prelude(&id, 0, &launch, &prepared, |_| {});
        tokio::select! {
            ended = first => panic!("it waits: {ended:?}"),
            said = bench.lines("shop.web.1.1", 1) => assert_eq!(said, ["begun"]),
        }
    }
    bench.open();
    std::fs::write(shared.join("go"), "").unwrap();
    let again = tokio::time::timeout(LIMIT, bench.runtime().prelude(&id, 0, &launch, &prepared, |_| {}));
    again.await.expect("its end").unwrap();
    bench.runtime().prelude(&id, 0, &launch, &prepared, |_| {}).await.unwrap();
    let failed = bench.runtime().prelude(&id, 1, &launch, &prepared, |_| {}).await.unwrap_err();
    assert_eq!(failed.to_string(), "its pre_start command 2 exited with status 3");
    assert_eq!(std::fs::read_to_string(shared.join("ran")).unwrap(), "service-prelude\n");
    assert_eq!(bench.engine.containers("naru.before=shop.web.1.1").len(), 2);
    bench.runtime().forget_preludes(&id).await.unwrap();
    assert!(bench.engine.containers("naru.before=shop.web.1.1").is_empty());
    bench.start("shop.web.1.1", 1, &launch).await.unwrap();
    assert_eq!(bench.lines("shop.web.1.1", 2).await, ["begun", "service-prelude"]);
}

#[tokio::test]
async fn docker_what_runs_before_can_be_killed() {
    let Some(bench) = bench(Kind::Docker) else { return };
    let mut launch = sh("sleep 60");
    launch.container.pre_start = vec![before("echo begun; sleep 60")];
    let (id, prepared) = (id("shop.web.1.1"), bench.runtime().prepare(&launch, |_| {}).await.unwrap());
    let killed = async {
        bench.lines("shop.web.1.1", 1).await;
        bench.runtime().kill(&id).await.unwrap();
    };
    let ran = bench.runtime().prelude(&id, 0, &launch, &prepared, |_| {});
    let (ran, ()) = tokio::time::timeout(LIMIT, async { tokio::join!(ran, killed) }).await.unwrap();
    assert!(ran.unwrap_err().to_string().starts_with("its pre_start command 1 "));
    bench.runtime().remove(&id, KeepLogs::Delete).await.unwrap();
    assert!(bench.engine.containers("naru.before=shop.web.1.1").is_empty());
}
