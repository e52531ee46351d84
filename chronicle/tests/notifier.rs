//! Who is told of what: events in, requests at a webhook out; through a server that refuses at first, and through restarts.

use naru_api::{Event, EventKind};
use naru_chronicle::{Chronicle, notifier};
use naru_home::{Home, wall};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Answers with these, then with 200; gives the bodies of what it took.
fn server(first: &'static [&'static str]) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, bodies) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for answer in first.iter().chain(std::iter::repeat(&"200 OK")) {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut reader = BufReader::new(&mut stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap_or(0) > 0 && !line.ends_with("\n\r\n") {
                if let Some(value) =
                    line.lines().last().and_then(|line| line.strip_prefix("content-length: "))
                {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            if answer.starts_with("200") && sender.send(String::from_utf8(body).unwrap()).is_err() {
                return;
            }
        }
    });
    (port, bodies)
}

fn configure(home: &Path, port: u16) {
    let url = home.join("chat.url");
    fs::write(&url, format!("http://127.0.0.1:{port}/")).unwrap();
    fs::set_permissions(&url, fs::Permissions::from_mode(0o600)).unwrap();
    let text = "channels:\n  chat: { type: webhook, url_file: chat.url }\nroutes:\n  - { kinds: [failed, request], to: chat }\n";
    fs::write(home.join("notify.yaml"), text).unwrap();
}

fn tell(chronicle: &Chronicle, kind: EventKind, text: &str) {
    let (time, stack, text) = (wall(), "shop".into(), text.to_string());
    let (service, instance, operation, actor) = (None, None, None, Some("kim".into()));
    chronicle.tell(&Event { time, kind, stack, service, instance, operation, actor, text });
}

async fn next(bodies: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(LIMIT, bodies.recv()).await.expect("it arrives").unwrap()
}

/// Until what is written down is so.
async fn until(home: &Home, is_so: impl Fn(&naru_chronicle::Post) -> bool) {
    let written = async {
        while !notifier::outbox(home.dir())
            .is_ok_and(|outbox| outbox.channels.get("chat").is_some_and(&is_so))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, written).await.expect("it is written down");
}

#[tokio::test]
async fn what_is_routed_is_sent_once_through_refusals_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let (port, mut bodies) = server(&["503 No"]);
    configure(dir.path(), port);
    let chronicle = Chronicle::open(&home).unwrap();
    tell(&chronicle, EventKind::OperationEnded, "deploy, release 1: failed");
    let first = tokio::spawn(notifier::run(home.clone()));
    until(&home, |chat| chat.sent == 0).await;
    tell(&chronicle, EventKind::OperationEnded, "deploy, release 2: succeeded");
    tell(&chronicle, EventKind::OperationEnded, "deploy, release 3: failed");
    let body = next(&mut bodies).await;
    assert!(body.contains("release 3: failed") && body.contains("shop: operation failed"), "{body}");
    until(&home, |chat| chat.sent == 1 && chat.last_error.is_some()).await;
    first.abort();
    let _ = first.await;
    // While no server ran.
    tell(&chronicle, EventKind::OperationEnded, "deploy, release 4: rolled back");
    let second = tokio::spawn(notifier::run(home.clone()));
    assert!(next(&mut bodies).await.contains("release 4"), "and not release 3 again");
    until(&home, |chat| chat.sent == 2).await;
    second.abort();
}
