//! Several layers into one: `-f` after `-f`, document after document, a service over the one it extends.
//!
//! Maps merge, lists append, and what the specification names apart goes its own way: commands replace,
//! settings that may be a map or a list become lists of `KEY=value`, `logging` merges for one driver only.

use naru_yaml::{Map, Node, Path, Report, Value};
use std::collections::BTreeSet;

/// `over` merged over `base`.
pub(crate) fn merge(report: &mut Report, base: Node, over: Node, path: &Path) -> Node {
    let rule = RULES.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, rule)| *rule);
    match rule {
        Some(Rule::Replace) => over,
        Some(Rule::Sequence) => append(sequence(base), sequence(over), Twins::Keep),
        Some(Rule::Hosts) => append(sequence(base), sequence(over), Twins::Drop),
        Some(Rule::Build) => merge_maps(report, build(base), build(over), path),
        Some(Rule::Names) => {
            merge_maps(report, by_name(base, Filler::Null), by_name(over, Filler::Null), path)
        }
        Some(Rule::Dependencies) => {
            let (base, over) = (by_name(base, Filler::Started), by_name(over, Filler::Started));
            merge_maps(report, base, over, path)
        }
        Some(Rule::Logging) => logging(report, base, over, path),
        Some(Rule::Pools) => pools(report, base, over, path),
        None => plain(report, base, over, path),
    }
}

/// Drops from `node` what a later layer resets.
pub(crate) fn reset(node: &mut Node, resets: &[Path]) {
    for path in resets {
        remove(node, path.parts());
    }
}

fn remove(node: &mut Node, parts: &[String]) {
    let Some(map) = node.map_mut() else { return };
    match parts {
        [] => {}
        [last] => drop(map.shift_remove(last)),
        [first, rest @ ..] => {
            if let Some(next) = map.get_mut(first) {
                remove(next, rest);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Rule {
    /// What is written last stands.
    Replace,
    /// Map or list, both become a list of `KEY=value`, appended.
    Sequence,
    /// The same, without repeating what is there.
    Hosts,
    /// A text is the context.
    Build,
    /// A list is a map without values.
    Names,
    /// A list is a map of conditions.
    Dependencies,
    /// Merged for the same driver, else replaced.
    Logging,
    /// Merged by subnet.
    Pools,
}

const RULES: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::Pools),
    ("networks.*.labels", Rule::Sequence),
    ("volumes.*.labels", Rule::Sequence),
    ("services.*.annotations", Rule::Sequence),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Sequence),
    ("services.*.build.additional_contexts", Rule::Sequence),
    ("services.*.build.extra_hosts", Rule::Hosts),
    ("services.*.build.labels", Rule::Sequence),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::Dependencies),
    ("services.*.deploy.labels", Rule::Sequence),
    ("services.*.dns", Rule::Sequence),
    ("services.*.dns_opt", Rule::Sequence),
    ("services.*.dns_search", Rule::Sequence),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Sequence),
    ("services.*.label_file", Rule::Sequence),
    ("services.*.environment", Rule::Sequence),
    ("services.*.extra_hosts", Rule::Hosts),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Sequence),
    ("services.*.volumes.*.volume.labels", Rule::Sequence),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Sequence),
    ("services.*.tmpfs", Rule::Sequence),
    ("services.*.ulimits.*", Rule::Replace),
    ("services.*.x-naru.process", Rule::Replace),
    ("services.*.x-naru.health", Rule::Replace),
    ("services.*.x-naru.work.busy", Rule::Replace),
    ("services.*.x-naru.work.quiet", Rule::Replace),
    ("services.*.x-naru.rollout.steps", Rule::Replace),
];

fn plain(report: &mut Report, base: Node, over: Node, path: &Path) -> Node {
    if over.is_null() {
        return base;
    }
    match (&base.value, &over.value) {
        (Value::Map(_), Value::Map(_)) => merge_maps(report, base, over, path),
        (Value::List(_), Value::List(_)) => append(base, over, Twins::Keep),
        (Value::Map(_) | Value::List(_), _) => {
            let message = format!(
                "{path} is {} in an earlier file, and {} cannot be merged into it",
                base.kind(),
                over.kind()
            );
            report.error_in(path, over.key, message, "write it in the same form, or tag it !override");
            base
        }
        _ => over,
    }
}

