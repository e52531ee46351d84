//! A command beside a running instance: in its surroundings, bounded in time, and with nothing left after it.
//!
//! The agent keeps the shim's stdin open after the request: when it closes (the agent lost interest, or
//! died), the command is killed at once.

use super::child::{self, Inlet, Outputs};
use super::plumbing::{ChildSignals, timespec};
use super::reap::{become_subreaper, kill_descendants, reap};
use crate::cgroup;
use crate::folder::{Folder, LAUNCH, LaunchRecord};
use naru_model::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The kernel takes 2 MiB of arguments at most.
const MAX_REQUEST: u64 = 4 << 20;

/// One line of JSON on stdin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    pub(crate) argv: Vec<String>,
    pub(crate) timeout_ms: u64,
}

/// JSON on stderr; the command has stdout for both of its streams.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ExecReport {
    Ended(Exit),
    TimedOut,
    Unstartable(String),
}

pub(crate) fn run(folder: &Folder) -> ExitCode {
    let report = carry_out(folder).unwrap_or_else(|error| ExecReport::Unstartable(error.to_string()));
    let json = serde_json::to_vec(&report).unwrap_or_default();
    match io::stderr().write_all(&json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn carry_out(folder: &Folder) -> io::Result<ExecReport> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_REQUEST).read_line(&mut line)?;
    let request: ExecRequest = serde_json::from_str(&line)?;
    let signals = ChildSignals::take()?;
    become_subreaper()?;
    let unreadable = || io::Error::other(format!("{} is unreadable", folder.file(LAUNCH).display()));
    let launch: LaunchRecord = folder.read(LAUNCH).ok_or_else(unreadable)?;
    let groups = folder.state_of(launch.run).map(|state| state.cgroups).unwrap_or_default();
    let outputs = Outputs { stdin: Inlet::Nothing, stdout: stdout()?, stderr: stdout()? };
    // The command alone shall hold the pipe, so that its end is seen.
    super::plumbing::redirect(super::plumbing::null()?, 1)?;
    let deadline = Instant::now() + Duration::from_millis(request.timeout_ms);
    let spawned = child::spawn(&launch, &request.argv, outputs, |pid| {
        // The instance's limits are a warning where they fail; so they are not repeated for each command.
        cgroup::enter(&groups, pid);
        Ok(())
    });
    Ok(match spawned {
        Ok(main) => wait(&signals, main, deadline),
        Err(why) => {
            kill_descendants(&signals, 0);
            ExecReport::Unstartable(why)
        }
    })
}

fn stdout() -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?)
}

fn wait(signals: &ChildSignals, main: i32, deadline: Instant) -> ExecReport {
    let report = loop {
        signals.clear();
        if let Some(exit) = reap(main).main {
            break ExecReport::Ended(exit);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || is_abandoned(signals, left) {
            break ExecReport::TimedOut;
        }
    };
    kill_descendants(signals, main);
    report
}

/// Waits for a child, the agent or the time. The agent writes nothing more, so whatever comes of it is its end.
fn is_abandoned(signals: &ChildSignals, left: Duration) -> bool {
    let stdin = rustix::stdio::stdin();
    let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
    let _ = poll(&mut fds, Some(&timespec(left)));
    !fds[1].revents().is_empty()
}
