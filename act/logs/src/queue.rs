//! Between the pipes and the disk: a bounded queue and the one thread that may be held up by the disk.

use super::writer::Log;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// More than this does not wait for the disk: the instance waits, as it would for any reader of its pipe.
const MAX_QUEUED: usize = 256 << 10;
/// A disk that has taken nothing for so long is not slow but stuck: lines are dropped until it moves.
const STUCK: Duration = Duration::from_secs(1);
/// The writer needs little: one record's worth of formatting.
const STACK: usize = 64 << 10;

/// The way into a log.
pub struct Queue {
    shared: Arc<Shared>,
    /// Set while the disk is stuck, so that only the first push waits.
    stuck: bool,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<u8>,
    dropped_lines: u64,
    dropped_bytes: u64,
    /// Grows whenever the writer comes back from the disk.
    rounds: u64,
    is_closed: bool,
    is_done: bool,
}

impl Queue {
    /// Starts the thread that writes to `log`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(log: Log) -> io::Result<Queue> {
        let shared = Arc::new(Shared { inner: Mutex::default(), changed: Condvar::new() });
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("log".into())
            .stack_size(STACK)
            .spawn(move || write_all(log, &theirs))?;
        Ok(Queue { shared, stuck: false })
    }

    /// Hands over whole records. Waits while the queue is full and the disk moves.
    pub fn push(&mut self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        let has_room =
            |inner: &Inner| inner.waiting.is_empty() || inner.waiting.len() + records.len() <= MAX_QUEUED;
        let limit = if self.stuck { Duration::ZERO } else { STUCK };
        let (mut inner, moves) = self.shared.wait_until(has_room, limit);
        self.stuck = !moves;
        if moves {
            inner.waiting.extend_from_slice(records);
        } else {
            inner.dropped_lines += records.iter().filter(|&&byte| byte == b'\n').count() as u64;
            inner.dropped_bytes += records.len() as u64;
        }
        self.shared.changed.notify_all();
    }

    /// Waits until all is written, or the disk is stuck.
    pub fn finish(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        drop(self.shared.wait_until(|inner| inner.is_done, STUCK));
    }
}

impl Shared {
    /// A poisoned lock still holds plain bytes and counters.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for `is_so`, for as long as the writer comes back from the disk within `limit` each time.
    fn wait_until(&self, is_so: impl Fn(&Inner) -> bool, limit: Duration) -> (MutexGuard<'_, Inner>, bool) {
        let mut inner = self.lock();
        let mut seen = (inner.rounds, Instant::now());
        loop {
            if is_so(&inner) {
                return (inner, true);
            }
            if inner.rounds != seen.0 {
                seen = (inner.rounds, Instant::now());
            }
            let left = limit.saturating_sub(seen.1.elapsed());
            if left.is_zero() {
                return (inner, false);
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }
}

fn write_all(mut log: Log, shared: &Shared) {
    let mut batch = Vec::new();
    loop {
        let mut inner = shared.lock();
        while inner.waiting.is_empty() && inner.dropped_lines == 0 && !inner.is_closed {
            inner = shared.changed.wait(inner).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        let ends = inner.waiting.is_empty() && inner.dropped_lines == 0;
        std::mem::swap(&mut batch, &mut inner.waiting);
        let dropped = (std::mem::take(&mut inner.dropped_lines), std::mem::take(&mut inner.dropped_bytes));
        drop(inner);
        log.append(&batch);
        if dropped.0 > 0 {
            log.drop_records(dropped.0, dropped.1, "the disk did not take them in time");
        }
        if ends {
            log.finish();
        }
        batch.clear();
        batch.shrink_to(MAX_QUEUED / 16);
        let mut inner = shared.lock();
        inner.rounds += 1;
        inner.is_done = ends;
        drop(inner);
        shared.changed.notify_all();
        if ends {
            return;
        }
    }
}
