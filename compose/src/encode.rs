//! The merged tree in its canonical form: every value as its key's kind says, empty ones left out.

use crate::shape::{Empty, Field, Kind};
use naru_yaml::{Map, Node, Path, Report, Value, boolean, units};

/// `node` in the form of `fields`. What cannot be read is reported, and left out.
pub(crate) fn encode(report: &mut Report, fields: &'static [Field], node: &Node, path: &Path) -> Node {
    let mut map = Map::new();
    for field in fields {
        let written = node.get(field.key).or_else(|| node.get(&field.key.to_lowercase()));
        let written = written.filter(|written| !written.is_null());
        let value = match written {
            Some(written) => value(report, field.kind, written, &path.key(field.key)),
            None if field.empty == Empty::Keep => Some(nothing(report, field.kind, node, path)),
            None => None,
        };
        if let Some(value) = value
            && (field.empty != Empty::Omit || !is_empty(field.kind, &value))
        {
            map.insert(field.key.to_string(), value);
        }
    }
    Node::derived(Value::Map(map), node)
}

/// What stands for a key that is not written.
fn nothing(report: &mut Report, kind: Kind, near: &Node, path: &Path) -> Node {
    match kind {
        Kind::Struct(fields) => encode(report, fields, &Node::derived(Value::Null, near), path),
        Kind::Text => Node::text("", near),
        Kind::Bool => Node::derived(Value::Bool(false), near),
        Kind::Int => Node::derived(Value::Int(0), near),
        Kind::Bytes => Node::text("0", near),
        Kind::Map(_) => Node::derived(Value::Map(Map::new()), near),
        _ => Node::derived(Value::Null, near),
    }
}

fn is_empty(kind: Kind, node: &Node) -> bool {
    match (&node.value, kind) {
        (Value::Null, _) => true,
        (Value::Bool(value), _) => !value,
        (Value::Int(value), _) => *value == 0,
        (Value::Float(value), _) => *value == 0.0,
        (Value::Str(text), Kind::Bytes) => text == "0",
        (Value::Str(text), Kind::Duration) => text == "0s",
        (Value::Str(text), _) => text.is_empty(),
        (Value::List(list), _) => list.is_empty(),
        (Value::Map(map), _) => map.is_empty(),
    }
}

fn value(report: &mut Report, kind: Kind, node: &Node, path: &Path) -> Option<Node> {
    let new = |value: Value| Some(Node::derived(value, node));
    match kind {
        Kind::Raw => Some(node.clone()),
        Kind::Text => new(Value::Str(as_text(report, node, path)?)),
        Kind::Bool => truth(report, node, path).and_then(|value| new(Value::Bool(value))),
        Kind::Int => integer(report, node, path).and_then(|value| new(Value::Int(value))),
        Kind::Float => float(report, node, path).and_then(|value| new(Value::Float(value))),
        Kind::Duration => duration(report, node, path).and_then(|value| new(Value::Str(value))),
        Kind::Bytes => bytes(report, node, path).and_then(|value| new(Value::Str(value))),
        Kind::Mode => mode(report, node, path).and_then(|value| new(Value::Str(value))),
        Kind::Count => count(report, node, path).and_then(|value| new(Value::Int(value))),
        Kind::Command => command(report, node, path),
        Kind::Test => new(Value::List(test(report, node, path))),
        Kind::Texts => new(Value::List(texts(report, node, path))),
        Kind::Environment => new(Value::Map(environment(report, node, path))),
        Kind::Pairs => new(Value::Map(pairs(report, node, path))),
        Kind::Lists => new(Value::Map(lists(report, node, path))),
        Kind::Hosts => new(Value::List(hosts(report, node, path))),
        Kind::Ssh => new(Value::List(ssh(node))),
        Kind::Ulimit => Some(ulimit(report, node, path)),
        Kind::List(kind) => {
            let path = path.item();
            new(Value::List(
                node.items().iter().filter_map(|item| value(report, *kind, item, &path)).collect(),
            ))
        }
        Kind::Map(kind) => new(Value::Map(entries(report, *kind, node, path))),
        Kind::Struct(fields) => node.map().map(|_| encode(report, fields, node, path)),
    }
}

fn entries(report: &mut Report, kind: Kind, node: &Node, path: &Path) -> Map {
    let mut map = Map::new();
    for (key, written) in node.entries() {
        let entry = match written.is_null() {
            true => Some(written.clone()),
            false => value(report, kind, written, &path.key(key)),
        };
        map.extend(entry.map(|entry| (key.clone(), entry)));
    }
    map
}

fn refuse<T>(report: &mut Report, node: &Node, path: &Path, wanted: &str, advice: &str) -> Option<T> {
    let pos = if node.scalar().is_some() { node.pos } else { node.key };
    report.error_in(path, pos, format!("{path} must be {wanted}, not {}", node.shown()), advice);
    None
}

