//! What becomes of a request that a route takes: what is asked of it, changed of it, done with it.

use crate::Setting;
use crate::reader::{Reader, resolve};
use naru_model::{
    BasicAuth, Edits, FieldEdits, Files, Forward, ForwardAuth, Guard, PathEdit, Policy, RateKey, RateLimit,
    Redirect, Respond, RuleAction, ServiceName, Span,
};
use naru_yaml::{Node, Pos};
use std::collections::BTreeMap;

/// Of these, a route has one.
pub(crate) const ACTIONS: &[&str] = &["to", "redirect", "respond", "files"];

/// Longest body of a fixed answer.
const BODY: usize = 64 * 1024;

pub(crate) fn action(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<RuleAction> {
    let written: Vec<(&str, &Node)> = ACTIONS.iter().filter_map(|key| Some((*key, node.get(key)?))).collect();
    if let [_, (second, place), ..] = written.as_slice() {
        let what = format!("{second} is the second of {} here", ACTIONS.join(", "));
        reader.error(place.key, what, "keep one of them");
    }
    let (key, value) = written.first()?;
    if *key != "to"
        && let Some(rewrite) = node.get("rewrite").or_else(|| node.get("request_headers"))
    {
        let what = format!("rewrite and request_headers have no meaning beside {key}");
        reader.error(rewrite.key, what, "they change what an instance gets: add `to`, or remove them");
    }
    match *key {
        "to" => to(reader, value, setting).map(RuleAction::Forward),
        "redirect" => redirect(&mut reader.below("redirect"), value).map(RuleAction::Redirect),
        "respond" => respond(&mut reader.below("respond"), value).map(RuleAction::Respond),
        _ => files(&mut reader.below("files"), value, setting).map(RuleAction::Files),
    }
}

fn to(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<Forward> {
    let add = |name: &str| format!("add expose: [\"8000\"] to {name}");
    service_port(
        reader,
        node,
        &Among { key: "to", keys: "routes.[].to", spoken: "HTTP", ports: setting.services, add: &add },
    )
}

/// Ports that one may be chosen of.
pub(crate) struct Among<'a> {
    /// The key that chooses.
    pub(crate) key: &'a str,
    /// Where the mapping's keys stand in the table.
    pub(crate) keys: &'a str,
    /// What they speak.
    pub(crate) spoken: &'a str,
    /// Of every service, those that speak it, in order.
    pub(crate) ports: &'a BTreeMap<ServiceName, Vec<u16>>,
    /// What to do where a service has none.
    pub(crate) add: &'a dyn Fn(&str) -> String,
}

/// A service, or a mapping with `service` and `port`.
pub(crate) fn service_port(reader: &mut Reader<'_>, node: &Node, among: &Among<'_>) -> Option<Forward> {
    let key = among.key;
    let (name, port) = match node.map() {
        Some(_) => {
            let mut reader = reader.below(key);
            reader.keys(node, among.keys);
            if node.get("service").is_none() {
                reader.wrong(node.pos, "names no service", "add service: api");
            }
            let port = reader.whole("port", node.get("port"), 1..=65535);
            (reader.text("service", node.get("service"))?, port.map(|port| port as u16))
        }
        None => (reader.text(key, Some(node))?, None),
    };
    let pos = node.get("service").map_or(node.pos, |service| service.pos);
    let target = chosen_port(reader, pos, &name, port, among)?;
    let service = name.as_str().into();
    Some(Forward { service, target, http2: false, splits: vec![], policy: Policy::default() })
}

fn chosen_port(
    reader: &mut Reader<'_>,
    pos: Pos,
    name: &str,
    port: Option<u16>,
    among: &Among<'_>,
) -> Option<u16> {
    let Among { key, spoken, ports, add, .. } = among;
    let Some(targets) = ports.get(&ServiceName::from(name)) else {
        let all: Vec<&str> = ports.keys().map(|name| name.as_str()).collect();
        reader.error(
            pos,
            format!("{key}: there is no service {name}"),
            format!("the services are: {}", all.join(", ")),
        );
        return None;
    };
    match port {
        Some(port) if !targets.contains(&port) => {
            let all: Vec<String> = targets.iter().map(u16::to_string).collect();
            let what = format!("{key}: service {name} has no {spoken} port {port}");
            reader.error(pos, what, format!("its ports are: {}", all.join(", ")));
            None
        }
        Some(port) => Some(port),
        None => match targets.first() {
            Some(first) => Some(*first),
            None => {
                let what = format!("{key}: service {name} has no port that speaks {spoken}");
                reader.error(pos, what, add(name));
                None
            }
        },
    }
}

fn redirect(reader: &mut Reader<'_>, node: &Node) -> Option<Redirect> {
    let (location, place, status) = match node.map() {
        Some(_) => {
            reader.keys(node, "routes.[].redirect");
            let Some(to) = node.get("to") else {
                reader.wrong(node.pos, "names no address", "add to: \"https://{host}{path}{query}\"");
                return None;
            };
            let statuses = [("301", 301), ("302", 302), ("303", 303), ("307", 307), ("308", 308)];
            let status = reader.word("status", node.get("status"), &statuses).unwrap_or(308);
            (reader.text("to", Some(to))?, to.pos, status)
        }
        None => (reader.text("to", Some(node))?, node.pos, 308),
    };
    let is_address =
        ["/", "http://", "https://", "{scheme}://"].iter().any(|begin| location.starts_with(begin));
    if !is_address || location.starts_with("//") {
        let what = format!("to: {location:?} is no address");
        reader.error(place, what, "begin with https://, http:// or a slash");
        return None;
    }
    Some(Redirect { status, location })
}

fn respond(reader: &mut Reader<'_>, node: &Node) -> Option<Respond> {
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "routes.[].respond");
    let status = reader.whole("status", node.get("status"), 200..=599);
    let body = node.get("body").and_then(Node::scalar).unwrap_or_default();
    if let Some(long) = node.get("body").filter(|_| body.len() > BODY) {
        let what = format!("body has {} bytes", body.len());
        reader.error(long.pos, what, format!("{BODY} are the most; `files` serves larger ones"));
    }
    let kind = reader.text("type", node.get("type")).unwrap_or_else(|| "text/plain; charset=utf-8".into());
    Some(Respond { status: status.unwrap_or(200) as u16, content_type: kind, body })
}

