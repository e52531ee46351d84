//! Rules: which requests go where, what is asked of them, what is changed, and what is answered here.

use crate::lab::{Instance, Lab, Peer, get, http, ok};
use naru_model::{
    BasicAuth, Edits, FieldEdits, FieldMatch, Files, Forward, ForwardAuth, Guard, Listener, Match, PathEdit,
    PathMatch, Policy, RateKey, RateLimit, Redirect, ReleaseNo, Respond, Rule, RuleAction, Span, Split,
    ValueMatch,
};
use std::io::Read;

fn rule(name: &str, when: Match, action: RuleAction) -> Rule {
    Rule { name: name.into(), when, guard: Guard::default(), edits: Edits::default(), action }
}

fn prefix(path: &str) -> Match {
    Match { paths: vec![PathMatch::Prefix(path.into())], ..Match::default() }
}

fn to(instance: &Instance) -> RuleAction {
    let backend = naru_model::Backend::new(instance.id.clone(), ReleaseNo(1), instance.address.to_string());
    RuleAction::Forward(Forward {
        service: "api".into(),
        target: 80,
        http2: false,
        splits: vec![Split { weight: 1, backends: vec![backend] }],
        policy: Policy::default(),
    })
}

/// A listener of the stack itself: rules only.
fn ruled(rules: Vec<Rule>) -> Listener {
    Listener { service: None, rules: rules.into_iter().map(Into::into).collect(), ..http(&[]) }
}

async fn lab(rules: Vec<Rule>) -> Lab {
    let mut lab = Lab::new();
    lab.route(vec![ruled(rules)]).await;
    lab
}

async fn ask(lab: &Lab, request: &str) -> (String, String) {
    let mut client = lab.client().await;
    client.say(request).await;
    let head = client.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body = client.text(length.map_or(0, |length| length.parse().unwrap())).await;
    (head, body)
}

