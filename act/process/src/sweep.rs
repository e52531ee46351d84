//! What a shim would have done, where it was killed before it could: ending what a run left behind.

use crate::cgroup::{self, Removed};
use crate::folder::{Folder, StateRecord};
use crate::pid::{ProcessRef, all, boot_id, descendants, pause, stat};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// As long as a shim tries; what is there then is stuck in the kernel.
const LIMIT: Duration = Duration::from_secs(5);
/// Between one look and the next.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether anything of a run is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    Something,
}

/// How sure it is that the main process's number is still its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This agent held it by a pidfd until now.
    JustNow,
    /// It may be gone for days, and its number may be another's session by now.
    LongAgo,
}

impl StateRecord {
    /// Whether the main process is there.
    pub(crate) fn is_alive(&self) -> bool {
        self.boot == boot_id() && self.main.open().is_ok_and(|fd| fd.is_some())
    }
}

/// Kills what is left of a run whose shim is gone, and tidies up after it. Blocks for a few seconds at most.
///
/// What is left is known by the run's control group, by the main process's session and by descent. Without a
/// group, a daemon that has left both session and family before the shim was killed is not found.
pub(crate) fn sweep(folder: &Folder, state: &StateRecord, seen: Seen) -> Left {
    if state.boot != boot_id() {
        folder.clear_state();
        return Left::Nothing;
    }
    let deadline = Instant::now() + LIMIT;
    loop {
        cgroup::kill(&state.cgroups);
        let targets = remains(state, seen);
        let is_late = Instant::now() >= deadline;
        // A group that will not go, with no process in it, is no reason to keep anybody waiting for ever.
        if targets.is_empty() && (cgroup::remove(&state.cgroups) == Removed::All || is_late) {
            folder.clear_state();
            return Left::Nothing;
        }
        if is_late {
            return Left::Something;
        }
        for target in targets {
            let _ = target.kill();
        }
        pause(LOOK_AGAIN);
    }
}

fn remains(state: &StateRecord, seen: Seen) -> BTreeSet<ProcessRef> {
    let all = all();
    let mut found: BTreeSet<ProcessRef> =
        cgroup::members(&state.cgroups).into_iter().filter_map(|pid| Some(stat(pid).ok()?.process)).collect();
    let is_main_alive = state.is_alive();
    if is_main_alive {
        found.insert(state.main);
    }
    // While a session has a member, its number is nobody else's pid; but once it had none, it may be.
    if is_main_alive || seen == Seen::JustNow {
        let of_session = all.iter().filter(|stat| stat.session == state.main.pid);
        found.extend(of_session.map(|stat| stat.process).filter(|process| process.start >= state.main.start));
    }
    let roots = found.iter().map(|process| process.pid).collect();
    found.extend(descendants(&all, &roots));
    // A zombie needs no signal, and only its parent can end it.
    found.retain(|process| !is_zombie(process.pid));
    found
}

fn is_zombie(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}
