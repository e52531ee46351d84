//! `x-naru.traffic` of a service: how its instances are treated, whichever way requests come.

use crate::reader::Reader;
use naru_model::{Policy, Protocol, ProxyVersion, Queue, Span, TargetPort};
use naru_yaml::{Node, Report};

/// Reads the policy of a service with these target ports. What is wrong goes into the report.
pub fn policy(report: &mut Report, service: &str, node: Option<&Node>, ports: &[TargetPort]) -> Policy {
    let mut reader = Reader { report, at: format!("services.{service}.x-naru.traffic") };
    let mut policy = Policy::default();
    let Some(node) = node.filter(|node| node.map().is_some()) else { return policy };
    policy.compress = reader.truth("compress", node.get("compress")).unwrap_or(false);
    connections(&mut reader, node, ports, &mut policy);
    if let Some(queue) = node.get("queue") {
        let mut reader = reader.below("queue");
        let usual = Queue::default();
        policy.queue = Queue {
            max: reader.whole("max", queue.get("max"), 0..=1_000_000).map_or(usual.max, |max| max as u32),
            time: reader.span("time", queue.get("time")).unwrap_or(usual.time),
        };
    }
    policy
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
