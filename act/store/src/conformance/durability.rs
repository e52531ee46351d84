//! Checks of what outlives a closing, and of outcomes that nobody was told.

use super::{Factory, Offered, at, commit, key, list, next, prefix, put, read};
use crate::{LoseAnswer, Position, Revision, Store, Txn, TxnError};

pub(super) async fn run<F: Factory>(factory: &mut F) {
    at("everything outlives a closing");
    outlives_a_closing(factory).await;
    at("an unknown outcome is told, and can be read");
    for lose in [LoseAnswer::Happened, LoseAnswer::NotHappened] {
        unknown_outcome(factory, lose).await;
    }
}

async fn outlives_a_closing<F: Factory>(factory: &mut F) {
    let store = factory.fresh().await;
    let early = put(&store, "a", "1").await;
    put(&store, "b", "2").await;
    let last = commit(&store, Txn::new().delete(&key("a"))).await;
    let store = factory.reopen(store).await;
    let (items, position) = list(&store, "").await;
    assert_eq!(items.into_iter().collect::<Vec<_>>(), [("b".to_string(), "2".to_string())]);
    assert_eq!(position, last, "revision and epoch are as before");
    assert_eq!(read(&store, "b").await.map(|b| b.1), Some(Revision(2)));
    let mut watch = store.watch(&prefix(""), early);
    assert_eq!(next(&mut watch).await.position.revision, Revision(2), "the history is there too");
    assert_eq!(next(&mut watch).await.position, last);
    assert_eq!(put(&store, "c", "3").await.revision, Revision(4));
    assert_eq!(next(&mut watch).await.position.revision, Revision(4));
}

async fn unknown_outcome<F: Factory>(factory: &mut F, lose: LoseAnswer) {
    let store = factory.fresh().await;
    let before = put(&store, "a", "0").await;
    let mut watch = store.watch(&prefix(""), before);
    // Waits already when the answer is lost, so that nothing but the change can wake it.
    let waiting = tokio::spawn(async move { (next(&mut watch).await.position, watch) });
    read(&store, "a").await.expect("it was put");
    if factory.lose_answer(&store, lose).await == Offered::NotHere {
        return;
    }
    let told = store.txn(Txn::new().put(&key("a"), "1")).await;
    assert!(matches!(told, Err(TxnError::Unknown(_))), "{told:?}");
    let found = read(&store, "a").await.expect("it was there before");
    let want = if lose == LoseAnswer::Happened { ("1", 2) } else { ("0", 1) };
    assert_eq!((found.0.as_str(), found.1.0), want, "reading resolves it");
    if lose == LoseAnswer::Happened {
        let (seen, mut watch) = waiting.await.expect("it waits for what happened");
        assert_eq!(seen.revision, Revision(2), "watches see what happened");
        let after = after_it(&store, found.1).await;
        assert_eq!(next(&mut watch).await.position, after);
    } else {
        let after = after_it(&store, found.1).await;
        assert_eq!(waiting.await.expect("it waits for what comes after").0, after);
    }
    let store = factory.reopen(store).await;
    assert_eq!(read(&store, "a").await, Some(found), "and it stays so");
}

/// A transaction guarded by what was read.
async fn after_it(store: &impl Store, found: Revision) -> Position {
    commit(store, Txn::new().at(&key("a"), found).put(&key("b"), "after")).await
}
