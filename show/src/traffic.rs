//! Traffic as a table, by rule or by instance.

use crate::paint::Tone;
use crate::table::foreign;
use crate::{Entry, Rates, Sheet, Traffic};

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A rule of a listener.
    Rule,
    /// An instance.
    Instance,
}

/// The busiest first.
pub fn traffic_sheet(traffic: &Traffic, by: By) -> Sheet {
    let word = |text: &str| Entry::word(foreign(text));
    match by {
        By::Rule => {
            let mut sheet = Sheet::new(&[
                "STACK", "SERVICE", "ADDRESS", "RULE", "REQ/S", "NOW", "P50", "P95", "P99", "4XX/S", "5XX/S",
                "QUEUE",
            ]);
            for row in &traffic.rules {
                let names = [&row.stack, &row.service, &row.address, &row.rule].map(|name| word(name));
                let queue = if row.queue > 0 { row.queue.to_string() } else { String::new() };
                let queue = Entry::number(row.queue as f64, queue);
                sheet.rows.push(names.into_iter().chain(cells(&row.rates)).chain([queue]).collect());
            }
            sheet
        }
        By::Instance => {
            let mut sheet =
                Sheet::new(&["INSTANCE", "RELEASE", "REQ/S", "NOW", "P50", "P95", "P99", "4XX/S", "5XX/S"]);
            for row in &traffic.instances {
                let release = row
                    .release
                    .map_or(Entry::word(""), |release| Entry::number(release.0 as f64, release.to_string()));
                sheet
                    .rows
                    .push([word(&row.instance), release].into_iter().chain(cells(&row.rates)).collect());
            }
            sheet
        }
    }
}

/// What old edge processes still finish, if there are any.
pub fn draining(traffic: &Traffic) -> Option<String> {
    let each: Vec<_> = traffic
        .draining
        .iter()
        .map(|one| match one.connections {
            1 => format!("process {} has 1 connection", one.pid),
            n => format!("process {} has {n} connections", one.pid),
        })
        .collect();
    let edges =
        if each.len() == 1 { "1 old edge drains".into() } else { format!("{} old edges drain", each.len()) };
    (!each.is_empty()).then(|| format!("{edges}: {}", each.join(", ")))
}

fn cells(rates: &Rates) -> impl Iterator<Item = Entry> {
    let errors = |per_s: f64, tone| {
        Entry::number(per_s, rate(per_s)).toned(if per_s > 0.0 { tone } else { Tone::Quiet })
    };
    let took = |ms: Option<f64>| ms.map_or_else(Entry::unknown, |ms| Entry::number(ms, latency(ms)));
    [
        Entry::number(rates.requests_per_s, rate(rates.requests_per_s)),
        Entry::number(rates.in_progress as f64, rates.in_progress.to_string()),
        took(rates.p50_ms),
        took(rates.p95_ms),
        took(rates.p99_ms),
        errors(rates.errors_4xx_per_s, Tone::Busy),
        errors(rates.errors_5xx_per_s, Tone::Bad),
    ]
    .into_iter()
}

/// With so many digits as say something.
pub fn rate(per_s: f64) -> String {
    match per_s {
        0.0 => "0".into(),
        few if few < 10.0 => format!("{few:.2}"),
        some if some < 100.0 => format!("{some:.1}"),
        many => format!("{many:.0}"),
    }
}

fn latency(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{:.0} µs", ms * 1000.0),
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{By, draining, latency, rate, traffic_sheet};
    use crate::{Traffic, sample};
    use anstream::adapter::strip_str;
    use naru_model::{DrainingEdge, EdgeSnapshot, Time};

    #[test]
    fn a_rule_and_an_instance_are_one_line_each() {
        let traffic = Traffic::of(&sample::traffic(Time(13_000), 30), None, None);
        let rules = "\
STACK  SERVICE  ADDRESS       REQ/S  NOW  P50     P95     P99     4XX/S  5XX/S  QUEUE
shop   api      0.0.0.0:8080  20.0   0    3.2 ms  3.3 ms  3.3 ms  0      10.0   3
";
        assert_eq!(strip_str(&traffic_sheet(&traffic, By::Rule).render()).to_string(), rules);
        let instances = "\
INSTANCE      RELEASE  REQ/S  NOW  P50     P95     P99     4XX/S  5XX/S
shop.api.2.1  2        10.0   0    3.2 ms  3.3 ms  3.3 ms  0      0
";
        assert_eq!(strip_str(&traffic_sheet(&traffic, By::Instance).render()).to_string(), instances);
    }

    #[test]
    fn old_edges_are_told_of() {
        let mut seen = sample::traffic(Time(13_000), 30);
        assert_eq!(draining(&Traffic::of(&seen, None, None)), None);
        let old = |pid, connections| DrainingEdge { pid, connections };
        seen.draining = vec![old(7, 1)];
        let line = |seen: &EdgeSnapshot| draining(&Traffic::of(seen, None, None)).unwrap();
        assert_eq!(line(&seen), "1 old edge drains: process 7 has 1 connection");
        seen.draining.push(old(8, 20));
        let two = "2 old edges drain: process 7 has 1 connection, process 8 has 20 connections";
        assert_eq!(line(&seen), two);
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!([0.0, 0.5, 12.34, 12_345.6].map(rate), ["0", "0.50", "12.3", "12346"]);
        let ms = [0.05, 3.12, 314.1, 31_400.0].map(latency);
        assert_eq!(ms, ["50 µs", "3.1 ms", "314 ms", "31 s"]);
    }
}
