//! The trait. It is as narrow as two very different engines allow: a file on one server, a quorum on three.

use crate::{Change, Fault, Got, Key, Listing, Position, Prefix, Revision, Txn, TxnError, WatchError};
use std::future::Future;

/// A store, or a handle to one: cheap to clone, shared by tasks.
///
/// All futures may be dropped at any point. A transaction whose future was dropped has an unknown outcome.
pub trait Store: Clone + Send + Sync + 'static {
    /// What [`Store::watch`] gives.
    type Watch: Watch;

    /// One key. Sees every transaction that was acknowledged before the call.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Got, Fault>> + Send;

    /// All items below the prefix, at one revision. Sees every transaction acknowledged before the call.
    fn list(&self, prefix: &Prefix) -> impl Future<Output = Result<Listing, Fault>> + Send;

    /// Writes all or nothing, if every guard holds. Guards and writes see one state, which no other
    /// transaction changes in between.
    fn txn(&self, txn: Txn) -> impl Future<Output = Result<crate::Outcome, TxnError>> + Send;

    /// All changes below the prefix after `from`, which is a listing's position or a change's.
    fn watch(&self, prefix: &Prefix, from: Position) -> Self::Watch;

    /// Forgets the changes up to and with `before`; present items stay. Watches that stand earlier get a gap.
    /// A revision that is already compacted, or not reached yet, changes nothing beyond what there is.
    fn compact(&self, before: Revision) -> impl Future<Output = Result<(), TxnError>> + Send;
}

/// A stream of changes, in the order of their revisions, none missing and none twice.
pub trait Watch: Send + 'static {
    /// The next change; waits for one. May be dropped and called again: nothing is lost by that.
    ///
    /// # Errors
    /// With a gap when changes are missing, and again at each further call. With a fault when the store could
    /// not be read; a further call tries again.
    fn next(&mut self) -> impl Future<Output = Result<Change, WatchError>> + Send;
}
