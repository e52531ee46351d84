//! UDP: flows of datagrams, their instances, and their ends.

use crate::lab::{Lab, listener, soon};
use naru_edge::{Config, Edge};
use naru_model::{
    Backend, Balance, Counts, Generation, HashKey, InProgress, InstanceId, Listener, Protocol, ReleaseNo,
    RouteTable, Span, Time,
};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::net::UdpSocket;

const STREAM: InProgress = InProgress { requests: 0, streams: 1, jobs: 0 };

/// An instance that the test speaks for.
struct Server {
    id: InstanceId,
    socket: UdpSocket,
}

impl Server {
    async fn new(id: &str) -> Server {
        Server { id: id.into(), socket: UdpSocket::bind("127.0.0.1:0").await.unwrap() }
    }

    async fn hears(&self) -> (String, SocketAddr) {
        hears(&self.socket).await
    }
}

async fn hears(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = [0; 100];
    let (n, from) = soon("a datagram", socket.recv_from(&mut bytes)).await.unwrap();
    (String::from_utf8_lossy(&bytes[..n]).into_owned(), from)
}

fn dns(servers: &[&Server]) -> Listener {
    let mut dns = listener("dns", Protocol::Udp, &[(1, &[])]);
    dns.policy.balance = Balance::Hash(HashKey::Flow);
    dns.splits[0].backends = servers
        .iter()
        .map(|server| {
            Backend::new(server.id.clone(), ReleaseNo(1), server.socket.local_addr().unwrap().to_string())
        })
        .collect();
    dns
}

fn address(edge: &Edge) -> SocketAddr {
    edge.addresses()["127.0.0.1:0/udp dns"]
}

async fn client(edge: &Edge) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(edge)).await.unwrap();
    socket
}

async fn until(edge: &Edge, id: &InstanceId, so: impl Fn(InProgress, Counts) -> bool) {
    let wait = async {
        loop {
            let report = edge.report(Time(2_000_000)).await;
            let counts = report.instances.get(id).cloned().unwrap_or_default();
            if so(counts.in_progress, counts.counts) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the counts", wait).await;
}

fn ended(streams: u64, streams_lost: u64) -> Counts {
    Counts { streams, streams_lost, ..Counts::default() }
}

#[tokio::test]
async fn datagrams_go_both_ways_and_their_flow_is_a_stream() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&server])]).await;
    let one = client(&lab.edge).await;
    one.send(b"ask").await.unwrap();
    let (text, from) = server.hears().await;
    assert_eq!(text, "ask");
    for answer in ["a", "", "b"] {
        server.socket.send_to(answer.as_bytes(), from).await.unwrap();
        assert_eq!(hears(&one).await, (answer.into(), address(&lab.edge)));
    }
    one.send(b"more").await.unwrap();
    assert_eq!(server.hears().await, ("more".into(), from), "the same flow");
    until(&lab.edge, &server.id, |now, counts| now == STREAM && counts == Counts::default()).await;
    // Another client is another flow, and has its own answers.
    let two = client(&lab.edge).await;
    two.send(b"two").await.unwrap();
    let (_, other) = server.hears().await;
    assert_ne!(other, from);
    server.socket.send_to(b"for two", other).await.unwrap();
    assert_eq!(hears(&two).await.0, "for two");
}

#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked_also_after_a_successor_came() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    let everywhere = Listener { address: "0.0.0.0:0".into(), ..dns(&[&server]) };
    lab.route(vec![everywhere.clone()]).await;
    let port = lab.edge.addresses()["0.0.0.0:0/udp dns"].port();
    // Both are this machine; the system would answer from 127.0.0.1.
    let asked = ["127.0.0.2", "127.0.0.77"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let next = successor(&lab, 1, vec![everywhere]).await;
    let Lab { edge, .. } = lab;
    let mut leaving = pin!(edge.leave());
    let _ = poll_fn(|cx| Poll::Ready(leaving.as_mut().poll(cx))).await;
    edge.report(Time(2_000_000)).await;
    let mut flows = BTreeSet::new();
    for asked in asked {
        client.send_to(b"ask", asked).await.unwrap();
        let (_, from) = server.hears().await;
        server.socket.send_to(b"answer", from).await.unwrap();
        assert_eq!(hears(&client).await, ("answer".into(), asked));
        flows.insert(from);
    }
    assert_eq!(flows.len(), 2, "each address of this machine has a flow of its own");
    assert_eq!(streams(&next).await, 2);
}

