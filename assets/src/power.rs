//! When machines are off, in the file: a provider's `power`.
//!
//! ```yaml
//! power:
//!   off: "Mon-Fri 20:00-08:00, Sat, Sun"
//!   timezone: Asia/Seoul
//!   holidays: [kr.ics, "2026-12-25"]
//!   except: [bastion]
//!   wake_max: 12h
//! ```

use naru_model::{AssetName, OffHours, Span};
use naru_schedule::{Fault, Sources, Weekly, is_address, named};
use naru_yaml::shape::{is_map, known_keys, text, texts};
use naru_yaml::{Node, Pos, Report};
use std::collections::BTreeSet;
use std::time::Duration;

/// The keys of `power`.
const KEYS: [&str; 5] = ["off", "timezone", "holidays", "except", "wake_max"];

/// More days are a program's doing.
const ENTRIES_MAX: usize = 1_000;

/// A wake of a machine lasts for so long at most, where the file does not say.
const WAKE_MAX: Duration = Duration::from_secs(12 * 60 * 60);
const WAKE_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(60 * 24 * 60 * 60);

/// When a provider's machines are off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Power {
    /// The hours. `None`: they are on and off as people want.
    pub off: Option<OffHours>,
    /// Names of machines that have no hours.
    pub except: BTreeSet<AssetName>,
    /// How long a start lasts at most that has an end, with all that follow it at once.
    pub wake_max: Span,
}

impl Default for Power {
    fn default() -> Power {
        Power { off: None, except: BTreeSet::new(), wake_max: span(WAKE_MAX) }
    }
}

/// The `power` of a provider.
pub(crate) fn power(report: &mut Report, provider: &Node, sources: &dyn Sources) -> Power {
    let Some(node) = provider.get("power").filter(|node| !node.is_null()) else { return Power::default() };
    if !is_map(report, node, "power") {
        return Power::default();
    }
    // Before anything is said of the line that they stand in.
    for entry in entries(node).iter().filter(|node| node.scalar().is_some_and(|entry| is_address(&entry))) {
        report.conceal(entry.pos, "://");
    }
    known_keys(report, node, &KEYS);
    let except = texts(report, node, "except").into_iter().map(AssetName::from).collect();
    let wake_max = naru_yaml::shape::duration(report, node, "wake_max", WAKE_MAX, WAKE_RANGE);
    Power { off: off(report, node, sources), except, wake_max: span(wake_max) }
}

fn span(duration: Duration) -> Span {
    Span(duration.as_millis() as u64)
}

fn off(report: &mut Report, node: &Node, sources: &dyn Sources) -> Option<OffHours> {
    let windows = texts(report, node, "off").join(", ");
    let timezone = text(report, node, "timezone").unwrap_or_else(|| "UTC".into());
    let place = |key: &str| node.get(key).map_or(node.pos, |node| node.pos);
    if windows.is_empty() {
        for key in ["timezone", "holidays", "except"].iter().filter(|key| node.get(key).is_some()) {
            let what = format!("power.{key} is about off, which is not there");
            report.error_advised(place(key), what, "add off: \"Mon-Fri 20:00-08:00, Sat, Sun\"");
        }
        return None;
    }
    let days = days(report, node, sources);
    let hours = OffHours { windows, timezone, holidays: days.into_iter().collect() };
    let advice = "write days, and times where it is not the whole day: Mon-Fri 20:00-08:00, Sat, Sun";
    let windows = OffHours { timezone: "UTC".into(), holidays: vec![], ..hours.clone() };
    let zone = OffHours { windows: "Mon".into(), holidays: vec![], ..hours.clone() };
    let good = check(report, &windows, (place("off"), "off"), advice)
        & check(report, &zone, (place("timezone"), "timezone"), "write its name, as Asia/Seoul, or UTC");
    good.then_some(hours)
}

fn check(report: &mut Report, hours: &OffHours, (pos, key): (Pos, &str), advice: &str) -> bool {
    match Weekly::read(hours) {
        Ok(_) => true,
        Err(unreadable) => {
            report.error_advised(pos, format!("power.{key}: {unreadable}"), advice);
            false
        }
    }
}

/// The days that are named, and those of calendars.
fn days(report: &mut Report, node: &Node, sources: &dyn Sources) -> BTreeSet<String> {
    let entries = entries(node);
    if let [first, ..] = entries
        && entries.len() > ENTRIES_MAX
    {
        let what = format!("power.holidays has {} entries", entries.len());
        report.error_advised(first.pos, what, format!("{ENTRIES_MAX} are the most: write a calendar"));
        return BTreeSet::new();
    }
    let mut days = BTreeSet::new();
    for node in entries {
        let entry = node.scalar().unwrap_or_default();
        match named(&entry, sources) {
            Ok(named) => days.extend(named.days),
            Err(Fault::Wrong(told) | Fault::Away(told)) => {
                report.error_advised(node.pos, format!("power.holidays: {}", told.what), told.advice);
            }
        }
    }
    days
}

fn entries(power: &Node) -> &[Node] {
    let below = power.get("holidays").filter(|below| !below.is_null());
    below.map(|below| below.list().unwrap_or(std::slice::from_ref(below))).unwrap_or_default()
}
