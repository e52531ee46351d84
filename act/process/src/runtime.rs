//! The agent's side: starts, signals, watches and forgets instances.

use crate::adopt::{Found, FoundState, scan};
use crate::attach::{AttachOrder, attach};
use crate::error::Doing;
use crate::exec::exec;
use crate::folder::{Durable, Folder, METADATA, StateRecord, make_private_dir};
use crate::pid::{Sent, send};
use crate::start::start;
use crate::sweep::Left;
use crate::watch::{End, Watched, follow};
use crate::{AttachError, Error, Launch, Signal, StartError, session};
use naru_logs::KeepLogs;
use naru_model::{Exit, InstanceId, Time};
use naru_reach::{Attached, Size};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Ends that wait to be taken; past so many, the watches wait, and nothing is lost.
const MAX_EVENTS: usize = 1024;
/// A shim kills for 5 s at most, a watch for another 5.
const KILL_LIMIT: Duration = Duration::from_secs(12);

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

/// Starts, signals, watches and forgets instances. A cheap handle: clones share one runtime.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

/// What the handles share.
pub(crate) struct Inner {
    dir: PathBuf,
    shim: Vec<String>,
    running: Mutex<HashMap<InstanceId, Arc<Watched>>>,
    pub(crate) events: mpsc::Sender<Ended>,
}