#[tokio::test]
async fn a_silent_flow_ends_and_the_next_datagram_begins_another() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    let mut dns = dns(&[&server]);
    dns.policy.idle_timeout = Some(Span(30));
    lab.route(vec![dns]).await;
    let client = client(&lab.edge).await;
    for n in 1..=3 {
        client.send(b"x").await.unwrap();
        server.hears().await;
        until(&lab.edge, &server.id, |now, counts| now.is_idle() && counts == ended(n, 0)).await;
    }
}

#[tokio::test]
async fn a_flow_stays_with_a_retiring_instance_and_new_ones_go_elsewhere() {
    let (old, new) = (Server::new("s.dns.1.1").await, Server::new("s.dns.2.1").await);
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&old])]).await;
    let first = client(&lab.edge).await;
    first.send(b"1").await.unwrap();
    old.hears().await;
    lab.route(vec![dns(&[&new])]).await;
    first.send(b"2").await.unwrap();
    assert_eq!(old.hears().await.0, "2");
    let second = client(&lab.edge).await;
    second.send(b"3").await.unwrap();
    assert_eq!(new.hears().await.0, "3");
    until(&lab.edge, &old.id, |now, _| now == STREAM).await;
    // Its time is limited from its beginning on, or not at all: a flow that begins now is.
    let mut drained = dns(&[&new]);
    drained.policy.stream_drain = Some(Span(0));
    lab.route(vec![drained]).await;
    let third = client(&lab.edge).await;
    third.send(b"4").await.unwrap();
    new.hears().await;
    lab.route(vec![dns(&[&old])]).await;
    until(&lab.edge, &new.id, |now, counts| now == STREAM && counts == ended(1, 0)).await;
}

#[tokio::test]
async fn datagrams_of_any_size_pass_whole_also_to_an_instance_that_was_never_written_to() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&server])]).await;
    let client = client(&lab.edge).await;
    let mut bytes = vec![0; 70_000];
    for size in [65_507, 0, 1, 40_000] {
        let sent: Vec<u8> = (0..size).map(|n| (n * 7 % 251) as u8).collect();
        client.send(&sent).await.unwrap();
        let (n, from) = soon("a datagram", server.socket.recv_from(&mut bytes)).await.unwrap();
        assert!(bytes[..n] == sent, "{size} to the instance, {n} came");
        server.socket.send_to(&sent, from).await.unwrap();
        let n = soon("an answer", client.recv(&mut bytes)).await.unwrap();
        assert!(bytes[..n] == sent, "{size} to the client, {n} came");
    }
}

#[tokio::test]
async fn other_changes_of_the_table_touch_no_flow() {
    let (server, other) = (Server::new("s.dns.1.1").await, Server::new("s.ntp.1.1").await);
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&server])]).await;
    let client = client(&lab.edge).await;
    client.send(b"1").await.unwrap();
    let (_, from) = server.hears().await;
    let mut ntp = dns(&[&other]);
    ntp.name = "ntp".into();
    for listeners in [vec![dns(&[&server]), ntp], vec![dns(&[&server])]] {
        lab.route(listeners).await;
        client.send(b"2").await.unwrap();
        assert_eq!(server.hears().await, ("2".into(), from), "the same flow");
        server.socket.send_to(b"3", from).await.unwrap();
        assert_eq!(hears(&client).await.0, "3");
    }
    until(&lab.edge, &server.id, |now, counts| now == STREAM && counts == Counts::default()).await;
}

