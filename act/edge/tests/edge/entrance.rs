//! How connections come in: by a proxy that says who they are from, within their limits, and by the name that TLS
//! asks for.

use crate::lab::{Instance, Lab, Peer, get, http, listener, ok, soon};
use naru_model::{
    Counts, Forward, InProgress, Listener, Policy, Protocol, ProxyVersion, SniRoute, Time, Tls,
};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

const TOLD: &str = "PROXY TCP4 192.0.2.1 198.51.100.7 40000 443\r\n";

const STREAM: InProgress = InProgress { requests: 0, streams: 1, jobs: 0 };

fn proxied(mut listener: Listener, trusted: &str) -> Listener {
    listener.entrance.accept_proxy = true;
    listener.entrance.trusted = vec![trusted.into()];
    listener
}

impl Lab {
    async fn turned_away(&self) -> u64 {
        let seen = self.edge.snapshot(Time(2_000_000)).await;
        seen.listeners.iter().map(|listener| listener.turned_away).sum()
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_who_a_request_is_from() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![proxied(http(&[(1, &[&instance])]), "127.0.0.0/8")]).await;
    for pieces in [vec![TOLD], TOLD.split_inclusive(' ').collect()] {
        let mut client = lab.client().await;
        for piece in pieces {
            client.say(piece).await;
            // It has arrived before the next is sent.
            tokio::task::yield_now().await;
        }
        client.say(&get("/").replace("\r\n\r\n", "\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n")).await;
        let mut server = instance.accept().await;
        let head = server.head().await;
        // What the client itself says is not believed: it is no trusted proxy.
        assert!(head.contains("X-Forwarded-For: 192.0.2.1\r\n") && !head.contains("10.1.1.1"), "{head}");
        server.say(&ok("a")).await;
        assert_eq!(client.answer().await.1, "a");
    }
}

#[tokio::test]
async fn what_a_trusted_proxy_begins_otherwise_is_turned_away_and_others_say_nothing() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::with(|config| config.head_time = std::time::Duration::from_millis(20));
    lab.route(vec![proxied(http(&[(1, &[&instance])]), "127.0.0.0/8")]).await;
    for begins in [get("/"), TOLD[..20].to_string(), "PROXY TCP4 1.2.3.4\r\n".into()] {
        let mut client = lab.client().await;
        client.say(&begins).await;
        let (said, end) = client.rest().await;
        assert_eq!((said.as_str(), end.is_err()), ("", true), "after {begins:?}");
    }
    assert_eq!(lab.turned_away().await, 3);
    lab.route(vec![proxied(http(&[(1, &[&instance])]), "10.0.0.0/8")]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instance.accept().await;
    assert!(server.head().await.contains("X-Forwarded-For: 127.0.0.1\r\n"));
    server.say(&ok("")).await;
    client.answer().await;
    let mut client = lab.client().await;
    client.say(&format!("{TOLD}\r\n")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 400 ") || head.starts_with("HTTP/1.1 505 "), "no request: {head}");
}

#[tokio::test]
async fn an_instance_is_told_of_the_client_if_it_wants_to_be() {
    let instance = Instance::new("s.db.1.1").await;
    let mut lab = Lab::new();
    let mut plain = listener("db", Protocol::Tcp, &[(1, &[&instance])]);
    plain.policy.send_proxy = Some(ProxyVersion::V1);
    let mut behind = proxied(listener("behind", Protocol::Tcp, &[(1, &[&instance])]), "127.0.0.1");
    behind.policy.send_proxy = Some(ProxyVersion::V2);
    lab.route(vec![plain, behind]).await;

    let mut client = Peer::connect(lab.address_of("db")).await;
    let (from, to) = (client.stream.local_addr().unwrap(), client.stream.peer_addr().unwrap());
    client.say("hello").await;
    let mut server = instance.accept().await;
    server.hears(&format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nhello", from.port(), to.port())).await;

    let mut client = Peer::connect(lab.address_of("behind")).await;
    client.say(&format!("{TOLD}hello")).await;
    let mut server = instance.accept().await;
    let header =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, 1, 198, 51, 100, 7, 156, 64, 1, 187]];
    assert_eq!(server.bytes(28).await, header.concat());
    server.hears("hello").await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_until_another_ends() {
    let instance = Instance::new("s.db.1.1").await;
    let mut lab = Lab::new();
    let mut one = listener("db", Protocol::Tcp, &[(1, &[&instance])]);
    one.entrance.max_connections = Some(1);
    lab.route(vec![one.clone()]).await;
    let mut first = Peer::connect(lab.address_of("db")).await;
    let mut server = instance.accept().await;
    let mut others = Vec::new();
    for _ in 0..4 {
        let mut other = Peer::connect(lab.address_of("db")).await;
        other.say("next").await;
        others.push(other);
    }
    let mut next = pin!(instance.accept());
    // Both workers have had their turns.
    for _ in 0..50 {
        first.say("ping").await;
        server.hears("ping").await;
        lab.report().await;
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop((first, server));
    let mut second = next.await;
    second.hears("next").await;
    // Without a limit, nobody waits any more.
    one.entrance.max_connections = None;
    lab.route(vec![one]).await;
    for _ in 0..3 {
        instance.accept().await.hears("next").await;
    }
}

#[tokio::test]
async fn a_source_has_no_more_connections_than_its_own() {
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let mut lab = Lab::new();
    let mut web = proxied(http(&[(1, &[&instance])]), "127.0.0.1");
    web.entrance.max_connections_per_source = Some(2);
    lab.route(vec![web]).await;
    let asked = async |from: &str| {
        let mut client = lab.client().await;
        client.say(&format!("{}{}", TOLD.replace("192.0.2.1", from), get("/"))).await;
        let answered = soon("an answer or the end", client.try_head()).await.is_some();
        (client, answered)
    };
    let (first, second) = (asked("192.0.2.1").await, asked("192.0.2.1").await);
    assert!(first.1 && second.1);
    for _ in 0..3 {
        assert!(!asked("192.0.2.1").await.1, "a third one");
    }
    assert!(asked("192.0.2.2").await.1, "another source");
    assert_eq!(lab.turned_away().await, 3);
    drop(first);
    // The edge sees that the first is gone when it does.
    let mut again = asked("192.0.2.1").await;
    while !again.1 {
        again = asked("192.0.2.1").await;
    }
}

/// A TLS hello that asks for a name.
fn hello(name: Option<&str>) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let names =
        |name: &str| [&[0, 0][..], &sized(&sized(&[&[0][..], &sized(name.as_bytes())].concat()))].concat();
    let extensions = sized(&name.map(names).unwrap_or_default());
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions].concat();
    let message = [&[1, 0][..], &sized(&body)].concat();
    [&[22, 3, 1][..], &sized(&message)].concat()
}

