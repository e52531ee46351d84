//! `x-naru.traffic` of a service: how its instances are treated, whichever way requests come.

use crate::reader::Reader;
use naru_model::{
    Balance, Ejection, HashKey, OwnZone, Policy, Protocol, ProxyVersion, Queue, Retry, Span, Sticky,
    StickyTo, TargetPort,
};
use naru_yaml::{Node, Report};

/// Ways of balancing that have no more to them.
const WAYS: &str = "least-loaded, round-robin, hash:source, hash:path, hash:header:NAME, hash:cookie:NAME";

/// Reads the policy of a service with these target ports. What is wrong goes into the report.
pub fn policy(report: &mut Report, service: &str, node: Option<&Node>, ports: &[TargetPort]) -> Policy {
    let mut reader = Reader { report, at: format!("services.{service}.x-naru.traffic") };
    let usual = Policy::default();
    let Some(node) = node.filter(|node| node.map().is_some()) else { return usual };
    let most = reader.whole("max_in_progress", node.get("max_in_progress"), 1..=1_000_000);
    let mut policy = Policy {
        balance: balance(&mut reader, node.get("balance")),
        sticky: node.get("sticky").and_then(|sticky| self::sticky(&mut reader, service, sticky)),
        zone: node.get("zone").and_then(|zone| own_zone(&mut reader, zone)),
        slow_start: reader.span("slow_start", node.get("slow_start")).unwrap_or(usual.slow_start),
        ejection: ejection(&mut reader, node.get("ejection")),
        retry: retry(&mut reader, node.get("retry")),
        queue: queue(&mut reader, node.get("queue")),
        max_in_progress: most.map(|most| most as u32),
        response_timeout: some_time(&mut reader, "response_timeout", node.get("response_timeout")),
        compress: reader.truth("compress", node.get("compress")).unwrap_or(false),
        ..usual
    };
    connections(&mut reader, node, ports, &mut policy);
    policy
}

/// A duration that is not none at all.
fn some_time(reader: &mut Reader<'_>, key: &str, node: Option<&Node>) -> Option<Span> {
    let span = reader.span(key, node)?;
    if let Some(zero) = node.filter(|_| span.0 == 0) {
        reader.error(zero.pos, format!("{key} is no time at all"), "write 10s, or remove it");
        return None;
    }
    Some(span)
}

fn balance(reader: &mut Reader<'_>, node: Option<&Node>) -> Balance {
    let Some((node, text)) = node.zip(reader.text("balance", node)) else { return Balance::default() };
    match text.split_once(':').map(|(way, key)| (way, key.split_once(':'), key)) {
        None if text == "least-loaded" => return Balance::LeastLoaded,
        None if text == "round-robin" => return Balance::RoundRobin,
        Some(("hash", None, "source")) => return Balance::Hash(HashKey::Source),
        Some(("hash", None, "path")) => return Balance::Hash(HashKey::Path),
        Some(("hash", Some(("header", name)), _)) => {
            let name = reader.field_name("balance", name, node.pos).unwrap_or_default();
            return Balance::Hash(HashKey::Header(name.to_ascii_lowercase()));
        }
        Some(("hash", Some(("cookie", name)), _)) => {
            return Balance::Hash(HashKey::Cookie(
                reader.cookie_name("balance", name, node.pos).unwrap_or_default(),
            ));
        }
        _ => {}
    }
    reader.error(node.pos, format!("balance: {text} is not one of {WAYS}"), "write one of them");
    Balance::default()
}

fn sticky(reader: &mut Reader<'_>, service: &str, node: &Node) -> Option<Sticky> {
    const TO: &[(&str, StickyTo)] = &[("version", StickyTo::Version), ("session", StickyTo::Session)];
    // Services behind one name share their clients' cookies: each needs its own.
    let cookie = format!("naru-{service}");
    if node.map().is_none() {
        let to = reader.word("sticky", Some(node), TO)?;
        return Some(Sticky { to, cookie, header: None, max_age: None, keep: Sticky::usual_keep() });
    }
    let mut reader = reader.below("sticky");
    if node.get("to").is_none() {
        reader.wrong(node.pos, "does not say to what", "add to: version, or to: session");
    }
    let to = reader.word("to", node.get("to"), TO);
    let own = node.get("cookie").and_then(|at| Some((reader.text("cookie", Some(at))?, at.pos)));
    let own = own.and_then(|(name, pos)| reader.cookie_name("cookie", &name, pos));
    let header = node.get("header").and_then(|at| Some((reader.text("header", Some(at))?, at.pos)));
    let header = header.and_then(|(name, pos)| reader.field_name("header", &name, pos));
    let max_age = some_time(&mut reader, "max_age", node.get("max_age"));
    let keep = reader.span("keep", node.get("keep"));
    if let Some(useless) = node.get("keep").filter(|_| to == Some(StickyTo::Session)) {
        let what = "keep is for releases, and clients stay on their instance here";
        reader.error(useless.key, what, "remove it, or write to: version");
    }
    let keep = keep.unwrap_or(Sticky::usual_keep());
    Some(Sticky { to: to?, cookie: own.unwrap_or(cookie), header, max_age, keep })
}

