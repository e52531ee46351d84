//! Passive ejection: an instance that fails so many times in a row is passed over for a pause, a longer one each time.
//!
//! How many may be passed over at once is the roster's to say: what fails everywhere is seldom the instances' fault, and
//! the rest must not be buried under the load of all.

use super::Micros;
use naru_model::Ejection;

/// How often a pause is made longer.
const TIMES: u32 = 10;

/// What one instance's failures led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is chosen as before; so many failures in a row.
    Counted(u32),
    /// It is passed over.
    Ejected {
        /// For so long.
        pause: Micros,
        /// How often it was, lately.
        times: u32,
    },
    /// It would be, but too many are already.
    Spared,
}

/// How an instance has done lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    row: u32,
    times: u32,
    until: Micros,
}

impl Health {
    /// Whether it is passed over.
    pub(super) fn is_ejected(&self, now: Micros) -> bool {
        now < self.until
    }

    /// Until when it is, or was.
    pub(super) fn until(&self) -> Micros {
        self.until
    }

    /// It answered.
    pub(super) fn well(&mut self) {
        self.row = 0;
    }

    /// It failed; `may` says whether one more may be passed over.
    pub(super) fn badly(&mut self, now: Micros, ejection: &Ejection, may: impl FnOnce() -> bool) -> Verdict {
        self.row = self.row.saturating_add(1);
        if ejection.failures == 0 || self.row < ejection.failures || self.is_ejected(now) {
            return Verdict::Counted(self.row);
        }
        if !may() {
            return Verdict::Spared;
        }
        let pause = (ejection.pause.0 * 1000).max(1);
        // Each pause that it went well for takes one back.
        let calm = now.saturating_sub(self.until) / pause;
        self.times = (u64::from(self.times).saturating_sub(calm) as u32 + 1).min(TIMES);
        let pause = pause.saturating_mul(u64::from(self.times));
        self.until = now.saturating_add(pause);
        self.row = 0;
        Verdict::Ejected { pause, times: self.times }
    }

    /// It is passed over no longer.
    pub(super) fn spare(&mut self, now: Micros) {
        self.until = self.until.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::{Health, Verdict};
    use naru_model::{Ejection, Span};

    const SECOND: u64 = 1_000_000;

    #[test]
    fn failures_in_a_row_lead_to_longer_and_longer_pauses() {
        let ejection = Ejection { failures: 3, pause: Span::secs(10), at_most: 50 };
        let (mut health, mut now) = (Health::default(), 1);
        let mut pauses = vec![];
        for _ in 0..12 {
            for row in 1..3 {
                assert_eq!(health.badly(now, &ejection, || true), Verdict::Counted(row));
            }
            let Verdict::Ejected { pause, .. } = health.badly(now, &ejection, || true) else { panic!() };
            pauses.push(pause / SECOND);
            now += pause - 1;
            assert!(health.is_ejected(now));
            now += 1;
            assert!(!health.is_ejected(now));
        }
        assert_eq!(pauses, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100, 100]);
        now += 1000 * SECOND;
        health.badly(now, &ejection, || true);
        health.well();
        health.badly(now, &ejection, || true);
        assert_eq!(health.badly(now, &ejection, || true), Verdict::Counted(2), "an answer ends the row");
        let again = health.badly(now, &ejection, || true);
        assert_eq!(again, Verdict::Ejected { pause: 10 * SECOND, times: 1 }, "old times are forgotten");
    }

    #[test]
    fn it_can_be_switched_off_or_held_back() {
        let mut health = Health::default();
        let never = Ejection { failures: 0, ..Ejection::default() };
        assert!((0..100).all(|_| matches!(health.badly(0, &never, || true), Verdict::Counted(_))));
        assert_eq!(health.badly(0, &Ejection::default(), || false), Verdict::Spared);
        assert!(!health.is_ejected(0));
    }
}
