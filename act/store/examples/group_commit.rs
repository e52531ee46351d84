//! What group commit is worth on this disk: transactions per second, with it and without, by writers at once.
//!
//! `cargo run -p naru-store --release --example group_commit [FOLDER]`

use naru_store::{Epoch, Key, Options, Sqlite, Store, Txn};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

type Failed = Box<dyn std::error::Error + Send + Sync>;

const FOR: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder)?;
    println!("writers  one by one/s  in groups/s  ratio");
    for writers in [1, 8, 64, 256] {
        let alone = measure(folder.path(), writers, 1).await?;
        let groups = measure(folder.path(), writers, Options::default().group_max).await?;
        println!("{writers:>7}  {alone:>12.0}  {groups:>11.0}  {:>5.1}", groups / alone);
    }
    Ok(())
}

async fn measure(folder: &Path, writers: usize, group_max: usize) -> Result<f64, Failed> {
    let path = folder.join(format!("{writers}-{group_max}.db"));
    let store = Sqlite::open(&path, Epoch(1), Options { group_max, ..Options::default() })?;
    let began = Instant::now();
    let tasks: Vec<_> =
        (0..writers).map(|writer| tokio::spawn(write(store.clone(), writer, began))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    store.close().await;
    Ok(rate)
}

async fn write(store: Sqlite, writer: usize, began: Instant) -> Result<u32, Failed> {
    let key = Key::new(format!("bench/{writer}"))?;
    let mut done = 0;
    while began.elapsed() < FOR {
        let _outcome = store.txn(Txn::new().put(&key, vec![b'x'; 500])).await?;
        done += 1;
    }
    Ok(done)
}
