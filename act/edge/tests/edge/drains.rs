//! Streams that the edge ends by a policy: of an instance that retires, or silent for too long.

use crate::lab::{Instance, Lab, Peer, get, http, listener};
use naru_model::{Counts, InProgress, Listener, Protocol, RuleTally, Span, Time};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A server's close frame: service restart.
const CLOSE: &[u8] = b"\x88\x02\x03\xf4";

const STREAM: InProgress = InProgress { requests: 0, streams: 1, jobs: 0 };
/// One stream that has ended in order, and nothing else.
fn ended() -> Counts {
    Counts { streams: 1, ..Counts::default() }
}

/// With streams that have no time at all once their instance retires.
fn drained(mut listener: Listener) -> Listener {
    listener.policy.stream_drain = Some(Span(0));
    listener
}

async fn stage() -> (Lab, Instance, Instance) {
    let (old, new) = (Instance::new("s.web.1.1").await, Instance::new("s.web.2.1").await);
    let mut lab = Lab::with(|config| config.linger_time = Duration::from_secs(20));
    lab.route(vec![drained(http(&[(1, &[&old])]))]).await;
    (lab, old, new)
}

async fn retire(lab: &mut Lab, to: &Instance) {
    lab.route(vec![drained(http(&[(1, &[to])]))]).await;
}

impl Lab {
    async fn tally(&self) -> RuleTally {
        self.edge.snapshot(Time(2_000_000)).await.listeners.swap_remove(0).rules.swap_remove(0).tally
    }
}

async fn websocket(lab: &Lab, instance: &Instance) -> (Peer, Peer) {
    let mut client = lab.client().await;
    client.say(UPGRADE).await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say(SWITCHED).await;
    client.hears(SWITCHED).await;
    (client, server)
}

#[tokio::test]
async fn a_websocket_is_told_to_come_back_between_two_frames() {
    let (mut lab, old, new) = stage().await;
    let (mut client, mut server) = websocket(&lab, &old).await;
    // A frame that is whole, and half of one.
    server.stream.write_all(b"\x81\x02hi\x82\x04ab").await.unwrap();
    assert_eq!(client.bytes(8).await, b"\x81\x02hi\x82\x04ab");
    retire(&mut lab, &new).await;
    lab.until(&old, |c| c.in_progress == STREAM).await;
    // The frame ends. The moment may still be to come: others follow, each in two pieces, and no close stands in them.
    server.stream.write_all(b"cd\x82\x04ab").await.unwrap();
    assert_eq!(client.bytes(2).await, b"cd");
    let mut next = client.bytes(4).await;
    while next != CLOSE {
        assert_eq!(next, b"\x82\x04ab");
        server.stream.write_all(b"cd\x82\x04ab").await.unwrap();
        assert_eq!(client.bytes(2).await, b"cd");
        next = client.bytes(4).await;
    }
    client.stream.write_all(b"\x88\x82\0\0\0\0\x03\xf4").await.unwrap();
    assert_eq!(server.bytes(8).await, b"\x88\x82\0\0\0\0\x03\xf4", "the client's answer");
    server.stream.write_all(b"\x88\x02\x03\xf4").await.unwrap();
    drop(server);
    client.ends().await;
    drop(client);
    assert_eq!(lab.idle(&old).await.counts, ended());
    let tally = lab.tally().await;
    assert_eq!((tally.closed, tally.broken, tally.left), (1, 0, 0));
}

#[tokio::test]
async fn a_websocket_that_rests_is_told_at_once_and_one_of_another_instance_is_not() {
    let (mut lab, old, new) = stage().await;
    let (mut client, server) = websocket(&lab, &old).await;
    lab.route(vec![drained(http(&[(1, &[&old, &new])]))]).await;
    let (mut other, mut other_server) = websocket(&lab, &new).await;
    retire(&mut lab, &new).await;
    assert_eq!(client.bytes(4).await, CLOSE);
    drop((client, server));
    lab.idle(&old).await;
    other_server.say("\u{1}\u{0}").await;
    other.hears("\u{1}\u{0}").await;
}

#[tokio::test]
async fn a_websocket_whose_instance_goes_behind_another_listener_is_told_nothing() {
    let (one, two) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    let behind = |first: &Instance, second: &Instance| {
        vec![drained(http(&[(1, &[first])])), drained(listener("zz", Protocol::Http, &[(1, &[second])]))]
    };
    let mut lab = Lab::new();
    lab.route(behind(&one, &two)).await;
    let (mut client, mut server) = websocket(&lab, &one).await;
    // The first listener lets go of it before the second takes it.
    lab.route(behind(&two, &one)).await;
    lab.route(behind(&two, &one)).await;
    for _ in 0..20 {
        server.say("\u{1}\u{0}").await;
        client.hears("\u{1}\u{0}").await;
        lab.report().await;
    }
    lab.route(behind(&two, &two)).await;
    assert_eq!(client.bytes(4).await, CLOSE);
    drop((client, server));
    assert_eq!(lab.idle(&one).await.counts, ended());
}

