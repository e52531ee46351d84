//! The agent: Naru's process on a node, which has the instances that it is told to have.
//!
//! One loop drains effects, and decides nothing: what is to be done with an instance is
//! [`naru_supervise`]'s to say, what a lease means is [`naru_supervise::lease`]'s. Here an order of the server
//! ([`Desired`]), the end of a process, an answer of a probe or a change of a ledger becomes an input of the
//! instance's machine; its memory is written down; its effects are carried out; and what can be seen from
//! outside is reported, whole, at each change.
//!
//! The agent may die at any moment. Instances run under shims of `naru-process` or in containers of an engine, the
//! ledger's address is kept, and each machine goes on from its memory; nothing of an instance changes. An instance that is not named
//! by the server, and that was not told to end, is left alone: only one that has ended is forgotten.

mod adopt;
mod ask;
mod carry;
mod containers;
mod keep;
mod ports;
mod preludes;
mod reach;
mod role;
mod surroundings;

use naru_model::{AgentReport, Desired, NodeId};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// An agent that is being replaced lets go of its folder within this time.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Where an agent lives and whose it is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The agent's own folder; made with mode 0700.
    pub dir: PathBuf,
    /// The node's name.
    pub node: NodeId,
    /// The command that leads to [`naru_process::shim_main`], such as `["/proc/self/exe", "shim"]`.
    pub shim: Vec<String>,
    /// Where container engines are sought, in this order; see [`naru_docker::sockets`]. Sought only when a container is
    /// to be started.
    pub engines: Result<Vec<PathBuf>, String>,
    /// Where the contents of secrets and configs are, by their ids.
    pub contents: PathBuf,
    /// The socket at which the server asks for somebody to be connected with an instance.
    pub reach: PathBuf,
    /// The node's zone, if it was told of one.
    pub zone: Option<String>,
}

/// Why an agent does not run. No instance is touched by it.
#[derive(Debug)]
pub enum AgentError {
    /// Another agent has this folder.
    Taken(PathBuf),
    /// A file or folder of the agent's could not be read or written.
    Disk {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Instances could not be taken over.
    Process(naru_process::Error),
    /// Containers could not be taken over.
    Container(naru_docker::Error),
    /// The work ledger could not be opened or served.
    Work(naru_work::WorkError),
}

impl std::fmt::Display for AgentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AgentError::Taken(dir) => {
                write!(f, "another agent runs in {}: end it first, or set another NARU_HOME", dir.display())
            }
            AgentError::Disk { path, source } => write!(f, "{}: {source}", path.display()),
            AgentError::Process(error) => write!(f, "{error}"),
            AgentError::Container(error) => write!(f, "{error}"),
            AgentError::Work(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for AgentError {}

/// Has the instances that `desired` names, and reports, until `desired` is closed. Dropping the future ends
/// the agent at once, and no instance with it.
///
/// # Errors
/// The agent cannot begin.
pub async fn run(
    config: Config,
    desired: watch::Receiver<Option<Desired>>,
    reports: watch::Sender<Option<AgentReport>>,
) -> Result<(), AgentError> {
    let _lock = keep::lock(&config.dir, LOCK_PATIENCE).await?;
    let (role, inlets, servers) = role::Role::begin(&config, reports).await?;
    let door = async {
        match servers.door {
            Some(door) => door.run().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = servers.work.run() => Ok(()),
        () = door => Ok(()),
        () = role.run(desired, inlets) => Ok(()),
    }
}
