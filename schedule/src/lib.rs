//! When a schedule is due, and which hours of the week are off, in pure code: time is an argument, and the time zones are those that this crate was built
//! with, so that every machine reckons alike.
//!
//! Cron expressions are read and reckoned by `croner`, times in zones by `jiff`. What that means where clocks are set
//! forward or back is `croner`'s rule, which is that of Vixie cron:
//!
//! - An expression that names its hours and minutes (`30 2 * * *`) comes once a day: a time that a day lacks, because clocks are
//!   set forward over it, comes with the first minute after the gap; one that a day has twice, the first time only.
//! - An expression with a wildcard or a step in minutes or hours (`*/15 * * * *`) comes by the clock: not in a gap, and
//!   both times where clocks are set back.

mod entry;
mod holidays;
mod weekly;

pub use entry::{Addresses, BY_HAND, Fault, Fetched, Named, Sources, Told, is_address, named};
pub use holidays::{Holidays, holidays};
pub use weekly::Weekly;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use naru_model::{Schedule, Time};
use std::sync::LazyLock;

/// Due times are counted one by one up to so many; beyond that the count says that there are more.
pub const MOST_COUNTED: u64 = 1_000;

/// The longest expression. One with every minute of an hour written out has half of it.
const LONGEST: usize = 500;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Why a schedule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The expression.
    #[error("{cron:?} is no cron expression: {why}")]
    Cron {
        /// As written.
        cron: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is right, and no day is such.
    #[error("{cron:?} never comes")]
    Never {
        /// As written.
        cron: String,
    },
    /// A weekly window.
    #[error("{what:?}: {why}")]
    Window {
        /// As written.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A day.
    #[error("{day:?} is no day: write it as 2026-12-25")]
    Day {
        /// As written.
        day: String,
    },
    /// The zone.
    #[error("{zone:?} is no time zone")]
    Zone {
        /// As written.
        zone: String,
    },
}

/// The times of a schedule.
pub struct Times {
    cron: Cron,
    zone: TimeZone,
}

/// Times that came, each of them later than one time and none later than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The first.
    pub first: Time,
    /// The last of those before the newest.
    pub before: Option<Time>,
    /// The newest.
    pub newest: Time,
    /// How many, the newest included; [`MOST_COUNTED`] where there are as many or more.
    pub count: u64,
}

impl Times {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What cannot be read in it, or that it never comes.
    pub fn read(schedule: &Schedule) -> Result<Times, Unreadable> {
        let times = Times { cron: cron(&schedule.cron)?, zone: zone(&schedule.timezone)? };
        match times.next_after(Time(0)) {
            Some(_) => Ok(times),
            None => Err(Unreadable::Never { cron: schedule.cron.clone() }),
        }
    }

    /// The first time later than `at`.
    pub fn next_after(&self, at: Time) -> Option<Time> {
        let next = self.cron.find_next_occurrence(&self.second(at)?, false).ok()?;
        time(&next).filter(|next| *next > at)
    }

    /// The times later than `after`, up to and including `until`.
    pub fn between(&self, after: Time, until: Time) -> Option<Due> {
        let first = self.next_after(after).filter(|first| *first <= until)?;
        let mut due = Due { first, before: None, newest: first, count: 1 };
        while due.count < MOST_COUNTED {
            let Some(next) = self.next_after(due.newest).filter(|next| *next <= until) else {
                return Some(due);
            };
            due = Due { before: Some(due.newest), newest: next, count: due.count + 1, ..due };
        }
        // There may be millions: the newest is looked for from the other end.
        let newest = self.last_until(until).unwrap_or(due.newest).max(due.newest);
        let before = self.last_until(Time(newest.0.saturating_sub(1))).or(due.before);
        Some(Due { before, newest, ..due })
    }

    fn last_until(&self, at: Time) -> Option<Time> {
        let last = self.cron.find_previous_occurrence(&self.second(at)?, true).ok()?;
        time(&last).filter(|last| *last <= at)
    }

    /// The second that a time lies in: no schedule is finer.
    fn second(&self, at: Time) -> Option<Zoned> {
        let seconds = i64::try_from(at.0 / 1000).ok()?;
        Some(Timestamp::from_second(seconds).ok()?.to_zoned(self.zone.clone()))
    }
}

fn time(zoned: &Zoned) -> Option<Time> {
    u64::try_from(zoned.timestamp().as_millisecond()).ok().map(Time)
}

fn cron(text: &str) -> Result<Cron, Unreadable> {
    let unreadable = |why: String| Unreadable::Cron { cron: text.into(), why };
    if text.len() > LONGEST {
        let cron = text.chars().take(40).collect();
        return Err(Unreadable::Cron { cron, why: format!("it is longer than {LONGEST} characters") });
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text).map_err(|error| unreadable(error.to_string()))
}

/// By its name in the tz database. Abbreviations are refused: `EST` is a zone without summer time, which hardly anybody
/// means, and `IST` is three.
pub fn zone(name: &str) -> Result<TimeZone, Unreadable> {
    let unreadable = || Unreadable::Zone { zone: name.into() };
    if name != "UTC" && !name.contains('/') {
        return Err(unreadable());
    }
    ZONES.get(name).map_err(|_| unreadable())
}
