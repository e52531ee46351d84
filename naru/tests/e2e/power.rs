//! Services that sleep, in a real server: at the end of their hours with work in progress, when nobody uses them, by a
//! person's word; and how requests and people wake them. What became of work is counted from outside.

use crate::command;
use crate::containers::pause;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A service with this power, which listens on `address` as file `web`.
pub fn write(folder: &Path, power: &str) {
    let exe = crate::naru().display();
    let file = format!(
        "name: shop\nservices:\n  web:\n    image: x\n    \
         ports: [{{ target: 80, host_ip: 127.0.0.1, app_protocol: http }}]\n    \
         deploy: {{ update_config: {{ monitor: 0s }} }}\n    x-naru:\n      \
         process: {{ command: [\"{exe}\", demo-tier, \"1\"] }}\n      health: {{ http: /healthz }}\n      \
         power: {{ {power} }}\n"
    );
    std::fs::write(folder.join("compose.yaml"), file).unwrap();
}

fn json(folder: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&command(folder, args).unwrap()).unwrap()
}

/// Where the service is reached from outside.
pub fn address(folder: &Path) -> String {
    let table = json(folder, &["routes", "--json"]);
    let mut listeners = table["listeners"].as_array().unwrap().iter();
    let published = listeners.find(|one| !one["name"].as_str().unwrap().contains("@internal")).unwrap();
    published["address"].as_str().unwrap().to_owned()
}

fn power(folder: &Path) -> Value {
    json(folder, &["power", "--json"])[0]["services"][0]["power"].clone()
}

/// Waits until the service is so.
pub fn until(folder: &Path, state: &str) -> Value {
    let deadline = Instant::now() + LIMIT;
    loop {
        let power = power(folder);
        if power["state"] == state {
            return power;
        }
        assert!(Instant::now() < deadline, "it is not {state}: {power}");
        pause(Duration::from_millis(50));
    }
}

/// The whole answer to a request with these fields.
pub fn ask(address: &str, target: &str, fields: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: t\r\n{fields}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A websocket that says something, hears it, and closes in order after so long: whether all of that went well.
fn stream(address: String, open_for: Duration) -> JoinHandle<bool> {
    spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let head = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let frame = |stream: &mut TcpStream| {
            let mut head = [0; 2];
            stream.read_exact(&mut head).unwrap();
            let mut body = vec![0; usize::from(head[1])];
            stream.read_exact(&mut body).unwrap();
            (head[0], body)
        };
        let _name = frame(&mut stream);
        pause(open_for);
        // Masked with zeros: what is said stays what it is.
        stream.write_all(b"\x81\x82\0\0\0\0hi").unwrap();
        let (kind, said) = frame(&mut stream);
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
        let (closed, _) = frame(&mut stream);
        kind == 0x81 && said == b"hi" && closed == 0x88
    })
}

/// Takes the reports of jobs, by name, for as long as anybody sends some.
fn reports() -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/report", listener.local_addr().unwrap());
    let taken = spawn(move || {
        let mut names = Vec::new();
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap();
            let head = String::from_utf8_lossy(&buffer[..n]).into_owned();
            names
                .extend(head.split("job=").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        }
        names.sort();
        names
    });
    (address, taken)
}

/// `HH:MM` of a minute since the beginning of 1970, in UTC.
fn clock(minute: u64) -> String {
    format!("{:02}:{:02}", minute / 60 % 24, minute % 60)
}

