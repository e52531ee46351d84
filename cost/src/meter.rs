//! How long everything was on, used and asleep: looks at the world, added up by the day.

use crate::slots::{SLOT, Slots};
use naru_model::{AssetId, NodeId, ServiceName, StackName, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A day of UTC, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Between two looks that are further apart nobody knows what was: a server that was down, a machine that slept.
const GAP: u64 = 60_000;

/// What is metered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A service of a stack.
    Service(StackName, ServiceName),
    /// A machine of Naru's own.
    Node(NodeId),
    /// A machine of a cloud that is started and stopped.
    Asset(AssetId),
}

/// `service/shop/api`, `node/host-1`, `asset/seoul/i-0123`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Service(stack, service) => write!(f, "service/{stack}/{service}"),
            Subject::Node(node) => write!(f, "node/{node}"),
            Subject::Asset(asset) => write!(f, "asset/{asset}"),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Subject, String> {
        let unknown = || format!("{text:?} is nothing that is metered");
        match text.split_once('/').ok_or_else(unknown)? {
            ("service", rest) => {
                let (stack, service) = rest.split_once('/').ok_or_else(unknown)?;
                Ok(Subject::Service(stack.into(), service.into()))
            }
            ("node", node) => Ok(Subject::Node(node.into())),
            ("asset", asset) => Ok(Subject::Asset(asset.into())),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(text: String) -> Result<Subject, String> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

/// What something is at a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Whether it runs.
    pub on: bool,
    /// Whether it is asleep: it does not run, and is there to be turned on.
    pub asleep: bool,
    /// When it was used last; a moment of its future: it is in use.
    pub used: Option<Time>,
    /// How many instances there are.
    pub instances: u32,
    /// How many more there would be if it was on.
    pub spared: u32,
    /// Of a cloud's machine, its type.
    pub kind: Option<String>,
}

/// One look at everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Time,
    /// What was seen.
    pub subjects: BTreeMap<Subject, Now>,
}

/// What was added up of something on one day. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metered {
    /// How long it was on.
    pub on: u64,
    /// How long it was asleep.
    pub asleep: u64,
    /// The time of all its instances together.
    pub instances: u64,
    /// The time that instances would have run, had it not been asleep.
    pub spared: u64,
    /// The quarters of an hour in which it was on at some time.
    pub when_on: Slots,
    /// Those in which it was used.
    pub when_used: Slots,
    /// Of a cloud's machine, its type as it was seen last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// What was added up on one day of UTC.
pub type Day = BTreeMap<Subject, Metered>;

/// The day of a moment: `2026-11-27`.
pub fn day_of(at: Time) -> String {
    let date = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or(i64::MAX));
    date.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()).unwrap_or_default()
}

/// Adds looks up.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<Look>,
}

impl Meter {
    /// Adds the time since the look before to the days that it is in. What each thing was then, it was until now; it was used in
    /// the quarters of an hour up to its last use.
    pub fn take(&mut self, look: Look, days: &mut BTreeMap<String, Day>) {
        let Some(before) = self.last.as_ref().filter(|before| before.at.0.abs_diff(look.at.0) <= GAP) else {
            self.last = Some(look);
            return;
        };
        let mut from = before.at;
        while from < look.at {
            let to = look.at.min(Time((from.0 / SLOT + 1) * SLOT));
            let slot = u32::try_from(from.0 % DAY / SLOT).unwrap_or(0);
            let day = days.entry(day_of(from)).or_default();
            for (subject, was) in &before.subjects {
                let used = look.subjects.get(subject).and_then(|now| now.used).max(was.used);
                let is_used = was.on && used.is_some_and(|used| used >= from);
                add(day.entry(subject.clone()).or_default(), was, (slot, to.0 - from.0), is_used);
            }
            from = to;
        }
        // A clock that was set back is waited for: no time counts twice.
        if look.at >= before.at {
            self.last = Some(look);
        }
    }
}

