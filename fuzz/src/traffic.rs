//! The rule that is found is the one that a look at each of them in order finds; a normal path stays what it is.

use naru_model::{Edits, Guard, Match, PathMatch, Respond, Rule, RuleAction};
use naru_traffic::{Ask, Rules, Why, explain, normal};

/// Lines: those of rules (`host path method`), an empty one, those of requests.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, asks) = text.split_once("\n\n").unwrap_or((text, ""));
    let rules: Vec<_> = rules.lines().take(32).enumerate().map(|(at, line)| rule(at, line)).collect();
    let Ok(filed) = Rules::compile(&rules) else { return };
    for ask in asks.lines().take(32) {
        let [host, path, method] = words(ask);
        let Ok(path) = normal(path) else { continue };
        assert_eq!(normal(&path).as_deref(), Ok(&*path), "normal once is normal for ever");
        let source = "192.0.2.1".parse().expect("an address");
        let ask = Ask { method, host, path: &path, query: None, source, fields: &() };
        let told = explain(&rules, &ask).expect("rules that compile are explained");
        let takes = told.last().filter(|last| last.why == Why::Takes).map(|last| last.index);
        assert_eq!(filed.find(&ask).map(|found| found.index), takes, "{host} {path} in {rules:#?}");
    }
}

fn words(line: &str) -> [&str; 3] {
    let mut words = line.split(' ');
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

fn rule(at: usize, line: &str) -> Rule {
    let [hosts, paths, methods] = words(line).map(|word| word.split('|').filter(|one| !one.is_empty()));
    let path = |text: &str| {
        if text.contains(['*', '{']) {
            return Some(PathMatch::Pattern(text.into()));
        }
        let path = normal(text.trim_end_matches('+')).ok()?.into_owned();
        Some(if text.ends_with('+') { PathMatch::Prefix(path) } else { PathMatch::Exact(path) })
    };
    let when = Match {
        hosts: hosts.map(str::to_ascii_lowercase).collect(),
        paths: paths.filter_map(path).collect(),
        methods: methods.map(String::from).collect(),
        ..Match::default()
    };
    let action =
        RuleAction::Respond(Respond { status: 200, content_type: String::new(), body: String::new() });
    Rule { name: format!("r{at}"), when, guard: Guard::default(), edits: Edits::default(), action }
}