fn play_hours(folder: &Path) {
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The end of its hours is the next minute that leaves time enough to begin the work.
    let begin = (wall().as_secs() + 15).div_ceil(60);
    let hours = format!("off: \"Mon-Sun {}-{}\"", clock(begin), clock(begin + 720));
    write(folder, &hours);
    command(folder, &["up"]).unwrap();
    assert_eq!(power(folder)["state"], "on");
    let address = address(folder);
    let left = Duration::from_secs(begin * 60).saturating_sub(wall());
    // Begun now, all of it ends some seconds after the stop time.
    let lasts = left + Duration::from_secs(4);
    let (report, reported) = reports();
    for n in 0..5 {
        let target = format!("/jobs?name=j{n}&ms={}&report={report}", lasts.as_millis());
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    let streams: Vec<_> = (0..5).map(|_| stream(address.clone(), lasts)).collect();
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (address, target) = (address.clone(), format!("/read?ms={}", lasts.as_millis()));
            spawn(move || ask(&address, &target, ""))
        })
        .collect();
    until(folder, "falling-asleep");
    let answers: Vec<String> = requests.into_iter().map(|one| one.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 200")).count(), 20, "{answers:?}");
    assert_eq!(streams.into_iter().map(|one| u32::from(one.join().unwrap())).sum::<u32>(), 5);
    assert_eq!(reported.join().unwrap(), ["j0", "j1", "j2", "j3", "j4"]);
    until(folder, "asleep");
    let history = json(folder, &["history", "--json"]);
    let is_sleep = |one: &&Value| one["kind"]["sleep"].is_object();
    let sleep =
        history.as_array().unwrap().iter().find(is_sleep).unwrap_or_else(|| panic!("no sleep: {history}"));
    let receipt = json(folder, &["receipt", &sleep["id"].to_string(), "--wait", "--json"]);
    let lines = receipt["receipt"]["instances"].as_object().unwrap();
    let line = lines.values().next().unwrap();
    let during = |kind: &str| line["during"][kind].as_u64().unwrap();
    assert_eq!(["requests", "streams", "jobs"].map(during), [20, 5, 5], "{receipt}");
    let lost = ["requests_lost", "streams_lost", "jobs_lost", "cut", "handed_over"].map(during);
    assert_eq!(lost, [0; 5], "{receipt}");
    is_metered(folder);
}

/// The hours that it was on and asleep are in what the month came to, and cost what they cost.
fn is_metered(folder: &Path) {
    let node = std::fs::read_to_string(folder.join("home/node")).unwrap();
    let prices = format!("currency: USD\nmachines: {{ {}: {{ hour: 3600 }} }}\n", node.trim());
    std::fs::write(folder.join("home/prices.yaml"), prices).unwrap();
    let deadline = Instant::now() + LIMIT;
    loop {
        let month = json(folder, &["cost", "--json"]);
        let rows = month["rows"].as_array().unwrap();
        let row = |what: &str| rows.iter().find(|row| row["what"] == what).cloned().unwrap_or_default();
        let web = row("service/shop/web");
        let has = |key: &str| web[key].as_u64().is_some_and(|value| value > 0);
        if ["on", "instances", "asleep", "freed", "cost"].into_iter().all(has) {
            assert_eq!(row("stack/shop")["cost"], web["cost"], "{month}");
            assert_eq!((&web["saved"], &month["currency"]), (&Value::Null, &Value::from("USD")), "{month}");
            return;
        }
        assert!(Instant::now() < deadline, "{month}");
        pause(Duration::from_millis(200));
    }
}

#[test]
fn at_the_end_of_its_hours_a_service_finishes_all_its_work_and_then_it_sleeps() {
    in_a_folder(play_hours);
}

