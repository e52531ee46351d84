//! The keeper and its roles as processes: started, killed in every way, and ended.

use naru_api::{Client, Status};
use naru_chain::Standing;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLES: [&str; 3] = ["server", "edge", "agent"];

const STACK: &str = "
services:
  job:
    image: none
    stop_grace_period: 1s
    x-naru: { process: { command: [sleep, '600'] } }
";

/// A home with a keeper, which ends when this is dropped.
struct Kept {
    dir: tempfile::TempDir,
    keeper: Option<Child>,
}

impl Kept {
    fn new() -> Kept {
        Kept { dir: tempfile::tempdir().unwrap(), keeper: None }
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    fn client(&self) -> Client {
        Client::new(self.home().join("api.sock"))
    }

    /// Starts a keeper, and waits until it says `word`.
    fn start(&mut self, word: &str) -> Duration {
        let began = Instant::now();
        let mut keeper = Command::new(env!("CARGO_BIN_EXE_naru"))
            .args(["role", "keeper"])
            .env("NARU_HOME", self.home())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(keeper.stdout.take().unwrap()).lines();
        assert!(words.any(|said| said.unwrap() == word), "the keeper never said {word:?}");
        self.keeper = Some(keeper);
        began.elapsed()
    }

    /// Who holds a lock.
    fn pid(&self, post: &str) -> Option<Pid> {
        let path: PathBuf = self.home().join(format!("{post}.lock"));
        let file = std::fs::File::open(&path).ok()?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => Pid::from_raw(std::fs::read_to_string(&path).ok()?.parse().ok()?),
        }
    }

    /// Kills the holder of a lock, and waits until another has it.
    fn kill(&self, post: &str) -> Pid {
        let old = self.pid(post).unwrap();
        kill_process(old, Signal::KILL).unwrap();
        wait_for(self.home(), || self.pid(post).filter(|new| *new != old))
    }

