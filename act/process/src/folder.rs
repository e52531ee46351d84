//! One instance's folder: what is kept on disk, and how it is kept whole.
//!
//! | file | written by | holds |
//! | --- | --- | --- |
//! | `lock` | | an flock, held from before a start until the shim is gone |
//! | `metadata` | agent | the agent's own bytes |
//! | `launch` | agent | what the present run was started with; secrets, so mode 0600 like all here |
//! | `state` | shim | the run's processes; there while something of the run may be |
//! | `exit` | shim | how the main process ended |
//! | `exit.spare` | shim | space set aside for `exit`, so that a full disk cannot lose it |
//! | `shim.err` | shim | its last words, should it fail itself |
//! | `log`, `log.1`, … | shim | the output, newest first |
//!
//! Every record names its run; one of an older run counts for nothing.

use crate::Launch;
use crate::error::{Doing, Error};
use crate::pid::ProcessRef;
use crate::runtime::RunNo;
use crate::user::Identity;
use naru_logs::LogLimits;
use naru_model::{Exit, InstanceId, Resources, SessionKind, Time};
use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const METADATA: &str = "metadata";
pub(crate) const LAUNCH: &str = "launch";
pub(crate) const STATE: &str = "state";
const EXIT: &str = "exit";
const EXIT_SPARE: &str = "exit.spare";
const LOCK: &str = "lock";
pub(crate) const SHIM_ERRORS: &str = "shim.err";
/// One block: an exit record is at most a sentence.
const EXIT_BYTES: usize = 4096;

/// What the present run was started with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LaunchRecord {
    pub(crate) run: RunNo,
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) working_dir: PathBuf,
    pub(crate) identity: Option<Identity>,
    pub(crate) resources: Resources,
    pub(crate) log: LogLimits,
    /// How somebody has its streams; `None`: nobody does.
    #[serde(default)]
    pub(crate) session: Option<SessionKind>,
}

/// The present run's processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StateRecord {
    pub(crate) run: RunNo,
    pub(crate) boot: String,
    pub(crate) shim: ProcessRef,
    pub(crate) main: ProcessRef,
    pub(crate) started: Time,
    pub(crate) cgroups: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
}

/// How a run's main process ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    pub(crate) run: RunNo,
    pub(crate) exit: Exit,
    pub(crate) at: Time,
}

/// Whether a file must survive a loss of power.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// On disk when the call returns.
    Yes,
    /// Survives the death of processes only.
    No,
}

/// One instance's folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

impl LaunchRecord {
    /// `user` is whom the launch names, `change` the same where the agent is another.
    pub(crate) fn new(
        run: RunNo,
        launch: &Launch,
        user: Option<&Identity>,
        change: Option<Identity>,
    ) -> Self {
        LaunchRecord {
            run,
            argv: launch.argv.clone(),
            environment: launch.environment_of(user),
            working_dir: launch.working_dir.clone(),
            identity: change,
            resources: launch.resources.clone(),
            log: launch.log,
            session: None,
        }
    }
}

impl Folder {
    pub(crate) fn at(path: PathBuf) -> Folder {
        Folder { path }
    }

