//! What EC2 says, as the model has it.

use crate::refusal::refusal;
use crate::xml::Element;
use jiff::Timestamp;
use jiff::fmt::strtime;
use naru_model::{CloudRefusal, Machine, MachineState, Time};
use std::collections::BTreeMap;

/// The machines of an answer of DescribeInstances, and where the next page begins.
pub fn machines(answer: &Element) -> (Vec<Machine>, Option<String>) {
    let reservations = answer.items("reservationSet");
    let machines = reservations.flat_map(|reservation| reservation.items("instancesSet")).filter_map(machine);
    (machines.collect(), next_page(answer))
}

/// The health of machines, of an answer of DescribeInstanceStatus.
pub fn health(answer: &Element) -> (Vec<(String, String)>, Option<String>) {
    let one = |item: &Element| {
        let parts =
            [["instanceStatus", "status"], ["systemStatus", "status"]].map(|path| item.text_at(&path));
        let worst =
            parts.into_iter().flatten().max_by_key(|word| !matches!(*word, "ok" | "not-applicable"))?;
        Some((item.text_at(&["instanceId"])?.to_string(), worst.to_string()))
    };
    (answer.items("instanceStatusSet").filter_map(one).collect(), next_page(answer))
}

/// What a cloud's no says; `None` where it is none.
pub fn error(answer: &Element) -> Option<CloudRefusal> {
    // EC2's own form, and that of its neighbours.
    let error = answer.at(&["Errors", "Error"]).or_else(|| answer.child("Error"))?;
    Some(refusal(error.text_at(&["Code"])?, error.text_at(&["Message"]).unwrap_or_default()))
}

fn next_page(answer: &Element) -> Option<String> {
    answer.text_at(&["nextToken"]).map(str::to_string)
}

/// `None` for one in a state that no machine can be in.
fn machine(item: &Element) -> Option<Machine> {
    let text = |path: &[&str]| item.text_at(path).map(str::to_string);
    let tags: BTreeMap<String, String> = item
        .items("tagSet")
        .filter_map(|tag| {
            Some((tag.text_at(&["key"])?.into(), tag.text_at(&["value"]).unwrap_or_default().into()))
        })
        .collect();
    let transition = text(&["reason"]);
    Some(Machine {
        id: text(&["instanceId"])?,
        state: MachineState::named(item.text_at(&["instanceState", "name"])?)?,
        kind: text(&["instanceType"]).unwrap_or_default(),
        zone: text(&["placement", "availabilityZone"]).unwrap_or_default(),
        tags,
        launched: item.text_at(&["launchTime"]).and_then(stamp),
        changed: transition.as_deref().and_then(in_brackets),
        reason: text(&["stateReason", "message"]).or(transition),
        health: None,
    })
}

fn stamp(text: &str) -> Option<Time> {
    let at: Timestamp = text.parse().ok()?;
    Some(Time(u64::try_from(at.as_millisecond()).ok()?))
}

/// `User initiated (2026-11-26 10:00:00 GMT)`.
fn in_brackets(text: &str) -> Option<Time> {
    let inner = text.rsplit_once('(')?.1.strip_suffix(')')?;
    let plain = inner.strip_suffix(" GMT").or_else(|| inner.strip_suffix(" UTC"))?;
    let civil = strtime::parse("%Y-%m-%d %H:%M:%S", plain).ok()?.to_datetime().ok()?;
    let at = civil.in_tz("UTC").ok()?.timestamp();
    Some(Time(u64::try_from(at.as_millisecond()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{error, health, machines};
    use crate::xml::read;
    use naru_model::{MachineState, RefusalKind};

    const PAGE: &str = r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>x</requestId>
<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId>
<instanceState><code>80</code><name>stopped</name></instanceState><instanceType>m7i.large</instanceType>
<launchTime>2026-11-26T01:02:03.000Z</launchTime><placement><availabilityZone>ap-northeast-2a</availabilityZone></placement>
<reason>User initiated (2026-11-26 10:00:00 GMT)</reason><stateReason><code>Client.UserInitiatedShutdown</code>
<message>Client.UserInitiatedShutdown: User initiated shutdown</message></stateReason>
<tagSet><item><key>Name</key><value>gpu &amp; co</value></item><item><key>naru</key><value/></item></tagSet></item>
<item><instanceId>i-2</instanceId><instanceState><name>dreaming</name></instanceState></item></instancesSet></item></reservationSet>
<nextToken>more</nextToken></DescribeInstancesResponse>"#;

    #[test]
    fn a_page_of_machines_is_read() {
        let (found, next) = machines(&read(PAGE).unwrap());
        let [machine] = found.try_into().unwrap();
        assert_eq!((machine.id.as_str(), machine.state), ("i-1", MachineState::Stopped));
        assert_eq!(machine.tags["Name"], "gpu & co");
        assert_eq!(machine.tags["naru"], "");
        assert_eq!(machine.launched.unwrap().utc(), "2026-11-26 01:02:03 UTC");
        assert_eq!(machine.changed.unwrap().utc(), "2026-11-26 10:00:00 UTC");
        assert!(machine.reason.unwrap().starts_with("Client.UserInitiatedShutdown"));
        assert_eq!(next.as_deref(), Some("more"));
    }

    #[test]
    fn the_worse_of_two_checks_is_told() {
        let text = "<r><instanceStatusSet><item><instanceId>i-1</instanceId><instanceStatus><status>ok</status></instanceStatus>\
                    <systemStatus><status>impaired</status></systemStatus></item></instanceStatusSet></r>";
        assert_eq!(health(&read(text).unwrap()).0, [("i-1".to_string(), "impaired".to_string())]);
    }

    #[test]
    fn errors_are_found_in_both_forms() {
        for text in [
            "<Response><Errors><Error><Code>RequestExpired</Code><Message>x</Message></Error></Errors></Response>",
            "<ErrorResponse><Error><Code>RequestExpired</Code></Error></ErrorResponse>",
        ] {
            assert_eq!(error(&read(text).unwrap()).unwrap().kind, RefusalKind::Clock);
        }
        assert_eq!(error(&read("<html/>").unwrap()), None);
    }
}
