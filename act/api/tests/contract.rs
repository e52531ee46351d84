//! The API's contract, over a real socket, with a core that only remembers.

mod recall;
#[path = "contract/rights.rs"]
mod rights;

use naru_api::{
    Client, ClientError, EventKind, EventQuery, ExecOrder, Ground, ImageEvent, ImageOrder, LogQuery,
    PlanRequest, PruneAct, PruneOrder, ReachOrder, ShowAssets, ShutdownOrder, WatchEvent, WatchQuery,
};
use naru_model::{
    AssetOrder, Change, ContentId, Demand, Ending, ImageAct, Listener, NodeId, OperationId, RouteTable,
    Stack, StackName, Wanted,
};
use recall::{Served, desired, edge_report, operation};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn stack(name: &str) -> Stack {
    Stack {
        name: name.into(),
        project_dir: "/srv".into(),
        services: BTreeMap::new(),
        listeners: vec![],
        jobs: Default::default(),
        routes: vec![],
    }
}

fn demand(name: &str) -> Demand {
    let change =
        Change::Deploy { stack: Box::new(stack(name)), only: vec![], images: BTreeMap::new(), idle: vec![] };
    Demand {
        stack: name.into(),
        change,
        ending: Ending::Finish,
        actor: "somebody else".into(),
        message: Some("because".into()),
    }
}

/// Sends bytes as they are, and gives the whole answer of a connection that is closed by the server.
fn raw(served: &Served, request: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(served.socket()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.into()))
}

async fn asked(served: &Served, method: &str, path: &str) -> (u16, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: naru\r\nconnection: close\r\n\r\n");
    let served = served.clone();
    tokio::task::spawn_blocking(move || raw(&served, &request)).await.unwrap()
}

#[tokio::test]
async fn questions_and_orders_come_through_whole() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    assert_eq!(client.status().await.unwrap().version, "test");
    served.core.put_operation(operation(7, "shop"));
    assert_eq!(client.operation(OperationId(7)).await.unwrap(), operation(7, "shop"));
    let of_shop = client.operations(Some(&StackName::from("shop")), 10).await.unwrap();
    assert_eq!(of_shop, [operation(7, "shop")]);
    assert!(client.operations(Some(&StackName::from("other")), 10).await.unwrap().is_empty());
    let plan = client
        .plan(&PlanRequest { stack: stack("shop"), only: vec![], images: BTreeMap::new() })
        .await
        .unwrap();
    assert_eq!(plan.stack, "shop".into());
    let content = [0u8, 255, b'x'];
    assert_eq!(
        client.keep_content(&content).await.unwrap(),
        ContentId::of(&content),
        "as it is, not as text"
    );
    let admitted = client.demand(&demand("shop")).await.unwrap();
    assert_eq!(admitted.operation, Some(OperationId(1)));
    let mut seen = served.core.demands();
    let taken = seen.pop().unwrap();
    assert_eq!(taken.message.as_deref(), Some("because"));
    assert_eq!(taken.actor, std::process::Command::new("id").arg("-un").output_text());
}

#[tokio::test]
async fn what_is_wanted_of_images_is_answered_as_it_goes() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let order = ImageOrder { stack: stack("shop"), only: vec![], act: ImageAct::Look };
    let mut lines = client.images(&order).await.unwrap();
    assert_eq!(lines.next().await.unwrap(), Some(ImageEvent::Note { text: "Look".into() }));
    let Some(ImageEvent::Settled { images }) = lines.next().await.unwrap() else { panic!("the last one") };
    assert_eq!(images["shop"].id, "sha256:1");
    assert_eq!(lines.next().await.unwrap(), None);
    let fates = client.prune(PruneOrder { act: PruneAct::Show }).await.unwrap();
    assert!(fates[0].why.goes());
}

#[tokio::test]
async fn assets_are_shown_and_wanted_in_the_name_of_who_asks() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    assert_eq!(client.assets(ShowAssets::Known).await.unwrap().fault.as_deref(), Some("Known"));
    assert_eq!(client.assets(ShowAssets::Looked).await.unwrap().fault.as_deref(), Some("Looked"));
    let order =
        |asset: &str| AssetOrder { asset: asset.into(), wanted: Wanted::Off, within: None, message: None };
    let asset = client.want_asset(&order("gpu")).await.unwrap();
    assert_eq!(asset.name.as_str(), std::process::Command::new("id").arg("-un").output_text());
    let Err(ClientError::Refused(refused)) = client.want_asset(&order("cpu")).await else {
        panic!("there is none")
    };
    assert_eq!(refused.ground, Ground::Conflict);
}

