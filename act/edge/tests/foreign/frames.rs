//! Frames by Python's hyperframe and hpack, and Python's h2, before the edge: case by case what RFC 9113 and RFC 7541
//! ask for, and what comes. The cases stand in `h2/`.

use crate::page;
use crate::server::Server;
use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// A case, as the script tells it.
#[derive(Deserialize)]
struct Case {
    section: String,
    name: String,
    want: String,
    came: String,
    fits: bool,
    because: Option<String>,
}

#[tokio::test]
async fn each_frame_is_taken_as_the_standard_says() {
    /// Longer than all cases take.
    const LIMIT: Duration = Duration::from_secs(400);
    let server = Server::start("instance.py").await;
    let edge = server.edge_with_tls().await;
    let mut python = Command::new("/usr/bin/python3");
    python.arg(format!("{}/tests/foreign/h2/main.py", env!("CARGO_MANIFEST_DIR")));
    python.arg(edge.lab.address().to_string()).arg(edge.lab.address_of("tls").to_string());
    python.arg(&edge.certificate).env("PYTHONDONTWRITEBYTECODE", "1");
    python.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, python.output()).await.expect("the cases end").unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let cases: Vec<Case> = serde_json::from_slice(&ended.stdout).unwrap();
    page::check("frames", &table(&cases));
}

/// The table; a case that comes out otherwise has to say why, and one that says why has to come out otherwise.
fn table(cases: &[Case]) -> String {
    let odd = |case: &&Case| case.fits == case.because.is_some();
    let odd: Vec<_> = cases.iter().filter(odd).map(line).collect();
    assert!(odd.is_empty(), "not as the standard asks:\n{}", odd.concat());
    let head = "| section | case | asked for | what the edge does |\n| --- | --- | --- | --- |\n";
    head.to_owned() + &cases.iter().map(line).collect::<String>()
}

fn line(case: &Case) -> String {
    let Case { section, name, want, came, because, .. } = case;
    let because = because.as_ref().map(|why| format!("; differs, because {why}")).unwrap_or_default();
    let came = if came == want { "the same" } else { came };
    format!("| {section} | {name} | {want} | {came}{because} |\n")
}
