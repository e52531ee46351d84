//! Services that are images: `naru up` of a Compose file on a container engine of the test's own.
//!
//! A client asks without a pause while releases change, the agent is killed, a container is removed by hand and the engine
//! itself is killed in the middle of a rollout. Its own count says what failed.

use crate::engine::{Engine, IMAGE, Kind};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A stack of two tiers in containers, and one service that is a host process.
const FILE: &str = r#"
name: shop
services:
  web:
    image: IMAGE
    environment: { RELEASE: "VERSION" }
    command:
      - sh
      - -c
      - |
        echo $$RELEASE > /www/index.html
        echo up $$RELEASE
        (until wget -q -O /www/data http://data:5000/; do sleep 0.2; done) &
        exec httpd -f -p 8080 -h /www
    ports: ["127.0.0.1:PORT:8080"]
    configs: [{ source: page, target: /www/page }]
    pre_start: [{ command: [sh, -c, "echo before $$RELEASE"] }]
    healthcheck: { test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 1s, start_interval: 200ms, start_period: 20s }
    deploy: { replicas: 2 }
    stop_grace_period: 1s
  data:
    image: IMAGE
    command: [sh, -c, "echo kept > /data/index.html; exec httpd -f -p 5000 -h /data"]
    volumes: ["store:/data"]
    expose: ["5000"]
    stop_grace_period: 1s
    deploy: { update_config: { order: stop-first } }
  once:
    image: IMAGE
    command: ["true"]
    restart: "no"
  beside:
    image: none
    x-naru: { process: { command: [sleep, "100000"] } }
volumes: { store: {} }
configs: { page: { content: "as configured in VERSION" } }
"#;

pub struct Stack {
    pub engine: Engine,
    pub folder: tempfile::TempDir,
    port: u16,
}

impl Stack {
    /// A command on the stack, to be run as one likes.
    pub fn command(&self, program: &std::ffi::OsStr) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        command.env("NARU_HOME", self.folder.path().join("home"));
        command.env("DOCKER_HOST", format!("unix://{}", self.engine.socket().display()));
        command
    }

    pub fn naru(&self, args: &[&str]) -> Output {
        self.command(crate::naru().as_os_str()).args(args).output().unwrap()
    }

    pub fn said(&self, args: &[&str]) -> String {
        let output = self.naru(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "naru {args:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.said(args)).unwrap()
    }

    fn write(&self, version: &str) {
        let port = self.port.to_string();
        let file = FILE.replace("IMAGE", IMAGE).replace("VERSION", version).replace("PORT", &port);
        std::fs::write(self.folder.path().join("compose.yaml"), file).unwrap();
    }

    fn up(&self, version: &str) {
        self.write(version);
        self.said(&["up"]);
    }

    /// The present instances of a service, as `ps` tells them.
    fn instances(&self, service: &str) -> Vec<Value> {
        let all = self.json(&["ps", "--json"]);
        all.as_array().unwrap().iter().filter(|one| one["service"] == service).cloned().collect()
    }

    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            assert!(Instant::now() < deadline, "{what}: {}", self.said(&["ps"]));
            pause(Duration::from_millis(100));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.naru(&["shutdown", "--cut", "--yes"]);
    }
}

/// Asks without a pause, each time on a connection of its own.
pub struct Client {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(u64, Vec<String>)>,
}

impl Client {
    pub fn begin(port: u16) -> Client {
        let ends = Arc::new(AtomicBool::new(false));
        let theirs = ends.clone();
        let task = std::thread::spawn(move || {
            let (mut asked, mut failed) = (0, Vec::new());
            while !theirs.load(Ordering::Relaxed) {
                asked += 1;
                failed.extend(ask(port).err());
                pause(Duration::from_millis(2));
            }
            (asked, failed)
        });
        Client { ends, task }
    }

    pub fn end(self) -> (u64, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        self.task.join().unwrap()
    }
}

pub fn ask(port: u16) -> Result<String, String> {
    get(port, "/")
}

fn get(port: u16, path: &str) -> Result<String, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let exchange = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().trim().to_owned();
    if answer.starts_with("HTTP/1.1 200") { Ok(body) } else { Err(answer) }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub fn stack(kind: Kind) -> Option<Stack> {
    let engine = Engine::start(kind)?;
    let port = free_port();
    Some(Stack { engine, folder: tempfile::tempdir().unwrap(), port })
}

