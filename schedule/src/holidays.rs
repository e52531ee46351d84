//! Days of a calendar in iCalendar's form (RFC 5545): the days of its all-day events, those that come again included.

use calcard::common::timezone::Tz;
use calcard::icalendar::dates::{CalendarExpand, TimeOrDelta};
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarStatus,
};
use calcard::{Entry, Parser};
use jiff::civil::{Date, date};
use std::collections::{BTreeMap, BTreeSet};

/// Days are told from here on. What is earlier is no news to anybody.
const FIRST: Date = date(2020, 1, 1);
/// An event that comes again for ever comes until here: the same file says the same days whenever it is read.
const LAST: Date = date(2060, 12, 31);

/// So often an event may come again: each week for 90 years.
const TIMES_MAX: usize = 5_000;

/// Days of one calendar.
const DAYS_MAX: usize = 5_000;

/// The days of a calendar.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holidays {
    /// In order, as 2026-12-25.
    pub days: Vec<String>,
    /// So many events are at a time of the day, and so name no day.
    pub timed: usize,
}

/// The days of a calendar's all-day events, from 2020 to 2060. What was cancelled is passed over.
///
/// # Errors
/// It is no calendar, an event's dates cannot be reckoned, or there are too many.
pub fn holidays(text: &str) -> Result<Holidays, String> {
    let mut parser = Parser::new(text);
    let (mut days, mut found, mut any) = (BTreeSet::new(), Holidays::default(), false);
    loop {
        match parser.entry() {
            Entry::ICalendar(calendar) => {
                any = true;
                of_calendar(calendar, &mut days, &mut found.timed)?;
            }
            Entry::Eof => break,
            Entry::InvalidLine(line) if line.trim().is_empty() => {}
            Entry::InvalidLine(line) => {
                let shown: String = line.chars().take(40).collect();
                return Err(format!("it is no calendar: {shown:?} stands where BEGIN:VCALENDAR is to be"));
            }
            Entry::VCard(_) => return Err("it holds addresses (VCARD), not a calendar".into()),
            Entry::UnterminatedComponent(what) => {
                return Err(format!("{what} has no end: the file is cut off"));
            }
            Entry::UnexpectedComponentEnd { .. } => return Err("the end of one part closes another".into()),
            Entry::TooManyComponents => return Err("it has too many parts".into()),
            other => return Err(format!("it cannot be read: {other:?}")),
        }
    }
    if !any {
        return Err("it is no calendar: BEGIN:VCALENDAR is missing".into());
    }
    // The parser takes what is cut off for whole.
    if !text.trim_end().to_ascii_uppercase().ends_with("END:VCALENDAR") {
        return Err("it is cut off: END:VCALENDAR is missing".into());
    }
    found.days = days.iter().map(ToString::to_string).collect();
    Ok(found)
}

fn of_calendar(calendar: ICalendar, days: &mut BTreeSet<Date>, timed: &mut usize) -> Result<(), String> {
    // An event and what was changed of single times of it belong together, and are reckoned by themselves: one that comes for
    // ever must not use up what others have.
    let mut events: BTreeMap<String, Vec<ICalendarComponent>> = BTreeMap::new();
    for (at, part) in calendar.components.into_iter().enumerate() {
        if part.component_type != ICalendarComponentType::VEvent {
            continue;
        }
        if !is_all_day(&part) {
            *timed += 1;
            continue;
        }
        let uid = part.uid().map_or_else(|| format!("without uid {at}"), str::to_owned);
        events.entry(uid).or_default().push(part);
    }
    for parts in events.into_values() {
        of_event(parts, days)?;
        if days.len() > DAYS_MAX {
            return Err(format!("it has more than {DAYS_MAX} days"));
        }
    }
    Ok(())
}

fn is_all_day(event: &ICalendarComponent) -> bool {
    let start = event.property(&ICalendarProperty::Dtstart).and_then(|start| start.values.first());
    start.and_then(|start| start.as_partial_date_time()).is_none_or(|start| start.hour.is_none())
}

