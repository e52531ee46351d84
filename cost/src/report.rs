//! What a month came to.

use crate::meter::{Day, Metered, Subject};
use crate::money::Micros;
use crate::prices::Prices;
use crate::propose::{Proposal, propose};
use crate::slots::{SLOT, Slots};
use jiff::ToSpan;
use jiff::civil::Date;
use naru_model::{ServiceName, StackName, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

/// A month of UTC: `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(Date);

impl Month {
    /// The month that a day is in, by its name.
    ///
    /// # Errors
    /// The day's name is none.
    pub fn of(day: &str) -> Result<Month, String> {
        day.get(..7).unwrap_or(day).parse()
    }

    /// Whether a day, by its name, is in it.
    pub fn has(self, day: &str) -> bool {
        day.strip_prefix(&self.to_string()).is_some_and(|rest| rest.starts_with('-'))
    }

    /// Its first moment.
    pub fn begins(self) -> Time {
        let at = jiff::tz::TimeZone::UTC.to_timestamp(self.0.at(0, 0, 0, 0));
        Time(at.ok().and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or(0))
    }

    /// So many milliseconds of it lie before a moment.
    fn until(self, now: Time) -> u64 {
        let end = self.0.checked_add(1.month()).map_or(u64::MAX, |next| Month(next).begins().0);
        now.0.min(end).saturating_sub(self.begins().0)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Month, String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let date = format!("{text}-01").parse().ok().filter(|_| text.len() == 7 && digits);
        date.map(Month).ok_or_else(|| format!("{text:?} is no month: write it as 2026-11"))
    }
}

/// What something came to in a month. Times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// What: `stack/shop`, `service/shop/api`, `node/host-1`, `asset/seoul/i-0123`.
    pub what: String,
    /// What people call it, where that is another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Of a cloud's machine, its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How long it was on; of a stack, its services together, as all that follows.
    pub on: u64,
    /// How long it was on while nobody used it, in whole quarters of an hour. Of machines that is not known.
    pub idle: u64,
    /// How long it was asleep, or stopped.
    pub asleep: u64,
    /// The time of all its instances together.
    pub instances: u64,
    /// The time that instances would have run, had it not been asleep: what was freed for others.
    pub freed: u64,
    /// What it cost, where there are prices. A service bears the part of its machine that its instances' time is of all
    /// instances' time there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Micros>,
    /// What was not paid because it was stopped. Only a machine that is paid by the hour saves money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Micros>,
}

/// What a month came to, and what would have come to less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostView {
    /// Which month, of UTC: `2026-11`.
    pub month: String,
    /// How much of it has gone by, in milliseconds.
    pub passed: u64,
    /// How long the server looked. What was in the rest of it is not known.
    pub watched: u64,
    /// In which currency. `None`: no prices are known.
    pub currency: Option<String>,
    /// Stacks, each before its services; then nodes, then assets.
    pub rows: Vec<Row>,
    /// Hours that would have spared more.
    pub proposals: Vec<Proposal>,
    /// What is wrong with the file of prices. What is shown has none then.
    pub fault: Option<String>,
}

/// What is known beside what was metered.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The names of assets.
    pub names: BTreeMap<String, String>,
    /// In which zone a service's hours are told: that of its own hours, where it has some.
    pub zones: BTreeMap<Subject, String>,
}

/// What a month came to, by all days that are known.
pub fn report(
    month: Month,
    days: &BTreeMap<String, Day>,
    prices: &Prices,
    around: &Around,
    now: Time,
) -> CostView {
    let of_month = days.iter().filter(|(name, _)| month.has(name)).map(|(_, day)| day);
    let mut sums = Sums::default();
    of_month.for_each(|day| sums.add_day(day, prices, around));
    let proposals =
        sums.rows.keys().filter(|subject| matches!(subject, Subject::Service(..))).filter_map(|subject| {
            let zone = around.zones.get(subject).map_or("UTC", String::as_str);
            propose(days, subject, zone)
        });
    CostView {
        month: month.to_string(),
        passed: month.until(now),
        watched: sums.watched,
        currency: prices.currency.clone(),
        proposals: proposals.collect(),
        rows: sums.rows(),
        fault: None,
    }
}

#[derive(Default)]
struct Sums {
    rows: BTreeMap<Subject, Row>,
    watched: u64,
}

