//! Connections of the service account: a bounded number, kept for those who come next.

use crate::connection::Connection;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Servers close what is idle; Active Directory after 15 minutes, some firewalls sooner.
const IDLE_MAX: Duration = Duration::from_secs(120);

/// The pool.
pub(crate) struct Pool {
    turns: Semaphore,
    most: usize,
    idle: Mutex<Vec<Idle>>,
}

/// A connection that nobody uses now.
struct Idle {
    connection: Connection,
    /// Of the server with this number.
    server: usize,
    since: Instant,
}

/// The right to use one connection.
pub(crate) struct Turn<'a> {
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    pub(crate) fn new(most: usize) -> Pool {
        Pool { turns: Semaphore::new(most), most, idle: Mutex::default() }
    }

    /// Waits until there is one to have.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let permit = self.turns.acquire().await.expect("the pool is never closed");
        Turn { pool: self, _permit: permit }
    }
}

impl Turn<'_> {
    /// One that was used before and still leads there.
    pub(crate) fn idle(&self, server: usize) -> Option<Connection> {
        // Nothing panics while it holds it.
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|one| one.since.elapsed() < IDLE_MAX && !one.connection.is_closed());
        let at = idle.iter().rposition(|one| one.server == server)?;
        Some(idle.swap_remove(at).connection)
    }

    /// For whoever comes next. What has failed in any way is not given back.
    pub(crate) fn give_back(&self, connection: Connection, server: usize) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= self.pool.most {
            idle.remove(0);
        }
        idle.push(Idle { connection, server, since: Instant::now() });
    }
}
