//! What the agent writes down: a memory for each instance, the generation it has applied, and whose logs
//! of instances that are gone are still kept. Files are private, and written whole.
//!
//! Nothing is synced: what matters is that it outlives the agent, and a machine that goes down takes the
//! instances with it. (Leases are another matter, and `naru-work` syncs them.)

use super::AgentError;
use naru_model::{Generation, InstanceId, Time};
use naru_supervise::Memory;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Logs of so many instances that are gone are kept for each service.
const KEPT_LOGS: usize = 5;

/// The agent's files.
pub(super) struct Keep {
    instances: PathBuf,
    state: PathBuf,
    pub(super) general: General,
}

/// What is not about one instance.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct General {
    /// The desired state that was applied last.
    pub(super) applied: Generation,
    /// The number of the last life of the agent.
    incarnation: u64,
    /// By service, instances that are gone and whose logs are kept, oldest first.
    departed: BTreeMap<String, VecDeque<InstanceId>>,
}

impl Keep {
    /// Opens the files below `dir`, and reads every memory. One that makes no sense is moved aside.
    pub(super) fn open(dir: &Path) -> Result<(Keep, Vec<Memory>), AgentError> {
        let instances = dir.join("memory");
        make_folder(&instances)?;
        let state = dir.join("state.json");
        let general = read(&state)?.unwrap_or_default();
        let mut memories = Vec::new();
        for entry in fs::read_dir(&instances).map_err(disk(&instances))? {
            let path = entry.map_err(disk(&instances))?.path();
            if path.extension().is_some_and(|suffix| suffix == "json") {
                memories.extend(read(&path)?);
            }
        }
        Ok((Keep { instances, state, general }, memories))
    }

    /// The number of the life that begins now: the clock's milliseconds, and in any case greater than that of
    /// the one before, even if the clock was set back, since the server drops an older life's reports.
    pub(super) fn begin(&mut self, now: Time) -> Result<u64, AgentError> {
        self.general.incarnation = now.0.max(self.general.incarnation.saturating_add(1));
        write(&self.state, &self.general)?;
        Ok(self.general.incarnation)
    }

    /// Writes down the memory of an instance.
    pub(super) fn save(&self, memory: &Memory) -> Result<(), AgentError> {
        write(&self.file(&memory.id), memory)
    }

    /// Writes down that `generation` is applied.
    pub(super) fn applied(&mut self, generation: Generation) -> Result<(), AgentError> {
        self.general.applied = generation;
        write(&self.state, &self.general)
    }

    /// Forgets an instance. Returns those of its service whose logs are now too many; one-offs are counted apart.
    pub(super) fn forget(&mut self, memory: &Memory) -> Result<Vec<InstanceId>, AgentError> {
        let path = self.file(&memory.id);
        let kind = if memory.desired.one_off.is_some() { ".one-off" } else { "" };
        let service = format!("{}.{}{kind}", memory.desired.stack, memory.desired.service);
        let departed = self.general.departed.entry(service).or_default();
        if !memory.desired.one_off.is_some_and(|terms| terms.forget) {
            departed.push_back(memory.id.clone());
        }
        let surplus = departed.len().saturating_sub(KEPT_LOGS);
        let surplus = departed.drain(..surplus).collect();
        write(&self.state, &self.general)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(&path)(error)),
            _ => Ok(surplus),
        }
    }

    fn file(&self, id: &InstanceId) -> PathBuf {
        self.instances.join(format!("{id}.json"))
    }
}

/// Takes the lock of an agent's folder, which is made if missing.
pub(super) async fn lock(dir: &Path, patience: Duration) -> Result<File, AgentError> {
    make_folder(dir)?;
    let path = dir.join("lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(disk(&path))?;
    let deadline = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(disk(&path)(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(AgentError::Taken(dir.to_owned()));
            }
            // flock has no way to wait without a thread.
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Makes a folder that only its owner enters.
pub(super) fn make_folder(path: &Path) -> Result<(), AgentError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(disk(path))
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> AgentError + '_ {
    move |source| AgentError::Disk { path: path.to_owned(), source }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, AgentError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(disk(path))?,
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "makes no sense, and is moved aside");
            fs::rename(path, path.with_extension("unreadable")).map_err(disk(path))?;
            Ok(None)
        }
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), AgentError> {
    let bytes = serde_json::to_vec(value).map_err(|error| disk(path)(error.into()))?;
    let draft = path.with_extension("new");
    let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    open.and_then(|mut file| file.write_all(&bytes)).map_err(disk(&draft))?;
    fs::rename(&draft, path).map_err(disk(path))
}
