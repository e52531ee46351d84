//! A runtime before a test engine, and launches for it.

#![allow(dead_code)]

use super::engine::{Engine, IMAGE, Kind};
use naru_docker::{
    Config, Ended, Events, ExecEnd, ExecOutput, ExecRequest, Launch, PortMap, Runtime, Started,
};
use naru_logs::{From, LogReader};
use naru_model::{Container, Exit, InstanceId, Resources};
use std::path::PathBuf;
use std::time::Duration;

/// Longer than anything takes on a busy machine; only a test that fails waits so long.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Bench {
    pub engine: Engine,
    pub runtime: Option<Runtime>,
    pub events: Option<Events>,
    pub home: tempfile::TempDir,
}

/// `None`: skipped.
pub fn bench(kind: Kind) -> Option<Bench> {
    let engine = Engine::start(kind)?;
    let home = tempfile::tempdir().unwrap();
    let mut bench = Bench { engine, runtime: None, events: None, home };
    bench.open();
    Some(bench)
}

impl Bench {
    /// Begins a new life of the agent.
    pub fn open(&mut self) {
        self.close();
        let (dir, own) = (self.dir(), self.home.path().join("engine"));
        std::fs::create_dir_all(&own).unwrap();
        let config = Config { dir, own, sockets: Ok(vec![self.engine.socket()]) };
        let (runtime, events) = Runtime::open(config).unwrap();
        (self.runtime, self.events) = (Some(runtime), Some(events));
    }

    /// Ends the life of the agent: what it watched, nobody watches.
    pub fn close(&mut self) {
        (self.runtime, self.events) = (None, None);
    }

    pub fn dir(&self) -> PathBuf {
        self.home.path().join("instances")
    }

    pub fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    pub async fn start(&self, id: &str, run: u64, launch: &Launch) -> Result<Started, naru_docker::Error> {
        let prepared = self.runtime().prepare(launch, |_| {}).await?;
        self.runtime().start(&id.into(), run, launch, &prepared, &PortMap::new()).await
    }

    pub async fn ended(&mut self) -> Ended {
        let next = self.events.as_mut().unwrap().next();
        tokio::time::timeout(LIMIT, next).await.expect("an end").expect("the runtime is there")
    }

    pub async fn exec(&self, id: &str, script: &str) -> ExecOutput {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let request = ExecRequest { argv, ..ExecRequest::default() };
        self.runtime().exec(&id.into(), &request, LIMIT).await.unwrap()
    }

    /// The next lines of an instance's log.
    pub async fn lines(&self, id: &str, count: usize) -> Vec<String> {
        let mut reader = LogReader::open(&self.dir(), &id.into(), From::Start).unwrap();
        let mut lines = Vec::new();
        while lines.len() < count {
            let line = tokio::time::timeout(LIMIT, reader.follow()).await.expect("a line").unwrap();
            lines.push(line.text);
        }
        lines
    }
}

/// What a shell in a container runs.
pub fn sh(script: &str) -> Launch {
    let mut container = Container::of(IMAGE);
    container.entrypoint = Some(vec![]);
    container.command = Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    Launch {
        stack: "shop".into(),
        service: "web".into(),
        container,
        pinned: None,
        environment: Default::default(),
        working_dir: String::new(),
        user: None,
        stop_signal: String::new(),
        labels: Default::default(),
        resources: Resources::default(),
        targets: vec![],
        udp: vec![],
        extra_hosts: vec![],
        files: vec![],
    }
}

pub fn id(text: &str) -> InstanceId {
    text.into()
}

pub fn exited(output: &ExecOutput) -> (i32, &str) {
    match output.end {
        ExecEnd::Exit(Exit::Status(status)) => (status, output.tail.trim_end()),
        ref other => panic!("{other:?}"),
    }
}
