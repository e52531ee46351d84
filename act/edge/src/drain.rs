//! What ends a stream that neither of its sides ends: nothing of it moves for too long, or its instance retires and
//! the service's policy gives its streams only so long.
//!
//! Each stream of a retiring instance gets a moment of its own within that time, at random, so that its clients do not
//! all come back at once. Such an end counts as one in order: somebody wrote that policy down, neither side has failed,
//! and nothing that a side said in full is lost to the other.

use naru_books::Entry;
use std::cell::Cell;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// What ends a stream beside its sides.
pub(crate) struct Limits {
    /// When nothing moved for so long, in either direction.
    pub(crate) idle: Option<Duration>,
    pub(crate) drain: Option<Drain>,
    pub(crate) form: Form,
}

/// The streams of an instance, and how long they have once it retires.
#[derive(Clone)]
pub(crate) struct Drain {
    pub(crate) entry: Rc<Entry>,
    pub(crate) within: Duration,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bytes,
    /// The frames of a websocket: it can be told that it ends.
    Frames,
}

impl Limits {
    /// Whether there are any for a stream that is not told that it ends.
    pub(crate) fn are_of_bytes(&self) -> bool {
        self.form == Form::Bytes && (self.idle.is_some() || self.drain.is_some())
    }

    /// Waits until one of them has ended a stream of bytes, of which `moved` counts those that went either way.
    pub(crate) async fn over(&self, moved: &Cell<u64>) {
        let idle = async {
            match self.idle {
                Some(idle) => silence(moved, idle).await,
                None => pending().await,
            }
        };
        let drained = async {
            match &self.drain {
                Some(drain) => drain.due().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = idle => {}
            () = drained => {}
        }
    }
}

impl Drain {
    /// Waits until no table names the instance, and then for a moment of the stream's own. An instance that came
    /// back meanwhile keeps its streams.
    pub(crate) async fn due(&self) {
        loop {
            let mut unnamed = pin!(self.entry.unnamed.notified());
            unnamed.as_mut().enable();
            if self.entry.is_named() {
                unnamed.await;
            }
            tokio::time::sleep(self.within.mul_f64(chance())).await;
            if !self.entry.is_named() {
                return;
            }
        }
    }
}

/// Waits until nothing has moved for that long. It is looked at a few times meanwhile, so that a stream ends at most a
/// quarter later than it might.
async fn silence(moved: &Cell<u64>, idle: Duration) {
    const LOOKS: u32 = 4;
    let (mut before, mut quiet) = (moved.get(), 0);
    while quiet < LOOKS {
        tokio::time::sleep(idle / LOOKS).await;
        quiet = if moved.get() == before { quiet + 1 } else { 0 };
        before = moved.get();
    }
}

/// From 0 to 1: the standard library has no other source of chance.
fn chance() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::chance;

    #[test]
    fn moments_are_spread_over_all_of_the_time() {
        let mut tenths = [0; 10];
        (0..1000).for_each(|_| tenths[((chance() * 10.0) as usize).min(9)] += 1);
        assert!(tenths.iter().all(|n| (40..200).contains(n)), "{tenths:?}");
    }
}
