//! What is stored, and where in the store's history a reader stands.

use crate::Key;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One life of the data. A new store, and one whose file was restored from a copy, has a new epoch: its
/// revisions are not comparable with those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// The number of a committed transaction that wrote something, from 1, growing by one within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// A point in a store's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which history.
    pub epoch: Epoch,
    /// Everything up to and with this revision has been seen.
    pub revision: Revision,
}

/// A key that is present, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that wrote it last: what a guard names.
    pub modified: Revision,
}

/// The answer to a get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// `None` when the key is absent.
    pub item: Option<Item>,
    /// What the answer is true for.
    pub position: Position,
}

/// The answer to a list: all items below a prefix, by key, as they were together at one position. A watch
/// from there misses nothing and repeats nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// By key, ascending.
    pub items: Vec<Item>,
    /// What the answer is true for.
    pub position: Position,
}

/// All that one transaction changed below a watch's prefix, never a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// To be watched from, when a watch is to go on after this change.
    pub position: Position,
    /// In the order in which the transaction wrote them; never empty.
    pub events: Vec<Event>,
}

/// One key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key has this value now.
    Put(Item),
    /// The key is absent now.
    Delete(Key),
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &Key {
        match self {
            Event::Put(item) => &item.key,
            Event::Delete(key) => key,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// `EPOCH.REVISION`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.revision)
    }
}
