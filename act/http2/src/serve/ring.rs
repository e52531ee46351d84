//! Who has something to do: every stream and every other thing that a connection waits for rings a bell with a number of
//! its own, and the task looks only at those that rang.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The socket can be read or written.
pub(super) const SOCKET: u16 = 256;
/// A timer is due.
pub(super) const TIME: u16 = 257;
/// The connection is to end.
pub(super) const LEAVE: u16 = 258;

/// Bells there are, with room for the next power of two: streams have the numbers below [`SOCKET`].
const BELLS: usize = 320;

/// The bells of one connection.
#[derive(Default)]
pub(super) struct Ring(Mutex<State>);

#[derive(Default)]
struct State {
    rung: Vec<u16>,
    /// Which are among these.
    is_rung: [u64; BELLS / 64],
    /// The connection's task.
    task: Option<Waker>,
    /// Whether that is looking anyway.
    is_awake: bool,
}

struct Bell {
    number: u16,
    ring: Arc<Ring>,
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.ring.ring(self.number);
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        self.ring.ring(self.number);
    }
}

impl Ring {
    /// A bell of that number.
    pub(super) fn bell(self: &Arc<Ring>, number: u16) -> Waker {
        Waker::from(Arc::new(Bell { number, ring: self.clone() }))
    }

    pub(super) fn ring(&self, number: u16) {
        let mut state = self.state();
        let (word, bit) = (usize::from(number / 64), 1 << (number % 64));
        if state.is_rung[word] & bit != 0 {
            return;
        }
        state.is_rung[word] |= bit;
        state.rung.push(number);
        // Whoever looks already sees it before it rests.
        if !mem::replace(&mut state.is_awake, true)
            && let Some(task) = &state.task
        {
            task.wake_by_ref();
        }
    }

    /// From here on the task looks.
    pub(super) fn wake(&self) {
        self.state().is_awake = true;
    }

    /// Exchanges the numbers that rang for an empty list. Whether there were any.
    pub(super) fn take(&self, into: &mut Vec<u16>) -> bool {
        let mut state = self.state();
        mem::swap(&mut state.rung, into);
        state.is_rung = Default::default();
        !into.is_empty()
    }

    /// Whether any rang.
    pub(super) fn is_rung(&self) -> bool {
        !self.state().rung.is_empty()
    }

    /// The task waits for the next bell; if one rang meanwhile, it is woken at once.
    pub(super) fn rest(&self, task: &Waker) {
        let mut state = self.state();
        match &mut state.task {
            Some(waker) => waker.clone_from(task),
            None => state.task = Some(task.clone()),
        }
        state.is_awake = !state.rung.is_empty();
        if state.is_awake {
            task.wake_by_ref();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It holds nothing that could be half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Ring, SOCKET, TIME, Wake, Waker};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Task>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_that_rests_is_woken_once() {
        let (ring, task, mut rung) = (Arc::<Ring>::default(), Arc::<Task>::default(), Vec::new());
        let woken = || task.0.load(Ordering::Relaxed);
        let (socket, time) = (ring.bell(SOCKET), ring.bell(TIME));
        ring.wake();
        socket.wake_by_ref();
        assert!(ring.take(&mut rung) && rung == [SOCKET]);
        rung.clear();
        ring.rest(&Waker::from(task.clone()));
        assert_eq!(woken(), 0);
        [&socket, &socket, &time].into_iter().for_each(Waker::wake_by_ref);
        assert_eq!(woken(), 1);
        ring.wake();
        assert!(ring.take(&mut rung) && rung == [SOCKET, TIME]);
        rung.clear();
        assert!(!ring.take(&mut rung));
        time.wake_by_ref();
        assert_eq!(woken(), 1, "it looks");
        ring.rest(&Waker::from(task.clone()));
        assert_eq!(woken(), 2, "it has not seen this one");
    }
}