fn files(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<Files> {
    let root = match node.map() {
        Some(_) => {
            reader.keys(node, "routes.[].files");
            if node.get("root").is_none() {
                reader.wrong(node.pos, "names no folder", "add root: ./public");
            }
            reader.text("root", node.get("root"))?
        }
        None => reader.text("root", Some(node))?,
    };
    Some(Files {
        root: resolve(setting.folder, &root),
        strip: reader.text("strip", node.get("strip")).unwrap_or_default(),
        index: reader.text("index", node.get("index")).unwrap_or_else(|| "index.html".into()),
        fallback: reader.text("fallback", node.get("fallback")),
        max_age: reader.span("max_age", node.get("max_age")),
    })
}

pub(crate) fn edits(reader: &mut Reader<'_>, node: &Node) -> Edits {
    let mut edits = Edits {
        request: field_edits(reader, "request_headers", node.get("request_headers")),
        response: field_edits(reader, "response_headers", node.get("response_headers")),
        ..Edits::default()
    };
    let Some(rewrite) = node.get("rewrite") else { return edits };
    let mut reader = reader.below("rewrite");
    if !reader.is_map(rewrite) {
        return edits;
    }
    reader.keys(rewrite, "routes.[].rewrite");
    edits.host = reader.text("host", rewrite.get("host"));
    let text = |reader: &mut Reader<'_>, key: &str| {
        let value = reader.text(key, rewrite.get(key));
        if let Some(text) = value.as_deref().filter(|text| !text.starts_with('/')) {
            let pos = rewrite.get(key).map_or(rewrite.pos, |node| node.pos);
            reader.error(pos, format!("{key}: {text:?} is no path"), "begin with a slash");
        }
        value
    };
    let (path, strip, add) =
        (text(&mut reader, "path"), text(&mut reader, "strip"), text(&mut reader, "add"));
    edits.path = match (path, strip, add) {
        (Some(path), None, None) => Some(PathEdit::Replace(path)),
        (None, Some(strip), Some(add)) => Some(PathEdit::ReplacePrefix(strip, add)),
        (None, Some(strip), None) => Some(PathEdit::Strip(strip)),
        (None, None, Some(add)) => Some(PathEdit::Add(add)),
        (None, None, None) => None,
        _ => {
            reader.wrong(rewrite.key, "has path beside strip or add", "keep path alone, or strip and add");
            None
        }
    };
    edits
}

