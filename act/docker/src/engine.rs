//! The engine: sought at the first container, and the same one ever after.

use crate::Error;
use crate::brought::Brought;
use crate::error::Doing;
use bollard::{API_DEFAULT_VERSION, Docker};
use naru_model::Time;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An engine that is asked something small answers within this time, also when it starts a container on a slow disk.
const ANSWER: u64 = 120;
/// One that is asked whether it is there answers sooner, or is not there.
const GREETING: Duration = Duration::from_secs(10);
/// The file with the home's name and its engine's socket.
const RECORD: &str = "engine.json";

/// Where a runtime lives and which engine it uses.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder with a folder for each instance, where their logs are. It is shared with the runtime of processes.
    pub dir: PathBuf,
    /// The runtime's own folder, which is there already.
    pub own: PathBuf,
    /// Where engines are sought, in this order; see [`sockets`].
    pub sockets: Result<Vec<PathBuf>, String>,
}

/// Where engines are by custom: what `DOCKER_HOST` says and nothing else, or Docker's socket, then Podman's.
///
/// # Errors
/// `DOCKER_HOST`, when it names something other than a Unix socket.
pub fn sockets() -> Result<Vec<PathBuf>, String> {
    if let Some(host) = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()) {
        return match host.strip_prefix("unix://") {
            Some(path) => Ok(vec![PathBuf::from(path)]),
            None => Err(host),
        };
    }
    let mut all = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
        // Docker without root, then Podman without root.
        all.extend(["docker.sock", "podman/podman.sock"].map(|name| Path::new(&runtime).join(name)));
    }
    all.push(PathBuf::from("/run/podman/podman.sock"));
    Ok(all)
}

/// What outlives the agent: containers of a home are sought where they were started.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Tells this home's containers from those of other homes on the same engine: 16 hex digits.
    home: String,
    /// Where its engine is, once it had one.
    socket: Option<PathBuf>,
}

/// A way to the engine.
pub(crate) struct Engine {
    path: PathBuf,
    keeps: Keeps,
    record: Mutex<Record>,
    sockets: Result<Vec<PathBuf>, String>,
    found: Mutex<Option<Found>>,
}

/// Who writes down which engine was found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// This one.
    Own,
    /// Another, perhaps of another process: it is read from there.
    Others,
}

/// The engine that was found.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) docker: Docker,
    pub(crate) socket: PathBuf,
    pub(crate) kind: Kind,
    /// Where what is brought to it is entered.
    pub(crate) brought: Option<Brought>,
}

/// Whose the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Docker,
    Podman { rootless: bool },
}

impl Found {
    /// Asks, and puts what was asked before what the engine says.
    pub(crate) async fn ask<T>(
        &self,
        asked: impl Future<Output = Result<T, bollard::errors::Error>>,
        what: impl FnOnce() -> String,
    ) -> Result<T, Error> {
        asked.await.doing(&self.socket, what)
    }
}

/// By this machine's clock.
pub(crate) fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}

