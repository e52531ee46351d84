//! How long an instance takes to begin an answer: a mean in which the newest counts most.
//!
//! It rises within about a second of slow answers and falls within ten: what has become slow is found out soon, and is
//! believed to be well again only slowly. What is not asked any more drifts back to what is usual among its like, so
//! that one slow answer does not starve an instance for ever; and what was never asked counts as usual, so that a new
//! instance is neither flooded nor starved.

use super::Micros;

/// How fast it rises: a second of worse answers weighs two thirds.
const UP: f64 = 1e6;

/// How fast it falls, and drifts back.
const DOWN: f64 = 1e7;

/// A mean of times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Latency {
    mean: f64,
    at: Micros,
    known: bool,
}

/// What is left of the weight of what was before, after `past` of a time in which a third is left. Exact
/// enough where hardly any time has passed, which is the usual case, and costs no exponential then.
fn left(past: Micros, time: f64) -> f64 {
    let past = past as f64 / time;
    if past < 0.001 { 1.0 - past } else { (-past).exp() }
}

impl Latency {
    /// An answer began after `took`.
    pub(super) fn record(&mut self, now: Micros, took: Micros) {
        let took = took as f64;
        if self.known {
            let left = left(now.saturating_sub(self.at), if took > self.mean { UP } else { DOWN });
            self.mean = took + (self.mean - took) * left;
        } else {
            self.mean = took;
        }
        (self.at, self.known) = (now, true);
    }

    /// What is to be expected, in microseconds, where `usual` is that of its like.
    pub(super) fn expected(&self, now: Micros, usual: f64) -> f64 {
        if !self.known {
            return usual;
        }
        usual + (self.mean - usual) * left(now.saturating_sub(self.at), DOWN)
    }

    /// The mean as it was last; 0 for what is not known.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn it_rises_fast_and_falls_slowly() {
        let mut latency = Latency::default();
        latency.record(0, 1_000);
        for n in 1..=100 {
            latency.record(n * 10_000, 100_000);
        }
        let risen = latency.mean();
        assert!(risen > 60_000.0, "{risen} after a second of slow answers");
        for n in 101..=200 {
            latency.record(n * 10_000, 1_000);
        }
        assert!(latency.mean() > risen * 0.8, "a second of fast ones is soon forgotten: {}", latency.mean());
        for n in 201..=4_200 {
            latency.record(n * 10_000, 1_000);
        }
        assert!(latency.mean() < 3_000.0, "{}", latency.mean());
    }

    #[test]
    fn what_is_not_asked_becomes_usual_again() {
        let mut latency = Latency::default();
        assert_eq!(latency.expected(0, 500.0), 500.0, "what is not known is as usual");
        latency.record(0, 1_000_000);
        assert_eq!(latency.expected(0, 500.0), 1_000_000.0);
        assert!(latency.expected(60_000_000, 500.0) < 5_000.0);
    }
}
