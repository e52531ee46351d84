//! When schedules are due, where clocks are set forward and back: Cairo at midnight, Santiago on Saturday night, Lord Howe by
//! half an hour, New York as in the books.

use jiff::{Timestamp, civil::DateTime, tz::TimeZoneDatabase};
use naru_model::{Schedule, Time};
use naru_schedule::{MOST_COUNTED, Times, Unreadable};

fn schedule(cron: &str, timezone: &str) -> Schedule {
    let (overlap, catch_up) = Default::default();
    Schedule { cron: cron.into(), timezone: timezone.into(), overlap, catch_up }
}

fn times(cron: &str, timezone: &str) -> Times {
    Times::read(&schedule(cron, timezone)).unwrap_or_else(|error| panic!("{error}"))
}

/// The times after a point of local time, with their distance to UTC.
fn after(cron: &str, timezone: &str, from: &str, count: usize) -> Vec<String> {
    let zone = TimeZoneDatabase::bundled().get(timezone).expect("a zone");
    let from: DateTime = from.parse().expect("a time");
    let from = from.to_zoned(zone.clone()).expect("it is in range").timestamp();
    let (times, mut at) = (times(cron, timezone), Time(from.as_millisecond() as u64));
    let mut next = || {
        at = times.next_after(at).expect("there is a next");
        let shown = Timestamp::from_millisecond(at.0 as i64).expect("it is in range").to_zoned(zone.clone());
        shown.strftime("%m-%d %H:%M%:z").to_string()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn a_time_that_a_day_lacks_comes_after_the_gap_and_one_that_it_has_twice_comes_once() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        // Forward from 00:00 to 01:00 on a Friday; back from 24:00 to 23:00 on a Thursday.
        (
            "30 0 * * *",
            "Africa/Cairo",
            "2026-04-23T00:00",
            &["04-23 00:30+02:00", "04-24 01:00+03:00", "04-25 00:30+03:00"],
        ),
        ("30 23 * * *", "Africa/Cairo", "2026-10-29T00:00", &["10-29 23:30+03:00", "10-30 23:30+02:00"]),
        ("0 0 * * *", "Africa/Cairo", "2026-04-23T12:00", &["04-24 01:00+03:00", "04-25 00:00+03:00"]),
        // Back from 24:00 to 23:00 on a Saturday; forward from 24:00 to 01:00, also on a Saturday night.
        ("15 23 * * *", "America/Santiago", "2026-04-04T12:00", &["04-04 23:15-03:00", "04-05 23:15-04:00"]),
        ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", &["09-06 01:00-03:00", "09-07 00:00-03:00"]),
        // By half an hour: 02:00 to 02:30, and back to 01:30.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00",
            &["10-04 02:30+11:00", "10-05 02:15+11:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00",
            &["04-05 01:45+11:00", "04-06 01:45+10:30"],
        ),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00", &["03-08 03:00-04:00", "03-09 02:30-04:00"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00", &["11-01 01:30-04:00", "11-02 01:30-05:00"]),
    ];
    for (cron, zone, from, want) in table {
        assert_eq!(after(cron, zone, from, want.len()), *want, "{cron} in {zone}");
    }
}

#[test]
fn what_comes_by_the_clock_passes_over_a_gap_and_comes_in_both_hours_of_a_fold() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        (
            "*/30 * * * *",
            "Africa/Cairo",
            "2026-04-23T23:15",
            &["04-23 23:30+02:00", "04-24 01:00+03:00", "04-24 01:30+03:00"],
        ),
        (
            "*/30 * * * *",
            "America/Santiago",
            "2026-04-04T22:45",
            &[
                "04-04 23:00-03:00",
                "04-04 23:30-03:00",
                "04-04 23:00-04:00",
                "04-04 23:30-04:00",
                "04-05 00:00-04:00",
            ],
        ),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-04-05T01:20",
            &[
                "04-05 01:30+11:00",
                "04-05 01:45+11:00",
                "04-05 01:30+10:30",
                "04-05 01:45+10:30",
                "04-05 02:00+10:30",
            ],
        ),
        (
            "*/15 * * * *",
            "Australia/Lord_Howe",
            "2026-10-04T01:40",
            &["10-04 01:45+10:30", "10-04 02:30+11:00"],
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-11-01T00:30",
            &["11-01 01:00-04:00", "11-01 01:00-05:00", "11-01 02:00-05:00"],
        ),
    ];
    for (cron, zone, from, want) in table {
        assert_eq!(after(cron, zone, from, want.len()), *want, "{cron} in {zone}");
    }
}

