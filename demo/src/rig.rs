//! A stack of its own, in a folder of its own, with a `NARU_HOME` of its own: nothing of it touches what else
//! runs on the machine. Everything is done as a user would, by running `naru`.

use crate::talk::TALK;
use naru_model::{InstanceView, Operation};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::Command;

/// What of the stack the runs vary.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `rolling` or `blue-green`.
    pub strategy: &'static str,
    /// Instances of the API.
    pub api: u32,
    /// Instances of the engine.
    pub engine: u32,
    /// Instances that speak gRPC.
    pub talk: u32,
    /// How many releases may retire side by side.
    pub max_retiring: u32,
    /// `update_config.monitor`.
    pub monitor: &'static str,
    /// How long each process takes to start, in ms.
    pub start_ms: u64,
}

/// The stack and where it lives.
pub struct Rig {
    folder: PathBuf,
    exe: PathBuf,
    port: u16,
    talk: u16,
}

/// The stack's name.
pub const STACK: &str = "demo";

impl Rig {
    /// Makes the folder. `exe` is the `naru` to be run.
    pub fn new(exe: &Path) -> io::Result<Rig> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, n) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("naru-demo-{process}-{n}"));
        std::fs::create_dir(&folder)?;
        // Taken and given back: the edge binds it a moment later.
        let (one, two) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        let (port, talk) = (one.local_addr()?.port(), two.local_addr()?.port());
        Ok(Rig { folder, exe: exe.to_path_buf(), port, talk })
    }

    /// Where the API is published.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where gRPC is published, `HOST:PORT`.
    pub fn talk(&self) -> String {
        format!("127.0.0.1:{}", self.talk)
    }

    /// The Compose file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("compose.yaml")
    }

    /// The stack's `NARU_HOME`.
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Writes the Compose file for a version of the workload.
    pub fn write(&self, version: u32, shape: &Shape) -> io::Result<()> {
        let exe = self.exe.display().to_string();
        let mut text = compose(&exe, self.port, version, shape);
        if shape.talk > 0 {
            text += &talking(&exe, self.talk, version, shape);
        }
        std::fs::write(self.file(), text)
    }

    /// `naru`, for this stack.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.exe);
        command.args(args).current_dir(&self.folder).env("NARU_HOME", self.home()).env("NO_COLOR", "1");
        command.stdin(Stdio::null());
        command
    }

    /// Runs `naru` and takes what it says; an exit status other than 0 is an error that shows it.
    pub async fn naru(&self, args: &[&str]) -> io::Result<Output> {
        let output = self.command(args).output().await?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("naru {} ended with {}: {said}", args.join(" "), output.status)))
    }

    /// All operations, as the receipts are.
    pub async fn operations(&self) -> io::Result<Vec<Operation>> {
        let output = self.naru(&["history", "--json", "-n", "1000"]).await?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// All instances.
    pub async fn instances(&self) -> io::Result<Vec<InstanceView>> {
        let output = self.naru(&["ps", "--json"]).await?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Waits until every operation has ended, for at most `patience`.
    pub async fn settled(&self, patience: Duration) -> io::Result<()> {
        let give_up = tokio::time::Instant::now() + patience;
        while self.operations().await?.iter().any(|operation| operation.ended.is_none()) {
            if tokio::time::Instant::now() > give_up {
                return Err(io::Error::other("operations have not ended in time"));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Takes the stack down, whatever is in progress, ends the background processes and removes the folder.
    pub async fn end(self) -> io::Result<()> {
        self.naru(&["down", "--cut", "--yes", "--progress", "quiet"]).await?;
        self.naru(&["shutdown"]).await?;
        std::fs::remove_dir_all(&self.folder)
    }
}

fn compose(exe: &str, port: u16, version: u32, shape: &Shape) -> String {
    let Shape { strategy, api, engine, max_retiring, monitor, start_ms, .. } = shape;
    format!(
        r#"# Two tiers: an API and its engine. Both are `naru demo-tier`, a small service that naturally has
# requests, websockets and jobs in progress.
name: {STACK}

x-all: &all
  image: registry.example.com/demo:{version}
  stop_grace_period: 10s

services:
  api:
    <<: *all
    deploy: {{ replicas: {api}, update_config: {{ order: start-first, monitor: {monitor} }}, restart_policy: {{ condition: on-failure, delay: 1s }} }}
    ports: [{{ target: 8000, published: "{port}", host_ip: 127.0.0.1, app_protocol: http }}]
    depends_on: {{ engine: {{ condition: service_healthy }} }}
    x-naru:
      process: {{ command: ["{exe}", demo-tier, "{version}", "{start_ms}"] }}
      health: {{ http: /healthz }}
      rollout: {{ strategy: {strategy}, max_retiring: {max_retiring} }}
  engine:
    <<: *all
    deploy: {{ replicas: {engine}, update_config: {{ order: start-first, monitor: {monitor} }}, restart_policy: {{ condition: on-failure, delay: 1s }} }}
    expose: ["9000"]
    x-naru:
      process: {{ command: ["{exe}", demo-tier, "{version}", "{start_ms}"] }}
      health: {{ http: /healthz }}
      rollout: {{ strategy: {strategy}, max_retiring: {max_retiring} }}
"#
    )
}

/// The third service, of those that have one.
fn talking(exe: &str, port: u16, version: u32, shape: &Shape) -> String {
    let Shape { talk, strategy, max_retiring, .. } = shape;
    format!(
        r#"  {TALK}:
    <<: *all
    deploy: {{ replicas: {talk}, restart_policy: {{ condition: on-failure, delay: 1s }} }}
    ports: [{{ target: 8000, published: "{port}", host_ip: 127.0.0.1, app_protocol: grpc }}]
    x-naru:
      process: {{ command: ["{exe}", demo-tier, "{version}", "0"] }}
      rollout: {{ strategy: {strategy}, max_retiring: {max_retiring} }}
"#
    )
}
