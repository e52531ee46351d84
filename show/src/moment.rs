//! Points in time, as people read and write them.

use jiff::tz::TimeZone;
use naru_model::{Span, Time};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the system's clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-11-23 09:41:02`, in the user's time zone.
pub fn date(at: Time) -> String {
    zoned(at).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `09:41:02`, in the user's time zone.
pub fn clock(at: Time) -> String {
    zoned(at).strftime("%H:%M:%S").to_string()
}

/// `2026-11-23T09:41:02.120Z`: to the millisecond, for logs.
pub fn stamp(at: Time) -> String {
    format!("{:.3}", timestamp(at))
}

/// `Fri 20:00`, or `2026-12-24 20:00` where that is a week away or more; in the user's time zone.
pub fn near(at: Time, now: Time) -> String {
    let is_near = at.0.abs_diff(now.0) < 6 * 24 * 3_600_000;
    zoned(at).strftime(if is_near { "%a %H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

/// `Fri 27 Nov`, and the minute of that day; in the user's time zone.
pub fn day(at: Time) -> (String, u32) {
    let at = zoned(at);
    (at.strftime("%a %d %b").to_string(), (at.hour() as u32) * 60 + at.minute() as u32)
}

/// `3 min ago`.
pub fn ago(at: Time, now: Time) -> String {
    let passed = now.since(at);
    if passed < Span::secs(1) { "just now".into() } else { format!("{} ago", whole(passed)) }
}

/// A duration that is shown again and again: whole seconds once there are any, so that it does not flicker.
pub fn whole(span: Span) -> String {
    let seconds = Span(span.0 / 1000 * 1000);
    match seconds.0 {
        0 => "0 s".into(),
        1000..10_000 => format!("{} s", seconds.0 / 1000),
        _ => seconds.to_string(),
    }
}

/// `10m`, `1h30m` before `now`, or a date: `2026-11-23T09:41:02`, with a zone or in the user's.
///
/// # Errors
/// It is none of these.
pub fn parse_since(text: &str, now: Time) -> Result<Time, NoMoment> {
    if let Ok(back) = text.parse::<jiff::SignedDuration>() {
        let back = u64::try_from(back.as_millis()).map_err(|_| NoMoment(text.into()))?;
        return Ok(now - Span(back));
    }
    let stated = text.parse::<jiff::Timestamp>().ok();
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::system()).ok();
    let at = stated.or_else(|| Some(local()?.timestamp())).ok_or_else(|| NoMoment(text.into()))?;
    Ok(Time(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

/// A text that is neither a duration nor a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMoment(pub String);

fn zoned(at: Time) -> jiff::Zoned {
    timestamp(at).to_zoned(TimeZone::system())
}

/// A time beyond the year 9999 can only come from a broken record; it is shown as the last that there is.
fn timestamp(at: Time) -> jiff::Timestamp {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::{ago, parse_since, stamp, whole};
    use naru_model::{Span, Time};

    #[test]
    fn since_takes_durations_and_dates() {
        let now = Time(1_795_000_000_000);
        assert_eq!(parse_since("10m", now).unwrap(), now - Span::mins(10));
        assert_eq!(parse_since("1h30m", now).unwrap(), now - Span::mins(90));
        assert_eq!(parse_since("2026-11-23T09:41:02Z", now).unwrap(), Time(1_795_426_862_000));
        assert!(parse_since("2026-11-23", now).is_ok());
        assert!(parse_since("yesterday-ish", now).is_err());
        assert!(parse_since("-10m", now).is_err());
    }

    #[test]
    fn times_read_as_people_say_them() {
        assert_eq!(stamp(Time(1_795_426_862_120)), "2026-11-23T09:41:02.120Z");
        assert_eq!(ago(Time(0), Time(400)), "just now");
        assert_eq!(ago(Time(0), Time(185_000)), "3 min ago");
        assert_eq!(whole(Span(4_250)), "4 s");
    }
}
