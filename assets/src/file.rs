//! The file that says where assets come from: `assets.yaml` in NARU_HOME.
//!
//! ```yaml
//! providers:
//!   seoul:
//!     type: ec2
//!     region: ap-northeast-2
//!     profile: ops
//!     tags: { naru: [web, batch] }
//!     group: naru-group
//!     names: { i-0123456789abcdef0: gpu }
//!     power: { off: "Mon-Fri 20:00-08:00, Sat, Sun", timezone: Asia/Seoul }
//! ```
//!
//! Tags are not optional: only what somebody marked for it is ever shown, started or stopped.

use crate::power::{Power, power};
use naru_model::AssetName;
use naru_schedule::Sources;
use naru_yaml::shape::{is_map, known_keys, text};
use naru_yaml::{Errors, Node, Report, Value, parse};
use std::collections::BTreeMap;

/// The file's name in NARU_HOME.
pub const FILE: &str = "assets.yaml";

/// A cloud, and which of its machines are assets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name in the file: the first part of its assets' ids.
    pub name: String,
    /// What answers there.
    pub kind: Kind,
    /// Where. `None`: by the environment, as AWS's own tools do.
    pub region: Option<String>,
    /// The address of the API, instead of the region's.
    pub endpoint: Option<String>,
    /// Whose credentials, from the shared files. `None`: by the environment.
    pub profile: Option<String>,
    /// A machine is an asset if it has each of these tags with one of the values.
    pub tags: BTreeMap<String, Vec<String>>,
    /// The tag by which machines stand in for one another.
    pub group: Option<String>,
    /// Names for machines, by the cloud's names of them.
    pub names: BTreeMap<String, AssetName>,
    /// When its machines are off.
    pub power: Power,
}

/// A kind of cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The EC2 Query API.
    Ec2,
}

impl Kind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ec2 => "ec2",
        }
    }
}

/// The keys of a provider.
const KEYS: [&str; 8] = ["type", "region", "endpoint", "profile", "tags", "group", "names", "power"];

/// EC2 takes 200 values in a filter, and 50 tags are on a machine at most.
const TAGS_MAX: usize = 50;
const VALUES_MAX: usize = 200;

/// More clouds than anybody looks at from one place.
const PROVIDERS_MAX: usize = 64;

/// The providers of a file, in the order of their names. Calendars that it names are read from `sources`.
///
/// # Errors
/// All that is wrong in it, each with its place.
pub fn read(path: &str, text: &str, sources: &dyn Sources) -> Result<Vec<Provider>, Errors> {
    let mut report = Report::default();
    let source = report.add_source(path, text);
    let documents = parse(&mut report, source, text);
    let mut providers = BTreeMap::new();
    for document in &documents {
        top(&mut report, &document.root, sources, &mut providers);
    }
    let (errors, warnings) = report.finish();
    if errors.is_empty() {
        return Ok(providers.into_values().collect());
    }
    Err(Errors { errors, warnings })
}

fn top(report: &mut Report, root: &Node, sources: &dyn Sources, into: &mut BTreeMap<String, Provider>) {
    if root.is_null() {
        return;
    }
    if !is_map(report, root, "the file") {
        return;
    }
    known_keys(report, root, &["providers"]);
    let Some(providers) = root.get("providers") else { return };
    if providers.is_null() || !is_map(report, providers, "providers") {
        return;
    }
    for (name, node) in providers.entries() {
        if into.len() >= PROVIDERS_MAX {
            let advice = "put machines of the same cloud and region into one";
            return report.error_advised(node.key, format!("more than {PROVIDERS_MAX} providers"), advice);
        }
        if !is_name(name) {
            let advice = "write lower-case letters, digits and -, 40 at most";
            report.error_advised(node.key, format!("{name:?} cannot be the name of a provider"), advice);
        } else if is_map(report, node, name) {
            into.insert(name.clone(), provider(report, name, node, sources));
        }
    }
}

