//! A shim's life: detach, start the instance, keep its log, see it out.

use super::STREAMS;
use super::child::{self, Inlet, Outputs};
use super::plumbing::{ChildSignals, null, redirect};
use super::pump::{Origin, Pump};
use super::reap::{Children, become_subreaper, kill_descendants};
use crate::cgroup::{self, Removed};
use crate::folder::{ExitRecord, Folder, LAUNCH, LaunchRecord, STATE, StateRecord, now};
use crate::pid::{ProcessRef, boot_id};
use naru_logs::{Log, Queue, Stream};
use naru_model::{Exit, SessionKind};
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

/// What a shim tells the agent, once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program runs.
    Running(StateRecord),
    /// It could not be started: the launch asks for what is not there.
    Unstartable(String),
    /// The shim itself could not do its part.
    Failed(String),
}

/// Why nothing was started.
enum Fault {
    Launch(String),
    Own(String),
}

/// The instance, from its start on.
struct Running {
    state: StateRecord,
    pump: Pump,
}

pub(crate) fn run(folder: &Folder) -> ExitCode {
    let (lock, report) = match detach() {
        Ok(Role::Parent) => return ExitCode::SUCCESS,
        Ok(Role::Shim { lock, report }) => (lock, report),
        Err(error) => {
            eprintln!("shim: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = hold(folder, report);
    // Held to the very end: whoever takes it next finds nothing of this run.
    drop(lock);
    code
}

enum Role {
    Parent,
    Shim { lock: OwnedFd, report: File },
}

/// Leaves the agent: its process tree, its terminal, its signals, its folder, its descriptors.
fn detach() -> io::Result<Role> {
    // SAFETY: the process has one thread, as `shim_main` demands.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        _ => return Ok(Role::Parent),
    }
    rustix::process::setsid()?;
    let lock = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let report = File::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?);
    redirect(null()?, 0)?;
    redirect(null()?, 1)?;
    std::env::set_current_dir("/")?;
    // SAFETY: sets allocator options and the process's name; no pointer outlives the calls.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::prctl(libc::PR_SET_NAME, c"naru-shim".as_ptr());
    }
    Ok(Role::Shim { lock, report })
}

fn hold(folder: &Folder, report: File) -> ExitCode {
    let signals = match ChildSignals::take().and_then(|signals| become_subreaper().map(|()| signals)) {
        Ok(signals) => signals,
        Err(error) => return tell(report, &Report::Failed(format!("the shim cannot take signals: {error}"))),
    };
    let Some(launch) = folder.read::<LaunchRecord>(LAUNCH) else {
        return tell(report, &Report::Failed(format!("{} is unreadable", folder.file(LAUNCH).display())));
    };
    match start(folder, &launch, &signals) {
        Ok(running) => {
            tell(report, &Report::Running(running.state.clone()));
            see_out(folder, running, &signals)
        }
        Err(fault) => {
            let (why, say): (_, fn(String) -> Report) = match fault {
                Fault::Launch(why) => (why, Report::Unstartable),
                Fault::Own(why) => (why, Report::Failed),
            };
            let exit = ExitRecord { run: launch.run, exit: Exit::NotStarted(why.clone()), at: now() };
            let _ = folder.write_exit(&exit);
            folder.clear_state();
            tell(report, &say(why))
        }
    }
}

/// The agent may be gone; then the folder tells the next one.
fn tell(mut report: File, what: &Report) -> ExitCode {
    let json = serde_json::to_vec(what).unwrap_or_default();
    let _ = report.write_all(&json);
    ExitCode::SUCCESS
}

