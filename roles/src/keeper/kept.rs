//! `naru serve`: the keeper's own life.

use super::child::{Arrival, Kept};
use super::renew::{Orders, Renewal};
use crate::role::KEEPER;
use naru_api::Client;
use naru_home::{EndSignals, Home, Lock, Post, Role};
use rustix::process::{Pid, WaitOptions, waitpid};
use std::io::{self, Write};
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Whose keeper it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A person's or an init system's; it says on stderr how it goes.
    Foreground,
    /// A command's: it tells on stdout, a pipe, how far it is, one word a line: `kept`, then `ready`.
    Background,
}

/// A keeper that is ending lets go of the home within this time, unless work keeps the edge.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the roles until a signal says to end.
pub fn serve(home: &Home, mode: Mode) -> ExitCode {
    match run(home, mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(mode, &format!("failed: {error}"));
            eprintln!("naru serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(home: &Home, mode: Mode) -> io::Result<()> {
    // The roles are told it by the environment; here somebody hears that it is none.
    naru_home::zone().map_err(io::Error::other)?;
    let renewal = Renewal::find();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let _lock = lock(home, mode, renewal.as_ref()).await?;
        let orders = Orders::listen(home)?;
        say(mode, "kept");
        keep(home, mode, &orders, renewal).await
    });
    runtime.shutdown_background();
    ended
}

/// Whoever starts a background keeper holds the start lock for it. One that goes on from another image was one
/// already.
async fn lock(home: &Home, mode: Mode, renewal: Option<&Renewal>) -> io::Result<Lock> {
    let _start = match (mode, renewal) {
        (Mode::Foreground, None) => Some(home.lock(Post::Start)?),
        _ => None,
    };
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = home.try_lock(Post::Keeper)? {
            return Ok(lock);
        }
        if mode == Mode::Foreground && renewal.is_none() || tokio::time::Instant::now() > deadline {
            let who = home
                .holder(Post::Keeper)?
                .map_or(String::new(), |pid| format!(" (pid {})", pid.as_raw_nonzero()));
            let error = format!("Naru runs here already{who}; `naru shutdown` ends it");
            return Err(io::Error::other(error));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn keep(home: &Home, mode: Mode, orders: &Orders, renewal: Option<Renewal>) -> io::Result<()> {
    let mut signals = EndSignals::catch()?;
    let arrival = if renewal.is_some() { Arrival::TakesOver } else { Arrival::Waits };
    let mut server = Kept::start(Role::Server, home, Arrival::Waits)?;
    let mut edge = Kept::start(Role::Edge, home, arrival)?;
    let mut agent = Kept::start(Role::Agent, home, Arrival::Waits)?;
    let own = [server.pid(), edge.pid(), agent.pid()];
    let reap = reap_others(&own);
    tokio::pin!(reap);
    if let Some(renewal) = renewal {
        tokio::select! {
            () = renewal.carry_out(home, &mut server, &mut agent, &mut edge) => {}
            () = &mut reap => {}
        }
    }
    let outcome = loop {
        let ordered = tokio::select! {
            () = signals.next() => break Ok(()),
            failed = see_through(home, mode, &mut server) => break failed,
            () = supervise(&mut edge) => break Ok(()),
            () = supervise(&mut agent) => break Ok(()),
            () = &mut reap => break Ok(()),
            ordered = orders.next() => ordered,
        };
        // They are of this binary, and would be the first to have the locks.
        for kept in [&mut server, &mut edge, &mut agent] {
            kept.end_spare().await;
        }
        let args: &[&str] = match mode {
            Mode::Foreground => &["serve"],
            Mode::Background => &["role", KEEPER],
        };
        ordered.carry_out(home, args);
    };
    for kept in [&mut server, &mut edge, &mut agent] {
        kept.tell();
        loop {
            tokio::select! {
                gone = kept.gone() => break gone?,
                () = signals.next() => kept.tell(),
            }
        }
    }
    outcome
}

/// Children of an image before this one, which nobody else waits for: roles that were replaced, and edges that
/// drained. Each is taken note of when it ends, for ever.
async fn reap_others(own: &[Arc<AtomicU32>]) {
    let Ok(mut ends) = signal(SignalKind::child()) else { return std::future::pending().await };
    loop {
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let all = children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
        for other in all.filter(|pid| own.iter().all(|own| own.load(Ordering::Relaxed) != *pid)) {
            // One that lives is looked at again when any ends.
            let _ = waitpid(Pid::from_raw(other.cast_signed()), WaitOptions::NOHANG);
        }
        ends.recv().await;
    }
}

/// The server's side of the keeper's life: it ends only where the server refuses to start.
async fn see_through(home: &Home, mode: Mode, server: &mut Kept) -> io::Result<()> {
    begin(home, server).await?;
    announce(home, mode);
    supervise(server).await;
    Ok(())
}

/// Waits until all three roles are at work. A server that refuses to start at all will refuse again: its
/// store is of a later version, say. One that was killed is started again.
async fn begin(home: &Home, server: &mut Kept) -> io::Result<()> {
    let client = Client::new(home.socket());
    loop {
        tokio::select! {
            () = ready(&client) => return Ok(()),
            death = server.death() => {
                if refused(&death?) {
                    return Err(io::Error::other("the server cannot start"));
                }
                server.again().await;
            }
        }
    }
}

fn refused(status: &ExitStatus) -> bool {
    status.code().is_some_and(|code| code != 0)
}

async fn ready(client: &Client) {
    while client.ready().await.is_err() {
        // The socket appears within milliseconds of the server's start.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Starts a role again as often as it dies.
async fn supervise(kept: &mut Kept) {
    loop {
        match kept.death().await {
            Ok(status) => eprintln!("naru serve: the {} ended ({status}), and is started again", kept.role()),
            Err(error) => eprintln!("naru serve: the {} is out of sight: {error}", kept.role()),
        }
        kept.again().await;
    }
}

fn announce(home: &Home, mode: Mode) {
    match mode {
        Mode::Background => {
            say(mode, "ready");
            hang_up();
        }
        Mode::Foreground => eprintln!("naru serve: ready, in {}; Ctrl-C ends it", home.dir().display()),
    }
}

/// Tells the command that started this keeper. It may have gone.
fn say(mode: Mode, word: &str) {
    if mode == Mode::Background {
        let _ = writeln!(io::stdout(), "{word}");
        let _ = io::stdout().flush();
    }
}

/// Nobody listens from here on: stdout becomes what stderr is.
fn hang_up() {
    let _ = rustix::stdio::dup2_stdout(rustix::stdio::stderr());
}