#[tokio::test]
async fn a_refusal_keeps_its_ground_and_its_words() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let Err(ClientError::Refused(refused)) = client.demand(&demand("forbidden")).await else {
        panic!("the demand was taken")
    };
    assert_eq!(refused.ground, Ground::Conflict);
    assert_eq!(refused.refusal.hint.as_deref(), Some("name it otherwise"));
    let Err(ClientError::Refused(refused)) = client.operation(OperationId(99)).await else {
        panic!("there is no operation 99")
    };
    assert_eq!(refused.ground, Ground::NotFound);
    let Err(ClientError::Refused(refused)) = client.shutdown(ShutdownOrder::default()).await else {
        panic!("instances run")
    };
    assert_eq!(refused.ground, Ground::Conflict);
    let large = vec![b'x'; naru_api::CONTENT_MAX + 1];
    let Err(ClientError::Refused(refused)) = client.keep_content(&large).await else {
        panic!("it is too large")
    };
    assert_eq!(refused.ground, Ground::TooLarge);
    client.shutdown(ShutdownOrder { ending: Ending::Cut }).await.unwrap();
}

#[tokio::test]
async fn no_server_and_no_sense_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Client::new(dir.path().join("none.sock"));
    assert!(nobody.status().await.unwrap_err().is_no_server());
    let socket = dir.path().join("liar.sock");
    let liar = tokio::net::UnixListener::bind(&socket).unwrap();
    let client = Client::new(&socket);
    let (answer, _) = tokio::join!(client.status(), async {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = liar.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
        stream
    });
    assert!(matches!(answer, Err(ClientError::Protocol(_))), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_was_killed_is_waited_for_and_one_that_ended_is_not() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    served.kill().await;
    let (answer, _again) = tokio::join!(client.status(), async {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        served.clone().restart().await
    });
    assert_eq!(answer.unwrap().version, "test");
    std::fs::remove_file(served.socket()).unwrap();
    assert!(Client::new(served.socket()).status().await.unwrap_err().is_no_server());
}

#[tokio::test]
async fn every_documented_route_answers_and_every_other_is_refused_with_words() {
    let served = Served::start().await;
    let (status, document) = asked(&served, "GET", "/v1/openapi.json").await;
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let mut routes = 0;
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, route) in verbs.as_object().unwrap() {
            routes += 1;
            assert!(route["responses"]["default"].is_object(), "{path} tells of no refusal");
            let path = path.replace("{id}", "nonsense").replace("{node}", "nowhere");
            if route["responses"].to_string().contains("event-stream") && !path.contains("nodes") {
                continue;
            }
            let (status, body) = asked(&served, &verb.to_uppercase(), &path).await;
            assert!(!body.contains("there is no route") && status != 405, "{verb} {path}: {status} {body}");
        }
    }
    assert_eq!(routes, 37);
    for (method, path, want) in
        [("GET", "/v1/nothing", 404), ("GET", "/", 404), ("DELETE", "/v1/stacks", 405)]
    {
        let (status, body) = asked(&served, method, path).await;
        assert_eq!(status, want, "{path}");
        let refusal: naru_model::Refusal = serde_json::from_str(&body).unwrap();
        assert!(refusal.hint.unwrap().contains("openapi.json"));
    }
}

