//! Which requests a route takes.

use crate::reader::Reader;
use naru_model::{FieldMatch, Match, PathMatch, ValueMatch};
use naru_yaml::{Node, Pos, Value};

pub(crate) fn when(reader: &mut Reader<'_>, node: &Node) -> Match {
    let hosts = reader.texts("host", node.get("host"));
    let paths = reader.texts("path", node.get("path"));
    let methods = reader.texts("method", node.get("method"));
    Match {
        hosts: hosts.into_iter().filter_map(|(host, pos)| one_host(reader, &host, pos)).collect(),
        paths: paths.into_iter().filter_map(|(path, pos)| one_path(reader, &path, pos)).collect(),
        methods: methods.into_iter().filter_map(|(method, pos)| one_method(reader, &method, pos)).collect(),
        headers: fields(reader, "header", node.get("header")),
        query: fields(reader, "query", node.get("query")),
        sources: reader.networks("source", node.get("source")),
    }
}

pub(crate) fn one_host(reader: &mut Reader<'_>, host: &str, pos: Pos) -> Option<String> {
    let host = host.to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if name.is_empty() || name.len() > 253 || !name.bytes().all(is_plain) {
        let advice = if name.contains('*') {
            "a * stands for whole labels at the beginning: *.example.com"
        } else {
            "write a name without a scheme, a port or a path, as shop.example.com"
        };
        reader.error(pos, format!("host: {host:?} is not the name of a host"), advice);
        return None;
    }
    if naru_traffic::Ask::host_of(name) != name {
        reader.error(pos, format!("host: {host:?} has a port"), "leave the port out: it is the listener's");
        return None;
    }
    Some(host)
}

/// `/api/*` is a prefix; `{name}` and `*` for a segment make a pattern.
fn one_path(reader: &mut Reader<'_>, path: &str, pos: Pos) -> Option<PathMatch> {
    let advice = match path {
        _ if !path.starts_with('/') => Some("begin with a slash".to_string()),
        _ if path.contains(['?', '#']) => Some("leave out the query: `query` is for that".into()),
        _ if path.len() > 2048 => Some("write a shorter one".into()),
        _ => None,
    };
    let normal = naru_traffic::normal(path).map(|normal| normal == path);
    let advice = match (advice, normal) {
        (None, Ok(false)) => {
            let form = naru_traffic::normal(path).unwrap_or_default();
            Some(format!("write {form}: requests are compared in that form"))
        }
        (None, Err(_)) => Some("write a path as a browser would send it".into()),
        (advice, _) => advice,
    };
    if let Some(advice) = advice {
        reader.error(pos, format!("path: {path:?} is no path that a request could have"), advice);
        return None;
    }
    let is_open = |path: &str| path.split('/').any(|s| matches!(s, "*" | "**") || s.starts_with('{'));
    if let Some(prefix) = path.strip_suffix("/*").filter(|prefix| !is_open(prefix)) {
        let prefix = if prefix.is_empty() { "/" } else { prefix };
        return Some(PathMatch::Prefix(prefix.into()));
    }
    if !is_open(path) {
        if path.contains(['*', '{', '}']) {
            let advice = "a * or {name} stands for a whole segment, as /users/{id}/*";
            reader.error(pos, format!("path: {path:?} has a part of a segment that is open"), advice);
            return None;
        }
        return Some(PathMatch::Exact(path.into()));
    }
    pattern(reader, path, pos)
}

fn pattern(reader: &mut Reader<'_>, path: &str, pos: Pos) -> Option<PathMatch> {
    // `/a/{id}/*` ends as a prefix does: with any number of segments.
    let whole = match path.strip_suffix("/*") {
        Some(before) => format!("{before}/**"),
        None => path.to_string(),
    };
    let is_name =
        |s: &str| s.len() > 2 && s[1..s.len() - 1].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let segments: Vec<&str> = whole.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        let open = segment.contains(['*', '{', '}']);
        let last = at + 1 == segments.len();
        let ok = match *segment {
            "*" => true,
            "**" => last,
            s if s.starts_with('{') && s.ends_with('}') => is_name(s),
            _ => !open,
        };
        if !ok {
            let advice = "a segment is a text, *, {name}, or at the end **";
            reader.error(pos, format!("path: {path:?} has the segment {segment:?}"), advice);
            return None;
        }
    }
    let names = segments.iter().filter(|segment| segment.starts_with('{')).count();
    if names > naru_traffic::NAMED {
        let what = format!("path: {path:?} names {names} segments");
        reader.error(pos, what, format!("{} are the most", naru_traffic::NAMED));
        return None;
    }
    Some(PathMatch::Pattern(whole))
}

fn one_method(reader: &mut Reader<'_>, method: &str, pos: Pos) -> Option<String> {
    let ok = method.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    if !ok || method.is_empty() {
        let what = format!("method: {method:?} is no method");
        reader.error(pos, what, "methods are written in capitals, as GET");
        return None;
    }
    Some(method.into())
}

/// A name with a text that it has to be, `text*` for its beginning, or whether it has to be there.
fn fields(reader: &mut Reader<'_>, key: &str, node: Option<&Node>) -> Vec<FieldMatch> {
    let mut found = Vec::new();
    let Some(node) = node else { return found };
    let mut reader = reader.below(key);
    if !reader.is_map(node) {
        return found;
    }
    for (name, value) in node.entries() {
        let name = match key {
            "header" => reader.field_name("name", name, value.key).map(|name| name.to_ascii_lowercase()),
            _ => Some(name.clone()),
        };
        let wanted = match &value.value {
            Value::Bool(present) => Some(ValueMatch::Present(*present)),
            _ => value.scalar().map(|text| match text.strip_suffix('*') {
                Some(beginning) => ValueMatch::Prefix(beginning.into()),
                None => ValueMatch::Equals(text),
            }),
        };
        match (name, wanted) {
            (Some(name), Some(value)) => found.push(FieldMatch { name, value }),
            (_, None) => reader.wrong(
                value.pos,
                format!("takes a text, true or false, not {}", value.shown()),
                "write what it has to be",
            ),
            _ => {}
        }
    }
    found
}
