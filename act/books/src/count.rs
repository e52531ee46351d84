//! The books: what is in progress on each instance, and what became of the rest.
//!
//! Each worker keeps its own [`Entry`] for an instance, in plain cells that only its thread touches, so that
//! counting takes no lock and no atomic, and a report, made on that thread, sees no piece of work twice or
//! in between. Only the load by which instances are compared is shared between workers.
//!
//! A [`Claim`] is one piece of work. It counts from the moment its instance is chosen until it is dropped,
//! exactly once, whichever way it ends: a path that forgets to say how counts as the client's will.

use crate::load::Load;
use crate::sheet::Slot;
use crate::tally::Histogram;
use naru_carry::Pool;
use naru_model::{Counts, Durations, EdgeCounts, InProgress, InstanceId, Latencies, ReleaseNo, Span, Time};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Says that something worth a report happened: a number that grows.
#[derive(Clone, Debug, Default)]
pub struct News(Arc<watch::Sender<u64>>);

impl News {
    /// Something happened.
    pub fn tell(&self) {
        self.0.send_modify(|n| *n += 1);
    }

    /// The number, and a word whenever it grows.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request and its answer.
    Request,
    /// A connection that goes on: a websocket, server-sent events, TCP.
    Stream,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In full: the instance's status, or 0 for a stream.
    Full {
        /// What the instance answered.
        status: u16,
    },
    /// By the client's will, before its end.
    ClientLeft,
    /// The instance failed before it answered, and another takes it.
    HandedOver,
    /// The same instance gets it once more.
    Repeated,
    /// The instance failed, and nobody else can take it.
    Lost,
    /// A stream whose instance closed it because it was ending itself: lost, though no byte on its way was.
    Gone,
}

/// One instance, at one worker.
pub struct Entry {
    /// The instance.
    pub id: InstanceId,
    /// Its release.
    pub release: ReleaseNo,
    /// What all workers have in progress on it.
    pub load: Arc<Load>,
    /// In how many places the worker's table names it.
    named: Cell<usize>,
    /// Told when it does not any more, to the streams that are here.
    pub unnamed: Notify,
    /// Its connections that wait.
    pub pool: Pool,
    in_progress: Cell<InProgress>,
    counts: Cell<Counts>,
    durations: RefCell<Durations>,
    /// Whole answers by status: 1xx to 5xx; and how long they took.
    answers: [Cell<u64>; 5],
    ejections: Cell<u64>,
    latencies: Histogram,
    began: RefCell<Beginnings>,
    news: News,
    copy: Option<Slot>,
}

impl Entry {
    /// One without any work yet.
    pub fn new(id: InstanceId, release: ReleaseNo, load: Arc<Load>, news: News, copy: Option<Slot>) -> Entry {
        Entry {
            id,
            release,
            load,
            named: Cell::new(0),
            unnamed: Notify::new(),
            pool: Pool::default(),
            in_progress: Cell::default(),
            counts: Cell::default(),
            durations: RefCell::default(),
            answers: Default::default(),
            ejections: Cell::new(0),
            latencies: Histogram::default(),
            began: RefCell::default(),
            news,
            copy,
        }
    }

    /// Begins a piece of work here, unless all workers together have `most` in progress already.
    pub fn claim(self: &Rc<Entry>, kind: Kind, now: Instant, most: Option<u32>) -> Option<Claim> {
        self.load.enter(most)?;
        self.shift(kind, |n| n + 1);
        let slot = self.began.borrow_mut().insert(now);
        Some(Claim { entry: self.clone(), kind, began: now, slot, ending: Ending::ClientLeft, ended: None })
    }

    /// Whether the worker's table names it.
    pub fn is_named(&self) -> bool {
        self.named.get() > 0
    }

    /// The worker's table names it in one more place.
    pub fn name(&self) {
        self.named.set(self.named.get() + 1);
    }

    /// The worker's table names it in one place less.
    pub fn unname(&self) {
        self.named.set(self.named.get() - 1);
    }

    /// Whether nothing is in progress here.
    pub fn is_idle(&self) -> bool {
        self.in_progress.get().is_idle()
    }

