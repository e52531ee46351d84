//! One role's processes, one after another.

use crate::role::{Home, Post, Role, STARTER};
use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The first start after a death comes at once; then these, doubled each time.
const RESTART: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Whether a role that another keeper started has ended shows in its lock only.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Having lived for so long, it counts as started well.
const LIVED: Duration = Duration::from_secs(10);

/// A role, as its keeper sees it.
pub struct Kept {
    role: Role,
    home: Home,
    child: Child,
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
    pub fn start(role: Role, home: &Home) -> io::Result<Kept> {
        let child = spawn(role, home)?;
        Ok(Kept {
            role,
            home: home.clone(),
            child,
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
            match spawn(self.role, &self.home) {
                Ok(child) => {
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

    fn holder(&self) -> Option<Pid> {
        self.home.holder(Post::Role(self.role)).ok().flatten()
    }
}

fn spawn(role: Role, home: &Home) -> io::Result<Child> {
    // The keeper's own binary, even if another has taken its place on disk since.
    Command::new("/proc/self/exe")
        .arg0("naru")
        .args(["role", role.word()])
        .env("NARU_HOME", home.dir())
        .env(STARTER, std::process::id().to_string())
        .current_dir(home.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
}
