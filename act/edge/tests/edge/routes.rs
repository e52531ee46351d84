//! Tables: what a change opens, keeps, closes and counts; what is told, and when it is forgotten.

use crate::lab::{Instance, Lab, Peer, get, http, listener, ok, soon};
use naru_edge::Refused;
use naru_model::{Generation, Listener, Protocol, RouteTable};
use std::net::TcpListener;

#[tokio::test]
async fn an_older_table_is_refused_and_the_same_taken_again() {
    let lab = Lab::new();
    let table = |generation| RouteTable { generation: Generation(generation), listeners: vec![] };
    lab.edge.apply(table(7)).unwrap();
    lab.edge.apply(table(7)).unwrap();
    let refused = lab.edge.apply(table(6)).unwrap_err();
    assert_eq!(refused, Refused::Stale { offered: Generation(6), applied: Generation(7) });
    assert_eq!(refused.to_string(), "the route table of generation 6 is older than 7, which is applied");
    let instance = Instance::new("s.web.1.1").await;
    let mut bad = http(&[(1, &[&instance])]);
    bad.splits[0].backends[0].address = "nowhere".into();
    let refused = lab.edge.apply(RouteTable { generation: Generation(8), listeners: vec![bad] });
    assert_eq!(
        refused.unwrap_err().to_string(),
        "listener web: the address of s.web.1.1, \"nowhere\", is not IP:PORT"
    );
    let mut news = lab.edge.watch();
    soon("generation 7", news.wait_for(|_| lab.edge.acked() == Generation(7))).await.unwrap();
}

#[tokio::test]
async fn a_change_keeps_the_listener_its_connections_and_the_work_of_the_old_instance() {
    let (old, new) = (Instance::new("s.web.1.1").await, Instance::new("s.web.2.2").await);
    let mut lab = Lab::new();
    lab.serve(&[&old]).await;
    let address = lab.address();
    let (mut busy, mut idle) = (lab.client().await, lab.client().await);
    busy.say("POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nhe").await;
    let mut working = old.accept().await;
    working.head().await;
    idle.say(&get("/2")).await;
    let mut unused = old.accept().await;
    unused.head().await;
    unused.say(&ok("old")).await;
    assert_eq!(idle.answer().await.1, "old");
    lab.serve(&[&new]).await;
    unused.ends().await;
    assert_eq!(lab.address(), address);
    idle.say(&get("/3")).await;
    let mut server = new.accept().await;
    server.head().await;
    server.say(&ok("new")).await;
    assert_eq!(idle.answer().await.1, "new");
    assert_eq!(lab.report().await.instances[&old.id].in_progress.requests, 1);
    busy.say("re").await;
    working.hears("here").await;
    working.say(&ok("done")).await;
    assert_eq!(busy.answer().await.1, "done");
    working.ends().await;
    assert_eq!(lab.idle(&old).await.counts.requests, 2);
}

