//! Connections that wait for their next request, at one worker: when each has waited long enough, and that their
//! listener ends.
//!
//! One timer serves them all. A timer for each would be a good part of what an idle connection holds, and be set anew for
//! each request; here a deadline is a number that is written down, and the timer goes by the earliest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::sleep_until;

/// A deadline is met at most so much late: those that are close to each other are looked for once.
const GRAIN: Duration = Duration::from_millis(50);

/// The connections of a listener.
pub struct Waits {
    began: Instant,
    entries: RefCell<Entries>,
    /// When the timer goes off next. `None`: there is no timer.
    next: Cell<Option<Millis>>,
    /// Told when it has to go off earlier.
    sooner: Notify,
}

/// Since the waits began; enough for 49 days, after which a deadline is as good as none.
type Millis = u32;

#[derive(Default)]
struct Entries {
    each: Vec<Entry>,
    free: Vec<u32>,
}

/// A connection's; [`FREE`] where there is none.
struct Entry {
    waker: Option<Waker>,
    until: Millis,
    late: bool,
    closing: bool,
}

impl Entry {
    fn over(&self) -> Option<Over> {
        let closing = self.closing.then_some(Over::Closing);
        if self.late { Some(Over::Late) } else { closing }
    }
}

const FREE: Entry = Entry { waker: None, until: Millis::MAX, late: false, closing: false };

/// Why a connection need not wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It has waited for as long as it may.
    Late,
    /// Its listener has ended since it began.
    Closing,
}

/// A connection among them, until this is dropped.
pub struct Waiting<'a> {
    waits: &'a Rc<Waits>,
    key: u32,
}

impl Waits {
    /// None yet.
    pub fn new() -> Rc<Waits> {
        Rc::new(Waits {
            began: Instant::now(),
            entries: RefCell::default(),
            next: Cell::new(None),
            sooner: Notify::new(),
        })
    }

    /// One more, without a deadline yet.
    pub fn enter(self: &Rc<Waits>) -> Waiting<'_> {
        let mut entries = self.entries.borrow_mut();
        let key = entries.free.pop().unwrap_or(entries.each.len() as u32);
        match entries.each.get_mut(key as usize) {
            // What was said to all is nothing to one that comes later.
            Some(entry) => *entry = FREE,
            None => entries.each.push(FREE),
        }
        Waiting { waits: self, key }
    }

    /// The listener ends: none that is here waits for another request.
    pub fn close(&self) {
        for entry in &mut self.entries.borrow_mut().each {
            entry.closing = true;
            // Waking only says that the task is to be run, later.
            entry.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    fn millis(&self, at: Instant) -> Millis {
        let since = at.saturating_duration_since(self.began).as_millis();
        Millis::try_from(since).unwrap_or(Millis::MAX)
    }

    /// Sees to it that the timer goes off by then.
    fn watch(self: &Rc<Waits>, until: Millis) {
        match self.next.get() {
            Some(next) if next <= until => {}
            Some(_) => {
                self.next.set(Some(until));
                self.sooner.notify_one();
            }
            None => {
                self.next.set(Some(until));
                tokio::task::spawn_local(self.clone().tick());
            }
        }
    }

    /// Ends the wait of those that are late, until nobody waits.
    async fn tick(self: Rc<Waits>) {
        /// Where the runtime ends before those who wait, the next one has to have a timer of its own.
        struct Ends<'a>(&'a Waits);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.next.set(None);
            }
        }
        let _ends = Ends(&self);
        while let Some(next) = self.next.get() {
            let at = self.began + Duration::from_millis(next.into());
            tokio::select! {
                () = sleep_until((at + GRAIN).into()) => self.look(),
                () = self.sooner.notified() => {}
            }
        }
    }

    fn look(&self) {
        let now = self.millis(Instant::now());
        let mut next = Millis::MAX;
        for entry in self.entries.borrow_mut().each.iter_mut().filter(|entry| !entry.late) {
            if entry.until <= now {
                entry.late = true;
                entry.waker.iter().for_each(Waker::wake_by_ref);
            } else {
                next = next.min(entry.until);
            }
        }
        self.next.set(Some(next).filter(|next| *next < Millis::MAX));
    }
}

impl Waiting<'_> {
    /// It may wait until then.
    pub fn until(&self, at: Instant) {
        let until = self.waits.millis(at);
        self.with(|entry| (entry.until, entry.late) = (until, false));
        self.waits.watch(until);
    }

    /// Why it need not wait any longer. `None`: it has to, and the task is woken when that changes.
    pub fn look(&self, cx: &Context<'_>) -> Option<Over> {
        self.with(|entry| {
            if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                entry.waker = Some(cx.waker().clone());
            }
            entry.over()
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Entry) -> T) -> T {
        look(&mut self.waits.entries.borrow_mut().each[self.key as usize])
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut entries = self.waits.entries.borrow_mut();
        entries.each[self.key as usize] = FREE;
        entries.free.push(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::{Over, Waits};
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::{Duration, Instant};
    use tokio::task::LocalSet;

    async fn over(waiting: &super::Waiting<'_>) -> Over {
        poll_fn(|cx| waiting.look(cx).map_or(Poll::Pending, Poll::Ready)).await
    }

    #[tokio::test]
    async fn each_waits_until_its_own_deadline_and_one_that_is_put_off_goes_on() {
        let within = |ms| Instant::now() + Duration::from_millis(ms);
        LocalSet::new()
            .run_until(async {
                let waits = Waits::new();
                let (far, near, third) = (waits.enter(), waits.enter(), waits.enter());
                far.until(within(3_600_000));
                near.until(within(1));
                assert_eq!(over(&near).await, Over::Late);
                near.until(within(3_600_000));
                third.until(within(1));
                assert_eq!(over(&third).await, Over::Late);
                let look = |waiting| poll_fn(move |cx| Poll::Ready(super::Waiting::look(waiting, cx)));
                assert_eq!((look(&far).await, look(&near).await), (None, None));
            })
            .await;
    }

    #[tokio::test]
    async fn the_end_of_a_listener_is_the_end_of_those_that_are_there() {
        LocalSet::new()
            .run_until(async {
                let waits = Waits::new();
                let (gone, before) = (waits.enter(), waits.enter());
                let free = gone.key;
                drop(gone);
                before.until(Instant::now() + Duration::from_secs(3600));
                waits.close();
                before.until(Instant::now() + Duration::from_secs(3600));
                assert_eq!(over(&before).await, Over::Closing);
                let after = waits.enter();
                assert_eq!(after.key, free, "places are used again");
                after.until(Instant::now());
                assert_eq!(over(&after).await, Over::Late);
            })
            .await;
    }
}
