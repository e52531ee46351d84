//! The file that says what things cost: `prices.yaml` in NARU_HOME, of the user's own making.
//!
//! ```yaml
//! currency: USD
//! types:                       # machines of clouds, an hour while they run
//!   m7i.large: 0.1008
//! disk: 0.011                  # an hour of a machine's disks, whether it runs or not
//! machines:                    # by the name of a node or an asset: what differs from the above
//!   host-1: { hour: 0.25 }
//!   gpu-a: { hour: 1.006, disk: 0.03 }
//! ```

use crate::money::Micros;
use naru_yaml::{Errors, Node, Report, nearest, parse};
use std::collections::BTreeMap;

/// The file's name in NARU_HOME.
pub const FILE: &str = "prices.yaml";

/// More machines and types than anybody lists by hand.
const MOST: usize = 10_000;

/// What a machine costs an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// While it runs.
    pub hour: Option<Micros>,
    /// Beside that, whether it runs or not.
    pub disk: Option<Micros>,
}

/// All prices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// In which currency; shown as it is written.
    pub currency: Option<String>,
    /// An hour of machines of a type.
    pub types: BTreeMap<String, Micros>,
    /// An hour of a machine's disks.
    pub disk: Option<Micros>,
    /// What single machines cost.
    pub machines: BTreeMap<String, Rate>,
}

impl Prices {
    /// What a machine costs: as its own name says, else as its type does. Disks cost only where there is a price for the machine.
    pub fn rate(&self, name: &str, kind: Option<&str>) -> Rate {
        let own = self.machines.get(name).copied().unwrap_or_default();
        let hour = own.hour.or_else(|| self.types.get(kind?).copied());
        // A machine of one's own has disks, too, and nobody is paid for them by the hour.
        let disk = own.disk.or(self.disk.filter(|_| kind.is_some()));
        Rate { hour, disk }
    }
}

/// The prices of a file.
///
/// # Errors
/// All that is wrong in it, each with its place.
pub fn read(path: &str, text: &str) -> Result<Prices, Errors> {
    let mut report = Report::default();
    let source = report.add_source(path, text);
    let documents = parse(&mut report, source, text);
    let mut prices = Prices::default();
    for document in &documents {
        top(&mut report, &document.root, &mut prices);
    }
    let (errors, warnings) = report.finish();
    if errors.is_empty() { Ok(prices) } else { Err(Errors { errors, warnings }) }
}

fn top(report: &mut Report, root: &Node, prices: &mut Prices) {
    if root.is_null() || !is_map(report, root, "the file") {
        return;
    }
    known_keys(report, root, &["currency", "types", "disk", "machines"]);
    if let Some(node) = root.get("currency") {
        let word = node.scalar().filter(|word| (1..=8).contains(&word.chars().count()));
        if word.is_none() {
            let what = format!("{} is no currency", node.shown());
            report.error_advised(node.pos, what, "write a short word, as USD or KRW");
        }
        prices.currency = word;
    }
    prices.disk = root.get("disk").and_then(|node| amount(report, node));
    for (name, node) in entries(report, root, "types") {
        if let Some(amount) = amount(report, node) {
            prices.types.insert(name.clone(), amount);
        }
    }
    for (name, node) in entries(report, root, "machines") {
        if !is_map(report, node, name) {
            continue;
        }
        known_keys(report, node, &["hour", "disk"]);
        let mut of = |key: &str| node.get(key).and_then(|node| amount(report, node));
        let rate = Rate { hour: of("hour"), disk: of("disk") };
        prices.machines.insert(name.clone(), rate);
    }
}

fn entries<'a>(report: &mut Report, root: &'a Node, key: &str) -> Vec<(&'a String, &'a Node)> {
    let Some(node) = root.get(key).filter(|node| !node.is_null()) else { return vec![] };
    if !is_map(report, node, key) {
        return vec![];
    }
    let all: Vec<_> = node.entries().collect();
    if all.len() > MOST {
        let what = format!("{key} has {} entries, and {MOST} are the most", all.len());
        report.error_advised(node.key, what, "list what there is, and no more");
        return vec![];
    }
    all
}

fn amount(report: &mut Report, node: &Node) -> Option<Micros> {
    let read = node.scalar().ok_or_else(|| format!("{} is no amount", node.shown()));
    match read.and_then(|text| text.parse()) {
        Ok(amount) => Some(amount),
        Err(what) => {
            report.error_advised(node.pos, what, "write what an hour costs, as 0.1008, without a currency");
            None
        }
    }
}

fn is_map(report: &mut Report, node: &Node, what: &str) -> bool {
    if node.map().is_some() {
        return true;
    }
    let said = format!("{what} is {}, and is to have keys", node.shown());
    report.error_advised(node.pos, said, "write a key and a value, as m7i.large: 0.1008");
    false
}

fn known_keys(report: &mut Report, node: &Node, known: &[&str]) {
    for (key, value) in node.entries() {
        if known.contains(&key.as_str()) {
            continue;
        }
        let near = nearest(key, known.iter().copied());
        let advice = near.unwrap_or_else(|| format!("the keys here are: {}", known.join(", ")));
        report.error_advised(value.key, format!("{key} is not a key that Naru knows"), advice);
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, read};
    use crate::money::Micros;

    #[test]
    fn a_machine_costs_what_its_name_says_or_its_type() {
        let text = "currency: USD\ntypes: { m7i.large: 0.1008 }\ndisk: 0.01\nmachines:\n  host-1: { hour: \"0.25\" }\n  gpu-a: { disk: 0.03 }\n";
        let prices = read("prices.yaml", text).unwrap();
        let rate =
            |hour: Option<u64>, disk: Option<u64>| Rate { hour: hour.map(Micros), disk: disk.map(Micros) };
        assert_eq!(prices.rate("host-1", None), rate(Some(250_000), None));
        assert_eq!(prices.rate("gpu-a", Some("m7i.large")), rate(Some(100_800), Some(30_000)));
        assert_eq!(prices.rate("gpu-b", Some("m7i.large")), rate(Some(100_800), Some(10_000)));
        assert_eq!(prices.rate("host-2", None), rate(None, None));
        assert_eq!(read("prices.yaml", "").unwrap(), super::Prices::default());
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let text = "currency: \"dollars of the south\"\ntype: { a: 1 }\ntypes: { a: 1.-, b: { c: 1 } }\nmachines: { x: 3, y: { hours: 1 } }\n";
        let errors = read("prices.yaml", text).unwrap_err().to_string();
        for place in [
            "prices.yaml:1:11",
            "prices.yaml:2:1",
            "prices.yaml:3:13",
            "prices.yaml:3:21",
            "prices.yaml:4:16",
            "prices.yaml:4:24",
        ] {
            assert!(errors.contains(place), "{place}: {errors}");
        }
        assert!(errors.contains("did you mean types?"), "{errors}");
    }
}
