//! What only a store in a file has: its modes, its marks, its limits, and files that are not what they should be.

use naru_store::{
    Epoch, Fault, Gap, Key, OpenError, Options, Outcome, Position, Prefix, Revision, Sqlite, Store, Txn,
    TxnError, Watch, WatchError,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("store.db");
    (folder, path)
}

fn open(path: &Path, fresh: u64) -> Result<Sqlite, OpenError> {
    Sqlite::open(path, Epoch(fresh), Options::default())
}

fn refusal(path: &Path) -> OpenError {
    match open(path, 99) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
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

async fn filled(path: &Path, epoch: u64) -> Position {
    let store = open(path, epoch).unwrap();
    let position = put(&store, "a", "1").await.unwrap();
    store.close().await;
    position
}

#[tokio::test]
async fn files_are_the_owners_alone() {
    let (folder, path) = place();
    let store = open(&path, 1).unwrap();
    put(&store, "a", "1").await.unwrap();
    let mut seen = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"]);
    store.close().await;
}

#[tokio::test]
async fn one_process_at_a_time() {
    let (_folder, path) = place();
    let store = open(&path, 1).unwrap();
    assert!(matches!(refusal(&path), OpenError::InUse { .. }));
    let mut watch = store.watch(&Prefix::everything(), Position { epoch: Epoch(1), revision: Revision(0) });
    store.close().await;
    open(&path, 2).unwrap().close().await;
    assert_eq!(put(&store, "a", "1").await, Err(TxnError::NotCommitted(Fault::Closed)));
    assert_eq!(store.get(&key("a")).await, Err(Fault::Closed));
    assert_eq!(watch.next().await, Err(WatchError::Fault(Fault::Closed)));
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let (_folder, path) = place();
    filled(&path, 1).await;
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("store.db has format 2") && said.contains("or a later one"), "{said}");
}

#[tokio::test]
async fn a_foreign_database_is_refused_untouched() {
    let (_folder, path) = place();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::Foreign { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn damaged_files_are_refused() {
    let (_folder, path) = place();
    fs::write(&path, "not a database, though long enough to be taken for one ".repeat(100)).unwrap();
    assert!(matches!(refusal(&path), OpenError::Damaged { .. }));
    fs::remove_file(&path).unwrap();
    let store = open(&path, 1).unwrap();
    for n in 0..200 {
        put(&store, &format!("k/{n}"), vec![1; 2000]).await.unwrap();
    }
    store.close().await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Damaged { .. }), "cut short: {error}");
    let mut scribbled = whole.clone();
    scribbled[8192..12288].fill(0xff);
    fs::write(&path, scribbled).unwrap();
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Damaged { .. }), "scribbled over: {error}");
    fs::write(&path, whole).unwrap();
    open(&path, 2).unwrap().close().await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let (folder, _) = place();
    let error = refusal(&folder.path().join("none/store.db")).to_string();
    assert!(error.contains("none/store.db"), "{error}");
}

/// What a watcher that stood at `from` is told after the file was opened again as `fresh`.
async fn told(path: &Path, from: Position, fresh: u64) -> (Epoch, Option<Gap>) {
    let store = open(path, fresh).unwrap();
    let mut watch = store.watch(&Prefix::everything(), from);
    put(&store, "told", "x").await.unwrap();
    let gap = match watch.next().await {
        Ok(_) => None,
        Err(WatchError::Gap(gap)) => Some(gap),
        Err(error) => panic!("{error}"),
    };
    let epoch = store.epoch();
    store.close().await;
    (epoch, gap)
}

#[tokio::test]
async fn a_file_opened_again_keeps_its_epoch() {
    let (_folder, path) = place();
    let from = filled(&path, 7).await;
    assert_eq!(told(&path, from, 50).await, (Epoch(7), None));
}

#[tokio::test]
async fn a_copy_moved_into_place_has_a_new_epoch() {
    let (folder, path) = place();
    let from = filled(&path, 7).await;
    // A copy of the very last state: only the file is another.
    fs::copy(&path, folder.path().join("copy.db")).unwrap();
    fs::rename(folder.path().join("copy.db"), &path).unwrap();
    assert_eq!(told(&path, from, 50).await, (Epoch(50), Some(Gap::Epoch { from, now: Epoch(50) })));
    assert_eq!(told(&path, from, 51).await.0, Epoch(50), "once");
}

