//! Weekly windows in the civil time of a zone: `Mon-Fri 20:00-08:00, Sat, Sun`.
//!
//! A moment is within a window if the clock on the wall there says so: a window begins at its first minute and ends before
//! its last. So where clocks are set forward over the beginning of a window, it begins with the first minute after the
//! gap; where they are set back, what the wall shows twice counts twice. One that ends before it begins, or at the same time, ends on the
//! next day; one without times is the whole day.

use crate::{Unreadable, zone};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use naru_model::{OffHours, Time};
use std::collections::BTreeSet;

/// The longest text.
const LONGEST: usize = 500;
/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// A change that is further away than this is none: holidays in a row do not last so long, and windows come every week.
const HORIZON_DAYS: i64 = 800;

/// Weekly windows and single days, as moments.
#[derive(Clone, Debug)]
pub struct Weekly {
    windows: Vec<Window>,
    days: BTreeSet<Date>,
    zone: TimeZone,
}

/// One window: on these days, from a minute of the day to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// From Monday.
    on: [bool; 7],
    begin: u16,
    /// Of the same day if it is later than `begin`, else of the next.
    end: u16,
}

impl Window {
    fn is_on(&self, date: Date) -> bool {
        self.on[usize::from(date.weekday().to_monday_zero_offset() as u8)]
    }

    fn has(&self, wall: DateTime) -> bool {
        let minute = minute_of(wall);
        if self.begin < self.end {
            return self.is_on(wall.date()) && (self.begin..self.end).contains(&minute);
        }
        let yesterday = wall.date().yesterday().is_ok_and(|day| self.is_on(day));
        self.is_on(wall.date()) && minute >= self.begin || yesterday && minute < self.end
    }
}

