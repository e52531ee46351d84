//! Channels against servers that are not Naru's: an HTTP server of the test's own, which checks the signature as the guide says,
//! and Debian's aiosmtpd.

use naru_model::Time;
use naru_notify::{Channels, Fault, Notice, load, signature};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECRET: &str = "between the two of us";

/// Nothing takes so long on a busy machine.
const ANSWERED: Duration = Duration::from_secs(60);

fn secret(home: &Path, name: &str, text: &str) {
    let path = home.join(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn notice() -> Notice {
    Notice {
        time: Time(1_700_000_000_000),
        title: "shop: operation failed".into(),
        text: "deploy, release 2: failed".into(),
        link: None,
        fields: vec![("stack".into(), "shop".into())],
    }
}

/// A request as it came.
struct Request {
    head: String,
    body: Vec<u8>,
}

fn take(stream: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let mut body = vec![0; field("content-length").unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Request { head, body }
}

/// Answers one request after the other with these; gives the requests.
fn server(answers: Vec<&'static str>) -> (u16, mpsc::Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, (sender, requests)) = (listener.local_addr().unwrap().port(), mpsc::channel());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let request = take(&mut stream);
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").unwrap();
            sender.send(request).unwrap();
        }
    });
    (port, requests)
}

fn by_webhook(home: &Path, url: &str) -> Channels {
    secret(home, "chat.url", url);
    secret(home, "chat.secret", SECRET);
    let text = "channels:\n  chat: { type: webhook, url_file: chat.url, secret_file: chat.secret }\n";
    fs::write(home.join("notify.yaml"), text).unwrap();
    load(home).unwrap().unwrap()
}

async fn sent(channels: &Channels, name: &str) -> Result<(), Fault> {
    tokio::time::timeout(ANSWERED, channels.channels[name].send(&notice())).await.expect("it is answered")
}

#[tokio::test]
async fn a_webhook_is_signed_and_says_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (port, requests) = server(vec!["200 OK"]);
    let channels = by_webhook(dir.path(), &format!("http://127.0.0.1:{port}/hook/T0/secret"));
    sent(&channels, "chat").await.unwrap();
    let Request { head, body } = requests.recv_timeout(ANSWERED).unwrap();
    assert!(head.starts_with("POST /hook/T0/secret HTTP/1.1"), "{head}");
    let said = head.lines().find_map(|line| line.strip_prefix("naru-signature: ")).unwrap();
    let seconds: u64 = said.split([',', '=']).nth(1).unwrap().parse().unwrap();
    assert_eq!(said, signature(SECRET, seconds, &body));
    assert_ne!(said, signature(SECRET, seconds, b"{}"), "of this body");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(seconds) < 120);
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["text"], "shop: operation failed");
    assert_eq!(json["attachments"][0]["fields"][0]["value"], "shop");
}

#[tokio::test]
async fn what_may_pass_is_told_from_what_lasts_and_no_fault_tells_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let (port, _requests) =
        server(vec!["404 Not Found", "403 Forbidden", "302 Found", "500 Oh", "429 Slow", "503 No"]);
    let channels = by_webhook(dir.path(), &format!("http://127.0.0.1:{port}/hook/T0/secret"));
    for lasting in [true, true, true, false, false, false] {
        let fault = sent(&channels, "chat").await.unwrap_err();
        assert_eq!(matches!(fault, Fault::Lasting(_)), lasting, "{fault}");
        assert!(!fault.to_string().contains("T0"), "{fault}");
    }
    let nobody = sent(&channels, "chat").await.unwrap_err();
    assert!(matches!(nobody, Fault::Passing(_)), "nobody listens any more: {nobody}");
}

#[test]
fn secrets_are_for_their_owner_and_plain_http_is_for_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    by_webhook(dir.path(), "https://hooks.example.com/T0/secret");
    let wrong = || load(dir.path()).err().unwrap().to_string();
    for url in ["http://hooks.example.com/T0", "ftp://127.0.0.1/", "hooks", "http://127.0.0.1.example.com/"] {
        secret(dir.path(), "chat.url", url);
        assert!(
            wrong().contains("a webhook's address is https://") || wrong().contains("no address"),
            "{url}"
        );
        assert!(!wrong().contains("T0"), "{}", wrong());
    }
    fs::set_permissions(dir.path().join("chat.url"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(wrong().contains("chmod 600"), "{}", wrong());
}

/// Debian's aiosmtpd, which says each mail on its standard output.
struct Mails {
    child: Child,
    port: u16,
    lines: mpsc::Receiver<String>,
}

impl Drop for Mails {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SERVER: &str = "
import asyncio, sys
from aiosmtpd.controller import Controller
class Handler:
    async def handle_DATA(self, server, session, envelope):
        print(envelope.mail_from, envelope.rcpt_tos, envelope.content.decode().replace('\\r\\n', '|'), flush=True)
        return '250 taken'
controller = Controller(Handler(), hostname='127.0.0.1', port=int(sys.argv[1]))
controller.start()
print('ready', flush=True)
sys.stdin.read()
";

impl Mails {
    fn start(port: u16) -> Option<Mails> {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (sender, lines) = mpsc::channel();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mails = Mails { child, port, lines };
        mails.lines.recv_timeout(ANSWERED).ok().filter(|line| line == "ready")?;
        Some(mails)
    }
}

#[tokio::test]
async fn a_mail_arrives_and_a_server_that_was_gone_takes_the_next_one() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(mails) = Mails::start(port) else {
        let why = "Debian's package python3-aiosmtpd is not installed";
        let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else { panic!("{why}") };
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        return writeln!(file, "naru-notify mail: {why}").unwrap();
    };
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "channels:\n  ops: {{ type: mail, server: \"smtp://127.0.0.1:{}\", from: naru@example.com, to: [ops@example.com, kim@example.com] }}\n",
        mails.port
    );
    fs::write(dir.path().join("notify.yaml"), text).unwrap();
    let channels = load(dir.path()).unwrap().unwrap();
    sent(&channels, "ops").await.unwrap();
    let mail = mails.lines.recv_timeout(ANSWERED).unwrap();
    for part in [
        "naru@example.com ['ops@example.com', 'kim@example.com']",
        "Subject: shop: operation failed",
        "stack: shop",
    ] {
        assert!(mail.contains(part), "{part}\n{mail}");
    }
    drop(mails);
    let gone = sent(&channels, "ops").await.unwrap_err();
    assert!(matches!(gone, Fault::Passing(_)), "{gone}");
    let mails = Mails::start(port).unwrap();
    sent(&channels, "ops").await.unwrap();
    mails.lines.recv_timeout(ANSWERED).unwrap();
}
