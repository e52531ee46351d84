//! Commits: all writes of a decision or none, and only if nobody else wrote meanwhile.
//!
//! The record `server/generation` is the guard. Each commit names the revision at which this server wrote or
//! read it last, and writes it anew; so of two servers that decide by the same state, one is refused.
//!
//! The store bounds what one transaction may hold. A decision beyond that, such as a thousand instances made
//! at once, is first written to pages aside, then made true by one small transaction that says that the
//! pages count, then copied to its place. A server that dies in the middle leaves either nothing, or pages
//! that the next one copies before it reads anything.

use super::records::{self, Change, FORMAT, PART, PART_MARK, RecordError};
use naru_decide::{World, Write};
use naru_model::{Generation, Time};
use naru_store::{Fault, Guard, Item, Key, Outcome, Prefix, Revision, Store, Txn, TxnError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a commit ended.
#[derive(Debug, PartialEq)]
pub enum Committed {
    /// All is stored; the world's generation is this.
    As(Generation),
    /// Another server wrote: nothing of this was stored, and the world is to be loaded anew.
    Outrun,
}

/// Why a commit has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] TxnError),
    /// The decision cannot be stored at all.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Why the records cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store is at fault.
    #[error(transparent)]
    Store(#[from] Fault),
    /// A journal could not be copied.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// They make no sense.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The records' writer.
pub struct Ledger<S> {
    store: S,
    /// Tells this life of a server from all others.
    life: u64,
    generation: Generation,
    /// When the records were changed last.
    at: Time,
    /// Of the guard, as written or read last.
    guard: Option<Revision>,
    /// Records that take more than one key, and how many.
    parts: BTreeMap<Key, usize>,
}

/// The value of `server/generation`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    generation: Generation,
    life: u64,
    /// When that was, by the writer's clock.
    at: Time,
}

/// The value of `server/journal`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Journal {
    pages: usize,
}

const MARK: &str = "server/generation";
const FORMAT_KEY: &str = "server/format";
const JOURNAL: &str = "server/journal";
const PAGES: &str = "server/journal/";

impl<S: Store> Ledger<S> {
    /// Reads all records.
    ///
    /// # Errors
    /// The store is at fault, or its records make no sense here.
    pub async fn open(store: S) -> Result<(Ledger<S>, World), LoadError> {
        // Process ids come again, start times with them hardly.
        let life = naru_home::wall().0 << 22 | u64::from(std::process::id());
        let (generation, guard, parts) = (Generation(0), None, BTreeMap::new());
        let mut ledger = Ledger { store, life, generation, at: Time(0), guard, parts };
        let world = ledger.load().await?;
        Ok((ledger, world))
    }

    /// Reads all records anew; observations are not among them.
    ///
    /// # Errors
    /// As for [`Ledger::open`].
    pub async fn load(&mut self) -> Result<World, LoadError> {
        let mut items = self.store.list(&Prefix::everything()).await?.items;
        self.read_mark(&items)?;
        let pages = items.iter().filter(|item| item.key.as_str().starts_with(PAGES)).count();
        let journal = find(&items, JOURNAL).map(|journal| records::read::<Journal>(JOURNAL, &journal.value));
        if journal.is_some() || pages > 0 {
            // Pages without a journal never counted: they are dropped.
            let changes = journal.map_or(Ok(vec![]), |journal| read_pages(&items, journal?.pages))?;
            self.copy(changes, pages).await?;
            items = self.store.list(&Prefix::everything()).await?.items;
            self.read_mark(&items)?;
        }
        let mut world = World { generation: self.generation, ..World::default() };
        self.parts.clear();
        for whole in records::whole(items) {
            records::decode(&mut world, &whole.key, &whole.value)?;
            if whole.parts > 1 {
                self.parts.insert(Key::new(&whole.key).map_err(RecordError::from)?, whole.parts);
            }
        }
        Ok(world)
    }

    /// When the records were changed last: no decision may be made as of an earlier time.
    pub fn at(&self) -> Time {
        self.at
    }

    /// Stores all of `writes`, decided at `now`, as one change.
    ///
    /// # Errors
    /// The store is at fault. After [`TxnError::Unknown`], and after any error in the midst of a large
    /// change, the world is to be loaded anew.
    pub async fn commit(&mut self, writes: &[Write], now: Time) -> Result<Committed, CommitError> {
        self.at = now;
        let changes = writes.iter().map(records::encode).collect::<Result<Vec<_>, _>>()?;
        let changes = self.split(last_of_each(changes));
        let txn = put_all(self.guarded(self.generation.next()), &changes);
        if txn.check().is_ok() {
            return self.advance(txn).await;
        }
        let pages = self.write_pages(&changes).await?;
        let Some(pages) = pages else { return Ok(Committed::Outrun) };
        let journal = json(&Journal { pages });
        let txn = self.guarded(self.generation.next()).put(&key(JOURNAL), journal);
        let Committed::As(generation) = self.advance(txn).await? else { return Ok(Committed::Outrun) };
        self.copy(changes, pages).await?;
        Ok(Committed::As(generation))
    }

    /// A transaction that goes through only if the mark is as this server knows it, and marks it.
    fn guarded(&self, generation: Generation) -> Txn {
        let mark = key(MARK);
        let txn = match self.guard {
            Some(revision) => Txn::new().at(&mark, revision),
            None => Txn::new().absent(&mark).put(&key(FORMAT_KEY), json(&FORMAT)),
        };
        txn.put(&mark, json(&Mark { generation, life: self.life, at: self.at }))
    }

