//! What a group of clients did: exchanges, failures, and how long each exchange took.

use std::time::Duration;

/// Exchanges of a group, since the last [`Tally::clear`].
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answered, whole and as expected.
    pub done: u64,
    /// Not answered, or otherwise than expected.
    pub failed: u64,
    /// The first failure in words.
    pub fault: Option<String>,
    /// How long each took, in µs.
    times: Vec<u32>,
}

impl Tally {
    /// An exchange ended well.
    pub fn done(&mut self, took: Duration) {
        self.done += 1;
        self.times.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// An exchange failed.
    pub fn fail(&mut self, why: impl Into<String>) {
        self.failed += 1;
        if self.fault.is_none() {
            self.fault = Some(why.into());
        }
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.times.clear();
        *self = Tally { times: std::mem::take(&mut self.times), ..Tally::default() };
    }

    /// The time that `percent` of the exchanges did not exceed, in µs; 0 of none.
    pub fn percentile(&self, percent: f64) -> f64 {
        let mut times = self.times.clone();
        if times.is_empty() {
            return 0.0;
        }
        let rank = ((times.len() as f64 * percent / 100.0).ceil() as usize).clamp(1, times.len());
        f64::from(*times.select_nth_unstable(rank - 1).1)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use std::time::Duration;

    #[test]
    fn percentiles_are_ranks() {
        let mut tally = Tally::default();
        assert_eq!(tally.percentile(99.0), 0.0);
        (1..=100).rev().for_each(|n| tally.done(Duration::from_micros(n)));
        assert_eq!(
            [1.0, 50.0, 99.0, 100.0].map(|percent| tally.percentile(percent)),
            [1.0, 50.0, 99.0, 100.0]
        );
        tally.fail("the first");
        tally.fail("the second");
        assert_eq!((tally.done, tally.failed, tally.fault.as_deref()), (100, 2, Some("the first")));
        tally.clear();
        assert_eq!((tally.done, tally.failed, tally.percentile(50.0)), (0, 0, 0.0));
    }
}
