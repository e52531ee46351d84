//! `naru work run` against a real ledger.

use naru_model::{InstanceId, Span};
use naru_work::{Book, RunConfig, RunError, WorkServer, run};
use std::path::Path;
use tokio::task::JoinHandle;

fn instance() -> InstanceId {
    "s.v.1.1".into()
}

async fn begin(dir: &Path) -> (Book, JoinHandle<()>, String) {
    let book = Book::open(dir).unwrap();
    let url = book.admit(&instance()).unwrap();
    let server = WorkServer::bind(&book).await.unwrap();
    (book, tokio::spawn(server.run()), url)
}

fn config(url: &str, script: &str) -> RunConfig {
    let command = ["/bin/sh", "-c", script].map(String::from).to_vec();
    RunConfig { url: Some(url.into()), name: None, ttl: Some(Span::secs(3)), command }
}

/// Until the ledger is as wanted.
async fn until(book: &Book, wanted: impl Fn(&naru_supervise::lease::Ledger) -> bool) {
    let mut changed = book.changed();
    changed.wait_for(|_| book.read(&instance(), &wanted)).await.unwrap();
}

#[tokio::test]
async fn the_lease_lives_as_long_as_the_command() {
    let dir = tempfile::tempdir().unwrap();
    let (book, server, url) = begin(dir.path()).await;
    let fifo = dir.path().join("gate");
    let script = format!("mkfifo {0} && read line < {0}; exit 3", fifo.display());
    let running = tokio::spawn(run(config(&url, &script)));
    until(&book, |ledger| ledger.open() == 1).await;
    let name = book.read(&instance(), |ledger| ledger.jobs().next().unwrap().name.clone());
    assert!(name.starts_with("/bin/sh -c mkfifo"), "{name}");
    // Opening waits for the reader, and the line lets the command end.
    tokio::task::spawn_blocking(move || {
        while !fifo.exists() {
            std::thread::yield_now();
        }
        std::fs::write(fifo, "go\n").unwrap();
    });
    assert_eq!(running.await.unwrap().unwrap(), 3);
    assert_eq!(book.read(&instance(), |ledger| (ledger.open(), ledger.counts().jobs_failed)), (0, 1));
    server.abort();
}

#[tokio::test]
async fn an_agent_that_comes_and_goes_is_ridden_out() {
    let dir = tempfile::tempdir().unwrap();
    let (book, server, url) = begin(dir.path()).await;
    let begun = dir.path().join("begun");
    let running = tokio::spawn(run(config(&url, &format!("touch {}; sleep 2", begun.display()))));
    // The command begins once its lease is on disk; in memory it is earlier.
    let is_begun = tokio::task::spawn_blocking(move || {
        while !begun.exists() {
            std::thread::yield_now();
        }
    });
    is_begun.await.unwrap();
    server.abort();
    let _ = server.await;
    drop(book);
    let (book, server, again) = begin(dir.path()).await;
    assert_eq!(again, url);
    assert_eq!(book.read(&instance(), |ledger| ledger.open()), 1);
    assert_eq!(running.await.unwrap().unwrap(), 0);
    assert_eq!(book.read(&instance(), |ledger| (ledger.open(), ledger.counts().jobs)), (0, 1));
    server.abort();
}

#[tokio::test]
async fn without_a_lease_nothing_is_begun() {
    let dir = tempfile::tempdir().unwrap();
    let (book, server, url) = begin(dir.path()).await;
    let mark = dir.path().join("mark");
    let script = format!("touch {}", mark.display());
    book.close(&instance()).await.unwrap().unwrap();
    let refused = run(config(&url, &script)).await.unwrap_err();
    assert_eq!(refused.exit_status(), 125);
    assert!(
        refused.to_string().ends_with("the instance is being stopped and takes no new work"),
        "{refused}"
    );
    let none = run(RunConfig { url: None, ..config(&url, &script) }).await.unwrap_err();
    assert!(matches!(none, RunError::NoUrl));
    assert!(!mark.exists());
    server.abort();
}

#[tokio::test]
async fn a_command_that_is_not_there_ends_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let (book, server, url) = begin(dir.path()).await;
    let missing = RunConfig { command: vec!["/no/such/program".into()], ..config(&url, "") };
    assert_eq!(run(missing).await.unwrap_err().exit_status(), 127);
    assert_eq!(book.read(&instance(), |ledger| (ledger.open(), ledger.counts().jobs_failed)), (0, 1));
    server.abort();
}