impl Runtime {
    /// Opens `dir` (made with mode 0700 if missing) and adopts what runs there. `shim` is the command
    /// line that leads to [`crate::shim_main`], such as `["/proc/self/exe", "shim"]`.
    ///
    /// One runtime per folder at a time is the caller's business. Call within a tokio runtime with IO and
    /// time enabled.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub async fn open(dir: &Path, shim: &[String]) -> Result<(Runtime, Vec<Adopted>, Events), Error> {
        let dir = std::path::absolute(dir).doing(|| format!("find {}", dir.display()))?;
        make_private_dir(&dir)?;
        let (events, ended) = mpsc::channel(MAX_EVENTS);
        let inner = Inner { dir: dir.clone(), shim: shim.to_vec(), running: Mutex::default(), events };
        let runtime = Runtime { inner: Arc::new(inner) };
        let found = blocking(move || scan(&dir)).await??;
        let adopted = found.into_iter().map(|found| runtime.adopt(found)).collect::<Result<_, _>>()?;
        Ok((runtime, adopted, Events { ended }))
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
        self.begin(id, launch, metadata, None).await.map(|(started, _)| started)
    }

    /// The same for somebody who has its streams from its first byte on, with a terminal of that size if there is one. What it
    /// writes is in its log, too. It is hung up on when what is returned is dropped before its end, and when the agent dies.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn start_attached(
        &self,
        id: &InstanceId,
        launch: &Launch,
        metadata: &[u8],
        terminal: Option<Size>,
    ) -> Result<(Started, Attached), StartError> {
        let (ours, theirs) = session::streams(launch, terminal)?;
        let (started, watched) = self.begin(id, launch, metadata, Some(theirs)).await?;
        Ok((started, session::attached(ours, watched)))
    }

    async fn begin(
        &self,
        id: &InstanceId,
        launch: &Launch,
        metadata: &[u8],
        theirs: Option<session::Theirs>,
    ) -> Result<(Started, Arc<Watched>), StartError> {
        let folder = self.folder(id)?;
        if self.inner.running().contains_key(id) {
            return Err(StartError::AlreadyRunning(id.clone()));
        }
        let (inner, id, launch, metadata) =
            (self.inner.clone(), id.clone(), launch.clone(), metadata.to_vec());
        // A task of its own: the run must be watched even if nobody awaits its start any more.
        let whole = tokio::spawn(async move {
            let (shims, named, place) = (inner.clone(), id.clone(), folder.clone());
            let begun = move || start(&shims.shim, (&named, &place), &launch, &metadata, theirs);
            let state = blocking(begun).await??;
            let StateRecord { run, main, started, warnings, .. } = state.clone();
            let watched = follow(&inner, id, folder, state)?;
            Ok((Started { pid: main.pid as u32, run, at: started, warnings }, watched))
        });
        whole.await.doing(|| "start an instance".to_owned())?
    }

    /// Sends a signal to the main process.
    ///
    /// # Errors
    /// It is not running, or the agent may not signal it.
    pub async fn signal(&self, id: &InstanceId, signal: Signal) -> Result<(), Error> {
        let watched = self.watched(id)?;
        let main = watched.main.as_ref().ok_or_else(|| Error::NotRunning(id.clone()))?;
        match send(main, signal).doing(|| format!("send {signal} to instance {id}"))? {
            Sent::Yes => Ok(()),
            Sent::Gone => Err(Error::NotRunning(id.clone())),
        }
    }

    /// Kills all processes of the instance and returns when none is left. The event comes as for any end.
    ///
    /// # Errors
    /// It is not running, or something of it is stuck in the kernel for more than 12 s.
    pub async fn kill(&self, id: &InstanceId) -> Result<(), Error> {
        let watched = self.watched(id)?;
        let mut end = watched.end.subscribe();
        // The rest is the shim's part, or the watch's where there is no shim.
        if let Some(main) = &watched.main {
            send(main, Signal::KILL).doing(|| format!("kill instance {id}"))?;
        }
        let ended = tokio::time::timeout(KILL_LIMIT, end.wait_for(Option::is_some)).await;
        let left = |end: watch::Ref<'_, Option<End>>| end.as_ref().map(|end| end.left);
        match ended.ok().and_then(Result::ok).and_then(left) {
            Some(Left::Nothing) => Ok(()),
            Some(Left::Something) | None => Err(Error::Survives(id.clone())),
        }
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
        let watched = self.watched(id)?;
        exec(&self.inner.shim, watched.folder.path(), argv, timeout).await
    }

    /// Runs a command with the instance's environment, working folder, user and limits, for somebody who is attached to it. When
    /// it ends, what it has started is ended too; it is hung up on when what is returned is dropped, and when the agent dies.
    ///
    /// # Errors
    /// The instance is not running, or the command cannot be started.
    pub async fn attach(&self, id: &InstanceId, order: &AttachOrder) -> Result<Attached, AttachError> {
        let watched = self.watched(id)?;
        attach(&self.inner.shim, watched.folder.path(), order, watched.end.subscribe()).await
    }

    /// Forgets an instance that has ended: removes its files. An instance that is not there is no error.
    ///
    /// # Errors
    /// It is running, or a file cannot be removed.
    pub async fn remove(&self, id: &InstanceId, logs: KeepLogs) -> Result<(), Error> {
        let folder = self.folder(id)?;
        if self.inner.running().contains_key(id) {
            return Err(Error::StillRunning(id.clone()));
        }
        let id = id.clone();
        blocking(move || remove(&folder, &id, logs)).await?
    }

    /// Replaces the metadata of an instance, running or not.
    ///
    /// # Errors
    /// There is no such instance, or it cannot be written.
    pub async fn update_metadata(&self, id: &InstanceId, metadata: &[u8]) -> Result<(), Error> {
        let (folder, metadata) = (self.folder(id)?, metadata.to_vec());
        blocking(move || folder.write(METADATA, &metadata, Durable::No)).await?
    }

    /// The folder that [`naru_logs::LogReader`] reads.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    fn adopt(&self, found: Found) -> Result<Adopted, Error> {
        let Found { id, folder, run, metadata, state } = found;
        let state = match state {
            FoundState::Ended(exit, at) => AdoptedState::Ended { exit, at },
            FoundState::Running(state) => {
                let (pid, started) = (state.main.pid as u32, state.started);
                follow(&self.inner, id.clone(), folder, state)?;
                AdoptedState::Running { pid, started }
            }
        };
        Ok(Adopted { id, run, metadata, state })
    }

    fn folder(&self, id: &InstanceId) -> Result<Folder, Error> {
        Folder::of(&self.inner.dir, id)
    }

    /// The shim of an instance that runs.
    pub(crate) fn shim_of(&self, id: &InstanceId) -> Option<i32> {
        self.inner.running().get(id).map(|watched| watched.state.shim.pid)
    }

    fn watched(&self, id: &InstanceId) -> Result<Arc<Watched>, Error> {
        self.folder(id)?;
        self.inner.running().get(id).cloned().ok_or_else(|| Error::NotRunning(id.clone()))
    }
}

impl Inner {
    /// No code panics while it holds the lock, so a poisoned one is whole.
    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<InstanceId, Arc<Watched>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(folder: &Folder, id: &InstanceId, logs: KeepLogs) -> Result<(), Error> {
    if !folder.path().exists() {
        return Ok(());
    }
    let lock = folder.lock()?.ok_or_else(|| Error::StillRunning(id.clone()))?;
    if folder.state_of(folder.last_run()).is_some_and(|state| state.is_alive()) {
        return Err(Error::StillRunning(id.clone()));
    }
    let removed = folder.remove(|name| logs == KeepLogs::Keep && naru_logs::is_log(name));
    drop(lock);
    removed
}

/// Runs what waits for the disk or for a shim where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.doing(|| "run a task".to_owned())
}