impl Sums {
    fn add_day(&mut self, day: &Day, prices: &Prices, around: &Around) {
        let nodes = day.iter().filter_map(|(subject, metered)| match subject {
            Subject::Node(node) => Some((node, metered)),
            _ => None,
        });
        // The node's own server looks: it is on for as long as anybody looked.
        self.watched += nodes.clone().map(|(_, metered)| metered.on).max().unwrap_or(0);
        let paid = nodes
            .filter_map(|(node, metered)| Some(prices.rate(node.as_str(), None).hour?.for_time(metered.on)));
        let paid: Option<Micros> = paid.reduce(|sum, more| sum + more);
        let services = day.iter().filter(|(subject, _)| matches!(subject, Subject::Service(..)));
        let all: u128 = services.map(|(_, metered)| u128::from(metered.instances)).sum();
        for (subject, metered) in day {
            let row = self.rows.entry(subject.clone()).or_default();
            row.add(metered);
            match subject {
                Subject::Service(..) => {
                    row.pay(paid.map(|paid| paid.share(metered.instances.into(), all)), None)
                }
                Subject::Node(node) => {
                    let rate = prices.rate(node.as_str(), None);
                    row.pay_rate(rate.hour, rate.disk, metered);
                    row.saved = None;
                    row.idle = 0;
                }
                Subject::Asset(id) => {
                    let name = around.names.get(id.as_str()).map_or(id.as_str(), String::as_str);
                    let rate = prices.rate(name, metered.kind.as_deref());
                    row.pay_rate(rate.hour, rate.disk, metered);
                    row.name = Some(name.into());
                    row.idle = 0;
                }
            }
        }
    }

    fn rows(self) -> Vec<Row> {
        let mut stacks: BTreeMap<StackName, Vec<(ServiceName, Row)>> = BTreeMap::new();
        let mut machines = vec![];
        for (subject, row) in self.rows {
            let row = Row { what: subject.to_string(), ..row };
            match subject {
                Subject::Service(stack, service) => stacks.entry(stack).or_default().push((service, row)),
                _ => machines.push(row),
            }
        }
        let whole = |(stack, services): (StackName, Vec<(ServiceName, Row)>)| {
            let mut sum = Row { what: format!("stack/{stack}"), ..Row::default() };
            services.iter().for_each(|(_, row)| sum.join(row));
            std::iter::once(sum).chain(services.into_iter().map(|(_, row)| row))
        };
        stacks.into_iter().flat_map(whole).chain(machines).collect()
    }
}

impl Row {
    fn add(&mut self, metered: &Metered) {
        self.on += metered.on;
        self.asleep += metered.asleep;
        self.instances += metered.instances;
        self.freed += metered.spared;
        let idle = |slot: &u32| metered.when_on.has(*slot) && !metered.when_used.has(*slot);
        self.idle += (0..Slots::COUNT).filter(idle).count() as u64 * SLOT;
        self.idle = self.idle.min(self.on);
        if metered.kind.is_some() {
            self.kind = metered.kind.clone();
        }
    }

    fn join(&mut self, other: &Row) {
        self.on += other.on;
        self.idle += other.idle;
        self.asleep += other.asleep;
        self.instances += other.instances;
        self.freed += other.freed;
        self.pay(other.cost, other.saved);
    }

    fn pay(&mut self, cost: Option<Micros>, saved: Option<Micros>) {
        let sum = |sum: Option<Micros>, more: Option<Micros>| {
            sum.into_iter().chain(more).reduce(|sum, more| sum + more)
        };
        self.cost = sum(self.cost, cost);
        self.saved = sum(self.saved, saved);
    }

    fn pay_rate(&mut self, hour: Option<Micros>, disk: Option<Micros>, metered: &Metered) {
        let running = hour.map(|hour| hour.for_time(metered.on));
        let disks = disk.map(|disk| disk.for_time(metered.on + metered.asleep));
        self.pay(running, hour.map(|hour| hour.for_time(metered.asleep)));
        self.pay(disks, None);
    }
}

#[cfg(test)]
mod tests {
    use super::{Around, Month, report};
    use crate::meter::{Day, Metered};
    use crate::money::Micros;
    use crate::prices::{Prices, read};
    use naru_model::Time;
    use std::collections::BTreeMap;

    const HOUR: u64 = 3_600_000;

