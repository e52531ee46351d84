//! The hours that would have spared more: those of the week in which nobody ever used what was on.

use crate::meter::{Day, Subject};
use crate::slots::{SLOT, Slots};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use naru_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Hours of a week.
const WEEK: usize = 7 * 24;

/// An hour has to have been looked at in so many weeks before anything is said about it.
const WEEKS_MIN: u32 = 2;

/// Less in a row is not worth a start and a stop.
const HOURS_MIN: usize = 2;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Hours of the week in which something was on, and nobody used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proposal {
    /// What: `service/shop/api`.
    pub what: String,
    /// As `x-naru.power.off` is written: `Mon-Fri 20:00-08:00, Sat, Sun`.
    pub off: String,
    /// In which zone.
    pub timezone: String,
    /// How long it was on in these hours, of all that was looked at, in milliseconds.
    pub spares: u64,
    /// From how many days that follows.
    pub days: u32,
}

/// What is known of an hour of the week.
#[derive(Clone, Copy, Default)]
struct Hour {
    /// On how many days it was on for some of it.
    on: u32,
    used: bool,
}

/// The hours that would have spared more of something, by all days that are known. `None`: there are none, or too little is
/// known: an hour counts only if it was on in two weeks at least, and used in none.
pub fn propose(days: &BTreeMap<String, Day>, subject: &Subject, timezone: &str) -> Option<Proposal> {
    let zone = naru_schedule::zone(timezone).ok()?;
    let mut week = [Hour::default(); WEEK];
    let mut seen: Vec<(usize, u64)> = vec![];
    let mut known = 0;
    for (name, day) in days {
        let (Some(metered), Ok(date)) = (day.get(subject), name.parse::<Date>()) else { continue };
        let hours = hours(date, &zone, metered.when_on);
        known += u32::from(!hours.is_empty());
        for (hour, quarters) in hours {
            week[hour].on += 1;
            seen.push((hour, u64::from(quarters) * SLOT));
        }
        for (hour, _) in self::hours(date, &zone, metered.when_used) {
            week[hour].used = true;
        }
    }
    let unused: Vec<bool> = week.iter().map(|hour| hour.on >= WEEKS_MIN && !hour.used).collect();
    let windows = windows(&unused);
    if windows.is_empty() {
        return None;
    }
    let mut spared = [false; WEEK];
    for (begin, length) in &windows {
        (*begin..begin + length).for_each(|hour| spared[hour % WEEK] = true);
    }
    let spares = seen.iter().filter(|(hour, _)| spared[*hour]).map(|(_, length)| length).sum();
    let off = written(&windows);
    Some(Proposal { what: subject.to_string(), off, timezone: timezone.into(), spares, days: known })
}

/// The hours of the week that the quarters of a day of UTC are in, each with how many of them.
fn hours(date: Date, zone: &TimeZone, slots: Slots) -> Vec<(usize, u32)> {
    let Ok(midnight) = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)) else { return vec![] };
    let mut all: BTreeMap<usize, u32> = BTreeMap::new();
    for slot in (0..Slots::COUNT).filter(|slot| slots.has(*slot)) {
        let at = Time(u64::try_from(midnight.as_millisecond()).unwrap_or(0) + u64::from(slot) * SLOT);
        let Ok(at) = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX)) else {
            continue;
        };
        let wall = at.to_zoned(zone.clone()).datetime();
        let day = usize::try_from(wall.date().weekday().to_monday_zero_offset()).unwrap_or(0);
        *all.entry(day * 24 + usize::try_from(wall.hour()).unwrap_or(0)).or_default() += 1;
    }
    all.into_iter().collect()
}

/// Rows of unused hours, each with its first hour and its length; the week has no end.
fn windows(unused: &[bool]) -> Vec<(usize, usize)> {
    let Some(first) = (0..WEEK).find(|hour| !unused[*hour]) else { return vec![(0, WEEK)] };
    let mut found = vec![];
    let mut hour = first;
    while hour < first + WEEK {
        let length = (hour..first + WEEK).take_while(|at| unused[at % WEEK]).count();
        if length >= HOURS_MIN {
            found.push((hour % WEEK, length));
        }
        hour += length.max(1);
    }
    found
}

/// As `x-naru.power.off` is written. Whole days are told as such, and days with the same hours together.
fn written(windows: &[(usize, usize)]) -> String {
    // Of each day, from which hour to which; the second is over 24 where it ends on the next day.
    let mut parts: BTreeMap<(usize, usize), [bool; 7]> = BTreeMap::new();
    for (begin, length) in windows {
        let (mut at, end) = (*begin, begin + length);
        while at < end {
            let day_end = (at / 24 + 1) * 24;
            // A night that ends in the morning after is one window; what is longer is told by its days.
            let until = if at % 24 != 0 && end < day_end + 24 { end } else { end.min(day_end) };
            parts.entry((at % 24, at % 24 + (until - at))).or_default()[at / 24 % 7] = true;
            at = until;
        }
    }
    // In the order of the week, and nights before days.
    let mut told: Vec<(usize, bool, String)> = parts
        .into_iter()
        .flat_map(|((begin, end), on)| {
            let hours = if (begin, end) == (0, 24) {
                String::new()
            } else {
                format!(" {begin:02}:00-{:02}:00", end % 24)
            };
            ranges(on).into_iter().map(move |(first, days)| (first, begin == 0, format!("{days}{hours}")))
        })
        .collect();
    told.sort();
    told.into_iter().map(|(_, _, text)| text).collect::<Vec<_>>().join(", ")
}

