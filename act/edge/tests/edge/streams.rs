//! Streams: websockets, server-sent events, TCP; and what flows through while it is not read.

use crate::lab::{Instance, Lab, Peer, get, listener, ok, soon};
use naru_model::{Counts, InProgress, Protocol};
use tokio::io::AsyncWriteExt;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

const STREAM: InProgress = InProgress { requests: 0, streams: 1, jobs: 0 };

fn counts(streams: u64, streams_lost: u64) -> Counts {
    Counts { streams, streams_lost, ..Counts::default() }
}

async fn web() -> (Lab, Instance) {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    (lab, instance)
}

async fn websocket(lab: &Lab, instance: &Instance) -> (Peer, Peer) {
    let mut client = lab.client().await;
    // A byte that follows at once belongs to the new protocol.
    client.say(&format!("{UPGRADE}>")).await;
    let mut server = instance.accept().await;
    let head = server.head().await;
    assert!(head.contains("Upgrade: websocket\r\nConnection: Upgrade\r\n"), "{head}");
    server.say(&format!("{SWITCHED}<")).await;
    client.hears(&format!("{SWITCHED}<")).await;
    server.hears(">").await;
    (client, server)
}

#[tokio::test]
async fn a_websocket_is_a_stream_until_it_ends() {
    let (lab, instance) = web().await;
    let (mut client, mut server) = websocket(&lab, &instance).await;
    assert_eq!(lab.until(&instance, |c| c.in_progress == STREAM).await.counts, Counts::default());
    client.say("ping").await;
    server.hears("ping").await;
    server.say("pong").await;
    client.hears("pong").await;
    drop(client);
    server.ends().await;
    drop(server);
    let after = lab.idle(&instance).await;
    assert_eq!((after.counts, after.request_durations.count()), (counts(1, 0), 0));
}

#[tokio::test]
async fn a_websocket_that_the_instance_closes_has_ended_and_one_that_it_breaks_is_lost() {
    let (lab, instance) = web().await;
    let (mut client, server) = websocket(&lab, &instance).await;
    drop(server);
    client.ends().await;
    // The edge asks whether the instance is still there, with a connection that says nothing.
    drop(instance.accept().await);
    drop(client);
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 0));
    let (mut client, server) = websocket(&lab, &instance).await;
    server.reset();
    assert_eq!(client.rest().await.0, "");
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 1));
}

#[tokio::test]
async fn a_websocket_whose_instance_closes_it_and_is_gone_is_lost() {
    let (lab, mut instance) = web().await;
    let (mut client, server) = websocket(&lab, &instance).await;
    // The order in which the system closes what a killed process had open: the listener is the older one.
    instance.close();
    drop(server);
    client.ends().await;
    drop(client);
    assert_eq!(lab.idle(&instance).await.counts, counts(0, 1));
}

#[tokio::test]
async fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let (lab, instance) = web().await;
    let mut client = lab.client().await;
    client.say(UPGRADE).await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say(&ok("no")).await;
    assert_eq!(client.answer().await.1, "no");
    assert_eq!(lab.idle(&instance).await.counts, Counts { requests: 1, ..Counts::default() });
    client.say(&get("/")).await;
    server.head().await;
    server.say(SWITCHED).await;
    assert!(client.head().await.starts_with("HTTP/1.1 502 "), "101 was not asked for");
}

#[tokio::test]
async fn http2_is_not_offered_by_upgrade() {
    let (lab, instance) = web().await;
    let mut client = lab.client().await;
    let request = UPGRADE.replace("websocket", "h2c").replace("Upgrade\r\nU", "Upgrade, HTTP2-Settings\r\nU");
    client.say(&request.replace("\r\n\r\n", "\r\nHTTP2-Settings: AAMA\r\n\r\n")).await;
    let head = instance.accept().await.head().await;
    assert!(!head.to_lowercase().contains("upgrade") && !head.contains("HTTP2"), "{head}");
}