impl Weekly {
    /// Reads windows, by comma, and the days beside them.
    ///
    /// # Errors
    /// What cannot be read in the windows, a day, or the zone's name.
    pub fn read(off: &OffHours) -> Result<Weekly, Unreadable> {
        let text = &off.windows;
        let mut windows = Vec::new();
        if text.len() > LONGEST {
            let what = text.chars().take(40).collect();
            return Err(Unreadable::Window { what, why: format!("it is longer than {LONGEST} characters") });
        }
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let window = window(part).map_err(|why| Unreadable::Window { what: part.into(), why })?;
            windows.push(window);
        }
        if windows.is_empty() {
            let why = "it names no window: write days, and times where it is not the whole day".into();
            return Err(Unreadable::Window { what: text.into(), why });
        }
        let day = |day: &String| day.parse().map_err(|_| Unreadable::Day { day: day.clone() });
        let days = off.holidays.iter().map(day).collect::<Result<_, _>>()?;
        Ok(Weekly { windows, days, zone: zone(&off.timezone)? })
    }

    /// Whether a moment is in one of the windows, or on one of the days.
    pub fn has(&self, at: Time) -> bool {
        instant(at).is_some_and(|at| self.has_wall(at.to_zoned(self.zone.clone()).datetime()))
    }

    /// When that changes next, later than `after`; `None`: it does not.
    pub fn next_change(&self, after: Time) -> Option<Time> {
        let now = self.has(after);
        let mut date = instant(after)?.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        for _ in 0..HORIZON_DAYS {
            let next = self.moments(date).into_iter().find(|at| *at > after && self.has(*at) != now);
            if next.is_some() {
                return next;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Since when it is as it is at `at`; `None`: it never was otherwise.
    pub fn since(&self, at: Time) -> Option<Time> {
        let now = self.has(at);
        let mut date = instant(at)?.to_zoned(self.zone.clone()).date().tomorrow().ok()?;
        // The last change is the first moment, going back, before which it was otherwise.
        for _ in 0..HORIZON_DAYS {
            let before = |moment: &Time| self.has(Time(moment.0.saturating_sub(1))) != now;
            let last = self.moments(date).into_iter().rev().find(|moment| *moment <= at && before(moment));
            if last.is_some() {
                return last;
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    fn has_wall(&self, wall: DateTime) -> bool {
        self.days.contains(&wall.date()) || self.windows.iter().any(|window| window.has(wall))
    }

    /// The moments of a day at which anything may change: what the wall says is the beginning or end of something, and where
    /// clocks are set.
    fn moments(&self, date: Date) -> Vec<Time> {
        let mut minutes: BTreeSet<u16> =
            self.windows.iter().flat_map(|one| [one.begin, one.end % DAY]).collect();
        minutes.insert(0);
        let mut all = Vec::new();
        for minute in minutes {
            let wall = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            let ambiguous = self.zone.to_ambiguous_zoned(wall);
            all.extend(
                ambiguous.clone().earlier().ok().iter().chain(ambiguous.later().ok().iter()).filter_map(time),
            );
        }
        if let Ok(begin) = date.to_zoned(self.zone.clone())
            && let Ok(end) = begin.checked_add(1.day())
        {
            let set = self.zone.following(begin.timestamp() - 1.second());
            let set = set.take_while(|change| change.timestamp() <= end.timestamp());
            all.extend(set.filter_map(|change| time(&change.timestamp().to_zoned(self.zone.clone()))));
        }
        all.sort();
        all
    }
}

fn window(part: &str) -> Result<Window, String> {
    let mut words = part.split_whitespace();
    let days = words.next().unwrap_or_default();
    let on = on(days)?;
    let (begin, end) = match words.next() {
        None => (0, DAY),
        Some(times) => {
            let (begin, end) =
                times.split_once('-').ok_or("its times are not BEGIN-END, such as 20:00-08:00")?;
            let (begin, end) = (minute(begin)?, minute(end)?);
            if begin == DAY {
                return Err("24:00 is an end, and no beginning: write 00:00 of the next day".into());
            }
            (begin, end)
        }
    };
    match words.next() {
        Some(more) => {
            Err(format!("{more:?} is too much: write days, and times where it is not the whole day"))
        }
        None => Ok(Window { on, begin, end }),
    }
}

fn on(days: &str) -> Result<[bool; 7], String> {
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let mut on = [false; 7];
    let mut at = first;
    loop {
        on[usize::from(at)] = true;
        if at == last {
            return Ok(on);
        }
        at = (at + 1) % 7;
    }
}

fn day(name: &str) -> Result<u8, String> {
    let short = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let long = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let lower = name.to_lowercase();
    let found =
        short.iter().position(|one| *one == lower).or_else(|| long.iter().position(|one| *one == lower));
    found.and_then(|at| u8::try_from(at).ok()).ok_or_else(|| {
        format!("{name:?} is no day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun, or a range such as Mon-Fri")
    })
}

fn minute(text: &str) -> Result<u16, String> {
    let wrong = || format!("{text:?} is no time of day: write it as 08:30");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let whole = |digits: &str, most: u16| {
        let is_it = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|n| is_it && *n <= most)
    };
    let (hour, minute) = (whole(hour, 24).ok_or_else(wrong)?, whole(minute, 59).ok_or_else(wrong)?);
    let all = hour * 60 + minute;
    if all > DAY { Err(wrong()) } else { Ok(all) }
}

fn minute_of(wall: DateTime) -> u16 {
    (wall.hour() as u16) * 60 + wall.minute() as u16
}

fn instant(at: Time) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

fn time(zoned: &Zoned) -> Option<Time> {
    u64::try_from(zoned.timestamp().as_millisecond()).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::{Weekly, instant};
    use crate::ZONES;
    use jiff::tz::TimeZone;
    use jiff::{Timestamp, ToSpan};
    use naru_model::{OffHours, Time};

    const MINUTE: u64 = 60_000;

    fn at(text: &str) -> Time {
        let at: Timestamp = text.parse().unwrap();
        Time(u64::try_from(at.as_millisecond()).unwrap())
    }

    fn said(at: Option<Time>) -> String {
        at.map_or_else(|| "never".into(), |at| instant(at).unwrap().to_string())
    }

    fn hours(windows: &str, timezone: &str) -> OffHours {
        OffHours { windows: windows.into(), timezone: timezone.into(), holidays: vec![] }
    }

    fn weekly(windows: &str, timezone: &str) -> Weekly {
        Weekly::read(&hours(windows, timezone)).unwrap()
    }

    /// Each line: what is read, a zone, a moment; then whether it is in a window, and when that changes.
    #[test]
    fn windows_are_half_open_and_of_the_wall() {
        let table = [
            (
                "Mon-Fri 20:00-08:00, Sat, Sun",
                "Asia/Seoul",
                "2026-11-27T10:59:59Z",
                "out until 2026-11-27T11:00:00Z",
            ),
            (
                "Mon-Fri 20:00-08:00, Sat, Sun",
                "Asia/Seoul",
                "2026-11-27T11:00:00Z",
                "in until 2026-11-29T15:00:00Z",
            ),
            ("Sun 20:00-08:00", "UTC", "2026-11-30T07:59:00Z", "in until 2026-11-30T08:00:00Z"),
            ("Fri-Mon", "UTC", "2026-11-26T00:00:00Z", "out until 2026-11-27T00:00:00Z"),
            ("Fri-Mon", "UTC", "2026-11-27T00:00:00Z", "in until 2026-12-01T00:00:00Z"),
            (
                "mon 08:00-24:00, Tuesday 00:00-06:00",
                "UTC",
                "2026-11-30T09:00:00Z",
                "in until 2026-12-01T06:00:00Z",
            ),
            ("Mon-Sun", "UTC", "2026-11-30T09:00:00Z", "in until never"),
            // Clocks are set forward over the beginning: it begins after the gap.
            ("Sun 02:30-04:00", "Europe/Berlin", "2026-03-29T00:59:00Z", "out until 2026-03-29T01:00:00Z"),
            // The wall shows it twice: it counts twice.
            ("Sun 02:15-02:45", "Europe/Berlin", "2026-10-25T00:20:00Z", "in until 2026-10-25T00:45:00Z"),
            ("Sun 02:15-02:45", "Europe/Berlin", "2026-10-25T00:50:00Z", "out until 2026-10-25T01:15:00Z"),
            // A midnight that does not exist.
            ("Fri", "Africa/Cairo", "2026-04-23T21:59:00Z", "out until 2026-04-23T22:00:00Z"),
        ];
        for (text, zone, moment, want) in table {
            let weekly = weekly(text, zone);
            let is_in = if weekly.has(at(moment)) { "in" } else { "out" };
            let got = format!("{is_in} until {}", said(weekly.next_change(at(moment))));
            assert_eq!(got, want, "{text} in {zone} at {moment}");
        }
    }

    #[test]
    fn days_beside_the_windows_are_whole() {
        let holidays = vec!["2026-12-25".to_string()];
        let weekly = Weekly::read(&OffHours { holidays, ..hours("Sat", "Asia/Seoul") }).unwrap();
        assert_eq!(said(weekly.next_change(at("2026-12-20T00:00:00Z"))), "2026-12-24T15:00:00Z");
        assert_eq!(said(weekly.next_change(at("2026-12-24T15:00:00Z"))), "2026-12-26T15:00:00Z");
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_to_write() {
        let table = [
            ("", "it names no window"),
            ("Mo 20:00-08:00", "\"Mo\" is no day"),
            ("Mon 20:00", "its times are not BEGIN-END"),
            ("Mon 8-9", "\"8\" is no time of day"),
            ("Mon 08:00-24:01", "\"24:01\" is no time of day"),
            ("Mon 24:00-08:00", "24:00 is an end"),
            ("Mon 08:00-09:00 10:00-11:00", "is too much"),
            ("Mon +8:00-09:00", "is no time of day"),
        ];
        for (text, want) in table {
            let error = Weekly::read(&hours(text, "UTC")).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(Weekly::read(&hours("Mon", "KST")).unwrap_err().to_string().contains("KST"));
        let holidays = vec!["25.12.2026".to_string()];
        let error = Weekly::read(&OffHours { holidays, ..hours("Mon", "UTC") }).unwrap_err();
        assert!(error.to_string().contains("25.12.2026"), "{error}");
    }

    /// From the zone's offset alone, minute by minute, without anything that the windows use.
    struct Oracle {
        zone: TimeZone,
    }

    impl Oracle {
        /// `Mon-Fri 20:00-08:00, Sat 00:30-03:10, Sun`
        fn has(&self, at: Time) -> bool {
            let offset = i64::from(self.zone.to_offset(instant(at).unwrap()).seconds());
            let wall = (at.0 / 1000) as i64 + offset;
            let (day, minute) = (wall.div_euclid(86_400), wall.rem_euclid(86_400) / 60);
            // The first of January 1970 was a Thursday.
            let weekday = (day + 3).rem_euclid(7);
            let nights = weekday < 5 && minute >= 20 * 60 || (1..6).contains(&weekday) && minute < 8 * 60;
            nights || weekday == 5 && (30..190).contains(&minute) || weekday == 6
        }
    }

    const WINDOWS: &str = "Mon-Fri 20:00-08:00, Sat 00:30-03:10, Sun";

    /// Compares from one moment to another, and says how many minutes it compared.
    fn compare(name: &str, from: Timestamp, until: Timestamp) -> u64 {
        let oracle = Oracle { zone: ZONES.get(name).unwrap() };
        let weekly = weekly(WINDOWS, name);
        let moment = |at: Timestamp| Time(u64::try_from(at.as_millisecond()).unwrap() / MINUTE * MINUTE);
        let (mut at, until) = (moment(from), moment(until));
        let (mut state, mut next) = (weekly.has(at), weekly.next_change(at));
        let mut minutes = 0;
        while at < until {
            // Offsets of past centuries have seconds: there a change is within a minute.
            while let Some(change) = next.filter(|change| *change <= at) {
                assert_eq!(weekly.since(change), Some(change), "{name} at {}", said(Some(change)));
                (state, next) = (!state, weekly.next_change(change));
            }
            assert_eq!(oracle.has(at), state, "{name} at {}", said(Some(at)));
            (at, minutes) = (Time(at.0 + MINUTE), minutes + 1);
        }
        minutes
    }

    /// Every zone, around every change of its clocks in four years.
    #[test]
    fn every_zone_agrees_with_the_oracle_where_its_clocks_are_set() {
        let (first, last): (Timestamp, Timestamp) =
            ("2024-01-01T00:00:00Z".parse().unwrap(), "2028-01-01T00:00:00Z".parse().unwrap());
        let (mut zones, mut changes, mut minutes) = (0, 0, 0);
        for name in ZONES.available().map(|name| name.as_str().to_owned()).filter(|name| name.contains('/')) {
            let zone = ZONES.get(&name).unwrap();
            zones += 1;
            minutes += compare(&name, first, first + 24.hours());
            for change in zone.following(first).take_while(|change| change.timestamp() < last) {
                changes += 1;
                minutes += compare(&name, change.timestamp() - 30.hours(), change.timestamp() + 30.hours());
            }
        }
        assert!(
            zones > 400 && changes > 1_000 && minutes > 3_000_000,
            "{zones} zones, {changes} changes, {minutes} minutes"
        );
    }

    #[test]
    fn whole_years_agree_where_clocks_are_set_at_odd_times() {
        let names = [
            "Africa/Cairo",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Asia/Seoul",
            "Europe/Berlin",
            "Pacific/Apia",
        ];
        for name in names {
            let (from, until) =
                ("2026-01-01T00:00:00Z".parse().unwrap(), "2027-01-01T00:00:00Z".parse().unwrap());
            assert_eq!(compare(name, from, until), 365 * 24 * 60);
        }
        // The day that Samoa left out, and the year in which Egypt set its clocks four times.
        compare(
            "Pacific/Apia",
            "2011-12-25T00:00:00Z".parse().unwrap(),
            "2012-01-05T00:00:00Z".parse().unwrap(),
        );
        compare(
            "Africa/Cairo",
            "2010-01-01T00:00:00Z".parse().unwrap(),
            "2011-01-01T00:00:00Z".parse().unwrap(),
        );
    }
}