fn play_wakes(folder: &Path) {
    write(folder, "idle_after: 1s, hold: 30s, ignore: { paths: [/healthz], user_agents: [probe] }");
    command(folder, &["up"]).unwrap();
    let address = address(folder);
    until(folder, "asleep");
    assert_eq!(json(folder, &["ps", "--json"]), Value::Array(vec![]));
    // What does not wake it is told at once; it sleeps on.
    for (target, fields) in [("/healthz", ""), ("/read", "User-Agent: a-Probe/1\r\n")] {
        let answer = ask(&address, target, fields);
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: "), "{answer}");
        assert!(answer.contains("X-Naru-Reason: the service is asleep"), "{answer}");
    }
    assert_eq!(power(folder)["state"], "asleep");
    // Whoever really asks waits, and is answered: ten at once, by one start.
    let clients: Vec<_> = (0..10)
        .map(|_| {
            let address = address.clone();
            spawn(move || ask(&address, "/read", ""))
        })
        .collect();
    for client in clients {
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    until(folder, "asleep");
    let history = command(folder, &["history"]).unwrap();
    assert_eq!(history.matches("wake web").count(), 1, "{history}");
    // A person keeps it on, whoever uses it; and no longer than is said.
    let woken = command(folder, &["wake", "web", "--for", "10m", "--reason", "a demo"]).unwrap();
    assert_eq!(power(folder)["state"], "on", "{woken}");
    let shown = command(folder, &["power"]).unwrap();
    assert!(shown.contains("woke it: a demo"), "{shown}");
    let refused = command(folder, &["extend", "web", "--for", "20h"]).unwrap_err();
    assert!(refused.contains("may be kept on for 12 h"), "{refused}");
    assert!(ask(&address, "/read", "").starts_with("HTTP/1.1 200"));
    // The server's end changes nothing of it.
    kill(folder, "server");
    assert_eq!(until(folder, "on")["wants"][0]["want"], "wake");
    command(folder, &["sleep", "web"]).unwrap();
    assert_eq!(power(folder)["state"], "asleep");
    // A deploy wakes it, to see that the new release serves.
    let file = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
    std::fs::write(folder.join("compose.yaml"), file.replace("\"1\"", "\"2\"")).unwrap();
    command(folder, &["up"]).unwrap();
    until(folder, "asleep");
    let answer = ask(&address, "/read", "");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('2'), "{answer}");
}

/// Kills a role with SIGKILL; the keeper starts it again.
fn kill(folder: &Path, role: &str) {
    let pid = std::fs::read_to_string(folder.join(format!("home/{role}.lock"))).unwrap();
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn who_asks_wakes_a_service_that_nobody_used() {
    in_a_folder(play_wakes);
}

/// A browser is shown a page while the service is on its way, which asks again by itself.
fn play_page(folder: &Path) {
    write(folder, "off: \"Mon-Sun\", hold: 1s");
    let file = std::fs::read_to_string(folder.join("compose.yaml")).unwrap();
    let exe = crate::naru().display().to_string();
    let slow = format!("[sh, -c, \"until [ -e go ]; do sleep 0.1; done; exec {exe} demo-tier 1\"]");
    let file = file.replace(&format!("[\"{exe}\", demo-tier, \"1\"]"), &slow);
    std::fs::write(folder.join("compose.yaml"), file).unwrap();
    std::fs::write(folder.join("go"), "").unwrap();
    command(folder, &["up"]).unwrap();
    command(folder, &["sleep", "web"]).unwrap();
    std::fs::remove_file(folder.join("go")).unwrap();
    let address = address(folder);
    let page = ask(&address, "/read", "Accept: text/html,*/*;q=0.8\r\n");
    assert!(page.starts_with("HTTP/1.1 503"), "{page}");
    assert!(page.contains("Content-Type: text/html") && page.contains("http-equiv=\"refresh\""), "{page}");
    let plain = ask(&address, "/read", "Accept: application/json\r\n");
    assert!(plain.contains("Retry-After: ") && !plain.contains("<html"), "{plain}");
    assert_eq!(power(folder)["state"], "waking");
    std::fs::write(folder.join("go"), "").unwrap();
    until(folder, "on");
    assert!(ask(&address, "/read", "Accept: text/html\r\n").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_browser_is_shown_a_page_while_a_service_wakes() {
    in_a_folder(play_page);
}

fn in_a_folder(play: fn(&Path)) {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let played = std::panic::catch_unwind(|| play(folder.path()));
    let ended = command(folder.path(), &["down", "--cut", "--yes"])
        .and_then(|_| command(folder.path(), &["shutdown"]));
    if let Err(failed) = played {
        std::panic::resume_unwind(failed);
    }
    ended.unwrap();
}