#[tokio::test]
async fn events_are_a_stream_from_their_head_on() {
    let (lab, instance) = web().await;
    let mut client = lab.client().await;
    for (end, broken) in [("0\r\n\r\n", false), ("", true)] {
        client.say(&get("/events")).await;
        let mut server = instance.accept().await;
        server.head().await;
        lab.until(&instance, |c| c.in_progress.requests == 1).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: Text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
        server.say(head).await;
        client.hears(head).await;
        lab.until(&instance, |c| c.in_progress == STREAM).await;
        server.say("6\r\ndata:1\r\n").await;
        client.hears("6\r\ndata:1\r\n").await;
        server.say(end).await;
        client.hears(end).await;
        if !broken {
            lab.idle(&instance).await;
        }
        drop(server);
        assert_eq!(lab.idle(&instance).await.counts, counts(1, u64::from(broken)));
    }
}

#[tokio::test]
async fn a_reader_that_rests_pauses_the_instance() {
    let (lab, instance) = web().await;
    let mut client = lab.client().await;
    client.say(&get("/large")).await;
    let mut server = instance.accept().await;
    server.head().await;
    let total = 256 * 1024 * 1024usize;
    server.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")).await;
    client.head().await;
    let block = vec![b'x'; 64 * 1024];
    let mut written = 0;
    // Without a reader, room ends once the sockets' own memory is full.
    while let Ok(n) = server.stream.try_write(&block).or_else(|_| fill_up(&server, &block)) {
        written += n;
        assert!(written < total / 2, "the edge reads on without end");
    }
    let reader = tokio::spawn(async move { client.bytes(total).await.len() });
    while written < total {
        let n = block.len().min(total - written);
        soon("room", server.stream.write_all(&block[..n])).await.unwrap();
        written += n;
    }
    assert_eq!(reader.await.unwrap(), total);
    assert_eq!(lab.idle(&instance).await.counts.requests, 1);
}

/// Writes as the system, not the runtime, sees room: with a moment for the edge to read what it wants.
fn fill_up(server: &Peer, block: &[u8]) -> std::io::Result<usize> {
    use std::io::{Error, ErrorKind};
    use std::os::fd::AsRawFd;
    let mut poll = libc::pollfd { fd: server.stream.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry, which lives through the call.
    if unsafe { libc::poll(&mut poll, 1, 300) } == 0 {
        return Err(Error::from(ErrorKind::WouldBlock));
    }
    // SAFETY: the block is as long as said.
    let n = unsafe { libc::send(poll.fd, block.as_ptr().cast(), block.len(), libc::MSG_DONTWAIT) };
    usize::try_from(n).map_err(|_| Error::last_os_error())
}

async fn tcp() -> (Lab, Instance) {
    let instance = Instance::new("s.db.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Tcp, &[(1, &[&instance])])]).await;
    (lab, instance)
}

#[tokio::test]
async fn a_tcp_connection_is_one_stream_and_each_direction_ends_for_itself() {
    let (lab, instance) = tcp().await;
    let mut client = lab.client().await;
    let mut server = instance.accept().await;
    lab.until(&instance, |c| c.in_progress == STREAM).await;
    client.say("question").await;
    client.finish().await;
    assert_eq!(server.rest().await.0, "question");
    server.say("long answer").await;
    server.finish().await;
    assert_eq!(client.rest().await.0, "long answer");
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 0));
}

#[tokio::test]
async fn a_tcp_connection_that_the_instance_breaks_is_lost_and_broken_for_the_client() {
    let (lab, instance) = tcp().await;
    let mut client = lab.client().await;
    let mut server = instance.accept().await;
    client.say("x").await;
    server.hears("x").await;
    server.reset();
    assert!(client.rest().await.1.is_err());
    assert_eq!(lab.idle(&instance).await.counts, counts(0, 1));
    let client = lab.client().await;
    let mut server = instance.accept().await;
    client.reset();
    assert!(server.rest().await.1.is_err());
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 1));
}

#[tokio::test]
async fn a_tcp_connection_goes_to_an_instance_that_accepts() {
    let (mut one, two) = (Instance::new("s.db.1.1").await, Instance::new("s.db.1.2").await);
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Tcp, &[(1, &[&one, &two])])]).await;
    one.close();
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = lab.client().await;
        let mut server = two.accept().await;
        client.say("hi").await;
        server.hears("hi").await;
        open.push((client, server));
    }
    assert_eq!(lab.until(&two, |c| c.in_progress.streams == 3).await.counts, Counts::default());
    assert!(lab.idle(&one).await.counts.handed_over > 0);
}
