//! What is seen from outside: counts against a client's own, and what answers say of the time they took.

use crate::lab::{Instance, Lab, Peer, get, http, listener, ok, queued, soon};
use naru_model::{
    InProgress, InstanceSnapshot, Listener, ListenerSnapshot, Match, OwnAnswers, PathMatch, Protocol,
    Respond, Rule, RuleAction, RuleTally, Time,
};

impl Lab {
    async fn listener(&self) -> ListenerSnapshot {
        let snapshot = soon("a snapshot", self.edge.snapshot(Time(2_000_000))).await;
        snapshot.listeners.into_iter().find(|one| one.name == "web").expect("the table names it")
    }

    /// Waits until the counts of what no rule took say so.
    async fn seen(&self, so: impl Fn(&RuleTally) -> bool) -> RuleTally {
        let wait = async {
            loop {
                let tally = self.listener().await.rules.swap_remove(0).tally;
                if so(&tally) {
                    return tally;
                }
                tokio::task::yield_now().await;
            }
        };
        soon("the counts", wait).await
    }

    async fn instance(&self, id: &str) -> InstanceSnapshot {
        let mut snapshot = soon("a snapshot", self.edge.snapshot(Time(2_000_000))).await;
        snapshot.instances.remove(&id.into()).expect("it is known")
    }
}

/// Answers each request with the status that its path names.
fn answer_as_asked(instance: &mut Instance) {
    let listener = instance.listener();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut peer = Peer::new(stream);
                while let Some(head) = peer.try_head().await {
                    let status = head.split(['/', ' ']).nth(2).unwrap().to_string();
                    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
                    peer.bytes(length.map_or(0, |l| l.parse().unwrap())).await;
                    peer.say(&format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nbody")).await;
                }
            });
        }
    });
}

fn is_idle(tally: &RuleTally) -> bool {
    tally.in_progress.is_idle()
}

