//! The numbers of one instance at one worker, in the order in which they lie in memory and in their copy.
//!
//! What changes with each request lies first, in one line of the processor's cache: with a thousand routes, the lines
//! that a request touches are what it costs.

use crate::sheet::Slot;
use naru_model::{Counts, Durations, InProgress};
use std::cell::Cell;

/// So many numbers: what is in progress, what became of the rest, and how long that took.
pub(crate) const NUMBERS: usize = DURATIONS + Durations::MAX + 8;
/// Where the durations begin.
const DURATIONS: usize = 4;
/// Where the numbers go on that change less often.
const RARE: usize = DURATIONS + Durations::MAX;

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    RequestsNow = 0,
    StreamsNow = 1,
    Requests = 2,
    Errors = 3,
    Streams = RARE as isize,
    HandedOver,
    RequestsLost,
    StreamsLost,
}

/// The numbers, and where they are copied to.
#[repr(align(64))]
pub(crate) struct Numbers {
    each: [Cell<u64>; NUMBERS],
    /// Buckets of durations up to the last that is not empty.
    buckets: Cell<usize>,
    copy: Option<Slot>,
}

impl Numbers {
    pub(crate) fn new(copy: Option<Slot>) -> Numbers {
        Numbers { each: [const { Cell::new(0) }; NUMBERS], buckets: Cell::new(0), copy }
    }

    /// One more.
    pub(crate) fn add(&self, number: Number) {
        self.set(number as usize, self.each[number as usize].get() + 1);
    }

    /// One less.
    pub(crate) fn take(&self, number: Number) {
        self.set(number as usize, self.each[number as usize].get() - 1);
    }

    /// A piece of work took so long that it belongs in this bucket.
    pub(crate) fn record(&self, bucket: usize) {
        let at = DURATIONS + bucket;
        self.buckets.set(self.buckets.get().max(bucket + 1));
        self.set(at, self.each[at].get() + 1);
    }

    fn set(&self, at: usize, value: u64) {
        self.each[at].set(value);
        if let Some(copy) = &self.copy {
            copy.put(at, value);
        }
    }

    /// Whether nothing is in progress.
    pub(crate) fn are_idle(&self) -> bool {
        [Number::RequestsNow, Number::StreamsNow].iter().all(|now| self.each[*now as usize].get() == 0)
    }

    /// What is in progress, what became of the rest, and how long that took.
    pub(crate) fn read(&self) -> (InProgress, Counts, Durations) {
        say(|at| self.each[at].get(), self.buckets.get())
    }
}

/// What copied numbers say.
pub(crate) fn read(numbers: &[u64; NUMBERS]) -> (InProgress, Counts, Durations) {
    say(|at| numbers[at], Durations::MAX)
}

fn say(number: impl Fn(usize) -> u64, buckets: usize) -> (InProgress, Counts, Durations) {
    let of = |which: Number| number(which as usize);
    let now = InProgress { requests: of(Number::RequestsNow), streams: of(Number::StreamsNow), jobs: 0 };
    let counts = Counts {
        requests: of(Number::Requests),
        errors: of(Number::Errors),
        streams: of(Number::Streams),
        handed_over: of(Number::HandedOver),
        requests_lost: of(Number::RequestsLost),
        streams_lost: of(Number::StreamsLost),
        // An edge sees no jobs, and cuts nothing.
        ..Counts::default()
    };
    (now, counts, Durations::from_buckets((DURATIONS..DURATIONS + buckets).map(number)))
}