#[tokio::test]
async fn a_flow_whose_instance_is_gone_is_lost() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&server])]).await;
    let client = client(&lab.edge).await;
    client.send(b"1").await.unwrap();
    server.hears().await;
    drop(server.socket);
    client.send(b"2").await.unwrap();
    until(&lab.edge, &server.id, |now, counts| now.is_idle() && counts == ended(0, 1)).await;
}

#[tokio::test]
async fn a_flow_whose_instance_is_gone_moves_to_another_with_what_was_refused() {
    let (one, other) = (Server::new("s.dns.1.1").await, Server::new("s.dns.1.2").await);
    let mut lab = Lab::new();
    lab.route(vec![dns(&[&one, &other])]).await;
    let (first, second) = (client(&lab.edge).await, client(&lab.edge).await);
    // It answers, so its end is a loss.
    let at = chosen(std::slice::from_ref(&first), &[&one, &other]).await[&0].clone();
    let (gone, left) = if at == one.id { (one, other) } else { (other, one) };
    first.send(b"ask").await.unwrap();
    let (_, from) = gone.hears().await;
    gone.socket.send_to(b"answer", from).await.unwrap();
    assert_eq!(hears(&first).await.0, "answer");
    drop(gone.socket);
    first.send(b"again").await.unwrap();
    assert_eq!(left.hears().await.0, "again");
    until(&lab.edge, &gone.id, |now, counts| now.is_idle() && counts == ended(0, 1)).await;
    // Others find it refusing from the beginning, and lose nothing.
    second.send(b"new").await.unwrap();
    assert_eq!(left.hears().await.0, "new");
    until(&lab.edge, &left.id, |now, _| now.streams == 2).await;
    until(&lab.edge, &gone.id, |now, counts| now.is_idle() && counts.streams_lost == 1).await;
}

#[tokio::test]
async fn where_there_is_room_for_no_more_flows_those_that_were_silent_for_longest_give_way() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::with(|config| (config.workers, config.max_flows) = (1, 3));
    lab.route(vec![dns(&[&server])]).await;
    let mut flows = Vec::new();
    for _ in 0..3 {
        let client = client(&lab.edge).await;
        client.send(b"x").await.unwrap();
        flows.push((client, server.hears().await.1));
    }
    // The first is not the most silent one any more.
    flows[0].0.send(b"x").await.unwrap();
    assert_eq!(server.hears().await.1, flows[0].1);
    let fourth = client(&lab.edge).await;
    fourth.send(b"x").await.unwrap();
    server.hears().await;
    until(&lab.edge, &server.id, |now, counts| now.streams == 3 && counts == ended(1, 0)).await;
    for (at, same) in [(0, true), (2, true), (1, false)] {
        let (client, before) = &flows[at];
        client.send(b"x").await.unwrap();
        assert_eq!(server.hears().await.1 == *before, same, "{at}");
    }
}

/// Which server each client's datagrams reach.
async fn chosen(clients: &[UdpSocket], servers: &[&Server]) -> BTreeMap<usize, InstanceId> {
    let mut chosen = BTreeMap::new();
    for (n, client) in clients.iter().enumerate() {
        client.send(n.to_string().as_bytes()).await.unwrap();
        let heard = servers.iter().map(|server| Box::pin(server.hears()));
        let (heard, at) = soon("a datagram", first(heard.collect())).await;
        assert_eq!(heard, n.to_string());
        chosen.insert(n, servers[at].id.clone());
    }
    chosen
}

async fn first(mut each: Vec<Pin<Box<impl Future<Output = (String, SocketAddr)>>>>) -> (String, usize) {
    poll_fn(|cx| {
        for (at, one) in each.iter_mut().enumerate() {
            if let Poll::Ready((text, _)) = one.as_mut().poll(cx) {
                return Poll::Ready((text, at));
            }
        }
        Poll::Pending
    })
    .await
}