#[tokio::test]
async fn the_counts_are_a_clients_own() {
    const CLIENTS: usize = 24;
    const EACH: usize = 100;
    const STATUSES: [u16; 5] = [200, 201, 301, 404, 503];
    let mut instance = Instance::new("stack.web.1.1").await;
    answer_as_asked(&mut instance);
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let clients = (0..CLIENTS).map(|client| {
        let address = lab.address();
        tokio::spawn(async move {
            let mut peer = Peer::connect(address).await;
            let mut books = [0; 6];
            for n in 0..EACH {
                let status = STATUSES[(client + n) % STATUSES.len()];
                let request = format!("POST /{status} HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
                assert_eq!(peer.ask(&request).await, (format!("HTTP/1.1 {status} X"), "body".into()));
                books[usize::from(status / 100)] += 1;
            }
            books
        })
    });
    let mut books = [0; 6];
    for client in clients.collect::<Vec<_>>() {
        let own: [u64; 6] = client.await.unwrap();
        books.iter_mut().zip(own).for_each(|(sum, n)| *sum += n);
    }
    let all = (CLIENTS * EACH) as u64;
    let tally = lab.seen(is_idle).await;
    assert_eq!(tally.answers, books);
    assert_eq!((tally.received, tally.sent, tally.latencies.count()), (all * 3, all * 4, all));
    assert_eq!((tally.left, tally.broken, tally.retries, tally.own), (0, 0, 0, vec![]));
    let seen = lab.instance("stack.web.1.1").await;
    assert_eq!(seen.answers[..], books[1..]);
    assert_eq!((seen.latencies.count(), seen.counts.counts.requests), (all, all));
    let made_by = seen.made_by.unwrap();
    assert_eq!((made_by.stack.as_str(), made_by.service.as_str(), made_by.release.0), ("stack", "web", 1));
    let listener = lab.listener().await;
    assert_eq!(listener.accepted, CLIENTS as u64);
}

#[tokio::test]
async fn what_the_edge_answers_itself_has_its_reason() {
    let mut lab = Lab::new();
    lab.route(vec![queued(http(&[]), 0, 5000)]).await;
    let mut client = lab.client().await;
    assert_eq!(client.ask(&get("/")).await.0, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(client.ask(&get("/")).await.0, "HTTP/1.1 503 Service Unavailable");
    client.say("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
    let tally = lab.seen(|tally| tally.answers.iter().sum::<u64>() == 3).await;
    let own = |status, reason: &str, count| OwnAnswers { status, reason: reason.into(), count };
    assert_eq!(tally.own[0], own(503, "too many requests wait for an instance of the service", 2));
    assert_eq!((tally.own[1].status, tally.own[1].count, tally.own.len()), (400, 1, 2));
    assert_eq!(tally.answers, [0, 0, 0, 0, 1, 2]);
    assert_eq!(tally.latencies.count(), 3);
}

#[tokio::test]
async fn a_request_is_in_progress_until_the_client_leaves_or_the_instance_breaks_it_off() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    let busy = InProgress { requests: 1, streams: 0, jobs: 0 };
    assert_eq!(lab.seen(|tally| tally.in_progress == busy).await.answers, [0; 6]);
    assert_eq!(lab.listener().await.open, 1);
    drop(client);
    let tally = lab.seen(is_idle).await;
    assert_eq!((tally.left, tally.answers), (1, [1, 0, 0, 0, 0, 0]));
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    client.head().await;
    drop(server);
    assert_eq!(client.rest().await.0, "half");
    let tally = lab.seen(is_idle).await;
    assert_eq!((tally.left, tally.broken, tally.answers), (1, 1, [1, 0, 1, 0, 0, 0]));
    assert_eq!(tally.latencies.count(), 0, "neither answer was whole");
}

#[tokio::test]
async fn a_stream_counts_as_answered_when_it_begins() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say("HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n").await;
    client.head().await;
    let streaming = InProgress { requests: 0, streams: 1, jobs: 0 };
    let tally = lab.seen(|tally| tally.in_progress == streaming).await;
    assert_eq!((tally.answers, tally.streams), ([0, 1, 0, 0, 0, 0], 0));
    drop((client, server));
    let tally = lab.seen(is_idle).await;
    assert_eq!((tally.answers, tally.streams), ([0, 1, 0, 0, 0, 0], 1));
    assert_eq!(tally.latencies.count(), 0);
}

#[tokio::test]
async fn a_tcp_connection_is_a_stream() {
    let instance = Instance::new("s.db.1.1").await;
    let mut lab = Lab::new();
    lab.route(vec![listener("web", Protocol::Tcp, &[(1, &[&instance])])]).await;
    let client = lab.client().await;
    let server = instance.accept().await;
    let streaming = InProgress { requests: 0, streams: 1, jobs: 0 };
    lab.seen(|tally| tally.in_progress == streaming).await;
    drop((client, server));
    let tally = lab.seen(is_idle).await;
    assert_eq!(tally, RuleTally { streams: 1, ..RuleTally::default() });
}

#[tokio::test]
async fn a_second_instance_is_a_retry() {
    let (mut one, mut two) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    two.answer_all();
    let mut lab = Lab::with(|config| config.workers = 1);
    lab.serve(&[&one, &two]).await;
    let breaking = one.listener();
    tokio::spawn(async move {
        while let Ok((stream, _)) = breaking.accept().await {
            Peer::new(stream).try_head().await;
        }
    });
    let mut client = lab.client().await;
    for _ in 0..4 {
        assert_eq!(client.ask(&get("/")).await.1, "s.web.1.2");
    }
    let tally = lab.seen(is_idle).await;
    let handed_over = lab.report().await.instances[&one.id].counts.handed_over;
    assert!(handed_over > 0, "the one that breaks off was chosen");
    assert_eq!(tally.retries, handed_over);
}

fn fixed(name: &str, status: u16) -> Rule {
    let when = Match { paths: vec![PathMatch::Prefix(format!("/{name}"))], ..Match::default() };
    let respond = Respond { status, content_type: "text/plain".into(), body: name.into() };
    let action = RuleAction::Respond(respond);
    Rule { name: name.into(), when, guard: Default::default(), edits: Default::default(), action }
}

#[tokio::test]
async fn rules_keep_their_counts_while_they_keep_their_name() {
    let mut lab = Lab::new();
    let with = |rules: &[(&str, u16)]| Listener {
        rules: rules.iter().map(|(name, status)| fixed(name, *status).into()).collect(),
        ..http(&[])
    };
    lab.route(vec![with(&[("one", 200), ("two", 410)])]).await;
    let mut client = lab.client().await;
    for path in ["/one", "/two", "/two"] {
        client.ask(&get(path)).await;
    }
    lab.route(vec![with(&[("two", 410), ("new", 200)])]).await;
    client.ask(&get("/two")).await;
    let of_rules = || async { lab.listener().await.rules };
    let wait = async {
        loop {
            let rules = of_rules().await;
            if rules[1].tally.answers[4] == 3 {
                return rules;
            }
            tokio::task::yield_now().await;
        }
    };
    let rules = soon("the counts", wait).await;
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["", "two", "new"]);
    let two = &rules[1].tally;
    assert_eq!((two.answers, two.sent, two.latencies.count()), ([0, 0, 0, 0, 3, 0], 9, 3));
    assert_eq!((two.own.len(), two.own[0].status, two.own[0].count), (1, 410, 3));
    for untouched in [&rules[0], &rules[2]] {
        assert_eq!(untouched.tally, RuleTally::default(), "{}", untouched.name);
    }
}

#[tokio::test]
async fn answers_say_how_long_they_took_where_that_is_asked_for() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    let mut listener = http(&[(1, &[&instance])]);
    listener.entrance.server_timing = true;
    lab.route(vec![listener]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    server.say(&ok("")).await;
    assert_eq!(client.head().await, "HTTP/1.1 103 Early Hints\r\n");
    let head = client.head().await;
    let timing = head.lines().find_map(|line| line.strip_prefix("Server-Timing: ")).expect("the field");
    let [edge, at_instance] = timing.split(", ").collect::<Vec<_>>().try_into().unwrap();
    let ms = |text: &str, name: &str| -> f64 { text.strip_prefix(name).unwrap().parse().unwrap() };
    assert!(ms(edge, "edge;dur=") >= 0.0 && ms(at_instance, "instance;dur=") > 0.0, "{timing}");
}

#[tokio::test]
async fn a_trace_passes_untouched() {
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                 tracestate: congo=t61rcWkgMzE,rojo=00f067aa0ba902b7\r\n";
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(&format!("GET / HTTP/1.1\r\nHost: t\r\n{trace}\r\n")).await;
    let head = instance.accept().await.head().await;
    assert!(head.contains(trace), "{head}");
}
