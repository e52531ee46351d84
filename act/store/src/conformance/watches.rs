//! Checks of watches: everything, in order, once; or a gap.

use super::{Factory, at, commit, key, list, next, prefix, put, text};
use crate::{Change, Epoch, Event, Gap, Position, Revision, Store, Txn, Watch, WatchError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;

pub(super) async fn run<F: Factory>(factory: &mut F) {
    at("a watch yields what comes after its position");
    follows(&factory.fresh().await).await;
    at("a watch keeps to its prefix and to whole transactions");
    whole_transactions(&factory.fresh().await).await;
    at("a watch replays the past");
    replays_the_past(&factory.fresh().await).await;
    at("a list and a watch from it miss nothing under concurrent writers");
    misses_nothing(factory.fresh().await).await;
    at("a wait for a change may be given up");
    wait_may_be_given_up(&factory.fresh().await).await;
    at("a compacted past is a gap");
    compacted_past_is_a_gap(&factory.fresh().await).await;
    at("a slow watch gets a gap");
    slow_watch_gets_a_gap(&factory.fresh().await).await;
    at("a foreign position is a gap");
    foreign_position_is_a_gap(&factory.fresh().await).await;
}

/// `key=value` for puts, `-key` for deletes.
fn said(change: &Change) -> Vec<String> {
    let say = |event: &Event| match event {
        Event::Put(item) => {
            assert_eq!(item.modified, change.position.revision, "an event is of its change's revision");
            format!("{}={}", item.key, text(item))
        }
        Event::Delete(key) => format!("-{key}"),
    };
    change.events.iter().map(say).collect()
}

async fn gap(watch: &mut impl Watch) -> Gap {
    match tokio::time::timeout(super::PATIENCE, watch.next()).await.expect("a gap is told at once") {
        Err(WatchError::Gap(gap)) => gap,
        other => panic!("a gap was to be told, not {other:?}"),
    }
}

async fn follows(store: &impl Store) {
    let from = put(store, "a", "before").await;
    let mut watch = store.watch(&prefix(""), from);
    let first = put(store, "a", "1").await;
    commit(store, Txn::new().delete(&key("a"))).await;
    put(store, "b", "2").await;
    let change = next(&mut watch).await;
    assert_eq!((said(&change), change.position), (vec!["a=1".into()], first));
    assert_eq!(said(&next(&mut watch).await), ["-a"]);
    assert_eq!(said(&next(&mut watch).await), ["b=2"]);
    let mut resumed = store.watch(&prefix(""), change.position);
    assert_eq!(said(&next(&mut resumed).await), ["-a"], "a watch goes on from a change's position");
}

async fn whole_transactions(store: &impl Store) {
    let from = put(store, "w/gone", "0").await;
    let mut watch = store.watch(&prefix("w/"), from);
    put(store, "w", "outside").await;
    put(store, "w2/a", "outside").await;
    let txn = Txn::new().put(&key("w/z"), "1").put(&key("other"), "1").delete(&key("w/gone"));
    let done = commit(store, txn.put(&key("w/a"), "1").delete(&key("w/never"))).await;
    let change = next(&mut watch).await;
    assert_eq!(change.position, done);
    let mut events = said(&change);
    events.sort();
    assert_eq!(events, ["-w/gone", "w/a=1", "w/z=1"], "a transaction comes whole, without what is outside");
}

async fn replays_the_past(store: &impl Store) {
    let start = list(store, "").await.1;
    // More than a batch of any implementation.
    for n in 0..600 {
        put(store, "n", &n.to_string()).await;
    }
    let mut watch = store.watch(&prefix(""), start);
    for n in 0..600 {
        let change = next(&mut watch).await;
        assert_eq!(said(&change), [format!("n={n}")]);
        assert_eq!(change.position.revision, Revision(n + 1));
    }
}

/// Four writers at once; a copy kept by list and watch ends equal to the store.
async fn misses_nothing<S: Store>(store: S) {
    const WRITERS: u64 = 4;
    const WRITES: u64 = 50;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..WRITES {
                let (mine, common) = (key(&format!("k/{writer}/{}", n % 7)), key("k/common"));
                let txn =
                    if n % 5 == 4 { Txn::new().delete(&mine) } else { Txn::new().put(&mine, n.to_string()) };
                commit(&store, txn.put(&common, format!("{writer}.{n}"))).await;
            }
        });
    }
    let (mut copy, from) = list(&store, "k/").await;
    let mut watch = store.watch(&prefix("k/"), from);
    let mut last = from.revision;
    while last.0 < WRITERS * WRITES {
        let change = next(&mut watch).await;
        assert_eq!(change.position.revision, Revision(last.0 + 1), "each revision once, in order");
        last = change.position.revision;
        replay(&mut copy, &change);
    }
    while let Some(done) = writers.join_next().await {
        done.expect("a writer ends");
    }
    assert_eq!((copy, last), (list(&store, "k/").await.0, Revision(WRITERS * WRITES)));
}

