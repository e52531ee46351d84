//! The schema check: JSON Schema, as far as the Compose Specification's schema uses it, over the tree.
//!
//! The specification's own schema decides what is accepted; this module decides how it is told: at the key
//! or value, with the nearest known key, and for a choice of shapes, by the shape that was meant.

use crate::encode::to_json;
use naru_yaml::{Node, Path, Pos, Report, Value, nearest};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The schema of the Compose Specification.
pub(crate) static COMPOSE: LazyLock<Json> = LazyLock::new(|| {
    let mut whole: Json =
        serde_json::from_str(include_str!("compose-spec.json")).expect("the schema is part of this crate");
    whole["$defs"]["job"] = job(&whole);
    whole
});

/// A service without what manages one that runs for long, and with its triggers: the form of the specification's pull
/// request 642.
fn job(whole: &Json) -> Json {
    let mut job = whole["$defs"]["service"].clone();
    let triggers = whole["$defs"]["triggers"].clone();
    if let Some(keys) = job["properties"].as_object_mut() {
        keys.retain(|key, _| !OF_SERVICES_ALONE.contains(&key.as_str()));
        keys.insert("triggers".into(), triggers);
    }
    job
}

/// The keys of a service that a job does not have.
pub(crate) const OF_SERVICES_ALONE: &[&str] = &[
    "attach",
    "container_name",
    "deploy",
    "develop",
    "extends",
    "external_links",
    "links",
    "post_start",
    "pre_start",
    "pre_stop",
    "provider",
    "restart",
    "scale",
];

/// What happens to a key that the schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Refuse,
    Ignore,
}

/// Checks `node` against `schema`; references in it are looked up in `root`.
pub(crate) struct Check<'a> {
    pub root: &'a Json,
    /// Whose keys they are, for messages.
    pub of: &'static str,
    pub unknown: Unknown,
    pub report: &'a mut Report,
}

/// Something that does not fit, before it is told.
struct Misfit {
    path: Path,
    pos: Pos,
    message: String,
    advice: String,
}

