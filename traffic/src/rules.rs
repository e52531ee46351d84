//! Which rule takes a request: the first of those that fit, found without looking at all of them.
//!
//! Rules are filed under the hosts that they name (a name, a domain, or any), and there under the literal beginning of
//! their paths. A request is compared only with what stands under one of its own few keys: its host, the domains that
//! it is in, any; and each beginning of its path. Under a key the order is the rules' own, so that the least number
//! that fits is the first rule of all.

use crate::ask::Ask;
use crate::names::Names;
use crate::network::Network;
use crate::path::{Captures, fits, is_below};
use naru_model::{FieldMatch, Match, PathMatch, Rule, ValueMatch};
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// Longest host that is looked for: a name has at most 253 characters, and what is longer is none.
const LONGEST: usize = 256;

/// A rule that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {what}")]
pub struct Bad {
    /// Its name.
    pub rule: String,
    /// What is the matter.
    pub what: String,
}

/// The rule that takes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place among the rules.
    pub index: usize,
    /// What the names of its path stand for.
    pub captures: Captures,
}

/// The rules of one listener.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    conditions: Vec<Conditions>,
    any_host: Paths,
    by_host: Names<Paths>,
    /// By what follows the `*.`
    by_domain: Names<Paths>,
}

#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    pub(crate) when: Match,
    pub(crate) sources: Vec<Network>,
}

/// Rules by the literal beginning of their paths.
#[derive(Clone, Debug, Default)]
struct Paths {
    any: Vec<Filed>,
    exact: BTreeMap<String, Vec<Filed>>,
    /// The beginning ends at a slash, which is left out.
    below: BTreeMap<String, Vec<Filed>>,
}

/// A rule under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Filed {
    index: u32,
    /// Whether it asks for more than its hosts.
    asks: Asks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    More,
}

/// By host and by domain, as they are filed.
#[derive(Default)]
struct Cabinet {
    any: Paths,
    hosts: BTreeMap<String, Paths>,
    domains: BTreeMap<String, Paths>,
}

impl Rules {
    /// Files the rules. Their order is their priority.
    ///
    /// # Errors
    /// A network that is none.
    pub fn compile(rules: &[impl Borrow<Rule>]) -> Result<Rules, Bad> {
        let (mut cabinet, mut conditions) = (Cabinet::default(), Vec::with_capacity(rules.len()));
        for (index, rule) in rules.iter().enumerate() {
            let read = Conditions::read(rule.borrow())?;
            let asks = if read.ask_for_more() { Asks::More } else { Asks::Nothing };
            cabinet.file(Filed { index: index as u32, asks }, &read.when);
            conditions.push(read);
        }
        let Cabinet { any, hosts, domains } = cabinet;
        Ok(Rules { conditions, any_host: any, by_host: Names::of(hosts), by_domain: Names::of(domains) })
    }

    /// The first rule that fits.
    pub fn find(&self, ask: &Ask<'_>) -> Option<Found> {
        let mut best = Best { rules: self, ask, found: None };
        best.try_all(&self.any_host);
        if !(self.by_host.is_empty() && self.by_domain.is_empty()) {
            let mut lower = [0u8; LONGEST];
            let host = ask.host.strip_suffix('.').unwrap_or(ask.host).as_bytes();
            if let Some(room) = lower.get_mut(..host.len()) {
                room.copy_from_slice(host);
                room.make_ascii_lowercase();
                best.try_hosts(std::str::from_utf8(room).unwrap_or_default());
            }
        }
        best.found
    }
}

impl Cabinet {
    fn file(&mut self, filed: Filed, when: &Match) {
        if when.hosts.is_empty() {
            self.any.file(filed, when);
        }
        for host in &when.hosts {
            let paths = match host.strip_prefix("*.") {
                Some(domain) => self.domains.entry(domain.to_ascii_lowercase()),
                None => self.hosts.entry(host.to_ascii_lowercase()),
            };
            paths.or_default().file(filed, when);
        }
    }
}

/// The best rule so far.
struct Best<'a> {
    rules: &'a Rules,
    ask: &'a Ask<'a>,
    found: Option<Found>,
}

impl Best<'_> {
    fn try_hosts(&mut self, host: &str) {
        if let Some(paths) = self.rules.by_host.get(host) {
            self.try_all(paths);
        }
        let mut rest = if self.rules.by_domain.is_empty() { "" } else { host };
        while let Some((_, domain)) = rest.split_once('.') {
            // Something stands before a domain's dot, if it is not a name.
            let named = domain.len() + 1 < host.len();
            if let Some(paths) = self.rules.by_domain.get(domain).filter(|_| named) {
                self.try_all(paths);
            }
            rest = domain;
        }
    }

    fn try_all(&mut self, paths: &Paths) {
        self.try_each(&paths.any);
        let path = self.ask.path;
        if !paths.exact.is_empty()
            && let Some(rules) = paths.exact.get(path)
        {
            self.try_each(rules);
        }
        if paths.below.is_empty() {
            return;
        }
        let ends = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            if let Some(rules) = paths.below.get(&path[..end]) {
                self.try_each(rules);
            }
        }
    }

    fn try_each(&mut self, rules: &[Filed]) {
        for Filed { index, asks } in rules {
            let index = *index as usize;
            if self.found.as_ref().is_some_and(|found| found.index <= index) {
                return;
            }
            // What is asked lies elsewhere in memory, and of most rules it is nothing.
            let fit = match asks {
                Asks::Nothing => Some(Captures::default()),
                Asks::More => self.rules.conditions[index].fit(self.ask),
            };
            if let Some(captures) = fit {
                self.found = Some(Found { index, captures });
                return;
            }
        }
    }
}

