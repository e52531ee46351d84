//! What is said of work: `x-naru.work`, and the calls and signals by which an instance is asked and told.

use crate::ports;
use crate::read::Reader;
use naru_model::{Action, AtLimit, HttpCall, QuietCall, TargetPort, WorkPolicy};
use naru_yaml::{Node, units};

pub(crate) fn work_policy(reader: &mut Reader<'_>, work: Option<&Node>) -> WorkPolicy {
    let get = |key: &str| work.and_then(|work| work.get(key));
    let words = [("wait", AtLimit::Wait), ("cut", AtLimit::Cut)];
    let at_limit = reader.word("x-naru.work.at_limit", get("at_limit"), &words).unwrap_or(AtLimit::Wait);
    let postpone_max = reader.span("x-naru.work.postpone_max", get("postpone_max"));
    if let Some(node) = get("at_limit").filter(|_| postpone_max.is_none() && at_limit == AtLimit::Cut) {
        let what = "x-naru.work.at_limit says what follows postpone_max, which is not written";
        reader.lack(node.key, what, "add postpone_max: 12h");
    }
    WorkPolicy { postpone_max, at_limit }
}

pub(crate) fn busy(reader: &mut Reader<'_>, work: Option<&Node>, targets: &[TargetPort]) -> Option<Action> {
    let node = work?.get("busy")?;
    action(reader, "x-naru.work.busy", node, targets)
}

pub(crate) fn quiet(
    reader: &mut Reader<'_>,
    work: Option<&Node>,
    service: &Node,
    targets: &[TargetPort],
) -> Option<QuietCall> {
    let node = work?.get("quiet")?;
    let Some(by_signal) = node.get("signal") else {
        return action(reader, "x-naru.work.quiet", node, targets).map(QuietCall::Call);
    };
    if let Some(other) = node.get("http").or_else(|| node.get("command")) {
        reader.error(other.key, "x-naru.work.quiet has two ways to tell", "keep one of them");
    }
    signal(reader, "x-naru.work.quiet.signal", Some(by_signal), service).map(QuietCall::Signal)
}

/// A signal by name or number. A container's is its engine's to judge.
pub(crate) fn signal(
    reader: &mut Reader<'_>,
    key: &str,
    node: Option<&Node>,
    service: &Node,
) -> Option<String> {
    let node = node?;
    let text = node.scalar()?;
    if service.at(&["x-naru", "process"]).is_some() && !units::is_signal(&text) {
        let what = format!("{key}: {} is no signal", node.shown());
        reader.error(node.pos, what, "write a name as SIGTERM or TERM, or a number from 1 to 64");
        return None;
    }
    Some(text)
}

/// `{http, port}`, `{command}`, or a command by itself.
fn action(reader: &mut Reader<'_>, key: &str, node: &Node, targets: &[TargetPort]) -> Option<Action> {
    if node.map().is_none() {
        return reader.command(key, node).map(Action::Command);
    }
    match (node.get("http"), node.get("command")) {
        (Some(_), None) => http_call(reader, key, node, targets).map(Action::Http),
        (None, Some(command)) => reader.command(&format!("{key}.command"), command).map(Action::Command),
        (Some(http), Some(_)) => {
            reader.error(http.key, format!("{key} has both http and command"), "keep one of them");
            None
        }
        (None, None) => {
            reader.lack(
                node.key,
                format!("{key} does not say whom to ask"),
                "add http: /path, or command: […]",
            );
            None
        }
    }
}

/// `http` and `port` below `node`, which has `http`.
pub(crate) fn http_call(
    reader: &mut Reader<'_>,
    key: &str,
    node: &Node,
    targets: &[TargetPort],
) -> Option<HttpCall> {
    let http = node.get("http")?;
    let path = http.str().unwrap_or_default().to_string();
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        let what = format!("{key}.http must be a path, not {}", http.shown());
        reader.error(http.pos, what, "write it with its leading slash: /healthz");
        return None;
    }
    let port = ports::target(reader, &format!("{key}.port"), node.get("port"), targets);
    if targets.is_empty() && port.is_none() {
        let what = format!("{key}.http asks a port, and the service has none");
        reader.lack(http.pos, what, "add ports or expose");
    }
    Some(HttpCall { path, port })
}
