//! The roles' processes: how each begins, waits for its turn, and ends.

pub mod agent;
mod succession;

pub use succession::TAKE_OVER;

use crate::keeper::{self, Mode};
use naru_chain::Start;
use naru_home::{Failure, Home, Post, Role, log};
use rustix::process::{
    Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

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
            Role::Edge => return naru_chain::run(home, node, start).await,
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
