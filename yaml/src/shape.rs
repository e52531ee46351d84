//! What the files of NARU_HOME have in common: mappings with known keys, whose values are texts, durations and numbers.

use crate::units;
use crate::{Node, Report, nearest};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Says which keys of a mapping nobody knows.
pub fn known_keys(report: &mut Report, node: &Node, known: &[&str]) {
    for (key, value) in node.entries() {
        if !known.contains(&key.as_str()) && !key.starts_with("x-") {
            let near = nearest(key, known.iter().copied());
            let advice = near.unwrap_or_else(|| format!("the keys here are: {}", known.join(", ")));
            report.error_advised(value.key, format!("{key} is not a key that Naru knows"), advice);
        }
    }
}

/// Whether it is a mapping; says so if it is not.
pub fn is_map(report: &mut Report, node: &Node, what: &str) -> bool {
    let is = node.map().is_some();
    if !is {
        let what = format!("{what} must be a mapping, not {}", node.shown());
        report.error_advised(node.pos, what, "write key: value");
    }
    is
}

/// The mapping below a key; `None` where there is nothing, or something else, which is said.
pub fn map<'a>(report: &mut Report, node: &'a Node, key: &str) -> Option<&'a Node> {
    let below = node.get(key).filter(|below| !below.is_null())?;
    is_map(report, below, key).then_some(below)
}

/// The text below a key, of one line.
pub fn text(report: &mut Report, node: &Node, key: &str) -> Option<String> {
    let node = node.get(key)?;
    let text = node.scalar().filter(|text| !text.is_empty() && !text.contains(|c: char| c.is_control()));
    if text.is_none() {
        let what = format!("{key} must be a text of one line, not {}", node.shown());
        report.error_advised(node.pos, what, "write a text");
    }
    text
}

/// The text below a key that has to be there.
pub fn needed(report: &mut Report, node: &Node, key: &str, advice: &str) -> String {
    if node.get(key).is_none() {
        report.error_advised(node.key, format!("{key} is missing"), advice);
    }
    text(report, node, key).unwrap_or_default()
}

/// The texts below a key: one, or a list of them.
pub fn texts(report: &mut Report, node: &Node, key: &str) -> Vec<String> {
    let Some(below) = node.get(key).filter(|below| !below.is_null()) else { return vec![] };
    let nodes = below.list().unwrap_or(std::slice::from_ref(below));
    let mut all = vec![];
    for node in nodes {
        match node.scalar().filter(|text| !text.is_empty() && !text.contains(|c: char| c.is_control())) {
            Some(text) => all.push(text),
            None => {
                let what = format!("{key} must be a text or a list of them, not {}", node.shown());
                report.error_advised(node.pos, what, "write a text");
            }
        }
    }
    all
}

/// The duration below a key, within bounds.
pub fn duration(
    report: &mut Report,
    node: &Node,
    key: &str,
    default: Duration,
    within: RangeInclusive<Duration>,
) -> Duration {
    let Some(below) = node.get(key) else { return default };
    let nanos =
        below.scalar().and_then(|text| units::duration(&text)).and_then(|nanos| nanos.try_into().ok());
    match nanos.map(Duration::from_nanos).filter(|duration| within.contains(duration)) {
        Some(duration) => duration,
        None => {
            let shown = |duration: &Duration| {
                units::print_duration(duration.as_nanos().try_into().unwrap_or(i64::MAX))
            };
            let what = format!("{key} must be a duration, not {}", below.shown());
            let advice = format!("write {} to {}", shown(within.start()), shown(within.end()));
            report.error_advised(below.pos, what, advice);
            default
        }
    }
}

/// The whole number below a key, within bounds.
pub fn number(
    report: &mut Report,
    node: &Node,
    key: &str,
    default: usize,
    within: RangeInclusive<usize>,
) -> usize {
    let Some(below) = node.get(key) else { return default };
    match below.scalar().and_then(|text| text.parse().ok()).filter(|number| within.contains(number)) {
        Some(number) => number,
        None => {
            let what = format!("{key} must be a whole number, not {}", below.shown());
            report.error_advised(below.pos, what, format!("write {} to {}", within.start(), within.end()));
            default
        }
    }
}