fn of_event(parts: Vec<ICalendarComponent>, days: &mut BTreeSet<Date>) -> Result<(), String> {
    let name = parts[0].property(&ICalendarProperty::Summary).and_then(|summary| summary.values.first());
    let name: String =
        name.and_then(|name| name.as_text()).unwrap_or("without a name").chars().take(60).collect();
    let event = ICalendar { components: parts };
    let CalendarExpand { events, errors } = event.expand_dates(Tz::UTC, TIMES_MAX);
    if let Some(error) = errors.first() {
        return Err(format!("the dates of {name:?} cannot be reckoned: {:?}", error.error));
    }
    for one in events {
        let part = event.components.get(one.comp_id as usize);
        if part.and_then(|part| part.status()) == Some(&ICalendarStatus::Cancelled) {
            continue;
        }
        let end = match one.end {
            TimeOrDelta::Time(end) => end,
            TimeOrDelta::Delta(length) => one.start + length,
        };
        let [start, end] = [one.start, end].map(|at| at.date_naive().to_string().parse::<Date>());
        let (Ok(start), Ok(end)) = (start, end) else { continue };
        // The end is the day after; without one, it is one day.
        let mut day = start.max(FIRST);
        while day <= LAST && (day < end || day == start) {
            days.insert(day);
            let Ok(next) = day.tomorrow() else { break };
            day = next;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::holidays;

    fn calendar(events: &[&str]) -> String {
        let events: String = events
            .iter()
            .enumerate()
            .map(|(at, event)| {
                format!("BEGIN:VEVENT\r\nUID:{at}\r\n{}\r\nEND:VEVENT\r\n", event.replace(' ', "\r\n"))
            })
            .collect();
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\n{events}END:VCALENDAR\r\n")
    }

    fn days(events: &[&str]) -> Vec<String> {
        holidays(&calendar(events)).unwrap().days
    }

    #[test]
    fn all_day_events_are_their_days() {
        let found = days(&[
            "DTSTART;VALUE=DATE:20261225 DTEND;VALUE=DATE:20261226 SUMMARY:x",
            "DTSTART;VALUE=DATE:20270101",
            "DTSTART;VALUE=DATE:20270206 DTEND;VALUE=DATE:20270209",
            "DTSTART;VALUE=DATE:20270501 DURATION:P2D",
            "DTSTART;VALUE=DATE:20270601 STATUS:CANCELLED",
            "DTSTART;VALUE=DATE:20190101",
        ]);
        let want = [
            "2026-12-25",
            "2027-01-01",
            "2027-02-06",
            "2027-02-07",
            "2027-02-08",
            "2027-05-01",
            "2027-05-02",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn what_comes_again_comes_until_2060() {
        let yearly = days(&["DTSTART;VALUE=DATE:19700815 RRULE:FREQ=YEARLY"]);
        assert_eq!((yearly.len(), yearly[0].as_str(), yearly[40].as_str()), (41, "2020-08-15", "2060-08-15"));
        let fourth = days(&["DTSTART;VALUE=DATE:20251127 RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3"]);
        assert_eq!(fourth, ["2025-11-27", "2026-11-26", "2027-11-25"]);
        let without =
            days(&["DTSTART;VALUE=DATE:20260101 RRULE:FREQ=YEARLY;COUNT=3 EXDATE;VALUE=DATE:20270101"]);
        assert_eq!(without, ["2026-01-01", "2028-01-01"]);
        // Each has its own count of times.
        let both = days(&["DTSTART;VALUE=DATE:19700101 RRULE:FREQ=WEEKLY", "DTSTART;VALUE=DATE:20260105"]);
        assert!(both.contains(&"2026-01-05".to_string()) && both.contains(&"2026-01-01".to_string()));
    }

    #[test]
    fn a_time_of_the_day_is_no_day() {
        let text =
            calendar(&["DTSTART:20261225T090000Z DTEND:20261225T100000Z", "DTSTART;VALUE=DATE:20261226"]);
        let found = holidays(&text).unwrap();
        assert_eq!((found.days, found.timed), (vec!["2026-12-26".to_string()], 1));
    }

    #[test]
    fn what_is_no_calendar_is_told() {
        let whole = calendar(&["DTSTART;VALUE=DATE:20261225"]);
        for (text, says) in [
            ("", "BEGIN:VCALENDAR is missing"),
            ("<html><body>not found</body></html>\n", "no calendar"),
            ("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:x\r\nEND:VCARD\r\n", "addresses"),
            (&whole[..whole.len() - 20], "cut off"),
            (&calendar(&["SUMMARY:x"]), "\"x\" cannot be reckoned"),
        ] {
            let error = holidays(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
