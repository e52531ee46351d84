//! curl before the edge, Python's http.server behind it: every case is also asked of the server directly, and has to
//! come out the same.

use crate::lab::soon;
use crate::page;
use crate::server::{Server, data};
use std::process::Stdio;
use tokio::process::Command;

/// What is asked, how, and what has to be heard; `URL` is the server or the edge, `DATA` a file of 300,000 bytes,
/// `PART` one with the first 1,000 of them.
const CASES: &[(&str, &str, &str)] = &[
    (
        "three requests on one connection",
        "-o /dev/null URL/file -o /dev/null URL/file -o /dev/null URL/file -w %{num_connects}.",
        "1.0.0.",
    ),
    (
        "HEAD has a length and no body, and the connection stays",
        "-I -o /dev/null URL/file -o /dev/null URL/file -w %{num_connects}/%{size_download}/%header{content-length}.",
        "1/0/300000.0/0/300000.",
    ),
    ("a body in chunks", "URL/chunks -o - -w %{http_code}/%{size_download}", "=200/300000"),
    (
        "a body that ends with the connection",
        "URL/until-close -o - -w %{http_code}/%{size_download}",
        "=200/300000",
    ),
    ("HTTP/1.0", "--http1.0 URL/file -o - -w %{http_code}/%{size_download}", "=200/300000"),
    (
        "HTTP/1.0, and an answer in chunks",
        "--http1.0 URL/chunks -o - -w %{http_code}/%{size_download}",
        "=200/300000",
    ),
    (
        "Expect: 100-continue, and the body once it is asked for",
        "-v -H Expect:100-continue -T DATA URL/up",
        "HTTP/1.1 100 Continue|length 300000",
    ),
    (
        "Expect: 100-continue, refused before the body",
        "-H Expect:100-continue -T DATA URL/refuses -w .%{http_code}.%{size_upload}",
        "too much.413.0",
    ),
    ("an upload by its length", "-T DATA URL/up", "length 300000"),
    ("an upload in chunks", "-H Transfer-Encoding:chunked -T DATA URL/up", "chunks 300000"),
    ("a form", "-d a=b -d c=d URL/up", "length 7"),
    (
        "two uploads on one connection",
        "-T DATA URL/up -T DATA URL/up -w %{num_connects}.",
        "length 300000|1.|0.",
    ),
    (
        "a range",
        "-r 100-199 URL/file -o - -w %{http_code}/%{size_download}/%header{content-range}",
        "206/100/bytes 100-199/300000",
    ),
    (
        "a download that is resumed",
        "-C 1000 URL/file -o - -w %{http_code}/%{size_download}/%header{content-range}",
        "206/299000/bytes 1000-299999/300000",
    ),
    (
        "a redirect that is followed",
        "-L URL/moved -o - -w %{num_redirects}/%{num_connects}/%{size_download}",
        "=1/1/300000",
    ),
    ("OPTIONS of the whole server", "-X OPTIONS --request-target * URL/", "*"),
    ("dots in a path, as they are", "--path-as-is URL/target", "GET /target HTTP/1.1"),
    (
        "a whole address for a target",
        "--request-target http://t/target URL/ -H Host:t",
        "GET /target HTTP/1.1",
    ),
    (
        "forty at once",
        "-Z --parallel-max 20 URL/file?[1-40] -o /dev/null -w %{http_code}/%{size_download}.",
        "*40 200/300000.",
    ),
    (
        "an offer of HTTP/2 by upgrade, which is not taken",
        "--http2 URL/file -o - -w %{http_version}/%{http_code}/%{size_download}",
        "=1.1/200/300000",
    ),
];

#[tokio::test]
async fn curl_sees_what_it_sees_without_the_edge() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = data(folder.path());
    let server = Server::start("instance.py").await;
    let lab = server.edge().await;
    let mut table = "| what curl does | through the edge |\n| --- | --- |\n".to_owned();
    for (name, arguments, want) in CASES {
        let edge = curl(arguments, &lab.address().to_string(), file.to_str().unwrap()).await;
        check(name, want, &edge, &data);
        // In its absolute form, a target goes on as a path.
        if !name.starts_with("a whole address") {
            let direct = curl(arguments, &format!("127.0.0.1:{}", server.port), file.to_str().unwrap()).await;
            check(name, want, &direct, &data);
        }
        table += &format!("| {name} | as without it |\n");
    }
    page::check("curl", &table);
}

/// What it says: all that it wrote, and of its talk the lines that came from the server.
struct Said {
    out: Vec<u8>,
    heard: String,
}

async fn curl(arguments: &str, address: &str, data: &str) -> Said {
    let words = arguments
        .split(' ')
        .map(|word| word.replace("URL", &format!("http://{address}")).replace("DATA", data));
    let mut curl = Command::new("curl");
    curl.args(["-q", "-sS", "--max-time", "20"]).args(words).stdin(Stdio::null()).kill_on_drop(true);
    let ended = soon("curl", curl.output()).await.expect("curl is among the packages of ./test");
    let heard = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "curl {arguments}: {heard}");
    Said { out: ended.stdout, heard }
}

/// `=`: all of the data, and then this; `*40 `: this so many times; else each part, somewhere.
fn check(name: &str, want: &str, said: &Said, data: &[u8]) {
    let text = String::from_utf8_lossy(&said.out);
    if let Some(end) = want.strip_prefix('=') {
        assert!(said.out.starts_with(data), "{name}: the data");
        assert_eq!(String::from_utf8_lossy(&said.out[data.len()..]), end, "{name}");
    } else if let Some((times, one)) = want.strip_prefix('*').and_then(|want| want.split_once(' ')) {
        assert_eq!(text, one.repeat(times.parse().unwrap()), "{name}");
    } else {
        for part in want.split('|') {
            assert!(
                text.contains(part) || said.heard.contains(part),
                "{name}: {part} in {text}{}",
                said.heard
            );
        }
    }
}
