//! People of a directory, through the binary: signed in by slapd, with what is granted to their groups, until the directory
//! says otherwise.

use crate::containers::pause;
use crate::slapd::{Authority, BY_SERVICE, GROUPS, Manner, PASSWORD, Slapd, configure, skip};
use crate::{command, naru};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The server, ended with the test.
struct Served {
    child: Child,
    url: String,
    fingerprint: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(folder: &Path) -> Served {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("https://127.0.0.1:{port}");
        let mut child = Command::new(naru())
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .env("NARU_HOME", folder.join("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut fingerprint = String::new();
        for line in lines.by_ref() {
            if let Some(at) = line.find("sha256:") {
                fingerprint =
                    line[at..].split_whitespace().next().unwrap().trim_end_matches([',', ')']).into();
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Served { child, url, fingerprint }
    }

    /// A person's command, elsewhere.
    fn person(&self, folder: &Path, args: &[&str], password: &str) -> Output {
        let mut child = Command::new(naru())
            .args(args)
            .env("NARU_HOME", folder.join("person"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that wants no password may not read it.
        let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
        child.wait_with_output().unwrap()
    }

    fn login(&self, folder: &Path, user: &str, password: &str) -> Result<(), String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let args =
                ["login", &self.url, "--user", user, "--password-stdin", "--fingerprint", &self.fingerprint];
            let done = self.person(folder, &args, password);
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            if done.status.success() {
                return Ok(());
            }
            // It begins to listen a moment after it says so.
            if !said.contains("Connection refused") || Instant::now() > deadline {
                return Err(said);
            }
            pause(Duration::from_millis(50));
        }
    }
}

fn can(folder: &Path, user: &str, action: &str) -> String {
    // "no" is a status of its own.
    command(folder, &["can", user, action, "stack/shop", "--json"]).unwrap_or_else(|error| error)
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        pause(Duration::from_millis(50));
    }
}

#[test]
fn who_comes_in_by_the_directory_may_what_their_groups_may_until_it_says_otherwise() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let folder = dir.path();
    let Some(slapd) = Slapd::start(&folder.join("slapd"), &authority, Manner::Strict) else {
        return skip("naru e2e directory");
    };
    std::fs::create_dir(folder.join("home")).unwrap();
    let servers = format!("\"ldap://localhost:{}\"", slapd.port);
    let times = "refresh: 1s\ntimeouts: { connect: 1s, tls: 1s, bind: 1s, search: 1s, sign_in: 3s }\n";
    configure(&folder.join("home"), &servers, &authority, &format!("{BY_SERVICE}{GROUPS}{times}"));
    let check = Command::new(naru())
        .args(["directory", "check"])
        .env("NARU_HOME", folder.join("home"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && said.contains("signed in as cn=naru,dc=example,dc=com"), "{said}");

    let served = Served::start(folder);
    served.login(folder, "lee", "another").expect_err("the password is another one");
    served.login(folder, "lee", PASSWORD).unwrap();
    command(folder, &["grant", "add", "group/ops", "--role", "operator", "--on", "stack/shop"]).unwrap();
    command(folder, &["grant", "add", "lee", "--role", "viewer", "--on", "stack/shop"]).unwrap();
    assert!(can(folder, "lee", "restart").contains("\"allowed\": true"));
    assert!(!can(folder, "lee", "deploy").contains("\"allowed\": true"));
    let listed = command(folder, &["user", "ls"]).unwrap();
    assert!(listed.contains("by the directory"), "{listed}");
    for order in [&["user", "groups", "lee", "admins"][..], &["user", "add", "lee", "--no-password"]] {
        command(folder, order).expect_err("the directory has the say");
    }
    let asked = |args: &[&str]| served.person(folder, &[&["--server", &served.url], args].concat(), "");
    assert!(asked(&["ls"]).status.success());

    // Taken out of the group there: gone here at the next look.
    slapd.change(
        "dn: cn=ops,ou=groups,dc=example,dc=com\nchangetype: modify\nreplace: member\nmember: cn=nobody\n\n",
    );
    until("the right is gone", || !can(folder, "lee", "restart").contains("\"allowed\": true"));
    let audit = command(folder, &["audit", "--action", "look-up"]).unwrap();
    assert!(audit.contains("groups of lee: none, before: ops"), "{audit}");

    // It stands still: whoever is in stays in, whoever comes is told.
    slapd.freeze();
    let refused = served.login(folder, "kim", PASSWORD).unwrap_err();
    assert!(refused.contains("the directory cannot be asked at present"), "{refused}");
    assert!(asked(&["ls"]).status.success());
    slapd.thaw();
    slapd.change("dn: uid=lee,ou=people,dc=example,dc=com\nchangetype: delete\n\n");
    until("the token has ended", || !asked(&["ls"]).status.success());
    let audit = command(folder, &["audit", "--action", "look-up"]).unwrap();
    assert!(audit.contains("the directory has lee no more"), "{audit}");
    let kept = std::fs::read_to_string(folder.join("home/audit/audit.jsonl")).unwrap();
    assert!(!kept.contains(PASSWORD) && !kept.contains("another"), "no password is in the audit");
}