#[tokio::test]
async fn the_end_of_the_last_work_outside_the_table_is_news_and_told_until_taken() {
    let (old, new) = (Instance::new("s.web.1.1").await, Instance::new("s.web.2.2").await);
    let mut lab = Lab::new();
    lab.serve(&[&old]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = old.accept().await;
    server.head().await;
    lab.serve(&[&new]).await;
    let before = lab.report().await;
    assert_eq!(before.instances[&old.id].in_progress.requests, 1);
    lab.edge.confirm(before.seq, std::slice::from_ref(&old.id));
    let mut news = lab.edge.watch();
    news.mark_unchanged();
    server.say(&ok("done")).await;
    soon("news of the last work's end", news.changed()).await.unwrap();
    let after = lab.report().await;
    assert_eq!(after.instances[&old.id].counts.requests, 1);
    assert!(after.instances[&old.id].in_progress.is_idle());
    lab.edge.confirm(before.seq, std::slice::from_ref(&old.id));
    lab.edge.confirm(after.seq, &[]);
    let again = lab.report().await;
    assert_eq!(again.instances[&old.id].counts.requests, 1, "the server still has a record of it");
    lab.edge.confirm(after.seq, std::slice::from_ref(&old.id));
    let forgotten = lab.report().await;
    assert_eq!(forgotten.instances.keys().collect::<Vec<_>>(), [&new.id]);
    assert_eq!((forgotten.acked, forgotten.seq), (Generation(2), after.seq + 2));
}

#[tokio::test]
async fn an_instance_that_comes_back_keeps_its_counts() {
    let mut one = Instance::new("s.web.1.1").await;
    one.answer_all();
    let mut lab = Lab::new();
    lab.serve(&[&one]).await;
    lab.client().await.ask(&get("/")).await;
    lab.idle(&one).await;
    lab.serve(&[]).await;
    let seq = lab.report().await.seq;
    lab.serve(&[&one]).await;
    lab.edge.confirm(seq, std::slice::from_ref(&one.id));
    assert_eq!(lab.report().await.instances[&one.id].counts.requests, 1);
}

#[tokio::test]
async fn a_removed_listener_finishes_what_it_has() {
    let mut instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let address = lab.address();
    let (mut busy, mut idle) = (lab.client().await, lab.client().await);
    busy.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    lab.route(vec![]).await;
    idle.ends().await;
    server.say(&ok("done")).await;
    busy.hears("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone").await;
    busy.ends().await;
    server.ends().await;
    soon("the address to be free", async {
        while TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    instance.close();
}

fn at(address: &str, name: &str, instance: &Instance) -> Listener {
    let mut listener = listener(name, Protocol::Http, &[(1, &[instance])]);
    listener.address = address.into();
    listener
}

#[tokio::test]
async fn a_fault_is_told_does_not_stop_the_rest_and_goes_when_the_address_is_free() {
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut lab = Lab::new();
    let bad = at("localhost", "bad", &instance);
    lab.route(vec![bad, at(&address, "taken", &instance), http(&[(1, &[&instance])])]).await;
    let faults = lab.report().await.faults;
    let told: Vec<_> = faults.iter().map(|f| (f.listener.as_str(), f.error.as_str())).collect();
    assert_eq!(
        told,
        [
            ("bad", "the address \"localhost\" is not IP:PORT"),
            ("taken", "Address already in use (os error 98); another program has it: `ss -ltnp` shows which")
        ]
    );
    assert_eq!(lab.client().await.ask(&get("/")).await.1, "s.web.1.1");
    let mut news = lab.edge.watch();
    news.mark_unchanged();
    drop(taken);
    soon("news of the fault's end", news.changed()).await.unwrap();
    assert_eq!(lab.report().await.faults.len(), 1);
    let mut client = Peer::connect(address.parse().unwrap()).await;
    assert_eq!(client.ask(&get("/")).await.1, "s.web.1.1");
}

#[tokio::test]
async fn an_address_passes_to_another_listener_without_a_gap() {
    let (mut one, mut two) = (Instance::new("s.a.1.1").await, Instance::new("s.b.1.2").await);
    one.answer_all();
    two.answer_all();
    let mut lab = Lab::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    lab.route(vec![at(&free.to_string(), "a", &one)]).await;
    assert_eq!(Peer::connect(free).await.ask(&get("/")).await.1, "s.a.1.1");
    lab.route(vec![at(&free.to_string(), "b", &two)]).await;
    assert_eq!(Peer::connect(free).await.ask(&get("/")).await.1, "s.b.1.2");
    let twice = vec![at(&free.to_string(), "b", &two), at(&free.to_string(), "c", &one)];
    lab.route(twice).await;
    let faults = lab.report().await.faults;
    assert_eq!(faults[0].listener, "c");
    assert_eq!(faults[0].error, "another listener of the table has this address");
}

#[tokio::test]
async fn shutdown_waits_for_work_and_reports_it() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let (mut busy, mut idle) = (lab.client().await, lab.client().await);
    busy.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    let report = {
        let mut shutdown = std::pin::pin!(lab.edge.shutdown());
        tokio::select! {
            () = &mut shutdown => panic!("a request is in progress"),
            () = idle.ends() => {}
        }
        let report = lab.report().await;
        server.say(&ok("done")).await;
        assert_eq!(busy.answer().await.1, "done");
        drop(busy);
        soon("the end", shutdown).await;
        report
    };
    assert_eq!(report.instances[&instance.id].in_progress.requests, 1);
    assert_eq!(lab.report().await.instances[&instance.id].counts.requests, 1);
}

#[tokio::test]
async fn the_ports_of_an_instance_are_servers_of_their_own_and_share_its_books() {
    let (one, mut two) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.1").await);
    let mut lab = Lab::with(|config| config.workers = 1);
    let admin = listener("admin", Protocol::Http, &[(1, &[&two])]);
    lab.route(vec![admin, http(&[(1, &[&one])])]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = one.accept().await;
    server.head().await;
    server.say(&ok("web")).await;
    assert_eq!(client.answer().await.1, "web");
    two.answer_all();
    let mut admin = Peer::connect(lab.address_of("admin")).await;
    assert_eq!(admin.ask(&get("/")).await.1, "s.web.1.1");
    client.say(&get("/again")).await;
    assert!(server.head().await.starts_with("GET /again "));
    server.say(&ok("web")).await;
    assert_eq!(client.answer().await.1, "web");
    assert_eq!(lab.idle(&one).await.counts.requests, 3);
}
