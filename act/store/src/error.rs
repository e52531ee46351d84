//! What can go wrong with a store that is open: small causes, and what each says about the data.

use crate::{Epoch, InvalidTxn, Position, Revision};

/// Why the store could not do something. None of these is the caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No room. The store goes on as soon as there is some.
    #[error("the store is full: {0}; free some space on its disk (what is stored is intact)")]
    Full(String),
    /// The store was closed, here.
    #[error("the store is closed")]
    Closed,
    /// Reading or writing failed.
    #[error("the store could not read or write: {0}; check its disk")]
    Io(String),
    /// What is on the disk makes no sense.
    #[error("the store is damaged: {0}; restore it from a copy")]
    Damaged(String),
    /// The answer would be over its bound.
    #[error("the listing of {prefix:?} is over {max} bytes; list narrower prefixes")]
    ListTooLong {
        /// What was listed.
        prefix: String,
        /// The bound, in bytes of keys and values.
        max: usize,
    },
    /// The answer to a commit did not come, and whether it happened cannot be told from here.
    #[error("the answer of the store was lost: {0}")]
    AnswerLost(String),
}

/// Why a transaction has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// Against the bounds; nothing happened, and never will.
    #[error(transparent)]
    Invalid(#[from] InvalidTxn),
    /// Nothing happened; it may be tried again.
    #[error("not committed: {0}")]
    NotCommitted(Fault),
    /// It may have happened. Read what it was to write before anything else is decided.
    #[error("it is unknown whether this was committed: {0}")]
    Unknown(Fault),
}

/// Why a watch yields nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Changes are missing: list again, and watch from that listing's position.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The store failed; the watch may be tried again from its last position.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why changes are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// The history after the watch's position has been compacted: the position is too old, or the watcher
    /// too slow.
    #[error("the changes after revision {after} are gone, up to revision {compacted}")]
    Compacted {
        /// Where the watch stood.
        after: Revision,
        /// Up to here the history is gone.
        compacted: Revision,
    },
    /// The position is of another life of the data.
    #[error("the position {from} is of another epoch than the store's, {now}")]
    Epoch {
        /// What was asked for.
        from: Position,
        /// The store's.
        now: Epoch,
    },
    /// The position lies after the store's last change: it is not of this history.
    #[error("the position {from} is ahead of the store, which is at revision {now}")]
    Ahead {
        /// What was asked for.
        from: Position,
        /// The store's.
        now: Revision,
    },
}