    pub(crate) fn of(dir: &Path, id: &InstanceId) -> Result<Folder, Error> {
        Ok(Folder { path: naru_logs::folder_of(dir, id)? })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn make(&self) -> Result<(), Error> {
        make_private_dir(&self.path)
    }

    /// Takes the folder's lock; `None` where a start is under way or a shim lives.
    pub(crate) fn lock(&self) -> Result<Option<File>, Error> {
        let path = self.file(LOCK);
        loop {
            let file = private().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.doing(|| format!("open {}", path.display()))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error).doing(|| format!("lock {}", path.display())),
            }
            // A removal may have unlinked the file between the two calls: then it locks nothing.
            if file.metadata().is_ok_and(|meta| meta.nlink() > 0) {
                return Ok(Some(file));
            }
        }
    }

    /// A record, or `None` where it is missing or unreadable: after a loss of power it may be empty.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.file(name)).ok()?).ok()
    }

    pub(crate) fn write_record(&self, name: &str, record: &impl Serialize) -> Result<(), Error> {
        let json = serde_json::to_vec(record).doing(|| format!("encode {name}"))?;
        self.write(name, &json, Durable::No)
    }

    /// Replaces a file whole.
    pub(crate) fn write(&self, name: &str, bytes: &[u8], durable: Durable) -> Result<(), Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let own = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let spare = self.file(&format!(".{name}.{}.{}", own.0, own.1));
        let result = write_file(&spare, bytes, durable).and_then(|()| fs::rename(&spare, self.file(name)));
        if result.is_err() {
            let _ = fs::remove_file(&spare);
        }
        result.doing(|| format!("write {}", self.file(name).display()))
    }

    /// Sets space aside for the exit record.
    pub(crate) fn reserve_exit(&self) -> Result<(), Error> {
        let path = self.file(EXIT_SPARE);
        write_file(&path, &[b' '; EXIT_BYTES], Durable::No).doing(|| format!("write {}", path.display()))
    }

    /// Puts the exit on disk for good, in the space set aside.
    pub(crate) fn write_exit(&self, record: &ExitRecord) -> Result<(), Error> {
        let (spare, path) = (self.file(EXIT_SPARE), self.file(EXIT));
        let mut json = serde_json::to_vec(record).doing(|| "encode the exit".to_owned())?;
        json.resize(json.len().max(EXIT_BYTES), b' ');
        let written = || -> io::Result<()> {
            let mut file = private().write(true).create(true).truncate(false).open(&spare)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&spare, &path)?;
            File::open(&self.path)?.sync_all()
        };
        written().doing(|| format!("write {}", path.display()))
    }

    pub(crate) fn exit_of(&self, run: RunNo) -> Option<ExitRecord> {
        self.read::<ExitRecord>(EXIT).filter(|record| record.run == run)
    }

    pub(crate) fn state_of(&self, run: RunNo) -> Option<StateRecord> {
        self.read::<StateRecord>(STATE).filter(|record| record.run == run)
    }

    /// The number of the last run, from whatever record is left.
    pub(crate) fn last_run(&self) -> RunNo {
        #[derive(Deserialize)]
        struct Any {
            run: RunNo,
        }
        [LAUNCH, STATE, EXIT]
            .iter()
            .filter_map(|name| self.read::<Any>(name))
            .map(|any| any.run)
            .max()
            .unwrap_or_default()
    }

    /// Says that nothing of the present run is left.
    pub(crate) fn clear_state(&self) {
        let _ = fs::remove_file(self.file(STATE));
    }

    /// Removes everything but, if asked, the log. The lock is held by the caller and goes last.
    pub(crate) fn remove(&self, is_kept: impl Fn(&str) -> bool) -> Result<(), Error> {
        let failed = || format!("remove {}", self.path.display());
        let mut kept = false;
        for entry in fs::read_dir(&self.path).doing(failed)? {
            let name = entry.doing(failed)?.file_name();
            let name = name.to_string_lossy();
            if is_kept(&name) {
                kept = true;
            } else if name != LOCK {
                ignore_missing(fs::remove_file(self.file(&name))).doing(failed)?;
            }
        }
        ignore_missing(fs::remove_file(self.file(LOCK))).doing(failed)?;
        if kept { Ok(()) } else { ignore_missing(fs::remove_dir(&self.path)).doing(failed) }
    }
}

/// Options for a file that only its owner reads.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a folder, and those above it, that only their owner enters.
pub(crate) fn make_private_dir(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).doing(|| format!("make {}", path.display()))
}

/// The wall clock.
pub(crate) fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}

fn write_file(path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = private().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    if durable == Durable::Yes { file.sync_all() } else { Ok(()) }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
