//! The end of a shim's children: the one that matters, and all that it left behind.
//!
//! A shim is a subreaper: whatever the instance forks stays its descendant, daemons of their own session
//! included. So "no child left" means that nothing of the instance is left.

use super::plumbing::ChildSignals;
use crate::pid::{all, descendants};
use naru_model::Exit;
use rustix::process::{WaitOptions, WaitStatus, wait};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Killed processes are gone in milliseconds; what is not, is stuck in the kernel.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(5);
/// How often they are looked for again: a fork may have slipped between look and kill.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a round of reaping found.
#[derive(Debug, Default)]
pub(crate) struct Reaped {
    /// How the main process ended, if it did.
    pub(crate) main: Option<Exit>,
    /// Whether any child is left.
    pub(crate) children: Children,
}

/// Whether any child is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Children {
    #[default]
    Some,
    None,
}

/// Makes this process the parent of what its descendants leave.
pub(crate) fn become_subreaper() -> std::io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Takes the status of every child that has ended.
pub(crate) fn reap(main: i32) -> Reaped {
    let mut reaped = Reaped::default();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == main => reaped.main = Some(exit_of(status)),
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) => return reaped,
            Err(_) => {
                reaped.children = Children::None;
                return reaped;
            }
        }
    }
}

/// Kills all descendants until none is left, for a few seconds at most. Returns how the main process ended,
/// where it was among them, and whether all are gone.
pub(crate) fn kill_descendants(signals: &ChildSignals, main: i32) -> Reaped {
    let deadline = Instant::now() + LEFTOVER_LIMIT;
    let mut total = Reaped::default();
    loop {
        let reaped = reap(main);
        total.main = total.main.or(reaped.main);
        total.children = reaped.children;
        if total.children == Children::None || Instant::now() >= deadline {
            return total;
        }
        let own = BTreeSet::from([std::process::id() as i32]);
        for process in descendants(&all(), &own) {
            let _ = process.kill();
        }
        signals.wait(LOOK_AGAIN);
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
