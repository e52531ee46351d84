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

    /// `2026-11-26 03:00:00 UTC`, for sentences that a person reads who may be anywhere.
    pub fn utc(self) -> String {
        let (days, second) = (self.0 / 86_400_000, self.0 / 1000 % 86_400);
        // From days to a date of the Gregorian calendar, in years that begin in March, so that leap days come last.
        let shifted = days + 719_468;
        let (era, day) = (shifted / 146_097, shifted % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + next;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
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
    use super::{Span, Time};

    #[test]
    fn times_read_as_dates() {
        let said = |seconds: u64| Time(seconds * 1000).utc();
        assert_eq!(said(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(said(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(said(1_795_564_800), "2026-11-25 00:00:00 UTC");
        assert_eq!(said(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(said(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }

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
