//! Descriptors and signals of a shim.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// A descriptor that becomes readable when a child changes.
pub(crate) struct ChildSignals {
    fd: OwnedFd,
}

impl ChildSignals {
    /// Blocks every signal, and takes SIGCHLD as something to read.
    pub(crate) fn take() -> io::Result<ChildSignals> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut child = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are filled in before they are used; signalfd returns a descriptor of our own.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::sigemptyset(child.as_mut_ptr());
            libc::sigaddset(child.as_mut_ptr(), libc::SIGCHLD);
            if libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, child.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(ChildSignals { fd: OwnedFd::from_raw_fd(fd) })
            }
        }
    }

    /// Takes what has come, so that the next poll waits for news.
    pub(crate) fn clear(&self) {
        let mut buffer = [0u8; 128];
        while rustix::io::read(&self.fd, &mut buffer).is_ok_and(|count| count > 0) {}
    }

    /// Waits for news of a child, for `limit` at most.
    pub(crate) fn wait(&self, limit: Duration) {
        let _ = wait_readable(&self.fd, limit);
        self.clear();
    }
}

impl AsFd for ChildSignals {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether `fd` became readable (or was hung up) within `limit`.
pub(crate) fn wait_readable(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = timespec(deadline.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A duration as poll takes it.
pub(crate) fn timespec(span: Duration) -> Timespec {
    Timespec { tv_sec: span.as_secs() as i64, tv_nsec: i64::from(span.subsec_nanos()) }
}

/// To a child of this process, which leads a group, and to what it runs in that group. One that has ended is not reaped yet, so
/// that its number is its own.
pub(crate) fn signal_group(leader: i32, signal: i32) {
    // SAFETY: a plain call, on a process group that a child of this process leads.
    unsafe { libc::kill(-leader, signal) };
}

/// Makes `target` (0, 1 or 2) another name of `source`.
pub(crate) fn redirect(source: impl AsFd, target: i32) -> io::Result<()> {
    use rustix::fd::AsRawFd;
    // SAFETY: `source` is open; replacing a standard descriptor is what is wanted.
    let code = unsafe { libc::dup2(source.as_fd().as_raw_fd(), target) };
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `/dev/null`, both ways.
pub(crate) fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}
