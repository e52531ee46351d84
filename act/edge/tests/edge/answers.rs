//! Requests and answers in all their forms: what passes, what is refused, what is left out.

use crate::lab::{Instance, Lab, Peer, get, ok};
use std::time::Duration;

async fn one() -> (Lab, Instance) {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    (lab, instance)
}

/// A client and its connection to the instance, with `request` heard there.
async fn asked(lab: &Lab, instance: &Instance, request: &str) -> (Peer, Peer, String) {
    let mut client = lab.client().await;
    client.say(request).await;
    let mut server = instance.accept().await;
    let head = server.head().await;
    (client, server, head)
}

#[tokio::test]
async fn a_request_passes_with_what_the_instance_must_know_and_nothing_of_the_hop() {
    let (lab, instance) = one().await;
    let request = "GET /a?b=c HTTP/1.1\r\nhost: test:8080\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
        Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nX-Kept: yes\r\n\r\n";
    let (mut client, mut server, head) = asked(&lab, &instance, request).await;
    assert_eq!(
        head,
        "GET /a?b=c HTTP/1.1\r\nHost: test:8080\r\nX-Kept: yes\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: test:8080\r\n"
    );
    server
        .say(
            "HTTP/1.1 200 Fine\r\nServer: me\r\nConnection: X-Own\r\nX-Own: 1\r\nContent-Length: 2\r\n\r\nhi",
        )
        .await;
    client.hears("HTTP/1.1 200 Fine\r\nServer: me\r\nContent-Length: 2\r\n\r\nhi").await;
    let counts = lab.idle(&instance).await;
    assert_eq!((counts.counts.requests, counts.counts.errors), (1, 0));
    assert_eq!(counts.request_durations.count(), 1);
}

#[tokio::test]
async fn connections_are_used_again_on_both_sides() {
    let (lab, instance) = one().await;
    let (mut client, mut server, _) = asked(&lab, &instance, &get("/1")).await;
    server.say(&ok("one")).await;
    assert_eq!(client.answer().await.1, "one");
    for n in 2..5 {
        client.say(&get(&format!("/{n}"))).await;
        assert!(server.head().await.starts_with(&format!("GET /{n} ")));
        server.say(&ok("more")).await;
        assert_eq!(client.answer().await.1, "more");
    }
    assert_eq!(lab.idle(&instance).await.counts.requests, 4);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (lab, instance) = one().await;
    let post = "POST /2 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc";
    let (mut client, mut server, first) =
        asked(&lab, &instance, &format!("{}{post}{}", get("/1"), get("/3"))).await;
    assert!(first.starts_with("GET /1 "));
    server.say(&ok("1")).await;
    assert!(server.head().await.starts_with("POST /2 "));
    server.hears("abc").await;
    server.say(&ok("22")).await;
    assert!(server.head().await.starts_with("GET /3 "));
    server.say(&ok("333")).await;
    for body in ["1", "22", "333"] {
        assert_eq!(client.answer().await.1, body);
    }
}

#[tokio::test]
async fn bodies_pass_both_ways_however_they_are_framed() {
    let (lab, instance) = one().await;
    let chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (mut client, mut server, head) = asked(&lab, &instance, chunked).await;
    assert!(head.contains("Transfer-Encoding: chunked\r\n"));
    server.hears("3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n").await;
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n5\r\nhello\r\n0\r\nX-End: 1\r\n\r\n";
    server.say(answer).await;
    client.hears(answer).await;
    client.say("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab").await;
    server.head().await;
    server.hears("ab").await;
    client.say("cd").await;
    server.hears("cd").await;
    server.say("HTTP/1.1 200 OK\r\n\r\nuntil the").await;
    let head = client.head().await;
    assert_eq!(head, "HTTP/1.1 200 OK\r\nConnection: close\r\n");
    server.say(" end").await;
    drop(server);
    assert_eq!(client.rest().await.0, "until the end");
    assert_eq!(lab.idle(&instance).await.counts.requests, 2);
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    let (lab, instance) = one().await;
    let head = "HEAD / HTTP/1.1\r\nHost: t\r\n\r\n";
    let (mut client, mut server, _) = asked(&lab, &instance, head).await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    ] {
        server.say(answer).await;
        client.hears(answer).await;
        client.say(if answer.contains("200") { &*get("/").leak() } else { &*get("/x").leak() }).await;
        server.head().await;
    }
    server.say(&ok("!")).await;
    assert_eq!(client.answer().await.1, "!");
    assert_eq!(lab.idle(&instance).await.counts.requests, 4);
}

