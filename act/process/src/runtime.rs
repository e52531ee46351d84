//! The agent's side: starts, signals, watches and forgets instances.

use crate::{Error, Launch, Signal, StartError};
use naru_model::{Exit, InstanceId, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// The number of a start of one instance, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunNo(pub u64);

impl fmt::Display for RunNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An instance that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its main process.
    pub pid: u32,
    /// Which start of it this was.
    pub run: RunNo,
    /// When.
    pub at: Time,
    /// What was asked for and could not be given: `memory limit not applied: …`.
    pub warnings: Vec<String>,
}

/// What an earlier agent left: one for each instance that was started and not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Which.
    pub id: InstanceId,
    /// Its last start.
    pub run: RunNo,
    /// As given to [`Runtime::start`] or [`Runtime::update_metadata`] last.
    pub metadata: Vec<u8>,
    /// Whether it runs.
    pub state: AdoptedState,
}

/// Whether an adopted instance runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptedState {
    /// It runs, and its end will come as an event.
    Running {
        /// Its main process.
        pid: u32,
        /// When it was started.
        started: Time,
    },
    /// It ended, and no event will come for this run. A start that the agent's death cut short is
    /// [`Exit::NotStarted`]; an end that nobody saw (the machine restarted) is [`Exit::Unknown`].
    Ended {
        /// How.
        exit: Exit,
        /// When, where somebody saw it.
        at: Option<Time>,
    },
}

/// A run that ended, with all of its processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which instance.
    pub id: InstanceId,
    /// Which start of it.
    pub run: RunNo,
    /// How its main process ended.
    pub exit: Exit,
    /// When, where somebody saw it.
    pub at: Option<Time>,
}

/// The ends of runs, each exactly once in the life of this runtime, for runs that [`Runtime::start`]
/// started or [`Runtime::open`] found running.
pub struct Events {
    ended: mpsc::Receiver<Ended>,
}

impl Events {
    /// The next end. `None` once the runtime and all its watches are gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<Ended> {
        self.ended.recv().await
    }
}

/// How a command in an instance's surroundings ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    /// By itself or by a signal.
    Exit(Exit),
    /// It ran past its time, and was killed with all that it started.
    TimedOut,
}

/// What a command in an instance's surroundings did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// How it ended.
    pub end: ExecEnd,
    /// The last 4 KiB of its stdout and stderr together.
    pub tail: String,
}

impl ExecOutput {
    /// Whether it ended with status 0.
    pub fn is_success(&self) -> bool {
        self.end == ExecEnd::Exit(Exit::Status(0))
    }
}

/// What becomes of an instance's log when it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepLogs {
    /// The log stays readable until a later removal deletes it.
    Keep,
    /// It is deleted.
    Delete,
}

/// Starts, signals, watches and forgets instances. A cheap handle: clones share one runtime.
#[derive(Clone)]
pub struct Runtime {
    dir: PathBuf,
}

impl Runtime {
    /// Opens `dir` (made with mode 0700 if missing) and adopts what runs there. `shim` is the command
    /// line that leads to [`crate::shim_main`], such as `["/proc/self/exe", "shim"]`.
    ///
    /// One runtime per folder at a time is the caller's business. Call within a tokio runtime with IO and time enabled.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub async fn open(dir: &Path, shim: &[String]) -> Result<(Runtime, Vec<Adopted>, Events), Error> {
        let _ = (dir, shim);
        Err(unfinished())
    }

    /// Starts an instance, or starts it again once it has ended. `metadata` is the agent's own; it is kept
    /// beside the instance and handed back by a later [`Runtime::open`].
    ///
    /// Not undone by dropping the future: then the instance is started all the same.
    ///
    /// # Errors
    /// It runs already, or its launch cannot work. Nothing of it runs then, and no event comes.
    pub async fn start(
        &self,
        id: &InstanceId,
        launch: &Launch,
        metadata: &[u8],
    ) -> Result<Started, StartError> {
        let _ = (id, launch, metadata);
        Err(unfinished().into())
    }

    /// Sends a signal to the main process.
    ///
    /// # Errors
    /// It is not running, or the agent may not signal it.
    pub async fn signal(&self, id: &InstanceId, signal: Signal) -> Result<(), Error> {
        let _ = (id, signal);
        Err(unfinished())
    }

    /// Kills all processes of the instance and returns when none is left. The event comes as for any end.
    ///
    /// # Errors
    /// It is not running, or something of it is stuck in the kernel for more than 10 s.
    pub async fn kill(&self, id: &InstanceId) -> Result<(), Error> {
        let _ = id;
        Err(unfinished())
    }

    /// Runs a command with the instance's environment, working folder, user and limits. Killed with all that
    /// it started at `timeout`, when the future is dropped, and when the agent dies.
    ///
    /// # Errors
    /// The instance is not running, or the command cannot be started.
    pub async fn exec(
        &self,
        id: &InstanceId,
        argv: &[String],
        timeout: Duration,
    ) -> Result<ExecOutput, Error> {
        let _ = (id, argv, timeout);
        Err(unfinished())
    }

    /// Forgets an instance that has ended: removes its files. An instance that is not there is no error.
    ///
    /// # Errors
    /// It is running, or a file cannot be removed.
    pub async fn remove(&self, id: &InstanceId, logs: KeepLogs) -> Result<(), Error> {
        let _ = (id, logs);
        Err(unfinished())
    }

    /// Replaces the metadata of an instance, running or not.
    ///
    /// # Errors
    /// There is no such instance, or it cannot be written.
    pub async fn update_metadata(&self, id: &InstanceId, metadata: &[u8]) -> Result<(), Error> {
        let _ = (id, metadata);
        Err(unfinished())
    }

    /// The folder that [`crate::logs::LogReader`] reads.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn unfinished() -> Error {
    Error::Command("unfinished".into())
}
