//! The rules that are found are those that a look at each of them in order would find.

#[path = "../../wire/tests/numbers/mod.rs"]
mod numbers;

use naru_model::{Edits, FieldMatch, Guard, Match, PathMatch, Respond, Rule, RuleAction, ValueMatch};
use naru_traffic::{Ask, Fields, Rules, Why, explain, normal};
use numbers::Numbers;

struct Headers(Vec<(String, String)>);

impl Fields for Headers {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, to: &mut dyn FnMut(&str, &[u8])) {
        self.0.iter().for_each(|(name, value)| to(name, value.as_bytes()));
    }
}

impl Numbers {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn some(&mut self, of: &[&str]) -> Vec<String> {
        (0..self.below(3)).map(|_| self.one(of).to_string()).collect()
    }
}

const HOSTS: [&str; 7] = ["a.test", "b.a.test", "c.b.a.test", "test", "other.example", "", "A.Test."];
const SEGMENTS: [&str; 6] = ["api", "x", "users", "7", "apis", ""];

fn path(numbers: &mut Numbers) -> String {
    let mut path = String::new();
    for _ in 0..=numbers.below(4) {
        path += "/";
        path += numbers.one(&SEGMENTS);
    }
    path
}

fn wanted(numbers: &mut Numbers) -> PathMatch {
    match numbers.below(3) {
        0 => PathMatch::Exact(normal(&path(numbers)).unwrap().into_owned()),
        1 => PathMatch::Prefix(normal(&path(numbers)).unwrap().into_owned()),
        _ => {
            let segments = ["api", "*", "{id}", "users", "7"];
            let mut pattern: String =
                (0..=numbers.below(3)).map(|_| format!("/{}", numbers.one(&segments))).collect();
            if numbers.below(3) == 0 {
                pattern += "/**";
            }
            PathMatch::Pattern(pattern)
        }
    }
}

fn rule(numbers: &mut Numbers, index: usize) -> Rule {
    let field = |numbers: &mut Numbers, name: &str| FieldMatch {
        name: name.into(),
        value: match numbers.below(3) {
            0 => ValueMatch::Equals("1".into()),
            1 => ValueMatch::Prefix("a".into()),
            _ => ValueMatch::Present(numbers.below(2) == 0),
        },
    };
    let when = Match {
        hosts: numbers.some(&["a.test", "*.a.test", "*.test", "other.example", "b.a.test"]),
        paths: (0..numbers.below(3)).map(|_| wanted(numbers)).collect(),
        methods: numbers.some(&["GET", "POST"]),
        headers: if numbers.below(6) == 0 { vec![field(numbers, "x-beta")] } else { vec![] },
        query: if numbers.below(6) == 0 { vec![field(numbers, "v")] } else { vec![] },
        sources: if numbers.below(6) == 0 { vec!["10.0.0.0/8".into()] } else { vec![] },
    };
    let action =
        RuleAction::Respond(Respond { status: 200, content_type: String::new(), body: String::new() });
    Rule { name: format!("r{index}"), when, guard: Guard::default(), edits: Edits::default(), action }
}

#[test]
fn the_first_that_fits_is_found() {
    let mut numbers = Numbers(11);
    let (mut found, mut late) = (0, 0);
    for _ in 0..3000 {
        let rules: Vec<Rule> = (0..numbers.below(12)).map(|index| rule(&mut numbers, index)).collect();
        let filed = Rules::compile(&rules).unwrap();
        for _ in 0..8 {
            let raw = path(&mut numbers);
            let value = numbers.one(&["1", "abc", "2"]).to_string();
            let headers =
                Headers(if numbers.below(2) == 0 { vec![("X-Beta".into(), value)] } else { vec![] });
            let source = numbers.one(&["10.1.2.3", "192.0.2.1"]).parse().unwrap();
            let ask = Ask {
                method: numbers.one(&["GET", "POST", "PUT"]),
                host: numbers.one(&HOSTS),
                path: &normal(&raw).unwrap(),
                query: [None, Some("v=1"), Some("w=2&v=abc")][numbers.below(3)],
                source,
                fields: &headers,
            };
            let explained = explain(&rules, &ask).unwrap();
            let takes = explained.last().filter(|last| last.why == Why::Takes).map(|last| last.index);
            assert_eq!(
                filed.find(&ask).map(|found| found.index),
                takes,
                "{} {} in {rules:#?}",
                ask.host,
                ask.path
            );
            found += usize::from(takes.is_some());
            late += usize::from(takes.is_some_and(|index| index > 2));
        }
    }
    assert!(found > 5000 && late > 500, "the rules and requests meet: {found}, {late}");
}

#[test]
fn a_rule_that_does_not_fit_is_told_why() {
    let when = Match {
        hosts: vec!["*.example.org".into()],
        paths: vec![PathMatch::Prefix("/api".into())],
        ..Match::default()
    };
    let mut numbers = Numbers(1);
    let mut second = rule(&mut numbers, 1);
    second.when = Match::default();
    let rules = [Rule { when, ..rule(&mut numbers, 0) }, second];
    let headers = Headers(vec![]);
    let source = "192.0.2.1".parse().unwrap();
    let ask = |host, path| Ask { method: "GET", host, path, query: None, source, fields: &headers };
    let told = |ask: Ask<'_>| {
        explain(&rules, &ask).unwrap().iter().map(|one| one.why.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        told(ask("shop.example.com", "/api")),
        ["host shop.example.com is not *.example.org", "the first that fits"]
    );
    assert_eq!(told(ask("a.example.org", "/x")), ["path /x is not /api/*", "the first that fits"]);
    assert_eq!(told(ask("a.example.org", "/api/x")), ["the first that fits"]);
}