fn provider(report: &mut Report, name: &str, node: &Node, sources: &dyn Sources) -> Provider {
    known_keys(report, node, &KEYS);
    let kind = text(report, node, "type");
    match (&kind, node.get("type")) {
        (Some(word), Some(at)) if word != Kind::Ec2.word() => {
            report.error_advised(
                at.pos,
                format!("there is no provider of the type {}", at.shown()),
                "write ec2",
            );
        }
        (None, None) => report.error_advised(node.key, format!("{name} has no type"), "write type: ec2"),
        _ => {}
    }
    let endpoint = text(report, node, "endpoint");
    if let (Some(url), Some(at)) = (&endpoint, node.get("endpoint"))
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        let what = format!("{} is no address of an API", at.shown());
        report.error_advised(at.pos, what, "write https://HOST, or http://HOST:PORT for one on this machine");
    }
    let region = text(report, node, "region");
    if let (Some(word), Some(at)) = (&region, node.get("region"))
        && !is_name(word)
    {
        let what = format!("{} is no region", at.shown());
        report.error_advised(at.pos, what, "write it as the cloud does: ap-northeast-2");
    }
    Provider {
        name: name.into(),
        kind: Kind::Ec2,
        region,
        endpoint,
        profile: text(report, node, "profile"),
        tags: tags(report, name, node),
        group: text(report, node, "group"),
        names: names(report, node),
        power: power(report, node, sources),
    }
}

fn tags(report: &mut Report, name: &str, node: &Node) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    let advice =
        "write tags: { naru: managed }, and give this tag to the machines that Naru may start and stop";
    let Some(tags) = node.get("tags").filter(|tags| !tags.is_null()) else {
        report.error_advised(
            node.key,
            format!("{name} has no tags, so nothing says which machines are meant"),
            advice,
        );
        return found;
    };
    if !is_map(report, tags, "tags") {
        return found;
    }
    if tags.map().is_some_and(|map| map.is_empty() || map.len() > TAGS_MAX) {
        report.error_advised(tags.pos, format!("tags must be 1 to {TAGS_MAX}"), advice);
    }
    for (key, node) in tags.entries() {
        let nodes = match &node.value {
            Value::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let values: Vec<String> = nodes.iter().filter_map(|node| tag_value(report, node)).collect();
        if nodes.is_empty() || nodes.len() > VALUES_MAX {
            let what = format!("{key} must have 1 to {VALUES_MAX} values");
            report.error_advised(node.pos, what, "write one value, or a list");
        }
        found.insert(key.clone(), values);
    }
    found
}

/// EC2's filters take `*` and `?` for any letters: that would be wider than what the policy of rights allows.
fn tag_value(report: &mut Report, node: &Node) -> Option<String> {
    let value = node.scalar().filter(|text| !text.is_empty() && text.chars().count() <= 256);
    match value {
        Some(value) if !value.contains(['*', '?', '\\']) => Some(value),
        _ => {
            let what = format!("{} cannot be the value of a tag here", node.shown());
            report.error_advised(node.pos, what, "write the whole value, without * and ?");
            None
        }
    }
}

fn names(report: &mut Report, node: &Node) -> BTreeMap<String, AssetName> {
    let mut found: BTreeMap<String, AssetName> = BTreeMap::new();
    let Some(names) = node.get("names").filter(|names| !names.is_null()) else { return found };
    if !is_map(report, names, "names") {
        return found;
    }
    for (machine, node) in names.entries() {
        let name = node.scalar().filter(|name| is_asset_name(name));
        if !is_machine(machine) {
            let what = format!("{machine:?} is no machine");
            report.error_advised(node.key, what, "write its id, such as i-0123456789abcdef0");
        } else if let Some(name) = name {
            if found.values().any(|other| other.as_str() == name) {
                let what = format!("{name:?} is the name of two machines");
                report.error_advised(node.pos, what, "give each a name of its own");
            }
            found.insert(machine.clone(), name.into());
        } else {
            let what = format!("{} cannot be the name of an asset", node.shown());
            report.error_advised(node.pos, what, "write letters, digits, -, _ and ., 64 at most");
        }
    }
    found
}

/// Whether a person can type it as the name of an asset.
pub fn is_asset_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.chars().count() <= 64 && name.chars().all(fits) && !name.starts_with('-')
}

fn is_machine(name: &str) -> bool {
    name.len() <= 64 && name.starts_with("i-") && name[2..].chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(fits) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Errors, Kind, Provider};
    use naru_model::Span;
    use naru_schedule::{Addresses, Fault, Fetched, Sources, Told};

    const WHOLE: &str = "\
providers:
  seoul:
    type: ec2
    region: ap-northeast-2
    endpoint: http://127.0.0.1:5000
    profile: ops
    tags: { naru: [web, batch], env: test }
    group: naru-group
    names: { i-0123456789abcdef0: gpu }