impl Engine {
    pub(crate) fn open(own: &Path, sockets: Result<Vec<PathBuf>, String>) -> Result<Engine, Error> {
        let path = own.join(RECORD);
        let record = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::from),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => new_home(),
            Err(error) => Err(error),
        };
        let record = record.map_err(|source| Error::Disk { path: path.clone(), source })?;
        Ok(Engine { path, keeps: Keeps::Own, record: Mutex::new(record), sockets, found: Mutex::default() })
    }

    /// The same engine as that of the runtime with this folder, whether it has found it or not.
    pub(crate) fn beside(own: &Path, sockets: Result<Vec<PathBuf>, String>) -> Engine {
        let record = Record { home: String::new(), socket: None };
        Engine {
            path: own.join(RECORD),
            keeps: Keeps::Others,
            record: Mutex::new(record),
            sockets,
            found: Mutex::default(),
        }
    }

    /// Reads what another has written down since.
    fn read_again(&self) {
        if self.keeps == Keeps::Own {
            return;
        }
        let read = fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        if let Some(read) = read {
            *locked(&self.record) = read;
        }
    }

    /// This home's name among the engine's labels.
    pub(crate) fn home(&self) -> String {
        locked(&self.record).home.clone()
    }

    /// The engine, sought if it was not found yet.
    pub(crate) async fn get(&self) -> Result<Found, Error> {
        if let Some(found) = locked(&self.found).clone() {
            return Ok(found);
        }
        let sockets = self.sockets.clone().map_err(Error::Elsewhere)?;
        let mut tried = Vec::new();
        for socket in sockets {
            match greet(&socket).await {
                Ok(found) => return self.keep(found),
                Err(why) => tried.push(format!("{}: {why}", socket.display())),
            }
        }
        // An engine that was there before comes back.
        let known = locked(&self.record).socket.clone();
        match known.filter(|known| self.sockets.as_ref().is_ok_and(|sockets| sockets.contains(known))) {
            Some(socket) => Err(Error::Away { socket, why: tried.join("; ") }),
            None => Err(Error::NoEngine { tried: tried.join("; ") }),
        }
    }

    /// The engine that containers of an earlier agent are in. It is known to exist: if it does not answer, it is away.
    pub(crate) async fn get_again(&self) -> Result<Found, Error> {
        if let Some(found) = locked(&self.found).clone() {
            return Ok(found);
        }
        self.read_again();
        let Some(socket) = locked(&self.record).socket.clone() else { return self.get().await };
        match greet(&socket).await {
            Ok(found) => self.keep(found),
            Err(why) => Err(Error::Away { socket, why }),
        }
    }

    /// What there is to say of an engine that has not answered within that time.
    pub(crate) fn silent(&self, limit: Duration) -> Error {
        let socket = locked(&self.record).socket.clone().unwrap_or_default();
        Error::Away { socket, why: format!("no answer within {} s", limit.as_secs()) }
    }

    fn keep(&self, mut found: Found) -> Result<Found, Error> {
        found.brought = self.path.parent().map(Brought::of);
        let mut record = locked(&self.record);
        if self.keeps == Keeps::Own && record.socket.as_ref() != Some(&found.socket) {
            record.socket = Some(found.socket.clone());
            write(&self.path, &record).map_err(|source| Error::Disk { path: self.path.clone(), source })?;
        }
        *locked(&self.found) = Some(found.clone());
        Ok(found)
    }
}

/// Whether an engine answers at a socket.
pub(crate) async fn greet(socket: &Path) -> Result<Found, String> {
    if !socket.exists() {
        return Err("is not there".into());
    }
    let said =
        |error: bollard::errors::Error| match Err::<(), _>(error).doing(socket, || "its version".into()) {
            Err(Error::Away { why, .. }) => why,
            Err(other) => other.to_string(),
            Ok(()) => String::new(),
        };
    let docker =
        Docker::connect_with_unix(&socket.to_string_lossy(), ANSWER, API_DEFAULT_VERSION).map_err(said)?;
    // Whether it is there is answered at once, or not at all. Podman looks up what it is made of before it tells.
    match tokio::time::timeout(GREETING, docker.ping()).await {
        Ok(answer) => answer.map_err(said)?,
        Err(_) => return Err(format!("no answer within {} s", GREETING.as_secs())),
    };
    let docker = docker.negotiate_version().await.map_err(said)?;
    let kind = kind_of(&docker).await.map_err(said)?;
    Ok(Found { docker, socket: socket.to_owned(), kind, brought: None })
}

async fn kind_of(docker: &Docker) -> Result<Kind, bollard::errors::Error> {
    let version = docker.version().await?;
    let mut names = version.components.into_iter().flatten().map(|component| component.name);
    if !names.any(|name| name.contains("Podman")) {
        return Ok(Kind::Docker);
    }
    let options = docker.info().await?.security_options.unwrap_or_default();
    Ok(Kind::Podman { rootless: options.iter().any(|option| option.contains("rootless")) })
}

/// Whole and on disk: a home that forgets its name loses sight of its containers.
fn write(path: &Path, record: &Record) -> std::io::Result<()> {
    let spare = path.with_extension("new");
    let mut file = fs::OpenOptions::new().mode(0o600).write(true).create(true).truncate(true).open(&spare)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&spare, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

fn new_home() -> std::io::Result<Record> {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Record { home: bytes.iter().map(|byte| format!("{byte:02x}")).collect(), socket: None })
}

/// Nothing panics while it holds one of these locks, so a poisoned one is whole.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
