//! What the rounds say together: medians, ratios, the tables that are published, and the bars.

use super::case::{Aim, Case, Unit};
use super::peer::Peer;
use super::round::{Sample, Times};
use crate::report::{Report, median};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How much slower than HAProxy's a 99th percentile may be before it counts as worse: what it differs by from one
/// run to the next with nothing changed.
const P99_NOISE: f64 = 1.1;

/// All samples: by the place of the case, then by peer, one of each round.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<usize, BTreeMap<Peer, Vec<Sample>>>);

impl Samples {
    /// Another round's.
    pub fn add(&mut self, case: usize, peer: Peer, sample: Sample) {
        self.0.entry(case).or_default().entry(peer).or_default().push(sample);
    }

    fn of(&self, case: usize, peer: Peer) -> &[Sample] {
        self.0.get(&case).and_then(|peers| peers.get(&peer)).map_or(&[], Vec::as_slice)
    }

    fn median(&self, case: usize, peer: Peer, what: impl Fn(&Sample) -> f64) -> Option<f64> {
        let all: Vec<f64> = self.of(case, peer).iter().map(what).collect();
        if all.is_empty() { None } else { Some(median(&all)) }
    }

    /// The median of a time, where it was taken.
    fn times(
        &self,
        case: usize,
        peer: Peer,
        of: impl Fn(&Sample) -> Option<Times>,
        what: fn(&Times) -> f64,
    ) -> Option<f64> {
        let time = |sample: &Sample| of(sample).map_or(0.0, |times| what(&times));
        self.median(case, peer, time).filter(|time| *time > 0.0)
    }

    /// How many times Naru's work per core `peer` would need: the median over the rounds, each side by side.
    pub fn ratio(&self, case: usize, peer: Peer) -> Option<f64> {
        let pairs = self.of(case, Peer::Naru).iter().zip(self.of(case, peer));
        // Nothing measurable is as good as a page for all connections.
        let ratios: Vec<f64> =
            pairs.map(|(naru, peer)| peer.cost.max(0.004) / naru.cost.max(0.004)).collect();
        if ratios.is_empty() { None } else { Some(median(&ratios)) }
    }

    /// The tables, as Markdown.
    pub fn markdown(&self, cases: &[Case], peers: &[Peer]) -> String {
        let mut text = String::from("\nCost of one, and in brackets that cost against Naru's\n\n");
        self.rows(&mut text, cases, peers, |case, peer| {
            let cost = self.median(case, peer, |sample| sample.cost)?;
            let unit = cases[case].unit();
            let ratio = self.ratio(case, peer).filter(|_| peer != Peer::Naru);
            let ratio = ratio.map(|ratio| format!(" ({ratio:.2}×)")).unwrap_or_default();
            Some(format!("{cost:.1} {unit}{ratio}"))
        });
        let timed: Vec<Case> = cases.iter().filter(|case| case.unit() == Unit::Time).copied().collect();
        if timed.len() == cases.len() || !timed.is_empty() {
            text.push_str("\nA second, and the share of its core that the proxy used\n\n");
            self.rows(&mut text, cases, peers, |case, peer| {
                let rate = self.median(case, peer, |sample| sample.rate).filter(|rate| *rate > 0.0)?;
                let busy = self.median(case, peer, |sample| sample.busy)?;
                Some(format!("{rate:.0} at {busy:.0} %"))
            });
            text.push_str(
                "\nHalf of them and 99 % of them took at most, in ms, at half of the slowest one's pace\n\n",
            );
            self.rows(&mut text, cases, peers, |case, peer| {
                let times = |what: fn(&Times) -> f64| self.times(case, peer, |sample| sample.steady, what);
                Some(format!("{:.3} / {:.3}", times(|t| t.p50)? / 1e3, times(|t| t.p99)? / 1e3))
            });
            text.push_str("\nThe same, each as fast as it can\n\n");
            self.rows(&mut text, cases, peers, |case, peer| {
                let times =
                    |what: fn(&Times) -> f64| self.times(case, peer, |sample| Some(sample.full), what);
                Some(format!("{:.2} / {:.2}", times(|t| t.p50)? / 1e3, times(|t| t.p99)? / 1e3))
            });
        }
        text
    }