    async fn ready(&self) -> Status {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.client().ready().await {
                Ok(status) => return status,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_naru"));
        command.env("NARU_HOME", self.home()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// How many keepers there are for this home, at work or waiting.
    fn keepers(&self) -> usize {
        self.processes("naru\0role\0keeper\0")
    }

    /// How many processes of this home have a command line that begins like this.
    fn processes(&self, begin: &str) -> usize {
        let home = format!("NARU_HOME={}\0", self.home().display());
        let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let read =
            |path: PathBuf| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let is_one = |process: &PathBuf| {
            read(process.join("cmdline"))
                .is_ok_and(|line| line.rsplit('/').next().is_some_and(|line| line.starts_with(begin)))
                && read(process.join("environ")).is_ok_and(|all| all.contains(&home))
        };
        processes.filter(is_one).count()
    }

    fn end(&mut self) {
        let mut keeper = self.keeper.take().unwrap();
        let pid = Pid::from_raw(keeper.id().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(keeper.wait().unwrap().success());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if std::thread::panicking() && self.pid("server").is_some() {
            let _ = self.command().args(["shutdown", "--cut", "--yes"]).status();
        }
        for post in ["keeper", "server", "edge", "agent"] {
            if let Some(pid) = self.pid(post) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if let Some(keeper) = &mut self.keeper {
            let _ = keeper.wait();
        }
    }
}

/// One that has ended and was not waited for yet, by whoever adopts orphans here, is not alive.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Looks until it is there: again whenever a lock's file was written or closed, and now and then for what
/// shows in no file.
fn wait_for<T>(home: &Path, look: impl Fn() -> Option<T>) -> T {
    let files = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let written = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CLOSE;
    inotify::add_watch(&files, home, written).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came");
        let now_and_then = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        poll(&mut [PollFd::new(&files, PollFlags::IN)], Some(&now_and_then)).unwrap();
        while rustix::io::read(&files, &mut [0; 4096]).is_ok() {}
    }
}

#[tokio::test]
async fn it_starts_all_and_ends_all() {
    let mut kept = Kept::new();
    let took = kept.start("ready");
    println!("ready after {took:?}");
    assert!(took < Duration::from_secs(5));
    let status = kept.client().status().await.unwrap();
    assert_eq!((status.agents, status.edges), (1, 1));
    let pids = ROLES.map(|role| kept.pid(role).unwrap());
    kept.end();
    for pid in pids {
        assert!(!is_alive(pid), "{pid:?} is left");
    }
    assert!(kept.client().status().await.unwrap_err().is_no_server());
    kept.start("ready");
}

#[tokio::test]
async fn each_role_that_is_killed_comes_back() {
    let mut kept = Kept::new();
    kept.start("ready");
    for role in ROLES {
        let others = ROLES.into_iter().filter(|other| *other != role);
        let before: Vec<_> = others.clone().map(|other| kept.pid(other)).collect();
        kept.kill(role);
        let status = kept.ready().await;
        assert_eq!(status.fault, None);
        let after: Vec<_> = others.map(|other| kept.pid(other)).collect();
        assert_eq!(before, after, "only the {role} is started again");
    }
    kept.end();
}

#[tokio::test]
async fn roles_that_lost_their_keeper_are_taken_over_by_the_next() {
    let mut kept = Kept::new();
    kept.start("ready");
    let orphans = ROLES.map(|role| kept.pid(role).unwrap());
    let mut keeper = kept.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    assert_eq!(ROLES.map(|role| kept.pid(role).unwrap()), orphans);
    kept.client().status().await.unwrap();
    kept.start("kept");
    assert_eq!(ROLES.map(|role| kept.pid(role).unwrap()), orphans, "they go on");
    for role in ROLES {
        kept.kill(role);
        kept.ready().await;
    }
    kept.end();
    assert_eq!(ROLES.map(|role| kept.pid(role)), [None; 3]);
}

#[tokio::test]
async fn keepers_that_are_killed_in_a_row_leave_nobody_waiting() {
    let mut kept = Kept::new();
    kept.start("ready");
    let working = ROLES.map(|role| kept.pid(role).unwrap());
    for _ in 0..4 {
        kill_process(kept.pid("keeper").unwrap(), Signal::KILL).unwrap();
        kept.keeper.take().unwrap().wait().unwrap();
        kept.start("ready");
        assert_eq!(ROLES.map(|role| kept.pid(role).unwrap()), working, "those at work go on");
    }
    // The three at work, and one of each that waits for its place.
    wait_for(kept.home(), || (kept.processes("naru\0role\0") == 7).then_some(()));
    kept.end();
    assert_eq!(kept.processes("naru\0role\0"), 0);
}

#[tokio::test]
async fn orphans_end_with_the_keeper_that_took_them_over() {
    let mut kept = Kept::new();
    kept.start("ready");
    let orphans = ROLES.map(|role| kept.pid(role).unwrap());
    let mut keeper = kept.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    kept.start("ready");
    kept.end();
    // A process gives its lock up a moment before it is gone, and its keeper does not wait for orphans in another way.
    for pid in orphans {
        wait_for_end(&kept, pid);
    }
}

#[tokio::test]
async fn the_api_s_shutdown_ends_all_with_and_without_a_keeper() {
    let mut kept = Kept::new();
    kept.start("ready");
    kept.client().shutdown(Default::default()).await.unwrap();
    wait_for(kept.home(), || {
        ["keeper", "server", "edge", "agent"].iter().all(|post| kept.pid(post).is_none()).then_some(())
    });
    assert!(kept.keeper.take().unwrap().wait().unwrap().success());
    kept.start("ready");
    let mut keeper = kept.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    kept.client().shutdown(Default::default()).await.unwrap();
    wait_for(kept.home(), || {
        ["server", "edge", "agent"].iter().all(|post| kept.pid(post).is_none()).then_some(())
    });
}

#[tokio::test]
async fn a_server_that_refuses_to_start_is_an_error_and_nothing_is_left() {
    let kept = Kept::new();
    std::fs::write(kept.home().join("store"), "this is no database, and longer than a header of one")
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_naru"))
        .args(["role", "keeper"])
        .env("NARU_HOME", kept.home())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let (said, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("failed: "), "{said}");
    assert!(errors.contains("naru server: the store"), "{errors}");
    assert_eq!(ROLES.map(|role| kept.pid(role)), [None; 3]);
}

#[tokio::test]
async fn commands_that_need_a_server_start_one_however_many_there_are() {
    let kept = Kept::new();
    let file = kept.home().join("compose.yaml");
    std::fs::write(&file, STACK).unwrap();
    let up = |stack: &str| {
        let mut command = kept.command();
        command.args(["up", "--progress", "quiet", "-p", stack, "-f"]).arg(&file);
        command.spawn().unwrap()
    };
    let commands: Vec<Child> = ["a", "b", "c", "d"].map(up).into();
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    wait_for(kept.home(), || (kept.keepers() == 1).then_some(()));
    let instances = kept.client().instances(None).await.unwrap();
    assert_eq!(instances.len(), 4);
    let old = kept.pid("keeper").unwrap();
    kill_process(old, Signal::KILL).unwrap();
    wait_for(kept.home(), || kept.pid("keeper").is_none().then_some(()));
    assert!(up("a").wait().unwrap().success());
    // A command that finds a server without a keeper starts one, and a keeper's child looks like it for a moment.
    wait_for(kept.home(), || (kept.keepers() == 1 && kept.pid("keeper").is_some()).then_some(()));
    kept.kill("server");
    kept.ready().await;
    let after = kept.client().instances(None).await.unwrap();
    assert_eq!(after.len(), 4);
    for (before, after) in instances.iter().zip(&after) {
        let pid = |view: &naru_model::InstanceView| view.status.as_ref().unwrap().pid;
        assert_eq!((&before.id, pid(before)), (&after.id, pid(after)), "no instance was touched");
    }
    let finish = |args: &[&str]| kept.command().args(args).output().unwrap();
    assert!(!finish(&["shutdown"]).status.success(), "instances run");
    assert!(finish(&["shutdown", "--cut", "--yes"]).status.success());
    assert_eq!((kept.keepers(), kept.pid("server")), (0, None));
    for instance in &after {
        let pid = instance.status.as_ref().and_then(|status| status.pid).unwrap();
        assert!(!is_alive(Pid::from_raw(pid.cast_signed()).unwrap()), "{} is left", instance.id);
    }
}

#[tokio::test]
async fn idle_processes_are_small() {
    let mut kept = Kept::new();
    kept.start("ready");
    let size = |role: &str| -> u64 {
        let pid = kept.pid(role).unwrap().as_raw_nonzero();
        // What they share, the pages of the one binary, counts once for all of them.
        let status = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = status.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let sizes = ROLES.map(size);
    println!("KiB of {ROLES:?}: {sizes:?}");
    assert!(sizes.iter().sum::<u64>() <= 48 << 10, "{sizes:?} KiB");
    kept.end();
}

/// A process that has ended, or is about to.
fn wait_for_end(kept: &Kept, pid: Pid) {
    wait_for(kept.home(), || (!is_alive(pid)).then_some(()));
}

#[derive(serde::Deserialize)]
struct Told {
    edge: Option<Standing>,
}

fn upgrade(kept: &Kept, args: &[&str]) -> (bool, String) {
    let mut command = kept.command();
    command.arg("upgrade").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn standing(kept: &Kept) -> Standing {
    let (done, said) = upgrade(kept, &["--show", "--json"]);
    assert!(done, "{said}");
    serde_json::from_str::<Told>(&said).unwrap().edge.unwrap()
}

#[tokio::test]
async fn an_upgrade_replaces_all_and_ends_nothing() {
    let mut kept = Kept::new();
    let (done, said) = upgrade(&kept, &[]);
    assert!(done && said.contains("nothing runs here"), "{said}");
    kept.start("ready");
    let before = ROLES.map(|role| kept.pid(role).unwrap());
    let keeper = kept.pid("keeper").unwrap();
    let (done, said) = upgrade(&kept, &[]);
    assert!(done, "{said}");
    assert!(said.contains("edge: a new one accepts on the same sockets"), "{said}");
    assert_eq!(kept.pid("keeper").unwrap(), keeper, "it is the same process, of another image");
    for (role, old) in ROLES.into_iter().zip(before) {
        assert_ne!(kept.pid(role).unwrap(), old, "the {role} is new");
        // With nothing open, the old edge ends at once.
        wait_for_end(&kept, old);
    }
    let status = kept.ready().await;
    assert_eq!(
        (status.agents, status.edges, status.fault),
        (1, 1, None),
        "to the server it is the same edge"
    );
    for role in ROLES {
        kept.kill(role);
        kept.ready().await;
    }
    kept.end();
    assert_eq!(kept.processes("naru\0role\0"), 0);
}

#[tokio::test]
async fn an_upgrade_of_the_edge_leaves_the_others() {
    let mut kept = Kept::new();
    kept.start("ready");
    let (server, agent) = (kept.pid("server"), kept.pid("agent"));
    for _ in 0..3 {
        let old = kept.pid("edge").unwrap();
        let (done, said) = upgrade(&kept, &["--edge"]);
        assert!(done, "{said}");
        let now = kept.pid("edge").unwrap();
        assert_ne!(now, old);
        assert_eq!(
            standing(&kept),
            Standing { pid: now.as_raw_nonzero().get().cast_unsigned(), connections: 0, draining: vec![] }
        );
        assert_eq!((kept.pid("server"), kept.pid("agent")), (server, agent));
    }
    assert_eq!(kept.processes("naru\0role\0keeper\0"), 1);
    kept.end();
    assert_eq!(kept.processes("naru\0role\0"), 0);
}

#[tokio::test]
async fn roles_without_a_keeper_are_upgraded_too() {
    let mut kept = Kept::new();
    kept.start("ready");
    let before = ROLES.map(|role| kept.pid(role).unwrap());
    let mut keeper = kept.keeper.take().unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    let (done, said) = upgrade(&kept, &[]);
    assert!(done, "{said}");
    for (role, old) in ROLES.into_iter().zip(before) {
        assert_ne!(kept.pid(role).unwrap(), old, "the {role} is new");
    }
    let mut shutdown = kept.command();
    assert!(shutdown.arg("shutdown").status().unwrap().success());
    assert_eq!(kept.processes("naru\0role\0"), 0);
    for old in before {
        wait_for_end(&kept, old);
    }
}