#[test]
fn images_run_and_change_without_a_failed_request() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stack) = stack(Kind::Docker) else { return };
    stack.up("1");
    assert_eq!(ask(stack.port).as_deref(), Ok("1"));
    a_service_is_found_by_its_name(&stack);
    let client = Client::begin(stack.port);
    for version in 2..=4 {
        stack.up(&version.to_string());
    }
    assert_eq!(ask(stack.port).as_deref(), Ok("4"));
    assert_eq!(get(stack.port, "/page").as_deref(), Ok("as configured in 4"));
    the_agent_is_killed(&stack);
    let (asked, failed) = client.end();
    assert!(failed.is_empty(), "of {asked} requests {} failed: {:?}", failed.len(), failed.first());
    let logs = stack.said(&["logs", "web"]);
    assert!(logs.contains("up 4"), "{logs}");
    assert_eq!(logs.matches("before 4").count(), 1, "once for both instances: {logs}");
    a_container_is_removed_by_hand(&stack);
    stack.said(&["down"]);
    stack.until("nothing is left of the stack", || {
        (stack.engine.containers("naru.instance").is_empty()).then_some(())
    });
    stack.until("no network of the stack is left", || {
        (!stack.engine.networks().iter().any(|name| name.starts_with("shop"))).then_some(())
    });
}

#[test]
fn podman_runs_and_changes_them_too() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stack) = stack(Kind::Podman) else { return };
    stack.up("1");
    let client = Client::begin(stack.port);
    stack.up("2");
    assert_eq!(ask(stack.port).as_deref(), Ok("2"));
    let (asked, failed) = client.end();
    assert!(failed.is_empty(), "of {asked} requests {} failed: {:?}", failed.len(), failed.first());
    stack.said(&["down"]);
    stack.until("nothing is left of the stack", || {
        (stack.engine.containers("naru.instance").is_empty()).then_some(())
    });
}

/// What the web tier fetched from the other, at an address where the edge listens.
fn a_service_is_found_by_its_name(stack: &Stack) {
    stack.until("the tier behind answers", || {
        (get(stack.port, "/data").as_deref() == Ok("kept")).then_some(())
    });
    let table = stack.json(&["routes", "--json"]);
    let listeners = table["listeners"].as_array().unwrap();
    let for_containers = |one: &&Value| {
        one["name"].as_str().is_some_and(|name| name.starts_with("shop/data:5000@containers."))
    };
    let address =
        listeners.iter().find(for_containers).expect("a listener for containers")["address"].clone();
    let address = address.as_str().unwrap();
    assert!(address.starts_with("10.231."), "{address}");
    // Of this machine, and from a machine beside it that sends packets for it here.
    let host = Elsewhere::curl(&["curl"], address);
    assert_eq!(String::from_utf8_lossy(&host.stdout), "kept\n", "{host:?}");
    let other = Elsewhere::begin();
    let turned_away = Elsewhere::curl(&["ip", "netns", "exec", &other.name, "curl"], address);
    // Reset: while it connects still, or just after.
    assert!(matches!(turned_away.status.code(), Some(7 | 56)), "{turned_away:?}");
    assert_eq!(turned_away.stdout, b"", "{turned_away:?}");
    stack.until("the edge says why", || {
        let log = std::fs::read_to_string(stack.folder.path().join("home/log/edge.log")).ok()?;
        let told = log.lines().find(|line| line.contains("not of this machine"))?;
        (told.contains("198.51.100.2") && told.contains(address)).then_some(())
    });
}

/// Another machine on a wire to this one: a network namespace, with this host as its way to everywhere.
struct Elsewhere {
    name: String,
}

impl Elsewhere {
    fn begin() -> Elsewhere {
        let name = format!("naru{}", std::process::id());
        let elsewhere = Elsewhere { name: name.clone() };
        let wire = format!("w{}", std::process::id());
        for args in [
            format!("netns add {name}"),
            format!("link add {wire} type veth peer name eth0 netns {name}"),
            format!("addr add 198.51.100.1/24 dev {wire}"),
            format!("link set {wire} up"),
            format!("-n {name} addr add 198.51.100.2/24 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} route add default via 198.51.100.1"),
        ] {
            let output = Command::new("ip").args(args.split(' ')).output().unwrap();
            assert!(output.status.success(), "ip {args}: {output:?}");
        }
        elsewhere
    }