/// `Mon-Fri`, `Sat`: days in a row, each with its first.
fn ranges(on: [bool; 7]) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut day = 0;
    while day < 7 {
        let length = (day..7).take_while(|day| on[*day]).count();
        match length {
            0 => {}
            1 => found.push((day, DAYS[day].to_string())),
            _ => found.push((day, format!("{}-{}", DAYS[day], DAYS[day + length - 1]))),
        }
        day += length.max(1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{propose, windows, written};
    use crate::meter::{Day, Metered, Subject};
    use naru_model::{OffHours, Time};
    use naru_schedule::Weekly;
    use std::collections::BTreeMap;

    const HOUR: u64 = 3_600_000;
    /// 2026-11-02 00:00 UTC, a Monday.
    const MONDAY: u64 = 1_793_577_600_000;

    fn subject() -> Subject {
        "service/shop/api".parse().unwrap()
    }

    /// So many days on, of which `used` says in which hours, of UTC, it was used.
    fn days(count: u64, used: impl Fn(Time) -> bool) -> BTreeMap<String, Day> {
        let mut all = BTreeMap::new();
        for day in 0..count {
            let mut metered = Metered::default();
            for slot in 0..96 {
                let at = Time(MONDAY + day * 24 * HOUR + slot * HOUR / 4);
                metered.when_on.set(slot as u32);
                if used(at) {
                    metered.when_used.set(slot as u32);
                }
            }
            let name = crate::meter::day_of(Time(MONDAY + day * 24 * HOUR));
            all.insert(name, [(subject(), metered)].into());
        }
        all
    }

    fn weekly(windows: &str, timezone: &str) -> Weekly {
        Weekly::read(&OffHours { windows: windows.into(), timezone: timezone.into(), holidays: vec![] })
            .unwrap()
    }

    #[test]
    fn hours_in_which_nobody_used_it_are_proposed() {
        for (off, zone) in [
            ("Mon-Fri 20:00-08:00, Sat, Sun", "Asia/Seoul"),
            ("Mon-Sun 22:00-06:00", "UTC"),
            ("Sat, Sun", "Europe/Berlin"),
            ("Wed 10:00-14:00", "Asia/Kolkata"),
            ("Fri 20:00-08:00", "America/New_York"),
        ] {
            let hours = weekly(off, zone);
            let found = propose(&days(28, |at| !hours.has(at)), &subject(), zone).unwrap();
            let proposed = weekly(&found.off, zone);
            // Whole hours that are half in and half out of the windows are not proposed; these have none.
            for hour in 0..28 * 24 {
                let at = Time(MONDAY + hour * HOUR + HOUR / 2);
                assert_eq!(proposed.has(at), hours.has(at), "{off} became {} at {at:?}", found.off);
            }
            assert_eq!(found.days, 28);
        }
    }

    #[test]
    fn what_is_spared_is_the_time_that_it_was_on_in_these_hours() {
        let off = weekly("Sat, Sun", "UTC");
        let found = propose(&days(14, |at| !off.has(at)), &subject(), "UTC").unwrap();
        assert_eq!((found.off.as_str(), found.spares), ("Sat-Sun", 4 * 24 * HOUR));
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known_well() {
        assert_eq!(propose(&days(7, |_| false), &subject(), "UTC"), None, "one week");
        assert_eq!(propose(&days(28, |_| true), &subject(), "UTC"), None, "always used");
        let once = Time(MONDAY + 5 * 24 * HOUR + 3 * HOUR);
        let found = propose(&days(28, |at| at == once), &subject(), "UTC").unwrap();
        assert!(!weekly(&found.off, "UTC").has(once), "{}", found.off);
        assert_eq!(propose(&BTreeMap::new(), &subject(), "UTC"), None);
    }

    #[test]
    fn windows_are_written_as_people_write_them() {
        let told = |off: &str| {
            let hours = weekly(off, "UTC");
            let unused: Vec<bool> = (0..168).map(|hour| hours.has(Time(MONDAY + hour * HOUR))).collect();
            written(&windows(&unused))
        };
        assert_eq!(told("Mon-Fri 20:00-08:00, Sat, Sun"), "Mon-Thu 20:00-08:00, Fri 20:00-00:00, Sat-Sun");
        assert_eq!(told("Mon-Sun"), "Mon-Sun");
        assert_eq!(told("Tue 10:00-12:00"), "Tue 10:00-12:00");
        assert_eq!(told("Tue 10:00-11:00"), "");
    }
}
