//! When to probe, and what the answers mean.
//!
//! Until it is ready, an instance that refuses connections is asked again every 5 ms, then 20, then 200:
//! that costs next to nothing and is most of what a person waits for at `naru up`. One that answers, and not well,
//! is asked at the pace that its file sets.

use super::effect::Probed;
use naru_model::{Check, Health, Span, Time};

/// Up to which age it is asked how often.
const PACES: [(Span, Span); 2] = [(Span(250), Span(5)), (Span::secs(2), Span(20))];
/// How often beyond those ages.
const LAST_PACE: Span = Span(200);
/// Outside the start period, one that is not ready yet is asked at least this often.
const SLOWEST_BEFORE_READY: Span = Span::secs(1);
/// One second without ports and without a check, and it counts as ready.
pub(super) const FIRST_SECOND: Span = Span::secs(1);

/// The schedule of probes of one start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Probing {
    next: Time,
    asked: bool,
    failures: u32,
}

/// Whether the instance is known to have been ready in this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    Served,
    NeverServed,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Serves,
    /// Not yet, or not so often that it matters.
    Failing(String),
    /// So often in a row that it does.
    Down(String),
}

impl Probing {
    pub(super) fn new(first: Time) -> Probing {
        Probing { next: first, asked: false, failures: 0 }
    }

    /// When to probe; `None` while an answer is awaited.
    pub(super) fn due(&self) -> Option<Time> {
        (!self.asked).then_some(self.next)
    }

    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// Takes an answer, and sets the time of the next probe.
    pub(super) fn answered(
        &mut self,
        now: Time,
        started: Time,
        health: Option<&Health>,
        past: Past,
        seen: Probed,
    ) -> Verdict {
        self.asked = false;
        self.failures = if seen == Probed::Passed { 0 } else { self.failures + 1 };
        self.next = now + self.pace(now.since(started), health, past, &seen);
        let retries = health.map_or(1, |health| health.retries.max(1));
        match seen {
            Probed::Passed => Verdict::Serves,
            Probed::Refused(why) | Probed::Failed(why) if self.failures >= retries => Verdict::Down(why),
            Probed::Refused(why) | Probed::Failed(why) => Verdict::Failing(why),
        }
    }

    fn pace(&self, age: Span, health: Option<&Health>, past: Past, seen: &Probed) -> Span {
        let fast = PACES.iter().find(|(up_to, _)| age < *up_to).map_or(LAST_PACE, |(_, pace)| *pace);
        let Some(health) = health else { return fast };
        let command = matches!(health.check, Check::Command(_));
        match (past, seen) {
            (Past::Served, _) | (_, Probed::Passed) => health.interval,
            (Past::NeverServed, Probed::Refused(_)) if !command => fast,
            _ if age < health.start_period => health.start_interval,
            _ => {
                let grown = Span(100).times(1 << self.failures.min(10));
                grown.min(SLOWEST_BEFORE_READY).min(health.interval)
            }
        }
    }
}
