//! A command beside a running instance that somebody is attached to: its streams are given, its time is not bounded.
//!
//! The agent keeps the shim's stdin open after the request, and writes the numbers of signals to it. When it closes, the command
//! is hung up on; what does not end by that within a while is killed.

use super::child::{self, Inlet, Outputs};
use super::plumbing::{ChildSignals, null, redirect, signal_group, timespec};
use super::reap::{become_subreaper, kill_descendants, reap};
use crate::cgroup;
use crate::folder::{Folder, LAUNCH, LaunchRecord};
use crate::user::Identity;
use naru_model::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Where the agent puts the command's streams.
pub(crate) const STREAMS: [i32; 3] = [3, 4, 5];
/// The kernel takes 2 MiB of arguments at most.
const MAX_REQUEST: usize = 4 << 20;
/// A shell that is hung up on saves its history; what takes longer is killed.
const HUNG_UP: Duration = Duration::from_secs(5);

/// One line of JSON on stdin.
#[derive(Serialize, Deserialize)]
pub(crate) struct AttachRequest {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) identity: Option<Identity>,
    pub(crate) terminal: bool,
}

/// Lines of JSON on stderr: one, or two.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum AttachReport {
    Begun,
    Ended(Exit),
    NoProgram(String),
    Unstartable(String),
}

/// What came on stdin.
enum Told {
    Nothing,
    Closed,
}

pub(crate) fn run(folder: &Folder) -> ExitCode {
    let report = carry_out(folder).unwrap_or_else(|error| AttachReport::Unstartable(error.to_string()));
    match say(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn say(report: &AttachReport) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    io::stderr().write_all(&line)
}

fn carry_out(folder: &Folder) -> io::Result<AttachReport> {
    let request: AttachRequest = serde_json::from_slice(&read_line()?)?;
    // SAFETY: the agent put them there, and nobody else in this process has them.
    let [stdin, stdout, stderr] = STREAMS.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    let signals = ChildSignals::take()?;
    become_subreaper()?;
    let unreadable = || io::Error::other(format!("{} is unreadable", folder.file(LAUNCH).display()));
    let mut launch: LaunchRecord = folder.read(LAUNCH).ok_or_else(unreadable)?;
    let groups = folder.state_of(launch.run).map(|state| state.cgroups).unwrap_or_default();
    launch.environment.extend(request.environment);
    launch.identity = request.identity.or(launch.identity);
    launch.working_dir =
        request.working_dir.map_or(launch.working_dir.clone(), |to| launch.working_dir.join(to));
    let stdin = if request.terminal { Inlet::Terminal(stdin) } else { Inlet::Pipe(stdin) };
    let spawned = child::spawn(&launch, &request.argv, Outputs { stdin, stdout, stderr }, |pid| {
        cgroup::enter(&groups, pid);
        Ok(())
    });
    match spawned {
        Ok(main) => {
            // The agent may be gone; then its end of stdin says so.
            let _ = say(&AttachReport::Begun);
            Ok(AttachReport::Ended(wait(&signals, main)))
        }
        Err(why) => {
            kill_descendants(&signals, 0);
            let missing = why.contains(" not found");
            Ok(if missing { AttachReport::NoProgram(why) } else { AttachReport::Unstartable(why) })
        }
    }
}

/// Byte by byte, so that what follows is left to be polled for.
fn read_line() -> io::Result<Vec<u8>> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < MAX_REQUEST && rustix::io::read(rustix::stdio::stdin(), &mut byte)? == 1 {
        if byte == *b"\n" {
            return Ok(line);
        }
        line.push(byte[0]);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Returns how the command ended; all that it started has ended then, too.
fn wait(signals: &ChildSignals, main: i32) -> Exit {
    let mut deadline = None;
    let exit = loop {
        signals.clear();
        if let Some(exit) = reap(main).main {
            break Some(exit);
        }
        let left = deadline.map(|at: Instant| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break None;
        }
        if let Told::Closed = listen(signals, left, main)
            && deadline.is_none()
        {
            deadline = Some(Instant::now() + HUNG_UP);
            signal_group(main, libc::SIGHUP);
            // A stopped command does not hear it.
            signal_group(main, libc::SIGCONT);
            let _ = null().and_then(|null| redirect(null, 0));
        }
    };
    let rest = kill_descendants(signals, main);
    exit.or(rest.main).unwrap_or(Exit::Unknown)
}

/// Waits for a child, for a word of the agent's, or until the time is over.
fn listen(signals: &ChildSignals, left: Option<Duration>, main: i32) -> Told {
    // SAFETY: standard input is open for as long as this process lives.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
    // After the hang-up there is nothing more to hear: only children count.
    let heard = if left.is_some() { &mut fds[..1] } else { &mut fds[..] };
    let _ = poll(heard, left.map(timespec).as_ref());
    if left.is_some() || fds[1].revents().is_empty() {
        return Told::Nothing;
    }
    let mut buffer = [0; 64];
    match rustix::io::read(stdin, &mut buffer) {
        Ok(0) | Err(_) => Told::Closed,
        Ok(count) => {
            let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
            text.lines().filter_map(|line| line.parse().ok()).for_each(|signal| signal_group(main, signal));
            Told::Nothing
        }
    }
}
