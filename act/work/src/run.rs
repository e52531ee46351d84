//! `naru work run -- COMMAND`: a lease for as long as a command runs.
//!
//! The command is begun only once the lease is on the agent's disk, so that there is no moment in which the
//! work is under way and nobody knows. From then on the agent may come and go: heartbeats are repeated
//! until it is back.

use crate::call::{Reply, WorkUrl};
use hyper::{Method, StatusCode};
use naru_model::Span;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::Instant;

/// An agent that is being restarted is back within this time.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(200);

/// What is to be run, and what its lease says.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// `NARU_WORK_URL`, as it stands in the environment.
    pub url: Option<String>,
    /// The lease's name; `None`: the command itself.
    pub name: Option<String>,
    /// Without a heartbeat for so long, the job is lost; `None`: 30 s.
    pub ttl: Option<Span>,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// Why the command was not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no lease to be had outside an instance.
    #[error(
        "NARU_WORK_URL is not set: `naru work run` holds a lease for an instance, so run it inside one; \
         elsewhere run the command by itself"
    )]
    NoUrl,
    /// The variable makes no sense.
    #[error("NARU_WORK_URL is not an address of the work API (http://127.0.0.1:PORT/work/…)")]
    BadUrl,
    /// No command was given.
    #[error("no command to run: naru work run -- COMMAND")]
    NoCommand,
    /// The agent does not answer.
    #[error("no lease for the command, which was not begun: the agent does not answer ({0}); try again")]
    NoAgent(String),
    /// The agent gives none.
    #[error("no lease for the command, which was not begun: {0}")]
    Refused(String),
    /// The command could not be begun.
    #[error("{command}: {source}")]
    NotBegun {
        /// The program.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let us listen to signals.
    #[error("signals cannot be passed on: {0}")]
    Signals(io::Error),
}

impl RunError {
    /// The exit status for it, as `env` and `timeout` have it: 127 not found, 126 cannot be run, 125 else.
    pub fn exit_status(&self) -> u8 {
        match self {
            RunError::NotBegun { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            RunError::NotBegun { .. } => 126,
            _ => 125,
        }
    }
}

/// Runs the command under a lease and returns its exit status; 128 + n for an end by signal n.
///
/// # Errors
/// The command was not begun.
pub async fn run(config: RunConfig) -> Result<u8, RunError> {
    let url = WorkUrl::parse(&config.url.ok_or(RunError::NoUrl)?).ok_or(RunError::BadUrl)?;
    let program = config.command.first().ok_or(RunError::NoCommand)?.clone();
    let mut signals = Signals::listen().map_err(RunError::Signals)?;
    let name = config.name.unwrap_or_else(|| shortened(&config.command.join(" ")));
    let mut lease = Lease::take(url, &name, config.ttl).await?;
    let child = Command::new(&program).args(&config.command[1..]).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(source) => {
            lease.end("?outcome=failed").await;
            return Err(RunError::NotBegun { command: program, source });
        }
    };
    let status = attend(&mut child, &mut lease, &mut signals).await;
    lease.end(if status.success() { "?outcome=done" } else { "?outcome=failed" }).await;
    Ok(number(status))
}

/// Until the command has ended: heartbeats, and signals passed on.
async fn attend(child: &mut Child, lease: &mut Lease, signals: &mut Signals) -> ExitStatus {
    let pid = child.id().and_then(|id| Pid::from_raw(id as i32));
    let ended = child.wait();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            status = &mut ended => break status.unwrap_or_default(),
            passed = signals.next() => {
                if let Some(pid) = pid {
                    // It may have ended just now; then there is nobody to tell.
                    let _ = kill_process(pid, passed);
                }
            }
            () = lease.keep() => {}
        }
    }
}

struct Lease {
    url: WorkUrl,
    id: String,
    pause: Duration,
    next: Instant,
    /// Whether the agent says that it has ended, which was told the person once.
    gone: bool,
}

impl Lease {
    async fn take(url: WorkUrl, name: &str, ttl: Option<Span>) -> Result<Lease, RunError> {
        let ttl = ttl.unwrap_or(naru_supervise::lease::DEFAULT_TTL);
        let key = crate::file::token().map_err(|error| RunError::Refused(error.to_string()))?;
        let body = json!({ "name": name, "ttl": ttl.0 as f64 / 1e3 }).to_string();
        let reply = persist(|| url.call(Method::POST, "", &key, &body)).await.map_err(RunError::NoAgent)?;
        match reply.body.get("id").and_then(|id| id.as_str()) {
            Some(id) if reply.status == StatusCode::CREATED => {
                let pause = ttl.std() / 3;
                Ok(Lease { id: id.into(), url, pause, next: Instant::now() + pause, gone: false })
            }
            _ => Err(RunError::Refused(reply.error())),
        }
    }

    /// Waits until a heartbeat is due, and sends it. Safe to cancel.
    async fn keep(&mut self) {
        if self.gone {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.next).await;
        let suffix = format!("/{}", self.id);
        match self.url.call(Method::PUT, &suffix, &self.id, "").await {
            Ok(reply) if reply.status.is_success() => self.next = Instant::now() + self.pause,
            Ok(reply) if matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
                self.gone = true;
                eprintln!("naru work run: the command runs on without a lease: {}", reply.error());
            }
            _ => self.next = Instant::now() + RETRY.min(self.pause),
        }
    }

    async fn end(self, outcome: &str) {
        let suffix = format!("/{}{outcome}", self.id);
        let ended = persist(|| self.url.call(Method::DELETE, &suffix, &self.id, "")).await;
        let problem = match ended {
            Ok(reply) if reply.status.is_success() || self.gone => return,
            Ok(reply) => reply.error(),
            Err(error) => error,
        };
        eprintln!("naru work run: the command has ended, and its lease could not be: {problem}");
    }
}

/// Repeats a call while nobody answers it, for some seconds.
async fn persist<F>(call: impl Fn() -> F) -> Result<Reply, String>
where
    F: Future<Output = Result<Reply, String>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(reply) if reply.status != StatusCode::SERVICE_UNAVAILABLE => return Ok(reply),
            Ok(reply) if Instant::now() >= deadline => return Ok(reply),
            Err(error) if Instant::now() >= deadline => return Err(error),
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

/// The signals that are passed on.
struct Signals([(Stream, Signal); 5]);

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals([
            (signal(SignalKind::terminate())?, Signal::TERM),
            (signal(SignalKind::interrupt())?, Signal::INT),
            (signal(SignalKind::hangup())?, Signal::HUP),
            (signal(SignalKind::user_defined1())?, Signal::USR1),
            (signal(SignalKind::user_defined2())?, Signal::USR2),
        ]))
    }

    async fn next(&mut self) -> Signal {
        let [a, b, c, d, e] = &mut self.0;
        tokio::select! {
            _ = a.0.recv() => a.1,
            _ = b.0.recv() => b.1,
            _ = c.0.recv() => c.1,
            _ = d.0.recv() => d.1,
            _ = e.0.recv() => e.1,
        }
    }
}

fn number(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code as u8,
        (None, Some(signal)) => 128 + signal as u8,
        (None, None) => 255,
    }
}

fn shortened(name: &str) -> String {
    let most = naru_supervise::lease::MAX_NAME;
    let end = (0..=most.min(name.len())).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    name[..end].into()
}