fn replay(copy: &mut BTreeMap<String, String>, change: &Change) {
    for event in &change.events {
        match event {
            Event::Put(item) => drop(copy.insert(item.key.to_string(), text(item))),
            Event::Delete(key) => drop(copy.remove(key.as_str())),
        }
    }
}

async fn wait_may_be_given_up(store: &impl Store) {
    let from = put(store, "a", "0").await;
    let mut watch = store.watch(&prefix(""), from);
    for n in 1..=20 {
        let waited = tokio::time::timeout(Duration::from_millis(1), watch.next()).await;
        assert!(waited.is_err(), "nothing was written: {waited:?}");
        put(store, "a", &n.to_string()).await;
        // Given up at once, with a change under way or there.
        let change = match tokio::time::timeout(Duration::ZERO, watch.next()).await {
            Ok(change) => change.expect("a watch of a sound store"),
            Err(_) => next(&mut watch).await,
        };
        assert_eq!(said(&change), [format!("a={n}")]);
    }
}

async fn compacted_past_is_a_gap(store: &impl Store) {
    let start = list(store, "").await.1;
    for n in 0..10 {
        put(store, &format!("k/{n}"), "x").await;
    }
    let at = |revision| Position { revision: Revision(revision), ..start };
    store.compact(Revision(6)).await.expect("a compaction");
    let told = gap(&mut store.watch(&prefix(""), at(5))).await;
    assert_eq!(told, Gap::Compacted { after: Revision(5), compacted: Revision(6) });
    let mut kept = store.watch(&prefix(""), at(6));
    assert_eq!(said(&next(&mut kept).await), ["k/6=x"]);
    assert_eq!(list(store, "k/").await.0.len(), 10, "items stay");
    store.compact(Revision(3)).await.expect("an older compaction changes nothing");
    assert_eq!(said(&next(&mut store.watch(&prefix(""), at(6))).await), ["k/6=x"]);
    store.compact(Revision(1000)).await.expect("a compaction of all there is");
    let mut watch = store.watch(&prefix(""), at(10));
    put(store, "k/after", "y").await;
    assert_eq!(said(&next(&mut watch).await), ["k/after=y"], "the present is no gap");
}

async fn slow_watch_gets_a_gap(store: &impl Store) {
    let start = list(store, "").await.1;
    let mut watch = store.watch(&prefix(""), start);
    put(store, "a", "0").await;
    assert_eq!(said(&next(&mut watch).await), ["a=0"]);
    for n in 1..=5 {
        put(store, "a", &n.to_string()).await;
    }
    store.compact(Revision(4)).await.expect("a compaction");
    assert_eq!(gap(&mut watch).await, Gap::Compacted { after: Revision(1), compacted: Revision(4) });
    gap(&mut watch).await;
    let (items, position) = list(store, "").await;
    let mut again = store.watch(&prefix(""), position);
    put(store, "a", "6").await;
    assert_eq!((items["a"].as_str(), said(&next(&mut again).await)), ("5", vec!["a=6".into()]));
}

async fn foreign_position_is_a_gap(store: &impl Store) {
    let here = put(store, "a", "1").await;
    let other = Position { epoch: Epoch(here.epoch.0 + 1), ..here };
    let told = gap(&mut store.watch(&prefix(""), other)).await;
    assert_eq!(told, Gap::Epoch { from: other, now: here.epoch });
    let ahead = Position { revision: Revision(here.revision.0 + 1), ..here };
    let told = gap(&mut store.watch(&prefix(""), ahead)).await;
    assert_eq!(told, Gap::Ahead { from: ahead, now: here.revision });
}
