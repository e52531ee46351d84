//! The reading thread and its queries. Each query sees one consistent state.

use super::sql::{Meta, fault, int, uint};
use crate::{
    Change, Epoch, Event, Fault, Gap, Got, Item, Key, Listing, Position, Prefix, Revision, WatchError,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::thread;
use tokio::sync::{mpsc, oneshot};

/// A handle to the reading thread.
pub(super) struct Reader {
    queries: mpsc::Sender<Query>,
}

enum Query {
    Run(Box<dyn FnOnce(&Connection) + Send>),
    Close(oneshot::Sender<()>),
}

/// The queries that wait; whoever comes later waits to enter. Each takes some microseconds.
const QUEUE_MAX: usize = 256;

/// The most bytes that one listing yields: all the records of the largest stack together are far below, and
/// the server can hold several such answers at once.
const LIST_BYTES_MAX: usize = 64 << 20;

/// The bytes and the events after which a watch's batch ends, at the end of a transaction. A watch holds no
/// more than that in memory, and a watch that is far behind does not keep other readers waiting.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_EVENTS: usize = 256;

impl Reader {
    /// Starts the thread.
    pub fn start(db: Connection) -> std::io::Result<Reader> {
        let (queries, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new().name("store-reader".into()).spawn(move || run(db, queue))?;
        Ok(Reader { queries })
    }

    /// Runs a query on the thread, inside a transaction.
    pub async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (answer, wait) = oneshot::channel();
        let run = move |db: &Connection| {
            answer.send(db.unchecked_transaction().map_err(fault).and_then(|txn| query(&txn))).ok();
        };
        self.queries.send(Query::Run(Box::new(run))).await.map_err(|_| Fault::Closed)?;
        wait.await.unwrap_or(Err(Fault::Closed))
    }

    /// Ends the thread after what was asked before.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.queries.send(Query::Close(done)).await.is_ok() {
            wait.await.ok();
        }
    }
}

fn run(db: Connection, mut queue: mpsc::Receiver<Query>) {
    while let Some(query) = queue.blocking_recv() {
        match query {
            Query::Run(run) => run(&db),
            Query::Close(done) => {
                drop(db.close());
                drop(queue);
                done.send(()).ok();
                return;
            }
        }
    }
}

pub(super) fn get(db: &Connection, epoch: Epoch, key: &Key) -> Result<Got, Fault> {
    let revision = Meta::load(db).map_err(fault)?.revision;
    let item = db
        .prepare_cached("SELECT key, value, modified FROM item WHERE key = ?")
        .and_then(|mut query| query.query_row([key.as_str()], item).optional())
        .map_err(fault)?;
    Ok(Got { item, position: Position { epoch, revision } })
}

pub(super) fn list(db: &Connection, epoch: Epoch, prefix: &Prefix) -> Result<Listing, Fault> {
    let revision = Meta::load(db).map_err(fault)?.revision;
    let mut query = db
        .prepare_cached("SELECT key, value, modified FROM item WHERE key >= ? AND key < ? ORDER BY key")
        .map_err(fault)?;
    let rows = query.query_map([prefix.as_str(), &prefix.end()], item).map_err(fault)?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    for item in rows {
        let item = item.map_err(fault)?;
        bytes += item.key.as_str().len() + item.value.len();
        if bytes > LIST_BYTES_MAX {
            return Err(Fault::ListTooLong { prefix: prefix.as_str().into(), max: LIST_BYTES_MAX });
        }
        items.push(item);
    }
    Ok(Listing { items, position: Position { epoch, revision } })
}

/// Some changes of a watch, and up to where they are all.
pub(super) struct Batch {
    pub changes: Vec<Change>,
    pub through: Revision,
}

/// The next changes below `prefix` after `from`, whole transactions only.
pub(super) fn changes(
    db: &Connection,
    epoch: Epoch,
    prefix: &Prefix,
    from: Position,
) -> Result<Batch, WatchError> {
    let meta = Meta::load(db).map_err(fault)?;
    check_position(from, epoch, &meta)?;
    collect(db, prefix, from, meta.revision).map_err(|e| WatchError::Fault(fault(e)))
}

fn check_position(from: Position, epoch: Epoch, meta: &Meta) -> Result<(), Gap> {
    if from.epoch != epoch {
        return Err(Gap::Epoch { from, now: epoch });
    }
    if from.revision > meta.revision {
        return Err(Gap::Ahead { from, now: meta.revision });
    }
    if from.revision < meta.compacted {
        return Err(Gap::Compacted { after: from.revision, compacted: meta.compacted });
    }
    Ok(())
}

fn collect(db: &Connection, prefix: &Prefix, from: Position, now: Revision) -> rusqlite::Result<Batch> {
    let mut query = db.prepare_cached(
        "SELECT key, value, revision FROM change
         WHERE revision > ? AND key >= ? AND key < ? ORDER BY revision, n",
    )?;
    let mut rows = query.query(params![int(from.revision.0), prefix.as_str(), prefix.end()])?;
    let mut changes: Vec<Change> = Vec::new();
    let (mut bytes, mut count) = (0, 0);
    while let Some(row) = rows.next()? {
        let revision = Revision(uint(row.get(2)?));
        let last = changes.last().map(|change| change.position.revision);
        if last != Some(revision) {
            if let Some(through) = last
                && (bytes >= BATCH_BYTES || count >= BATCH_EVENTS)
            {
                return Ok(Batch { changes, through });
            }
            changes.push(Change { position: Position { revision, ..from }, events: Vec::new() });
        }
        let (event, size) = event(row, revision)?;
        (bytes, count) = (bytes + size, count + 1);
        changes.last_mut().expect("one was pushed for this revision").events.push(event);
    }
    Ok(Batch { changes, through: now })
}

fn event(row: &Row<'_>, revision: Revision) -> rusqlite::Result<(Event, usize)> {
    let key = Key::stored(row.get_ref(0)?.as_str()?);
    let length = key.as_str().len();
    Ok(match row.get::<_, Option<Vec<u8>>>(1)? {
        Some(value) => {
            let size = length + value.len();
            (Event::Put(Item { key, value, modified: revision }), size)
        }
        None => (Event::Delete(key), length),
    })
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let key = Key::stored(row.get_ref(0)?.as_str()?);
    Ok(Item { key, value: row.get(1)?, modified: Revision(uint(row.get(2)?)) })
}
