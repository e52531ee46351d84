//! What instances use of the machine, by what the kernel says of each of their processes.

use crate::Runtime;
use crate::pid::{all, descendants};
use naru_model::InstanceId;
use naru_reach::Usage;
use std::collections::BTreeSet;
use std::fs;

impl Runtime {
    /// What those of the instances that run use now, in the order of `ids`. Blocks: it reads of every process of the machine.
    pub fn usage(&self, ids: &[InstanceId]) -> Vec<Usage> {
        let every = all();
        let units = Units::of_system();
        let of = |id: &InstanceId| {
            let shim = self.shim_of(id)?;
            let mut usage = Usage::none(id.clone(), crate::folder::now());
            let mut disk = (0, 0);
            for process in descendants(&every, &BTreeSet::from([shim])) {
                add(process.pid, &units, &mut usage, &mut disk);
            }
            usage.disk = fs::read(format!("/proc/{shim}/io")).is_ok().then_some(disk);
            Some(usage)
        };
        ids.iter().filter_map(of).collect()
    }
}

/// In what the kernel counts.
struct Units {
    tick_us: u64,
    page: u64,
}

impl Units {
    fn of_system() -> Units {
        // SAFETY: plain questions about constants of the system.
        let (ticks, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
        let ticks = ticks.max(1);
        Units { tick_us: 1_000_000 / ticks as u64, page: page.max(1) as u64 }
    }
}

/// Adds a process. One that has gone meanwhile adds nothing.
fn add(pid: i32, units: &Units, usage: &mut Usage, disk: &mut (u64, u64)) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold anything.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    // Its own, and its children's that have ended; as user and as system.
    usage.cpu_us += (11..15).map(number).sum::<u64>() * units.tick_us;
    usage.tasks += number(17);
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default();
    usage.memory += resident * units.page;
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let bytes = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    disk.0 += bytes("read_bytes:");
    disk.1 += bytes("write_bytes:");
}