#[tokio::test]
async fn a_copy_written_over_the_file_has_a_new_epoch() {
    let (folder, path) = place();
    let copy = folder.path().join("copy.db");
    filled(&path, 7).await;
    fs::copy(&path, &copy).unwrap();
    let from = filled(&path, 8).await;
    assert_eq!(from.epoch, Epoch(7));
    // The same file by its inode, with the contents of an older opening.
    fs::copy(&copy, &path).unwrap();
    assert_eq!(told(&path, from, 50).await, (Epoch(50), Some(Gap::Epoch { from, now: Epoch(50) })));
    // A clock that went back makes no epoch twice.
    for epoch in [51, 52] {
        fs::copy(&copy, &path).unwrap();
        assert_eq!(told(&path, from, 3).await.0, Epoch(epoch));
    }
}

#[tokio::test]
async fn without_its_mark_a_file_has_a_new_epoch() {
    let (folder, path) = place();
    let from = filled(&path, 7).await;
    fs::remove_file(folder.path().join("store.db.lock")).unwrap();
    assert_eq!(told(&path, from, 52).await.0, Epoch(52));
}

#[tokio::test]
async fn a_full_store_refuses_and_goes_on_when_there_is_room() {
    let (_folder, path) = place();
    let options = Options { file_bytes_max: 2 << 20, ..Options::default() };
    let store = Sqlite::open(&path, Epoch(1), options).unwrap();
    let (mut written, mut last) = (0, Position { epoch: Epoch(1), revision: Revision(0) });
    let error = loop {
        match put(&store, &format!("k/{written}"), vec![1; 100_000]).await {
            Ok(position) => (written, last) = (written + 1, position),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, TxnError::NotCommitted(Fault::Full(_))), "{error}");
    assert!(error.to_string().contains("the store is full"), "{error}");
    assert!(written >= 5, "2 MiB hold {written} values and their history");
    let listing = store.list(&Prefix::everything()).await.unwrap();
    assert_eq!((listing.items.len(), listing.position), (written, last), "what is stored is intact");
    // Those that fit are committed beside one that does not.
    let (small, large) = tokio::join!(put(&store, "s", "x"), put(&store, "l", vec![1; 1 << 20]));
    assert!(
        small.is_ok() && matches!(large, Err(TxnError::NotCommitted(Fault::Full(_)))),
        "{small:?} {large:?}"
    );
    store.compact(last.revision).await.unwrap();
    put(&store, "k/more", vec![1; 100_000]).await.expect("the history's room is free again");
    store.close().await;
    assert_eq!(open(&path, 2).unwrap().list(&Prefix::everything()).await.unwrap().items.len(), written + 2);
}

/// The oldest revision from which a watch still goes on.
async fn oldest(store: &Sqlite) -> u64 {
    let from = Position { epoch: store.epoch(), revision: Revision(0) };
    match store.watch(&Prefix::everything(), from).next().await {
        Ok(_) => 0,
        Err(WatchError::Gap(Gap::Compacted { compacted, .. })) => compacted.0,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn history_is_bounded_in_revisions() {
    let (_folder, path) = place();
    let store = Sqlite::open(&path, Epoch(1), Options { history_max: 10, ..Options::default() }).unwrap();
    for n in 0..10 {
        put(&store, &format!("k/{n}"), "x").await.unwrap();
    }
    assert_eq!(oldest(&store).await, 0);
    for n in 10..25 {
        put(&store, &format!("k/{n}"), "x").await.unwrap();
    }
    assert_eq!(oldest(&store).await, 15);
    assert_eq!(store.list(&Prefix::everything()).await.unwrap().items.len(), 25, "items stay");
}

#[tokio::test]
async fn history_is_bounded_in_bytes() {
    let (_folder, path) = place();
    // Each change is a key of one byte and a value of 999.
    let options = Options { history_bytes_max: 5_000, ..Options::default() };
    let store = Sqlite::open(&path, Epoch(1), options).unwrap();
    for _ in 0..5 {
        put(&store, "k", vec![1; 999]).await.unwrap();
    }
    assert_eq!(oldest(&store).await, 0);
    put(&store, "k", vec![1; 999]).await.unwrap();
    assert_eq!(oldest(&store).await, 1);
    put(&store, "k", vec![1; 2_000]).await.unwrap();
    assert_eq!(oldest(&store).await, 4, "6 × 1,000 + 2,001 bytes, of which 5,000 may stay");
    store.compact(Revision(7)).await.unwrap();
    for _ in 0..5 {
        put(&store, "k", vec![1; 999]).await.unwrap();
    }
    assert_eq!(oldest(&store).await, 7, "a compaction has given the bytes back");
}