fn field_edits(reader: &mut Reader<'_>, key: &str, node: Option<&Node>) -> FieldEdits {
    let mut edits = FieldEdits::default();
    let Some(node) = node else { return edits };
    let mut reader = reader.below(key);
    if !reader.is_map(node) {
        return edits;
    }
    reader.keys(node, &format!("routes.[].{key}"));
    for (key, to) in [("set", &mut edits.set), ("add", &mut edits.add)] {
        for (name, value) in node.get(key).into_iter().flat_map(Node::entries) {
            let name = reader.field_name(key, name, value.key);
            let text = reader.text(key, Some(value));
            to.extend(name.zip(text));
        }
    }
    let removed = reader.texts("remove", node.get("remove"));
    edits.remove =
        removed.into_iter().filter_map(|(name, pos)| reader.field_name("remove", &name, pos)).collect();
    edits
}

pub(crate) fn guard(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Guard {
    Guard {
        basic_auth: node
            .get("basic_auth")
            .and_then(|node| basic_auth(&mut reader.below("basic_auth"), node, setting)),
        forward_auth: node
            .get("forward_auth")
            .and_then(|node| forward_auth(&mut reader.below("forward_auth"), node)),
        rate_limit: node.get("rate_limit").and_then(|node| rate_limit(&mut reader.below("rate_limit"), node)),
    }
}

fn basic_auth(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<BasicAuth> {
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "routes.[].basic_auth");
    if node.get("file").is_none() {
        reader.wrong(node.pos, "names no file", "add file: ./names, as `htpasswd -B` writes it");
    }
    let realm = reader.text("realm", node.get("realm")).unwrap_or_else(|| "restricted".into());
    Some(BasicAuth { realm, file: resolve(setting.folder, &reader.text("file", node.get("file"))?) })
}

fn forward_auth(reader: &mut Reader<'_>, node: &Node) -> Option<ForwardAuth> {
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "routes.[].forward_auth");
    let Some(url) = node.get("url") else {
        reader.wrong(node.pos, "names no address", "add url: http://127.0.0.1:4180/auth");
        return None;
    };
    let text = reader.text("url", Some(url))?;
    if !text.starts_with("http://") || text.len() < 8 {
        reader.error(
            url.pos,
            format!("url: {text:?} is not an http:// address"),
            "write http://HOST:PORT/PATH",
        );
        return None;
    }
    let copied = reader.texts("copy_headers", node.get("copy_headers"));
    let copied = copied.into_iter().filter_map(|(name, pos)| reader.field_name("copy_headers", &name, pos));
    let copy_headers = copied.collect();
    let timeout = reader.span("timeout", node.get("timeout")).unwrap_or(Span::secs(5));
    Some(ForwardAuth { url: text, copy_headers, timeout })
}

pub(crate) fn rate_limit(reader: &mut Reader<'_>, node: &Node) -> Option<RateLimit> {
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "routes.[].rate_limit");
    if node.get("requests").is_none() {
        reader.wrong(node.pos, "does not say how many", "add requests: 100");
    }
    let requests = reader.whole("requests", node.get("requests"), 1..=10_000_000)? as u32;
    let burst =
        reader.whole("burst", node.get("burst"), 1..=10_000_000).map_or(requests, |burst| burst as u32);
    let per = reader.span("per", node.get("per")).unwrap_or(Span::secs(1));
    if let Some(zero) = node.get("per").filter(|_| per == Span::ZERO) {
        reader.error(zero.pos, "per is no time at all", "write 1s");
    }
    let by = match reader.text("by", node.get("by")).as_deref() {
        None | Some("source") => RateKey::Source,
        Some("all") => RateKey::All,
        Some(other) => match other.strip_prefix("header:") {
            Some(name) => RateKey::Header(name.trim().into()),
            None => {
                let pos = node.get("by").map_or(node.pos, |node| node.pos);
                reader.error(
                    pos,
                    format!("by: {other} is not one of source, all, header:NAME"),
                    "write one of them",
                );
                RateKey::Source
            }
        },
    };
    Some(RateLimit { requests, per, burst, by })
}