#[tokio::test]
async fn interim_answers_pass_and_the_body_follows_them() {
    let (lab, instance) = one().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let (mut client, mut server, head) = asked(&lab, &instance, request).await;
    assert!(head.contains("Expect: 100-continue\r\n"));
    server.say("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.hears("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.say("ok").await;
    server.hears("ok").await;
    server.say("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").await;
    server.say(&ok("done")).await;
    client.hears("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").await;
    assert_eq!(client.answer().await.1, "done");
}

#[tokio::test]
async fn an_old_client_gets_data_without_chunks() {
    let (lab, instance) = one().await;
    let (mut client, mut server, head) = asked(&lab, &instance, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(head.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:0\r\n"), "{head}");
    server.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    assert_eq!(client.head().await, "HTTP/1.1 200 OK\r\nConnection: close\r\n");
    client.hears("abc").await;
    server.say("2\r\nde\r\n0\r\nX: y\r\n\r\n").await;
    assert_eq!(client.rest().await.0, "de");
}

#[tokio::test]
async fn an_old_client_that_asks_for_it_keeps_its_connection() {
    let (lab, instance) = one().await;
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut server, _) = asked(&lab, &instance, request).await;
    server.say(&ok("a")).await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na").await;
    client.say(request).await;
    server.head().await;
    server.say(&ok("b")).await;
    assert_eq!(client.answer().await.1, "b");
}

#[tokio::test]
async fn an_answer_before_the_whole_request_ends_both_connections() {
    let (lab, instance) = one().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nsome";
    let (mut client, mut server, _) = asked(&lab, &instance, request).await;
    server.hears("some").await;
    server.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 413 "));
    client.ends().await;
    server.ends().await;
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.requests_lost), (1, 0));
}

#[tokio::test]
async fn errors_of_the_instance_count_as_its_errors() {
    let (lab, instance) = one().await;
    let (mut client, mut server, _) = asked(&lab, &instance, &get("/")).await;
    server.say("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 503 Busy"));
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.errors, counts.requests_lost), (1, 1, 0));
}

#[tokio::test]
async fn what_the_client_asks_about_its_connection_is_done() {
    let (lab, instance) = one().await;
    let request = "GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    let (mut client, mut server, _) = asked(&lab, &instance, request).await;
    server.say(&ok("bye")).await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye").await;
    client.ends().await;
}

#[tokio::test]
async fn invalid_requests_are_refused_with_a_reason_and_reach_nobody() {
    let (lab, instance) = one().await;
    let long = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(33 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: t\r\n{}\r\n", "X: y\r\n".repeat(101));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: t\n\n", 400),
        ("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: t\r\n\r\n", 505),
        (&long, 431),
        (&many, 431),
    ] {
        let mut client = lab.client().await;
        client.say(request).await;
        let (head, end) = client.rest().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}");
        assert!(head.contains("\r\nX-Naru-Reason: "), "{head}");
        end.unwrap();
    }
    assert_eq!(lab.report().await.instances[&instance.id].counts.requests, 0);
}

#[tokio::test]
async fn a_broken_body_is_the_clients_fault() {
    let (lab, instance) = one().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
    let (mut client, mut server, _) = asked(&lab, &instance, request).await;
    server.hears("2\r\nok\r\n").await;
    client.say("x\r\n").await;
    let (answer, _) = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.ends().await;
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.requests_lost), (1, 0));
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_refused_and_an_idle_connection_closed() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::with(|config| {
        config.head_time = Duration::from_millis(30);
        config.idle_time = Duration::from_millis(60);
    });
    lab.serve(&[&instance]).await;
    let mut slow = lab.client().await;
    slow.say("GET / HTTP/1.1\r\nHos").await;
    let (answer, _) = slow.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    lab.client().await.ends().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (lab, instance) = one().await;
    let (client, mut server, _) = asked(&lab, &instance, &get("/")).await;
    let during = lab.until(&instance, |counts| counts.in_progress.requests == 1).await;
    assert!(during.oldest.is_some());
    drop(client);
    server.ends().await;
    let after = lab.idle(&instance).await;
    assert_eq!((after.counts.requests, after.counts.requests_lost, after.oldest), (1, 0, None));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_body_takes_it_along() {
    let (lab, instance) = one().await;
    let request = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nsome";
    let (client, mut server, _) = asked(&lab, &instance, request).await;
    server.hears("some").await;
    drop(client);
    server.ends().await;
    let counts = lab.idle(&instance).await.counts;
    assert_eq!((counts.requests, counts.requests_lost), (1, 0));
}
