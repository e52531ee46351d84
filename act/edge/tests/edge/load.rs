//! Many at once: exactness of acknowledgements and books, shares, loads.

use crate::lab::{Instance, Lab, Peer, either, get, http, ok};
use naru_model::{InProgress, InstanceId, Protocol};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Clients that ask one request after the other, and keep their own books of who answered.
struct Clients {
    stop: Arc<AtomicBool>,
    each: Vec<JoinHandle<BTreeMap<String, u64>>>,
    answered: Arc<AtomicU64>,
}

impl Clients {
    fn start(lab: &Lab, n: usize) -> Clients {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let address = lab.address();
        let client = |at: usize| {
            let (stop, answered) = (stop.clone(), answered.clone());
            tokio::spawn(async move {
                let mut books = BTreeMap::new();
                let mut peer = Peer::connect(address).await;
                let request = if at.is_multiple_of(2) {
                    get("/")
                } else {
                    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc".into()
                };
                while !stop.load(Ordering::Relaxed) {
                    let (status, body) = peer.ask(&request).await;
                    assert_eq!(status, "HTTP/1.1 200 OK");
                    *books.entry(body).or_default() += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                books
            })
        };
        let each = (0..n).map(client).collect();
        Clients { stop, each, answered }
    }

    /// Lets `n` more requests be answered.
    async fn go_on(&self, n: u64) {
        let until = self.answered.load(Ordering::Relaxed) + n;
        while self.answered.load(Ordering::Relaxed) < until {
            tokio::task::yield_now().await;
        }
    }

    async fn stop(self) -> BTreeMap<InstanceId, u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum: BTreeMap<InstanceId, u64> = BTreeMap::new();
        for client in self.each {
            for (id, n) in client.await.unwrap() {
                *sum.entry(id.into()).or_default() += n;
            }
        }
        sum
    }
}

#[tokio::test]
async fn after_an_acknowledgement_an_unnamed_instance_gets_nothing_and_nothing_is_lost() {
    let mut lab = Lab::new();
    let mut instances = Vec::new();
    for n in 0..12 {
        let mut instance = Instance::new(&format!("s.web.{n}.{n}")).await;
        instance.answer_all();
        instances.push(instance);
    }
    lab.serve(&[&instances[0], &instances[1]]).await;
    let clients = Clients::start(&lab, 32);
    clients.go_on(500).await;
    for pair in instances.windows(2).skip(1) {
        lab.serve(&[&pair[0], &pair[1]]).await;
        let gone = lab.report().await;
        clients.go_on(500).await;
        let later = lab.report().await;
        for instance in instances.iter().filter(|i| pair.iter().all(|p| p.id != i.id)) {
            let (Some(gone), Some(later)) =
                (gone.instances.get(&instance.id), later.instances.get(&instance.id))
            else {
                continue;
            };
            let all = |c: &naru_model::EdgeCounts| c.in_progress.requests + c.counts.requests;
            assert_eq!(all(gone), all(later), "{}", instance.id);
        }
    }
    let books = clients.stop().await;
    let report = lab.report().await;
    for (id, n) in books {
        let counts = &report.instances[&id];
        assert_eq!((counts.counts.requests, counts.counts.lost(), counts.counts.handed_over), (n, 0, 0));
        assert_eq!(counts.in_progress, InProgress::default());
        assert_eq!(counts.request_durations.count(), n);
    }
}

