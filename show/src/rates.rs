//! Traffic as rates, between two readings of an edge's counts, or since the edge began.

use naru_model::{
    DrainingEdge, EdgeSnapshot, InProgress, Latencies, ListenerSnapshot, ReleaseNo, RuleSnapshot, StackName,
    Time,
};
use serde::Serialize;

/// What goes through an edge.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// The end of the time that this is about.
    pub at: Time,
    /// How long that time is.
    pub seconds: f64,
    /// By rule, the busiest first.
    pub rules: Vec<RuleRow>,
    /// By instance, the busiest first.
    pub instances: Vec<InstanceRow>,
    /// Old edge processes that finish what they carry, which is counted above.
    pub draining: Vec<DrainingEdge>,
}

/// One rule of a listener, or what no rule of it takes.
#[derive(Clone, Debug, Serialize)]
pub struct RuleRow {
    /// The listener's name.
    pub listener: String,
    /// Where it listens.
    pub address: String,
    /// Empty for what no rule takes.
    pub rule: String,
    /// Whose it is.
    pub stack: String,
    /// Empty where it is for none.
    pub service: String,
    /// Requests and connections of the listener that wait for an instance.
    pub queue: u64,
    /// What it carries.
    #[serde(flatten)]
    pub rates: Rates,
}

/// One instance.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceRow {
    /// Its id.
    pub instance: String,
    /// Its release, where the edge knows it.
    pub release: Option<ReleaseNo>,
    /// What it carries.
    #[serde(flatten)]
    pub rates: Rates,
}

/// Requests, their answers and how long those took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// That are over.
    pub requests: u64,
    /// Of those that are over, a second.
    pub requests_per_s: f64,
    /// Requests and streams.
    pub in_progress: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 of 100 took no longer.
    pub p95_ms: Option<f64>,
    /// 99 of 100 took no longer.
    pub p99_ms: Option<f64>,
    /// Answers that blame the client, a second.
    pub errors_4xx_per_s: f64,
    /// Answers that blame the server, a second.
    pub errors_5xx_per_s: f64,
}

/// A reading of what is counted of one thing.
struct Reading<'a> {
    /// By 1xx to 5xx, and none at last.
    answers: [u64; 6],
    latencies: &'a Latencies,
    in_progress: InProgress,
}

impl Traffic {
    /// Between `before` and `now`, of one stack or of all. A reading of another edge, or none: since the edge began.
    pub fn of(now: &EdgeSnapshot, before: Option<&EdgeSnapshot>, stack: Option<&StackName>) -> Traffic {
        let before = before.filter(|before| before.edge == now.edge && before.at < now.at);
        let from = before.map_or(now.began, |before| before.at);
        let seconds = now.at.since(from).0.max(1) as f64 / 1000.0;
        let is_asked = |name: &StackName| stack.is_none_or(|stack| stack == name);
        let listeners = now.listeners.iter().filter(|listener| is_asked(&listener.stack));
        let mut rules: Vec<RuleRow> = listeners
            .flat_map(|listener| {
                let earlier =
                    before.and_then(|before| before.listeners.iter().find(|one| one.name == listener.name));
                listener.rules.iter().map(move |rule| row(listener, rule, earlier, seconds))
            })
            .collect();
        let mut instances: Vec<InstanceRow> = now
            .instances
            .iter()
            .filter(|(_, one)| stack.is_none() || one.made_by.as_ref().is_some_and(|by| is_asked(&by.stack)))
            .map(|(id, one)| {
                let earlier = before.and_then(|before| before.instances.get(id));
                let reading = |one| instance(one);
                InstanceRow {
                    instance: id.to_string(),
                    release: one.made_by.as_ref().map(|made_by| made_by.release),
                    rates: Rates::between(&reading(one), earlier.map(reading).as_ref(), seconds),
                }
            })
            .collect();
        // Names stay in their order where nothing tells them apart.
        rules.sort_by(|one, other| other.rates.requests_per_s.total_cmp(&one.rates.requests_per_s));
        instances.sort_by(|one, other| other.rates.requests_per_s.total_cmp(&one.rates.requests_per_s));
        Traffic { at: now.at, seconds, rules, instances, draining: now.draining.clone() }
    }