/// A successor of `lab`'s edge on the same sockets, by a table of its own.
async fn successor(lab: &Lab, workers: usize, listeners: Vec<Listener>) -> Edge {
    let config = Config::new("node".into(), "next".into(), Time(1_500_000), workers);
    let next = Edge::start_with(config, lab.edge.lend().await).unwrap();
    apply(&next, 1, listeners).await;
    next
}

async fn apply(edge: &Edge, generation: u64, listeners: Vec<Listener>) {
    let generation = Generation(generation);
    edge.apply(RouteTable { generation, listeners }).unwrap();
    let mut news = edge.watch();
    soon("an acknowledgement", news.wait_for(|_| edge.acked() == generation)).await.unwrap();
}

/// Tells it to leave. From that moment on it reads no more.
async fn told(leaving: &mut Pin<&mut impl Future<Output = ()>>, edge: &Edge) {
    let pending = poll_fn(|cx| Poll::Ready(leaving.as_mut().poll(cx).is_pending())).await;
    assert!(pending, "it has flows");
    // What it is asked now it answers after it was told.
    edge.report(Time(2_000_000)).await;
}

async fn streams(edge: &Edge) -> u64 {
    let report = edge.report(Time(2_000_000)).await;
    report.instances.values().map(|one| one.in_progress.streams).sum()
}

#[tokio::test]
async fn a_successor_on_the_same_sockets_chooses_the_same_instances() {
    let servers =
        [Server::new("s.dns.1.1").await, Server::new("s.dns.1.2").await, Server::new("s.dns.1.3").await];
    let servers: Vec<&Server> = servers.iter().collect();
    let mut lab = Lab::with(|config| config.linger_time = std::time::Duration::from_secs(3_600));
    lab.route(vec![dns(&servers)]).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(client(&lab.edge).await);
    }
    let before = chosen(&clients, &servers).await;
    assert_eq!(before.values().collect::<BTreeSet<_>>().len(), 3, "all of them have flows");
    // The successor has another number of workers.
    let next = successor(&lab, 3, vec![dns(&servers)]).await;
    let mut leaving = pin!(lab.edge.leave());
    told(&mut leaving, &lab.edge).await;
    assert_eq!(chosen(&clients, &servers).await, before);
    assert_eq!((streams(&lab.edge).await, streams(&next).await), (40, 40), "all by the successor");
    assert_eq!((lab.edge.connections(), next.connections()), (40, 40));
    // Without one of three, flows that have begun stay.
    apply(&next, 2, vec![dns(&servers[..2])]).await;
    assert_eq!(chosen(&clients, &servers).await, before);
    // Should the successor be gone, another can open the address once this one lets go of it.
    lab.edge.release();
    soon("the end of the old one", leaving).await;
    assert_eq!(streams(&lab.edge).await, 0);
}

#[tokio::test]
async fn an_edge_that_left_passes_answers_on_until_its_flows_are_idle() {
    let server = Server::new("s.dns.1.1").await;
    let mut lab = Lab::new();
    let mut dns = dns(&[&server]);
    dns.policy.idle_timeout = Some(Span(2000));
    lab.route(vec![dns.clone()]).await;
    let client = client(&lab.edge).await;
    client.send(b"ask").await.unwrap();
    let (_, from) = server.hears().await;
    let next = successor(&lab, 2, vec![dns]).await;
    let mut leaving = pin!(lab.edge.leave());
    told(&mut leaving, &lab.edge).await;
    server.socket.send_to(b"answer", from).await.unwrap();
    assert_eq!(hears(&client).await, ("answer".into(), address(&next)));
    client.send(b"more").await.unwrap();
    let (text, through) = server.hears().await;
    assert_eq!(text, "more");
    assert_ne!(through, from, "through the successor");
    soon("the end of the old one", leaving).await;
    assert_eq!(lab.edge.report(Time(2_000_000)).await.instances[&server.id].counts, ended(1, 0));
}
