//! The store: what the server must not forget, behind one narrow trait.
//!
//! A store maps text keys to bytes and numbers every change with one growing revision. It knows nothing of
//! what the bytes mean. Its whole contract is five verbs: get, list at one revision, a guarded transaction, a
//! watch from a position, compact. There are no leases and no times in it: leaders are elected with guarded
//! records and local timers, and soft state (heartbeats, counts) never comes here.
//!
//! Two things are told apart everywhere. A transaction that was *not committed* left no trace and may be
//! tried again; one whose outcome is *unknown* may have happened, and the caller reads before it does
//! anything else. And a watch either yields every change, in order, or says that there is a *gap*; then the
//! caller lists again and watches from there.
//!
//! [`Sqlite`] implements the trait for one server. [`conformance`] is the contract as a test suite, which
//! every implementation has to pass.

pub mod conformance;
mod error;
mod key;
mod record;
mod sqlite;
mod store;
mod txn;

pub use error::{Fault, Gap, TxnError, WatchError};
pub use key::{InvalidKey, KEY_MAX, Key, Prefix};
pub use record::{Change, Epoch, Event, Got, Item, Listing, Position, Revision};
pub use sqlite::{LoseAnswer, OpenError, Options, Sqlite, SqliteWatch};
pub use store::{Store, Watch};
pub use txn::{Guard, InvalidTxn, Outcome, TXN_BYTES_MAX, TXN_OPS_MAX, Txn, VALUE_MAX, Write};
