//! Checks of reads and guarded transactions.

use super::{Factory, at, commit, key, list, put, read};
use crate::{
    Fault, Guard, InvalidTxn, Outcome, Revision, Store, TXN_BYTES_MAX, TXN_OPS_MAX, Txn, TxnError, VALUE_MAX,
};
use tokio::task::JoinSet;

pub(super) async fn run<F: Factory>(factory: &mut F) {
    at("what is written is read");
    reads_what_was_written(&factory.fresh().await).await;
    at("guards hold or refuse, and say what they found");
    guards_refuse(&factory.fresh().await).await;
    at("a refused transaction writes nothing");
    all_or_nothing(&factory.fresh().await).await;
    at("a transaction without a change takes no revision");
    no_change_no_revision(&factory.fresh().await).await;
    at("bounds are kept");
    bounds(&factory.fresh().await).await;
    at("a list keeps to its prefix");
    list_keeps_to_its_prefix(&factory.fresh().await).await;
    at("a list is of one revision");
    list_is_of_one_revision(factory.fresh().await).await;
    at("concurrent writers with guards lose no update");
    no_lost_update(factory.fresh().await).await;
}

async fn reads_what_was_written(store: &impl Store) {
    let empty = store.get(&key("a")).await.expect("a get of an empty store");
    assert_eq!((empty.item, empty.position.revision), (None, Revision(0)));
    let first = put(store, "a", "1").await;
    assert_eq!(first.revision, Revision(1), "revisions count from 1");
    assert_eq!(read(store, "a").await, Some(("1".into(), first.revision)));
    let second = put(store, "a", "2").await;
    assert_eq!(second.revision, Revision(2), "and grow by one");
    assert_eq!(read(store, "a").await, Some(("2".into(), second.revision)));
    commit(store, Txn::new().delete(&key("a"))).await;
    assert_eq!(read(store, "a").await, None);
    let binary: Vec<u8> = (0..=255).collect();
    commit(store, Txn::new().put(&key("b"), binary.clone()).put(&key("empty"), "")).await;
    let got = store.get(&key("b")).await.expect("a get");
    assert_eq!(got.item.expect("it was put").value, binary);
    assert_eq!(read(store, "empty").await.expect("an empty value is not an absent key").0, "");
}

async fn guards_refuse(store: &impl Store) {
    let a = key("a");
    let made = commit(store, Txn::new().absent(&a).put(&a, "1")).await.revision;
    let refusal = |guard, found| Ok::<_, TxnError>(Outcome::Refused { guard, found });
    let again = store.txn(Txn::new().absent(&a).put(&a, "x")).await;
    assert_eq!(again, refusal(Guard::Absent(a.clone()), Some(made)));
    let wrong = Revision(made.0 + 7);
    let stale = store.txn(Txn::new().at(&a, wrong).put(&a, "x")).await;
    assert_eq!(stale, refusal(Guard::At(a.clone(), wrong), Some(made)));
    let b = key("b");
    let missing = store.txn(Txn::new().at(&a, made).at(&b, made).put(&b, "x")).await;
    assert_eq!(missing, refusal(Guard::At(b, made), None), "the guard that does not hold is the one named");
    assert_eq!(read(store, "a").await, Some(("1".into(), made)));
    let now = commit(store, Txn::new().at(&a, made).put(&a, "2")).await.revision;
    assert!(now > made);
    commit(store, Txn::new().at(&a, now).delete(&a)).await;
    commit(store, Txn::new().absent(&a).put(&a, "3")).await;
}

