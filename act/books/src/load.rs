//! What all workers together have in progress on an instance, and those who wait until it is less.
//!
//! The instances of one service share a [`Crowd`]: whoever waits for room at any of them waits there, whichever worker
//! is its own, and each piece of work that ends wakes one. Both sides look at the other's number after they have changed
//! their own, in one order for all threads: either the one who waits sees the room, or the one who makes it sees that
//! somebody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tokio::sync::Notify;

/// What all workers together have in progress on one instance.
#[derive(Debug, Default)]
pub struct Load {
    now: AtomicU32,
    crowd: Arc<Crowd>,
}

/// Those who wait for room at one of a service's instances.
#[derive(Debug, Default)]
pub struct Crowd {
    waiting: AtomicUsize,
    room: Notify,
}

/// One of a crowd, until it is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Crowd>);

impl Load {
    /// Of an instance for whose like this crowd waits.
    pub fn of(crowd: &Arc<Crowd>) -> Load {
        Load { now: AtomicU32::new(0), crowd: crowd.clone() }
    }

    /// Pieces of work.
    pub fn now(&self) -> u32 {
        self.now.load(Ordering::SeqCst)
    }

    /// Who waits for room here.
    pub fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// One more, or none where there are `most` already.
    pub(crate) fn enter(&self, most: Option<u32>) -> Option<()> {
        let Some(most) = most else {
            self.now.fetch_add(1, Ordering::Relaxed);
            return Some(());
        };
        let more = |now: u32| (now < most).then(|| now + 1);
        self.now.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok().map(|_| ())
    }

    /// One less. How many there were.
    pub(crate) fn leave(&self) -> u32 {
        let before = self.now.fetch_sub(1, Ordering::SeqCst);
        if self.crowd.waits() {
            self.crowd.room.notify_one();
        }
        before
    }
}

impl Crowd {
    /// Whether anybody waits.
    pub fn waits(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Joins those who wait.
    pub fn join(self: &Arc<Crowd>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self.clone())
    }
}

impl Waiting {
    /// Resolves when it may be one's turn. One who looks for room between making this and waiting for it has to
    /// [enable](tokio::sync::futures::Notified::enable) it first.
    pub fn room(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.room.notified()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, Load};
    use std::sync::Arc;

    #[tokio::test]
    async fn whoever_waits_hears_of_room_wherever_it_is_made() {
        let crowd = Arc::new(Crowd::default());
        let loads = [Load::of(&crowd), Load::of(&crowd)];
        assert_eq!(loads.each_ref().map(|load| load.enter(Some(1))), [Some(()), Some(())]);
        assert_eq!(loads[0].enter(Some(1)), None, "never more");
        let (first, second) = (crowd.join(), crowd.join());
        let (mut one, mut other) = (Box::pin(first.room()), Box::pin(second.room()));
        assert!(!one.as_mut().enable() && !other.as_mut().enable());
        std::thread::scope(|scope| drop(scope.spawn(|| loads[1].leave())));
        one.await;
        assert!(!other.as_mut().enable(), "each end of work wakes one");
        loads[0].leave();
        other.await;
        drop((first, second));
        assert!(!crowd.waits());
    }
}
