//! What an earlier agent left: read from each instance's folder, believed only where it can be verified.

use crate::error::{Doing, Error};
use crate::folder::{Folder, LAUNCH, METADATA, StateRecord};
use crate::pid::pause;
use crate::runtime::RunNo;
use crate::sweep::{Seen, sweep};
use naru_model::{Exit, InstanceId, Time};
use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// A start that an agent's death left half done is decided within the shim's own bound of 20 s.
const DECISION_LIMIT: Duration = Duration::from_secs(30);
/// Between one look at a start under way and the next.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An instance as it was found.
pub(crate) struct Found {
    pub(crate) id: InstanceId,
    pub(crate) folder: Folder,
    pub(crate) run: RunNo,
    pub(crate) metadata: Vec<u8>,
    pub(crate) state: FoundState,
}

/// Whether it runs.
pub(crate) enum FoundState {
    Running(StateRecord),
    Ended(Exit, Option<Time>),
}

/// What the folder's lock says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shim {
    Alive,
    Gone,
}

/// Looks at every instance of `dir`. Blocks.
pub(crate) fn scan(dir: &Path) -> Result<Vec<Found>, Error> {
    let failed = || format!("read {}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).doing(failed)? {
        let name = entry.doing(failed)?.file_name();
        let Some(id) = name.to_str().map(InstanceId::from) else { continue };
        // What is no instance's folder, or holds a kept log only, is nobody's concern.
        let Ok(folder) = Folder::of(dir, &id) else { continue };
        if let Some(instance) = look(id, folder)? {
            found.push(instance);
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn look(id: InstanceId, folder: Folder) -> Result<Option<Found>, Error> {
    #[derive(Deserialize)]
    struct Run {
        run: RunNo,
    }
    if !folder.file(LAUNCH).exists() {
        return Ok(None);
    }
    // Unreadable after a loss of power: the other records tell the run.
    let run = folder.read::<Run>(LAUNCH).map_or_else(|| folder.last_run(), |record| record.run);
    let state = decide(&folder, run)?;
    let metadata = std::fs::read(folder.file(METADATA)).unwrap_or_default();
    Ok(Some(Found { id, folder, run, metadata, state }))
}

fn decide(folder: &Folder, run: RunNo) -> Result<FoundState, Error> {
    let deadline = Instant::now() + DECISION_LIMIT;
    loop {
        // The lock first: once no shim is there, the records change no more.
        let shim = if folder.lock()?.is_some() { Shim::Gone } else { Shim::Alive };
        let (state, exit) = (folder.state_of(run), folder.exit_of(run));
        match (shim, state, exit) {
            (Shim::Alive, Some(state), _) => return Ok(FoundState::Running(state)),
            (Shim::Alive, None, _) if Instant::now() < deadline => pause(LOOK_AGAIN),
            (Shim::Alive, None, _) => {
                let why = format!("its shim has not answered within {} s", DECISION_LIMIT.as_secs());
                return Ok(FoundState::Ended(Exit::NotStarted(why), None));
            }
            (Shim::Gone, Some(state), None) if state.is_alive() => return Ok(FoundState::Running(state)),
            (Shim::Gone, state, exit) => {
                return Ok(ended(folder, state, exit.map(|exit| (exit.exit, exit.at))));
            }
        }
    }
}

fn ended(folder: &Folder, state: Option<StateRecord>, exit: Option<(Exit, Time)>) -> FoundState {
    if let Some(state) = &state {
        sweep(folder, state, Seen::LongAgo);
    }
    match (exit, state) {
        (Some((exit, at)), _) => FoundState::Ended(exit, Some(at)),
        (None, Some(_)) => FoundState::Ended(Exit::Unknown, None),
        (None, None) => {
            FoundState::Ended(Exit::NotStarted("the agent ended before it was started".into()), None)
        }
    }
}