    /// All rules together; without percentiles.
    pub fn total(&self) -> Rates {
        self.rules.iter().fold(Rates::default(), |sum, row| Rates {
            requests: sum.requests + row.rates.requests,
            requests_per_s: sum.requests_per_s + row.rates.requests_per_s,
            in_progress: sum.in_progress + row.rates.in_progress,
            errors_4xx_per_s: sum.errors_4xx_per_s + row.rates.errors_4xx_per_s,
            errors_5xx_per_s: sum.errors_5xx_per_s + row.rates.errors_5xx_per_s,
            ..Rates::default()
        })
    }
}

fn row(
    listener: &ListenerSnapshot,
    rule: &RuleSnapshot,
    earlier: Option<&ListenerSnapshot>,
    seconds: f64,
) -> RuleRow {
    let earlier = earlier.and_then(|earlier| earlier.rules.iter().find(|one| one.name == rule.name));
    RuleRow {
        listener: listener.name.clone(),
        address: listener.address.clone(),
        rule: rule.name.clone(),
        stack: listener.stack.to_string(),
        service: rule.service.as_ref().map(ToString::to_string).unwrap_or_default(),
        queue: listener.held,
        rates: Rates::between(&of_rule(rule), earlier.map(of_rule).as_ref(), seconds),
    }
}

fn of_rule(rule: &RuleSnapshot) -> Reading<'_> {
    let tally = &rule.tally;
    let [none, rest @ ..] = tally.answers;
    let [one, two, three, four, five] = rest;
    let answers = [one, two, three, four, five, none];
    Reading { answers, latencies: &tally.latencies, in_progress: tally.in_progress }
}

fn instance(one: &naru_model::InstanceSnapshot) -> Reading<'_> {
    let [first, two, three, four, five] = one.answers;
    let in_progress = one.counts.in_progress;
    Reading { answers: [first, two, three, four, five, 0], latencies: &one.latencies, in_progress }
}

impl Rates {
    fn between(now: &Reading<'_>, before: Option<&Reading<'_>>, seconds: f64) -> Rates {
        let class = |at: usize| {
            let before = before.map_or(0, |before| before.answers[at]);
            now.answers[at].saturating_sub(before)
        };
        let all: u64 = (0..now.answers.len()).map(class).sum();
        let latencies = match before {
            Some(before) => now.latencies.since(before.latencies),
            None => now.latencies.clone(),
        };
        let percentile = |percent| latencies.percentile(percent).map(|micros| micros as f64 / 1000.0);
        Rates {
            requests: all,
            requests_per_s: all as f64 / seconds,
            in_progress: now.in_progress.total(),
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            p99_ms: percentile(99),
            errors_4xx_per_s: class(3) as f64 / seconds,
            errors_5xx_per_s: class(4) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rates, Traffic};
    use crate::sample;
    use naru_model::Time;

    #[test]
    fn rates_are_of_the_time_between_two_readings() {
        let before = sample::traffic(Time(11_000), 10);
        let now = sample::traffic(Time(13_000), 30);
        let traffic = Traffic::of(&now, Some(&before), None);
        let rates = &traffic.rules[0].rates;
        assert_eq!((traffic.seconds, rates.requests, rates.requests_per_s), (2.0, 40, 20.0));
        assert_eq!((rates.errors_4xx_per_s, rates.errors_5xx_per_s), (0.0, 10.0));
        assert_eq!(traffic.instances[0].rates.requests_per_s, 10.0);
        let p50 = rates.p50_ms.unwrap();
        assert!((3.0..3.5).contains(&p50), "{p50}");
    }

    #[test]
    fn without_an_earlier_reading_of_the_same_edge_they_are_since_it_began() {
        let now = sample::traffic(Time(13_000), 30);
        let mut other = sample::traffic(Time(12_000), 29);
        other.edge = "another".into();
        for before in [None, Some(&other)] {
            let traffic = Traffic::of(&now, before, None);
            assert_eq!((traffic.seconds, traffic.rules[0].rates.requests_per_s), (3.0, 20.0));
        }
    }

    #[test]
    fn of_another_stack_there_is_nothing() {
        let traffic = Traffic::of(&sample::traffic(Time(13_000), 30), None, Some(&"other".into()));
        assert!(traffic.rules.is_empty() && traffic.instances.is_empty());
        assert_eq!(traffic.total(), Rates::default());
    }
}