#[tokio::test]
async fn every_schema_that_is_named_is_there() {
    let document = naru_api::openapi().to_json().unwrap();
    let value: serde_json::Value = serde_json::from_str(&document).unwrap();
    let schemas = value["components"]["schemas"].as_object().unwrap();
    let named = document.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap());
    let missing: Vec<_> = named.filter(|name| !schemas.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(schemas.contains_key("Operation") && schemas.contains_key("Template"));
    // A key of JSON is a text.
    assert!(!document.contains(r#""propertyNames":{"type":"integer""#));
}

#[tokio::test]
async fn bad_bodies_and_queries_get_one_clear_refusal() {
    let served = Served::start().await;
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /v1/demands HTTP/1.1\r\nhost: naru\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    let huge = format!(
        "POST /v1/demands HTTP/1.1\r\nhost: naru\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        17 << 20
    );
    let query =
        "GET /v1/operations?limit=many HTTP/1.1\r\nhost: naru\r\nconnection: close\r\n\r\n".to_string();
    for (request, want, says) in [
        (post("{"), 400, "EOF"),
        (post("{\"stack\": 7}"), 422, "invalid type"),
        (post("{\"stack\": \"shop\"}"), 422, "missing field `change`"),
        (huge, 413, "16 MiB"),
        (query, 400, "invalid digit"),
    ] {
        let served = served.clone();
        let (status, body) = tokio::task::spawn_blocking(move || raw(&served, &request)).await.unwrap();
        assert_eq!(status, want, "{body}");
        let refusal: naru_model::Refusal = serde_json::from_str(&body).unwrap();
        assert!(refusal.error.contains(says) && refusal.hint.is_some(), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_watch_begins_with_the_present_and_tells_only_what_changes() {
    let served = Served::start().await;
    served.core.put_operation(operation(1, "shop"));
    let client = Client::new(served.socket());
    let query = WatchQuery { stack: Some("shop".into()), operation: None };
    let mut watch = client.watch(&query).await.unwrap();
    let mut first = vec![];
    for _ in 0..3 {
        first.push(watch.next().await.unwrap().unwrap());
    }
    assert_eq!(first[0], WatchEvent::Operation(Box::new(operation(1, "shop"))));
    assert_eq!(first[1], WatchEvent::Instances(vec![]));
    assert!(matches!(first[2], WatchEvent::Routes(_)));
    served.core.put_operation(operation(2, "other"));
    let mut ended = operation(1, "shop");
    ended.ended = Some(naru_model::Time(9));
    served.core.put_operation(ended.clone());
    assert_eq!(watch.next().await.unwrap().unwrap(), WatchEvent::Operation(Box::new(ended)));
    served.core.put_routes(RouteTable { generation: naru_model::Generation(5), listeners: vec![] });
    assert!(
        matches!(watch.next().await.unwrap().unwrap(), WatchEvent::Routes(table) if table.generation.0 == 5)
    );
}

#[tokio::test]
async fn a_reader_that_sleeps_gets_the_newest_state_and_no_backlog() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let mut watch = client.watch(&WatchQuery::default()).await.unwrap();
    let changes = 2_000;
    for n in 1..=changes {
        served.core.put_routes(RouteTable { generation: naru_model::Generation(n), listeners: vec![] });
        tokio::task::yield_now().await;
    }
    let mut told = 0;
    loop {
        if let WatchEvent::Routes(table) = watch.next().await.unwrap().unwrap() {
            told += 1;
            if table.generation.0 == changes {
                break;
            }
        }
    }
    assert!(told < changes / 10, "{told} states were queued");
}

fn table(generation: u64, statuses: &[u16]) -> RouteTable {
    let rule = |(at, status): (usize, &u16)| {
        let json = format!(
            r#"{{"name":"r{at}","action":{{"respond":{{"status":{status},"content_type":"","body":"{}"}}}}}}"#,
            "x".repeat(1000)
        );
        Arc::new(serde_json::from_str(&json).unwrap())
    };
    let listener = r#"{"name":"a","address":"0.0.0.0:80","protocol":"http","stack":"s","splits":[]}"#;
    let listener: Listener = serde_json::from_str(listener).unwrap();
    let rules = statuses.iter().enumerate().map(rule).collect();
    RouteTable {
        generation: naru_model::Generation(generation),
        listeners: vec![Listener { rules, ..listener }],
    }
}

#[tokio::test]
async fn an_edge_is_told_what_changes_of_a_table_and_has_it_whole() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let node = NodeId::from("here");
    served.core.put_routes(table(1, &[200; 50]));
    let mut follow = client.node_routes(&node);
    let first = follow.next().await;
    assert_eq!(first, table(1, &[200; 50]));
    let mut statuses = [200; 50];
    for n in 2..20 {
        statuses[n as usize] = 404;
        served.core.put_routes(table(n, &statuses));
        assert_eq!(follow.next().await, table(n, &statuses));
    }
    let last = follow.next();
    served.core.put_routes(table(20, &[]));
    let last = last.await;
    assert_eq!(last, table(20, &[]));
    // Another server, which tells another table first.
    let again = served.restart().await;
    again.core.put_routes(table(21, &[301]));
    let mut newest = follow.next().await;
    while newest != table(21, &[301]) {
        newest = follow.next().await;
    }
}

#[tokio::test]
async fn an_unchanged_rule_is_not_sent_again() {
    let served = Served::start().await;
    served.core.put_routes(table(1, &[200; 50]));
    let mut stream = tokio::net::UnixStream::connect(served.socket()).await.unwrap();
    let ask = "GET /v1/nodes/here/routes HTTP/1.1\r\nHost: naru\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, ask.as_bytes()).await.unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stream));
    let mut events = async || loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(data) = line.strip_prefix("data: ") {
            break data.to_string();
        }
    };
    assert!(events().await.len() > 50_000);
    served.core.put_routes(table(2, &[[200; 49].as_slice(), &[404]].concat()));
    let change = events().await;
    assert!(change.len() < 2_000, "{} bytes", change.len());
    assert!(change.contains(r#"{"same":[0,49]}"#), "{change}");
}

#[tokio::test]
async fn roles_get_whole_values_and_survive_the_server() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let node = NodeId::from("here");
    let mut follow = client.desired(&node);
    assert_eq!(follow.next().await, desired(1));
    served.core.put_desired(desired(2));
    assert_eq!(follow.next().await, desired(2));
    let again = served.restart().await;
    again.core.put_desired(desired(3));
    let mut newest = follow.next().await;
    while newest != desired(3) {
        newest = follow.next().await;
    }
    assert_eq!(client.edge_report(&edge_report("here", 4)).await.unwrap().seq, 4);
    let Err(ClientError::Refused(refused)) = client.edge_report(&edge_report("elsewhere", 4)).await else {
        panic!("the node is not the server's")
    };
    assert_eq!(refused.ground, Ground::NotFound);
}

#[tokio::test]
async fn logs_come_line_by_line_to_their_end() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let query = LogQuery { stack: Some("shop".into()), tail: Some(3), ..LogQuery::default() };
    let mut lines = client.logs(&query).await.unwrap();
    let mut texts = vec![];
    while let Some(line) = lines.next().await.unwrap() {
        texts.push(line.line);
    }
    assert_eq!(texts, ["line 0\twith \"quotes\"", "line 1\twith \"quotes\"", "line 2\twith \"quotes\""]);
}

#[tokio::test]
async fn a_question_costs_little() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    client.status().await.unwrap();
    let began = std::time::Instant::now();
    for _ in 0..200 {
        client.status().await.unwrap();
    }
    let each = began.elapsed() / 200;
    assert!(each.as_millis() < 10, "{each:?} a question");
    assert_eq!(served.connections(), 1, "questions in a row share a connection");
    println!("{each:?} a question");
}

trait OutputText {
    fn output_text(&mut self) -> String;
}

impl OutputText for std::process::Command {
    fn output_text(&mut self) -> String {
        String::from_utf8(self.output().unwrap().stdout).unwrap().trim().into()
    }
}

#[tokio::test]
async fn a_connection_with_an_instance_goes_both_ways_to_its_end() {
    let served = Served::start().await;
    let client = Client::new(served.socket());
    let order = |instance: &str| {
        ReachOrder::Exec(ExecOrder {
            instance: instance.into(),
            command: vec!["sh".into()],
            environment: BTreeMap::new(),
            user: None,
            working_dir: None,
            privileged: false,
            terminal: None,
            actor: "somebody else".into(),
        })
    };
    let mut stream = client.reach(&order("shop.web.1.1")).await.unwrap();
    // More than is held on the way.
    let sent = vec![7; 1 << 20];
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut seen = Vec::new();
    let ((), read) = tokio::join!(writing, read.read_to_end(&mut seen));
    read.unwrap();
    assert!(seen.ends_with(&sent));
    let actor = String::from_utf8(seen[..seen.len() - sent.len()].to_vec()).unwrap();
    assert_ne!(actor, "somebody else");
    let refused = client.reach(&order("nobody")).await.map(drop).unwrap_err();
    assert!(matches!(refused, ClientError::Refused(refused) if refused.ground == Ground::NotFound));
}

#[tokio::test]
async fn events_come_one_a_line() {
    let served = Served::start().await;
    let query = EventQuery { since: Some(2), ..EventQuery::default() };
    let mut events = Client::new(served.socket()).events(&query).await.unwrap();
    let mut seen = vec![];
    while let Some(event) = events.next().await.unwrap() {
        assert_eq!((event.kind, event.text.as_str()), (EventKind::Exec, "two\nlines"));
        seen.push(event.time.0);
    }
    assert_eq!(seen, [2, 3]);
}
