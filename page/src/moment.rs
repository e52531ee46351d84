//! Points in time, as the page shows them: in the server's own zone.

use crate::words::Lang;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use naru_model::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, by the system's clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

const KOREAN: [&str; 7] = ["월", "화", "수", "목", "금", "토", "일"];

/// `22:00`, or `Fri 22:00` on another day.
pub fn clock(lang: Lang, at: Time, now: Time) -> String {
    let (at, today) = (zoned(at), zoned(now).date());
    let clock = at.strftime("%H:%M").to_string();
    if at.date() == today {
        return clock;
    }
    let day = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or_default();
    let is_near = (at.date() - today).get_days().abs() < 7;
    match (lang, is_near) {
        (_, false) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        (Lang::En, true) => at.strftime("%a %H:%M").to_string(),
        (Lang::Ko, true) => format!("{}요일 {clock}", KOREAN[day]),
    }
}

/// The same, with the whole of it for machines.
pub fn time(at: Time, said: &str) -> Markup {
    let stamp = zoned(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    html! { time datetime=(stamp) title=(stamp) { (said) } }
}

fn zoned(at: Time) -> jiff::Zoned {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_zoned(TimeZone::system())
}