fn start(folder: &Folder, launch: &LaunchRecord, signals: &ChildSignals) -> Result<Running, Fault> {
    let own = |error: io::Error| Fault::Own(format!("the shim of {}: {error}", folder.path().display()));
    folder.reserve_exit().map_err(|error| Fault::Own(error.to_string()))?;
    let log = Log::open(folder.path(), launch.log).map_err(own)?;
    let (outputs, origins) = lay(launch.session).map_err(own)?;
    let groups = cgroup::prepare(&group_name(folder), &launch.resources);
    let mut state = None;
    let spawned = child::spawn(launch, &launch.argv, outputs, |pid| {
        let mut warnings = groups.warnings.clone();
        let failed = cgroup::enter(&groups.groups, pid);
        // Without a limit the group is a mere aid, and its absence nobody's concern.
        warnings.extend(failed.into_iter().filter(|_| launch.resources != Default::default()));
        let record =
            record(launch, pid, groups.groups.clone(), warnings).map_err(|error| error.to_string())?;
        folder.write_record(STATE, &record).map_err(|error| error.to_string())?;
        state = Some(record);
        Ok(())
    });
    match (spawned, state) {
        (Ok(_), Some(state)) => {
            let queue = Queue::start(log).map_err(own)?;
            Ok(Running { state, pump: Pump::new(origins, queue) })
        }
        (spawned, state) => {
            let main = state.as_ref().map_or(0, |state| state.main.pid);
            kill_descendants(signals, main);
            cgroup::remove(&groups.groups);
            let why = spawned.err().unwrap_or_default();
            Err(if state.is_some() { Fault::Launch(why) } else { Fault::Own(why) })
        }
    }
}

/// The instance's streams, and where its output is read.
fn lay(session: Option<SessionKind>) -> io::Result<(Outputs, Vec<Origin>)> {
    // SAFETY: the agent put them there, and nobody else in this process has them.
    let given = || STREAMS.map(|number| unsafe { OwnedFd::from_raw_fd(number) });
    match session {
        None => lay_pipes(Inlet::Nothing, [None, None]),
        Some(SessionKind::Pipes) => {
            let [stdin, out, err] = given();
            lay_pipes(Inlet::Pipe(stdin), [Some(out), Some(err)])
        }
        Some(SessionKind::Terminal) => {
            let [terminal, copy, screen] = given();
            let (stdout, stderr) = (terminal.try_clone()?, terminal.try_clone()?);
            let outputs = Outputs { stdin: Inlet::Terminal(terminal), stdout, stderr };
            Ok((outputs, vec![Origin { from: screen, stream: Stream::Stdout, copy: Some(copy) }]))
        }
    }
}

/// With two pipes for what it writes, each of which may have a copy.
fn lay_pipes(stdin: Inlet, copies: [Option<OwnedFd>; 2]) -> io::Result<(Outputs, Vec<Origin>)> {
    let (out, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
    let (err, stderr) = pipe_with(PipeFlags::CLOEXEC)?;
    let [of_out, of_err] = copies;
    let out = Origin { from: out, stream: Stream::Stdout, copy: of_out };
    let err = Origin { from: err, stream: Stream::Stderr, copy: of_err };
    Ok((Outputs { stdin, stdout, stderr }, vec![out, err]))
}

fn record(
    launch: &LaunchRecord,
    pid: i32,
    cgroups: Vec<std::path::PathBuf>,
    warnings: Vec<String>,
) -> io::Result<StateRecord> {
    Ok(StateRecord {
        run: launch.run,
        boot: boot_id().to_owned(),
        shim: ProcessRef::of(std::process::id() as i32)?,
        main: ProcessRef::of(pid)?,
        started: now(),
        cgroups,
        warnings,
    })
}

/// Unique on the machine: two agents' folders may hold instances of one name.
fn group_name(folder: &Folder) -> String {
    let name = folder.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (dev, ino) = std::fs::metadata(folder.path()).map_or((0, 0), |meta| (meta.dev(), meta.ino()));
    format!("{name}.{dev:x}-{ino:x}")
}

/// Keeps the log until the main process ends, then ends the rest.
fn see_out(folder: &Folder, mut running: Running, signals: &ChildSignals) -> ExitCode {
    let (state, pump) = (&running.state, &mut running.pump);
    let exit = pump.run_until_exit(signals, state.main.pid);
    // First of all: a shim killed after this line loses nothing that matters.
    let record = ExitRecord { run: state.run, exit, at: now() };
    let written = folder.write_exit(&record);
    cgroup::kill(&state.cgroups);
    let left = kill_descendants(signals, state.main.pid).children;
    pump.finish();
    // Otherwise the state stays, and tells the agent to look after the rest.
    if left == Children::None && cgroup::remove(&state.cgroups) == Removed::All {
        folder.clear_state();
    }
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shim: {error}");
            ExitCode::FAILURE
        }
    }
}