    /// Carries out a transaction that marks the next generation.
    async fn advance(&mut self, txn: Txn) -> Result<Committed, CommitError> {
        match self.store.txn(txn).await? {
            Outcome::Committed { position } => {
                self.guard = Some(position.revision);
                self.generation = self.generation.next();
                Ok(Committed::As(self.generation))
            }
            Outcome::Refused { .. } => Ok(Committed::Outrun),
        }
    }

    /// Values in parts, and what earlier values had in more parts removed.
    fn split(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let mut all = Vec::with_capacity(changes.len());
        for change in changes {
            let before = self.parts.remove(&change.key).unwrap_or(1);
            let parts: Vec<Vec<u8>> = match &change.value {
                Some(value) if value.len() > PART => value.chunks(PART).map(<[u8]>::to_vec).collect(),
                Some(_) | None => vec![],
            };
            if parts.is_empty() {
                all.push(change.clone());
            } else {
                self.parts.insert(change.key.clone(), parts.len());
            }
            let count = parts.len().max(1);
            all.extend(
                parts
                    .into_iter()
                    .enumerate()
                    .map(|(at, part)| Change { key: part_key(&change.key, at), value: Some(part) }),
            );
            all.extend((count..before).map(|at| Change { key: part_key(&change.key, at), value: None }));
        }
        all
    }

    /// Writes the changes to pages aside. `None` if another server wrote meanwhile.
    async fn write_pages(&mut self, changes: &[Change]) -> Result<Option<usize>, CommitError> {
        let stored: Vec<(&str, Option<&[u8]>)> =
            changes.iter().map(|change| (change.key.as_str(), change.value.as_deref())).collect();
        let bytes = json(&stored);
        let pages = bytes.chunks(PART).enumerate();
        let count = pages.len();
        for (number, page) in pages {
            let txn = self.guarded(self.generation).put(&page_key(number), page);
            match self.store.txn(txn).await? {
                Outcome::Committed { position } => self.guard = Some(position.revision),
                Outcome::Refused { .. } => return Ok(None),
            }
        }
        Ok(Some(count))
    }

    /// Copies changes that count already to their places, and then drops their pages.
    async fn copy(&mut self, changes: Vec<Change>, pages: usize) -> Result<(), CommitError> {
        let mut batch: Vec<Change> = Vec::new();
        let drops = std::iter::once(key(JOURNAL)).chain((0..pages).map(page_key));
        let drops = drops.map(|key| Change { key, value: None });
        for change in changes.into_iter().chain(drops) {
            batch.push(change);
            let txn = put_all(self.guarded(self.generation), &batch);
            if txn.check().is_err() {
                let over = batch.pop();
                self.copy_batch(&batch).await?;
                batch = over.into_iter().collect();
            }
        }
        self.copy_batch(&batch).await
    }

    async fn copy_batch(&mut self, batch: &[Change]) -> Result<(), CommitError> {
        let txn = put_all(self.guarded(self.generation), batch);
        match self.store.txn(txn).await? {
            Outcome::Committed { position } => {
                self.guard = Some(position.revision);
                Ok(())
            }
            // The other server found the journal, and copied it itself.
            Outcome::Refused { guard, .. } => Err(CommitError::Store(TxnError::Unknown(outrun(&guard)))),
        }
    }

    fn read_mark(&mut self, items: &[Item]) -> Result<(), RecordError> {
        if let Some(format) = find(items, FORMAT_KEY) {
            let found: u64 = records::read(FORMAT_KEY, &format.value)?;
            if found > FORMAT {
                return Err(RecordError::Newer { found });
            }
        }
        let mark = find(items, MARK);
        self.guard = mark.map(|mark| mark.modified);
        if let Some(mark) = mark {
            let read: Mark = records::read(MARK, &mark.value)?;
            (self.generation, self.at) = (read.generation, read.at);
        }
        Ok(())
    }
}

fn outrun(guard: &Guard) -> Fault {
    Fault::AnswerLost(format!("another server wrote {} meanwhile", guard.key()))
}

/// The store takes each key once in a transaction; of several changes of one record, the last counts.
fn last_of_each(changes: Vec<Change>) -> Vec<Change> {
    let places: BTreeMap<Key, usize> =
        changes.iter().enumerate().map(|(at, change)| (change.key.clone(), at)).collect();
    let last = |(at, change): &(usize, Change)| places.get(&change.key) == Some(at);
    changes.into_iter().enumerate().filter(last).map(|(_, change)| change).collect()
}

fn put_all(txn: Txn, changes: &[Change]) -> Txn {
    changes.iter().fold(txn, |txn, change| match &change.value {
        Some(value) => txn.put(&change.key, value.clone()),
        None => txn.delete(&change.key),
    })
}

fn read_pages(items: &[Item], pages: usize) -> Result<Vec<Change>, RecordError> {
    let mut bytes = Vec::new();
    for number in 0..pages {
        let page = find(items, page_key(number).as_str());
        bytes.extend_from_slice(page.map_or(&[], |page| &page.value));
    }
    let stored: Vec<(String, Option<Vec<u8>>)> = records::read(JOURNAL, &bytes)?;
    let change = |(key, value): (String, Option<Vec<u8>>)| Ok(Change { key: Key::new(key)?, value });
    stored.into_iter().map(change).collect()
}

fn find<'a>(items: &'a [Item], key: &str) -> Option<&'a Item> {
    items.iter().find(|item| item.key.as_str() == key)
}

fn key(path: &str) -> Key {
    Key::new(path).expect("the server's own keys are plain")
}

fn page_key(number: usize) -> Key {
    key(&format!("{PAGES}{number:08}"))
}

fn part_key(whole: &Key, number: usize) -> Key {
    if number == 0 {
        return whole.clone();
    }
    key(&format!("{whole}{PART_MARK}{number}"))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("the ledger's own values are plain")
}
