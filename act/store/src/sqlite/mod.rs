//! The store of one server: a SQLite file, one writing thread, one reading thread.
//!
//! The writer takes all transactions that wait, judges them one after another inside one SQLite transaction,
//! and syncs once for all of them (group commit). Nobody is answered before that sync. Present items are in
//! one table, the changes that led there in another; a watch holds no buffer, only its position, and reads
//! the changes after it in batches. So memory does not grow with slow watchers: one that is too slow finds
//! its changes compacted, and is told of the gap.
//!
//! A commit that fails on input or output may still be found in the write-ahead log after a crash. The
//! writer then *settles* it: the next commit that succeeds takes the same place in the log, after which the
//! failed one is known not to have happened. Until then nothing is read, since a read could say otherwise
//! than the log will after a crash.

mod disk;
mod file;
mod reader;
mod sql;
mod watch;
mod writer;

pub use file::OpenError;
pub use watch::SqliteWatch;
pub use writer::LoseAnswer;

use crate::{Epoch, Fault, Got, Key, Listing, Outcome, Position, Prefix, Revision, Store, Txn, TxnError};
use reader::Reader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot, watch as signal};
use writer::{Order, Writer};

/// What a SQLite store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest file, in bytes; beyond it transactions are not committed, as on a full disk. 4 GiB: a
    /// thousand times what a large fleet's records need, and it still fits a small machine's disk.
    pub file_bytes_max: u64,
    /// The changes kept for watches, in revisions. 10,000: hours of a busy server, so that a client that was
    /// away for a while goes on without listing again.
    pub history_max: u64,
    /// The changes kept for watches, in bytes. 64 MiB, so that history never outweighs what it is the
    /// history of by much.
    pub history_bytes_max: u64,
    /// The most transactions that share one sync. 256: beyond it the sync is no longer what costs.
    pub group_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { file_bytes_max: 4 << 30, history_max: 10_000, history_bytes_max: 64 << 20, group_max: 256 }
    }
}

/// A handle to an open SQLite store. When the last one is dropped, the store closes in the background;
/// [`Sqlite::close`] waits for that.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    epoch: Epoch,
    orders: mpsc::Sender<Order>,
    reader: Reader,
    committed: signal::Receiver<Revision>,
    unsettled: Arc<AtomicBool>,
}

/// The most orders that wait for the writer; whoever comes later waits to enter. Four groups: enough that
/// the next one is always there when a sync ends.
const QUEUE_MAX: usize = 1024;

impl Sqlite {
    /// Opens the store in the file at `path`, and makes it when there is none. Beside it lies `PATH.lock`,
    /// which keeps a second process out. Blocks for some milliseconds.
    ///
    /// `fresh` is an epoch that was never used before, such as the milliseconds since 1970. It becomes the
    /// store's when the file is new, or was put there from a copy since it was last open here.
    ///
    /// # Errors
    /// When the file is of a newer format, damaged, not a store, in use, or cannot be read or written.
    pub fn open(path: &Path, fresh: Epoch, options: Options) -> Result<Sqlite, OpenError> {
        let opened = file::open(path, fresh, options)?;
        let (epoch, revision) = (opened.epoch, opened.revision);
        let reader = Reader::start(file::connect(path)?).map_err(|e| OpenError::io(path, &e))?;
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let (committed_here, committed) = signal::channel(revision);
        let unsettled = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(opened, options, queue, committed_here, unsettled.clone());
        writer.start().map_err(|e| OpenError::io(path, &e))?;
        Ok(Sqlite { inner: Arc::new(Inner { epoch, orders, reader, committed, unsettled }) })
    }

    /// The epoch of the data.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Closes the store for all handles and watches, after what was asked before; returns when the file is
    /// free for another process.
    pub async fn close(&self) {
        self.inner.reader.close().await;
        let (done, wait) = oneshot::channel();
        if self.inner.orders.send(Order::Close(done)).await.is_ok() {
            wait.await.ok();
        }
    }

    /// Loses the answer to the next commit, for tests of those who have to cope with an unknown outcome.
    pub async fn lose_answer(&self, lose: LoseAnswer) {
        self.inner.orders.send(Order::LoseAnswer(lose)).await.ok();
    }
}

impl Inner {
    /// Runs a query of one consistent state that holds all acknowledged transactions.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        if self.unsettled.load(Ordering::Acquire) {
            let (answer, wait) = oneshot::channel();
            self.orders.send(Order::Settle(answer)).await.map_err(|_| Fault::Closed)?;
            wait.await.unwrap_or(Err(Fault::Closed))?;
        }
        self.reader.run(query).await
    }

    /// Hands an order to the writer and waits for its answer.
    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, TxnError>>) -> Order,
    ) -> Result<T, TxnError> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| TxnError::NotCommitted(Fault::Closed))?;
        wait.await.unwrap_or_else(|_| Err(TxnError::Unknown(Fault::AnswerLost("its writer is gone".into()))))
    }
}

impl Store for Sqlite {
    type Watch = SqliteWatch;

    async fn get(&self, key: &Key) -> Result<Got, Fault> {
        let (key, epoch) = (key.clone(), self.inner.epoch);
        self.inner.read(move |db| reader::get(db, epoch, &key)).await
    }

    async fn list(&self, prefix: &Prefix) -> Result<Listing, Fault> {
        let (prefix, epoch) = (prefix.clone(), self.inner.epoch);
        self.inner.read(move |db| reader::list(db, epoch, &prefix)).await
    }

    async fn txn(&self, txn: Txn) -> Result<Outcome, TxnError> {
        txn.check()?;
        self.inner.order(|answer| Order::Txn(txn, answer)).await
    }

    fn watch(&self, prefix: &Prefix, from: Position) -> SqliteWatch {
        SqliteWatch::new(self.inner.clone(), prefix.clone(), from)
    }

    async fn compact(&self, before: Revision) -> Result<(), TxnError> {
        self.inner.order(|answer| Order::Compact(before, answer)).await
    }
}
