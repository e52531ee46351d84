//! Commands beside a running container: health checks, busy checks, hooks.
//!
//! The engine has no word for ending such a command. One that is past its time is killed by its number on this machine,
//! once the kernel has said that it belongs to that very container.

use crate::engine::Found;
use crate::{Error, engine};
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::StreamExt;
use naru_model::Exit;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is kept of a command's output: its end, which says why.
const TAIL: usize = 4096;
/// The engine knows an exit status a moment after the output has ended.
const STATUS: Duration = Duration::from_secs(5);
/// Between one look for it and the next.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A command to be run beside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// As whom; `None`: as the container's main process.
    pub user: Option<String>,
    /// Where; `None`: where that one began.
    pub working_dir: Option<String>,
    /// Variables beside the container's own.
    pub environment: BTreeMap<String, String>,
    /// Whether it may do all that the host's root may.
    pub privileged: bool,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    /// By itself or by a signal.
    Exit(Exit),
    /// It ran past its time, and was killed.
    TimedOut,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub end: ExecEnd,
    /// The last 4 KiB of its stdout and stderr together.
    pub tail: String,
}

/// Runs a command that is to end within `timeout`.
pub(crate) async fn exec(
    engine: &Found,
    container: &str,
    request: &ExecRequest,
    timeout: Duration,
) -> Result<ExecOutput, Error> {
    let made = make(engine, container, request).await?;
    let said = || format!("run {:?}", request.argv.join(" "));
    let started = engine.ask(engine.docker.start_exec(&made, None), said).await?;
    let mut tail = Vec::with_capacity(TAIL * 2);
    let StartExecResults::Attached { mut output, input } = started else {
        return Ok(ExecOutput { end: ExecEnd::Exit(Exit::Unknown), tail: String::new() });
    };
    drop(input);
    let read = async {
        while let Some(Ok(chunk)) = output.next().await {
            keep(&mut tail, chunk);
        }
    };
    let in_time = tokio::time::timeout(timeout, read).await.is_ok();
    let end = if in_time {
        ExecEnd::Exit(exit_of(engine, &made).await?)
    } else {
        kill(engine, container, &made).await?;
        ExecEnd::TimedOut
    };
    tail.drain(..tail.len().saturating_sub(TAIL));
    Ok(ExecOutput { end, tail: String::from_utf8_lossy(&tail).into_owned() })
}

/// A command whose output is taken, in the engine's words.
pub(crate) fn options(request: &ExecRequest) -> CreateExecOptions<String> {
    let environment = request.environment.iter().map(|(name, value)| format!("{name}={value}"));
    CreateExecOptions {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(request.argv.clone()),
        env: Some(environment.collect()),
        user: request.user.clone(),
        working_dir: request.working_dir.clone(),
        privileged: Some(request.privileged),
        ..CreateExecOptions::default()
    }
}

async fn make(engine: &Found, container: &str, request: &ExecRequest) -> Result<String, Error> {
    let asked = engine.docker.create_exec(container, options(request));
    Ok(engine.ask(asked, || format!("run {:?}", request.argv.join(" "))).await?.id)
}

fn keep(tail: &mut Vec<u8>, chunk: LogOutput) {
    tail.extend_from_slice(&chunk.into_bytes());
    // Doubled, so that each byte is moved once at most.
    if tail.len() >= TAIL * 2 {
        tail.drain(..tail.len() - TAIL);
    }
}

/// The output has ended: by its end, or because the command closed it and goes on.
async fn exit_of(engine: &Found, exec: &str) -> Result<Exit, Error> {
    let deadline = tokio::time::Instant::now() + STATUS;
    loop {
        let said = inspect(engine, exec).await?;
        match (said.running.unwrap_or_default(), said.exit_code) {
            (false, Some(code)) => return Ok(Exit::Status(code as i32)),
            _ if tokio::time::Instant::now() >= deadline => return Ok(Exit::Unknown),
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

pub(crate) async fn inspect(engine: &Found, exec: &str) -> Result<ExecInspectResponse, Error> {
    engine.ask(engine.docker.inspect_exec(exec), || "look at a command".into()).await
}

async fn kill(engine: &engine::Found, container: &str, exec: &str) -> Result<(), Error> {
    let said = inspect(engine, exec).await?;
    let pid = said.pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let (Some(true), Some(pid)) = (said.running, pid) else { return Ok(()) };
    // First held, then known: the number cannot become another's in between.
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero()));
    if groups.is_ok_and(|groups| groups.contains(container)) {
        if let Err(error) = pidfd_send_signal(&held, Signal::KILL) {
            tracing::warn!(%error, "a command that is past its time cannot be killed, and goes on");
        }
    } else {
        tracing::warn!("a command that is past its time is out of reach, and goes on");
    }
    Ok(())
}
