//! What the three roles have in common as processes: a home, a lock that only one life of each can hold, a
//! log, and an end on a signal.
//!
//! Each role is a process of its own, so that each can be killed and replaced alone. The locks make the
//! replacement safe: a new life of a role waits, before it does anything else, until the one before it is
//! gone. They are flocks, so that the kernel gives them up with the process, however that ended.

pub mod agent;
mod home;
mod lock;
mod log;
mod seal;
mod succession;

pub use home::{Home, HomeError};
pub use lock::{Lock, Post};
pub use seal::{put_file, take_file};
pub use succession::TAKE_OVER;

use crate::edge::Start;
use crate::keeper::{self, Mode};
use naru_model::Time;
use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{self, SignalKind, signal};

/// One of Naru's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The control plane.
    Server,
    /// Routes' and requests' carrier on this node.
    Edge,
    /// The instances' keeper on this node.
    Agent,
}

impl Role {
    /// In the order in which they are ended: who decides, who lets work in, who runs it.
    pub const ALL: [Role; 3] = [Role::Server, Role::Edge, Role::Agent];

    /// Its word on the command line, in logs and in file names.
    pub fn word(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Edge => "edge",
            Role::Agent => "agent",
        }
    }

    /// The role with this word.
    pub fn named(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// `naru role NAME`, by which the keeper starts the roles, and commands a keeper in the background. The home
/// comes by NARU_HOME; none of this is for people.
pub fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let word = args.next().unwrap_or_default();
    let word = word.to_string_lossy();
    let home = match Home::open(Path::new(&std::env::var_os("NARU_HOME").unwrap_or_default())) {
        Ok(home) => home,
        Err(error) => {
            eprintln!("naru role: {error}");
            return ExitCode::FAILURE;
        }
    };
    match Role::named(&word) {
        Some(role) => run_role(role, &home),
        None if word == KEEPER => keeper::serve(&home, Mode::Background),
        None => {
            eprintln!("naru role: there is no role {word:?}");
            ExitCode::FAILURE
        }
    }
}

/// The word of a background keeper, beside those of the roles.
pub const KEEPER: &str = "keeper";

/// Runs a role until it is told to end. Waits first until an earlier life of it is gone.
fn run_role(role: Role, home: &Home) -> ExitCode {
    match run(role, home) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "ends");
            eprintln!("naru {role}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why a role ended by itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

fn run(role: Role, home: &Home) -> Result<(), Failure> {
    name_process(role);
    leave_with_keeper()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let succession = match role {
        Role::Edge if succession::is_wanted() => {
            log::begin(home, role)?;
            raise_file_limit();
            runtime.block_on(succession::take_over(home))?
        }
        _ => None,
    };
    let start = match succession {
        Some(succession) => Start::Successor(Box::new(succession)),
        // Before anything else, and before signals are caught: a role that waits here ends at a signal.
        None => Start::Alone(home.lock(Post::Role(role))?),
    };
    // Once it has the lock, a role outlives its keeper.
    set_parent_process_death_signal(None)?;
    log::begin(home, role)?;
    raise_file_limit();
    tracing::info!(pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "begins");
    runtime.block_on(async {
        let node = home.node()?;
        // The others hold the lock to their end.
        match role {
            Role::Server => crate::server::run(home, node).await,
            Role::Edge => return crate::edge::run(home, node, start).await,
            Role::Agent => agent::run(home, node).await,
        }
        .inspect(|()| drop(start))
    })?;
    // What a slow disk or resolver still holds is not waited for.
    runtime.shutdown_background();
    tracing::info!("ends as told");
    Ok(())
}

/// The variable by which a keeper tells its children who it is.
pub const STARTER: &str = "NARU_KEEPER";

/// A role that waits for its lock does not wait longer than its keeper lives: the next keeper has somebody wait
/// too.
fn leave_with_keeper() -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let parent = getppid().map(|parent| parent.as_raw_nonzero().to_string());
    if std::env::var(STARTER).is_ok_and(|starter| Some(starter) != parent) {
        return Err("its keeper is gone".into());
    }
    Ok(())
}

/// As many descriptors as the system lets the role have: hundreds of instances and 10,000 connections are far
/// beyond the usual soft limit of 1,024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(from = ?limit.current, to = ?limit.maximum, "file descriptors"),
        Err(error) => tracing::warn!(%error, ?limit, "the limit of file descriptors stays"),
    }
}

/// So that `ps` and `top` tell the roles apart.
fn name_process(role: Role) {
    let name = match role {
        Role::Server => c"naru-server",
        Role::Edge => c"naru-edge",
        Role::Agent => c"naru-agent",
    };
    // A name is a courtesy: without it everything works.
    let _ = rustix::thread::set_name(name);
}

/// The signals that tell a role to end.
pub struct EndSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl EndSignals {
    /// From now on they are caught.
    ///
    /// # Errors
    /// The system refuses.
    pub fn catch() -> std::io::Result<EndSignals> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(EndSignals { terminate, interrupt })
    }

    /// The next one. Safe to cancel.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Rests between tries to reach a server: short at first, as for one that is just starting, then as for one
/// that is away.
pub struct Rest(Duration);

/// Short.
impl Default for Rest {
    fn default() -> Rest {
        Rest(Duration::from_millis(2))
    }
}

impl Rest {
    const LONGEST: Duration = Duration::from_millis(250);

    /// Waits, and doubles the next wait.
    pub async fn take(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Rest::LONGEST);
    }
}

/// The wall clock.
pub fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis().try_into().unwrap_or(u64::MAX))
}
