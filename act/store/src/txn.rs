//! Guarded transactions: what must be true, and what is then written.

use crate::{Key, Position, Revision};
use std::collections::BTreeSet;

/// The largest value, in bytes. The largest record is a stack's release (a merged Compose file: the largest
/// public one has 300 KiB); beyond 1 MiB something is stored that belongs elsewhere.
pub const VALUE_MAX: usize = 1 << 20;

/// The most guards, and the most writes, of one transaction: etcd's own default.
pub const TXN_OPS_MAX: usize = 128;

/// The most bytes that one transaction writes. Below etcd's request limit of 1.5 MiB with its framing, so
/// that what fits one implementation fits the other, and small enough that no transaction holds up a group.
pub const TXN_BYTES_MAX: usize = VALUE_MAX + (256 << 10);

/// What must be true for a transaction to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The key was last written by this revision.
    At(Key, Revision),
    /// There is no such key.
    Absent(Key),
}

/// One write of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The key has this value from now on.
    Put(Key, Vec<u8>),
    /// The key is absent from now on. Of an absent key: nothing.
    Delete(Key),
}

/// Guards and writes, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// All must hold.
    pub guards: Vec<Guard>,
    /// No key twice.
    pub writes: Vec<Write>,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All was written, durably.
    Committed {
        /// The position after it. Its revision is that of all items that it put; a transaction that changed
        /// nothing has taken no new one.
        position: Position,
    },
    /// A guard did not hold; nothing was written.
    Refused {
        /// The first that did not hold.
        guard: Guard,
        /// The revision that the key has instead, or `None` when it is absent.
        found: Option<Revision>,
    },
}

/// A transaction against the bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTxn {
    /// A value over [`VALUE_MAX`].
    #[error("the value of {0} is {1} bytes; at most {VALUE_MAX} are allowed")]
    ValueTooLarge(Key, usize),
    /// Over [`TXN_OPS_MAX`].
    #[error("the transaction has {0} guards or writes; at most {TXN_OPS_MAX} of each are allowed: split it")]
    TooManyOps(usize),
    /// Over [`TXN_BYTES_MAX`].
    #[error("the transaction writes {0} bytes; at most {TXN_BYTES_MAX} are allowed: split it")]
    TooLarge(usize),
    /// A key is written twice.
    #[error("the transaction writes {0} twice")]
    WrittenTwice(Key),
}

impl Guard {
    /// The key that it speaks of.
    pub fn key(&self) -> &Key {
        match self {
            Guard::At(key, _) | Guard::Absent(key) => key,
        }
    }

    /// Whether it holds for a key that was last written by `found`, or is absent.
    pub fn holds(&self, found: Option<Revision>) -> bool {
        match self {
            Guard::At(_, revision) => found == Some(*revision),
            Guard::Absent(_) => found.is_none(),
        }
    }
}

impl Write {
    /// The key that it writes.
    pub fn key(&self) -> &Key {
        match self {
            Write::Put(key, _) | Write::Delete(key) => key,
        }
    }

    /// Bytes of key and value.
    pub fn size(&self) -> usize {
        match self {
            Write::Put(key, value) => key.as_str().len() + value.len(),
            Write::Delete(key) => key.as_str().len(),
        }
    }
}

impl Txn {
    /// With no guards and no writes.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// Only if the key was last written by `revision`.
    pub fn at(mut self, key: &Key, revision: Revision) -> Txn {
        self.guards.push(Guard::At(key.clone(), revision));
        self
    }

    /// Only if there is no such key.
    pub fn absent(mut self, key: &Key) -> Txn {
        self.guards.push(Guard::Absent(key.clone()));
        self
    }

    /// Writes the value.
    pub fn put(mut self, key: &Key, value: impl Into<Vec<u8>>) -> Txn {
        self.writes.push(Write::Put(key.clone(), value.into()));
        self
    }

    /// Removes the key.
    pub fn delete(mut self, key: &Key) -> Txn {
        self.writes.push(Write::Delete(key.clone()));
        self
    }

    /// Bytes of keys and values that it writes.
    pub fn size(&self) -> usize {
        self.writes.iter().map(Write::size).sum()
    }

    /// Whether it is within the bounds; every implementation asks this first.
    ///
    /// # Errors
    /// With the first bound that it breaks.
    pub fn check(&self) -> Result<(), InvalidTxn> {
        let ops = self.guards.len().max(self.writes.len());
        if ops > TXN_OPS_MAX {
            return Err(InvalidTxn::TooManyOps(ops));
        }
        let mut keys = BTreeSet::new();
        for write in &self.writes {
            if let Write::Put(key, value) = write
                && value.len() > VALUE_MAX
            {
                return Err(InvalidTxn::ValueTooLarge(key.clone(), value.len()));
            }
            if !keys.insert(write.key()) {
                return Err(InvalidTxn::WrittenTwice(write.key().clone()));
            }
        }
        if self.size() > TXN_BYTES_MAX {
            return Err(InvalidTxn::TooLarge(self.size()));
        }
        Ok(())
    }
}
