//! Control groups: limits where the machine lets us, and a sure list of an instance's processes.
//!
//! An instance gets one group in the unified (v2) hierarchy where there is one, for the list and for
//! `cgroup.kill`, and its limits there or in the v1 hierarchies, whichever has the controller. Groups are
//! made as near to the agent's own as the kernel allows, so that limits set around the agent hold for its
//! instances too. Nothing here stops a start: what cannot be done is a warning.

use naru_model::Resources;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// All of Naru's groups stand below a group of this name.
const PARENT: &str = "naru";
/// The period over which CPU time is counted, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// The groups of one instance.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub(crate) groups: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
}

/// One limit that was asked for, in both versions' terms.
struct Limit {
    controller: &'static str,
    unified: (&'static str, String),
    legacy: Vec<(&'static str, String)>,
}

/// A mounted hierarchy, and the caller's own group in it.
struct Hierarchy {
    root: PathBuf,
    own: PathBuf,
}

/// Makes the groups of an instance and sets its limits.
pub(crate) fn prepare(name: &str, resources: &Resources) -> Placement {
    let mut placement = Placement::default();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limits(resources);
    let unified = find_unified(&mounts, &own);
    let offered =
        unified.as_ref().map(|h| read_words(&h.root.join("cgroup.controllers"))).unwrap_or_default();
    let (new, old): (Vec<_>, Vec<_>) =
        limits.into_iter().partition(|limit| offered.iter().any(|word| word == limit.controller));
    if let Some(hierarchy) = unified {
        place_unified(&hierarchy, name, &new, &mut placement);
    }
    for limit in old {
        let placed = find_legacy(&mounts, &own, limit.controller)
            .ok_or_else(|| "this machine offers no such control group".to_owned())
            .and_then(|hierarchy| place_legacy(&hierarchy, name, &limit));
        match placed {
            Ok(group) if placement.groups.contains(&group) => {}
            Ok(group) => placement.groups.push(group),
            Err(why) => placement.warnings.push(not_applied(&limit, &why)),
        }
    }
    placement
}

/// Moves a process into the groups. What did not work is a sentence each.
pub(crate) fn enter(groups: &[PathBuf], pid: i32) -> Vec<String> {
    let enter = |group: &PathBuf| {
        let result = fs::write(group.join("cgroup.procs"), pid.to_string());
        result.err().map(|error| format!("limits of {} not applied: {error}", group.display()))
    };
    groups.iter().filter_map(enter).collect()
}

/// Kills all processes of the groups, where the kernel has a call for it.
pub(crate) fn kill(groups: &[PathBuf]) {
    for group in groups {
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
}

/// The processes in the groups.
pub(crate) fn members(groups: &[PathBuf]) -> Vec<i32> {
    let mut pids: Vec<i32> = groups
        .iter()
        .flat_map(|group| tree(group))
        .flat_map(|group| read_words(&group.join("cgroup.procs")))
        .filter_map(|word| word.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Removes the groups, with those that the instance has made below them. Whether all are gone: a group that
/// still has a process stays.
pub(crate) fn remove(groups: &[PathBuf]) -> Removed {
    for group in groups.iter().flat_map(|group| tree(group)) {
        let _ = fs::remove_dir(group);
    }
    if groups.iter().any(|group| group.exists()) { Removed::NotYet } else { Removed::All }
}

/// Whether all groups are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    All,
    NotYet,
}

/// A group and all below it, the innermost first.
fn tree(group: &Path) -> Vec<PathBuf> {
    let inner = fs::read_dir(group).into_iter().flatten().flatten();
    let inner = inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all: Vec<PathBuf> = inner.flat_map(|entry| tree(&entry.path())).collect();
    all.push(group.to_owned());
    all
}

fn limits(resources: &Resources) -> Vec<Limit> {
    let mut all = Vec::new();
    if let Some(milli) = resources.cpus_milli {
        // The kernel refuses a quota below 1 ms.
        let quota = (milli.saturating_mul(PERIOD) / 1000).max(1000);
        all.push(Limit {
            controller: "cpu",
            unified: ("cpu.max", format!("{quota} {PERIOD}")),
            legacy: vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())],
        });
    }
    let mut plain = |controller, unified, legacy, value: Option<u64>| {
        if let Some(value) = value.map(|value| value.to_string()) {
            all.push(Limit { controller, unified: (unified, value.clone()), legacy: vec![(legacy, value)] });
        }
    };
    plain("memory", "memory.max", "memory.limit_in_bytes", resources.memory);
    plain("pids", "pids.max", "pids.max", resources.pids);
    all
}

fn place_unified(hierarchy: &Hierarchy, name: &str, limits: &[Limit], placement: &mut Placement) {
    let needed: Vec<&str> = limits.iter().map(|limit| limit.controller).collect();
    let mut fallback = None;
    let mut why = "no group of the hierarchy may be written".to_owned();
    for base in hierarchy.own.ancestors().take_while(|base| base.starts_with(&hierarchy.root)) {
        let parent = base.join(PARENT);
        if let Err(error) = make(&parent) {
            why = format!("make {}: {error}", parent.display());
            continue;
        }
        fallback.get_or_insert_with(|| parent.clone());
        match [base, &parent].iter().try_for_each(|group| enable(group, &needed)) {
            Ok(()) => {
                fallback = Some(parent);
                break;
            }
            Err(error) => why = format!("enable {} in {}: {error}", needed.join(", "), base.display()),
        }
    }
    let made = fallback.map(|parent| parent.join(name)).filter(|group| make(group).is_ok());
    for limit in limits {
        let (file, value) = &limit.unified;
        let set = made.as_ref().ok_or_else(|| why.clone()).and_then(|group| {
            let path = group.join(file);
            // A missing file: the controller could not be enabled, for the reason found above.
            if path.exists() { write(&path, value) } else { Err(why.clone()) }
        });
        placement.warnings.extend(set.err().map(|why| not_applied(limit, &why)));
    }
    placement.groups.extend(made);
}

fn place_legacy(hierarchy: &Hierarchy, name: &str, limit: &Limit) -> Result<PathBuf, String> {
    let parent = hierarchy.own.join(PARENT);
    let group = parent.join(name);
    make(&parent)
        .and_then(|()| make(&group))
        .map_err(|error| format!("make {}: {error}", group.display()))?;
    limit.legacy.iter().try_for_each(|(file, value)| write(&group.join(file), value))?;
    Ok(group)
}

fn not_applied(limit: &Limit, why: &str) -> String {
    format!("{} limit not applied: {why}", limit.controller)
}

fn enable(group: &Path, controllers: &[&str]) -> io::Result<()> {
    let path = group.join("cgroup.subtree_control");
    let enabled = read_words(&path);
    let missing: Vec<String> = controllers
        .iter()
        .filter(|wanted| !enabled.iter().any(|word| word == *wanted))
        .map(|wanted| format!("+{wanted}"))
        .collect();
    if missing.is_empty() { Ok(()) } else { fs::write(path, missing.join(" ")) }
}

fn make(group: &Path) -> io::Result<()> {
    match fs::create_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn write(path: &Path, value: &str) -> Result<(), String> {
    fs::write(path, value).map_err(|error| format!("write {value} to {}: {error}", path.display()))
}

fn read_words(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn find_unified(mounts: &str, own: &str) -> Option<Hierarchy> {
    let root = mounts.lines().find_map(|line| mount_point(line, "cgroup2", None))?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Hierarchy { own: below(&root, path), root })
}

fn find_legacy(mounts: &str, own: &str, controller: &str) -> Option<Hierarchy> {
    let root = mounts.lines().find_map(|line| mount_point(line, "cgroup", Some(controller)))?;
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        controllers.split(',').any(|word| word == controller).then(|| fields.next())?
    })?;
    Some(Hierarchy { own: below(&root, path), root })
}

/// The mount point of a line of /proc/self/mounts that is of this kind.
fn mount_point(line: &str, kind: &str, option: Option<&str>) -> Option<PathBuf> {
    let fields: Vec<&str> = line.split(' ').collect();
    let fits = *fields.get(2)? == kind;
    let has = |wanted: &str| fields.get(3).is_some_and(|all| all.split(',').any(|word| word == wanted));
    (fits && option.is_none_or(has)).then(|| PathBuf::from(fields[1]))
}

fn below(root: &Path, path: &str) -> PathBuf {
    match path.trim_matches('/') {
        "" => root.to_owned(),
        inner => root.join(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::{find_legacy, find_unified, limits};
    use naru_model::Resources;
    use std::path::Path;

    const MOUNTS: &str = "proc /proc proc rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
    const OWN: &str = "2:cpu,cpuacct:/user.slice\n1:cpuset:/\n0::/\n";

    #[test]
    fn both_hierarchies_are_found_where_they_are_mounted() {
        let unified = find_unified(MOUNTS, OWN).unwrap();
        assert_eq!(unified.own, Path::new("/sys/fs/cgroup/unified"));
        let legacy = find_legacy(MOUNTS, OWN, "cpu").unwrap();
        assert_eq!(legacy.own, Path::new("/sys/fs/cgroup/cpu/user.slice"));
        assert!(find_legacy(MOUNTS, OWN, "memory").is_none());
        assert!(find_legacy(MOUNTS, "1:cpuset:/\n", "cpu").is_none());
    }

    #[test]
    fn limits_are_said_in_the_kernels_units() {
        let asked = Resources {
            cpus_milli: Some(1500),
            memory: Some(1 << 20),
            pids: Some(7),
            ..Resources::default()
        };
        let said: Vec<_> = limits(&asked).into_iter().map(|l| (l.unified.0, l.unified.1)).collect();
        let want = [("cpu.max", "150000 100000"), ("memory.max", "1048576"), ("pids.max", "7")];
        assert_eq!(said, want.map(|(file, value)| (file, value.to_owned())));
        assert!(limits(&Resources { reserved_memory: Some(1), ..Resources::default() }).is_empty());
    }
}
