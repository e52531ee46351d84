//! Watching a run to its end.
//!
//! A shim ends when its instance has ended, and its pidfd says so. A shim that was killed leaves the main
//! process, whose pidfd is waited for next; nobody sees that one's exit status.

use crate::error::{Doing, Error};
use crate::folder::{Folder, StateRecord};
use crate::runtime::{Ended, Inner};
use crate::sweep::{Left, Seen, sweep};
use naru_model::{Exit, InstanceId};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// A run that this runtime watches.
pub(crate) struct Watched {
    pub(crate) folder: Folder,
    pub(crate) state: StateRecord,
    /// Pins the main process; `None` if it was gone already.
    pub(crate) main: Option<OwnedFd>,
    /// Its end, once it has come.
    pub(crate) end: watch::Sender<Option<End>>,
}

/// The end of a run.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// What is left of it.
    pub(crate) left: Left,
}

/// Enters a run into the runtime's books and watches it until it has ended.
pub(crate) fn follow(
    inner: &Arc<Inner>,
    id: InstanceId,
    folder: Folder,
    state: StateRecord,
) -> Result<Arc<Watched>, Error> {
    let pidfd = || format!("watch instance {id}");
    let shim = state.shim.open().doing(pidfd)?;
    let main = state.main.open().doing(pidfd)?;
    let watched = Arc::new(Watched { folder, state, main, end: watch::Sender::new(None) });
    inner.running().insert(id.clone(), watched.clone());
    let (inner, theirs) = (inner.clone(), watched.clone());
    tokio::spawn(async move { see_out(&inner, id, &theirs, shim).await });
    Ok(watched)
}

async fn see_out(inner: &Inner, id: InstanceId, watched: &Arc<Watched>, shim: Option<OwnedFd>) {
    let run = watched.state.run;
    wait_for_end(shim).await;
    if watched.folder.exit_of(run).is_none() {
        tracing::warn!(instance = %id, "its shim is gone and it runs on: its output and exit status are lost");
        // Taken only now: one descriptor fewer for each instance whose shim lives.
        wait_for_end(watched.main.as_ref().and_then(|fd| fd.try_clone().ok())).await;
    }
    let theirs = watched.clone();
    let tidied = tokio::task::spawn_blocking(move || match theirs.folder.state_of(run) {
        Some(state) => sweep(&theirs.folder, &state, Seen::JustNow),
        None => Left::Nothing,
    });
    let left = tidied.await.unwrap_or(Left::Something);
    if left == Left::Something {
        tracing::warn!(instance = %id, "it ended, and processes of it cannot be killed: stuck in the kernel");
    }
    let record = watched.folder.exit_of(run);
    let at = record.as_ref().map(|record| record.at);
    let exit = record.map_or(Exit::Unknown, |record| record.exit);
    inner.running().remove(&id);
    watched.end.send_replace(Some(End { exit: exit.clone(), left }));
    // Nobody listens any more: then nobody misses it.
    let _ = inner.events.send(Ended { id, run, exit, at }).await;
}

/// Returns at once where the process is gone already.
async fn wait_for_end(pidfd: Option<OwnedFd>) {
    let Some(pidfd) = pidfd else { return };
    // SAFETY: an OwnedFd owns its descriptor for as long as it is inside.
    match unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) } {
        Ok(async_fd) => {
            let _ = async_fd.readable().await;
            // An agent that is a container's first process is the parent of every orphan.
            let _ = waitid(
                WaitId::PidFd(async_fd.get_ref().as_fd()),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
        Err(error) => tracing::error!(%error, "cannot wait for a process"),
    }
}