fn truth(report: &mut Report, node: &Node, path: &Path) -> Option<bool> {
    let read = match &node.value {
        Value::Bool(value) => Some(*value),
        Value::Str(text) => boolean(text),
        _ => None,
    };
    read.or_else(|| refuse(report, node, path, "true or false", "write true or false"))
}

fn integer(report: &mut Report, node: &Node, path: &Path) -> Option<i64> {
    let read = match &node.value {
        Value::Int(value) => Some(*value),
        Value::Float(value) if value.abs() < 1e15 => Some(*value as i64),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    read.or_else(|| refuse(report, node, path, "a whole number", "write a whole number"))
}

fn float(report: &mut Report, node: &Node, path: &Path) -> Option<f64> {
    let read: Option<f64> = match &node.value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    };
    // The reference holds these in 32 bits, and prints the shortest digits that mean the same there.
    let narrow =
        read.filter(|value| value.is_finite()).and_then(|value| (value as f32).to_string().parse().ok());
    narrow.or_else(|| refuse(report, node, path, "a number", "write a number, as 0.5"))
}

fn duration(report: &mut Report, node: &Node, path: &Path) -> Option<String> {
    let read = node.scalar().and_then(|text| units::duration(&text)).map(units::print_duration);
    read.or_else(|| {
        refuse(report, node, path, "a duration", "write it with its unit: 10s, 1m30s, 500ms, 2h, 1d")
    })
}

fn bytes(report: &mut Report, node: &Node, path: &Path) -> Option<String> {
    let read = match &node.value {
        Value::Int(value) => Some(*value),
        Value::Float(value) => Some(*value as i64),
        // Without a limit.
        Value::Str(text) if text == "-1" => Some(-1),
        Value::Str(text) => units::bytes(text),
        _ => None,
    };
    match read {
        Some(bytes) => Some(bytes.to_string()),
        None => refuse(report, node, path, "a size", "write it with its unit: 512m, 1.5g, 64k"),
    }
}

fn mode(report: &mut Report, node: &Node, path: &Path) -> Option<String> {
    let read = match &node.value {
        Value::Int(value) => Some(*value),
        Value::Str(text) => i64::from_str_radix(text, 8).ok(),
        _ => None,
    };
    let octal = read.map(|mode| format!("0{mode:o}"));
    octal.or_else(|| refuse(report, node, path, "a file mode", "write it in octal: 0440"))
}

fn count(report: &mut Report, node: &Node, path: &Path) -> Option<i64> {
    match &node.value {
        Value::Str(text) if text.eq_ignore_ascii_case("all") => Some(-1),
        _ => integer(report, node, path),
    }
}

fn command(report: &mut Report, node: &Node, path: &Path) -> Option<Node> {
    let Value::Str(line) = &node.value else {
        return Some(Node::derived(Value::List(texts(report, node, path)), node));
    };
    let Some(split) = units::split_words(line) else {
        let wanted = "a command line that can be split into words";
        return refuse(report, node, path, wanted, "close its quotes and brackets, or write a list");
    };
    if let Some(cut_at) = split.cut_at {
        let message = format!("{path}: the text from {cut_at} on is left out, since no shell reads it");
        let pos = report.narrow(node.pos, &cut_at.to_string());
        report.warn_advised(pos, message, "put it in quotes, or write [sh, -c, \"…\"]");
    }
    let words = split.words.into_iter().map(|word| Node::text(word, node)).collect();
    Some(Node::derived(Value::List(words), node))
}

fn test(report: &mut Report, node: &Node, path: &Path) -> Vec<Node> {
    match &node.value {
        Value::Str(line) => vec![Node::text("CMD-SHELL", node), Node::text(line, node)],
        _ => texts(report, node, path),
    }
}

/// The scalar as a text. Where YAML takes it for a number that prints in another way, it says so: `0644`
/// is 420, and `1.10` is 1.1.
fn as_text(report: &mut Report, node: &Node, path: &Path) -> Option<String> {
    let text = node.scalar()?;
    if matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_))
        && let Some(written) = report.written(node.pos).filter(|written| *written != text)
    {
        let message = format!("{path}: {written} is {} in YAML, and gives \"{text}\"", node.kind());
        report.warn_advised(node.pos, message, format!("put it in quotes to keep it: \"{written}\""));
    }
    Some(text)
}

fn texts(report: &mut Report, node: &Node, path: &Path) -> Vec<Node> {
    let items = node.list().unwrap_or(std::slice::from_ref(node));
    let text = |item: &Node| as_text(report, item, path).map(|text| Node::text(text, item));
    items.iter().filter_map(text).collect()
}

