//! `examples/ocr`, by its README: version 2 comes while version 1 is in the middle of a batch, and the batch is
//! finished by the instance that began it.

use crate::naru;
use naru_model::{Duty, InstanceView, Operation, OperationKind, WorkView};
use serde::de::DeserializeOwned;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The example with a home, a port and a folder of its own; ended when it is dropped.
struct Example {
    dir: tempfile::TempDir,
    port: u16,
}

impl Example {
    fn new() -> Example {
        // Taken and given back: the edge binds it a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Example { dir: tempfile::tempdir().unwrap(), port }
    }

    fn command(&self, program: &Path, version: &str) -> Command {
        let mut command = Command::new(program);
        command.env("NARU_HOME", self.dir.path().join("home")).env("OCR_DATA", self.dir.path().join("data"));
        command.env("OCR_PORT", self.port.to_string()).env("OCR_VERSION", version).stdin(Stdio::null());
        command
    }

    fn naru(&self, version: &str, args: &[&str]) -> Output {
        let folder = folder();
        let mut command = self.command(naru(), version);
        said(command.args(args).args(["-p", "ocr", "-f"]).arg(folder.join("compose.yaml")))
    }

    fn json<T: DeserializeOwned>(&self, args: &[&str]) -> T {
        let output = self.naru("1", args);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn client(&self, args: &[&str]) -> String {
        let url = format!("http://127.0.0.1:{}", self.port);
        let mut command = self.command(&folder().join("client.py"), "1");
        let output = said(command.env("PYTHONDONTWRITEBYTECODE", "1").arg(url).args(args));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        for args in [&["down", "--all", "--cut", "--yes"][..], &["shutdown"][..]] {
            // After a failure, there may be nothing to end.
            let _ = self.command(naru(), "1").args(args).output();
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/ocr")
}

fn said(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

/// What the example needs and is not there.
fn missing() -> Option<&'static str> {
    let runs = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    let font = Path::new("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf");
    match () {
        () if !runs("tesseract", &["--version"]) => Some("tesseract-ocr"),
        () if !runs("/usr/bin/python3", &["-c", "import PIL"]) => Some("python3-pil"),
        () if !font.exists() => Some("fonts-dejavu-core"),
        () => None,
    }
}

#[test]
fn a_batch_outlives_the_release_that_began_it() {
    let _turn = crate::TURN.blocking_lock();
    if let Some(package) = missing() {
        let skips = std::env::var_os("NARU_TEST_SKIPS").map(PathBuf::from);
        let Some(skips) = skips else { return eprintln!("skipped: {package} is not installed") };
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(skips).unwrap();
        return writeln!(file, "a_batch_outlives_the_release_that_began_it: {package} is not installed")
            .unwrap();
    }
    let example = Example::new();
    example.naru("1", &["up"]);
    let read = example.client(&["pages", "2"]);
    assert!(read.contains("below 0.98: 0"), "{read}");
    let batch = example.client(&["begin", "120"]);
    let work: Vec<WorkView> = example.json(&["work", "--json"]);
    let job = work.iter().find(|work| work.kind == "job").expect("the batch is a job");
    example.naru("2", &["up"]);
    let retiring: Vec<InstanceView> = example.json(&["ps", "--json"]);
    let waits = retiring.iter().find(|one| one.id == job.instance).expect("it is in the middle of the batch");
    assert!(matches!(waits.duty, Duty::Held | Duty::Retiring), "{waits:?}");
    let done = example.client(&["await", batch.trim()]);
    assert!(done.contains(&format!("done by {}", job.instance)), "{done}, begun by {}", job.instance);
    assert!(done.contains("120 pages") && done.contains("below 0.98: 0"), "{done}");
    let read = example.client(&["pages", "2"]);
    assert!(read.contains("ocr.api.2."), "{read}");
    // The old set is held while the new one is watched; the batch outlasts that.
    example.naru("2", &["receipt", "2", "--wait"]);
    example.naru("2", &["down"]);
    let operations: Vec<Operation> = example.json(&["history", "--json"]);
    let deploys = operations.iter().filter(|one| one.kind == OperationKind::Deploy);
    let line =
        deploys.filter_map(|one| one.receipt.instances.get(&job.instance)).next().expect("it is on one");
    assert_eq!((line.during.jobs, line.during.lost(), line.during.cut), (1, 0, 0), "{line:?}");
    assert_eq!(line.found.jobs, 1, "{line:?}");
}
