//! Processes by a name that is never used twice: pid, start time and boot.
//!
//! A pid alone is reused. Pid and start time name one process within one boot of the machine; a pidfd opened
//! for the pid and *then* checked against the start time pins that very process, so a signal through it
//! reaches it or nobody.

use crate::Signal;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

/// One process of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessRef {
    pub(crate) pid: i32,
    /// Clock ticks since boot.
    pub(crate) start: u64,
}

/// What /proc says of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) process: ProcessRef,
    pub(crate) parent: i32,
    pub(crate) session: i32,
}

impl ProcessRef {
    /// The process that has this pid now.
    pub(crate) fn of(pid: i32) -> io::Result<ProcessRef> {
        Ok(stat(pid)?.process)
    }

    /// A pidfd that pins this process; `None` once it is gone.
    pub(crate) fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let same = stat(self.pid).is_ok_and(|now| now.process == self);
        Ok(same.then_some(fd))
    }

    /// SIGKILL to this process and no other. One that is gone is no error.
    pub(crate) fn kill(self) -> io::Result<()> {
        match self.open()? {
            Some(fd) => send(&fd, Signal::KILL).map(drop),
            None => Ok(()),
        }
    }
}

/// Whether a signal found its process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Yes,
    Gone,
}

/// Sends through a pidfd.
pub(crate) fn send(pidfd: impl AsFd, signal: Signal) -> io::Result<Sent> {
    // SAFETY: `Signal` holds a number from 1 to 64 only, and the kernel checks it.
    let raw = unsafe { rustix::process::Signal::from_raw_unchecked(signal.number()) };
    match pidfd_send_signal(pidfd, raw) {
        Ok(()) => Ok(Sent::Yes),
        Err(Errno::SRCH) => Ok(Sent::Gone),
        Err(error) => Err(error.into()),
    }
}

/// This boot of the machine.
pub(crate) fn boot_id() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    })
}

/// What /proc says of a pid.
pub(crate) fn stat(pid: i32) -> io::Result<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(pid, &text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/PID/stat"))
}

/// The name in parentheses may hold anything, parentheses too; what follows the last one is numbers.
fn parse_stat(pid: i32, text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let start = fields.get(19)?.parse().ok()?;
    Some(Stat { process: ProcessRef { pid, start }, parent: number(1)? as i32, session: number(3)? as i32 })
}

/// All processes of the machine that this one may see.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| stat(pid).ok()).collect()
}

/// The children of `roots`, their children, and so on; without the roots.
pub(crate) fn descendants(all: &[Stat], roots: &BTreeSet<i32>) -> Vec<ProcessRef> {
    let mut children: BTreeMap<i32, Vec<ProcessRef>> = BTreeMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(stat.process);
    }
    let mut found = Vec::new();
    let mut open: Vec<i32> = roots.iter().copied().collect();
    while let Some(parent) = open.pop() {
        // Removed, so that a loop in a torn reading of /proc ends.
        for child in children.remove(&parent).unwrap_or_default() {
            open.push(child.pid);
            found.push(child);
        }
    }
    found.retain(|process| !roots.contains(&process.pid));
    found
}

/// Lets time pass where the kernel has no event for what is waited for: the release of another's flock, the
/// end of a process that is nobody's child, a control group's emptiness.
#[expect(clippy::disallowed_methods, reason = "see above; every caller looks again, up to a bound")]
pub(crate) fn pause(span: std::time::Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use super::{ProcessRef, Sent, parse_stat, send, stat};
    use crate::Signal;
    use std::process::Command;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let text = b"7 (a) R (b c) S 3 7 5 0 -1 4194304 98 0 0 0 0 0 0 0 20 0 1 0 99480 3133440 380";
        let parsed = parse_stat(7, text).unwrap();
        assert_eq!((parsed.parent, parsed.session, parsed.process.start), (3, 5, 99480));
        assert!(parse_stat(7, b"7 (a").is_none());
        assert!(parse_stat(7, b"7 (a) S 3").is_none());
    }

    #[test]
    fn a_reused_pid_is_a_stranger() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let real = ProcessRef::of(child.id() as i32).unwrap();
        let stranger = ProcessRef { start: real.start + 1, ..real };
        assert!(stranger.open().unwrap().is_none());
        stranger.kill().unwrap();
        assert!(child.try_wait().unwrap().is_none(), "a stranger was signalled");
        let pinned = real.open().unwrap().expect("it runs");
        real.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(send(&pinned, Signal::TERM).unwrap(), Sent::Gone);
        assert!(stat(real.pid).is_err() || real.open().unwrap().is_none());
    }
}
