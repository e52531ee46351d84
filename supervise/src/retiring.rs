//! What an instance says of its jobs, and how it is told to take no new ones.

use naru_model::{Span, Time};

/// Between busy checks while work is taken: only for the eyes of people.
const BUSY_PACE: Span = Span::secs(5);
/// Between busy checks while its end waits for the answer.
const RETIRING_PACE: Span = Span::secs(1);
/// The first pause after a failed quiet call; doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Span = Span(500);
const LONGEST_PAUSE: Span = Span::secs(30);

/// How urgent the busy check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Serving,
    Retiring,
}

/// The busy check of one start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Busy {
    /// Counts the questions: the answer to an earlier one is dropped.
    number: u64,
    awaited: bool,
    /// When the last answer came, and the jobs in progress by it; `None`: not known.
    last: Option<(Time, Option<u64>)>,
    /// Since when every answer was above zero.
    since: Option<Time>,
    /// When an answer was above zero last.
    last_busy: Option<Time>,
    /// Whether the last answer was asked for after the last [`Busy::renew`].
    fresh: bool,
    /// Whether it ever answered.
    answered: bool,
}

impl Busy {
    /// When to ask; `None` while an answer is awaited.
    pub(super) fn due(&self, pace: Pace) -> Option<Time> {
        let pause = if pace == Pace::Serving { BUSY_PACE } else { RETIRING_PACE };
        let next = self.last.filter(|_| self.fresh).map_or(Time(0), |(at, _)| at + pause);
        (!self.awaited).then_some(next)
    }

    /// Something happened that makes earlier answers, and questions, worthless.
    pub(super) fn renew(&mut self) {
        self.awaited = false;
        self.fresh = false;
    }

    /// The number of the question that is asked now.
    pub(super) fn ask(&mut self) -> u64 {
        self.awaited = true;
        self.number += 1;
        self.number
    }

    pub(super) fn awaits(&self, question: u64) -> bool {
        self.awaited && self.number == question
    }

    /// Takes the awaited answer.
    pub(super) fn answered(&mut self, now: Time, jobs: Option<u64>) {
        self.awaited = false;
        self.fresh = true;
        self.answered |= jobs.is_some();
        self.last = Some((now, jobs));
        self.since = if jobs == Some(0) { None } else { self.since.or(Some(now)) };
        self.last_busy = if jobs == Some(0) { self.last_busy } else { Some(now) };
    }

    /// Jobs in progress by the last answer. What is not known counts as one.
    pub(super) fn jobs(&self) -> u64 {
        self.last.map_or(0, |(_, jobs)| jobs.unwrap_or(1))
    }

    /// Jobs in progress by the last answer, where it told.
    pub(super) fn told(&self) -> Option<u64> {
        self.last.and_then(|(_, jobs)| jobs)
    }

    /// Whether there was an answer, even that nothing is known.
    pub(super) fn is_asked(&self) -> bool {
        self.last.is_some()
    }

    /// Whether it ever answered, in this start.
    pub(super) fn has_answered(&self) -> bool {
        self.answered
    }

    /// When it was seen to be busy last.
    pub(super) fn last_busy(&self) -> Option<Time> {
        self.last_busy
    }

    /// Since when it has been busy.
    pub(super) fn since(&self) -> Option<Time> {
        self.since
    }

    /// The answer since the last [`Busy::renew`]; the inner `None`: it failed.
    pub(super) fn fresh(&self) -> Option<Option<u64>> {
        self.last.filter(|_| self.fresh).map(|(_, jobs)| jobs)
    }
}

/// The telling of one start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Telling {
    asked: bool,
    failures: u32,
    next: Time,
}

impl Telling {
    /// When to tell; `None` while the result is awaited.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.asked).then_some(self.next)
    }

    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// Whether a try failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Sets the time of the next try, and returns the pause until then.
    pub(super) fn failed(&mut self, now: Time) -> Span {
        let pause = FIRST_PAUSE.times(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        *self = Telling { asked: false, failures: self.failures + 1, next: now + pause };
        pause
    }
}