fn own_zone(reader: &mut Reader<'_>, node: &Node) -> Option<OwnZone> {
    if node.map().is_none() {
        return reader.word("zone", Some(node), &[("own", OwnZone::default())]);
    }
    let mut reader = reader.below("zone");
    let enough = reader.whole("enough", node.get("enough"), 0..=100);
    Some(enough.map_or(OwnZone::default(), |percent| OwnZone { enough: percent as u32 }))
}

fn ejection(reader: &mut Reader<'_>, node: Option<&Node>) -> Ejection {
    let usual = Ejection::default();
    let Some(node) = node else { return usual };
    let mut reader = reader.below("ejection");
    let failures = reader.whole("failures", node.get("failures"), 0..=1000);
    let at_most = reader.whole("at_most", node.get("at_most"), 0..=100);
    Ejection {
        failures: failures.map_or(usual.failures, |failures| failures as u32),
        pause: some_time(&mut reader, "pause", node.get("pause")).unwrap_or(usual.pause),
        at_most: at_most.map_or(usual.at_most, |percent| percent as u32),
    }
}

fn retry(reader: &mut Reader<'_>, node: Option<&Node>) -> Retry {
    let usual = Retry::default();
    let Some(node) = node else { return usual };
    let mut reader = reader.below("retry");
    let tries = reader.whole("tries", node.get("tries"), 1..=10);
    let budget = reader.whole("budget", node.get("budget"), 0..=100);
    let list = node.get("statuses").map(|all| all.list().map_or(vec![all], |items| items.iter().collect()));
    // Others are answers that asking again does not better.
    let status = |one: &Node| reader.whole("statuses", Some(one), 400..=599).map(|status| status as u16);
    Retry {
        tries: tries.map_or(usual.tries, |tries| tries as u32),
        budget: budget.map_or(usual.budget, |percent| percent as u32),
        statuses: list.into_iter().flatten().filter_map(status).collect(),
    }
}

fn queue(reader: &mut Reader<'_>, node: Option<&Node>) -> Queue {
    let usual = Queue::default();
    let Some(node) = node else { return usual };
    let mut reader = reader.below("queue");
    Queue {
        max: reader.whole("max", node.get("max"), 0..=1_000_000).map_or(usual.max, |max| max as u32),
        time: reader.span("time", node.get("time")).unwrap_or(usual.time),
    }
}

/// What concerns streams and connections as a whole.
fn connections(reader: &mut Reader<'_>, node: &Node, ports: &[TargetPort], policy: &mut Policy) {
    policy.stream_drain = reader.span("stream_drain", node.get("stream_drain"));
    policy.idle_timeout = reader.span("idle_timeout", node.get("idle_timeout"));
    if let Some(idle) = node.get("idle_timeout").filter(|_| policy.idle_timeout == Some(Span(0))) {
        reader.error(idle.pos, "idle_timeout must be longer than nothing", "write 350s, or leave it out");
    }
    let speaks = |protocol| ports.iter().any(|port| port.protocol == protocol);
    if let Some(idle) = node.get("idle_timeout").filter(|_| !speaks(Protocol::Tcp) && !speaks(Protocol::Udp))
    {
        let what = "idle_timeout is for TCP and UDP, and no port of this service speaks them";
        reader.error(idle.key, what, "remove it, or write app_protocol: tcp at a port");
    }
    let versions = [("v1", ProxyVersion::V1), ("v2", ProxyVersion::V2)];
    policy.send_proxy = reader.word("send_proxy", node.get("send_proxy"), &versions);
    if let Some(send) = node.get("send_proxy").filter(|_| !speaks(Protocol::Tcp)) {
        let what = "send_proxy is for TCP, and no port of this service speaks it";
        let advice = "an instance that speaks HTTP finds its client in X-Forwarded-For: remove it, or write \
                      app_protocol: tcp at a port";
        reader.error(send.key, what, advice);
    }
}