fn add(metered: &mut Metered, was: &Now, (slot, length): (u32, u64), is_used: bool) {
    if was.on {
        metered.on += length;
        metered.when_on.set(slot);
    }
    if was.asleep {
        metered.asleep += length;
    }
    if is_used {
        metered.when_used.set(slot);
    }
    metered.instances += length * u64::from(was.instances);
    metered.spared += length * u64::from(was.spared);
    if was.kind.is_some() {
        metered.kind = was.kind.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::{Day, Look, Meter, Now, Subject};
    use naru_model::Time;
    use std::collections::BTreeMap;

    const HOUR: u64 = 3_600_000;
    /// 2026-11-27 00:00 UTC.
    const MIDNIGHT: u64 = 1_795_737_600_000;

    fn look(at: u64, now: &Now) -> Look {
        Look { at: Time(at), subjects: [("service/shop/api".parse().unwrap(), now.clone())].into() }
    }

    /// Looks every ten seconds from one moment to another, at what `now` says.
    fn walked(from: u64, to: u64, now: impl Fn(u64) -> Now) -> BTreeMap<String, Day> {
        let (mut meter, mut days) = (Meter::default(), BTreeMap::<String, Day>::new());
        for at in (from..=to).step_by(10_000) {
            meter.take(look(at, &now(at)), &mut days);
        }
        days
    }

    #[test]
    fn time_is_added_to_the_day_and_quarter_that_it_is_in() {
        let on = Now { on: true, instances: 2, ..Now::default() };
        let days = walked(MIDNIGHT - HOUR, MIDNIGHT + HOUR, |_| on.clone());
        let api: Subject = "service/shop/api".parse().unwrap();
        for (day, first) in [("2026-11-26", 92), ("2026-11-27", 0)] {
            let metered = &days[day][&api];
            assert_eq!((metered.on, metered.instances, metered.asleep), (HOUR, 2 * HOUR, 0));
            assert!((0..96).all(|slot| metered.when_on.has(slot) == (first..first + 4).contains(&slot)));
            assert!((0..96).all(|slot| !metered.when_used.has(slot)));
        }
    }

    #[test]
    fn it_is_used_up_to_its_last_use_and_only_while_it_is_on() {
        let used = Some(Time(MIDNIGHT + 20 * 60_000));
        let days = walked(MIDNIGHT, MIDNIGHT + HOUR, |_| Now { on: true, used, ..Now::default() });
        let api: Subject = "service/shop/api".parse().unwrap();
        let metered = &days["2026-11-27"][&api];
        assert_eq!(
            (0..5).map(|slot| metered.when_used.has(slot)).collect::<Vec<_>>(),
            [true, true, false, false, false]
        );
        let asleep = Now { asleep: true, spared: 3, used, ..Now::default() };
        let days = walked(MIDNIGHT, MIDNIGHT + HOUR, |_| asleep.clone());
        let metered = &days["2026-11-27"][&api];
        assert_eq!((metered.on, metered.asleep, metered.spared), (0, HOUR, 3 * HOUR));
        assert!(!metered.when_used.has(0));
    }

    #[test]
    fn what_nobody_looked_at_is_not_known() {
        let (mut meter, mut days) = (Meter::default(), BTreeMap::<String, Day>::new());
        let on = Now { on: true, ..Now::default() };
        for at in [0, 10_000, HOUR, HOUR + 10_000, HOUR + 5_000, HOUR + 15_000] {
            meter.take(look(MIDNIGHT + at, &on), &mut days);
        }
        assert_eq!(days["2026-11-27"].values().next().unwrap().on, 25_000);
    }

    #[test]
    fn a_day_is_read_as_it_was_written() {
        let now =
            Now { on: true, kind: Some("m7i.large".into()), used: Some(Time(u64::MAX)), ..Now::default() };
        let days = walked(MIDNIGHT, MIDNIGHT + HOUR, |_| now.clone());
        let text = serde_json::to_string(&days["2026-11-27"]).unwrap();
        assert_eq!(serde_json::from_str::<Day>(&text).unwrap(), days["2026-11-27"]);
        assert!(serde_json::from_str::<Day>(r#"{"planet/x":{}}"#).is_err());
    }
}
