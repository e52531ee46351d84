//! From a fork to the instance's program: everything inherited is put back to what a program may expect.
//!
//! The child waits for a byte before it goes on. By then its pid is on disk, so that a shim that dies in
//! between leaves either a child that ends by itself or a running one that can be found.

use super::plumbing::{null, redirect, wait_readable};
use crate::folder::LaunchRecord;
use crate::user::Identity;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A working folder on a dead network mount must not hold a start for ever.
const EXEC_LIMIT: Duration = Duration::from_secs(20);
/// What files a program creates may be read by all, as when a login shell starts it.
const UMASK: libc::mode_t = 0o022;
/// Bytes of the kernel's own signal set: 64 signals.
const KERNEL_SIGSET: usize = 8;

/// What a child is given.
pub(crate) struct Outputs {
    pub(crate) stdin: Inlet,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What a child reads.
pub(crate) enum Inlet {
    Nothing,
    Pipe(OwnedFd),
    /// A terminal, which becomes its own.
    Terminal(OwnedFd),
}

/// Where a child failed before its program began. One byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    Prepare = 1,
    Groups,
    Group,
    User,
    Folder,
    Program,
}

/// A failure on its way from the child.
#[derive(Clone, Copy)]
struct Failure(Stage, Errno);

/// Forks and executes `argv` as `launch` says. `record` is called with the child's pid before the program
/// begins. The error is a sentence: what, where, why.
pub(crate) fn spawn(
    launch: &LaunchRecord,
    argv: &[String],
    outputs: Outputs,
    record: impl FnOnce(i32) -> Result<(), String>,
) -> Result<i32, String> {
    let cannot = |error: Errno| format!("cannot start a process: {}", io::Error::from(error));
    let prepared = Prepared::new(launch, argv)?;
    let (go_read, go_write) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot)?;
    let (failed_read, failed_write) = pipe_with(PipeFlags::CLOEXEC).map_err(cannot)?;
    // SAFETY: a shim has one thread until its first child runs, so the child may do as it likes.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(format!("cannot start a process: {}", io::Error::last_os_error())),
        0 => {
            drop((go_write, failed_read));
            let failure = prepared.become_program(&go_read, outputs);
            let mut message = vec![failure.0 as u8];
            message.extend(failure.1.raw_os_error().to_ne_bytes());
            let _ = rustix::io::write(&failed_write, &message);
            // SAFETY: ends the child without the parent's destructors.
            unsafe { libc::_exit(127) }
        }
        _ => drop((go_read, failed_write, outputs)),
    }
    record(pid)?;
    let _ = rustix::io::write(&go_write, &[1]);
    if !wait_readable(&failed_read, EXEC_LIMIT).unwrap_or(true) {
        return Err(format!("{} did not begin within {} s", prepared.said(), EXEC_LIMIT.as_secs()));
    }
    let mut message = [0u8; 5];
    match rustix::io::read(&failed_read, &mut message) {
        Ok(5) => Err(prepared.explain(message)),
        _ => Ok(pid),
    }
}

/// All that the child needs, allocated before the fork.
struct Prepared<'a> {
    launch: &'a LaunchRecord,
    argv: Vec<CString>,
    environment: Vec<CString>,
    programs: Vec<CString>,
    working_dir: CString,
}

