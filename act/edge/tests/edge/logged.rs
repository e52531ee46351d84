//! Access logs: one line for each request, whatever it says, and no request that waits for one.

use crate::lab::{Instance, Lab, get, http, ok, soon};
use naru_model::{AccessFormat, AccessLog, LogCounts, Time};
use serde_json::Value;
use std::path::Path;

async fn logged(instance: &Instance, file: &Path, format: AccessFormat) -> Lab {
    let mut lab = Lab::with(|config| config.workers = 1);
    let mut listener = http(&[(1, &[instance])]);
    listener.entrance.access_log = Some(AccessLog { file: file.to_str().unwrap().into(), format });
    lab.route(vec![listener]).await;
    lab
}

impl Lab {
    /// Ends the edge, which writes what is left.
    async fn lines(self, file: &Path) -> Vec<String> {
        soon("the end", self.edge.shutdown()).await;
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.ends_with('\n'), "whole lines");
        text.lines().map(String::from).collect()
    }

    async fn log_counts(&self, file: &str) -> LogCounts {
        soon("a snapshot", self.edge.snapshot(Time(2_000_000))).await.access_logs[file]
    }
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[tokio::test]
async fn a_line_says_what_was_asked_and_how_it_went() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let instance = Instance::new("stack.web.1.1").await;
    let lab = logged(&instance, &file, AccessFormat::Json).await;
    let mut client = lab.client().await;
    client
        .say(
            "POST /a%20b?page=1&token=geheim HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\n\
             Referer: http://x/?code=geheim\r\nAuthorization: Bearer geheim\r\nCookie: a=geheim\r\n\
             Content-Length: 2\r\n\r\nhi",
        )
        .await;
    let mut server = instance.accept().await;
    let head = server.head().await;
    server.bytes(2).await;
    server.say(&ok("hello")).await;
    assert_eq!(client.answer().await.1, "hello");
    drop(client);
    let lines = lab.lines(&file).await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(!line.contains("geheim"), "{line}");
    let mut line = object(line);
    let id = line["request_id"].take();
    assert!(head.contains(&format!("X-Request-Id: {}\r\n", id.as_str().unwrap())), "{head}");
    let time = line["time"].take();
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(time).as_secs() < 60, "{time}");
    let ms = ["duration_ms", "first_byte_ms"].map(|name| line[name].take().as_f64().unwrap());
    assert!(ms[1] > 0.0 && ms[1] <= ms[0], "{ms:?}");
    let want = serde_json::json!({
        "time": null, "client": "127.0.0.1", "method": "POST", "host": "shop.example", "path": "/a%20b",
        "query": "page=1&token=***", "protocol": "HTTP/1.1", "listener": "web", "stack": "stack",
        "service": "web", "instance": "stack.web.1.1", "release": 1, "user_agent": "curl/8",
        "referer": "http://x/?code=***", "request_id": null, "end": "whole", "status": 200, "bytes": 5,
        "received": 2, "duration_ms": null, "tries": 1, "first_byte_ms": null,
    });
    assert_eq!(line, want);
}

#[tokio::test]
async fn no_client_writes_lines_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let lab = logged(&instance, &file, AccessFormat::Json).await;
    let agent: Vec<u8> = (0x21..=0xff).filter(|byte| *byte != 0x7f).chain(*b"\"},{\"\t\\").collect();
    let mut client = lab.client().await;
    let mut request = b"GET /\xea\xb0\x80?\"=\\u000a HTTP/1.1\r\nHost: t\r\nUser-Agent: ".to_vec();
    request.extend_from_slice(&agent);
    request.extend_from_slice(b"\r\n\r\n");
    use tokio::io::AsyncWriteExt;
    client.stream.write_all(&request).await.unwrap();
    assert_eq!(client.answer().await.0, "HTTP/1.1 200 OK");
    client.say("NOT HTTP\x1b[31m\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
    drop(client);
    let lines = lab.lines(&file).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().flat_map(|line| line.chars()).all(|c| !c.is_control()), "{lines:?}");
    let hostile = object(&lines[0]);
    assert_eq!(hostile["user_agent"], String::from_utf8_lossy(&agent).as_ref());
    assert_eq!((&hostile["path"], &hostile["query"]), (&"/가".into(), &"\"=\\u000a".into()));
    let refused = object(&lines[1]);
    assert_eq!((&refused["status"], &refused["method"]), (&400.into(), &Value::Null));
    assert!(refused["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
}

#[tokio::test]
async fn the_combined_form_is_apaches() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let lab = logged(&instance, &file, AccessFormat::Combined).await;
    let mut client = lab.client().await;
    let asked = "GET /x?key=1 HTTP/1.1\r\nHost: t\r\nUser-Agent: a \"b\"\r\n\r\n";
    assert_eq!(client.ask(asked).await.1, "s.web.1.1");
    drop(client);
    let lines = lab.lines(&file).await;
    let (before, rest) = lines[0].split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    assert_eq!(before, "127.0.0.1 - - ");
    assert!(jiff::Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", time).is_ok(), "{time}");
    assert_eq!(after, r#" "GET /x?key=*** HTTP/1.1" 200 9 "-" "a \"b\"""#);
}

#[tokio::test]
async fn a_request_that_has_an_id_or_a_trace_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("access.log");
    let instance = Instance::new("s.web.1.1").await;
    let lab = logged(&instance, &file, AccessFormat::Json).await;
    let mut client = lab.client().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    client.say(&format!("GET / HTTP/1.1\r\nHost: t\r\ntraceparent: {trace}\r\n\r\n")).await;
    let mut server = instance.accept().await;
    let head = server.head().await;
    assert!(head.contains(&format!("traceparent: {trace}\r\n")) && !head.contains("X-Request-Id"), "{head}");
    server.say(&ok("")).await;
    client.answer().await;
    client.say("GET / HTTP/1.1\r\nHost: t\r\nx-request-id: mine\r\n\r\n").await;
    let head = server.head().await;
    assert!(head.contains("x-request-id: mine\r\n") && !head.contains("X-Request-Id"), "{head}");
    server.say(&ok("")).await;
    client.answer().await;
    drop(client);
    let lines: Vec<Value> = lab.lines(&file).await.iter().map(|line| object(line)).collect();
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((&lines[1]["request_id"], &lines[1]["trace_id"]), (&"mine".into(), &Value::Null));
}

#[tokio::test]
async fn requests_go_on_where_the_disk_is_full() {
    let mut instance = Instance::new("s.web.1.1").await;
    instance.answer_all();
    let lab = logged(&instance, Path::new("/dev/full"), AccessFormat::Json).await;
    let mut client = lab.client().await;
    for _ in 0..50 {
        assert_eq!(client.ask(&get("/")).await.1, "s.web.1.1");
    }
    let dropped = async {
        loop {
            let counts = lab.log_counts("/dev/full").await;
            if counts.dropped == 50 {
                return counts.written;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon("the dropped lines", dropped).await, 0);
}

#[tokio::test]
async fn without_a_log_a_request_gets_no_id() {
    let instance = Instance::new("s.web.1.1").await;
    let mut lab = Lab::new();
    lab.serve(&[&instance]).await;
    let mut client = lab.client().await;
    client.say(&get("/")).await;
    let head = instance.accept().await.head().await;
    assert!(!head.contains("X-Request-Id"), "{head}");
}
