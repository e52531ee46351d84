//! One role's processes, one after another.

use super::renew::{self, EdgeRenewed};
use crate::role::{STARTER, TAKE_OVER};
use naru_home::{Home, Post, Role};
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The first start after a death comes at once; then these, doubled each time.
const RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whether a role that another keeper started has ended shows in its lock only.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Having lived for so long, it counts as started well.
const LIVED: Duration = Duration::from_secs(10);

/// A new role is in place within this time, or something is wrong.
const TAKES_OVER_WITHIN: Duration = Duration::from_secs(30);

/// What a role that is started does about another that is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It waits until that one ends.
    Waits,
    /// It takes over, as an edge can.
    TakesOver,
}

/// A role, as its keeper sees it.
pub struct Kept {
    role: Role,
    home: Home,
    child: Child,
    /// The child's number, for whoever reaps the others.
    pid: Arc<AtomicU32>,
    began: Instant,
    /// Before the next start.
    delay: Duration,
    /// Who was told to end.
    told: Vec<Pid>,
}

impl Kept {
    /// Starts a role.
    ///
    /// # Errors
    /// The system starts no process.
    pub fn start(role: Role, home: &Home, arrival: Arrival) -> io::Result<Kept> {
        let child = spawn(role, home, arrival)?;
        let pid = Arc::new(AtomicU32::new(child.id().unwrap_or(0)));
        Ok(Kept {
            role,
            home: home.clone(),
            child,
            pid,
            began: Instant::now(),
            delay: Duration::ZERO,
            told: vec![],
        })
    }

    /// Which role.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Waits until it dies. Safe to cancel.
    pub async fn death(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Starts it again, after the delay that is due.
    pub async fn again(&mut self) {
        if self.began.elapsed() >= LIVED {
            self.delay = Duration::ZERO;
        }
        loop {
            tokio::time::sleep(self.delay).await;
            self.delay = (self.delay * 2).clamp(RESTART.0, RESTART.1);
            self.began = Instant::now();
            match spawn(self.role, &self.home, Arrival::Waits) {
                Ok(child) => {
                    self.pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
                    self.child = child;
                    return;
                }
                Err(error) => eprintln!("naru serve: the {} cannot be started: {error}", self.role),
            }
        }
    }

    /// Tells it to end, and whoever else is this role in this home.
    pub fn tell(&mut self) {
        let own = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        self.told = [own, self.holder()].into_iter().flatten().collect();
        for pid in &self.told {
            // It may have ended by itself a moment ago.
            let _ = kill_process(*pid, Signal::TERM);
        }
    }

    /// Waits until the child, and everyone else who was this role, is gone. Each is told once, since the edge
    /// takes a second word for an order to cut. Safe to cancel.
    ///
    /// # Errors
    /// The role's lock cannot be had.
    pub async fn gone(&mut self) -> io::Result<()> {
        self.child.wait().await?;
        while self.home.try_lock(Post::Role(self.role))?.is_none() {
            if let Some(other) = self.holder().filter(|holder| !self.told.contains(holder)) {
                self.told.push(other);
                let _ = kill_process(other, Signal::TERM);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// The child's number, as it is now and later.
    pub fn pid(&self) -> Arc<AtomicU32> {
        self.pid.clone()
    }

    /// What became of a child that was started to take over.
    pub async fn took_over(&mut self) -> EdgeRenewed {
        let Some(said) = self.child.stdout.take() else { return EdgeRenewed::Alone };
        let mut word = String::new();
        let heard = tokio::time::timeout(TAKES_OVER_WITHIN, BufReader::new(said).read_line(&mut word)).await;
        match (heard, word.trim_end()) {
            (Ok(Ok(_)), "over") => EdgeRenewed::Over,
            (Ok(Ok(_)), "alone") => EdgeRenewed::Alone,
            (Ok(Ok(1..)), other) => EdgeRenewed::Refused(other.trim_start_matches("refused: ").into()),
            (Ok(_), _) => EdgeRenewed::Refused("the new edge ended before it had taken over".into()),
            (Err(_), _) => EdgeRenewed::Refused("the new edge said nothing".into()),
        }
    }

    /// Has the child take the place of whoever else is this role, by telling that one to end.
    ///
    /// # Errors
    /// The child ended, or the other did not within a while.
    pub async fn replace_holder(&mut self) -> io::Result<()> {
        let own = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let (mut told, began) = (None, Instant::now());
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the new {} ended ({status})", self.role)));
            }
            if began.elapsed() > TAKES_OVER_WITHIN {
                return Err(io::Error::other(format!("the old {} does not end", self.role)));
            }
            match self.home.holder(Post::Role(self.role))? {
                holder if holder.is_some() && holder == own => return Ok(()),
                Some(other) if told != Some(other) => {
                    told = Some(other);
                    // It may have ended by itself a moment ago.
                    let _ = kill_process(other, Signal::TERM);
                }
                _ => {}
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends the child if it only waits for another to end.
    pub async fn end_spare(&mut self) {
        let own = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(own) = own
            && self.holder() != Some(own)
        {
            let _ = kill_process(own, Signal::TERM);
            let _ = self.child.wait().await;
        }
    }

    fn holder(&self) -> Option<Pid> {
        self.home.holder(Post::Role(self.role)).ok().flatten()
    }
}

/// What jemalloc is told by its environment. A server begins by making the API's document, for which it needs 30 MB that it never
/// needs again: it gives memory back as it frees it, and is no slower by that. An edge is another matter.
const ALLOCATOR: &str = "_RJEM_MALLOC_CONF";

fn spawn(role: Role, home: &Home, arrival: Arrival) -> io::Result<Child> {
    // The keeper's own binary, even if another has taken its place on disk since.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("naru")
        .args(["role", role.word()])
        .env("NARU_HOME", home.dir())
        .env(STARTER, std::process::id().to_string())
        .current_dir(home.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0);
    renew::hide(&mut command);
    if role == Role::Server && std::env::var_os(ALLOCATOR).is_none() {
        command.env(ALLOCATOR, "dirty_decay_ms:0");
    }
    if arrival == Arrival::TakesOver {
        command.env(TAKE_OVER, "1").stdout(Stdio::piped());
    }
    command.spawn()
}
