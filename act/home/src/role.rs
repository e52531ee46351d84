//! The roles by name, and what they have in common as processes: an end on a signal, rests between tries, a clock.

use naru_model::Time;
use std::fmt;
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

/// Why a role ended by itself.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

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

/// The variable that names the zone of this node.
const ZONE: &str = "NARU_ZONE";

/// The zone of this node, as the process that started the roles was told.
///
/// # Errors
/// It is no name, in words.
pub fn zone() -> Result<Option<String>, Failure> {
    let Some(told) = std::env::var_os(ZONE).filter(|told| !told.is_empty()) else { return Ok(None) };
    let told = told.to_string_lossy().into_owned();
    let is_name = told.len() <= 63 && told.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match is_name {
        true => Ok(Some(told)),
        false => {
            Err(format!("{ZONE} is no name for a zone: write letters, digits, - _ ., at most 63").into())
        }
    }
}

/// The wall clock.
pub fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis().try_into().unwrap_or(u64::MAX))
}
