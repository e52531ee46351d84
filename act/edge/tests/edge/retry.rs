//! Instances that fail, at every stage: what is repeated, what is not, and what the books say.

use crate::lab::{Instance, Lab, Peer, either, get, http, ok, queued};
use naru_model::Counts;

const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi";
const KEYED: &str = "POST / HTTP/1.1\r\nHost: t\r\nIdempotency-Key: 7\r\nContent-Length: 2\r\n\r\nhi";
const PUT: &str = "PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

async fn two() -> (Lab, Instance, Instance) {
    let (one, two) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    // Instances take turns at each worker for itself: with one, two requests meet both.
    let mut lab = Lab::with(|config| config.workers = 1);
    lab.serve(&[&one, &two]).await;
    (lab, one, two)
}

/// Accepts at whichever of the two was chosen: that one, its connection, and the other.
async fn chosen<'a>(one: &'a Instance, two: &'a Instance) -> (&'a Instance, Peer, &'a Instance) {
    match either(one, two).await {
        (0, peer) => (one, peer, two),
        (_, peer) => (two, peer, one),
    }
}

fn counts(requests: u64, handed_over: u64, requests_lost: u64) -> Counts {
    Counts { requests, handed_over, requests_lost, ..Counts::default() }
}

#[tokio::test]
async fn a_request_that_may_be_repeated_goes_to_another_instance() {
    for request in [&get("/"), KEYED, PUT] {
        let (lab, one, two) = two().await;
        let mut client = lab.client().await;
        client.say(request).await;
        let (failed, mut server, other) = chosen(&one, &two).await;
        let first = server.head().await;
        drop(server);
        let mut server = other.accept().await;
        assert_eq!(server.head().await, first);
        let body = request.split_once("\r\n\r\n").unwrap().1;
        server.hears(body).await;
        server.say(&ok("second")).await;
        assert_eq!(client.answer().await.1, "second");
        assert_eq!(lab.idle(failed).await.counts, counts(0, 1, 0));
        assert_eq!(lab.idle(other).await.counts, counts(1, 0, 0));
    }
}

#[tokio::test]
async fn a_request_that_may_not_be_repeated_is_lost_and_counted() {
    let (lab, one, two) = two().await;
    let mut client = lab.client().await;
    client.say(POST).await;
    let (failed, mut server, other) = chosen(&one, &two).await;
    server.head().await;
    server.hears("hi").await;
    drop(server);
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
    assert_eq!(lab.idle(failed).await.counts, counts(0, 0, 1));
    assert_eq!(lab.idle(other).await.counts, counts(0, 0, 0));
}

#[tokio::test]
async fn any_request_goes_on_where_nobody_could_be_connected_to() {
    let (lab, mut one, two) = two().await;
    one.close();
    for _ in 0..2 {
        let mut client = lab.client().await;
        client.say(POST).await;
        let mut server = two.accept().await;
        server.head().await;
        server.hears("hi").await;
        server.say(&ok("there")).await;
        assert_eq!(client.answer().await.1, "there");
        drop(server);
    }
    let handed = lab.idle(&one).await.counts;
    assert!((1..=2).contains(&handed.handed_over), "{handed:?}");
    assert_eq!(handed.lost(), 0);
    assert_eq!(lab.idle(&two).await.counts, counts(2, 0, 0));
}

#[tokio::test]
async fn three_tries_are_all() {
    let (lab, one, two) = two().await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    for _ in 0..3 {
        let (_, mut server, _) = chosen(&one, &two).await;
        server.head().await;
    }
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
    let (a, b) = (lab.idle(&one).await.counts, lab.idle(&two).await.counts);
    assert_eq!(a.requests_lost + b.requests_lost, 1);
    assert_eq!(a.handed_over + b.handed_over, 2);
}

#[tokio::test]
async fn the_only_instance_is_tried_again_over_a_new_connection() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let mut server = instance.accept().await;
    server.head().await;
    drop(server);
    let mut server = instance.accept().await;
    server.head().await;
    server.say(&ok("again")).await;
    assert_eq!(client.answer().await.1, "again");
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 0, 0));
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_loses_no_request_of_any_method() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(POST).await;
    let mut server = instance.accept().await;
    for n in 1..20 {
        server.head().await;
        server.hears("hi").await;
        server.say(&ok("fine")).await;
        assert_eq!(client.answer().await.1, "fine");
        // Both at once: the end of the idle connection and the next request.
        drop(server);
        client.say(POST).await;
        server = instance.accept().await;
        assert_eq!(lab.until(&instance, |c| c.in_progress.requests == 1).await.counts, counts(n, 0, 0));
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_lost_and_seen_as_broken() {
    for (begin, heard) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Le", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false),
        ("no HTTP at all\r\n\r\n", false),
    ] {
        let (lab, one, two) = two().await;
        let mut client = lab.client().await;
        client.say(&get("/")).await;
        let (failed, mut server, other) = chosen(&one, &two).await;
        server.head().await;
        server.say(begin).await;
        if heard {
            client.hears(begin).await;
        }
        drop(server);
        let rest = if heard { client.rest().await.0 } else { client.head().await };
        assert_eq!(rest.is_empty(), heard, "{begin}: {rest}");
        assert!(heard || rest.starts_with("HTTP/1.1 502 "), "{rest}");
        assert_eq!(lab.idle(failed).await.counts, counts(0, 0, 1), "{begin}");
        assert_eq!(lab.idle(other).await.counts, counts(0, 0, 0), "{begin}");
    }
}

