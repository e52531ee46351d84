//! A terminal that is not there: one end for the command, the other for whoever it is attached to.

use naru_reach::Size;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::ptr::{null, null_mut};
use tokio::io::unix::AsyncFd;

/// The end for whoever is attached.
pub(crate) struct Pty {
    fd: AsyncFd<OwnedFd>,
}

/// Makes both ends; the second is the command's.
///
/// # Errors
/// The system has none left.
pub(crate) fn open(size: Size) -> io::Result<(Pty, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    // SAFETY: both numbers live until the call returns, and it takes null for all else.
    if unsafe { libc::openpty(&mut master, &mut slave, null_mut(), null(), null()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made both, and nobody else has them.
    let (master, slave) = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
    for end in [&master, &slave] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
    }
    rustix::io::ioctl_fionbio(&master, true)?;
    // SAFETY: an owned descriptor names the same open file for as long as it is owned.
    let fd = unsafe { AsyncFd::register(master) }.map_err(io::Error::from)?;
    let pty = Pty { fd };
    pty.resize(size)?;
    Ok((pty, slave))
}

/// Gives the command's end to a user, so that programs may open it by its name.
pub(crate) fn give(slave: impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: a plain call on a descriptor that is open.
    let code = unsafe { libc::fchown(slave.as_fd().as_raw_fd(), uid, gid) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Pty {
    pub(crate) fn resize(&self, size: Size) -> io::Result<()> {
        let size = Winsize { ws_row: size.lines, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.fd.get_ref(), size)?)
    }

    /// Another descriptor of this end.
    pub(crate) fn another(&self) -> io::Result<OwnedFd> {
        Ok(rustix::io::fcntl_dupfd_cloexec(self.fd.get_ref(), 3)?)
    }

    /// What the command wrote; nothing at its end. Safe to cancel.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> usize {
        loop {
            let Ok(mut ready) = self.fd.readable().await else { return 0 };
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?));
            match read {
                Ok(Ok(count)) => return count,
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                // The kernel's word for a terminal that nobody has open any more.
                Ok(Err(_)) => return 0,
                Err(_not_ready) => {}
            }
        }
    }

    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.fd.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(Ok(count)) => bytes = &bytes[count..],
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_not_ready) => {}
            }
        }
        Ok(())
    }
}
