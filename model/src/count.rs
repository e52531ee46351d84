//! Work, counted: what is in progress, what became of it, how long it took.

use crate::Span;
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};
use utoipa::ToSchema;

/// Work in progress on one instance, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct InProgress {
    /// Requests handed to an instance and not fully answered.
    pub requests: u64,
    /// Websockets, server-sent events, TCP connections.
    pub streams: u64,
    /// Leases held, plus what the busy check says beyond them.
    pub jobs: u64,
}

impl InProgress {
    /// Whether nothing is in progress.
    pub fn is_idle(self) -> bool {
        self == InProgress::default()
    }

    /// All kinds together.
    pub fn total(self) -> u64 {
        self.requests + self.streams + self.jobs
    }
}

impl AddAssign for InProgress {
    fn add_assign(&mut self, other: InProgress) {
        self.requests += other.requests;
        self.streams += other.streams;
        self.jobs += other.jobs;
    }
}

/// What became of work, since the count began. Only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Requests answered in full, whatever the status.
    pub requests: u64,
    /// Of those, answered with a status of 500 or above by the instance.
    pub errors: u64,
    /// Streams that ended by the will of either end.
    pub streams: u64,
    /// Jobs ended as done or as failed by the workload itself.
    pub jobs: u64,
    /// Of those, ended as failed.
    pub jobs_failed: u64,
    /// Requests sent to another instance because this one failed before an answer began.
    pub handed_over: u64,
    /// Requests whose answer broke off, or never came, and that could not be repeated.
    pub requests_lost: u64,
    /// Streams broken by the death of the instance.
    pub streams_lost: u64,
    /// Jobs whose process is gone or whose heartbeat stopped.
    pub jobs_lost: u64,
    /// Requests, streams and jobs that were in progress when a person had them cut.
    pub cut: u64,
}

impl Counts {
    /// Requests, streams and jobs that were lost.
    pub fn lost(&self) -> u64 {
        self.requests_lost + self.streams_lost + self.jobs_lost
    }

    fn zip(self, other: Counts, op: impl Fn(u64, u64) -> u64) -> Counts {
        Counts {
            requests: op(self.requests, other.requests),
            errors: op(self.errors, other.errors),
            streams: op(self.streams, other.streams),
            jobs: op(self.jobs, other.jobs),
            jobs_failed: op(self.jobs_failed, other.jobs_failed),
            handed_over: op(self.handed_over, other.handed_over),
            requests_lost: op(self.requests_lost, other.requests_lost),
            streams_lost: op(self.streams_lost, other.streams_lost),
            jobs_lost: op(self.jobs_lost, other.jobs_lost),
            cut: op(self.cut, other.cut),
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        *self = self.zip(other, |a, b| a + b);
    }
}

/// What was counted since an earlier reading of the same count.
impl Sub for Counts {
    type Output = Counts;
    fn sub(self, earlier: Counts) -> Counts {
        self.zip(earlier, u64::saturating_sub)
    }
}

/// How long past work took: a histogram whose bucket `i` counts durations below `2^(i/2)` ms.
///
/// Half powers of two keep an estimate within 41 %, and 64 buckets reach 49 days; the place is 64 numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Durations(Vec<u64>);

impl Durations {
    /// So many buckets at most.
    pub const MAX: usize = 64;

    fn bound(bucket: usize) -> u64 {
        let whole = 1u64 << (bucket / 2);
        if bucket.is_multiple_of(2) { whole } else { whole + whole * 2 / 5 }
    }

    /// Counts one piece of work that took `span`.
    pub fn record(&mut self, span: Span) {
        let bucket = Self::bucket(span);
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] += 1;
    }

    /// The bucket in which work that took `span` is counted.
    pub fn bucket(span: Span) -> usize {
        // The whole power of two that is above it; the bound before that is between the two powers.
        let above = 2 * (u64::BITS - span.0.leading_zeros()) as usize;
        let bucket = if above > 0 && span.0 < Self::bound(above - 1) { above - 1 } else { above };
        bucket.min(Self::MAX - 1)
    }

    /// Adds all that `other` counted.
    pub fn add(&mut self, other: &Durations) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, more)| *mine += more);
    }

    /// How many were counted in each bucket; the buckets that are not there are empty.
    pub fn buckets(&self) -> &[u64] {
        &self.0
    }

    /// From what [`Durations::buckets`] said.
    pub fn from_buckets(buckets: impl IntoIterator<Item = u64>) -> Durations {
        let mut buckets: Vec<u64> = buckets.into_iter().take(Self::MAX).collect();
        buckets.truncate(buckets.iter().rposition(|n| *n > 0).map_or(0, |last| last + 1));
        Durations(buckets)
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The median of what is left for work that has run for `age` already, from the work that took longer
    /// than that. `None` where no past work took longer.
    pub fn remaining(&self, age: Span) -> Option<Span> {
        let longer = |b: usize| if Self::bound(b) > age.0 { self.0[b] } else { 0 };
        let total: u64 = (0..self.0.len()).map(longer).sum();
        let mut seen = 0;
        (0..self.0.len()).find_map(|b| {
            seen += longer(b);
            (seen > 0 && seen * 2 >= total).then(|| Span(Self::bound(b) - age.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Durations, Span};

    #[test]
    fn what_is_left_is_the_median_of_the_longer_ones() {
        let mut past = Durations::default();
        for ms in [10, 10, 10, 60_000, 61_000, 62_000] {
            past.record(Span(ms));
        }
        assert_eq!(past.count(), 6);
        assert_eq!(Durations::from_buckets(past.buckets().iter().copied().chain([0, 0])), past);
        assert_eq!(past.remaining(Span(0)), Some(Span(11)));
        let left = past.remaining(Span(30_000)).unwrap().0;
        assert!((30_000..40_000).contains(&left), "{left}");
        assert_eq!(past.remaining(Span(100_000)), None);
    }
}
