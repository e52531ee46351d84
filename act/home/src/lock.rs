//! Locks that end with their process, and tell who holds them.

use super::Role;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Pid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What only one process at a time may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Post {
    /// One life of a role.
    Role(Role),
    /// Who restarts the roles.
    Keeper,
    /// Who starts a keeper, or looks whether one is there. Held for moments.
    Start,
    /// Who names the node. Held for moments.
    Node,
}

impl Post {
    pub(crate) fn file(self) -> String {
        match self {
            Post::Role(role) => format!("{role}.lock"),
            Post::Keeper => "keeper.lock".into(),
            Post::Start => "start.lock".into(),
            Post::Node => "node.lock".into(),
        }
    }
}

/// A lock that is held until it is dropped, or its process ends. No child inherits it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    pub(crate) fn wait(path: &Path) -> io::Result<Lock> {
        let file = open(path)?;
        while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        Lock::signed(file)
    }

    /// Takes it at a path, if nobody holds it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn attempt(path: &Path) -> io::Result<Option<Lock>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Lock::signed(file).map(Some),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The process that holds it at a path, if one does. A shared lock is enough to ask; it is given up at once.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub fn holder(path: &Path) -> io::Result<Option<Pid>> {
        let mut file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text.trim().parse().ok().and_then(Pid::from_raw))
    }

    /// A lock that another process holds too, and passed on: it is nobody else's for a moment.
    ///
    /// # Errors
    /// This process cannot be written down as its holder.
    pub fn passed(file: OwnedFd) -> io::Result<Lock> {
        Lock::signed(file.into())
    }

    /// For a process that it is passed on to.
    ///
    /// # Errors
    /// The system refuses.
    pub fn pass(&self) -> io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }

    fn signed(mut file: File) -> io::Result<Lock> {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock { file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::Lock;

    #[test]
    fn one_holds_and_the_others_see_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(Lock::holder(&path).unwrap(), None);
        let held = Lock::attempt(&path).unwrap().unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        assert_eq!(Lock::holder(&path).unwrap(), Some(rustix::process::getpid()));
        let waits = std::thread::spawn({
            let path = path.clone();
            move || Lock::wait(&path).unwrap()
        });
        drop(held);
        let taken = waits.join().unwrap();
        assert!(Lock::attempt(&path).unwrap().is_none());
        drop(taken);
        assert!(Lock::attempt(&path).unwrap().is_some());
    }
}
