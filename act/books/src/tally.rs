//! Counts of one rule, or of what no rule took, at one worker.

use crate::register::Named;
use naru_model::{InProgress, Latencies, OwnAnswers, RuleTally};
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::Duration;

/// Kinds of the edge's own answers that are told apart: more than there are sentences in the edge.
const OWN: usize = 128;

/// The counts. In this order: what changes with each request lies together.
#[repr(C)]
pub(super) struct Tally {
    pub(super) requests: Cell<u64>,
    pub(super) received: Cell<u64>,
    pub(super) sent: Cell<u64>,
    pub(super) latencies: Histogram,
    pub(super) answers: [Cell<u64>; 6],
    pub(super) streams: Cell<u64>,
    pub(super) left: Cell<u64>,
    pub(super) broken: Cell<u64>,
    pub(super) closed: Cell<u64>,
    pub(super) retries: Cell<u64>,
    pub(super) streams_over: Cell<u64>,
    pub(super) named: RefCell<Arc<Named>>,
    own: RefCell<Vec<(u16, &'static str, u64)>>,
}

/// Adds to a count.
pub(super) fn add(count: &Cell<u64>, more: u64) {
    count.set(count.get() + more);
}

/// A histogram that takes its memory with the first duration.
#[derive(Default)]
pub struct Histogram {
    counts: OnceCell<Box<[Cell<u64>]>>,
    sum: Cell<u64>,
}

impl Histogram {
    pub fn record(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let counts = self.counts.get_or_init(|| (0..Latencies::BUCKETS).map(|_| Cell::new(0)).collect());
        add(&counts[Latencies::bucket(micros)], 1);
        add(&self.sum, micros);
    }

    pub fn read(&self) -> Latencies {
        let counts = self.counts.get().into_iter().flatten();
        Latencies::new(counts.map(Cell::get), self.sum.get())
    }
}

impl Tally {
    pub(super) fn new(named: Arc<Named>) -> Tally {
        Tally {
            named: RefCell::new(named),
            requests: Cell::default(),
            streams: Cell::default(),
            answers: Default::default(),
            left: Cell::default(),
            broken: Cell::default(),
            closed: Cell::default(),
            retries: Cell::default(),
            streams_over: Cell::default(),
            received: Cell::default(),
            sent: Cell::default(),
            latencies: Histogram::default(),
            own: RefCell::default(),
        }
    }

    /// An answer of the edge's own. Sentences are few and fixed, so that they are compared by their place.
    pub(super) fn own(&self, status: u16, reason: &'static str) {
        let mut own = self.own.borrow_mut();
        let at = own.iter().position(|one| one.0 == status && std::ptr::eq(one.1, reason));
        match at {
            Some(at) => own[at].2 += 1,
            None if own.len() < OWN => own.push((status, reason, 1)),
            None => {}
        }
    }

    pub(super) fn read(&self) -> RuleTally {
        let mut read = RuleTally {
            in_progress: InProgress { requests: self.requests.get(), streams: self.streams.get(), jobs: 0 },
            answers: self.answers.each_ref().map(Cell::get),
            own: vec![],
            left: self.left.get(),
            broken: self.broken.get(),
            closed: self.closed.get(),
            retries: self.retries.get(),
            streams: self.streams_over.get(),
            received: self.received.get(),
            sent: self.sent.get(),
            latencies: self.latencies.read(),
        };
        // The same sentence may lie in two places.
        for &(status, reason, count) in &*self.own.borrow() {
            let own = vec![OwnAnswers { status, reason: reason.into(), count }];
            read += &RuleTally { own, ..RuleTally::default() };
        }
        read
    }
}
