//! How many connections a listener has at once, across the workers, in all and from each source.
//!
//! A count that the workers share, and not an equal part for each: the system deals connections to the workers by
//! chance, so that of a small limit one worker's part would be full while another's is empty; and a limit of a source
//! that is not exact would be no limit that a person can try. It costs an atomic for each connection, none for a
//! request; a lock is taken only where sources are counted.

use naru_traffic::subscriber;
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Room {
    open: AtomicUsize,
    most: AtomicUsize,
    /// Told when a place is free, or there are more.
    freed: Notify,
    /// An IPv6 subscriber has a whole /64.
    sources: Mutex<HashMap<IpAddr, u32>>,
}

/// The rooms of the listeners, by name and address.
#[derive(Default)]
pub(crate) struct Rooms(HashMap<String, Arc<Room>>);

impl Rooms {
    /// The room of a listener, the same for as long as tables name it.
    pub(crate) fn room(&mut self, listener: &naru_model::Listener) -> Arc<Room> {
        let key = format!("{} {}", listener.address, listener.name);
        self.0.entry(key).or_insert_with(Room::new).clone()
    }

    /// Forgets the rooms that nobody has.
    pub(crate) fn sweep(&mut self) {
        self.0.retain(|_, room| Arc::strong_count(room) > 1);
    }
}

impl Room {
    fn new() -> Arc<Room> {
        Arc::new(Room {
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(usize::MAX),
            freed: Notify::new(),
            sources: Mutex::default(),
        })
    }

    /// So many at most from now on. Those that are in stay.
    pub(crate) fn limit(&self, most: Option<usize>) {
        let most = most.unwrap_or(usize::MAX);
        if self.most.swap(most, Ordering::AcqRel) != most {
            self.freed.notify_waiters();
        }
    }

    /// Waits until a place is free. It may be taken by another before it can be used.
    pub(crate) async fn vacancy(&self) {
        let free = || self.open.load(Ordering::Acquire) < self.most.load(Ordering::Acquire);
        while !free() {
            let mut freed = pin!(self.freed.notified());
            freed.as_mut().enable();
            if free() {
                return;
            }
            freed.await;
        }
    }

    /// Waits for a place, and takes it.
    pub(crate) async fn enter(self: &Arc<Room>) -> Place {
        loop {
            let most = self.most.load(Ordering::Acquire);
            let more = |open| (open < most).then_some(open + 1);
            if self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok() {
                return Place { room: self.clone(), source: None };
            }
            self.vacancy().await;
        }
    }

    fn sources(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32>> {
        // Each change is one step: it is whole, whoever panicked.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    room: Arc<Room>,
    /// Boxed: what is rare must not make every connection larger.
    source: Option<Box<IpAddr>>,
}

/// One too many of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Place {
    /// Counts it for its source, of which there may be so many.
    ///
    /// # Errors
    /// There are so many already; it does not count.
    pub(crate) fn is_of(&mut self, source: IpAddr, most: u32) -> Result<(), TooMany> {
        let source = subscriber(source);
        let mut sources = self.room.sources();
        let open = sources.get(&source).copied().unwrap_or(0);
        if open >= most {
            return Err(TooMany);
        }
        sources.insert(source, open + 1);
        drop(sources);
        self.source = Some(source.into());
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(source) = self.source.take() {
            let mut sources = self.room.sources();
            match sources.get_mut(&source) {
                Some(open) if *open > 1 => *open -= 1,
                _ => drop(sources.remove(&source)),
            }
        }
        let before = self.room.open.fetch_sub(1, Ordering::AcqRel);
        if before >= self.room.most.load(Ordering::Acquire) {
            self.room.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Room, TooMany};
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    #[tokio::test]
    async fn a_place_is_waited_for_and_a_source_has_no_more_than_its_own() {
        let room = Room::new();
        room.limit(Some(2));
        let (mut first, mut second) = (room.enter().await, room.enter().await);
        let mut third = pin!(room.enter());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(third.as_mut().poll(&mut cx).is_pending());
        let ip = |text: &str| text.parse().unwrap();
        assert_eq!(first.is_of(ip("2001:db8::1"), 1), Ok(()));
        assert_eq!(second.is_of(ip("2001:db8::2"), 1), Err(TooMany));
        assert_eq!(second.is_of(ip("2001:db8:0:1::2"), 1), Ok(()));
        drop(first);
        let mut third = third.await;
        assert_eq!(third.is_of(ip("2001:db8::3"), 1), Ok(()));
        let mut fourth = pin!(room.enter());
        assert!(fourth.as_mut().poll(&mut cx).is_pending());
        room.limit(None);
        let fourth = fourth.await;
        drop((second, third, fourth));
        assert_eq!(room.open.load(std::sync::atomic::Ordering::Acquire), 0);
        assert!(room.sources().is_empty());
    }
}