impl Paths {
    fn file(&mut self, one: Filed, when: &Match) {
        if when.paths.is_empty() {
            self.any.push(one);
        }
        for path in &when.paths {
            let (map, key) = match path {
                PathMatch::Exact(path) => (&mut self.exact, path.as_str()),
                PathMatch::Prefix(path) => (&mut self.below, path.strip_suffix('/').unwrap_or(path)),
                PathMatch::Pattern(pattern) => (&mut self.below, literal(pattern)),
            };
            let filed = map.entry(key.into()).or_default();
            if filed.last() != Some(&one) {
                filed.push(one);
            }
        }
    }
}

/// The whole segments before the first one that is not literal.
fn literal(pattern: &str) -> &str {
    let is_open = |segment: &&str| *segment == "*" || *segment == "**" || segment.starts_with('{');
    match pattern.split('/').find(is_open) {
        Some(open) => {
            let at = open.as_ptr() as usize - pattern.as_ptr() as usize;
            pattern[..at].strip_suffix('/').unwrap_or_default()
        }
        None => pattern.strip_suffix('/').unwrap_or(pattern),
    }
}

impl Conditions {
    pub(crate) fn read(rule: &Rule) -> Result<Conditions, Bad> {
        let network = |text: &String| {
            text.parse::<Network>().map_err(|bad| Bad { rule: rule.name.clone(), what: bad.to_string() })
        };
        let sources = rule.when.sources.iter().map(network).collect::<Result<_, _>>()?;
        Ok(Conditions { when: rule.when.clone(), sources })
    }

    /// Whether there is more to be looked at than the host, under which a rule is filed.
    fn ask_for_more(&self) -> bool {
        let Match { hosts: _, paths, methods, headers, query, sources } = &self.when;
        !(paths.is_empty()
            && methods.is_empty()
            && headers.is_empty()
            && query.is_empty()
            && sources.is_empty())
    }

    /// Whether all hold.
    pub(crate) fn fit(&self, ask: &Ask<'_>) -> Option<Captures> {
        let when = &self.when;
        let fits = (when.hosts.is_empty() || when.hosts.iter().any(|host| is_host(ask.host, host)))
            && (when.methods.is_empty() || when.methods.iter().any(|method| method == ask.method))
            && (self.sources.is_empty() || self.sources.iter().any(|source| source.contains(ask.source)))
            && when.headers.iter().all(|field| holds(field, ask.fields.field(&field.name)))
            && when.query.iter().all(|field| holds(field, ask.parameter(&field.name).map(str::as_bytes)));
        if fits { captures(&when.paths, ask.path) } else { None }
    }
}

/// Whether a host is the one that is meant, or in the domain.
pub(crate) fn is_host(host: &str, wanted: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > LONGEST {
        return false;
    }
    match wanted.strip_prefix('*').filter(|domain| domain.starts_with('.')) {
        Some(domain) => {
            let split = host.len().checked_sub(domain.len()).filter(|at| *at > 0);
            split.and_then(|at| host.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
        }
        None => host.eq_ignore_ascii_case(wanted),
    }
}

/// How narrow a rule is, to put narrow ones before wide ones: hosts count before paths, and paths before the rest. A
/// name is narrower than a domain, and a domain with more labels than one with fewer; a path is narrower than a
/// pattern, and a pattern than a prefix, each the more segments it has. Of several, the widest counts.
pub fn specificity(when: &Match) -> [usize; 3] {
    let host = |host: &String| match host.strip_prefix("*.") {
        Some(domain) => domain.split('.').count(),
        None => usize::MAX,
    };
    let depth = |path: &str| path.split('/').filter(|segment| !segment.is_empty()).count();
    let path = |path: &PathMatch| match path {
        PathMatch::Exact(path) => 30_000 + depth(path),
        PathMatch::Pattern(pattern) => 10 * depth(pattern) + 5,
        PathMatch::Prefix(prefix) => 10 * depth(prefix),
    };
    let others = usize::from(!when.methods.is_empty())
        + when.headers.len()
        + when.query.len()
        + usize::from(!when.sources.is_empty());
    let widest = |all: &mut dyn Iterator<Item = usize>| all.min().unwrap_or(0);
    [widest(&mut when.hosts.iter().map(host)), widest(&mut when.paths.iter().map(path)), others]
}

/// What the names of a rule's paths stand for in a path. `None`: it fits none of them.
pub fn captures(paths: &[PathMatch], path: &str) -> Option<Captures> {
    if paths.is_empty() {
        return Some(Captures::default());
    }
    paths.iter().find_map(|wanted| match wanted {
        PathMatch::Exact(wanted) => (wanted == path).then(Captures::default),
        PathMatch::Prefix(prefix) => is_below(path, prefix).then(Captures::default),
        PathMatch::Pattern(pattern) => fits(path, pattern),
    })
}

pub(crate) fn holds(field: &FieldMatch, value: Option<&[u8]>) -> bool {
    match (&field.value, value) {
        (ValueMatch::Present(wanted), value) => *wanted == value.is_some(),
        (ValueMatch::Equals(wanted), Some(value)) => value == wanted.as_bytes(),
        (ValueMatch::Prefix(wanted), Some(value)) => value.starts_with(wanted.as_bytes()),
        (_, None) => false,
    }
}
