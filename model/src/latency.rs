//! How long answers took, finely: what percentiles are read from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A histogram of durations in microseconds. Each power of two is eight buckets of equal width, so that a reading is
/// within an eighth; the place is 256 numbers, and the last one begins at 1.2 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Latencies {
    buckets: Vec<u64>,
    /// All of them together, in microseconds.
    pub sum: u64,
}

impl Latencies {
    /// So many buckets.
    pub const BUCKETS: usize = 256;

    /// Bits of a duration that tell buckets of one power of two apart.
    const FINE: u32 = 3;

    /// The bucket of a duration.
    pub const fn bucket(micros: u64) -> usize {
        let low = 1 << Latencies::FINE;
        if micros < low {
            return micros as usize;
        }
        let power = 63 - micros.leading_zeros();
        let within = (micros >> (power - Latencies::FINE)) - low;
        let bucket = ((power - Latencies::FINE + 1) as u64 * low + within) as usize;
        if bucket < Latencies::BUCKETS { bucket } else { Latencies::BUCKETS - 1 }
    }

    /// The shortest duration of a bucket, in microseconds.
    pub const fn from(bucket: usize) -> u64 {
        let low = 1 << Latencies::FINE;
        let bucket = bucket as u64;
        if bucket < low { bucket } else { (low + bucket % low) << (bucket / low - 1) }
    }

    /// From counts by bucket, and their sum in microseconds. What is beyond the last bucket is left out.
    pub fn new(counts: impl IntoIterator<Item = u64>, sum: u64) -> Latencies {
        let mut buckets: Vec<u64> = counts.into_iter().take(Latencies::BUCKETS).collect();
        buckets.truncate(buckets.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1));
        Latencies { buckets, sum }
    }

    /// Adds all that `other` counted.
    pub fn add(&mut self, other: &Latencies) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, more)| *mine += more);
        self.sum += other.sum;
    }

    /// What was counted since an earlier reading of the same histogram.
    pub fn since(&self, earlier: &Latencies) -> Latencies {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        let counts = self.buckets.iter().zip(before).map(|(now, before)| now.saturating_sub(before));
        Latencies::new(counts, self.sum.saturating_sub(earlier.sum))
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many took less than so many microseconds, exact where that is a power of two.
    pub fn below(&self, micros: u64) -> u64 {
        self.buckets.iter().take(Latencies::bucket(micros)).sum()
    }

    /// The duration, in microseconds, that so many percent stayed below, taken as evenly spread within a bucket.
    /// `None` where nothing was counted.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let rank = (count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, &n) in self.buckets.iter().enumerate() {
            if seen + n >= rank {
                let (from, to) = (Latencies::from(bucket), Latencies::from(bucket + 1));
                return Some(from + (to - from) * (rank - seen) / n);
            }
            seen += n;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;

    fn of(all: &[u64]) -> Latencies {
        let mut counts = [0; Latencies::BUCKETS];
        all.iter().for_each(|micros| counts[Latencies::bucket(*micros)] += 1);
        Latencies::new(counts, all.iter().sum())
    }

    #[test]
    fn every_duration_is_within_its_bucket() {
        for micros in (0..5_000).chain([1 << 20, (1 << 31) - 1, 1 << 31, 4_000_000_000]) {
            let bucket = Latencies::bucket(micros);
            assert!(Latencies::from(bucket) <= micros && micros < Latencies::from(bucket + 1), "{micros}");
        }
        assert_eq!(Latencies::bucket(u64::MAX), Latencies::BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_within_an_eighth() {
        let all = of(&(1..=10_000).collect::<Vec<_>>());
        assert_eq!((all.count(), all.sum), (10_000, 50_005_000));
        for percent in [1, 50, 95, 99, 100] {
            let (want, read) = (percent * 100, all.percentile(percent).unwrap());
            assert!(read.abs_diff(want) <= want / 8 + 1, "{percent}: {read}");
        }
        assert_eq!(Latencies::default().percentile(50), None);
    }

    #[test]
    fn powers_of_two_part_exactly() {
        let all = of(&[1, 1023, 1024, 1025, 4096]);
        assert_eq!([1, 1024, 2048, 4096, 8192].map(|micros| all.below(micros)), [0, 2, 4, 4, 5]);
    }

    #[test]
    fn what_came_since_is_told_apart() {
        let (earlier, mut now) = (of(&[5, 70]), of(&[5, 70]));
        now.add(&of(&[70, 900]));
        assert_eq!(now.since(&earlier), of(&[70, 900]));
        assert_eq!(now.since(&now), Latencies::default());
    }
}