#[tokio::test]
async fn without_the_policy_no_stream_is_touched() {
    let (old, new) = (Instance::new("s.web.1.1").await, Instance::new("s.web.2.1").await);
    let mut lab = Lab::new();
    lab.serve(&[&old]).await;
    let (mut client, mut server) = websocket(&lab, &old).await;
    lab.serve(&[&new]).await;
    for _ in 0..20 {
        server.say("..").await;
        client.hears("..").await;
        lab.report().await;
    }
    assert_eq!(lab.report().await.instances[&old.id].in_progress, STREAM);
}

#[tokio::test]
async fn events_end_after_one_of_them_as_a_whole_answer() {
    let (mut lab, old, new) = stage().await;
    let mut client = lab.client().await;
    client.say(&get("/events")).await;
    let mut server = old.accept().await;
    server.head().await;
    server.say(EVENTS).await;
    client.hears(EVENTS).await;
    // An event that is whole, and the beginning of another, in one chunk.
    server.say("d\r\ndata:1\n\ndata:\r\n").await;
    client.hears("d\r\ndata:1\n\ndata:\r\n").await;
    retire(&mut lab, &new).await;
    lab.until(&old, |c| c.in_progress == STREAM).await;
    // The moment may still be to come: each chunk ends an event and begins another, until one is the last.
    while server.stream.write_all(b"9\r\n2\n\ndata:2\r\n").await.is_ok() {
        match &*client.line().await {
            "9" => client.hears("2\n\ndata:2\r\n").await,
            last => {
                assert_eq!(last, "3", "the event is ended, and no other begun");
                client.hears("2\n\n\r\n0\r\n\r\n").await;
                break;
            }
        }
    }
    client.ends().await;
    drop(client);
    assert_eq!(lab.idle(&old).await.counts, ended());
    assert_eq!(lab.tally().await.closed, 1);
}

#[tokio::test]
async fn events_that_end_by_themselves_are_whole_and_their_connection_goes_on() {
    let (mut lab, old, _) = stage().await;
    old_client(&mut lab, &old).await;
    let mut client = lab.client().await;
    client.say(&get("/events")).await;
    let mut server = old.accept().await;
    server.head().await;
    server.say(EVENTS).await;
    server.say("8\r\ndata:1\n\n\r\n0\r\n\r\n").await;
    client.hears(EVENTS).await;
    client.hears("8\r\ndata:1\n\n\r\n0\r\n\r\n").await;
    client.say(&get("/again")).await;
    assert!(server.head().await.starts_with("GET /again "));
    assert_eq!(lab.tally().await.closed, 0);
}

/// HTTP/1.0 knows no chunks: the end of the connection is the end of the events.
async fn old_client(lab: &mut Lab, old: &Instance) {
    let mut client = lab.client().await;
    client.say("GET /events HTTP/1.0\r\nHost: t\r\n\r\n").await;
    let mut server = old.accept().await;
    server.head().await;
    server.say(EVENTS).await;
    client.head().await;
    server.say("8\r\ndata:1\n\n\r\n").await;
    client.hears("data:1\n\n").await;
    server.say("0\r\n\r\n").await;
    client.ends().await;
    lab.until(old, |c| c.in_progress.is_idle()).await;
}

#[tokio::test]
async fn a_tcp_connection_of_a_retiring_instance_is_closed_in_order() {
    let (old, new) = (Instance::new("s.db.1.1").await, Instance::new("s.db.2.1").await);
    let mut lab = Lab::new();
    let db = |instance: &Instance| drained(listener("db", Protocol::Tcp, &[(1, &[instance])]));
    lab.route(vec![db(&old)]).await;
    let mut client = Peer::connect(lab.address_of("db")).await;
    client.say("hello").await;
    let mut server = old.accept().await;
    server.hears("hello").await;
    lab.route(vec![db(&new)]).await;
    server.ends().await;
    client.ends().await;
    drop((client, server));
    assert_eq!(lab.idle(&old).await.counts, ended());
    assert_eq!(lab.tally().await.closed, 1);
}

#[tokio::test]
async fn a_silent_tcp_connection_is_ended_and_one_that_speaks_is_not() {
    let instance = Instance::new("s.db.1.1").await;
    let mut lab = Lab::new();
    let mut db = listener("db", Protocol::Tcp, &[(1, &[&instance])]);
    db.policy.idle_timeout = Some(Span(200));
    lab.route(vec![db]).await;
    let mut speaks = Peer::connect(lab.address_of("db")).await;
    let mut heard = instance.accept().await;
    let mut silent = Peer::connect(lab.address_of("db")).await;
    let mut server = instance.accept().await;
    let speak = async {
        loop {
            heard.say(".").await;
            speaks.hears(".").await;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = speak => unreachable!("it goes on"),
        () = silent.ends() => {}
    }
    server.ends().await;
    drop((silent, server));
    assert_eq!(lab.until(&instance, |c| c.in_progress == STREAM).await.counts, ended());
    assert_eq!(lab.tally().await.closed, 1);
}
