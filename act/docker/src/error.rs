//! What can go wrong between the agent and a container engine, one cause each.

use bollard::errors::Error as Said;
use naru_model::InstanceId;
use std::io;
use std::path::PathBuf;

/// Why something about a container did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No engine was found.
    #[error(
        "no container engine answers (tried {tried}): install Docker or Podman and start it, or say where it is \
         with DOCKER_HOST=unix:///PATH"
    )]
    NoEngine {
        /// The sockets that were tried, with what came of each.
        tried: String,
    },
    /// `DOCKER_HOST` names an engine elsewhere.
    #[error(
        "DOCKER_HOST is {0}: Naru uses an engine on this machine, by its socket: DOCKER_HOST=unix:///PATH, or unset it"
    )]
    Elsewhere(String),
    /// The engine does not answer, and what is asked of it may have happened or not.
    #[error("the container engine at {} does not answer: {why}", socket.display())]
    Away {
        /// Where it was.
        socket: PathBuf,
        /// What came instead of an answer.
        why: String,
    },
    /// The engine said no.
    #[error("{doing}: the container engine says: {said}")]
    Refused {
        /// What was asked, of what.
        doing: String,
        /// The status of its answer.
        status: u16,
        /// Its words.
        said: String,
    },
    /// The image cannot be had.
    #[error("{0}")]
    Image(String),
    /// The launch asks for what cannot be: another try without a change will fare no better.
    #[error("{0}")]
    Unstartable(String),
    /// Another start of the instance is there and runs.
    #[error("instance {0} is already running")]
    AlreadyRunning(InstanceId),
    /// It has no container that runs.
    #[error("instance {0} is not running")]
    NotRunning(InstanceId),
    /// It was killed, and the engine says that it runs all the same.
    #[error("instance {0} was killed, and the container engine says that it still runs")]
    Survives(InstanceId),
    /// The name is not fit for a folder.
    #[error(transparent)]
    BadId(#[from] naru_logs::BadId),
    /// A file of the runtime's could not be read or written.
    #[error("{}: {source}", path.display())]
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether the engine did not answer: then nothing is known of what was asked.
    pub fn is_away(&self) -> bool {
        matches!(self, Error::Away { .. })
    }

    /// Whether the engine said that there is no such thing.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Error::Refused { status: 404, .. })
    }

    /// Whether the engine said that the container does not run.
    pub(crate) fn is_not_running(&self) -> bool {
        let words = ["is not running", "can only kill running", "can only create exec sessions on running"];
        match self {
            Error::Refused { status: 404, .. } => true,
            Error::Refused { status: 409 | 500, said, .. } => words.iter().any(|word| said.contains(word)),
            _ => false,
        }
    }
}

/// Puts what was tried before what the engine said.
pub(crate) trait Doing<T> {
    fn doing(self, socket: &std::path::Path, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, Said> {
    fn doing(self, socket: &std::path::Path, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|said| match said {
            Said::DockerResponseServerError { status_code: status, message } => {
                Error::Refused { doing: what(), status, said: message.trim().to_owned() }
            }
            Said::DockerStreamError { error } => Error::Refused { doing: what(), status: 500, said: error },
            other => Error::Away { socket: socket.to_owned(), why: format!("{}: {}", what(), whole(&other)) },
        })
    }
}

/// An error with all that caused it: the outermost alone says "client error".
fn whole(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = inner.source();
    }
    said
}