    fn curl(command: &[&str], address: &str) -> Output {
        let url = format!("http://{address}/");
        let args = [&command[1..], &["--silent", "--show-error", "--max-time", "60", &url]].concat();
        Command::new(command[0]).args(args).output().unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // Its wire ends with it.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// The keeper starts another, which finds the containers.
fn the_agent_is_killed(stack: &Stack) {
    let running = || {
        let mut all = stack.engine.containers("naru.service=web");
        all.sort();
        all
    };
    // Those of releases before are on their way out.
    let before = stack.until("two are left", || Some(running()).filter(|all| all.len() == 2));
    let pid = std::fs::read_to_string(stack.folder.path().join("home/agent.lock")).unwrap();
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("the agent's number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // An order that the next agent carries out shows that there is one.
    stack.said(&["restart", "beside"]);
    assert_eq!(running(), before, "the containers run on, and are no more");
    stack.up("5");
    assert_eq!(ask(stack.port).as_deref(), Ok("5"));
}

fn a_container_is_removed_by_hand(stack: &Stack) {
    let lost = stack.instances("web")[0]["id"].as_str().unwrap().to_owned();
    let container = stack.engine.containers(&format!("naru.instance={lost}")).pop().unwrap();
    stack.engine.remove_container(&container);
    stack.until("another takes its place", || {
        let all = stack.instances("web");
        let ready = all.iter().filter(|one| one["status"]["phase"] == "ready").count();
        let there = stack.engine.containers("naru.service=web");
        (ready == 2 && there.len() == 2 && !there.contains(&container)).then_some(())
    });
}

#[test]
fn an_engine_that_is_killed_in_the_middle_of_a_rollout_comes_back_to_a_true_receipt() {
    let _turn = crate::TURN.blocking_lock();
    let Some(mut stack) = stack(Kind::Docker) else { return };
    stack.up("1");
    stack.write("2");
    stack.said(&["up", "--detach"]);
    stack.engine.crash();
    pause(Duration::from_secs(2));
    stack.engine.run();
    stack.until("the release serves", || (ask(stack.port).as_deref() == Ok("2")).then_some(()));
    stack.until("two of the new release are ready, and no other is there", || {
        let all = stack.instances("web");
        let is_new = |one: &&Value| one["status"]["phase"] == "ready" && one["release"] == 2;
        (all.len() == 2 && all.iter().filter(is_new).count() == 2).then_some(())
    });
    let receipt = stack.until("the receipt is final", || {
        let receipt = stack.json(&["receipt", "2", "--json"]);
        (!receipt["ended"].is_null()).then_some(receipt)
    });
    assert_eq!(receipt["outcome"], "succeeded", "{receipt}");
    assert_eq!(stack.engine.containers("naru.service=web").len(), 2);
}

/// A stack as people have it today.
const COMPOSE: &str = r#"
services:
  web:
    image: IMAGE
    command: [sh, -c, "echo VERSION > /www/index.html; echo up VERSION; trap 'exit 0' TERM; httpd -p 8080 -h /www; while true; do sleep 0.1; done"]
    ports: ["127.0.0.1:PORT:8080"]
    restart: always
  data:
    image: IMAGE
    command: [sh, -c, "trap 'exit 0' TERM; echo kept > /data/index.html; while true; do sleep 0.1; done"]
    volumes: ["store:/data"]
  once:
    image: IMAGE
    command: ["true"]
    restart: "no"
volumes: { store: {} }
"#;

/// Docker Compose starts it, Naru takes it over with the same containers, and the next release is behind the edge.
#[test]
fn what_docker_compose_runs_is_imported_as_it_runs() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stack) = stack(Kind::Docker) else { return };
    let write = |version: &str| {
        let port = stack.port.to_string();
        let file = COMPOSE.replace("IMAGE", IMAGE).replace("VERSION", version).replace("PORT", &port);
        std::fs::write(stack.folder.path().join("compose.yaml"), file).unwrap();
    };
    write("1");
    let compose = Command::new("docker-compose")
        .args(["-p", "shop", "up", "-d"])
        .current_dir(stack.folder.path())
        .env("DOCKER_HOST", format!("unix://{}", stack.engine.socket().display()))
        .output()
        .unwrap();
    assert!(compose.status.success(), "{compose:?}");
    let theirs = |service: &str| stack.engine.containers(&format!("com.docker.compose.service={service}"));
    let (web, data) = (theirs("web"), theirs("data"));
    stack.until("it answers", || (ask(stack.port).as_deref() == Ok("1")).then_some(()));
    stack.until("the one-shot has succeeded", || {
        stack.said(&["import", "--dry-run"]).contains("has succeeded, and is not run again").then_some(())
    });
    stack.said(&["import", "shop"]);
    assert_eq!(ask(stack.port).as_deref(), Ok("1"));
    assert_eq!((theirs("web"), theirs("data")), (web, data.clone()), "the same containers");
    assert_eq!(stack.engine.containers("naru.instance"), Vec::<String>::new(), "and no others");
    assert!(stack.said(&["-p", "shop", "logs", "web"]).contains("up 1"));
    let unchanged = stack.naru(&["-p", "shop", "up"]);
    assert!(String::from_utf8_lossy(&unchanged.stderr).contains("everything is as the file says already"));
    write("2");
    let plan = stack.naru(&["-p", "shop", "plan"]);
    assert!(String::from_utf8_lossy(&plan.stdout).contains("the old container has its ports of the host"));
    stack.said(&["-p", "shop", "up", "--wait=done"]);
    stack.until("the edge has the port", || (ask(stack.port).as_deref() == Ok("2")).then_some(()));
    stack.until("the old container is gone", || theirs("web").is_empty().then_some(()));
    assert_eq!(theirs("data"), data, "what did not change runs on");
    // From now on a release has no gap.
    let client = Client::begin(stack.port);
    write("3");
    stack.said(&["-p", "shop", "up", "--wait=done"]);
    let (asked, failed) = client.end();
    assert_eq!((ask(stack.port).as_deref(), failed), (Ok("3"), vec![]), "of {asked}");
    stack.said(&["-p", "shop", "down"]);
    assert_eq!(theirs("data"), Vec::<String>::new());
}

pub fn pause(time: Duration) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(time);
    drop(sender);
}
