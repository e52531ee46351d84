//! Signals that reach `naru work run` reach its command. A process of its own: signals are for all of a process.

use naru_model::InstanceId;
use naru_work::{Book, RunConfig, WorkServer, run};

#[tokio::test]
async fn signals_and_statuses_are_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let id = InstanceId::from("s.v.1.1");
    let book = Book::open(dir.path()).unwrap();
    let url = book.admit(&id).unwrap();
    let server = tokio::spawn(WorkServer::bind(&book).await.unwrap().run());
    let sh = |script: &str| RunConfig {
        url: Some(url.clone()),
        name: Some("a script".into()),
        ttl: None,
        command: ["/bin/sh", "-c", script].map(String::from).to_vec(),
    };
    assert_eq!(run(sh("kill -9 $$")).await.unwrap(), 137);
    for (signal, status) in [("USR1", 7), ("USR2", 8), ("HUP", 9), ("TERM", 10), ("INT", 11)] {
        let script = format!("trap 'exit {status}' {signal}; kill -{signal} $PPID; while :; do :; done");
        assert_eq!(run(sh(&script)).await.unwrap(), status, "{signal}");
    }
    assert_eq!(run(sh("exit 0")).await.unwrap(), 0);
    let counts = book.read(&id, |ledger| ledger.counts());
    assert_eq!((counts.jobs, counts.jobs_failed), (7, 6));
    server.abort();
}
