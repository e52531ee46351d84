//! What can go wrong between the agent and its instances, one cause each.

use crate::user::UserError;
use naru_model::InstanceId;
use std::io;

/// Why an operation on an instance did not succeed. The instance is as it was, but for [`Error::Survives`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The runtime has no such instance, or its process has ended.
    #[error("instance {0} is not running")]
    NotRunning(InstanceId),
    /// It runs, and the operation needs it not to.
    #[error("instance {0} is still running: kill it first")]
    StillRunning(InstanceId),
    /// It was killed, and some of its processes are there all the same: stuck in the kernel, most likely.
    #[error(
        "instance {0} was killed, and processes of it are there still (stuck in the kernel, or stopped by a debugger)"
    )]
    Survives(InstanceId),
    /// The name is not fit for a folder.
    #[error(transparent)]
    BadId(#[from] naru_logs::BadId),
    /// The command could not be started.
    #[error("{0}")]
    Command(String),
    /// The system refused.
    #[error("{doing}: {source}")]
    System {
        /// What was tried, on what.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Why an instance did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its process, or a process of an earlier start of it, is there.
    #[error("instance {0} is already running")]
    AlreadyRunning(InstanceId),
    /// The launch asks for what this machine does not have (program, folder, user): the sentence says what
    /// and where. Another try without a change will fare no better.
    #[error("{0}")]
    Unstartable(String),
    /// The launch asks for a user that it cannot have.
    #[error(transparent)]
    User(#[from] UserError),
    /// The system refused.
    #[error(transparent)]
    System(#[from] Error),
}

/// Why nobody can be attached to a command. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// There is no such program.
    #[error("{0}")]
    NoProgram(String),
    /// It is there, and cannot be run so.
    #[error("{0}")]
    Unstartable(String),
    /// It is to run as a user that it cannot have.
    #[error(transparent)]
    User(#[from] UserError),
    /// The instance or the system is in the way.
    #[error(transparent)]
    System(#[from] Error),
}

/// Puts what was tried before what the system said.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::System { doing: what(), source: source.into() })
    }
}
