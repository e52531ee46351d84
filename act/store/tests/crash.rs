//! Crashes and failing disks, by a second process that is this very test binary: what was acknowledged is
//! there afterwards, and what failed is told truly.

use naru_store::{
    Epoch, Fault, Key, Options, Outcome, Position, Prefix, Revision, Sqlite, Store, Txn, TxnError, Watch,
};
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Tells the second process which file to write. A test that finds it set is the second process.
const PLACE: &str = "NARU_STORE_CRASH_TEST";

fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

fn spawn(test: &str, path: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(PLACE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

async fn put(store: &Sqlite, path: &str, value: impl Into<Vec<u8>>) -> Result<Position, TxnError> {
    match store.txn(Txn::new().put(&key(path), value)).await? {
        Outcome::Committed { position } => Ok(position),
        refused => panic!("there was no guard: {refused:?}"),
    }
}

/// The first process kills the second in the middle of its writing, several times over, each time a little
/// later, and then finds every write that the second had printed, in the items and in the history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_outlive_a_kill() {
    if let Some(path) = place() {
        return write_until_killed(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut acknowledged = Vec::new();
    for round in 1..=5 {
        let (mut child, mut lines) = spawn("acknowledged_writes_outlive_a_kill", &path);
        let mut heard = 0;
        while heard < 150 * round {
            let line = lines.next().expect("it writes until it is killed").unwrap();
            if let Some(written) = line.strip_prefix("committed ") {
                acknowledged.push(written.to_string());
                heard += 1;
            }
        }
        child.kill().unwrap();
        // What it had printed before it died counts as well.
        let rest = lines.map_while(Result::ok);
        acknowledged.extend(rest.filter_map(|line| line.strip_prefix("committed ").map(str::to_string)));
        child.wait().unwrap();
        check_all_there(&path, &acknowledged).await;
    }
    assert!(acknowledged.len() >= 2250, "{}", acknowledged.len());
}

async fn check_all_there(path: &Path, acknowledged: &[String]) {
    let store = Sqlite::open(path, Epoch(2), Options::default()).unwrap();
    assert_eq!(store.epoch(), Epoch(1), "a crash is no restoration");
    let listing = store.list(&Prefix::everything()).await.unwrap();
    let there: std::collections::BTreeMap<_, _> =
        listing.items.iter().map(|item| (item.key.as_str(), item.modified)).collect();
    for line in acknowledged {
        let (path, revision) = line.split_once(' ').unwrap();
        let revision = Revision(revision.parse().unwrap());
        assert_eq!(there.get(path), Some(&revision), "{path} was acknowledged");
    }
    let mut watch = store.watch(&Prefix::everything(), Position { epoch: Epoch(1), revision: Revision(0) });
    for n in 1..=listing.position.revision.0 {
        let change = watch.next().await.unwrap();
        assert_eq!((change.position.revision, change.events.len()), (Revision(n), 1));
    }
    store.close().await;
}

async fn write_until_killed(path: &Path) {
    let store = Sqlite::open(path, Epoch(1), Options::default()).unwrap();
    let round = std::process::id();
    let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(write_on(store.clone(), round, writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Writes one key after another and prints each after its acknowledgement, until it is killed, or until
/// whoever reads the lines is gone.
async fn write_on(store: Sqlite, process: u32, writer: u32) {
    for n in 0.. {
        let path = format!("{process}/{writer}/{n}");
        let position = put(&store, &path, vec![b'x'; 300]).await.unwrap();
        if writeln!(std::io::stdout(), "committed {path} {}", position.revision).is_err() {
            return;
        }
    }
}

/// A disk that fails in the middle of a commit, arranged by a limit on the size of files.
#[tokio::test]
async fn a_failing_disk_is_told_truly() {
    if let Some(path) = place() {
        return write_to_a_failing_disk(&path).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut child, lines) = spawn("a_failing_disk_is_told_truly", &folder.path().join("store.db"));
    let said: Vec<_> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{said:#?}");
    assert!(said.iter().any(|line| line.ends_with("came through")), "{said:#?}");
}

async fn write_to_a_failing_disk(path: &Path) {
    let store = Sqlite::open(path, Epoch(1), Options::default()).unwrap();
    put(&store, "a", "1").await.unwrap();
    limit_files(Some(200_000));
    let told = put(&store, "large", vec![1; 500_000]).await;
    assert!(matches!(told, Err(TxnError::Unknown(Fault::Io(_)) | TxnError::NotCommitted(_))), "{told:?}");
    // The failed commit is settled by a small one in its place, or reads are refused; never is it half there.
    assert_eq!(store.get(&key("large")).await.unwrap().item, None);
    assert_eq!(put(&store, "b", "2").await.unwrap().revision, Revision(2));
    limit_files(Some(1));
    let told = put(&store, "c", "3").await;
    assert!(matches!(told, Err(TxnError::Unknown(Fault::Io(_)))), "{told:?}");
    let read = store.get(&key("c")).await;
    assert!(matches!(read, Err(Fault::Io(_))), "a read could say otherwise than the log will: {read:?}");
    let told = put(&store, "d", "4").await;
    assert!(matches!(told, Err(TxnError::NotCommitted(Fault::Io(_)))), "{told:?}");
    limit_files(None);
    assert_eq!(store.get(&key("c")).await.unwrap().item, None, "the disk is back, and the outcome certain");
    assert_eq!(put(&store, "e", "5").await.unwrap().revision, Revision(3));
    store.close().await;
    println!("came through");
}

/// Writes beyond so many bytes of any file of this process fail from now on; `None` takes that back.
fn limit_files(bytes: Option<libc::rlim_t>) {
    let limit =
        libc::rlimit { rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: both calls take plain values, and this process is a test's own.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
