//! The processes behind one `NARU_HOME`: who they are, how big, and how to kill one.

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The roles, by the names of their locks.
pub const ROLES: [&str; 3] = ["server", "agent", "edge"];

/// How long a killed role may take to be there again; the keeper starts it at once.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A process's memory, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// What it has in memory, pages that it shares with others counted whole.
    pub resident: u64,
    /// The same, shared pages divided among those who share them.
    pub own_share: u64,
}

impl std::ops::Add for Memory {
    type Output = Memory;
    fn add(self, other: Memory) -> Memory {
        Memory { resident: self.resident + other.resident, own_share: self.own_share + other.own_share }
    }
}

/// The process that holds a role's lock, if one does. `role` may be `keeper`, too.
pub fn pid(home: &Path, role: &str) -> Option<i32> {
    let path = home.join(format!("{role}.lock"));
    let file = fs::File::open(&path).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => None,
        Err(_) => fs::read_to_string(&path).ok()?.trim().parse().ok(),
    }
}

/// Kills a process with SIGKILL.
pub fn kill(pid: i32) -> io::Result<()> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process has that number"))?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Kills the holders of some roles' locks at once, and waits until others hold them.
pub async fn replace(home: &Path, roles: &[&str]) -> io::Result<()> {
    let mut gone = Vec::new();
    for role in roles {
        let gives_up = tokio::time::Instant::now() + BACK_WITHIN;
        let old = loop {
            match pid(home, role) {
                Some(old) => break old,
                None if tokio::time::Instant::now() > gives_up => {
                    return Err(io::Error::other(format!("there is no {role}")));
                }
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        gone.push((*role, old));
    }
    gone.iter().try_for_each(|(_, old)| kill(*old))?;
    let give_up = tokio::time::Instant::now() + BACK_WITHIN;
    for (role, old) in gone {
        while pid(home, role).is_none_or(|new| new == old) {
            if tokio::time::Instant::now() > give_up {
                return Err(io::Error::other(format!("no {role} came after the one that was killed")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// A process's memory; none of what is gone.
pub fn memory(pid: i32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Memory { resident: field("Rss:").unwrap_or(0), own_share: field("Pss:").unwrap_or(0) }
}

/// The shims of the home's instances.
pub fn shims(home: &Path) -> Vec<i32> {
    let home = home.as_os_str().as_encoded_bytes();
    let names = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let is_shim = line.split(|byte| *byte == 0).nth(1) == Some(b"shim");
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let holds = |text: &[u8]| text.windows(home.len()).any(|part| part == home);
        is_shim && (holds(&line) || holds(&environment))
    };
    processes().filter(names).collect()
}

/// Each role's memory, and the keeper's.
pub fn memories(home: &Path) -> BTreeMap<&'static str, Memory> {
    let all = ROLES.into_iter().chain(["keeper"]);
    all.filter_map(|role| Some((role, memory(pid(home, role)?)))).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