    fn day(all: &[(&str, u64, u64, u64)]) -> Day {
        let one = |(subject, on, asleep, instances): &(&str, u64, u64, u64)| {
            let (on, asleep, instances) = (on * HOUR, asleep * HOUR, instances * HOUR);
            let kind = subject.starts_with("asset").then(|| "m7i.large".to_string());
            let mut metered = Metered { on, asleep, instances, spared: asleep, kind, ..Metered::default() };
            (0..on / HOUR * 4).for_each(|slot| metered.when_on.set(slot as u32));
            (0..on / HOUR * 2).for_each(|slot| metered.when_used.set(slot as u32));
            (subject.parse().unwrap(), metered)
        };
        all.iter().map(one).collect()
    }

    fn november(prices: &Prices) -> super::CostView {
        let one = day(&[
            ("service/shop/api", 24, 0, 48),
            ("service/shop/web", 8, 16, 8),
            ("service/blog/web", 24, 0, 24),
            ("node/vm", 24, 0, 0),
            ("asset/seoul/i-1", 8, 16, 0),
        ]);
        let days: BTreeMap<String, Day> =
            ["2026-10-31", "2026-11-01", "2026-11-02"].map(|name| (name.to_string(), one.clone())).into();
        let names = [("seoul/i-1".to_string(), "gpu".to_string())].into();
        let around = Around { names, ..Around::default() };
        // 2026-11-03 12:00 UTC
        report("2026-11".parse().unwrap(), &days, prices, &around, Time(1_793_707_200_000))
    }

    #[test]
    fn what_is_on_costs_and_what_is_stopped_goes_on_costing_its_disks() {
        let text = "currency: USD\ntypes: { m7i.large: 0.1 }\ndisk: 0.01\nmachines: { vm: { hour: 1 } }\n";
        let view = november(&read("prices.yaml", text).unwrap());
        assert_eq!((view.month.as_str(), view.watched, view.passed), ("2026-11", 48 * HOUR, 60 * HOUR));
        let rows: BTreeMap<&str, _> = view.rows.iter().map(|row| (row.what.as_str(), row)).collect();
        let order: Vec<&str> = view.rows.iter().map(|row| row.what.as_str()).collect();
        let want = [
            "stack/blog",
            "service/blog/web",
            "stack/shop",
            "service/shop/api",
            "service/shop/web",
            "node/vm",
            "asset/seoul/i-1",
        ];
        assert_eq!(order, want);
        let asset = rows["asset/seoul/i-1"];
        assert_eq!(asset.cost, Some(Micros(16 * 100_000 + 48 * 10_000)));
        assert_eq!(
            (asset.saved, asset.name.as_deref(), asset.idle),
            (Some(Micros(32 * 100_000)), Some("gpu"), 0)
        );
        let node = rows["node/vm"];
        assert_eq!((node.cost, node.saved), (Some(Micros(48_000_000)), None));
        // 48 of 80 hours of instances a day.
        let api = rows["service/shop/api"];
        assert_eq!((api.cost, api.saved, api.idle), (Some(Micros(2 * 14_400_000)), None, 24 * HOUR));
        let shop = rows["stack/shop"];
        assert_eq!(
            (shop.on, shop.asleep, shop.freed, shop.instances),
            (64 * HOUR, 32 * HOUR, 32 * HOUR, 112 * HOUR)
        );
        let all: Micros = ["stack/shop", "stack/blog"].iter().filter_map(|stack| rows[*stack].cost).sum();
        assert_eq!(Some(all), node.cost);
    }

    #[test]
    fn without_prices_nothing_is_said_of_money() {
        let view = november(&Prices::default());
        assert!(view.rows.iter().all(|row| row.cost.is_none() && row.saved.is_none()));
        assert_eq!(view.currency, None);
    }

    #[test]
    fn a_month_is_written_in_one_way() {
        assert_eq!("2026-11".parse::<Month>().unwrap().to_string(), "2026-11");
        assert!(Month::of("2026-11-27").unwrap().has("2026-11-01"));
        assert!(!Month::of("2026-11-27").unwrap().has("2026-12-01"));
        for odd in ["", "2026", "2026-13", "26-11", "2026-11-01", "2026/11", "11-2026", "+026-11"] {
            assert!(odd.parse::<Month>().is_err(), "{odd}");
        }
    }
}
