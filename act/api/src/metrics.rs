//! What an edge has counted, in the text form that Prometheus reads (version 0.0.4).
//!
//! Names and labels stay as they are. There are as many series as listeners, rules and instances of the newest table,
//! with those that still have work: nothing that a client sends becomes a label.

use naru_model::{EdgeSnapshot, InstanceSnapshot, Latencies, ListenerSnapshot, RuleSnapshot};
use std::fmt::{Display, Write};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The bounds of histograms: powers of two of a microsecond, at which the counts are exact. From 256 µs to 34 s.
const BOUNDS: std::ops::RangeInclusive<u32> = 8..=25;

const CODES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

type Labels<'a> = Vec<(&'static str, String)>;

/// All of it.
pub fn text(seen: &EdgeSnapshot) -> String {
    let mut text = Text(String::new());
    edge(seen, &mut text);
    listeners(&seen.listeners, &mut text);
    let rules: Vec<Rule<'_>> = seen.listeners.iter().flat_map(Rule::all).collect();
    rule_counts(&rules, &mut text);
    own_answers(&rules, &mut text);
    let latencies = rules.iter().map(|rule| (rule.labels(), &rule.seen.tally.latencies));
    let help =
        "How long whole answers took, from the request's head to the last byte; streams are not among them.";
    text.histogram("naru_request_duration_seconds", help, latencies);
    instances(seen, &mut text);
    text.0
}

fn edge(seen: &EdgeSnapshot, text: &mut Text) {
    text.family("naru_edge_info", "gauge", "The edge that this is of.");
    let edge = [("node", seen.node.to_string()), ("edge", seen.edge.to_string())];
    text.sample("naru_edge_info", &edge, 1);
    text.family("naru_edge_start_time_seconds", "gauge", "When the edge began, since the Unix epoch.");
    text.sample("naru_edge_start_time_seconds", &[], seen.began.0 as f64 / 1000.0);
    text.family("naru_route_table_generation", "gauge", "The route table by which all of the edge chooses.");
    text.sample("naru_route_table_generation", &[], seen.acked.0);
    text.family("naru_edges_draining", "gauge", "Old edge processes that finish what they carry.");
    text.sample("naru_edges_draining", &[], seen.draining.len());
    let help = "Lines of access logs, written or dropped because the file could not be written as fast.";
    text.family("naru_access_log_lines_total", "counter", help);
    for (file, lines) in &seen.access_logs {
        for (result, n) in [("written", lines.written), ("dropped", lines.dropped)] {
            text.sample(
                "naru_access_log_lines_total",
                &[("file", file.clone()), ("result", result.into())],
                n,
            );
        }
    }
}

fn listeners(listeners: &[ListenerSnapshot], text: &mut Text) {
    type Count = fn(&ListenerSnapshot) -> u64;
    let families: [(&str, &str, &str, Count); 5] = [
        ("naru_connections_accepted_total", "counter", "Connections accepted.", |one| one.accepted),
        (
            "naru_connections_turned_away_total",
            "counter",
            "Connections closed at once: too many of their source, or without the beginning they need.",
            |one| one.turned_away,
        ),
        ("naru_connections", "gauge", "Connections that are open.", |one| one.open),
        (
            "naru_connections_draining",
            "gauge",
            "Of the open connections, those at old edge processes, which take no new ones.",
            |one| one.draining,
        ),
        ("naru_queue", "gauge", "Requests and connections that wait for an instance.", |one| one.held),
    ];
    for (name, kind, help, count) in families {
        text.family(name, kind, help);
        for one in listeners {
            let labels = [
                ("listener", one.name.clone()),
                ("stack", one.stack.to_string()),
                ("protocol", one.protocol.scheme().to_string()),
            ];
            text.sample(name, &labels, count(one));
        }
    }
}

/// A rule of a listener, or what no rule of it takes.
struct Rule<'a> {
    of: &'a ListenerSnapshot,
    seen: &'a RuleSnapshot,
}

impl Rule<'_> {
    fn all(of: &ListenerSnapshot) -> impl Iterator<Item = Rule<'_>> {
        of.rules.iter().map(move |seen| Rule { of, seen })
    }

    fn labels(&self) -> Labels<'_> {
        let service = self.seen.service.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            ("listener", self.of.name.clone()),
            ("rule", self.seen.name.clone()),
            ("stack", self.of.stack.to_string()),
            ("service", service),
        ]
    }
}