    fn rows(
        &self,
        text: &mut String,
        cases: &[Case],
        peers: &[Peer],
        cell: impl Fn(usize, Peer) -> Option<String>,
    ) {
        let names: Vec<String> = peers.iter().map(Peer::to_string).collect();
        // A String takes whatever is written to it.
        let _ = writeln!(text, "| | {} |\n|{}", names.join(" | "), " --- |".repeat(peers.len() + 1));
        for (n, case) in cases.iter().enumerate() {
            let cells: Vec<Option<String>> = peers.iter().map(|peer| cell(n, *peer)).collect();
            if cells.iter().any(Option::is_some) {
                let cells: Vec<String> = cells.into_iter().map(|cell| cell.unwrap_or("–".into())).collect();
                let _ = writeln!(text, "| {} | {} |", case.what, cells.join(" | "));
            }
        }
    }

    /// The bars, for the peers that were measured.
    pub fn judge(&self, report: &mut Report, cases: &[Case], peers: &[Peer]) {
        let others = || peers.iter().copied().filter(|peer| *peer != Peer::Naru);
        for (n, case) in cases.iter().enumerate() {
            let best = others().filter_map(|peer| self.ratio(n, peer)).reduce(f64::min);
            let haproxy = self.ratio(n, Peer::Haproxy);
            match (case.aim, haproxy, best) {
                (Aim::Haproxy(bound), Some(ratio), _) => {
                    report.ratio(&format!("{}: of HAProxy's a core", case.what), ratio, bound);
                }
                (Aim::Best, _, Some(ratio)) => {
                    report.ratio(&format!("{}: of the best peer's a core", case.what), ratio, 1.0);
                }
                (Aim::Memory, Some(ratio), _) => {
                    report.ratio(&format!("{}: HAProxy's of it", case.what), ratio, 1.0);
                }
                _ => {}
            }
            let p99 = |peer| {
                self.times(n, peer, |sample| Some(sample.steady.unwrap_or(sample.full)), |times| times.p99)
            };
            if let (Some(naru), Some(haproxy)) = (p99(Peer::Naru), p99(Peer::Haproxy)) {
                report.at_most(
                    &format!("{}: p99", case.what),
                    naru / 1e3,
                    (haproxy * P99_NOISE).round() / 1e3,
                    "ms",
                );
            }
            let failed: u64 = self.of(n, Peer::Naru).iter().map(|sample| sample.failed).sum();
            report.equal(&format!("{}: failed", case.what), failed, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::case::CASES;

    fn samples(costs: &[(Peer, [f64; 3])]) -> Samples {
        let mut samples = Samples::default();
        for (peer, costs) in costs {
            for cost in costs {
                let full = Times { p50: 1e3, p99: 2e3 };
                let steady = Some(Times { p50: 100.0, p99: 200.0 });
                let sample = Sample { cost: *cost, rate: 1e6 / cost, busy: 100.0, full, steady, failed: 0 };
                samples.add(0, *peer, sample);
            }
        }
        samples
    }

    #[test]
    fn ratios_are_medians_of_pairs() {
        // A round that something else disturbed disturbs both.
        let samples = samples(&[(Peer::Naru, [10.0, 30.0, 10.0]), (Peer::Haproxy, [13.0, 39.0, 12.0])]);
        assert_eq!(samples.ratio(0, Peer::Haproxy), Some(1.3));
        assert_eq!(samples.ratio(0, Peer::Caddy), None);
        let text = samples.markdown(&CASES[..1], &[Peer::Naru, Peer::Haproxy, Peer::Caddy]);
        assert!(text.contains("| 1 KiB, 64 connections | 10.0 µs | 13.0 µs (1.30×) | – |"), "{text}");
        assert!(text.contains("1.00 / 2.00") && text.contains("0.100 / 0.200"), "{text}");
    }

    #[test]
    fn aims_are_bars() {
        let peers = [Peer::Naru, Peer::Haproxy, Peer::Nginx];
        let judged = |haproxy: f64, nginx: f64, case: usize| {
            let samples =
                samples(&[(Peer::Naru, [10.0; 3]), (Peer::Haproxy, [haproxy; 3]), (Peer::Nginx, [nginx; 3])]);
            let mut report = Report::new("of a test");
            samples.judge(&mut report, &CASES[case..=case], &peers);
            report.is_missed()
        };
        assert!(!judged(12.0, 9.0, 0), "1 KiB is compared with HAProxy");
        assert!(judged(11.9, 20.0, 0));
        assert!(!judged(10.0, 10.0, 2), "64 KiB is compared with the best");
        assert!(judged(12.0, 9.9, 2));
    }
}
