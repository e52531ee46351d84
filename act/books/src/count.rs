//! The books: what is in progress on each instance, and what became of the rest.
//!
//! Each worker keeps its own [`Entry`] for an instance, in plain cells that only its thread touches, so that
//! counting takes no lock and no atomic, and a report, made on that thread, sees no piece of work twice or
//! in between. Only the load by which instances are compared is shared between workers.
//!
//! A [`Claim`] is one piece of work. It counts from the moment its instance is chosen until it is dropped,
//! exactly once, whichever way it ends: a path that forgets to say how counts as the client's will.

use crate::load::Load;
use crate::numbers::{Number, Numbers};
use crate::sheet::Slot;
use crate::tally::Histogram;
use naru_carry::Pool;
use naru_model::{Durations, EdgeCounts, InstanceId, Latencies, ReleaseNo, Span, Time, Used};
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
    numbers: Numbers,
    /// Whole answers by status: 1xx to 5xx; and how long they took.
    answers: [Cell<u64>; 5],
    ejections: Cell<u64>,
    latencies: Histogram,
    began: RefCell<Beginnings>,
    /// When the newest piece of work that counts as use began, and when one ended last.
    used: Cell<(Option<Instant>, Option<Instant>)>,
    news: News,
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
            numbers: Numbers::new(copy),
            answers: Default::default(),
            ejections: Cell::new(0),
            latencies: Histogram::default(),
            began: RefCell::default(),
            used: Cell::default(),
            news,
        }
    }

    /// Begins a piece of work here, unless all workers together have `most` in progress already.
    pub fn claim(self: &Rc<Entry>, kind: Kind, now: Instant, most: Option<u32>) -> Option<Claim> {
        self.load.enter(most)?;
        self.numbers.add(now_of(kind));
        let slot = self.began.borrow_mut().insert(now);
        let (ending, ended, is_use) = (Ending::ClientLeft, None, true);
        Some(Claim { entry: self.clone(), kind, began: now, slot, ending, ended, is_use })
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
        self.numbers.are_idle()
    }

    /// What the report says, where `now` is the same moment on both clocks.
    pub fn counts(&self, now: (Instant, Time)) -> EdgeCounts {
        let oldest = self.began.borrow().oldest();
        let time = |at: Instant| now.1 - Span(now.0.saturating_duration_since(at).as_millis() as u64);
        let (in_progress, counts, request_durations) = self.numbers.read();
        let (began, ended) = self.used.get();
        let used = Used { began: began.map(time), ended: ended.map(time) };
        EdgeCounts { in_progress, oldest: oldest.map(time), counts, request_durations, used }
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

    fn count(&self, kind: Kind, ending: Ending, took: Duration) {
        let numbers = &self.numbers;
        match (kind, ending) {
            (_, Ending::Repeated) => {}
            (_, Ending::HandedOver) => numbers.add(Number::HandedOver),
            (Kind::Stream, Ending::Lost | Ending::Gone) => numbers.add(Number::StreamsLost),
            (Kind::Stream, _) => numbers.add(Number::Streams),
            (Kind::Request, Ending::Lost | Ending::Gone) => numbers.add(Number::RequestsLost),
            (Kind::Request, Ending::ClientLeft) => numbers.add(Number::Requests),
            (Kind::Request, Ending::Full { status }) => {
                numbers.add(Number::Requests);
                if status >= 500 {
                    numbers.add(Number::Errors);
                }
                numbers.record(Durations::bucket(Span(took.as_millis() as u64)));
                let class = &self.answers[usize::from(status / 100).clamp(1, 5) - 1];
                class.set(class.get() + 1);
                self.latencies.record(took);
            }
        }
    }
}

/// The number of what is in progress of a kind.
fn now_of(kind: Kind) -> Number {
    match kind {
        Kind::Request => Number::RequestsNow,
        Kind::Stream => Number::StreamsNow,
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
    /// Whether somebody uses the service by it.
    is_use: bool,
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
            self.entry.numbers.take(Number::RequestsNow);
            self.entry.numbers.add(Number::StreamsNow);
            self.kind = Kind::Stream;
        }
    }

    /// It says nothing of whether the service is used.
    pub fn is_no_use(&mut self) {
        self.is_use = false;
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
        entry.numbers.take(now_of(self.kind));
        entry.began.borrow_mut().remove(self.slot);
        if self.is_use {
            let (newest, last) = entry.used.get();
            entry.used.set((newest.max(Some(self.began)), last.max(Some(ended))));
        }
        let before = entry.load.leave();
        if before == 1 && !entry.is_named() {
            entry.news.tell();
        }
    }
}

/// When the work in progress began. Places are used again: no allocation once the peak is reached.
#[derive(Default)]
struct Beginnings {
    places: Vec<Place>,
    /// The first that is free; one behind the last where none is.
    free: usize,
}

#[derive(Clone, Copy)]
enum Place {
    Taken(Instant),
    /// And which one is free after it.
    Free(usize),
}

impl Beginnings {
    fn insert(&mut self, began: Instant) -> usize {
        let at = self.free;
        match self.places.get_mut(at) {
            Some(place) => {
                // The first that is free is.
                if let Place::Free(next) = std::mem::replace(place, Place::Taken(began)) {
                    self.free = next;
                }
            }
            None => {
                self.places.push(Place::Taken(began));
                self.free = self.places.len();
            }
        }
        at
    }

    fn remove(&mut self, at: usize) {
        self.places[at] = Place::Free(std::mem::replace(&mut self.free, at));
    }

    fn oldest(&self) -> Option<Instant> {
        let taken = self.places.iter().filter_map(|place| match place {
            Place::Taken(began) => Some(*began),
            Place::Free(_) => None,
        });
        taken.min()
    }
}

#[cfg(test)]
mod tests {
    use super::Beginnings;
    use std::time::{Duration, Instant};

    #[test]
    fn the_oldest_is_known_and_places_are_used_again() {
        let first = Instant::now();
        let at = |seconds| first + Duration::from_secs(seconds);
        let mut began = Beginnings::default();
        let places = [0, 1, 2].map(|n| began.insert(at(n)));
        assert_eq!(began.oldest(), Some(at(0)));
        began.remove(places[0]);
        began.remove(places[2]);
        assert_eq!(began.oldest(), Some(at(1)));
        assert_eq!([3, 4, 5].map(|n| began.insert(at(n))), [places[2], places[0], 3]);
        assert_eq!((began.oldest(), began.places.len()), (Some(at(1)), 4));
        (0..4).for_each(|place| began.remove(place));
        assert_eq!(began.oldest(), None);
    }
}