    /// What the report says, where `now` is the same moment on both clocks.
    pub fn counts(&self, now: (Instant, Time)) -> EdgeCounts {
        let oldest = self.began.borrow().oldest();
        let ago = |began: Instant| Span(now.0.saturating_duration_since(began).as_millis() as u64);
        EdgeCounts {
            in_progress: self.in_progress.get(),
            oldest: oldest.map(|began| now.1 - ago(began)),
            counts: self.counts.get(),
            request_durations: self.durations.borrow().clone(),
        }
    }

    /// It is passed over for a while.
    pub fn eject(&self) {
        self.ejections.set(self.ejections.get() + 1);
    }

    /// How often it was passed over for a while.
    pub fn ejections(&self) -> u64 {
        self.ejections.get()
    }

    /// Whole answers by status: 1xx to 5xx.
    pub fn answers(&self) -> [u64; 5] {
        self.answers.each_ref().map(Cell::get)
    }

    /// How long they took.
    pub fn latencies(&self) -> Latencies {
        self.latencies.read()
    }

    fn shift(&self, kind: Kind, by: impl Fn(u64) -> u64) {
        let mut now = self.in_progress.get();
        match kind {
            Kind::Request => now.requests = by(now.requests),
            Kind::Stream => now.streams = by(now.streams),
        }
        self.in_progress.set(now);
        if let Some(copy) = &self.copy {
            copy.put_in_progress(now);
        }
    }

    fn count(&self, kind: Kind, ending: Ending, took: Duration) {
        let mut counts = self.counts.get();
        match (kind, ending) {
            (_, Ending::Repeated) => {}
            (_, Ending::HandedOver) => counts.handed_over += 1,
            (Kind::Stream, Ending::Lost | Ending::Gone) => counts.streams_lost += 1,
            (Kind::Stream, _) => counts.streams += 1,
            (Kind::Request, Ending::Lost | Ending::Gone) => counts.requests_lost += 1,
            (Kind::Request, Ending::ClientLeft) => counts.requests += 1,
            (Kind::Request, Ending::Full { status }) => {
                counts.requests += 1;
                counts.errors += u64::from(status >= 500);
                let class = &self.answers[usize::from(status / 100).clamp(1, 5) - 1];
                class.set(class.get() + 1);
                self.latencies.record(took);
                self.durations.borrow_mut().record(Span(took.as_millis() as u64));
                if let Some(copy) = &self.copy {
                    copy.put_durations(&self.durations.borrow());
                }
            }
        }
        self.counts.set(counts);
        if let Some(copy) = &self.copy {
            copy.put_counts(&counts);
        }
    }
}

/// One piece of work in progress on one instance.
pub struct Claim {
    entry: Rc<Entry>,
    kind: Kind,
    began: Instant,
    slot: usize,
    ending: Ending,
    /// When it ended, where that was looked at.
    ended: Option<Instant>,
}

impl Claim {
    /// The instance that has it.
    pub fn entry(&self) -> &Rc<Entry> {
        &self.entry
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The request has become a stream: it leaves the one count and joins the other.
    pub fn become_stream(&mut self) {
        if self.kind == Kind::Request {
            self.entry.shift(Kind::Request, |n| n - 1);
            self.entry.shift(Kind::Stream, |n| n + 1);
            self.kind = Kind::Stream;
        }
    }

    /// Ends it, now.
    pub fn end_at(mut self, ending: Ending, now: Instant) {
        self.ended = Some(now);
        self.end(ending);
    }

    /// Ends it.
    pub fn end(mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let entry = &self.entry;
        let ended = self.ended.unwrap_or_else(Instant::now);
        entry.count(self.kind, self.ending, ended - self.began);
        entry.shift(self.kind, |n| n - 1);
        entry.began.borrow_mut().remove(self.slot);
        let before = entry.load.leave();
        if before == 1 && !entry.is_named() {
            entry.news.tell();
        }
    }
}

/// When the work in progress began. Slots are used again: no allocation once the peak is reached.
#[derive(Default)]
struct Beginnings {
    slots: Vec<Option<Instant>>,
    free: Vec<usize>,
}

impl Beginnings {
    fn insert(&mut self, began: Instant) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(began);
        slot
    }

    fn remove(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
    }

    fn oldest(&self) -> Option<Instant> {
        self.slots.iter().flatten().min().copied()
    }
}
