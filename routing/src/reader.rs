//! Single values, with an error at the value where one does not fit.

use crate::table;
use naru_model::Span;
use naru_yaml::{Node, Pos, Report, Value, boolean, units};

/// Reads below one place of the file.
pub(crate) struct Reader<'a> {
    pub(crate) report: &'a mut Report,
    /// That place, for messages: `x-naru.routes[2]`.
    pub(crate) at: String,
}

impl Reader<'_> {
    /// A reader of what is below a key.
    pub(crate) fn below(&mut self, key: &str) -> Reader<'_> {
        let dot = if key.starts_with('[') { "" } else { "." };
        Reader { at: format!("{}{dot}{key}", self.at), report: self.report }
    }

    pub(crate) fn error(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        let dot = if self.at.is_empty() { "" } else { "." };
        self.report.error_advised(pos, format!("{}{dot}{what}", self.at), advice);
    }

    /// An error of the place itself.
    pub(crate) fn wrong(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        self.report.error_advised(pos, format!("{} {what}", self.at), advice);
    }

    /// Tells keys that the table does not have below a path.
    pub(crate) fn keys(&mut self, node: &Node, path: &str) {
        let known = &table::below(path);
        for (key, value) in node.entries() {
            if !known.contains(&key.as_str()) && !key.starts_with("x-") {
                let advice = nearest(key, known).map(|near| format!("did you mean {near}?"));
                let advice = advice.unwrap_or_else(|| format!("the keys here are: {}", known.join(", ")));
                self.error(value.key, format!("{key} is not a key that Naru knows"), advice);
            }
        }
    }

    pub(crate) fn is_map(&mut self, node: &Node) -> bool {
        let is = node.map().is_some();
        if !is {
            self.wrong(node.pos, format!("must be a mapping, not {}", node.shown()), "write key: value");
        }
        is
    }

    pub(crate) fn text(&mut self, key: &str, node: Option<&Node>) -> Option<String> {
        let node = node?;
        let text = node.scalar().filter(|text| !text.is_empty() && !text.contains(|c: char| c.is_control()));
        if text.is_none() {
            self.error(
                node.pos,
                format!("{key} must be a text of one line, not {}", node.shown()),
                "write a text",
            );
        }
        text
    }

    /// One text, or a list of them.
    pub(crate) fn texts(&mut self, key: &str, node: Option<&Node>) -> Vec<(String, Pos)> {
        let Some(node) = node else { return Vec::new() };
        match &node.value {
            Value::List(items) => {
                items.iter().filter_map(|item| Some((self.text(key, Some(item))?, item.pos))).collect()
            }
            _ => self.text(key, Some(node)).map(|text| (text, node.pos)).into_iter().collect(),
        }
    }

    pub(crate) fn whole(
        &mut self,
        key: &str,
        node: Option<&Node>,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let node = node?;
        let number = node.scalar().and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            let what = format!("{key} must be a whole number from {least} to {most}, not {}", node.shown());
            self.error(node.pos, what, format!("write a whole number from {least} to {most}"));
        }
        number
    }

    pub(crate) fn truth(&mut self, key: &str, node: Option<&Node>) -> Option<bool> {
        let node = node?;
        let read = match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Str(text) => boolean(text),
            _ => None,
        };
        if read.is_none() {
            let what = format!("{key} must be true or false, not {}", node.shown());
            self.error(node.pos, what, "write true or false");
        }
        read
    }

    pub(crate) fn span(&mut self, key: &str, node: Option<&Node>) -> Option<Span> {
        let node = node?;
        let nanos = node.scalar().and_then(|text| units::duration(&text)).filter(|nanos| *nanos >= 0);
        if nanos.is_none() {
            let what = format!("{key} must be a duration, not {}", node.shown());
            self.error(node.pos, what, "write it with its unit: 10s, 1m30s, 500ms, 2h, 1d");
        }
        nanos.map(|nanos| Span(nanos.unsigned_abs().div_ceil(1_000_000)))
    }

    pub(crate) fn word<T: Copy>(&mut self, key: &str, node: Option<&Node>, words: &[(&str, T)]) -> Option<T> {
        let node = node?;
        let found = words.iter().find(|(word, _)| node.scalar().as_deref() == Some(word));
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("{key}: {} is not one of {}", node.shown(), all.join(", "));
            let near =
                nearest(node.str().unwrap_or_default(), &all).map(|near| format!("did you mean {near}?"));
            self.error(node.pos, what, near.unwrap_or_else(|| "write one of them".into()));
        }
        found.map(|(_, value)| *value)
    }

    /// Networks, as the edge reads them.
    pub(crate) fn networks(&mut self, key: &str, node: Option<&Node>) -> Vec<String> {
        let texts = self.texts(key, node);
        let mut networks = Vec::new();
        for (text, pos) in texts {
            match text.parse::<naru_traffic::Network>() {
                Ok(_) => networks.push(text),
                Err(bad) => self.error(pos, format!("{key}: {text:?} is no network"), hint(&bad)),
            }
        }
        networks
    }

    /// The name of a header field, as it may be sent.
    pub(crate) fn field_name(&mut self, key: &str, name: &str, pos: Pos) -> Option<String> {
        let ok = is_token(name);
        if !ok {
            self.error(
                pos,
                format!("{key}: {name:?} is not the name of a header field"),
                "write letters, digits and -",
            );
        }
        ok.then(|| name.to_string())
    }

    /// The name of a cookie: the same letters.
    pub(crate) fn cookie_name(&mut self, key: &str, name: &str, pos: Pos) -> Option<String> {
        let ok = is_token(name);
        if !ok {
            let what = format!("{key}: {name:?} is not the name of a cookie");
            self.error(pos, what, "write letters, digits, - and _");
        }
        ok.then(|| name.to_string())
    }
}

/// A word of HTTP, of a length that anybody would write.
fn is_token(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 256 && name.bytes().all(fits)
}

fn hint(bad: &naru_traffic::BadNetwork) -> String {
    let text = bad.to_string();
    text.split_once(": ").map_or(text.clone(), |(_, hint)| hint.to_string())
}

/// A path of the file, from the project's folder.
pub(crate) fn resolve(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.into();
    }
    format!("{}/{}", folder.trim_end_matches('/'), path.strip_prefix("./").unwrap_or(path))
}

fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(word, name), *name)).min();
    near.filter(|(distance, _)| *distance <= (word.chars().count() / 3).max(1)).map(|(_, name)| name)
}