#[tokio::test]
async fn a_reset_in_an_answer_without_length_reaches_the_client_as_a_reset() {
    let (lab, one, two) = two().await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let (failed, mut server, _) = chosen(&one, &two).await;
    server.head().await;
    server.say("HTTP/1.1 200 OK\r\n\r\nhalf").await;
    client.head().await;
    client.hears("half").await;
    server.reset();
    let (_, end) = client.rest().await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(lab.idle(failed).await.counts, counts(0, 0, 1));
}

#[tokio::test]
async fn a_request_waits_for_an_instance_that_is_being_replaced() {
    let (one, two) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    let mut lab = Lab::new();
    lab.route(vec![http(&[])]).await;
    let mut client = lab.client().await;
    client.say(POST).await;
    lab.route(vec![http(&[(1, &[])])]).await;
    lab.serve(&[&two]).await;
    let mut server = two.accept().await;
    server.head().await;
    server.say(&ok("at last")).await;
    assert_eq!(client.answer().await.1, "at last");
    assert!(!lab.report().await.instances.contains_key(&one.id));
}

#[tokio::test]
async fn a_request_waits_for_an_instance_that_restarts() {
    let mut instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    instance.close();
    let mut client = lab.client().await;
    client.say(POST).await;
    lab.until(&instance, |counts| counts.in_progress.requests == 1).await;
    instance.open().await;
    let mut server = instance.accept().await;
    server.head().await;
    server.say(&ok("back")).await;
    assert_eq!(client.answer().await.1, "back");
    assert_eq!(lab.idle(&instance).await.counts, counts(1, 0, 0));
}

#[tokio::test]
async fn the_wait_is_bounded_in_time_and_number_and_says_why() {
    let mut lab = Lab::with(|config| config.workers = 1);
    let mut instance = Instance::new("s.web.1.1").await;
    lab.route(vec![queued(http(&[]), 1, 50)]).await;
    let (mut first, mut second) = (lab.client().await, lab.client().await);
    first.say(&get("/")).await;
    second.say(&get("/")).await;
    let mut answers = [first.head().await, second.head().await];
    answers.sort();
    for (answer, why) in answers.iter().zip(["no instance", "too many requests"]) {
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"), "{answer}");
        assert!(answer.contains(&format!("X-Naru-Reason: {why}")), "{answer}");
    }
    instance.close();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(POST).await;
    assert!(client.head().await.contains("X-Naru-Reason: no instance of the service could be reached"));
    assert_eq!(lab.idle(&instance).await.counts, counts(0, 0, 1));
}

#[tokio::test]
async fn a_body_still_under_way_is_sent_again_from_its_beginning_if_it_was_kept() {
    let (lab, one, two) = two().await;
    let mut client = lab.client().await;
    client.say("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\nhalf").await;
    let (failed, mut server, other) = chosen(&one, &two).await;
    server.head().await;
    server.hears("half").await;
    drop(server);
    let mut server = other.accept().await;
    server.head().await;
    server.hears("half").await;
    client.say("more").await;
    server.hears("more").await;
    server.say(&ok("whole")).await;
    assert_eq!(client.answer().await.1, "whole");
    assert_eq!(lab.idle(failed).await.counts, counts(0, 1, 0));
    assert_eq!(lab.idle(other).await.counts, counts(1, 0, 0));
}

#[tokio::test]
async fn a_body_too_large_to_keep_is_not_sent_again() {
    let (lab, one, two) = two().await;
    let mut client = lab.client().await;
    let body = "x".repeat(100_000);
    client.say(&format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n{body}")).await;
    let (failed, mut server, other) = chosen(&one, &two).await;
    server.head().await;
    server.hears(&body).await;
    drop(server);
    assert!(client.head().await.starts_with("HTTP/1.1 502 "));
    assert_eq!(lab.idle(failed).await.counts, counts(0, 0, 1));
    assert_eq!(lab.idle(other).await.counts, counts(0, 0, 0));
}
