//! Reading single values of one service into the model's types, with an error at the value where one does
//! not fit.

use naru_model::{Process, Span};
use naru_yaml::{Node, Pos, Report, Value, boolean, units};

/// Reads the values of one service.
pub(crate) struct Reader<'a> {
    pub report: &'a mut Report,
    /// Below which top-level key it stands: `services` or `jobs`.
    pub kind: &'static str,
    /// The service's name, for messages.
    pub service: &'a str,
    pub lacks: Lacks,
}

/// Whether it is told that something is missing. In a service with a key that is not known, what is missing
/// may well be that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    Tell,
    Hide,
}

impl Reader<'_> {
    /// An error in the service, at `pos`.
    pub fn error(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        self.report.error_advised(pos, format!("{}.{}.{what}", self.kind, self.service), advice);
    }

    /// Something that the service does not have, at `pos`.
    pub fn lack(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        if self.lacks == Lacks::Tell {
            self.error(pos, what, advice);
        }
    }

    /// What keeps the service from being run here and now, at `pos`.
    pub fn unfit(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        if self.lacks == Lacks::Tell {
            self.report.unfit(pos, format!("{}.{}.{what}", self.kind, self.service), advice);
        }
    }

    /// A surprise in the service, at `pos`.
    pub fn warn(&mut self, pos: Pos, what: impl std::fmt::Display, advice: impl Into<String>) {
        self.report.warn_advised(pos, format!("{}.{}.{what}", self.kind, self.service), advice);
    }

    /// A duration of zero or more; what is under a millisecond counts as one.
    pub fn span(&mut self, key: &str, node: Option<&Node>) -> Option<Span> {
        let node = node?;
        let nanos = node.scalar().and_then(|text| units::duration(&text)).filter(|nanos| *nanos >= 0);
        match nanos {
            Some(nanos) => Some(Span(nanos.unsigned_abs().div_ceil(1_000_000))),
            None => {
                let what = format!("{key} must be a duration, not {}", node.shown());
                self.error(node.pos, what, "write it with its unit: 10s, 1m30s, 500ms, 2h, 1d");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&mut self, key: &str, node: Option<&Node>, least: u64, most: u64) -> Option<u64> {
        let node = node?;
        let number = node.scalar().and_then(|text| text.parse().ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            let what = format!("{key} must be a whole number from {least} to {most}, not {}", node.shown());
            self.error(node.pos, what, format!("write a whole number from {least} to {most}"));
        }
        number
    }

    /// A port's number.
    pub fn port(&mut self, key: &str, node: Option<&Node>) -> Option<u16> {
        let number = self.whole(key, node, 1, u64::from(u16::MAX))?;
        u16::try_from(number).ok()
    }

    /// A share from 0 to 1, in thousandths.
    pub fn permille(&mut self, key: &str, node: Option<&Node>) -> Option<u32> {
        let node = node?;
        let ratio = node.scalar().and_then(|text| text.parse::<f64>().ok());
        match ratio.filter(|ratio| (0.0..=1.0).contains(ratio)) {
            Some(ratio) => Some((ratio * 1000.0).round() as u32),
            None => {
                let what = format!("{key} must be a share from 0 to 1, not {}", node.shown());
                self.error(node.pos, what, "write a number, as 0.1 for one in ten");
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, key: &str, node: Option<&Node>) -> Option<bool> {
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

    /// One of `words`, as what it stands for.
    pub fn word<T: Copy>(&mut self, key: &str, node: Option<&Node>, words: &[(&str, T)]) -> Option<T> {
        let node = node?;
        let found = words.iter().find(|(word, _)| node.str() == Some(word));
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("{key}: {} is not one of {}", node.shown(), all.join(", "));
            let nearest = naru_yaml::nearest(node.str().unwrap_or_default(), all.iter().copied());
            self.error(node.pos, what, nearest.unwrap_or_else(|| "write one of them".into()));
        }
        found.map(|(_, value)| *value)
    }

    /// A command: a list of words, or a text that is split into words. It has at least one word, and no
    /// operators of a shell.
    pub fn command(&mut self, key: &str, node: &Node) -> Option<Process> {
        let advice = "write a list of words; for a shell's syntax, [sh, -c, \"…\"]";
        let words = match &node.value {
            Value::Str(line) => match units::split_words(line) {
                None => {
                    self.error(node.pos, format!("{key} has a quote or bracket that is not closed"), advice);
                    return None;
                }
                Some(split) => {
                    if let Some(operator) = split.cut_at {
                        let pos = self.report.narrow(node.pos, &operator.to_string());
                        let what = format!("{key} has {operator} in it, and no shell reads it");
                        self.error(pos, what, advice);
                        return None;
                    }
                    split.words
                }
            },
            _ => node.items().iter().filter_map(Node::scalar).collect(),
        };
        if words.first().is_none_or(String::is_empty) {
            let pos = if node.scalar().is_some() { node.pos } else { node.key };
            self.error(pos, format!("{key} names no program"), advice);
            return None;
        }
        Some(Process { command: words })
    }
}