";

    const CALENDAR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n\
                            DTSTART;VALUE=DATE:20261225\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    struct Beside;

    impl Sources for Beside {
        fn file(&self, path: &str) -> Result<String, Told> {
            let absent = || Told::new(format!("{path} is not there"), "put it beside the file");
            (path == "kr.ics").then(|| CALENDAR.into()).ok_or_else(absent)
        }

        fn address(&self, address: &str) -> Result<Fetched, Fault> {
            Addresses::default().get(address)
        }
    }

    fn read(path: &str, text: &str) -> Result<Vec<Provider>, Errors> {
        super::read(path, text, &Beside)
    }

    #[test]
    fn hours_are_read() {
        let hours = "    power: { off: [Mon-Fri 20:00-08:00, Sat], timezone: Asia/Seoul, holidays: [kr.ics, \"2027-01-01\"], \
                     except: bastion, wake_max: 3h }\n";
        let [seoul] = read("assets.yaml", &(WHOLE.to_owned() + hours)).unwrap().try_into().unwrap();
        let off = seoul.power.off.unwrap();
        assert_eq!((off.windows.as_str(), off.timezone.as_str()), ("Mon-Fri 20:00-08:00, Sat", "Asia/Seoul"));
        assert_eq!(off.holidays, ["2026-12-25", "2027-01-01"]);
        assert!(seoul.power.except.contains(&"bastion".into()));
        assert_eq!(seoul.power.wake_max, Span::mins(180));
    }

    #[test]
    fn what_is_wrong_with_hours_is_told() {
        let begin = "providers:\n  a:\n    type: ec2\n    tags: { naru: x }\n    power:\n";
        let said = wrong(
            &(begin.to_owned()
                + "      off: Mon 25:00-08:00\n      timezone: KST\n      holidays: [x.ics, soon, \"https://a.test/secret\"]\n"),
        );
        assert!(said.contains("assets.yaml:6:12: error: power.off: \"Mon 25:00-08:00\""), "{said}");
        assert!(said.contains("assets.yaml:7:17: error: power.timezone: \"KST\" is no time zone"), "{said}");
        assert!(said.contains("assets.yaml:8:18: error: power.holidays: x.ics is not there"), "{said}");
        assert!(said.contains("assets.yaml:8:25: error: power.holidays: \"soon\" is no day"), "{said}");
        assert!(said.contains("https://*************") && !said.contains("secret"), "{said}");
        let said = wrong(&(begin.to_owned() + "      timezone: UTC\n      wake_max: 1s\n"));
        assert!(said.contains("power.timezone is about off, which is not there"), "{said}");
        assert!(said.contains("wake_max must be a duration"), "{said}");
    }

    #[test]
    fn a_whole_file_is_read() {
        let [seoul] = read("assets.yaml", WHOLE).unwrap().try_into().unwrap();
        assert_eq!((seoul.name.as_str(), seoul.kind), ("seoul", Kind::Ec2));
        assert_eq!(seoul.region.as_deref(), Some("ap-northeast-2"));
        assert_eq!(seoul.tags["naru"], ["web", "batch"]);
        assert_eq!(seoul.tags["env"], ["test"]);
        assert_eq!(seoul.names["i-0123456789abcdef0"].as_str(), "gpu");
        assert_eq!(read("assets.yaml", "").unwrap(), []);
        assert_eq!(read("assets.yaml", "providers:\n").unwrap(), []);
    }

    fn wrong(text: &str) -> String {
        read("assets.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn all_that_is_wrong_is_told_with_its_place() {
        let said = wrong("providers:\n  a:\n    typ: ec2\n    tags: { naru: '*' }\n  B: {}\n");
        assert!(said.contains("assets.yaml:3:5: error: typ is not a key that Naru knows"), "{said}");
        assert!(said.contains("did you mean type?"), "{said}");
        assert!(said.contains("assets.yaml:2:3: error: a has no type"), "{said}");
        assert!(said.contains("assets.yaml:4:19: error: \"*\" cannot be the value of a tag here"), "{said}");
        assert!(said.contains("assets.yaml:5:3: error: \"B\" cannot be the name of a provider"), "{said}");
        let said =
            wrong("providers:\n  a: { type: gcp, endpoint: ec2.local, names: { x: y, i-1: 'a b' } }\n");
        assert!(said.contains("there is no provider of the type \"gcp\""), "{said}");
        assert!(said.contains("is no address of an API"), "{said}");
        assert!(said.contains("\"x\" is no machine"), "{said}");
        assert!(said.contains("\"a b\" cannot be the name of an asset"), "{said}");
        assert!(said.contains("nothing says which machines are meant"), "{said}");
    }
}
