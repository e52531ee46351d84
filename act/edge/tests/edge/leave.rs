//! One edge takes the listening sockets of another, which then ends in its own time: no connection is refused,
//! none is cut, and idle ones close with their next answer.

use crate::lab::{Instance, Lab, Peer, get, http, listener, ok, soon};
use naru_edge::{Config, Edge};
use naru_model::{Listener, Protocol, RouteTable, Time};
use std::net::SocketAddr;
use std::pin::pin;

const CLOSES: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend";

/// An edge with the sockets and the table of another, and so many workers.
async fn successor(of: &Lab, workers: usize) -> Edge {
    let config = Config::new("node".into(), "next".into(), Time(1_000_000), workers);
    let next = Edge::start_with(config, of.edge.lend().await).unwrap();
    adopt(&next, of.edge.table()).await;
    next
}

async fn adopt(edge: &Edge, table: RouteTable) {
    let (mut news, generation) = (edge.watch(), table.generation);
    edge.apply(table).unwrap();
    soon("an acknowledgement", news.wait_for(|_| edge.acked() == generation)).await.unwrap();
}

fn port(edge: &Edge) -> SocketAddr {
    edge.addresses()["127.0.0.1:0 web"]
}

#[tokio::test]
async fn idle_connections_close_with_their_next_answer_and_the_edge_ends_after_the_last() {
    let mut lab = Lab::new();
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    lab.serve(&[&instance]).await;
    let mut kept = lab.client().await;
    assert_eq!(kept.ask(&get("/")).await.1, "s.web.1.1");
    let mut silent = lab.client().await;
    let accepted = async || {
        while lab.edge.connections() < 2 {
            tokio::task::yield_now().await
        }
    };
    soon("both connections", accepted()).await;
    let mut left = pin!(lab.edge.leave());
    // Its word is with the workers once this has been polled; a report is made after they took it.
    assert!(is_pending(left.as_mut()).await);
    lab.report().await;
    for client in [&mut kept, &mut silent] {
        client.say(&get("/")).await;
        let head = client.head().await;
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{head}");
        client.hears("s.web.1.1").await;
        client.ends().await;
    }
    drop((kept, silent));
    soon("the end of the edge", left).await;
    assert_eq!(lab.idle(&instance).await.counts.requests, 3);
    assert_eq!(lab.edge.connections(), 0);
}

/// Polls once: whether it is not done.
async fn is_pending(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn a_client_that_connects_before_and_asks_after_is_answered() {
    let mut lab = Lab::with(|config| config.linger_time = std::time::Duration::ZERO);
    let instance = Instance::new("s.web.1.1").await;
    lab.serve(&[&instance]).await;
    // Accepted, and in the middle of a head: it is neither idle nor a request yet.
    let mut client = lab.client().await;
    client.say("GET / HTTP/1.1\r\n").await;
    let connected = async || {
        while lab.edge.connections() == 0 {
            tokio::task::yield_now().await
        }
    };
    soon("a connection", connected()).await;
    let mut left = pin!(lab.edge.leave());
    assert!(is_pending(left.as_mut()).await);
    lab.report().await;
    client.say("Host: test\r\n\r\n").await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say(&ok("end")).await;
    client.hears(CLOSES).await;
    client.ends().await;
    drop(client);
    soon("the end of the edge", left).await;
}

#[tokio::test]
async fn streams_run_to_their_end_and_no_table_cuts_them() {
    let mut lab = Lab::new();
    let instance = Instance::new("s.web.1.1").await;
    let tcp = || -> Vec<Listener> { vec![listener("web", Protocol::Tcp, &[(1, &[&instance])])] };
    lab.route(tcp()).await;
    let mut client = lab.client().await;
    let mut server = instance.accept().await;
    client.say("one").await;
    server.hears("one").await;
    let next = successor(&lab, 2).await;
    {
        let mut left = pin!(lab.edge.leave());
        assert!(is_pending(left.as_mut()).await);
    }
    lab.route(vec![]).await;
    server.say("two").await;
    client.hears("two").await;
    assert_eq!(lab.until(&instance, |_| true).await.in_progress.streams, 1);
    client.finish().await;
    server.ends().await;
    server.finish().await;
    client.ends().await;
    drop(client);
    soon("the end of the edge", lab.edge.leave()).await;
    assert_eq!(next.connections(), 0);
}

/// Clients connect and ask without rest while sockets go from edge to edge, to one with more workers and to one
/// with fewer: each is answered.
#[tokio::test]
async fn no_connection_is_refused_or_reset_however_many_workers_the_next_has() {
    let mut lab = Lab::new();
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    lab.serve(&[&instance]).await;
    let address = lab.address();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let stopped = stopped.clone();
            tokio::spawn(async move {
                let mut answered = 0u64;
                while !*stopped.borrow() {
                    let mut client = Peer::connect(address).await;
                    assert_eq!(client.ask(&get("/")).await.1, "s.web.1.1");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for workers in [3, 1, 2, 5, 2] {
        let next = successor(&lab, workers).await;
        assert_eq!(port(&next), address);
        soon("the end of the edge", lab.edge.leave()).await;
        lab.edge = next;
        lab.until(&instance, |counts| counts.counts.requests > 20).await;
    }
    stop.send_replace(true);
    for client in clients {
        assert!(client.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_successor_that_gives_up_changes_nothing() {
    let mut lab = Lab::new();
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    lab.route(vec![http(&[(1, &[&instance])])]).await;
    let config = Config::new("node".into(), "next".into(), Time(1_000_000), 2);
    let next = Edge::start_with(config, lab.edge.lend().await).unwrap();
    for _ in 0..20 {
        assert_eq!(lab.client().await.ask(&get("/")).await.1, "s.web.1.1");
    }
    drop(next);
    for _ in 0..20 {
        assert_eq!(lab.client().await.ask(&get("/")).await.1, "s.web.1.1");
    }
    assert_eq!(lab.idle(&instance).await.counts.requests, 40);
}
