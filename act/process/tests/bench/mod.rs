//! A runtime in a folder of its own, and what the tests ask of it.

#![allow(dead_code, reason = "each test crate uses its part")]

use naru_logs::{From, LogLimits, LogReader};
use naru_model::{Exit, InstanceId, Resources};
use naru_process::{Adopted, Ended, Events, Launch, Runtime};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No state is waited for longer; on a busy machine the slowest takes a tenth.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A runtime and its events.
pub struct Bench {
    pub runtime: Runtime,
    pub events: Events,
    pub adopted: Vec<Adopted>,
    pub dir: PathBuf,
    _home: Option<tempfile::TempDir>,
}

pub fn shim() -> Vec<String> {
    vec![env!("CARGO_BIN_EXE_naru-shim-test").to_owned(), "shim".to_owned()]
}

pub async fn bench() -> Bench {
    let home = tempfile::tempdir().unwrap();
    let mut bench = bench_in(&home.path().join("instances")).await;
    bench._home = Some(home);
    bench
}

pub async fn bench_in(dir: &Path) -> Bench {
    let (runtime, adopted, events) = Runtime::open(dir, &shim()).await.unwrap();
    Bench { runtime, events, adopted, dir: dir.to_owned(), _home: None }
}

/// `sh -c SCRIPT`.
pub fn sh(script: &str) -> Launch {
    command(&["/bin/sh", "-c", script])
}

pub fn command(argv: &[&str]) -> Launch {
    Launch {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        environment: Default::default(),
        working_dir: "/".into(),
        user: None,
        resources: Resources::default(),
        log: LogLimits::default(),
    }
}

pub fn id(name: &str) -> InstanceId {
    name.into()
}

impl Bench {
    pub async fn ended(&mut self) -> Ended {
        tokio::time::timeout(LIMIT, self.events.next()).await.expect("an end in time").expect("events")
    }

    pub async fn exit(&mut self) -> Exit {
        self.ended().await.exit
    }

    pub fn log(&self, name: &str) -> LogReader {
        LogReader::open(&self.dir, &id(name), From::Start).unwrap()
    }

    /// The whole log, as `KIND TEXT` lines.
    pub fn log_lines(&self, name: &str) -> Vec<String> {
        let mut reader = self.log(name);
        std::iter::from_fn(|| reader.read().unwrap())
            .map(|line| format!("{:?} {}", line.stream, line.text))
            .collect()
    }

    /// The next line of the log, waited for.
    pub async fn line(&self, reader: &mut LogReader) -> String {
        tokio::time::timeout(LIMIT, reader.follow()).await.expect("a line in time").unwrap().text
    }

    /// The shim of a running instance.
    pub fn shim_pid(&self, name: &str) -> i32 {
        let state = std::fs::read(self.dir.join(name).join("state")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        state["shim"]["pid"].as_i64().unwrap() as i32
    }
}

/// Whether a process is there; a zombie is not. While one of its threads has not ended, its files are open.
pub fn is_there(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.into_iter().any(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    })
}

/// Waits until a process is gone.
pub async fn gone(pid: i32) {
    let gone = async {
        while is_there(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, gone).await.unwrap_or_else(|_| panic!("process {pid} is still there"));
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn kill9(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// A pipe with a name, held open both ways, so that a script's `read x < FIFO` waits for exactly one
/// [`Steps::go`].
pub struct Steps {
    pub path: String,
    file: std::fs::File,
}

impl Steps {
    pub fn new(home: &Path, name: &str) -> Steps {
        let path = home.join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        Steps { path: path.display().to_string(), file }
    }

    /// Lets the script go on.
    pub fn go(&self) {
        std::io::Write::write_all(&mut &self.file, b"go\n").unwrap();
    }

    /// Waits for the script to say so: `echo x > FIFO`.
    pub async fn come(&self) {
        let mut file = self.file.try_clone().unwrap();
        let read = move || std::io::Read::read(&mut file, &mut [0; 64]).unwrap();
        assert!(
            tokio::time::timeout(LIMIT, tokio::task::spawn_blocking(read)).await.expect("in time").unwrap()
                > 0
        );
    }
}
