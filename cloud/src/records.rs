//! The records of assets, as the store has them: `asset/PROVIDER/MACHINE`, JSON.

use naru_assets::AssetRecord;
use naru_model::AssetId;
use naru_store::{Item, Key, Outcome, Prefix, Store, Txn};

/// Where they lie.
const FOLDER: &str = "asset/";

/// So many in one transaction: it bears more.
const BATCH: usize = 64;

/// Their place.
pub struct Records<S> {
    store: S,
}

impl<S: Store> Records<S> {
    /// In this store.
    pub fn new(store: S) -> Records<S> {
        Records { store }
    }

    /// All of them.
    ///
    /// # Errors
    /// The store is at fault, or one makes no sense.
    pub async fn all(&self) -> Result<Vec<AssetRecord>, String> {
        let prefix = Prefix::new(FOLDER).map_err(|error| error.to_string())?;
        let items = self.store.list(&prefix).await.map_err(|error| error.to_string())?.items;
        let read = |item: &Item| {
            let broken = |error| {
                format!("the record {} cannot be read ({error}): restore the store from a copy", item.key)
            };
            serde_json::from_slice(&item.value).map_err(broken)
        };
        items.iter().map(read).collect()
    }

    /// Keeps some, and drops others. Only one task of the one server writes here, so that nothing is guarded.
    ///
    /// # Errors
    /// The store is at fault: whether it was kept may be unknown.
    pub async fn put(&self, changed: &[AssetRecord], gone: &[AssetId]) -> Result<(), String> {
        for batch in changed.chunks(BATCH) {
            let mut txn = Txn::new();
            for record in batch {
                let value = serde_json::to_vec(record).map_err(|error| error.to_string())?;
                txn = txn.put(&key(&record.id)?, value);
            }
            self.commit(txn).await?;
        }
        for batch in gone.chunks(BATCH) {
            let mut txn = Txn::new();
            for id in batch {
                txn = txn.delete(&key(id)?);
            }
            self.commit(txn).await?;
        }
        Ok(())
    }

    async fn commit(&self, txn: Txn) -> Result<(), String> {
        match self.store.txn(txn).await.map_err(|error| error.to_string())? {
            Outcome::Committed { .. } => Ok(()),
            Outcome::Refused { guard, .. } => Err(format!("the store refuses {}", guard.key())),
        }
    }
}

fn key(id: &AssetId) -> Result<Key, String> {
    Key::new(format!("{FOLDER}{id}")).map_err(|error| error.to_string())
}