fn environment(report: &mut Report, node: &Node, path: &Path) -> Map {
    let Value::List(list) = &node.value else {
        let mut value = |key: &str, value: &Node| match as_text(report, value, &path.key(key)) {
            Some(text) => Node::text(text, value),
            None => Node::derived(Value::Null, value),
        };
        return node.entries().map(|(key, written)| (key.clone(), value(key, written))).collect();
    };
    let mut map = Map::new();
    for item in list {
        let text = item.scalar().unwrap_or_default();
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Value::Str(value.into())),
            None => (text.as_str(), Value::Null),
        };
        if key.ends_with(char::is_whitespace) {
            let message = format!("{path}: the variable \"{}\" has a blank after its name", key.trim_end());
            report.error_in(path, item.pos, message, "remove the blanks around =");
        }
        map.insert(key.to_string(), Node::derived(value, item));
    }
    map
}

fn pairs(report: &mut Report, node: &Node, path: &Path) -> Map {
    match &node.value {
        Value::List(list) => list
            .iter()
            .map(|item| {
                let text = item.scalar().unwrap_or_default();
                let (key, value) = text.split_once('=').unwrap_or((&text, ""));
                (key.to_string(), Node::text(value, item))
            })
            .collect(),
        _ => {
            let mut text = |key: &str, value: &Node| {
                Node::text(as_text(report, value, &path.key(key)).unwrap_or_default(), value)
            };
            node.entries().map(|(key, value)| (key.clone(), text(key, value))).collect()
        }
    }
}

fn lists(report: &mut Report, node: &Node, path: &Path) -> Map {
    let mut list =
        |key: &str, value: &Node| Node::derived(Value::List(texts(report, value, &path.key(key))), value);
    node.entries().map(|(key, value)| (key.clone(), list(key, value))).collect()
}

fn hosts(report: &mut Report, node: &Node, path: &Path) -> Vec<Node> {
    let advice = "write it as HOST=ADDRESS";
    let mut lines: Vec<Node> = Vec::new();
    for (host, address, near) in host_entries(report, node, path) {
        if host.is_empty() || host.contains([':', '=']) {
            refuse::<()>(report, near, path, "the name of a host", advice);
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&address);
        lines.push(Node::text(format!("{host}={bare}"), near));
    }
    lines.sort_by(|a, b| a.str().cmp(&b.str()));
    lines
}

/// Each host with each of its addresses, and where it is written.
fn host_entries<'n>(report: &mut Report, node: &'n Node, path: &Path) -> Vec<(String, String, &'n Node)> {
    let mut found = Vec::new();
    for item in node.items() {
        let text = item.scalar().unwrap_or_default();
        let Some((host, all)) = text.split_once('=').or_else(|| text.split_once(':')) else {
            refuse::<()>(report, item, path, "HOST=ADDRESS", "write it as HOST=ADDRESS");
            continue;
        };
        found.extend(all.split(',').map(|address| (host.to_string(), address.to_string(), item)));
    }
    for (host, value) in node.entries() {
        let addresses = match value.is_null() {
            true => vec![Node::text("", value)],
            false => texts(report, value, path),
        };
        found.extend(
            addresses.iter().map(|address| (host.clone(), address.scalar().unwrap_or_default(), value)),
        );
    }
    found
}

fn ssh(node: &Node) -> Vec<Node> {
    let key = |(id, value): (&String, &Node)| match value.scalar() {
        Some(path) => Node::text(format!("{id}={path}"), value),
        None => Node::text(id, value),
    };
    node.entries().map(key).collect()
}

fn ulimit(report: &mut Report, node: &Node, path: &Path) -> Node {
    const BOTH: &[Field] = &[
        Field { key: "soft", kind: Kind::Int, empty: Empty::Omit },
        Field { key: "hard", kind: Kind::Int, empty: Empty::Omit },
    ];
    match &node.value {
        Value::Int(0) => Node::derived(Value::Map(Map::new()), node),
        Value::Map(_) => encode(report, BOTH, node, path),
        _ => node.clone(),
    }
}

/// The tree as JSON, dollar signs doubled so that it can be read as a Compose file again.
pub(crate) fn to_json(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Float(value) => number(*value),
        Value::Str(text) => Json::from(text.replace('$', "$$")),
        Value::List(list) => Json::Array(list.iter().map(to_json).collect()),
        Value::Map(map) => {
            Json::Object(map.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
        }
    }
}

/// A whole number without a point, as the reference prints it; what JSON has no number for, as a text.
fn number(value: f64) -> serde_json::Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return serde_json::Value::from(value as i64);
    }
    match serde_json::Number::from_f64(value) {
        Some(number) => serde_json::Value::Number(number),
        None => serde_json::Value::from(naru_yaml::print_float(value)),
    }
}
