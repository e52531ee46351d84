//! Points in time and durations, both in whole milliseconds.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Sub};
use utoipa::ToSchema;

/// A point in time: milliseconds since the Unix epoch, UTC.
///
/// The act side hands it in, never earlier than the one before it; the simulation hands in virtual time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Time(pub u64);

/// A duration in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Time {
    /// The duration from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A duration of whole seconds.
    pub const fn secs(secs: u64) -> Span {
        Span(secs * 1000)
    }

    /// A duration of whole minutes.
    pub const fn mins(mins: u64) -> Span {
        Span(mins * 60_000)
    }

    /// The same, as the standard library's type.
    pub const fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// The same duration `n` times over, or the longest that can be held.
    pub const fn times(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n))
    }
}

impl Add<Span> for Time {
    type Output = Time;
    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Time {
    type Output = Time;
    fn sub(self, span: Span) -> Time {
        Time(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

/// As a person would say it: `350 ms`, `4.2 s`, `42 s`, `4 min`, `1 h 20 min`, `3 d 4 h`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, s) = (self.0, (self.0 + 500) / 1000);
        let (min, h) = ((s + 30) / 60, (s + 30) / 3600);
        match () {
            () if ms < 1000 => write!(f, "{ms} ms"),
            () if ms < 10_000 => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
            () if s < 100 => write!(f, "{s} s"),
            () if min < 60 => write!(f, "{min} min"),
            () if h < 48 && min % 60 == 0 => write!(f, "{h} h"),
            () if h < 48 => write!(f, "{h} h {} min", min % 60),
            () => write!(f, "{} d {} h", h / 24, h % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn spans_read_as_a_person_says_them() {
        let said = |ms| Span(ms).to_string();
        let all: Vec<_> = [0, 350, 4_250, 42_000, 240_000, 4_800_000, 7_200_000, 3_599_900, 273_600_000]
            .into_iter()
            .map(said)
            .collect();
        let want = ["0 ms", "350 ms", "4.2 s", "42 s", "4 min", "1 h 20 min", "2 h", "1 h", "3 d 4 h"];
        assert_eq!(all, want);
    }
}