async fn all_or_nothing(store: &impl Store) {
    let at = put(store, "held", "1").await;
    let several = |guarded: &str| {
        Txn::new().absent(&key(guarded)).put(&key("x"), "1").put(&key("y"), "1").delete(&key("held"))
    };
    let refused = store.txn(several("held")).await;
    assert!(matches!(refused, Ok(Outcome::Refused { .. })), "{refused:?}");
    let (items, position) = list(store, "").await;
    assert_eq!(items.keys().collect::<Vec<_>>(), ["held"]);
    assert_eq!(position, at, "a refusal takes no revision");
    let done = commit(store, several("free")).await;
    let (items, position) = list(store, "").await;
    assert_eq!(items.keys().collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(position, done);
    let same = (read(store, "x").await.map(|x| x.1), read(store, "y").await.map(|y| y.1));
    assert_eq!(same, (Some(done.revision), Some(done.revision)), "one transaction, one revision");
}

async fn no_change_no_revision(store: &impl Store) {
    let before = put(store, "a", "1").await;
    assert_eq!(commit(store, Txn::new()).await, before);
    assert_eq!(commit(store, Txn::new().at(&key("a"), before.revision)).await, before);
    assert_eq!(commit(store, Txn::new().delete(&key("never"))).await, before);
    assert!(put(store, "a", "1").await.revision > before.revision, "a put of the same value is a change");
}

async fn bounds(store: &impl Store) {
    let a = key("a");
    commit(store, Txn::new().put(&a, vec![7; VALUE_MAX])).await;
    let got = store.get(&a).await.expect("a get").item.expect("it was put");
    assert_eq!(got.value.len(), VALUE_MAX);
    let many = |n: usize| (0..n).fold(Txn::new(), |txn, i| txn.put(&key(&format!("many/{i}")), "x"));
    commit(store, many(TXN_OPS_MAX)).await;
    let invalid = [
        (Txn::new().put(&a, vec![7; VALUE_MAX + 1]), InvalidTxn::ValueTooLarge(a.clone(), VALUE_MAX + 1)),
        (many(TXN_OPS_MAX + 1), InvalidTxn::TooManyOps(TXN_OPS_MAX + 1)),
        (Txn::new().put(&a, "1").delete(&a), InvalidTxn::WrittenTwice(a.clone())),
        (
            Txn::new().put(&a, vec![7; VALUE_MAX]).put(&key("b"), vec![7; VALUE_MAX]),
            InvalidTxn::TooLarge(2 * VALUE_MAX + 2),
        ),
    ];
    let before = list(store, "").await.1;
    for (txn, why) in invalid {
        assert_eq!(store.txn(txn).await, Err(TxnError::Invalid(why)));
    }
    assert_eq!(list(store, "").await.1, before, "what is against the bounds writes nothing");
    const { assert!(VALUE_MAX < TXN_BYTES_MAX) };
}

async fn list_keeps_to_its_prefix(store: &impl Store) {
    for path in ["s", "s/b", "s/a", "s/a/deep", "s/~", "s0", "r/z", "t"] {
        put(store, path, path).await;
    }
    let keys = |items: std::collections::BTreeMap<String, String>| items.into_keys().collect::<Vec<_>>();
    assert_eq!(keys(list(store, "s/").await.0), ["s/a", "s/a/deep", "s/b", "s/~"]);
    assert_eq!(keys(list(store, "s/a/").await.0), ["s/a/deep"]);
    assert_eq!(keys(list(store, "none/").await.0), [""; 0]);
    assert_eq!(list(store, "").await.0.len(), 8);
}

/// A writer keeps two keys equal; no list may see them differ, nor be at another revision than theirs.
async fn list_is_of_one_revision<S: Store>(store: S) {
    let pair = |n: u32| Txn::new().put(&key("p/a"), n.to_string()).put(&key("p/z"), n.to_string());
    commit(&store, pair(0)).await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 1..=100 {
                commit(&store, pair(n)).await;
            }
        }
    });
    let mut seen = 0;
    while seen < 100 {
        let (items, position) = list(&store, "p/").await;
        assert_eq!(items["p/a"], items["p/z"], "a list shows one state");
        let n: u64 = items["p/a"].parse().expect("a number was written");
        assert_eq!(position.revision, Revision(n + 1), "and says at which revision");
        assert!(n >= seen, "and never an older one than before");
        seen = n;
    }
    writer.await.expect("the writer ends");
}

/// Eight tasks count up one number, each step guarded by what it read.
async fn no_lost_update<S: Store>(store: S) {
    const TASKS: u64 = 8;
    const STEPS: u64 = 25;
    put(&store, "counter", "0").await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..STEPS {
                while !count_up(&store).await.expect("a sound store") {}
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a task ends");
    }
    let counted = read(&store, "counter").await.expect("it is there").0;
    assert_eq!(counted, (TASKS * STEPS).to_string(), "every committed step counts once");
}

async fn count_up(store: &impl Store) -> Result<bool, Fault> {
    let counter = key("counter");
    let item = store.get(&counter).await?.item.expect("nobody deletes it");
    let n: u64 = String::from_utf8_lossy(&item.value).parse().expect("a number was written");
    let step = Txn::new().at(&counter, item.modified).put(&counter, (n + 1).to_string());
    match store.txn(step).await.expect("no fault") {
        Outcome::Committed { .. } => Ok(true),
        Outcome::Refused { found, .. } => {
            assert!(found > Some(item.modified), "a refusal names the newer revision");
            Ok(false)
        }
    }
}
