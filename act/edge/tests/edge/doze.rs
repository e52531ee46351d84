//! Services that may be asleep, as the edge sees them: who waits, who is told, and what counts as use.

use crate::lab::{Instance, Lab, get, http, ok, soon};
use naru_model::{Doze, Ignored, Listener, Span, Time};

fn asleep(splits: &[(u32, &[&Instance])], change: impl FnOnce(&mut Doze)) -> Listener {
    let mut listener = http(splits);
    let ignore = Ignored { paths: vec!["/healthz".into()], user_agents: vec!["probe".into()] };
    let mut doze = Doze {
        stack: "stack".into(),
        service: "web".into(),
        by_request: true,
        hold: Span::mins(1),
        ignore,
        asleep: true,
        until: None,
    };
    change(&mut doze);
    listener.policy.doze = Some(doze.into());
    listener
}

#[tokio::test]
async fn a_request_waits_for_a_service_that_it_wakes_and_the_report_says_so() {
    let mut lab = Lab::new();
    let web = Instance::new("stack.web.1.1").await;
    lab.route(vec![asleep(&[], |_| {})]).await;
    let mut news = lab.edge.watch();
    news.mark_unchanged();
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    soon("word that somebody waits", news.changed()).await.unwrap();
    let waiting = lab.report().await.waiting;
    assert_eq!(waiting[&"stack".into()][&"web".into()], 1);
    // It starts; then it is there.
    lab.route(vec![asleep(&[], |doze| doze.asleep = false)]).await;
    lab.route(vec![asleep(&[(1, &[&web])], |doze| doze.asleep = false)]).await;
    let mut served = web.accept().await;
    served.head().await;
    assert!(lab.report().await.waiting.is_empty());
    served.say(&ok("here")).await;
    assert_eq!(client.answer().await.1, "here");
    let used = lab.idle(&web).await.used;
    assert!(used.began.is_some() && used.ended >= used.began, "{used:?}");
}

#[tokio::test]
async fn what_wakes_nobody_is_told_at_once_and_is_no_use() {
    let mut lab = Lab::new();
    let mut web = Instance::new("stack.web.1.1").await;
    web.answer_all();
    let until = Some(Time(u64::MAX / 2));
    lab.route(vec![asleep(&[], |doze| doze.until = until)]).await;
    let probe = "GET / HTTP/1.1\r\nHost: t\r\nUser-Agent: a-Probe/1\r\n\r\n";
    let post = "POST /healthz HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi";
    for request in [get("/healthz?deep"), probe.to_string(), post.to_string()] {
        let mut client = lab.client().await;
        client.say(&request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("Retry-After: "), "{head}");
        assert!(head.contains("X-Naru-Reason: the service is asleep"), "{head}");
    }
    assert!(lab.report().await.waiting.is_empty());
    lab.route(vec![asleep(&[(1, &[&web])], |doze| doze.asleep = false)]).await;
    assert_eq!(lab.client().await.ask(probe).await.1, "stack.web.1.1");
    assert!(lab.idle(&web).await.used.is_never());
    assert_eq!(lab.client().await.ask(&get("/")).await.1, "stack.web.1.1");
    assert!(!lab.idle(&web).await.used.is_never());
}

#[tokio::test]
async fn one_that_only_people_wake_lets_nobody_wait() {
    let mut lab = Lab::new();
    lab.route(vec![asleep(&[], |doze| doze.by_request = false)]).await;
    let mut client = lab.client().await;
    client.say("GET / HTTP/1.1\r\nHost: t\r\nAccept: text/html\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("Content-Type: text/html"), "{head}");
    assert!(lab.report().await.waiting.is_empty());
}

#[tokio::test]
async fn one_that_wakes_too_slowly_is_told_and_browsers_ask_again() {
    let mut lab = Lab::new();
    lab.route(vec![asleep(&[], |doze| doze.hold = Span(50))]).await;
    let mut policy = asleep(&[], |doze| doze.hold = Span(50));
    policy.policy.queue.time = Span(10);
    lab.route(vec![policy]).await;
    let mut browser = lab.client().await;
    browser.say("GET / HTTP/1.1\r\nHost: t\r\nAccept: text/html,*/*\r\n\r\n").await;
    let (line, page) = browser.answer().await;
    assert!(line.starts_with("HTTP/1.1 503") && page.contains("http-equiv=\"refresh\""), "{line} {page}");
    let mut program = lab.client().await;
    let (line, text) = program.ask(&get("/")).await;
    assert!(line.starts_with("HTTP/1.1 503") && text.contains("waking up"), "{line} {text}");
}