fn to(hosts: &[&str], instance: &Instance) -> SniRoute {
    let splits = listener("", Protocol::Tcp, &[(1, &[instance])]).splits;
    let (service, policy) = ("tls".into(), Policy::default());
    let forward = Forward { service, target: 443, http2: false, splits, policy };
    SniRoute { hosts: hosts.iter().map(|host| host.to_string()).collect(), forward }
}

async fn passes(lab: &Lab, name: Option<&str>, instance: &Instance) -> (Peer, Peer) {
    use tokio::io::AsyncWriteExt;
    let mut client = Peer::connect(lab.address_of("tls")).await;
    let hello = hello(name);
    for piece in hello.chunks(7) {
        client.stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.say("more").await;
    let mut server = instance.accept().await;
    assert_eq!(server.bytes(hello.len()).await, hello, "unread and whole");
    server.hears("more").await;
    server.say("back").await;
    client.hears("back").await;
    (client, server)
}

#[tokio::test]
async fn tls_is_passed_on_by_the_name_that_it_asks_for() {
    let (shop, any) = (Instance::new("s.shop.1.1").await, Instance::new("s.any.1.1").await);
    let own = Instance::new("s.own.1.1").await;
    let mut lab = Lab::new();
    let mut tls = listener("tls", Protocol::Tcp, &[(1, &[&own])]);
    let routes = vec![to(&["shop.example.com"], &shop), to(&["*.example.com"], &any)];
    tls.entrance.tls = Some(Tls::Passthrough(routes.clone()));
    lab.route(vec![tls.clone()]).await;
    let first = passes(&lab, Some("Shop.example.com"), &shop).await;
    lab.until(&shop, |counts| counts.in_progress == STREAM).await;
    drop(passes(&lab, Some("a.b.example.com"), &any).await);
    drop(passes(&lab, Some("example.com"), &own).await);
    drop(passes(&lab, None, &own).await);
    for (instance, streams) in [(&any, 1), (&own, 2)] {
        lab.until(instance, |c| c.counts == Counts { streams, ..Counts::default() }).await;
    }
    let seen = lab.edge.snapshot(Time(2_000_000)).await;
    let rules = seen.listeners[0].rules.iter();
    let streams: Vec<_> = rules.map(|rule| (rule.name.as_str(), rule.tally.in_progress.streams)).collect();
    assert_eq!(streams, [("", 0), ("shop.example.com", 1), ("*.example.com", 0)]);

    // Without instances of its own, and with another set: who is connected stays.
    tls.service = None;
    tls.splits = vec![];
    tls.entrance.tls = Some(Tls::Passthrough(vec![routes[1].clone()]));
    lab.route(vec![tls]).await;
    assert!(lab.report().await.instances[&shop.id].in_progress == STREAM);
    for name in [Some("example.com"), None] {
        let mut client = Peer::connect(lab.address_of("tls")).await;
        tokio::io::AsyncWriteExt::write_all(&mut client.stream, &hello(name)).await.unwrap();
        assert_eq!(client.bytes(7).await, [0x15, 3, 3, 0, 2, 2, 112], "the alert unrecognized_name");
        client.ends().await;
    }
    let mut client = Peer::connect(lab.address_of("tls")).await;
    client.say(&get("/")).await;
    assert_eq!(client.rest().await.0, "", "no TLS");
    drop(first);
    assert_eq!(lab.idle(&shop).await.counts, Counts { streams: 1, ..Counts::default() });
}
