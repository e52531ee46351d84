//! How a command comes to a server: one that answers, or one that it starts.

use crate::role::KEEPER;
use naru_api::{Client, ClientError};
use naru_home::{Home, HomeError, Post, Role};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Why there is no server for a command.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder is of no use.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Something answers, and makes no sense.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The system refused.
    #[error("the server could not be started: {0}")]
    System(#[from] io::Error),
    /// The keeper could not be replaced.
    #[error("nothing was replaced: {0}")]
    Upgrade(io::Error),
    /// The keeper said why, or ended without a word.
    #[error("the server could not be started: {what}; more in {}", log.display())]
    Keeper {
        /// Its words.
        what: String,
        /// Its log.
        log: PathBuf,
    },
}

/// A start takes tens of milliseconds; on a machine that is busy otherwise, or whose disk is slow, seconds.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A client of this home's server, which may or may not run.
///
/// # Errors
/// The folder is of no use.
pub fn client(home: &Path) -> Result<Client, StartError> {
    Ok(Client::new(Home::open(home)?.socket()))
}

/// A client of a server that answers; it is started in the background if there is none. Sees to it that
/// there is a keeper, too. However many commands do this at once, one starts.
///
/// # Errors
/// The server cannot be started, or what answers is none.
pub async fn ensure(home: &Path) -> Result<Client, StartError> {
    let home = Home::open(home)?;
    let client = Client::new(home.socket());
    let in_time = tokio::time::timeout(START_WITHIN, ensure_answer(&home, &client)).await;
    in_time.unwrap_or_else(|_| Err(failed(&home, format!("not within {START_WITHIN:?}"))))?;
    Ok(client)
}

async fn ensure_answer(home: &Home, client: &Client) -> Result<(), StartError> {
    let is_held = home.holder(Post::Role(Role::Server))?.is_some() || home.holder(Post::Keeper)?.is_some();
    let answers = is_held && answers(client).await?;
    let start = {
        let home = home.clone();
        tokio::task::spawn_blocking(move || home.lock(Post::Start))
    };
    let _start = start.await.map_err(io::Error::other)??;
    if home.holder(Post::Keeper)?.is_none() {
        let wanted = if answers { "kept" } else { "ready" };
        return start_keeper(home, wanted).await;
    }
    while !self::answers(client).await? {
        // The keeper is starting it again, or is itself on its way out.
        if home.holder(Post::Keeper)?.is_none() {
            return start_keeper(home, "ready").await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn answers(client: &Client) -> Result<bool, ClientError> {
    match client.status().await {
        Ok(_) => Ok(true),
        Err(error) if error.is_no_server() => Ok(false),
        // A server that was killed as it answered is none.
        Err(ClientError::Protocol(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Starts a keeper in the background, and waits until it says `wanted`.
async fn start_keeper(home: &Home, wanted: &str) -> Result<(), StartError> {
    let mut keeper = spawn(home)?;
    let words = keeper.stdout.take().ok_or_else(|| io::Error::other("the keeper has no stdout"))?;
    let mut words = BufReader::new(words).lines();
    while let Some(word) = words.next_line().await? {
        if word == wanted {
            return Ok(());
        }
        if let Some(what) = word.strip_prefix("failed: ") {
            return Err(failed(home, what.into()));
        }
    }
    Err(failed(home, "it ended without a word".into()))
}

fn spawn(home: &Home) -> io::Result<Child> {
    let mut command = std::process::Command::new("/proc/self/exe");
    command
        .arg0("naru")
        .args(["role", KEEPER])
        .env("NARU_HOME", home.dir())
        .current_dir(home.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(home)?);
    // SAFETY: setsid is async-signal-safe, and nothing else happens between fork and exec.
    unsafe { command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?)) };
    Command::from(command).spawn()
}

fn log_path(home: &Home) -> PathBuf {
    home.path("log").join("serve.log")
}

/// The keeper's few words; begun anew at each start.
fn log(home: &Home) -> io::Result<File> {
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(log_path(home))?;
    log.set_len(0)?;
    Ok(log)
}

/// With the last line that a role or the keeper left in the log.
fn failed(home: &Home, what: String) -> StartError {
    let log = log_path(home);
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let last = said.lines().rfind(|line| !line.is_empty() && !line.starts_with("naru serve:"));
    let what = last.map_or(what, str::to_string);
    StartError::Keeper { what, log }
}
