//! A watch: a position, the rest of a batch, and the signal that there is more.

use super::Inner;
use super::reader;
use crate::{Change, Fault, Position, Prefix, Revision, Watch, WatchError};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch as signal;

/// A watch of a SQLite store. It costs next to nothing while nothing changes, and holds one batch at most.
pub struct SqliteWatch {
    store: Arc<Inner>,
    prefix: Prefix,
    /// All changes up to here are in `ready` or were handed out.
    read: Position,
    ready: VecDeque<Change>,
    committed: signal::Receiver<Revision>,
}

impl SqliteWatch {
    pub(super) fn new(store: Arc<Inner>, prefix: Prefix, from: Position) -> SqliteWatch {
        let committed = store.committed.clone();
        SqliteWatch { store, prefix, read: from, ready: VecDeque::new(), committed }
    }

    async fn read_more(&mut self) -> Result<(), WatchError> {
        let (epoch, prefix, from) = (self.store.epoch, self.prefix.clone(), self.read);
        // A gap is an answer of the query, not a fault of the reader, so it travels inside.
        let query = move |db: &rusqlite::Connection| match reader::changes(db, epoch, &prefix, from) {
            Ok(batch) => Ok(Ok(batch)),
            Err(WatchError::Gap(gap)) => Ok(Err(gap)),
            Err(WatchError::Fault(fault)) => Err(fault),
        };
        let batch = self.store.read(query).await??;
        self.read.revision = batch.through;
        self.ready.extend(batch.changes);
        Ok(())
    }
}

impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Change, WatchError> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(change);
            }
            // Marked as seen before the reading, so that a commit during it is not slept through.
            self.committed.mark_unchanged();
            self.read_more().await?;
            if self.ready.is_empty() {
                self.committed.changed().await.map_err(|_| Fault::Closed)?;
            }
        }
    }
}
