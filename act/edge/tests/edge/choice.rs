//! The choice of an instance, as clients and instances see it: what a policy asks for, over real connections.

use crate::lab::{Instance, Lab, Peer, either, get, http, ok, queued, soon};
use naru_model::{
    Balance, Ejection, HashKey, Listener, OwnZone, Policy, ReleaseNo, Span, Sticky, StickyTo, Time,
};

const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// A lab of one worker, so that what it learns is at one place, and instances `s.web.R.N` by release.
async fn lab(policy: Policy, releases: &[(u32, u64, u64)]) -> (Lab, Vec<Instance>) {
    let mut lab = Lab::with(|config| config.workers = 1);
    let mut instances = vec![];
    for (_, release, count) in releases {
        for n in 1..=*count {
            instances.push(Instance::new(&format!("s.web.{release}.{n}")).await);
        }
    }
    lab.route(vec![listener(policy, releases, &instances)]).await;
    (lab, instances)
}

/// A split of a weight for the instances of each release.
fn listener(policy: Policy, releases: &[(u32, u64, u64)], instances: &[Instance]) -> Listener {
    let mut rest: Vec<&Instance> = instances.iter().collect();
    let groups: Vec<(u32, Vec<&Instance>)> = releases
        .iter()
        .map(|(weight, _, count)| (*weight, rest.drain(..*count as usize).collect()))
        .collect();
    let groups: Vec<(u32, &[&Instance])> = groups.iter().map(|(weight, all)| (*weight, &all[..])).collect();
    let mut listener = http(&groups);
    for (split, (_, release, _)) in listener.splits.iter_mut().zip(releases) {
        split.backends.iter_mut().for_each(|backend| backend.release = ReleaseNo(*release));
    }
    Listener { policy, ..listener }
}

fn with(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: t\r\n{fields}\r\n")
}