/// An instance that breaks every fifth request off; how many it broke.
fn break_off(instance: &mut Instance) -> Arc<AtomicU64> {
    let broken = Arc::new(AtomicU64::new(0));
    let (listener, count) = (instance.listener(), broken.clone());
    tokio::spawn(async move {
        let heard = Arc::new(AtomicU64::new(0));
        while let Ok((stream, _)) = listener.accept().await {
            let (heard, count) = (heard.clone(), count.clone());
            tokio::spawn(async move {
                let mut peer = Peer::new(stream);
                while peer.try_head().await.is_some() {
                    let n = heard.fetch_add(1, Ordering::Relaxed);
                    if n % 5 == 4 {
                        count.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    peer.say(&ok("flaky")).await;
                }
            });
        }
    });
    broken
}

#[tokio::test]
async fn no_client_sees_the_failures_of_an_instance_beside_a_sound_one() {
    let (mut sound, mut flaky) = (Instance::new("sound").await, Instance::new("flaky").await);
    let mut lab = Lab::new();
    lab.serve(&[&sound, &flaky]).await;
    sound.answer_all();
    let broken = break_off(&mut flaky);
    let each = (0..16).map(|_| {
        let address = lab.address();
        tokio::spawn(async move {
            let mut peer = Peer::connect(address).await;
            for _ in 0..100 {
                assert_eq!(peer.ask(&get("/")).await.0, "HTTP/1.1 200 OK");
            }
        })
    });
    for client in each.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let (sound, flaky) = (lab.idle(&sound).await.counts, lab.idle(&flaky).await.counts);
    assert_eq!(sound.requests + flaky.requests, 1600);
    assert_eq!(flaky.handed_over, broken.load(Ordering::Relaxed));
    assert!(flaky.handed_over > 0, "it broke none off");
    assert_eq!(sound.lost() + flaky.lost() + sound.handed_over, 0);
}

#[tokio::test]
async fn shares_follow_the_weights_exactly() {
    let mut lab = Lab::with(|config| config.workers = 1);
    let (mut a, mut b, mut c) =
        (Instance::new("a").await, Instance::new("b").await, Instance::new("c").await);
    [&mut a, &mut b, &mut c].into_iter().for_each(Instance::answer_all);
    lab.route(vec![http(&[(7, &[&a]), (3, &[&b]), (0, &[&c]), (5, &[])])]).await;
    let mut client = lab.client().await;
    let mut order = String::new();
    for _ in 0..20 {
        order += &client.ask(&get("/")).await.1;
    }
    assert_eq!(order, "abaaabaabaabaaabaaba");
    assert!(lab.report().await.instances.contains_key(&c.id), "it is named");
}

#[tokio::test]
async fn the_least_loaded_instance_is_chosen_and_ties_take_turns() {
    let (busy, one, two) =
        (Instance::new("busy").await, Instance::new("one").await, Instance::new("two").await);
    let mut lab = Lab::new();
    lab.serve(&[&busy]).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        let mut server = busy.accept().await;
        server.head().await;
        held.push((client, server));
    }
    lab.serve(&[&busy, &one, &two]).await;
    for _ in 0..2 {
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        let (at, mut server) = either(&one, &two).await;
        let (mut other, second) = (lab.client().await, [&two, &one][at]);
        server.head().await;
        other.say(&get("/")).await;
        let mut second = second.accept().await;
        second.head().await;
        for (server, client) in [(&mut server, &mut client), (&mut second, &mut other)] {
            server.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
            client.head().await;
        }
        lab.idle(&one).await;
        lab.idle(&two).await;
    }
}

#[tokio::test]
async fn many_connections_are_kept_and_a_bound_holds_the_rest_back() {
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let mut lab = Lab::with(|config| {
        config.workers = 1;
        config.max_connections = 200;
    });
    lab.serve(&[&instance]).await;
    let mut open = Vec::new();
    for _ in 0..200 {
        let mut client = lab.client().await;
        assert_eq!(client.ask(&get("/")).await.1, "s.web.1.1");
        open.push(client);
    }
    let mut late = lab.client().await;
    late.say(&get("/")).await;
    for client in &mut open {
        client.ask(&get("/")).await;
    }
    let mut byte = [0];
    assert!(late.stream.try_read(&mut byte).is_err(), "it has to wait");
    open.pop();
    assert_eq!(late.answer().await.1, "s.web.1.1");
    assert_eq!(lab.idle(&instance).await.counts.requests, 401);
}

#[tokio::test]
async fn streams_and_requests_of_an_instance_weigh_the_same() {
    let (one, two) = (Instance::new("one").await, Instance::new("two").await);
    let mut lab = Lab::new();
    let both: &[&Instance] = &[&one, &two];
    lab.route(vec![http(&[(1, both)]), crate::lab::listener("tcp", Protocol::Tcp, &[(1, &[&one])])]).await;
    let _stream = Peer::connect(lab.address_of("tcp")).await;
    let _server = one.accept().await;
    lab.until(&one, |c| c.in_progress.streams == 1).await;
    for _ in 0..3 {
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        let mut server = two.accept().await;
        server.head().await;
        server.say(&ok("two").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
        client.head().await;
        lab.idle(&two).await;
    }
}