impl Check<'_> {
    /// Reports everything that does not fit. The path is only for messages.
    pub fn run(&mut self, schema: &Json, node: &Node, path: &Path) {
        let mut misfits = Vec::new();
        self.node(schema, node, path, &mut misfits);
        for Misfit { path, pos, message, advice } in misfits {
            self.report.error_in(&path, pos, message, advice);
        }
    }

    fn node(&self, schema: &Json, node: &Node, path: &Path, out: &mut Vec<Misfit>) {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            return self.choice(choices, node, path, out);
        }
        let types = type_names(&schema["type"]);
        if !types.is_empty() && !types.iter().any(|name| is_type(node, name)) {
            return out.push(wrong_type(node, path, &types));
        }
        self.limits(schema, node, path, out);
        match &node.value {
            Value::Map(_) => self.mapping(schema, node, path, out),
            Value::List(list) => self.list(schema, list, path, out),
            _ => {}
        }
    }

    fn resolve<'j>(&'j self, schema: &'j Json) -> &'j Json {
        match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) => self.root.pointer(pointer).unwrap_or(&Json::Null),
            None => schema,
        }
    }

    /// One of several shapes: the one that fits, or else what is wrong with the one that was meant.
    fn choice(&self, choices: &[Json], node: &Node, path: &Path, out: &mut Vec<Misfit>) {
        let (mut types, mut meant) = (Vec::new(), None);
        for choice in choices {
            let choice = self.resolve(choice);
            let mut misfits = Vec::new();
            self.node(choice, node, path, &mut misfits);
            if misfits.is_empty() {
                return;
            }
            let own = self.types_of(choice);
            if own.iter().any(|name| is_type(node, name)) {
                meant = Some(misfits);
            }
            types.extend(own);
        }
        match meant {
            Some(misfits) => out.extend(misfits),
            None => out.push(wrong_type(node, path, &types)),
        }
    }

    fn types_of<'j>(&'j self, schema: &'j Json) -> Vec<&'j str> {
        let schema = self.resolve(schema);
        match schema["oneOf"].as_array() {
            Some(choices) => choices.iter().flat_map(|choice| self.types_of(choice)).collect(),
            None => type_names(&schema["type"]),
        }
    }

    fn limits(&self, schema: &Json, node: &Node, path: &Path, out: &mut Vec<Misfit>) {
        let number = match node.value {
            Value::Int(value) => Some(value as f64),
            Value::Float(value) => Some(value),
            _ => None,
        };
        let misfit =
            |message: String, advice: String| Misfit { path: path.clone(), pos: node.pos, message, advice };
        if let (Some(number), Some(least)) = (number, schema["minimum"].as_f64())
            && number < least
        {
            out.push(misfit(format!("{path} must be at least {least}"), format!("write {least} or more")));
        }
        if let (Some(number), Some(most)) = (number, schema["maximum"].as_f64())
            && number > most
        {
            out.push(misfit(format!("{path} must be at most {most}"), format!("write {most} or less")));
        }
        if let (Some(words), Value::Str(text)) = (schema["enum"].as_array(), &node.value) {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            if !words.contains(&text.as_str()) {
                let message = format!("{path}: {} is not one of {}", node.shown(), words.join(", "));
                let advice = nearest(text, words.iter().copied());
                out.push(misfit(message, advice.unwrap_or_else(|| "write one of them".into())));
            }
        }
        if let (Some(pattern), Value::Str(text)) = (schema["pattern"].as_str(), &node.value)
            && !fits_pattern(pattern, text)
        {
            let message = format!("{path}: {} does not have the form {pattern}", node.shown());
            out.push(misfit(message, "write it in this form".into()));
        }
    }

    fn mapping(&self, schema: &Json, node: &Node, path: &Path, out: &mut Vec<Misfit>) {
        for (key, value) in node.entries() {
            let path = path.key(key);
            match self.schema_of_key(schema, key) {
                Some(schema) => self.node(schema, value, &path, out),
                None if schema["additionalProperties"] == Json::Bool(false)
                    && self.unknown == Unknown::Refuse =>
                {
                    out.push(unknown_key(schema, key, value, &path, self.of));
                }
                None => {}
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| node.get(name).is_none()) {
            let message = format!("{path} has to have the key \"{name}\"");
            let advice = format!("add {name}: …");
            out.push(Misfit { path: path.clone(), pos: node.key, message, advice });
        }
    }

    fn schema_of_key<'j>(&'j self, schema: &'j Json, key: &str) -> Option<&'j Json> {
        if let Some(found) = schema["properties"].get(key) {
            return Some(found);
        }
        let patterns = schema["patternProperties"].as_object().into_iter().flatten();
        let by_pattern =
            patterns.filter(|(pattern, _)| fits_pattern(pattern, key)).map(|(_, found)| found).next();
        let other = Some(&schema["additionalProperties"]).filter(|other| other.is_object());
        by_pattern.or(other)
    }

    fn list(&self, schema: &Json, list: &[Node], path: &Path, out: &mut Vec<Misfit>) {
        let item_path = path.item();
        if schema["items"].is_object() {
            list.iter().for_each(|item| self.node(&schema["items"], item, &item_path, out));
        }
        if schema["uniqueItems"] == Json::Bool(true) {
            let mut known = BTreeSet::new();
            for item in list {
                if !known.insert(to_json(item).to_string()) {
                    let message = format!("{path} has {} twice", item.shown());
                    let advice = "remove one of them".into();
                    out.push(Misfit { path: path.clone(), pos: item.pos, message, advice });
                }
            }
        }
    }
}

