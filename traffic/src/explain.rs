//! Why a rule takes a request, or does not: one sentence for each.

use crate::Rules;
use crate::ask::Ask;
use crate::rules::{Bad, Conditions, captures, holds, is_host};
use naru_model::{FieldMatch, PathMatch, Rule, ValueMatch};
use std::borrow::Borrow;
use std::fmt;

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// Its place.
    pub index: usize,
    /// Its name.
    pub rule: String,
    /// What was found.
    pub why: Why,
}

/// Whether a rule takes a request, and if not, the first condition that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It is the first that fits.
    Takes,
    /// The host is another.
    Host {
        /// The request's.
        host: String,
        /// The rule's.
        wanted: Vec<String>,
    },
    /// The path is another.
    Path {
        /// The request's, normalised.
        path: String,
        /// The rule's.
        wanted: Vec<PathMatch>,
    },
    /// The method is another.
    Method {
        /// The request's.
        method: String,
        /// The rule's.
        wanted: Vec<String>,
    },
    /// A header field is not as it has to be.
    Header(FieldMatch),
    /// A query parameter is not as it has to be.
    Query(FieldMatch),
    /// It comes from elsewhere.
    Source {
        /// From there.
        source: String,
        /// The rule's.
        wanted: Vec<String>,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Takes => f.write_str("the first that fits"),
            Why::Host { host, wanted } if host.is_empty() => {
                write!(f, "no host, and not {}", wanted.join(" or "))
            }
            Why::Host { host, wanted } => write!(f, "host {host} is not {}", wanted.join(" or ")),
            Why::Path { path, wanted } => {
                let wanted: Vec<String> = wanted.iter().map(PathMatch::to_string).collect();
                write!(f, "path {path} is not {}", wanted.join(" or "))
            }
            Why::Method { method, wanted } => write!(f, "method {method} is not {}", wanted.join(" or ")),
            Why::Header(field) => write!(f, "header {}", unmet(field)),
            Why::Query(field) => write!(f, "query {}", unmet(field)),
            Why::Source { source, wanted } => write!(f, "source {source} is not in {}", wanted.join(" or ")),
        }
    }
}

fn unmet(field: &FieldMatch) -> String {
    let name = &field.name;
    match &field.value {
        ValueMatch::Equals(value) => format!("{name} is not {value:?}"),
        ValueMatch::Prefix(value) => format!("{name} does not begin with {value:?}"),
        ValueMatch::Present(true) => format!("{name} is not there"),
        ValueMatch::Present(false) => format!("{name} is there"),
    }
}

/// Looks at the rules in order, up to the one that takes the request.
///
/// # Errors
/// A rule that makes no sense.
pub fn explain(rules: &[impl Borrow<Rule>], ask: &Ask<'_>) -> Result<Vec<Considered>, Bad> {
    let mut considered = Vec::new();
    for (index, rule) in rules.iter().map(Borrow::borrow).enumerate() {
        let why = why(&Conditions::read(rule)?, ask);
        let takes = why == Why::Takes;
        considered.push(Considered { index, rule: rule.name.clone(), why });
        if takes {
            break;
        }
    }
    debug_assert_eq!(
        Rules::compile(rules)?.find(ask).map(|found| found.index),
        considered.last().filter(|last| last.why == Why::Takes).map(|last| last.index),
        "what is explained is what is done"
    );
    Ok(considered)
}

fn why(conditions: &Conditions, ask: &Ask<'_>) -> Why {
    let when = &conditions.when;
    if !(when.hosts.is_empty() || when.hosts.iter().any(|host| is_host(ask.host, host))) {
        return Why::Host { host: ask.host.into(), wanted: when.hosts.clone() };
    }
    if captures(&when.paths, ask.path).is_none() {
        return Why::Path { path: ask.path.into(), wanted: when.paths.clone() };
    }
    if !(when.methods.is_empty() || when.methods.iter().any(|method| method == ask.method)) {
        return Why::Method { method: ask.method.into(), wanted: when.methods.clone() };
    }
    if let Some(field) = when.headers.iter().find(|field| !holds(field, ask.fields.field(&field.name))) {
        return Why::Header(field.clone());
    }
    let parameter = |field: &FieldMatch| ask.parameter(&field.name).map(str::as_bytes);
    if let Some(field) = when.query.iter().find(|field| !holds(field, parameter(field))) {
        return Why::Query(field.clone());
    }
    if !(conditions.sources.is_empty() || conditions.sources.iter().any(|source| source.contains(ask.source)))
    {
        return Why::Source { source: ask.source.to_string(), wanted: when.sources.clone() };
    }
    Why::Takes
}
