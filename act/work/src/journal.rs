//! The one writer of ledger files: appends, many at a time, and one sync for all of them.
//!
//! A sync takes milliseconds on a disk, so what comes in while one is under way is written together
//! afterwards. Whoever asked hears of success only once it is on disk.

use crate::WorkError;
use crate::file::{Durable, write_whole};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::oneshot;

/// So many writes share one sync at most: bounds the wait of the first.
const BATCH: usize = 1_024;
/// So many orders wait at most: more than there can be connections, each of which waits for its own.
const WAITING: usize = 4_096;
/// So many files are held open: far below the usual limit of 1,024 for a process.
const OPEN_FILES: usize = 128;

/// What is to be done to a file.
pub(crate) enum Change {
    /// Lines, each with its newline.
    Append(Vec<u8>),
    /// The whole contents.
    Replace(Vec<u8>),
    /// No file.
    Remove,
}

struct Order {
    path: PathBuf,
    change: Change,
    done: oneshot::Sender<Result<(), String>>,
}

/// When it comes true, what was ordered is on disk.
#[must_use = "nobody may be told of a change before it is on disk"]
pub(crate) struct Written(oneshot::Receiver<Result<(), String>>);

impl Written {
    /// Waits for the disk.
    pub(crate) async fn wait(self) -> Result<(), WorkError> {
        let gone = || Err("its writer has ended".to_owned());
        self.0.await.unwrap_or_else(|_| gone()).map_err(WorkError::Unwritten)
    }
}

/// A handle to the writer. The writer ends with the last handle.
#[derive(Clone)]
pub(crate) struct Journal {
    orders: SyncSender<Order>,
}

impl Journal {
    /// Starts the writer.
    pub(crate) fn start() -> Result<Journal, WorkError> {
        let (orders, inbox) = sync_channel(WAITING);
        let writer = Writer { files: BTreeMap::new(), torn: BTreeSet::new() };
        let thread = std::thread::Builder::new().name("naru-ledger".into());
        thread
            .spawn(move || writer.run(&inbox))
            .map_err(|error| WorkError::Unwritten(format!("its writer did not start: {error}")))?;
        Ok(Journal { orders })
    }

    /// Orders a write; writes are done in the order of the orders.
    pub(crate) fn order(&self, path: PathBuf, change: Change) -> Written {
        let (done, written) = oneshot::channel();
        // Where the writer is gone, `done` is dropped with the order, and the waiter hears of it.
        let _ = self.orders.send(Order { path, change, done });
        Written(written)
    }
}

struct Writer {
    files: BTreeMap<PathBuf, File>,
    /// Files whose last write failed half-way: the next line begins on a new one.
    torn: BTreeSet<PathBuf>,
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(first) = inbox.recv() {
            let batch: Vec<Order> = std::iter::once(first).chain(inbox.try_iter().take(BATCH - 1)).collect();
            self.carry_out(batch);
        }
    }

    fn carry_out(&mut self, batch: Vec<Order>) {
        let mut waiting = Vec::new();
        let mut dirty = BTreeSet::new();
        for Order { path, change, done } in batch {
            let result = match change {
                Change::Append(lines) => self.append(&path, &lines).map_err(|e| e.to_string()),
                Change::Replace(contents) => {
                    self.files.remove(&path);
                    self.torn.remove(&path);
                    write_whole(&path, &contents, Durable::Yes).map_err(|e| e.to_string())
                }
                Change::Remove => self.remove(&path).map_err(|e| e.to_string()),
            };
            if result.is_ok() {
                dirty.insert(path.clone());
            }
            waiting.push((path, result, done));
        }
        let failed = self.sync(&dirty);
        for (path, result, done) in waiting {
            let synced = failed.get(&path).map_or(Ok(()), |error| Err(error.clone()));
            // Whoever does not wait any more does not need the answer.
            let _ = done.send(result.and(synced));
        }
        if self.files.len() > OPEN_FILES {
            self.files.clear();
        }
    }

    fn append(&mut self, path: &Path, lines: &[u8]) -> io::Result<()> {
        if !self.files.contains_key(path) {
            let file = OpenOptions::new().append(true).open(path)?;
            self.files.insert(path.to_owned(), file);
        }
        let file = &mut self.files.get_mut(path).expect("inserted above");
        let mut bytes = if self.torn.contains(path) { vec![b'\n'] } else { vec![] };
        bytes.extend_from_slice(lines);
        let result = file.write_all(&bytes);
        match result {
            Ok(()) => self.torn.remove(path),
            Err(_) => self.torn.insert(path.to_owned()),
        };
        result
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.files.remove(path);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync(&mut self, dirty: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, String> {
        let files = dirty.iter().filter_map(|path| Some((path, self.files.get(path)?)));
        files.filter_map(|(path, file)| Some((path.clone(), file.sync_data().err()?.to_string()))).collect()
    }
}