#[test]
fn each_time_comes_once_whatever_the_steps_in_which_one_looks() {
    for zone in ["Africa/Cairo", "America/Santiago", "Australia/Lord_Howe", "America/New_York", "UTC"] {
        for cron in ["30 0 * * *", "*/15 * * * *", "45 1 * * *", "0 0 1 * *", "0 12 * * 5"] {
            let times = times(cron, zone);
            // A year, at once and in steps of 7 hours.
            let (from, until) = (Time(1_767_225_600_000), Time(1_798_761_600_000));
            let (mut at, mut one_by_one) = (from, 0);
            while let Some(next) = times.next_after(at).filter(|next| *next <= until) {
                (at, one_by_one) = (next, one_by_one + 1);
            }
            let (mut at, mut in_steps) = (from, 0);
            while at < until {
                let next = Time((at.0 + 7 * 3_600_000).min(until.0));
                in_steps += times.between(at, next).map_or(0, |due| due.count);
                at = next;
            }
            assert_eq!(in_steps, one_by_one, "{cron} in {zone}");
        }
    }
}

#[test]
fn weekdays_are_counted_from_sunday_and_days_of_month_and_week_are_alternatives() {
    assert_eq!(after("0 9 * * 5", "UTC", "2026-11-23T00:00", 1), ["11-27 09:00+00:00"]);
    assert_eq!(after("0 9 * * 7", "UTC", "2026-11-23T00:00", 1), ["11-29 09:00+00:00"]);
    assert_eq!(after("0 0 1 * 1", "UTC", "2026-11-24T00:00", 2), ["11-30 00:00+00:00", "12-01 00:00+00:00"]);
    let every_second = times("* * * * * *", "UTC");
    assert_eq!(every_second.next_after(Time(1_500)), Some(Time(2_000)));
    assert_eq!(every_second.next_after(Time(2_000)), Some(Time(3_000)));
}

#[test]
fn a_long_absence_is_counted_up_to_a_bound_and_its_end_is_found() {
    let due =
        times("* * * * * *", "UTC").between(Time(500), Time(31_536_000_999)).expect("a year of seconds");
    assert_eq!((due.first, due.newest, due.count), (Time(1_000), Time(31_536_000_000), MOST_COUNTED));
    assert_eq!(due.before, Some(Time(31_535_999_000)));
    let few = times("* * * * *", "UTC").between(Time(0), Time(180_000)).expect("three minutes");
    assert_eq!(
        (few.first, few.before, few.newest, few.count),
        (Time(60_000), Some(Time(120_000)), Time(180_000), 3)
    );
    assert_eq!(times("* * * * *", "UTC").between(Time(60_000), Time(119_999)), None);
}

#[test]
fn what_cannot_be_reckoned_is_refused() {
    let refused = |cron: &str, zone: &str| Times::read(&schedule(cron, zone)).err();
    assert!(matches!(refused("0 25 * * *", "UTC"), Some(Unreadable::Cron { .. })));
    assert!(matches!(refused("* * * *", "UTC"), Some(Unreadable::Cron { .. })));
    assert!(matches!(refused("0 0 30 2 *", "UTC"), Some(Unreadable::Never { .. })));
    assert!(matches!(refused(&"0,".repeat(400), "UTC"), Some(Unreadable::Cron { .. })));
    for zone in ["EST", "CET", "Europe/Nowhere", "", "../../etc/passwd"] {
        assert!(matches!(refused("0 3 * * *", zone), Some(Unreadable::Zone { .. })), "{zone}");
    }
}
