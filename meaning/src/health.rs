//! How one knows that an instance can serve: `x-naru.health`, else the specification's `healthcheck`.

use crate::ports;
use crate::read::Reader;
use crate::work::http_call;
use naru_model::{Check, Health, Process, Span, TargetPort};
use naru_yaml::{Node, Value};

/// The service's health check; `None` where it has none, or says that it wants none.
pub(crate) fn health(reader: &mut Reader<'_>, node: &Node, targets: &[TargetPort]) -> Option<Health> {
    if let Some(own) = node.at(&["x-naru", "health"]) {
        let check = own_check(reader, own, targets)?;
        let defaults = Times {
            interval: Span::secs(2),
            timeout: Span::secs(5),
            start_period: Span::ZERO,
            start_interval: Span(100),
        };
        return Some(with_times(reader, "x-naru.health", own, check, defaults));
    }
    let written = node.get("healthcheck")?;
    let check = written_check(reader, written)?;
    let defaults = Times {
        interval: Span::secs(30),
        timeout: Span::secs(30),
        start_period: Span::ZERO,
        start_interval: Span::secs(5),
    };
    Some(with_times(reader, "healthcheck", written, check, defaults))
}

/// What stands where the file says nothing.
struct Times {
    interval: Span,
    timeout: Span,
    start_period: Span,
    start_interval: Span,
}

/// More would never be reached.
const MOST_RETRIES: u64 = 1_000_000;

fn with_times(reader: &mut Reader<'_>, key: &str, node: &Node, check: Check, defaults: Times) -> Health {
    let mut span = |name: &str, default: Span| {
        let read = reader.span(&format!("{key}.{name}"), node.get(name));
        // Zero means the default, as it does for the container engines.
        read.filter(|span| *span != Span::ZERO).unwrap_or(default)
    };
    let interval = span("interval", defaults.interval);
    let timeout = span("timeout", defaults.timeout);
    let start_period = span("start_period", defaults.start_period);
    let start_interval = span("start_interval", defaults.start_interval);
    let retries = reader.whole(&format!("{key}.retries"), node.get("retries"), 0, MOST_RETRIES);
    let retries = retries.filter(|retries| *retries > 0).and_then(|retries| u32::try_from(retries).ok());
    Health { check, interval, timeout, retries: retries.unwrap_or(3), start_period, start_interval }
}

fn own_check(reader: &mut Reader<'_>, node: &Node, targets: &[TargetPort]) -> Option<Check> {
    let written: Vec<&Node> = ["http", "tcp", "command"].iter().filter_map(|key| node.get(key)).collect();
    match written.as_slice() {
        [_] => {}
        [] => {
            let what = "x-naru.health does not say what to ask";
            reader.lack(node.key, what, "add one of http: /path, tcp: PORT, command: […]");
            return None;
        }
        [_, second, ..] => {
            reader.error(second.key, "x-naru.health has two of http, tcp, command", "keep one of them");
            return None;
        }
    }
    if let Some(port) = node.get("port").filter(|_| node.get("http").is_none()) {
        reader.error(port.key, "x-naru.health.port goes with http only", "remove it");
    }
    if let Some(command) = node.get("command") {
        return reader.command("x-naru.health.command", command).map(Check::Command);
    }
    if let Some(tcp) = node.get("tcp") {
        let port = ports::target(reader, "x-naru.health.tcp", Some(tcp), targets)?;
        return Some(Check::Tcp { port: Some(port) });
    }
    http_call(reader, "x-naru.health", node, targets).map(Check::Http)
}

fn written_check(reader: &mut Reader<'_>, node: &Node) -> Option<Check> {
    if matches!(node.get("disable").map(|node| &node.value), Some(Value::Bool(true))) {
        return None;
    }
    let test = node.get("test")?;
    let words: Vec<String> = test.items().iter().filter_map(Node::scalar).collect();
    let (kind, rest) = words.split_first()?;
    match (kind.as_str(), rest) {
        ("NONE", _) => None,
        (_, []) => {
            reader.error(test.pos, "healthcheck.test names no command", "write [CMD, program, argument]");
            None
        }
        ("CMD-SHELL", rest) => {
            let command = vec!["/bin/sh".into(), "-c".into(), rest.join(" ")];
            Some(Check::Command(Process { command }))
        }
        (_, rest) => Some(Check::Command(Process { command: rest.to_vec() })),
    }
}
