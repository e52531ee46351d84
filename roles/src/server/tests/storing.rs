//! Decisions of any size are stored whole or not at all.

use super::{edge, release, store, store_of};
use crate::server::ledger::{Committed, Ledger, LoadError};
use crate::server::records::RecordError;
use naru_decide::{World, Write};
use naru_model::{Generation, ReleaseNo, Time};
use naru_store::{Key, LoseAnswer, Options, Sqlite, Store, Txn};

const NOW: Time = Time(1_000);

async fn opened(store: &Sqlite) -> (Ledger<Sqlite>, World) {
    Ledger::open(store.clone()).await.unwrap()
}

fn applied(writes: &[Write], generation: u64) -> World {
    let mut world = World { generation: Generation(generation), ..World::default() };
    writes.iter().cloned().for_each(|write| world.apply(write));
    world
}

#[tokio::test]
async fn what_is_committed_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (mut ledger, world) = opened(&store).await;
    assert_eq!(world, World::default());
    let writes = [edge(1, 10), release(1, 10), release(2, 10)];
    assert_eq!(ledger.commit(&writes, NOW).await.unwrap(), Committed::As(Generation(1)));
    assert_eq!(opened(&store).await.1, applied(&writes, 1));
    assert_eq!(opened(&store).await.0.at(), NOW);
    let gone = [Write::ForgetRelease("shop".into(), ReleaseNo(1)), release(2, 20)];
    assert_eq!(ledger.commit(&gone, NOW).await.unwrap(), Committed::As(Generation(2)));
    let all: Vec<_> = writes.iter().chain(&gone).cloned().collect();
    assert_eq!(opened(&store).await.1, applied(&all, 2));
}

#[tokio::test]
async fn of_two_servers_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (mut first, _) = opened(&store).await;
    let (mut second, _) = opened(&store).await;
    assert_eq!(first.commit(&[edge(1, 1)], NOW).await.unwrap(), Committed::As(Generation(1)));
    assert_eq!(second.commit(&[edge(2, 1)], NOW).await.unwrap(), Committed::Outrun);
    assert_eq!(second.load().await.unwrap(), applied(&[edge(1, 1)], 1));
    assert_eq!(second.commit(&[edge(2, 1)], NOW).await.unwrap(), Committed::As(Generation(2)));
    assert_eq!(first.commit(&[edge(3, 1)], NOW).await.unwrap(), Committed::Outrun);
}

#[tokio::test]
async fn a_record_beyond_a_value_is_kept_in_parts_and_shrinks_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (mut ledger, _) = opened(&store).await;
    let mut generation = 0;
    for weight in [7 << 20, 600 << 10, 3 << 20, 10] {
        let writes = [release(1, weight)];
        generation += 1;
        assert_eq!(ledger.commit(&writes, NOW).await.unwrap(), Committed::As(Generation(generation)));
        assert_eq!(opened(&store).await.1, applied(&writes, generation), "{weight} bytes");
    }
    let keys = store.list(&naru_store::Prefix::new("release/").unwrap()).await.unwrap().items.len();
    assert_eq!(keys, 1);
    // And by a server that read the parts, instead of writing them.
    ledger.commit(&[release(1, 2 << 20)], NOW).await.unwrap();
    let (mut other, _) = opened(&store).await;
    other.commit(&[Write::ForgetRelease("shop".into(), ReleaseNo(1))], NOW).await.unwrap();
    assert_eq!(opened(&store).await.1, applied(&[], generation + 2));
}

#[tokio::test]
async fn a_decision_beyond_a_transaction_is_whole_wherever_it_breaks_off() {
    let writes: Vec<Write> = (0..400).map(|n| edge(n, 3_000)).collect();
    let before = [edge(0, 1), release(1, 10)];
    let (mut nothing, mut everything) = (0, 0);
    for step in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let (mut ledger, _) = opened(&store).await;
        ledger.commit(&before, NOW).await.unwrap();
        let position = store.list(&naru_store::Prefix::everything()).await.unwrap().position.revision.0;
        let lost = lose_after(&store, step, &mut ledger, &writes).await;
        let (mut next, world) = opened(&store).await;
        let all: Vec<_> = before.iter().chain(&writes).cloned().collect();
        match world.generation {
            Generation(1) => {
                nothing += 1;
                assert_eq!(world, applied(&before, 1), "step {step}");
            }
            _ => {
                everything += 1;
                assert_eq!(world, applied(&all, 2), "step {step}");
            }
        }
        assert!(matches!(next.commit(&[edge(5, 5)], NOW).await.unwrap(), Committed::As(_)));
        let left = store.list(&naru_store::Prefix::new("server/journal/").unwrap()).await.unwrap();
        assert!(left.items.is_empty(), "pages are left");
        if !lost {
            let txns = store.list(&naru_store::Prefix::everything()).await.unwrap().position.revision.0;
            assert!(txns - position > 5, "the change was split");
            break;
        }
    }
    assert!(nothing >= 2 && everything >= 4, "{nothing} broke off before it counted, {everything} after");
}

/// Commits, and breaks off after `step` transactions, as if the server had died there. Whether it did.
async fn lose_after(store: &Sqlite, step: u64, ledger: &mut Ledger<Sqlite>, writes: &[Write]) -> bool {
    let mut watch = {
        let position = store.list(&naru_store::Prefix::everything()).await.unwrap().position;
        store.watch(&naru_store::Prefix::everything(), position)
    };
    let dies = async {
        for _ in 0..step {
            naru_store::Watch::next(&mut watch).await.unwrap();
        }
    };
    let lost = tokio::select! {
        biased;
        () = dies => true,
        outcome = ledger.commit(writes, NOW) => {
            outcome.unwrap();
            false
        }
    };
    // The transaction that was on its way is carried out or not, but not later than this one.
    let last = Txn::new().put(&Key::new("server/test").unwrap(), "");
    let _committed = store.txn(last).await.unwrap();
    lost
}

#[tokio::test]
async fn an_unknown_outcome_is_read_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let (mut ledger, _) = opened(&store).await;
    for (lose, generation) in [(LoseAnswer::NotHappened, 0), (LoseAnswer::Happened, 1)] {
        store.lose_answer(lose).await;
        ledger.commit(&[edge(1, 1)], NOW).await.unwrap_err();
        assert_eq!(ledger.load().await.unwrap().generation, Generation(generation));
    }
    assert_eq!(ledger.commit(&[edge(2, 1)], NOW).await.unwrap(), Committed::As(Generation(2)));
}

#[tokio::test]
async fn records_of_a_later_version_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let format = Key::new("server/format").unwrap();
    let _committed = store.txn(Txn::new().put(&format, "2")).await.unwrap();
    let Err(LoadError::Record(RecordError::Newer { found: 2 })) = Ledger::open(store).await else {
        panic!("the records were read")
    };
}

#[tokio::test]
async fn a_full_store_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_of(dir.path(), Options { file_bytes_max: 200 << 10, ..Options::default() });
    let (mut ledger, _) = opened(&store).await;
    ledger.commit(&[edge(1, 1)], NOW).await.unwrap();
    ledger.commit(&[release(1, 400 << 10)], NOW).await.unwrap_err();
    assert_eq!(ledger.load().await.unwrap(), applied(&[edge(1, 1)], 1));
    assert_eq!(ledger.commit(&[edge(2, 1)], NOW).await.unwrap(), Committed::As(Generation(2)));
}
