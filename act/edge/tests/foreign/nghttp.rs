//! nghttp before the edge, in the clear by prior knowledge and with TLS: every case has to come out the same in both.

use crate::lab::soon;
use crate::page;
use crate::server::{Server, data};
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// What is asked, how, and what has to be heard. `URL` is the edge, `DATA` a file of 300,000 bytes, `SUM` what they
/// add up to. `=`: those bytes and nothing else; `N*`: as many lines end with this; else each part between bars is
/// heard somewhere, and with `!` nowhere.
const CASES: &[(&str, &str, &str)] = &[
    ("a file", "URL/file", "="),
    ("an answer in chunks, and its trailers", "-v -n URL/chunks", ":status: 200|x-sum: 1"),
    ("an answer that ends with the instance's connection", "URL/until-close", "="),
    (
        "HEAD has a length, and ends with its HEADERS",
        "-v -H :method:HEAD URL/file",
        ":status: 200|content-length: 300000|!recv DATA",
    ),
    ("a redirect", "-v URL/moved", ":status: 302|location: /file"),
    ("a range", "-v -n -H range:bytes=100-199 URL/file", ":status: 206|content-range: bytes 100-199/300000"),
    ("OPTIONS", "-v -H :method:OPTIONS URL/x", ":status: 200|allow: GET"),
    ("an upload of a told length", "-d DATA URL/up", "length 300000 SUM"),
    ("an upload of no told length", "--no-content-length -d DATA URL/up", "chunks 300000 SUM"),
    ("an upload with trailers", "--trailer x-sum:1 -d DATA URL/up", "length 300000 SUM"),
    (
        "an upload with trailers, of no told length",
        "--no-content-length --trailer x-sum:1 -d DATA URL/up",
        "chunks 300000 SUM",
    ),
    ("an upload in padded frames", "-b 255 -d DATA URL/up", "length 300000 SUM"),
    (
        "an upload that waits for 100",
        "-v --expect-continue -d DATA URL/up",
        ":status: 100|:status: 200|length 300000 SUM",
    ),
    (
        "an upload that is refused before its body",
        "-v --expect-continue -d DATA URL/refuses",
        ":status: 413|too much|!send DATA",
    ),
    ("300 files on one connection", "-n -s -m 300 URL/file", "300* 200 292K /file"),
    ("300 files at 10 at a time", "-n -s -m 300 -M 10 URL/file", "300* 200 292K /file"),
    ("20 uploads on one connection", "-n -s -m 20 -d DATA URL/up", "20* 200   78 /up"),
    ("windows of 1,023 and 65,535 bytes", "-w 10 -W 16 URL/file", "="),
    ("windows of 1 GiB, and 50 files", "-n -s -w 30 -W 30 -m 50 URL/file", "50* 200 292K /file"),
    ("no table for fields", "-n -s -c 0 --encoder-header-table-size=0 -m 20 URL/file", "20* 200 292K /file"),
    ("a table for fields that shrinks to nothing and grows, in one frame", "-c 0 -c 4K URL/file", "="),
    ("a head in CONTINUATION frames", "-v --continuation URL/target", ":status: 200|GET /target HTTP/1.1"),
    ("no priorities", "--no-dep --no-rfc7540-pri URL/file", "="),
];

/// As [`CASES`], with why they come out otherwise than nghttp, or the standard, has it.
const DIFFER: &[(&str, &str, &str, &str)] = &[(
    "a change to HTTP/2 by upgrade",
    "-u URL/target",
    "HTTP Upgrade failed",
    "it is not taken: RFC 9113 has given it up. The answer is one of HTTP/1.1",
)];

/// By SHA-256.
const SUM: &str = "b1cf7538cf80d01efe3e0b8e45dc930048a138c7b6f8c4aff08f478e4695e631";

#[tokio::test]
async fn nghttp_gets_all_that_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = data(folder.path());
    let server = Server::start("instance.py").await;
    let edge = server.edge_with_tls().await;
    let clear = format!("http://{}", edge.lab.address());
    let sealed = format!("https://localhost:{}", edge.lab.address_of("tls").port());
    let mut table = "| what nghttp does | in the clear, and with TLS |\n| --- | --- |\n".to_owned();
    for (name, arguments, want) in CASES {
        for url in [&clear, &sealed] {
            check(name, want, &nghttp(arguments, url, &file).await, &data);
        }
        table += &format!("| {name} | as it should be |\n");
    }
    for (name, arguments, want, because) in DIFFER {
        check(name, want, &nghttp(arguments, &clear, &file).await, &data);
        table += &format!("| {name} | differs: {because} |\n");
    }
    page::check("nghttp", &table);
}

/// All that it wrote, its complaints last: data and its talk of it are one there.
async fn nghttp(arguments: &str, url: &str, data: &Path) -> Vec<u8> {
    let words = arguments.split(' ').map(|word| word.replace("URL", url));
    let words = words.map(|word| word.replace("DATA", data.to_str().unwrap()));
    let mut nghttp = Command::new("nghttp");
    // Nobody vouches for the certificate.
    nghttp.args(["-t", "20", "-y"]).args(words).stdin(Stdio::null()).kill_on_drop(true);
    let ended = soon("nghttp", nghttp.output()).await.expect("nghttp is among the packages of ./test");
    [ended.stdout, ended.stderr].concat()
}

fn check(name: &str, want: &str, said: &[u8], data: &[u8]) {
    let text = String::from_utf8_lossy(said);
    if want == "=" {
        assert!(said == data, "{name}: {} bytes", said.len());
    } else if let Some((times, end)) = want.split_once('*') {
        let lines = text.lines().filter(|line| line.ends_with(end)).count();
        assert_eq!(lines, times.parse::<usize>().unwrap(), "{name}: {text}");
    } else {
        for part in want.split('|') {
            let (part, heard) = part.strip_prefix('!').map_or((part, true), |part| (part, false));
            assert_eq!(text.contains(&part.replace("SUM", SUM)), heard, "{name}: {part} in {text}");
        }
    }
}