fn merge_maps(report: &mut Report, base: Node, over: Node, path: &Path) -> Node {
    let (pos, key) = (base.pos, base.key);
    let (Value::Map(mut map), Value::Map(over)) = (base.value, over.value) else {
        return Node { key, ..Node::new(Value::Map(Map::new()), pos) };
    };
    for (name, value) in over {
        let Some(slot) = map.get_mut(&name) else {
            map.insert(name, value);
            continue;
        };
        let nothing = Node::derived(Value::Null, &value);
        let known = std::mem::replace(slot, nothing);
        *slot = merge(report, known, value, &path.key(&name));
    }
    Node { key, ..Node::new(Value::Map(map), pos) }
}

/// What happens to an item that is there already.
#[derive(Clone, Copy)]
enum Twins {
    Keep,
    Drop,
}

fn append(mut base: Node, over: Node, twins: Twins) -> Node {
    let (Value::List(more), Value::List(list)) = (over.value, &mut base.value) else { return base };
    let known: BTreeSet<String> = match twins {
        Twins::Keep => BTreeSet::new(),
        Twins::Drop => list.iter().filter_map(Node::scalar).collect(),
    };
    list.extend(more.into_iter().filter(|item| item.scalar().is_none_or(|text| !known.contains(&text))));
    base
}

/// A map as a list of `KEY=value`, sorted; a text as a list of one.
fn sequence(node: Node) -> Node {
    let list = match &node.value {
        Value::Map(map) => {
            let mut list: Vec<Node> = map.iter().flat_map(|(key, value)| assignments(key, value)).collect();
            list.sort_by(|a, b| a.str().cmp(&b.str()));
            list
        }
        Value::Str(_) => vec![node.clone()],
        Value::List(_) => return node,
        _ => Vec::new(),
    };
    Node::derived(Value::List(list), &node)
}

fn assignments(key: &str, value: &Node) -> Vec<Node> {
    match &value.value {
        Value::Null => vec![Node::text(key, value)],
        Value::List(list) => list.iter().flat_map(|item| assignments(key, item)).collect(),
        _ => vec![Node::text(format!("{key}={}", value.scalar().unwrap_or_default()), value)],
    }
}

fn build(node: Node) -> Node {
    match &node.value {
        Value::Str(_) => Node::derived(Value::Map([("context".to_string(), node.clone())].into()), &node),
        _ => node,
    }
}

/// What a name in a list stands for, as a map.
#[derive(Clone, Copy)]
enum Filler {
    Null,
    Started,
}

fn by_name(node: Node, filler: Filler) -> Node {
    let Value::List(list) = &node.value else { return node };
    let fill = |item: &Node| match filler {
        Filler::Null => Node::derived(Value::Null, item),
        Filler::Started => started(item),
    };
    let map: Map = list.iter().filter_map(|item| Some((item.str()?.to_string(), fill(item)))).collect();
    Node::derived(Value::Map(map), &node)
}

/// What a service's name in `depends_on` stands for.
pub(crate) fn started(near: &Node) -> Node {
    let condition = Node::text("service_started", near);
    let required = Node::derived(Value::Bool(true), near);
    let map: Map = [("condition".to_string(), condition), ("required".to_string(), required)].into();
    Node::derived(Value::Map(map), near)
}

fn logging(report: &mut Report, base: Node, over: Node, path: &Path) -> Node {
    match (base.get_str("driver"), over.get_str("driver")) {
        (Some(mine), Some(theirs)) if mine != theirs => over,
        _ => plain(report, base, over, path),
    }
}

fn pools(report: &mut Report, base: Node, over: Node, path: &Path) -> Node {
    let (Some(mine), Some(theirs)) = (base.list(), over.list()) else {
        return plain(report, base, over, path);
    };
    let mut pools: Vec<Node> = mine.to_vec();
    for pool in theirs {
        let subnet = pool.get_str("subnet");
        match pools.iter_mut().find(|known| known.get_str("subnet") == subnet) {
            Some(known) => *known = merge_maps(report, known.clone(), pool.clone(), path),
            None => pools.push(pool.clone()),
        }
    }
    Node::derived(Value::List(pools), &base)
}
