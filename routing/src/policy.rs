//! `x-naru.traffic` of a service: how its instances are treated, whichever way requests come.

use crate::reader::Reader;
use naru_model::{Policy, Queue};
use naru_yaml::{Node, Report};

/// Reads the policy of a service. What is wrong goes into the report.
pub fn policy(report: &mut Report, service: &str, node: Option<&Node>) -> Policy {
    let mut reader = Reader { report, at: format!("services.{service}.x-naru.traffic") };
    let mut policy = Policy::default();
    let Some(node) = node.filter(|node| node.map().is_some()) else { return policy };
    policy.compress = reader.truth("compress", node.get("compress")).unwrap_or(false);
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
