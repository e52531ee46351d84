//! The contract of [`Store`] as a test suite. An implementation passes when [`run`] returns.
//!
//! Each check takes a store of its own from the factory and panics with what it saw. Checks know nothing
//! of any engine; what only some engines can be made to do (lose the answer to a commit) is the factory's
//! to offer.

mod durability;
mod txns;
mod watches;

use crate::{Change, Item, Key, LoseAnswer, Outcome, Position, Prefix, Revision, Store, Txn, Watch};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Makes the stores that are tried.
pub trait Factory {
    /// What is tried.
    type Store: Store;

    /// A store with nothing in it.
    fn fresh(&mut self) -> impl Future<Output = Self::Store>;

    /// The same data, after the store was closed and opened again.
    fn reopen(&mut self, store: Self::Store) -> impl Future<Output = Self::Store>;

    /// Has the answer to the next commit lost, where that can be arranged.
    fn lose_answer(&mut self, store: &Self::Store, lose: LoseAnswer) -> impl Future<Output = Offered>;
}

/// Whether a factory can arrange something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is arranged.
    Arranged,
    /// This engine cannot be made to; what depends on it is not checked.
    NotHere,
}

/// Runs every check, one after another, on tokio's runtime; says on standard error which one it is at.
///
/// # Panics
/// At the first check that does not hold.
pub async fn run<F: Factory>(factory: &mut F) {
    txns::run(factory).await;
    watches::run(factory).await;
    durability::run(factory).await;
}

/// What a watch may take to say something that is already true. Only a broken store takes that long.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(check: &str) {
    eprintln!("conformance: {check}");
}

fn key(path: &str) -> Key {
    Key::new(path).expect("the suite's own keys are valid")
}

fn prefix(path: &str) -> Prefix {
    Prefix::new(path).expect("the suite's own prefixes are valid")
}

/// Commits, and says where the store is then.
async fn commit(store: &impl Store, txn: Txn) -> Position {
    match store.txn(txn.clone()).await {
        Ok(Outcome::Committed { position }) => position,
        other => panic!("{txn:?} was not committed: {other:?}"),
    }
}

async fn put(store: &impl Store, path: &str, value: &str) -> Position {
    commit(store, Txn::new().put(&key(path), value)).await
}

/// A key's value as text, and the revision that wrote it.
async fn read(store: &impl Store, path: &str) -> Option<(String, Revision)> {
    let got = store.get(&key(path)).await.expect("a get of a sound store");
    got.item.map(|item| (text(&item), item.modified))
}

/// All items below a prefix as text, and the listing's position.
async fn list(store: &impl Store, path: &str) -> (BTreeMap<String, String>, Position) {
    let listing = store.list(&prefix(path)).await.expect("a list of a sound store");
    let items: Vec<_> = listing.items.iter().map(|item| (item.key.to_string(), text(item))).collect();
    assert!(items.is_sorted_by(|a, b| a.0 < b.0), "a list is sorted by key, each key once: {items:?}");
    (items.into_iter().collect(), listing.position)
}

async fn next(watch: &mut impl Watch) -> Change {
    tokio::time::timeout(PATIENCE, watch.next())
        .await
        .expect("a watch yields what was committed")
        .expect("a watch of a sound store")
}

fn text(item: &Item) -> String {
    String::from_utf8_lossy(&item.value).into_owned()
}
