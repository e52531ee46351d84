//! SQLite passes the contract of the store, with group commit and without it.

use naru_store::conformance::{self, Factory, Offered};
use naru_store::{Epoch, LoseAnswer, Options, Sqlite};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tempfile::TempDir;

struct Files {
    options: Options,
    folder: TempDir,
    /// Where each store lies, by its epoch.
    paths: BTreeMap<Epoch, PathBuf>,
    fresh: u64,
}

impl Files {
    fn new(options: Options) -> Files {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Files { options, folder, paths: BTreeMap::new(), fresh: 0 }
    }
}

impl Factory for Files {
    type Store = Sqlite;

    async fn fresh(&mut self) -> Sqlite {
        self.fresh += 1;
        let path = self.folder.path().join(format!("{}.db", self.fresh));
        let store = Sqlite::open(&path, Epoch(self.fresh), self.options).expect("a new store opens");
        self.paths.insert(store.epoch(), path);
        store
    }

    async fn reopen(&mut self, store: Sqlite) -> Sqlite {
        store.close().await;
        self.fresh += 1;
        Sqlite::open(&self.paths[&store.epoch()], Epoch(self.fresh), self.options).expect("it opens again")
    }

    async fn lose_answer(&mut self, store: &Sqlite, lose: LoseAnswer) -> Offered {
        store.lose_answer(lose).await;
        Offered::Arranged
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    conformance::run(&mut Files::new(Options::default())).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract_without_groups() {
    conformance::run(&mut Files::new(Options { group_max: 1, ..Options::default() })).await;
}
