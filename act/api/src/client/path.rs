//! Paths and queries, with everything that is not plain escaped.

use std::fmt::{Display, Write};

/// A request's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target(String);

impl Target {
    pub(super) fn new(path: &str) -> Target {
        Target(path.into())
    }

    /// `FOLDER/NAME` and what follows it.
    pub(super) fn below(folder: &str, name: impl Display, rest: &str) -> Target {
        let mut path = format!("{folder}/");
        escape(&name.to_string(), &mut path);
        Target(path + rest)
    }

    /// With a parameter of the query, if it has a value.
    pub(super) fn with(mut self, name: &str, value: Option<impl Display>) -> Target {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            escape(&value.to_string(), &mut self.0);
        }
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(byte.into());
        } else {
            write!(into, "%{byte:02X}").expect("a string takes all that is written to it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn what_is_not_plain_is_escaped() {
        let target = Target::below("/v1/nodes", "a/b", "/routes").with("stack", Some("x y&z=1"));
        assert_eq!(target.with("tail", None::<u64>).as_str(), "/v1/nodes/a%2Fb/routes?stack=x%20y%26z%3D1");
    }
}