/// The head of the next answer, and who gave it.
async fn asked(client: &mut Peer, request: &str) -> (String, String) {
    client.say(request).await;
    let head = client.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let body = client.text(length.parse().unwrap()).await;
    (head, body)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn requests_go_round_and_by_what_they_say() {
    let (round, mut instances) =
        lab(Policy { balance: Balance::RoundRobin, ..Policy::default() }, &[(1, 1, 3)]).await;
    instances.iter_mut().for_each(Instance::answer_all);
    let mut client = round.client().await;
    for n in 0..7 {
        assert_eq!(client.ask(&get("/")).await.1, format!("s.web.1.{}", n % 3 + 1));
    }
    let policy = Policy { balance: Balance::Hash(HashKey::Header("x-user".into())), ..Policy::default() };
    let (lab, mut instances) = lab(policy, &[(1, 1, 3)]).await;
    instances.iter_mut().for_each(Instance::answer_all);
    let mut met = std::collections::BTreeSet::new();
    for user in 0..20 {
        let request = with(&format!("X-User: {user}\r\n"));
        let first = lab.client().await.ask(&request).await.1;
        assert_eq!(lab.client().await.ask(&request).await.1, first, "the same from any connection");
        met.insert(first);
    }
    assert_eq!(met.len(), 3);
}

#[tokio::test]
async fn a_client_stays_on_its_release_by_cookie_until_it_retires() {
    let sticky = Sticky {
        to: StickyTo::Version,
        cookie: "v".into(),
        header: Some("X-Version".into()),
        max_age: Some(Span::secs(60)),
        keep: Sticky::usual_keep(),
    };
    let policy = Policy { sticky: Some(sticky), ..Policy::default() };
    let (mut lab, mut instances) = lab(policy.clone(), &[(0, 8, 1), (100, 7, 2)]).await;
    let at =
        |weights: &[(u32, u64, u64)], instances: &[Instance]| listener(policy.clone(), weights, instances);
    let mut client = lab.client().await;
    let tables = [
        at(&[(50, 8, 1), (50, 7, 2)], &instances),
        at(&[(100, 8, 1), (0, 7, 2)], &instances),
        at(&[(100, 8, 1)], &instances[..1]),
    ];
    instances.iter_mut().for_each(Instance::answer_all);
    let (head, body) = asked(&mut client, &get("/")).await;
    assert!(body.starts_with("s.web.7."), "{body}");
    let cookie = field(&head, "Set-Cookie");
    assert_eq!(cookie, Some("v=7; Path=/; HttpOnly; SameSite=Lax; Max-Age=60"));
    assert_eq!(field(&head, "X-Version"), Some("7"));
    let [canary, promoted, retired] = tables;
    for table in [canary, promoted] {
        lab.route(vec![table]).await;
        for said in ["Cookie: a=b; v=7\r\n", "X-Version: 7\r\n"] {
            for _ in 0..8 {
                let (head, body) = asked(&mut client, &with(said)).await;
                assert!(body.starts_with("s.web.7."), "{body}");
                assert_eq!(field(&head, "Set-Cookie"), None, "it knows");
            }
        }
    }
    assert_eq!(asked(&mut client, &get("/")).await.1, "s.web.8.1", "who comes anew");
    lab.route(vec![retired]).await;
    let (head, body) = asked(&mut client, &with("Cookie: v=7\r\n")).await;
    assert_eq!(body, "s.web.8.1");
    assert!(field(&head, "Set-Cookie").unwrap().starts_with("v=8;"), "{head}");
}

#[tokio::test]
async fn a_session_moves_once_its_instance_is_gone_and_tells_no_address() {
    let sticky = Sticky {
        to: StickyTo::Session,
        cookie: "s".into(),
        header: None,
        max_age: None,
        keep: Sticky::usual_keep(),
    };
    let (lab, mut instances) = lab(Policy { sticky: Some(sticky), ..Policy::default() }, &[(1, 1, 2)]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let (at, mut server) = either(&instances[0], &instances[1]).await;
    server.head().await;
    server.say(&ok("first")).await;
    let head = client.head().await;
    client.hears("first").await;
    let value = field(&head, "Set-Cookie").and_then(|set| set.split(';').next()).unwrap().to_string();
    assert!(value.len() == 18 && !value.contains("web") && !value.contains("127"), "{value}");
    let stay = with(&format!("Cookie: {value}\r\n"));
    for _ in 0..5 {
        client.say(&stay).await;
        server.head().await;
        server.say(&ok("again")).await;
        let head = client.head().await;
        client.hears("again").await;
        assert_eq!(field(&head, "Set-Cookie"), None);
    }
    instances[at].close();
    drop(server);
    instances[1 - at].answer_all();
    let (head, body) = asked(&mut client, &stay).await;
    assert_eq!(body, instances[1 - at].id.as_str());
    let moved = field(&head, "Set-Cookie").unwrap();
    assert!(moved.starts_with("s=") && !moved.starts_with(&value), "{moved}");
}

#[tokio::test]
async fn an_instance_that_fails_in_a_row_gets_no_more_requests() {
    let ejection = Ejection { failures: 2, pause: Span::secs(3600), at_most: 50 };
    let policy = Policy { balance: Balance::RoundRobin, ejection, ..Policy::default() };
    let (lab, mut instances) = lab(policy, &[(1, 1, 2)]).await;
    instances[1].answer_all();
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instances[0].accept().await;
    for _ in 0..2 {
        server.head().await;
        server.say(BUSY).await;
        assert_eq!(client.answer().await.1, "busy");
        assert_eq!(client.ask(&get("/")).await.1, "s.web.1.2");
        client.say(&get("/")).await;
        if lab.until(&instances[0], |_| true).await.counts.errors == 2 {
            break;
        }
    }
    assert_eq!(client.answer().await.1, "s.web.1.2", "its turn is another's");
    for _ in 0..10 {
        assert_eq!(client.ask(&get("/")).await.1, "s.web.1.2");
    }
    assert_eq!(lab.idle(&instances[0]).await.counts.errors, 2);
    let snapshot = lab.edge.snapshot(Time(2_000_000)).await;
    let ejections = snapshot.instances.iter().map(|(id, one)| (id.as_str(), one.ejections));
    assert_eq!(ejections.collect::<Vec<_>>(), [("s.web.1.1", 1), ("s.web.1.2", 0)]);
}

#[tokio::test]
async fn a_full_instance_is_passed_over_and_when_all_are_one_waits_for_room() {
    let policy = Policy { max_in_progress: Some(1), ..Policy::default() };
    // Two workers: the one that waits and the one that makes room may be different ones.
    let mut lab = Lab::with(|config| config.workers = 2);
    let mut instances = [Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await];
    let plain = http(&[(1, &[&instances[0], &instances[1]])]);
    lab.route(vec![Listener { policy, ..plain.clone() }]).await;
    let mut busy = vec![];
    for _ in 0..2 {
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        let (at, mut server) = either(&instances[0], &instances[1]).await;
        server.head().await;
        busy.push((client, server, at));
    }
    for instance in &instances {
        assert_eq!(lab.until(instance, |_| true).await.in_progress.requests, 1, "each has one");
    }
    let mut waiting = vec![];
    for _ in 0..8 {
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        waiting.push(client);
    }
    let held = async {
        while lab.edge.snapshot(naru_model::Time(0)).await.listeners[0].held != 8 {
            tokio::task::yield_now().await;
        }
    };
    soon("eight that wait", held).await;
    let (mut first, mut server, at) = busy.remove(0);
    instances[at].answer_all();
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone").await;
    assert_eq!(first.answer().await.1, "done");
    // One after the other gets the place that became free.
    for mut client in waiting {
        assert_eq!(client.answer().await.1, instances[at].id.as_str());
    }
}

#[tokio::test]
async fn where_all_are_full_the_wait_has_an_end_and_says_why() {
    let policy = Policy { max_in_progress: Some(1), ..Policy::default() };
    let (mut lab, instances) = lab(policy.clone(), &[(1, 1, 1)]).await;
    lab.route(vec![queued(listener(policy, &[(1, 1, 1)], &instances), 1, 50)]).await;
    let (mut busy, mut late) = (lab.client().await, lab.client().await);
    busy.say(POST).await;
    let mut server = instances[0].accept().await;
    server.head().await;
    late.say(POST).await;
    let head = late.head().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(field(&head, "Retry-After"), Some("1"));
    assert_eq!(
        field(&head, "X-Naru-Reason"),
        Some("all instances of the service have as much to do as they may")
    );
    server.hears("hi").await;
    server.say(&ok("done")).await;
    assert_eq!(busy.answer().await.1, "done");
}

#[tokio::test]
async fn an_answer_with_a_status_that_is_tried_elsewhere_is_kept_from_the_client() {
    let mut policy = Policy { balance: Balance::RoundRobin, ..Policy::default() };
    policy.retry.statuses = vec![503];
    let (lab, mut instances) = lab(policy, &[(1, 1, 2)]).await;
    instances[1].answer_all();
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instances[0].accept().await;
    server.head().await;
    server.say(BUSY).await;
    assert_eq!(client.answer().await.1, "s.web.1.2");
    assert_eq!(lab.idle(&instances[0]).await.counts.handed_over, 1);
    // What must not be repeated is passed on as it is.
    client.say(POST).await;
    let mut server = instances[0].accept().await;
    server.head().await;
    server.hears("hi").await;
    server.say(BUSY).await;
    assert_eq!(client.answer().await, ("HTTP/1.1 503 Service Unavailable".into(), "busy".into()));
}

#[tokio::test]
async fn where_nobody_else_is_there_such_an_answer_is_passed_on() {
    let mut policy = Policy::default();
    policy.retry.statuses = vec![503];
    let (lab, instances) = lab(policy, &[(1, 1, 1)]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instances[0].accept().await;
    server.head().await;
    server.say(BUSY).await;
    assert_eq!(client.answer().await.1, "busy");
}

#[tokio::test]
async fn the_budget_bounds_what_is_sent_again() {
    let mut policy = Policy { balance: Balance::RoundRobin, ..Policy::default() };
    policy.retry.statuses = vec![503];
    policy.retry.budget = 0;
    policy.ejection.failures = 0;
    let (lab, mut instances) = lab(policy, &[(1, 1, 2)]).await;
    instances[1].answer_all();
    let failing = instances[0].listener();
    tokio::spawn(async move {
        while let Ok((stream, _)) = failing.accept().await {
            let mut peer = Peer::new(stream);
            while peer.try_head().await.is_some() {
                peer.say(BUSY).await;
            }
        }
    });
    let mut client = lab.client().await;
    let mut busy = 0;
    // Each second request meets the one that fails; a hundred are sent again, ten for each of ten seconds.
    for _ in 0..300 {
        busy += usize::from(client.ask(&get("/")).await.1 == "busy");
    }
    assert!((1..=200).contains(&busy), "{busy}");
    let handed = lab.idle(&instances[0]).await.counts.handed_over;
    assert!((100..200).contains(&handed), "{handed}");
}

#[tokio::test]
async fn an_instance_that_is_silent_too_long_has_failed() {
    let policy =
        Policy { balance: Balance::RoundRobin, response_timeout: Some(Span(50)), ..Policy::default() };
    let (lab, mut instances) = lab(policy, &[(1, 1, 2)]).await;
    instances[1].answer_all();
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut silent = instances[0].accept().await;
    silent.head().await;
    assert_eq!(client.answer().await.1, "s.web.1.2", "it is tried elsewhere");
    assert_eq!(lab.idle(&instances[0]).await.counts.handed_over, 1);
    client.say(POST).await;
    let mut silent = instances[0].accept().await;
    silent.head().await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "what must not be repeated is not: {head}");
    assert_eq!(field(&head, "X-Naru-Reason"), Some("the instance did not begin to answer in time"));
    assert_eq!(lab.idle(&instances[0]).await.counts.requests_lost, 1);
}

#[tokio::test]
async fn a_slow_upload_and_a_slow_answer_are_not_silence() {
    let policy = Policy { response_timeout: Some(Span(1000)), ..Policy::default() };
    let (lab, instances) = lab(policy, &[(1, 1, 1)]).await;
    let mut client = lab.client().await;
    client.say("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nh").await;
    let mut server = instances[0].accept().await;
    server.head().await;
    server.hears("h").await;
    tokio::time::timeout(std::time::Duration::from_millis(1200), server.bytes(1))
        .await
        .expect_err("no more comes");
    client.say("i").await;
    server.hears("i").await;
    server.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    client.head().await;
    client.hears("o").await;
    tokio::time::timeout(std::time::Duration::from_millis(1200), client.bytes(1))
        .await
        .expect_err("no more comes");
    server.say("k").await;
    client.hears("k").await;
}

#[tokio::test]
async fn instances_of_the_own_zone_come_first_while_they_are_there() {
    let policy = Policy { zone: Some(OwnZone::default()), balance: Balance::RoundRobin, ..Policy::default() };
    let mut lab = Lab::with(|config| (config.workers, config.zone) = (1, Some("east".into())));
    let mut instances = vec![];
    for n in 1..=3 {
        instances.push(Instance::new(&format!("s.web.7.{n}")).await);
    }
    let table = |zones: [Option<&str>; 3]| {
        let mut listener = listener(policy.clone(), &[(1, 7, 3)], &instances);
        let backends = listener.splits[0].backends.iter_mut();
        backends.zip(zones).for_each(|(backend, zone)| backend.zone = zone.map(String::from));
        listener
    };
    let tables = [table([Some("west"), Some("east"), None]), table([Some("west"), None, None])];
    instances.iter_mut().for_each(Instance::answer_all);
    let [own, none] = tables;
    lab.route(vec![own]).await;
    let mut client = lab.client().await;
    for _ in 0..6 {
        assert_eq!(client.ask(&get("/")).await.1, "s.web.7.2", "it is the one of the zone");
    }
    lab.route(vec![none]).await;
    let mut met = std::collections::BTreeSet::new();
    for _ in 0..6 {
        met.insert(client.ask(&get("/")).await.1);
    }
    assert_eq!(met.len(), 3, "nobody of the zone is left: all are chosen among");
}