impl<'a> Prepared<'a> {
    fn new(launch: &'a LaunchRecord, argv: &[String]) -> Result<Prepared<'a>, String> {
        let zero = |_| "a zero byte cannot stand in a command, an environment or a path".to_owned();
        let c = |text: &str| CString::new(text).map_err(zero);
        let program = argv.first().filter(|name| !name.is_empty()).ok_or("the command is empty")?;
        let pairs = launch.environment.iter();
        Ok(Prepared {
            launch,
            argv: argv.iter().map(|word| c(word)).collect::<Result<_, _>>()?,
            environment: pairs
                .map(|(name, value)| c(&format!("{name}={value}")))
                .collect::<Result<_, _>>()?,
            programs: candidates(program, launch).iter().map(|path| c(path)).collect::<Result<_, _>>()?,
            working_dir: CString::new(launch.working_dir.as_os_str().as_bytes()).map_err(zero)?,
        })
    }

    /// Returns only if it failed.
    fn become_program(&self, go: &OwnedFd, outputs: Outputs) -> Failure {
        let mut byte = [0u8; 1];
        // The shim is gone, or could not record us: end without a trace.
        if !matches!(rustix::io::read(go, &mut byte), Ok(1)) {
            // SAFETY: as above.
            unsafe { libc::_exit(127) }
        }
        match self.set_up(outputs) {
            Ok(()) => Failure(Stage::Program, self.execute()),
            Err(failure) => failure,
        }
    }

    fn set_up(&self, outputs: Outputs) -> Result<(), Failure> {
        let prepare = |error: io::Error| {
            Failure(Stage::Prepare, Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))
        };
        // SAFETY: plain system calls on this process alone.
        unsafe {
            libc::setsid();
            libc::umask(UMASK);
        }
        match &outputs.stdin {
            Inlet::Nothing => redirect(null().map_err(prepare)?, 0),
            Inlet::Pipe(stdin) | Inlet::Terminal(stdin) => redirect(stdin, 0),
        }
        .map_err(prepare)?;
        redirect(&outputs.stdout, 1).and_then(|()| redirect(&outputs.stderr, 2)).map_err(prepare)?;
        if matches!(outputs.stdin, Inlet::Terminal(_)) {
            // SAFETY: a plain call on this process's own descriptor; its session is new, and has no terminal yet.
            check(Stage::Prepare, || unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
        }
        reset_signals();
        if let Some(identity) = &self.launch.identity {
            become_user(identity)?;
        }
        // As the user: a folder that only the agent may enter is no working folder.
        check(Stage::Folder, || unsafe { libc::chdir(self.working_dir.as_ptr()) })?;
        // SAFETY: marks every other descriptor to be closed by exec; none is used after it but by exec.
        unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        Ok(())
    }

    /// Tries the places of the program in turn, as execvp does; the telling error is the first that is not
    /// "no such file".
    fn execute(&self) -> Errno {
        let argv = pointers(&self.argv);
        let environment = pointers(&self.environment);
        let mut telling = Errno::NOENT;
        for program in &self.programs {
            // SAFETY: null-terminated arrays of strings that live until the call returns.
            unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
            let error = last_errno();
            if telling == Errno::NOENT && error != Errno::NOTDIR {
                telling = error;
            }
        }
        telling
    }

    fn said(&self) -> String {
        format!("program {:?}", self.argv[0].to_string_lossy())
    }

    fn explain(&self, message: [u8; 5]) -> String {
        let code = i32::from_ne_bytes([message[1], message[2], message[3], message[4]]);
        let why = io::Error::from_raw_os_error(code);
        let user = self.launch.identity.as_ref().map_or("", |identity| identity.said.as_str());
        let directory = self.launch.working_dir.display();
        match message[0] {
            stage if stage == Stage::Groups as u8 => {
                format!("cannot take the groups of user {user:?}: {why}")
            }
            stage if stage == Stage::Group as u8 => format!("cannot take the group of user {user:?}: {why}"),
            stage if stage == Stage::User as u8 => format!("cannot become user {user:?}: {why}"),
            stage if stage == Stage::Folder as u8 => format!("cannot enter working_dir {directory}: {why}"),
            stage if stage == Stage::Program as u8 => self.explain_program(code),
            _ => format!("cannot set up {}: {why}", self.said()),
        }
    }

    fn explain_program(&self, code: i32) -> String {
        let (said, directory) = (self.said(), self.launch.working_dir.display());
        let bare = !self.argv[0].as_bytes().contains(&b'/');
        let path = self.launch.environment.get("PATH").map_or("", String::as_str);
        let there = || self.programs.iter().any(|program| self.path_of(program).exists());
        match code {
            libc::ENOENT if there() => {
                format!(
                    "{said} is there, and the interpreter that its first line (or its ELF header) names is not"
                )
            }
            libc::ENOENT if bare => format!("{said} not found in PATH ({path})"),
            libc::ENOENT => format!("{said} not found (working_dir {directory})"),
            libc::EACCES => format!(
                "{said}: permission denied (not a file, not executable, or in a folder that is closed to the user; working_dir {directory})"
            ),
            libc::ENOEXEC => format!(
                "{said} is no program for this machine (a script needs a first line such as #!/bin/sh)"
            ),
            libc::E2BIG => format!("{said}: command and environment are too long for the kernel"),
            other => format!("{said} (working_dir {directory}): {}", io::Error::from_raw_os_error(other)),
        }
    }

    fn path_of(&self, program: &CString) -> PathBuf {
        self.launch.working_dir.join(Path::new(std::ffi::OsStr::from_bytes(program.as_bytes())))
    }
}

/// Where a program may be: one place if it is named with a slash, else one for each entry of `PATH`.
fn candidates(program: &str, launch: &LaunchRecord) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = launch.environment.get("PATH").map_or("", String::as_str);
    let place = |entry: &str| format!("{}/{program}", if entry.is_empty() { "." } else { entry });
    path.split(':').map(place).collect()
}

fn become_user(identity: &Identity) -> Result<(), Failure> {
    // SAFETY: plain system calls on this process, which has one thread.
    check(Stage::Groups, || unsafe { libc::setgroups(identity.groups.len(), identity.groups.as_ptr()) })?;
    // SAFETY: as above.
    check(Stage::Group, || unsafe { libc::setresgid(identity.gid, identity.gid, identity.gid) })?;
    // SAFETY: as above.
    check(Stage::User, || unsafe { libc::setresuid(identity.uid, identity.uid, identity.uid) })
}

/// Every disposition as at boot, nothing blocked: the shim blocks all, and Rust ignores SIGPIPE.
fn reset_signals() {
    // The kernel's sigaction is 32 bytes on all that Linux runs on, and zeros mean the default. Asked
    // directly, since the C library keeps signals 32 and 33 to itself.
    let default = [0u64; 8];
    // SAFETY: the structure outlives the call; the set is filled in before use. SIGKILL and SIGSTOP refuse.
    unsafe {
        for signal in 1..=64 {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), old, KERNEL_SIGSET);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

fn check(stage: Stage, call: impl Fn() -> libc::c_int) -> Result<(), Failure> {
    if call() == 0 { Ok(()) } else { Err(Failure(stage, last_errno())) }
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}
