//! Points in time, as people read and write them.

pub use naru_show::moment::{ago, stamp, whole};

use super::fail::Fail;
use jiff::tz::TimeZone;
use naru_model::{Span, Time};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the system's clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `10m`, `1h30m` before `now`, or a date: `2026-11-23T09:41:02`, with a zone or in the user's.
///
/// # Errors
/// It is none of these.
pub fn parse_since(text: &str, now: Time) -> Result<Time, Fail> {
    if let Ok(back) = text.parse::<jiff::SignedDuration>() {
        let back = u64::try_from(back.as_millis()).map_err(|_| wrong(text))?;
        return Ok(now - Span(back));
    }
    let stated = text.parse::<jiff::Timestamp>().ok();
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::system()).ok();
    let at = stated.or_else(|| Some(local()?.timestamp())).ok_or_else(|| wrong(text))?;
    Ok(Time(u64::try_from(at.as_millisecond()).unwrap_or(0)))
}

fn wrong(text: &str) -> Fail {
    Fail::usage(format!("`{text}` is neither a duration nor a date"))
        .help("write `10m`, `1h30m`, `2026-11-23` or `2026-11-23T09:41:02Z`")
}

#[cfg(test)]
mod tests {
    use super::parse_since;
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
}
