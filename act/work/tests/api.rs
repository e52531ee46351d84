//! The work API as a workload sees it, over real sockets, across lives of the agent.

use naru_model::InstanceId;
use naru_work::{Book, WorkServer};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One life of an agent.
struct Life {
    book: Book,
    server: JoinHandle<()>,
    url: String,
}

fn instance() -> InstanceId {
    "s.v.1.1".into()
}

impl Life {
    async fn begin(dir: &Path) -> Life {
        let book = Book::open(dir).unwrap();
        let url = book.admit(&instance()).unwrap();
        let server = WorkServer::bind(&book).await.unwrap();
        Life { book, server: tokio::spawn(server.run()), url }
    }

    async fn end(self) {
        self.server.abort();
        let _ = self.server.await;
    }

    async fn call(&self, method: &str, suffix: &str, body: &str) -> (u16, Value) {
        let (authority, path) = self.url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        raw(authority, method, &format!("/{path}{suffix}"), body).await
    }

    async fn take(&self, name: &str, ttl: Value) -> String {
        let (status, body) = self.call("POST", "", &json!({ "name": name, "ttl": ttl }).to_string()).await;
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().into()
    }
}

async fn raw(authority: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}", body.len());
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap())
}

#[tokio::test]
async fn a_lease_is_taken_kept_and_ended() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    let (status, taken) = life.call("POST", "", r#"{"name":"page 7","ttl":"30s"}"#).await;
    assert_eq!((status, &taken["quiet"], &taken["ttl"]), (201, &json!(false), &json!(30.0)));
    let id = taken["id"].as_str().unwrap();
    let kept = life.call("PUT", &format!("/{id}"), r#"{"progress":0.5,"note":"half"}"#).await;
    assert_eq!(kept, (200, json!({ "quiet": false })));
    let (_, seen) = life.call("GET", "", "").await;
    let job = &seen["jobs"][0];
    assert_eq!(
        (&job["name"], &job["progress"], &job["note"]),
        (&json!("page 7"), &json!(0.5), &json!("half"))
    );
    assert_eq!(life.call("DELETE", &format!("/{id}?outcome=failed"), "").await.0, 200);
    for method in ["DELETE", "PUT"] {
        let (status, gone) = life.call(method, &format!("/{id}"), "").await;
        assert_eq!((status, &gone["error"]), (410, &json!("the lease has ended: failed")));
    }
    assert_eq!(life.book.read(&instance(), |ledger| ledger.counts().jobs_failed), 1);
    life.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    let long = json!({ "name": "x".repeat(20_000) }).to_string();
    let cases = [
        ("POST", "", "{}", 400, "the lease has no name"),
        ("POST", "", r#"{"name":"x","ttl":0.5}"#, 400, "the ttl is 500 ms, and must be from 1.0 s to 1 h"),
        ("POST", "", r#"{"name":"x","ttl":"soon"}"#, 400, "\"soon\" is no duration"),
        ("POST", "", r#"{"nam":"x"}"#, 400, "the body is not understood: unknown field `nam`"),
        ("POST", "", &long, 413, "the body has more than 16384 bytes"),
        ("PUT", "/77", "", 404, "no such lease"),
        ("PUT", "", "", 405, "this method does nothing here"),
        ("DELETE", "/77?outcome=great", "", 400, "?outcome=great is not understood"),
        ("GET", "?wait=for-it", "", 400, "?wait=for-it is not understood"),
        ("GET", "x", "", 404, "no instance has this address"),
    ];
    for (method, suffix, body, status, error) in cases {
        let (got, said) = life.call(method, suffix, body).await;
        assert_eq!(got, status, "{method} {suffix}: {said}");
        assert!(said["error"].as_str().unwrap().starts_with(error), "{said}");
        assert!(!said["hint"].as_str().unwrap().is_empty());
    }
    life.end().await;
}

#[tokio::test]
async fn quiet_is_told_and_a_closed_ledger_gives_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    let id = life.take("a", json!(30)).await;
    let wait = life.call("GET", "?wait=quiet", "");
    let tell = async {
        tokio::task::yield_now().await;
        life.book.quiet(&instance()).await.unwrap();
    };
    let ((_, seen), ()) = tokio::join!(wait, tell);
    assert_eq!(seen["quiet"], json!(true));
    let (status, late) = life.call("POST", "", r#"{"name":"begun already"}"#).await;
    assert_eq!((status, &late["quiet"]), (201, &json!(true)));
    assert_eq!(life.book.close(&instance()).await.unwrap(), Err(2));
    for id in [id.as_str(), late["id"].as_str().unwrap()] {
        assert_eq!(life.call("DELETE", &format!("/{id}"), "").await.0, 200);
    }
    assert_eq!(life.book.close(&instance()).await.unwrap(), Ok(()));
    let (status, refused) = life.call("POST", "", r#"{"name":"too late"}"#).await;
    assert_eq!(status, 409);
    assert_eq!(refused["error"], json!("the instance is being stopped and takes no new work"));
    life.end().await;
}

#[tokio::test]
async fn another_life_has_the_same_address_and_every_lease() {
    let dir = tempfile::tempdir().unwrap();
    let life = Life::begin(dir.path()).await;
    let (first, url) = (life.take("a", json!("1s")).await, life.url.clone());
    let second = life.take("b", json!(30)).await;
    assert_eq!(life.call("DELETE", &format!("/{second}"), "").await.0, 200);
    life.book.quiet(&instance()).await.unwrap();
    life.end().await;

    let file = dir.path().join("s.v.1.1.ledger");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(br#"{"took":{"id":"9"#);
    std::fs::write(&file, torn).unwrap();
    let life = Life::begin(dir.path()).await;
    assert_eq!(life.url, url);
    let (_, seen) = life.call("GET", "", "").await;
    assert_eq!((&seen["quiet"], &seen["jobs"][0]["id"]), (&json!(true), &json!(first)));
    let third = life.take("c", json!(30)).await;
    assert!(third > second, "{third} {second}");
    let mut changed = life.book.changed();
    changed.wait_for(|_| life.book.read(&instance(), |ledger| ledger.counts().jobs_lost == 1)).await.unwrap();
    let (status, gone) = life.call("DELETE", &format!("/{first}"), "").await;
    assert_eq!((status, &gone["error"]), (410, &json!("the lease has ended: lost, no heartbeat for 1.0 s")));
    life.book.remove(&instance()).await.unwrap();
    assert!(!file.exists());
    assert_eq!(life.call("GET", "", "").await.0, 404);
    life.end().await;
}

#[tokio::test]
async fn files_are_for_the_owner_alone_and_a_long_one_is_written_anew() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("work");
    let life = Life::begin(&home).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = home.join("s.v.1.1.ledger");
    assert_eq!((mode(&home), mode(&file), mode(&home.join("port"))), (0o700, 0o600, 0o600));
    let began = Instant::now();
    for _ in 0..64 {
        let jobs = (0..40).map(|_| async {
            let id = life.take("x", json!(30)).await;
            life.call("DELETE", &format!("/{id}"), "").await
        });
        let all = futures_util::future::join_all(jobs).await;
        assert!(all.iter().all(|(status, _)| *status == 200));
    }
    println!("{} leases taken and ended a second", (2_560.0 / began.elapsed().as_secs_f64()).round());
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    assert!(lines < 4_096, "{lines}");
    life.end().await;
    let life = Life::begin(&home).await;
    assert_eq!(life.book.read(&instance(), |ledger| ledger.counts().jobs), 2_560);
    tokio::time::timeout(Duration::from_secs(5), life.end()).await.unwrap();
}