fn status(head: &str) -> &str {
    &head[9..12]
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn redirect(status: u16, location: &str) -> RuleAction {
    RuleAction::Redirect(Redirect { status, location: location.into() })
}

fn respond(body: &str) -> RuleAction {
    RuleAction::Respond(Respond { status: 200, content_type: "text/plain".into(), body: body.into() })
}

#[tokio::test]
async fn requests_go_by_host_path_method_header_and_query() {
    let (mut api, mut web) = (Instance::new("s.api.1.1").await, Instance::new("s.web.1.1").await);
    api.answer_all();
    web.answer_all();
    let beta = FieldMatch { name: "x-beta".into(), value: ValueMatch::Equals("1".into()) };
    let version = FieldMatch { name: "v".into(), value: ValueMatch::Equals("2".into()) };
    let shop = Match { hosts: vec!["shop.test".into()], ..prefix("/api") };
    let lab = lab(vec![
        rule("beta", Match { headers: vec![beta], ..Match::default() }, respond("beta")),
        rule("v2", Match { query: vec![version], ..Match::default() }, respond("v2")),
        rule("posts", Match { methods: vec!["POST".into()], ..prefix("/api") }, respond("post")),
        rule("api", shop, to(&api)),
        rule("web", Match { hosts: vec!["*.test".into()], ..Match::default() }, to(&web)),
    ])
    .await;
    let asks = [
        ("GET /api/x HTTP/1.1\r\nHost: shop.test:8080\r\n\r\n", "s.api.1.1"),
        ("GET /apix HTTP/1.1\r\nHost: SHOP.test\r\n\r\n", "s.web.1.1"),
        ("GET /api HTTP/1.1\r\nHost: other.test\r\n\r\n", "s.web.1.1"),
        ("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Beta: 1\r\n\r\n", "beta"),
        ("GET /?a=1&v=2 HTTP/1.1\r\nHost: shop.test\r\n\r\n", "v2"),
        ("POST /api HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 0\r\n\r\n", "post"),
    ];
    for (request, want) in asks {
        let (head, body) = ask(&lab, request).await;
        assert_eq!((status(&head), &*body), ("200", want), "{request}");
    }
    let (head, _) = ask(&lab, "GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert_eq!(status(&head), "404", "no rule takes it");
    assert_eq!(lab.idle(&api).await.counts.requests, 1);
    assert_eq!(lab.idle(&web).await.counts.requests, 2);
}

#[tokio::test]
async fn one_connection_carries_answers_of_all_kinds() {
    let mut api = Instance::new("s.api.1.1").await;
    api.answer_all();
    let lab = lab(vec![
        rule("old", prefix("/old"), redirect(308, "https://{host}/new{path}{query}")),
        rule("fixed", prefix("/robots.txt"), respond("nothing here")),
        rule("api", Match::default(), to(&api)),
    ])
    .await;
    let mut client = lab.client().await;
    for _ in 0..2 {
        client.say("GET /old/x?a=b HTTP/1.1\r\nHost: shop.test:8080\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!(status(&head), "308");
        assert_eq!(field(&head, "Location"), Some("https://shop.test/new/old/x?a=b"));
        assert_eq!(client.ask(&get("/robots.txt")).await.1, "nothing here");
        assert_eq!(client.ask(&get("/")).await.1, "s.api.1.1");
        client.say("HEAD /robots.txt HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(field(&client.head().await, "Content-Length"), Some("12"));
    }
    // A body that nobody reads cannot be skipped.
    client.say("POST /robots.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345").await;
    let head = client.head().await;
    assert_eq!((status(&head), field(&head, "Connection")), ("200", Some("close")));
}

#[tokio::test]
async fn what_is_changed_on_the_way_is_changed_and_nothing_else() {
    let api = Instance::new("s.api.1.1").await;
    let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
    let edits = Edits {
        host: Some("inner.test".into()),
        path: Some(PathEdit::ReplacePrefix("/api".into(), "/v1".into())),
        request: FieldEdits {
            set: vec![pair("X-Set", "new")],
            add: vec![pair("X-Added", "2")],
            remove: vec!["X-Secret".into()],
        },
        response: FieldEdits {
            set: vec![pair("Server", "edge")],
            add: vec![],
            remove: vec!["X-Powered-By".into()],
        },
    };
    let lab = lab(vec![Rule { edits, ..rule("api", prefix("/api"), to(&api)) }]).await;
    let mut client = lab.client().await;
    client
        .say("GET /api/x?q=1 HTTP/1.1\r\nHost: shop.test\r\nx-set: old\r\nx-added: 1\r\nx-secret: s\r\nKept: k\r\n\r\n")
        .await;
    let mut server = api.accept().await;
    let head = server.head().await;
    assert_eq!(
        head,
        "GET /v1/x?q=1 HTTP/1.1\r\nHost: inner.test\r\nx-added: 1\r\nKept: k\r\nX-Forwarded-For: 127.0.0.1\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.test\r\nX-Set: new\r\nX-Added: 2\r\n"
    );
    server.say("HTTP/1.1 200 OK\r\nserver: own\r\nX-Powered-By: php\r\nContent-Length: 2\r\n\r\nhi").await;
    client.hears("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: edge\r\n\r\nhi").await;
}

#[tokio::test]
async fn a_rule_that_goes_leaves_its_requests_in_progress_alone() {
    let (first, mut second) = (Instance::new("s.api.1.1").await, Instance::new("s.api.2.2").await);
    second.answer_all();
    let mut lab = lab(vec![rule("api", prefix("/"), to(&first))]).await;
    let mut client = lab.client().await;
    client.say(&get("/slow")).await;
    let mut server = first.accept().await;
    server.head().await;
    lab.route(vec![ruled(vec![rule("api", prefix("/"), to(&second))])]).await;
    assert_eq!(lab.client().await.ask(&get("/")).await.1, "s.api.2.2");
    assert_eq!(lab.report().await.instances[&first.id].in_progress.requests, 1);
    server.say(&ok("first")).await;
    assert_eq!(client.answer().await.1, "first");
    assert_eq!(client.ask(&get("/")).await.1, "s.api.2.2", "its next request goes by the new table");
    assert_eq!(lab.idle(&first).await.counts.requests, 1);
}

#[tokio::test]
async fn a_rule_is_known_by_its_name_wherever_it_stands() {
    let (mut one, mut two) = (Instance::new("s.api.1.1").await, Instance::new("s.api.1.2").await);
    one.answer_all();
    two.answer_all();
    let limit = RateLimit { requests: 1, per: Span::secs(3600), burst: 1, by: RateKey::Source };
    let guard = Guard { rate_limit: Some(limit), ..Guard::default() };
    let once = |to: RuleAction| Rule { guard: guard.clone(), ..rule("once", prefix("/once"), to) };
    let other = |name: &str, to: RuleAction| rule(name, prefix(&format!("/{name}")), to);
    let mut lab = Lab::with(|config| config.workers = 1);
    lab.route(vec![ruled(vec![once(to(&one)), other("a", to(&one)), other("b", to(&one))])]).await;
    assert_eq!(ask(&lab, &get("/once")).await.1, "s.api.1.1");
    let tables = [
        vec![other("b", to(&two)), once(to(&one)), other("a", to(&one))],
        vec![other("c", to(&one)), other("a", to(&two)), once(to(&two)), other("b", to(&two))],
        vec![once(to(&two))],
        vec![other("a", to(&two)), once(to(&two))],
    ];
    for rules in tables {
        let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        lab.route(vec![ruled(rules)]).await;
        for name in ["a", "b", "c"] {
            let wanted = if names.iter().any(|one| one == name) { "200" } else { "404" };
            assert_eq!(status(&ask(&lab, &get(&format!("/{name}"))).await.0), wanted, "{name} of {names:?}");
        }
        assert_eq!(status(&ask(&lab, &get("/once")).await.0), "429", "{names:?}: the rate is still used up");
    }
    // No rule names the first one any more: once that was told and taken, nothing of it is left.
    let report = lab.report().await;
    lab.edge.confirm(report.seq, std::slice::from_ref(&one.id));
    assert!(!lab.report().await.instances.contains_key(&one.id));
}

#[tokio::test]
async fn a_rate_is_kept_and_told() {
    let limit =
        RateLimit { requests: 1, per: Span::secs(3600), burst: 3, by: RateKey::Header("x-key".into()) };
    let guard = Guard { rate_limit: Some(limit), ..Guard::default() };
    let lab = lab(vec![Rule { guard, ..rule("api", Match::default(), respond("ok")) }]).await;
    let mut client = lab.client().await;
    let mut ask = async |key: &str| {
        client.say(&format!("GET / HTTP/1.1\r\nHost: h\r\nX-Key: {key}\r\n\r\n")).await;
        let head = client.head().await;
        let length: usize = field(&head, "Content-Length").unwrap().parse().unwrap();
        client.text(length).await;
        head
    };
    // Two workers, each with its own half of the rate: one connection is at one of them.
    let mut passed = 0;
    let refused = loop {
        let head = ask("a").await;
        match status(&head) {
            "200" => passed += 1,
            _ => break head,
        }
        assert!(passed <= 3, "more than the burst");
    };
    assert_eq!(status(&refused), "429");
    assert!(field(&refused, "Retry-After").unwrap().parse::<u64>().unwrap() > 0);
    assert!(passed >= 1);
    assert_eq!(status(&ask("b").await), "200", "another key has a rate of its own");
}

#[tokio::test]
async fn names_and_passwords_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names");
    std::fs::write(&file, format!("kim:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
    let basic = BasicAuth { realm: "shop".into(), file: file.to_str().unwrap().into() };
    let guard = Guard { basic_auth: Some(basic), ..Guard::default() };
    let mut api = Instance::new("s.api.1.1").await;
    api.answer_all();
    let lab = lab(vec![Rule { guard, ..rule("api", Match::default(), to(&api)) }]).await;
    let with = |credentials: &str| {
        use base64::Engine;
        let coded = base64::prelude::BASE64_STANDARD.encode(credentials);
        format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {coded}\r\n\r\n")
    };
    let (head, _) = ask(&lab, &get("/")).await;
    assert_eq!(status(&head), "401");
    assert_eq!(field(&head, "WWW-Authenticate"), Some("Basic realm=\"shop\", charset=\"UTF-8\""));
    assert_eq!(status(&ask(&lab, &with("kim:wrong")).await.0), "401");
    for _ in 0..2 {
        assert_eq!(ask(&lab, &with("kim:secret")).await.1, "s.api.1.1");
    }
    assert_eq!(lab.idle(&api).await.counts.requests, 2);
}

#[tokio::test]
async fn another_service_decides_who_passes() {
    let (api, judge) = (Instance::new("s.api.1.1").await, Instance::new("s.auth.1.1").await);
    let auth = ForwardAuth {
        url: format!("http://{}/auth?x=1", judge.address),
        copy_headers: vec!["X-User".into()],
        timeout: Span::secs(20),
    };
    let guard = Guard { forward_auth: Some(auth), ..Guard::default() };
    let lab = lab(vec![Rule { guard, ..rule("api", Match::default(), to(&api)) }]).await;
    let mut client = lab.client().await;
    client
        .say("POST /a?b HTTP/1.1\r\nHost: shop.test\r\nCookie: c=1\r\nX-User: root\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    let mut asked = judge.accept().await;
    let question = asked.head().await;
    assert!(question.starts_with("GET /auth?x=1 HTTP/1.1\r\n"), "{question}");
    for line in
        ["Cookie: c=1", "X-Forwarded-Method: POST", "X-Forwarded-Uri: /a?b", "X-Forwarded-Host: shop.test"]
    {
        assert!(question.contains(&format!("{line}\r\n")), "{line} in {question}");
    }
    assert!(!question.contains("Content-Length: 2"), "the question has no body: {question}");
    asked.say("HTTP/1.1 200 OK\r\nX-User: kim\r\nX-Other: o\r\nContent-Length: 0\r\n\r\n").await;
    let mut server = api.accept().await;
    let head = server.head().await;
    assert!(
        head.contains("X-User: kim\r\n") && !head.contains("root") && !head.contains("X-Other"),
        "{head}"
    );
    server.hears("hi").await;
    server.say(&ok("done")).await;
    assert_eq!(client.answer().await.1, "done");
    // The judge's own answer is the client's.
    client.say(&get("/")).await;
    let mut asked = judge.accept().await;
    asked.head().await;
    asked.say("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 4\r\n\r\nnope").await;
    let head = client.head().await;
    assert_eq!((status(&head), field(&head, "Location")), ("302", Some("/login")));
    assert_eq!(client.text(4).await, "nope");
    assert_eq!(lab.idle(&api).await.counts.requests, 1);
}

fn folder_of_files() -> (tempfile::TempDir, RuleAction) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("public");
    std::fs::create_dir_all(root.join("docs")).unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::fs::write(root.join("index.html"), "<p>home").unwrap();
    std::fs::write(root.join("docs/index.html"), "<p>docs").unwrap();
    std::fs::write(root.join("app.js"), "let a = 1;").unwrap();
    std::fs::write(root.join("app.js.gz"), "as if gzipped").unwrap();
    std::fs::write(root.join("big.bin"), vec![7u8; 300_000]).unwrap();
    std::fs::write(root.join(".env"), "SECRET=1").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    let files = Files {
        root: root.to_str().unwrap().into(),
        strip: "/static".into(),
        index: "index.html".into(),
        fallback: None,
        max_age: Some(Span::secs(60)),
    };
    (folder, RuleAction::Files(files))
}

#[tokio::test]
async fn files_are_served_and_nothing_outside_of_the_folder() {
    let (_folder, action) = folder_of_files();
    let lab = lab(vec![rule("static", prefix("/static"), action)]).await;
    let (head, body) = ask(&lab, &get("/static/docs/")).await;
    assert_eq!((status(&head), &*body), ("200", "<p>docs"));
    assert_eq!(field(&head, "Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(field(&head, "Cache-Control"), Some("max-age=60"));
    let tag = field(&head, "ETag").unwrap();
    let again = format!("GET /static/docs/ HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n");
    assert_eq!(status(&ask(&lab, &again).await.0), "304");
    let (head, body) = ask(&lab, &get("/static/docs?a")).await;
    assert_eq!((status(&head), &*body, field(&head, "Location")), ("301", "", Some("./docs/?a")));
    let (head, body) =
        ask(&lab, "GET /static/app.js HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").await;
    assert_eq!((&*body, field(&head, "Content-Encoding")), ("as if gzipped", Some("gzip")));
    assert_eq!(ask(&lab, &get("/static/app.js")).await.1, "let a = 1;");
    let outside =
        ["/static/../secret", "/static/%2e%2e/secret", "/static/link", "/static/.env", "/static/none"];
    for path in outside {
        let (head, body) = ask(&lab, &get(path)).await;
        assert!(status(&head).starts_with('4'), "{path}: {head}");
        assert!(!body.to_lowercase().contains("secret"), "{path}: {body}");
    }
    assert_eq!(status(&ask(&lab, "DELETE /static/app.js HTTP/1.1\r\nHost: h\r\n\r\n").await.0), "405");
}

#[tokio::test]
async fn parts_of_files_are_served() {
    let (_folder, action) = folder_of_files();
    let lab = lab(vec![rule("static", prefix("/static"), action)]).await;
    let mut client = lab.client().await;
    client.say("GET /static/big.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=100000-299998\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(status(&head), "206");
    assert_eq!(field(&head, "Content-Range"), Some("bytes 100000-299998/300000"));
    let body = client.bytes(199_999).await;
    assert!(body.iter().all(|byte| *byte == 7));
    client.say("HEAD /static/big.bin HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(field(&client.head().await, "Content-Length"), Some("300000"));
    client.say("GET /static/big.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=300000-\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((status(&head), field(&head, "Content-Range")), ("416", Some("bytes */300000")));
}

#[tokio::test]
async fn an_application_of_one_page_gets_its_page() {
    let (_folder, action) = folder_of_files();
    let RuleAction::Files(files) = action else { panic!("files") };
    let action = RuleAction::Files(Files { fallback: Some("index.html".into()), ..files });
    let lab = lab(vec![rule("static", prefix("/static"), action)]).await;
    assert_eq!(ask(&lab, &get("/static/users/7")).await.1, "<p>home");
}

async fn unchunk(client: &mut Peer) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&client.line().await, 16).unwrap();
        body.extend(client.bytes(size).await);
        client.hears("\r\n").await;
        if size == 0 {
            return body;
        }
    }
}

#[tokio::test]
async fn answers_are_made_smaller_for_who_takes_it() {
    let api = Instance::new("s.api.1.1").await;
    let RuleAction::Forward(forward) = to(&api) else { panic!("forward") };
    let policy = Policy { compress: true, ..Policy::default() };
    let lab =
        lab(vec![rule("api", Match::default(), RuleAction::Forward(Forward { policy, ..forward }))]).await;
    let mut client = lab.client().await;
    client.say("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").await;
    let mut server = api.accept().await;
    server.head().await;
    let text = "a line of many\n".repeat(1000);
    let length = text.len();
    server
        .say(&format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"a\"\r\nContent-Length: {length}\r\n\r\n{text}"))
        .await;
    let head = client.head().await;
    assert_eq!(field(&head, "Content-Encoding"), Some("gzip"), "{head}");
    assert_eq!(field(&head, "ETag"), Some("W/\"a\""));
    assert_eq!(field(&head, "Content-Length"), None);
    let coded = unchunk(&mut client).await;
    assert!(coded.len() * 10 < length, "{} of {length}", coded.len());
    let mut decoded = String::new();
    flate2::read::GzDecoder::new(&*coded).read_to_string(&mut decoded).unwrap();
    assert_eq!(decoded, text);
    // A piece of a body that is made slowly arrives while the rest is not there yet.
    client.say("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").await;
    server.head().await;
    server
        .say(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        )
        .await;
    client.head().await;
    let size = usize::from_str_radix(&client.line().await, 16).unwrap();
    let mut part = [0; 5];
    flate2::read::GzDecoder::new(&*client.bytes(size).await).read_exact(&mut part).unwrap();
    assert_eq!(&part, b"first");
    server.say("0\r\n\r\n").await;
    client.hears("\r\n").await;
    unchunk(&mut client).await;
    // Who takes nothing gets it as it is.
    client.say(&get("/")).await;
    server.head().await;
    server
        .say(&format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await;
    assert_eq!(client.answer().await.1, text);
    assert_eq!(lab.idle(&api).await.counts.requests, 3);
}

#[tokio::test]
async fn only_a_trusted_proxy_is_believed_about_who_asks() {
    let api = Instance::new("s.api.1.1").await;
    let mut lab = Lab::new();
    let from_office = Match { sources: vec!["192.0.2.0/24".into()], ..Match::default() };
    let rules = || {
        vec![
            rule("office", from_office.clone(), to(&api)),
            rule("others", Match::default(), respond("others")),
        ]
    };
    let request = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n";
    lab.route(vec![ruled(rules())]).await;
    assert_eq!(ask(&lab, request).await.1, "others");
    let mut trusting = ruled(rules());
    trusting.entrance.trusted = vec!["127.0.0.0/8".into()];
    lab.route(vec![trusting]).await;
    let mut client = lab.client().await;
    client.say(request).await;
    let mut server = api.accept().await;
    let head = server.head().await;
    assert_eq!(field(&head, "X-Forwarded-For"), Some("6.6.6.6, 192.0.2.7, 127.0.0.1"));
    assert_eq!(field(&head, "X-Forwarded-Proto"), Some("https"));
    server.say(&ok("office")).await;
    assert_eq!(client.answer().await.1, "office");
}

#[tokio::test]
async fn what_the_edge_does_not_do_is_refused_and_nothing_changes() {
    let lab = lab(vec![rule("fixed", Match::default(), respond("as before"))]).await;
    let mut asks = ruled(vec![]);
    asks.entrance.tls = Some(naru_model::Tls::Passthrough(vec![]));
    let table = naru_model::RouteTable { generation: naru_model::Generation(9), listeners: vec![asks] };
    let refused = lab.edge.apply(table).unwrap_err().to_string();
    assert_eq!(refused, "listener web: TLS is passed on unread only where the protocol is TCP");
    assert_eq!(ask(&lab, &get("/")).await.1, "as before");
}