fn type_names(types: &Json) -> Vec<&str> {
    match types {
        Json::String(name) => vec![name],
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_type(node: &Node, name: &str) -> bool {
    match (&node.value, name) {
        (Value::Null, "null") | (Value::Bool(_), "boolean") | (Value::Str(_), "string") => true,
        (Value::Int(_), "integer" | "number") | (Value::Float(_), "number") => true,
        (Value::Float(value), "integer") => value.fract() == 0.0,
        (Value::List(_), "array") | (Value::Map(_), "object") => true,
        _ => false,
    }
}

/// Keys that take a duration: to the schema a text like others.
const DURATIONS: &[&str] = &[
    "interval",
    "timeout",
    "start_period",
    "start_interval",
    "stop_grace_period",
    "delay",
    "monitor",
    "window",
    "soak",
    "for",
    "healthy_within",
    "postpone_max",
    "backoff",
];

fn wrong_type(node: &Node, path: &Path, types: &[&str]) -> Misfit {
    let is_duration = path.parts().last().is_some_and(|last| DURATIONS.contains(&last.as_str()));
    if let Some(number) = node.scalar().filter(|_| is_duration && types == ["string"]) {
        let message = format!("{path} must be a duration, not {}", node.kind());
        let advice = format!("write it with its unit: {number}s, {number}m, {number}h");
        return Misfit { path: path.clone(), pos: node.pos, message, advice };
    }
    let mut words: Vec<&str> = Vec::new();
    for name in types {
        let word = match *name {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "a text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let wanted = words.join(" or ");
    let scalar = matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Bool(_));
    let advice = match node.scalar() {
        Some(text) if scalar && words.contains(&"a text") => format!("put it in quotes: \"{text}\""),
        _ => meant(node, path, &words).unwrap_or_else(|| format!("write {wanted}")),
    };
    let pos = if node.scalar().is_some() { node.pos } else { node.key };
    let message = format!("{path} must be {wanted}, not {}", node.kind());
    Misfit { path: path.clone(), pos, message, advice }
}

/// Advice for a value of the wrong type that was probably meant well.
fn meant(node: &Node, path: &Path, wanted: &[&str]) -> Option<String> {
    let known = &COMPOSE["$defs"]["service"]["properties"];
    match (path.parts(), &node.value) {
        ([group, key], _) if group == "services" && known.get(key).is_some() => {
            Some(format!("{key} is a key of a service: indent it below the service's name"))
        }
        ([.., own, key], Value::Str(_)) if own == "x-naru" && key == "process" => {
            Some("write process: { command: … }".into())
        }
        ([.., list, item], Value::Map(map)) if list == "environment" && item == "[]" && map.len() == 1 => {
            let (name, value) = map.first()?;
            Some(format!("write {name}={}", value.scalar().unwrap_or_default()))
        }
        (_, Value::Null) if wanted == ["a mapping"] => {
            Some("indent what belongs to it further than its own name".into())
        }
        (_, Value::Str(text)) if wanted == ["a mapping"] && text.contains('\u{a0}') => {
            Some("the blank in it is none (U+00A0): type it anew".into())
        }
        (_, Value::Str(text)) if wanted == ["a mapping"] && text.contains(':') => {
            Some("a key is followed by a colon and a blank".into())
        }
        (_, Value::Str(_) | Value::Int(_)) if wanted == ["a list"] => {
            Some(format!("write a list: [{}]", node.shown()))
        }
        _ => None,
    }
}

/// What is looked for in the wrong place, or under another tool's name.
const ELSEWHERE: &[(&str, &str)] = &[
    ("replicas", "deploy.replicas"),
    ("update_config", "deploy.update_config"),
    ("resources", "deploy.resources"),
    ("restart_policy", "restart, or deploy.restart_policy"),
    ("env", "environment"),
    ("cmd", "command"),
    ("health", "healthcheck, or x-naru.health"),
    ("process", "x-naru.process"),
    ("rollout", "x-naru.rollout"),
    ("work", "x-naru.work"),
    ("singleton", "x-naru.singleton"),
];

/// The same of `x-naru`, by the whole path of its key.
const MOVED: &[(&str, &str)] =
    &[("x-naru.rollout.sticky", "write traffic: { sticky: version } below x-naru")];

fn unknown_key(schema: &Json, key: &str, value: &Node, path: &Path, of: &str) -> Misfit {
    let known = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let patterns = schema["patternProperties"].as_object().into_iter().flatten();
    if path.parts().len() == 1 && ["image", "build", "x-naru"].iter().any(|key| value.get(key).is_some()) {
        let message = format!("{path} is not a key that {of} knows at the top");
        let advice = "a service is indented below services:".into();
        return Misfit { path: path.clone(), pos: value.key, message, advice };
    }
    let elsewhere = ELSEWHERE.iter().find(|(name, _)| *name == key && of == "Compose");
    let elsewhere = elsewhere.map(|(_, there)| format!("did you mean {there}?"));
    let moved = MOVED.iter().find(|(name, _)| path.to_string().ends_with(name));
    let elsewhere = elsewhere.or_else(|| moved.map(|(_, there)| (*there).to_string()));
    let advice = elsewhere.or_else(|| nearest(key, known)).unwrap_or_else(|| {
        match patterns.map(|(name, _)| name.as_str()).next() {
            Some(pattern) if pattern != "^x-" => {
                "a name here has letters from a to z, digits, and . _ - only".into()
            }
            _ => "remove it; own keys start with x-".into(),
        }
    });
    let message = format!("{path} is not a key that {of} knows");
    Misfit { path: path.clone(), pos: value.key, message, advice }
}

/// The patterns that the schemas use. Each is spelled out, since a regular expression engine for seven
/// patterns is more than they need; a test holds this list complete.
pub(crate) fn fits_pattern(pattern: &str, text: &str) -> bool {
    let all = |fits: fn(char) -> bool| !text.is_empty() && text.chars().all(fits);
    match pattern {
        "^x-" => text.starts_with("x-"),
        "^.+$" | ".+" => !text.is_empty(),
        "^[a-z]+$" => all(|c| c.is_ascii_lowercase()),
        "^[a-zA-Z0-9._-]+$" => all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')),
        "[a-zA-Z0-9][a-zA-Z0-9_.-]+" => text.as_bytes().windows(2).any(|pair| {
            pair[0].is_ascii_alphanumeric() && (pair[1].is_ascii_alphanumeric() || b"_.-".contains(&pair[1]))
        }),
        PULL_POLICY => fits_pull_policy(text),
        _ => false,
    }
}

const PULL_POLICY: &str =
    "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+";

fn fits_pull_policy(text: &str) -> bool {
    let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = text.split("every_").skip(1).any(|rest| {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < rest.len() && unit.starts_with(['w', 'd', 'h', 'm', 's'])
    });
    every || words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{COMPOSE, Json, fits_pattern, nearest};

    fn patterns(schema: &Json, out: &mut Vec<String>) {
        match schema {
            Json::Object(map) => {
                if let Some(found) = map.get("patternProperties").and_then(Json::as_object) {
                    out.extend(found.keys().cloned());
                }
                out.extend(map.get("pattern").and_then(Json::as_str).map(str::to_string));
                map.values().for_each(|value| patterns(value, out));
            }
            Json::Array(list) => list.iter().for_each(|value| patterns(value, out)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_the_schema_is_known() {
        let mut found = Vec::new();
        patterns(&COMPOSE, &mut found);
        assert!(found.len() > 20);
        for pattern in found {
            let fits = ["x-a", "web", "always"].iter().any(|text| fits_pattern(&pattern, text));
            assert!(fits, "{pattern}");
        }
    }

    #[test]
    fn near_words_are_offered_and_far_ones_are_not() {
        let known = ["image", "environment", "env_file"];
        let offer = |word| nearest(word, known.into_iter());
        assert_eq!(offer("imgae").unwrap(), "did you mean image?");
        assert_eq!(offer("enviroment").unwrap(), "did you mean environment?");
        assert_eq!(offer("env-file").unwrap(), "did you mean env_file?");
        assert_eq!(offer("zebra"), None);
    }
}
