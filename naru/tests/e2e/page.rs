//! The web page in a real browser, and the service desk behind it: somebody without the right asks, another approves, the
//! service is on, and its request is served.

use crate::browser::Browser;
use crate::containers::pause;
use crate::power::{address, ask, until, write};
use crate::{TURN, command, engine, naru};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PASSWORD: &str = "correct horse battery";

/// A server that is reached by the network.
struct Far {
    dir: tempfile::TempDir,
    keeper: Child,
    port: u16,
}

impl Far {
    fn start(power: &str) -> Far {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut serve = Command::new(naru());
        serve.args(["serve", "--listen", &format!("127.0.0.1:{port}")]).current_dir(dir.path());
        serve.env("NARU_HOME", dir.path().join("home")).stdin(Stdio::null());
        let log = std::fs::File::create(dir.path().join("serve.log")).unwrap();
        let keeper = serve.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let far = Far { dir, keeper, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while command(far.folder(), &["ls"]).is_err() {
            assert!(Instant::now() < deadline, "the server does not come");
            pause(Duration::from_millis(50));
        }
        write(far.folder(), power);
        command(far.folder(), &["up", "--progress", "quiet"]).unwrap();
        for user in ["kim", "lee"] {
            far.typed(&["user", "add", user, "--password-stdin"]);
        }
        command(far.folder(), &["grant", "add", "lee", "--role", "admin", "--on", "shop"]).unwrap();
        far
    }

    fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// A command that reads a password.
    fn typed(&self, args: &[&str]) {
        let mut command = Command::new(naru());
        command.args(args).current_dir(self.folder()).env("NARU_HOME", self.folder().join("home"));
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&command(self.folder(), args).unwrap()).unwrap()
    }

    fn end(mut self) {
        command(self.folder(), &["down", "--progress", "quiet"]).unwrap();
        command(self.folder(), &["shutdown"]).unwrap();
        self.keeper.wait().unwrap();
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = command(self.dir.path(), &["shutdown", "--cut", "--yes"]);
        let _ = self.keeper.wait();
    }
}

fn sign_in(browser: &Browser, far: &Far, user: &str) {
    browser.go(&far.url("/"));
    browser.type_into("#user", user);
    browser.type_into("#password", PASSWORD);
    browser.click("main form button");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_the_right_asks_and_another_turns_it_on() {
    let _turn = TURN.lock().await;
    let Some(kim) = Browser::start("en", 1100) else {
        engine::skip("Chromium's driver is not there");
        return;
    };
    let far = Far::start("idle_after: 1h, wake: person");
    command(far.folder(), &["grant", "add", "kim", "--role", "viewer", "--on", "shop"]).unwrap();
    command(far.folder(), &["sleep", "--progress", "quiet"]).unwrap();
    until(far.folder(), "asleep");

    kim.go(&far.url("/"));
    kim.until("Sign in");
    kim.picture("0-sign-in");
    sign_in(&kim, &far, "kim");
    kim.until("asleep");
    kim.type_into(".act > .ask input[name=reason]", "a demo at nine");
    kim.picture("1-asleep");
    kim.click(".act > .ask button");
    kim.until("Waiting for somebody to decide");
    kim.picture("2-asked");

    let lee = Browser::start("ko", 1100).unwrap();
    sign_in(&lee, &far, "lee");
    lee.until("서비스");
    lee.click("nav a[href='/requests']");
    lee.until("결정을 기다리는 요청");
    lee.picture("3-to-decide-ko");
    lee.click(".decide button");
    lee.until("lee 님이 승인");

    kim.until("approved by lee");
    kim.picture("4-approved");
    kim.click("main p > a.button");
    kim.until("Open");
    kim.picture("5-on");
    let open = kim.attribute("a.button[rel]", "href");
    assert_eq!(open.trim_end_matches('/'), format!("http://{}", address(far.folder())));
    assert!(ask(&address(far.folder()), "/read", "").starts_with("HTTP/1.1 200"), "its request is served");
    let wake = &until(far.folder(), "on")["wants"][0];
    assert_eq!((wake["want"].as_str(), wake["owner"].as_str()), (Some("wake"), Some("kim")));

    // The same on a phone. No page runs a script anywhere: its policy has none.
    let phone = Browser::start("ko", 390).unwrap();
    sign_in(&phone, &far, "kim");
    phone.until("켜짐");
    phone.picture("6-phone-ko");
    phone.go(&far.url("/requests"));
    phone.until("완료");
    phone.picture("7-phone-requests-ko");
    phone.click("a.language");
    phone.until("Services");
    phone.picture("8-phone-en");
    let tokens = || far.json(&["token", "ls", "--json"]).as_array().unwrap().len();
    let before = tokens();
    phone.click("form[action='/sign-out'] button");
    phone.until("Sign in");
    assert_eq!(tokens(), before - 1, "signing out ends the token");
    far.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_done_once_though_the_server_is_killed_in_the_middle() {
    let _turn = TURN.lock().await;
    let far = Far::start("idle_after: 1h, wake: person");
    let log = std::fs::read_to_string(far.folder().join("serve.log")).unwrap();
    let at = log.find("sha256:").expect("the server tells its fingerprint");
    let print = log[at..].split_whitespace().next().unwrap().to_string();
    let (kim, url) = (far.folder().join("kim"), far.url(""));
    let as_kim = |args: &[&str]| {
        let mut command = Command::new(naru());
        command.args(args).current_dir(far.folder()).env("NARU_HOME", &kim).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let _ = writeln!(child.stdin.take().unwrap(), "{PASSWORD}");
        child.wait().unwrap().success()
    };
    assert!(as_kim(&["login", &url, "--user", "kim", "--password-stdin", "--fingerprint", &print]));
    for round in 1..=6_u64 {
        let request = ["--server", &url, "request", "restart", "shop/web", "--reason", "it hangs"];
        assert!(as_kim(&request), "round {round}");
        let id = round.to_string();
        let mut approve = Command::new(naru());
        approve.args(["approve", &id]).current_dir(far.folder()).env("NARU_HOME", far.folder().join("home"));
        let mut approving = approve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        pause(Duration::from_millis(round * 4));
        kill_server(far.folder());
        approving.wait().unwrap();
        let state = settled(&far, round);
        if state == "open" {
            while command(far.folder(), &["approve", &id]).is_err() {
                pause(Duration::from_millis(50));
            }
        }
        assert_eq!(settled(&far, round), "done", "round {round}");
        assert!(command(far.folder(), &["approve", &id]).unwrap_err().contains("done already"));
        let history = command(far.folder(), &["history", "--json"]).unwrap();
        assert_eq!(history.matches(&format!("(request {id}, approved by")).count(), 1, "round {round}");
    }
    far.end();
}

/// Kills the server of this folder's home; its keeper starts another.
fn kill_server(folder: &Path) {
    let home = folder.join("home");
    if let Some(pid) = naru_bench::roles::pid(&home, "server") {
        naru_bench::roles::kill(pid).unwrap();
    }
}

/// Where a request is, once a server answers.
fn settled(far: &Far, id: u64) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match command(far.folder(), &["request", "show", &id.to_string(), "--json"]) {
            Ok(text) => {
                let view: Value = serde_json::from_str(&text).unwrap();
                return view["state"].as_str().unwrap().into();
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        pause(Duration::from_millis(50));
    }
}
