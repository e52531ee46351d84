//! The Autobahn suite before the edge, the server of Python's `websockets` behind it. The edge passes frames on, so
//! every verdict has to be the one without it.
//!
//! The suite is at home in Python 2.7, and is got from PyPI. Where there is no Python 2.7, this says that it is skipped.

use crate::page;
use crate::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The classes of its cases, by the number that they begin with. Those of 9, 12 and 13 measure how fast many and large
/// messages go, with and without compression, and take many minutes.
const CLASSES: [(&str, &str); 8] = [
    ("1", "framing of texts and binaries of all sizes"),
    ("2", "pings and pongs"),
    ("3", "reserved bits"),
    ("4", "reserved opcodes"),
    ("5", "fragments"),
    ("6", "UTF-8"),
    ("7", "closing"),
    ("10", "fragments of the suite's own choice"),
];

#[tokio::test]
async fn autobahn_says_the_same_with_and_without_the_edge() {
    let Some(python) = python2() else {
        return skip("the Autobahn suite needs Python 2.7, which is not there");
    };
    let suite = suite(&python).await;
    let server = Server::start("echo.py").await;
    let lab = server.edge().await;
    let folder = tempfile::tempdir().unwrap();
    let direct = format!("ws://127.0.0.1:{}", server.port);
    let through = format!("ws://{}", lab.address());
    let spec = json!({
        "outdir": folder.path(),
        "servers": [{ "agent": "direct", "url": direct }, { "agent": "edge", "url": through }],
        "cases": ["*"],
        "exclude-cases": ["9.*", "12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    let file = folder.path().join("spec.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let mut run = Command::new(&python);
    run.args(["-m", "autobahntestsuite.wstest", "-m", "fuzzingclient", "-s"]).arg(&file);
    run.env("PYTHONPATH", &suite).current_dir(folder.path());
    ends_well(run, "the suite").await;
    let index = std::fs::read(folder.path().join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    page::check("autobahn", &table(&index));
}

fn table(index: &Value) -> String {
    let verdicts = |agent: &str| -> BTreeMap<String, &str> {
        let cases = index[agent].as_object().expect("the suite tells of it").iter();
        cases.map(|(case, told)| (case.clone(), verdict(told["behavior"].as_str().unwrap()))).collect()
    };
    let (direct, edge) = (verdicts("direct"), verdicts("edge"));
    assert_eq!(edge, direct, "a case comes out otherwise");
    let mut table = "| class | cases | passed | informational | failed |\n".to_owned();
    table += "| --- | --- | --- | --- | --- |\n";
    for (number, class) in CLASSES {
        let of_class = edge.iter().filter(|(case, _)| case.split('.').next() == Some(number));
        let verdicts: Vec<_> = of_class.map(|(_, verdict)| *verdict).collect();
        let count = |wanted: &str| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        let (passed, told) = (count("passed"), count("informational"));
        let failed = verdicts.len() - passed - told;
        assert!(!verdicts.is_empty() && failed == 0, "{class}: {verdicts:?}");
        table += &format!("| {number}: {class} | {} | {passed} | {told} | {failed} |\n", verdicts.len());
    }
    table
}

/// A verdict in a word. Whether a server's last words before it fails a connection arrive, which makes the difference
/// between OK and NON-STRICT, is a matter of chance without an edge, too.
fn verdict(told: &str) -> &'static str {
    match told {
        "OK" | "NON-STRICT" => "passed",
        "INFORMATIONAL" => "informational",
        _ => "failed",
    }
}

fn python2() -> Option<PathBuf> {
    let pyenv = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let versions = pyenv.and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let pyenv = versions.map(|entry| entry.path().join("bin/python2.7"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).map(|folder| folder.join("python2.7")).collect();
    // pyenv's own are tried first: in the path they may be shims that refuse.
    pyenv.chain(path).find(|python| python.is_file())
}

/// The suite, in a folder that outlives the test.
async fn suite(python: &Path) -> PathBuf {
    let suite = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("autobahn");
    if !suite.join("whole").exists() {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
        pip.arg(&suite).arg("autobahntestsuite==25.10.1");
        ends_well(pip, "pip").await;
        // Python 2 finds a package only where this is, and pip leaves it out of `zope`.
        std::fs::write(suite.join("zope/__init__.py"), "").unwrap();
        std::fs::write(suite.join("whole"), "").unwrap();
    }
    suite
}

async fn ends_well(mut command: Command, what: &str) {
    /// Far longer than the suite takes.
    const LIMIT: Duration = Duration::from_secs(400);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(LIMIT, command.output()).await.expect("it ends").unwrap();
    assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.stderr));
}

fn skip(why: &str) {
    println!("skipped: {why}");
    if let Some(file) = std::env::var_os("NARU_TEST_SKIPS") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "websockets::autobahn: {why}").unwrap();
    }
}