fn rule_counts(rules: &[Rule<'_>], text: &mut Text) {
    let help = "Requests that are over, by the status of their answer; streams from their beginning.";
    text.family("naru_requests_total", "counter", help);
    for rule in rules {
        for (code, n) in CODES.into_iter().zip(rule.seen.tally.answers) {
            text.sample("naru_requests_total", &with(rule.labels(), "code", code), n);
        }
    }
    let help = "Requests whose answer did not become whole, by who ended it.";
    text.family("naru_requests_aborted_total", "counter", help);
    for rule in rules {
        for (by, n) in [("client", rule.seen.tally.left), ("instance", rule.seen.tally.broken)] {
            text.sample("naru_requests_aborted_total", &with(rule.labels(), "by", by), n);
        }
    }
    text.family("naru_in_progress", "gauge", "Requests and streams that are not over.");
    for rule in rules {
        let now = rule.seen.tally.in_progress;
        for (kind, n) in [("request", now.requests), ("stream", now.streams)] {
            text.sample("naru_in_progress", &with(rule.labels(), "kind", kind), n);
        }
    }
    type Count = fn(&naru_model::RuleTally) -> u64;
    let families: [(&str, &str, Count); 5] = [
        ("naru_retries_total", "Times that a request was given to one more instance.", |tally| tally.retries),
        ("naru_streams_total", "Streams that are over.", |tally| tally.streams),
        (
            "naru_streams_closed_total",
            "Streams that the edge ended, as the service's policy says.",
            |tally| tally.closed,
        ),
        ("naru_request_body_bytes_total", "Bytes of requests' bodies.", |tally| tally.received),
        ("naru_answer_body_bytes_total", "Bytes of answers' bodies.", |tally| tally.sent),
    ];
    for (name, help, count) in families {
        text.family(name, "counter", help);
        rules.iter().for_each(|rule| text.sample(name, &rule.labels(), count(&rule.seen.tally)));
    }
}

fn own_answers(rules: &[Rule<'_>], text: &mut Text) {
    let help = "Requests that the edge itself answered, by status and reason.";
    text.family("naru_own_answers_total", "counter", help);
    for rule in rules {
        for own in &rule.seen.tally.own {
            let labels = with(rule.labels(), "status", &own.status.to_string());
            text.sample("naru_own_answers_total", &with(labels, "reason", &own.reason), own.count);
        }
    }
}

fn instances(seen: &EdgeSnapshot, text: &mut Text) {
    let all: Vec<(Labels<'_>, &InstanceSnapshot)> = seen.instances.iter().map(labelled).collect();
    let help = "Requests that an instance answered whole, by status.";
    text.family("naru_instance_requests_total", "counter", help);
    for (labels, one) in &all {
        for (code, n) in CODES[1..].iter().zip(one.answers) {
            text.sample("naru_instance_requests_total", &with(labels.clone(), "code", code), n);
        }
    }
    text.family(
        "naru_instance_in_progress",
        "gauge",
        "Requests and streams that an instance is in the middle of.",
    );
    for (labels, one) in &all {
        let now = one.counts.in_progress;
        for (kind, n) in [("request", now.requests), ("stream", now.streams)] {
            text.sample("naru_instance_in_progress", &with(labels.clone(), "kind", kind), n);
        }
    }
    text.family(
        "naru_instance_lost_total",
        "counter",
        "Requests and streams that were lost with an instance.",
    );
    for (labels, one) in &all {
        let counts = one.counts.counts;
        for (kind, n) in [("request", counts.requests_lost), ("stream", counts.streams_lost)] {
            text.sample("naru_instance_lost_total", &with(labels.clone(), "kind", kind), n);
        }
    }
    let help = "Requests that were given to another instance, since this one failed before it answered.";
    text.family("naru_instance_handed_over_total", "counter", help);
    for (labels, one) in &all {
        text.sample("naru_instance_handed_over_total", labels, one.counts.counts.handed_over);
    }
    let help = "How often a worker of the edge passed an instance over for a while, since it failed again and again.";
    text.family("naru_instance_ejections_total", "counter", help);
    for (labels, one) in &all {
        text.sample("naru_instance_ejections_total", labels, one.ejections);
    }
    text.family("naru_instance_streams_total", "counter", "Streams that ended by the will of either end.");
    for (labels, one) in &all {
        text.sample("naru_instance_streams_total", labels, one.counts.counts.streams);
    }
    let help = "How long whole answers of an instance took, from its choice to the last byte.";
    let latencies = all.iter().map(|(labels, one)| (labels.clone(), &one.latencies));
    text.histogram("naru_instance_request_duration_seconds", help, latencies);
}

fn labelled<'a>(
    of: (&'a naru_model::InstanceId, &'a InstanceSnapshot),
) -> (Labels<'a>, &'a InstanceSnapshot) {
    let (id, one) = of;
    let made_by = one.made_by.as_ref();
    let said = |what: fn(&naru_model::MadeBy) -> String| made_by.map(what).unwrap_or_default();
    let labels = vec![
        ("instance", id.to_string()),
        ("stack", said(|made_by| made_by.stack.to_string())),
        ("service", said(|made_by| made_by.service.to_string())),
        ("release", said(|made_by| made_by.release.to_string())),
    ];
    (labels, one)
}

fn with<'a>(mut labels: Labels<'a>, name: &'static str, value: &str) -> Labels<'a> {
    labels.push((name, value.into()));
    labels
}

/// The text as it grows.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a text cannot fail, here and below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&'static str, String)], value: impl Display) {
        self.0 += name;
        for (at, (label, said)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for c in said.chars() {
                match c {
                    '\\' => self.0 += "\\\\",
                    '"' => self.0 += "\\\"",
                    '\n' => self.0 += "\\n",
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// What never had a request has no histogram: of a thousand routes, most.
    fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        all: impl Iterator<Item = (Labels<'a>, &'a Latencies)>,
    ) {
        self.family(name, "histogram", help);
        let (bucket, sum, count) = (format!("{name}_bucket"), format!("{name}_sum"), format!("{name}_count"));
        for (labels, latencies) in all.filter(|(_, latencies)| latencies.count() > 0) {
            for power in BOUNDS {
                let bound = 1u64 << power;
                let le = (bound as f64 / 1e6).to_string();
                self.sample(&bucket, &with(labels.clone(), "le", &le), latencies.below(bound));
            }
            self.sample(&bucket, &with(labels.clone(), "le", "+Inf"), latencies.count());
            self.sample(&sum, &labels, latencies.sum as f64 / 1e6);
            self.sample(&count, &labels, latencies.count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text;
    use naru_model::{
        DrainingEdge, EdgeSnapshot, Generation, InstanceSnapshot, Latencies, ListenerSnapshot, LogCounts,
        MadeBy, OwnAnswers, Protocol, ReleaseNo, RuleSnapshot, RuleTally, Time,
    };
    use std::collections::BTreeMap;

    const HOSTILE: &str = "a\"b\\c\nd,e=\"f\"} 1";

    type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

    /// What a strict reader makes of a text: samples by name and labels, and each family's kind. As the format's
    /// description has it, which asks for one HELP and TYPE before all samples of a family, and no sample twice.
    fn read(text: &str) -> (Samples, BTreeMap<String, String>) {
        let (mut samples, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), String::new());
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                helped = rest.split_once(' ').expect("a sentence").0.into();
                continue;
            }
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, helped, "the help comes before the type");
                assert!(kinds.insert(name.to_string(), kind.to_string()).is_none(), "{name} twice");
                continue;
            }
            let (name, labels, value) = sample(line);
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let family = if kinds.contains_key(&name) { &name } else { base.unwrap() };
            assert_eq!(family, helped, "samples of a family stand together");
            assert!(samples.insert((name, labels), value).is_none(), "{line} twice");
        }
        (samples, kinds)
    }

    fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let name: String = line.chars().take_while(is_name).collect();
        assert!(!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        let mut rest = line[name.len()..].chars().peekable();
        let mut labels = BTreeMap::new();
        if rest.next_if_eq(&'{').is_some() {
            loop {
                let label: String = std::iter::from_fn(|| rest.next_if(is_name)).collect();
                assert_eq!((rest.next(), rest.next()), (Some('='), Some('"')), "{line}");
                let mut value = String::new();
                loop {
                    match rest.next().expect(line) {
                        '"' => break,
                        '\\' => value.push(match rest.next() {
                            Some('n') => '\n',
                            Some(c @ ('"' | '\\')) => c,
                            other => panic!("{other:?}: {line}"),
                        }),
                        c => value.push(c),
                    }
                }
                assert!(labels.insert(label, value).is_none(), "{line}");
                match rest.next() {
                    Some(',') => {}
                    Some('}') => break,
                    other => panic!("{other:?}: {line}"),
                }
            }
        }
        assert_eq!(rest.next(), Some(' '), "{line}");
        (name, labels, rest.collect::<String>().parse().expect(line))
    }

    fn latencies() -> Latencies {
        let mut counts = [0; Latencies::BUCKETS];
        [100, 300, 5_000, 60_000_000].iter().for_each(|micros| counts[Latencies::bucket(*micros)] += 1);
        Latencies::new(counts, 60_005_400)
    }

    fn snapshot() -> EdgeSnapshot {
        let tally = RuleTally {
            answers: [1, 0, 2, 0, 1, 0],
            own: vec![OwnAnswers { status: 404, reason: HOSTILE.into(), count: 1 }],
            left: 1,
            latencies: latencies(),
            ..RuleTally::default()
        };
        let rule = RuleSnapshot { name: "api".into(), service: Some("api".into()), tally };
        let listener = ListenerSnapshot {
            name: HOSTILE.into(),
            address: "0.0.0.0:80".into(),
            protocol: Protocol::Http,
            stack: "shop".into(),
            accepted: 3,
            turned_away: 1,
            open: 2,
            draining: 1,
            held: 0,
            rules: vec![
                rule,
                RuleSnapshot { name: "idle".into(), service: None, tally: RuleTally::default() },
            ],
        };
        let made_by = MadeBy { stack: "shop".into(), service: "api".into(), release: ReleaseNo(7) };
        let instance = InstanceSnapshot {
            made_by: Some(made_by),
            answers: [0, 2, 0, 0, 0],
            ejections: 3,
            ..InstanceSnapshot::default()
        };
        EdgeSnapshot {
            node: "node".into(),
            edge: "edge".into(),
            began: Time(1_500),
            at: Time(2_000),
            acked: Generation(4),
            listeners: vec![listener],
            instances: [("shop.api.7.1".into(), instance)].into(),
            access_logs: [("/var/log/a".into(), LogCounts { written: 5, dropped: 6 })].into(),
            draining: vec![DrainingEdge { pid: 7, connections: 1 }],
        }
    }

    #[test]
    fn a_strict_reader_finds_every_count() {
        let (samples, kinds) = read(&text(&snapshot()));
        let value = |name: &str, labels: &[(&str, &str)]| {
            let fits = |of: &BTreeMap<String, String>| {
                labels.iter().all(|(label, value)| of.get(*label).map(String::as_str) == Some(*value))
            };
            let found: Vec<f64> = samples
                .iter()
                .filter(|((n, of), _)| n == name && fits(of))
                .map(|(_, value)| *value)
                .collect();
            assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
            found[0]
        };
        assert_eq!(
            value("naru_requests_total", &[("listener", HOSTILE), ("rule", "api"), ("code", "2xx")]),
            2.0
        );
        assert_eq!(value("naru_requests_total", &[("rule", "idle"), ("service", ""), ("code", "5xx")]), 0.0);
        assert_eq!(value("naru_own_answers_total", &[("status", "404"), ("reason", HOSTILE)]), 1.0);
        assert_eq!(value("naru_instance_requests_total", &[("release", "7"), ("code", "2xx")]), 2.0);
        assert_eq!(value("naru_instance_ejections_total", &[("instance", "shop.api.7.1")]), 3.0);
        assert_eq!(value("naru_access_log_lines_total", &[("result", "dropped")]), 6.0);
        assert_eq!(value("naru_edge_start_time_seconds", &[]), 1.5);
        assert_eq!(value("naru_edges_draining", &[]), 1.0);
        assert_eq!(value("naru_connections_draining", &[("stack", "shop")]), 1.0);
        assert_eq!(kinds["naru_requests_total"], "counter");
        assert_eq!(kinds["naru_request_duration_seconds"], "histogram");
    }

    #[test]
    fn a_histogram_grows_to_its_count() {
        let (samples, _) = read(&text(&snapshot()));
        let all: Vec<(f64, f64)> = samples
            .iter()
            .filter(|((name, _), _)| name == "naru_request_duration_seconds_bucket")
            .map(|((_, labels), n)| (labels["le"].parse().unwrap(), *n))
            .collect();
        let mut sorted = all.clone();
        sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(sorted.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{sorted:?}");
        assert_eq!((sorted[0], sorted[1]), ((0.000256, 1.0), (0.000512, 2.0)));
        assert_eq!(sorted.last(), Some(&(f64::INFINITY, 4.0)));
        let sum = samples.iter().find(|((name, _), _)| name == "naru_request_duration_seconds_sum").unwrap();
        assert_eq!(*sum.1, 60.0054);
    }
}
