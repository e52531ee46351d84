//! What makes one route table of another. Of a thousand rules, a deploy changes a few: what is as it was is told by
//! its place, so that a change costs what changes, on its way and where it arrives.

use crate::{Generation, Listener, RouteTable, Rule};
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// What makes one table of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RouteChange {
    /// The table that it is made of.
    pub from: Generation,
    /// The one that it makes.
    pub to: Generation,
    /// All of its listeners, in order.
    pub listeners: Vec<ListenerChange>,
}

/// A listener of the table that is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListenerChange {
    /// The one at this place, as it was.
    Same(u32),
    /// The one at this place, with other rules.
    Ruled(u32, Vec<RuleChange>),
    /// Another.
    New(Box<Listener>),
}

/// Rules of the listener that is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleChange {
    /// Those from a place on, so many, as they were.
    Same(u32, u32),
    /// Another.
    #[schema(value_type = Rule)]
    New(Arc<Rule>),
}

impl RouteChange {
    /// What makes `new` of `old`.
    pub fn between(old: &RouteTable, new: &RouteTable) -> RouteChange {
        let places = Places::of(&old.listeners, |listener| &listener.name);
        let change = |(at, listener): (usize, &Listener)| match places.find(at, &listener.name) {
            Some(place) => listener_change(place, &old.listeners[place], listener),
            None => ListenerChange::New(listener.clone().into()),
        };
        let listeners = new.listeners.iter().enumerate().map(change).collect();
        RouteChange { from: old.generation, to: new.generation, listeners }
    }

    /// The table that it makes of `old`. `None`: it is a change of another one.
    pub fn onto(self, old: &RouteTable) -> Option<RouteTable> {
        if old.generation != self.from {
            return None;
        }
        let at = |place: u32| old.listeners.get(place as usize);
        let listeners = self.listeners.into_iter().map(|change| match change {
            ListenerChange::Same(place) => at(place).cloned(),
            ListenerChange::Ruled(place, rules) => {
                let before = at(place)?;
                Some(Listener { rules: rules_of(rules, &before.rules)?, ..before.without_rules() })
            }
            ListenerChange::New(listener) => Some(*listener),
        });
        Some(RouteTable { generation: self.to, listeners: listeners.collect::<Option<_>>()? })
    }
}

fn listener_change(place: usize, old: &Listener, new: &Listener) -> ListenerChange {
    if old.without_rules() != new.without_rules() {
        return ListenerChange::New(new.clone().into());
    }
    let mut rules: Vec<RuleChange> = Vec::new();
    for (same, rule) in same_rules(&old.rules, &new.rules).into_iter().zip(&new.rules) {
        match (same.map(|place| place as u32), rules.last_mut()) {
            (Some(same), Some(RuleChange::Same(first, count))) if *first + *count == same => *count += 1,
            (Some(same), _) => rules.push(RuleChange::Same(same, 1)),
            (None, _) => rules.push(RuleChange::New(rule.clone())),
        }
    }
    let place = place as u32;
    match rules[..] {
        [] if old.rules.is_empty() => ListenerChange::Same(place),
        [RuleChange::Same(0, count)] if count as usize == old.rules.len() => ListenerChange::Same(place),
        _ => ListenerChange::Ruled(place, rules),
    }
}

/// Where each of the `new` rules is among the `old` ones, if it is as it was there.
pub fn same_rules(old: &[Arc<Rule>], new: &[Arc<Rule>]) -> Vec<Option<usize>> {
    let places = Places::of(old, |rule| &rule.name);
    // That two are the same is seen at once where they are one.
    let is_same = |one: &Arc<Rule>, other: &Arc<Rule>| Arc::ptr_eq(one, other) || one == other;
    let place = |(at, rule): (usize, &Arc<Rule>)| {
        places.find(at, &rule.name).filter(|place| is_same(&old[*place], rule))
    };
    new.iter().enumerate().map(place).collect()
}

fn rules_of(changes: Vec<RuleChange>, before: &[Arc<Rule>]) -> Option<Vec<Arc<Rule>>> {
    let mut rules = Vec::with_capacity(before.len());
    for change in changes {
        match change {
            RuleChange::Same(first, count) => {
                let end = first.checked_add(count)?;
                rules.extend_from_slice(before.get(first as usize..end as usize)?);
            }
            RuleChange::New(rule) => rules.push(rule),
        }
    }
    Some(rules)
}

/// Where each is, by its name; mostly that is where it was, so that they are sorted only once one is not.
struct Places<'a, T> {
    each: &'a [T],
    name: fn(&T) -> &str,
    sorted: OnceCell<BTreeMap<&'a str, usize>>,
}

impl<'a, T> Places<'a, T> {
    fn of(each: &'a [T], name: fn(&T) -> &str) -> Self {
        Places { each, name, sorted: OnceCell::new() }
    }

    fn find(&self, at: usize, name: &str) -> Option<usize> {
        if self.each.get(at).is_some_and(|one| (self.name)(one) == name) {
            return Some(at);
        }
        let sort = || self.each.iter().enumerate().map(|(at, one)| ((self.name)(one), at)).collect();
        self.sorted.get_or_init(sort).get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{ListenerChange, RouteChange, RuleChange};
    use crate::{Generation, Listener, Protocol, Respond, RouteTable, Rule, RuleAction};
    use std::sync::Arc;

    fn rule(name: &str, status: u16) -> Arc<Rule> {
        let action =
            RuleAction::Respond(Respond { status, content_type: String::new(), body: String::new() });
        let (when, guard, edits) = Default::default();
        Arc::new(Rule { name: name.into(), when, guard, edits, action })
    }

    fn listener(name: &str, rules: Vec<Arc<Rule>>) -> Listener {
        Listener {
            name: name.into(),
            address: "0.0.0.0:80".into(),
            protocol: Protocol::Http,
            stack: "s".into(),
            service: None,
            splits: vec![],
            policy: Default::default(),
            entrance: Default::default(),
            rules,
        }
    }

    fn table(generation: u64, listeners: Vec<Listener>) -> RouteTable {
        RouteTable { generation: Generation(generation), listeners }
    }

    fn old() -> RouteTable {
        let rules = (0..100).map(|n| rule(&format!("r{n}"), 200)).collect();
        table(7, vec![listener("a", rules), listener("b", vec![]), listener("c", vec![rule("x", 200)])])
    }

    /// What is sent makes of the old table the new one, through its text too.
    fn sent(old: &RouteTable, new: &RouteTable) -> RouteChange {
        let change = RouteChange::between(old, new);
        let text = serde_json::to_string(&change).unwrap();
        let read: RouteChange = serde_json::from_str(&text).unwrap();
        assert_eq!(read.onto(old).as_ref(), Some(new));
        change
    }

    #[test]
    fn only_what_differs_is_told() {
        let (old, mut new) = (old(), table(8, old().listeners));
        let rules = &mut new.listeners[0].rules;
        rules[3] = rule("r3", 404);
        rules.swap(50, 51);
        rules.remove(90);
        rules.push(rule("more", 200));
        new.listeners.remove(1);
        let change = sent(&old, &new);
        let ListenerChange::Ruled(0, rules) = &change.listeners[0] else { panic!("{change:?}") };
        let same = |first, count| RuleChange::Same(first, count);
        let new = |name, status| RuleChange::New(rule(name, status));
        let moved = [same(51, 1), same(50, 1), same(52, 38), same(91, 9)];
        let expected = [&[same(0, 3), new("r3", 404), same(4, 46)], &moved[..], &[new("more", 200)]].concat();
        assert_eq!(*rules, expected);
        assert_eq!(change.listeners[1..], [ListenerChange::Same(2)]);
    }

    #[test]
    fn what_is_beside_the_rules_makes_a_listener_another() {
        let (old, mut new) = (old(), table(8, old().listeners));
        new.listeners[2].address = "0.0.0.0:81".into();
        new.listeners[1].rules = vec![rule("first", 200)];
        let change = sent(&old, &new);
        assert!(matches!(change.listeners[0], ListenerChange::Same(0)));
        assert!(matches!(&change.listeners[1], ListenerChange::Ruled(1, rules) if rules.len() == 1));
        assert!(matches!(change.listeners[2], ListenerChange::New(_)));
    }

    #[test]
    fn a_change_of_another_table_makes_nothing() {
        let (old, new) = (old(), table(8, vec![]));
        let change = RouteChange::between(&old, &new);
        assert_eq!(change.clone().onto(&table(6, old.listeners.clone())), None);
        for wrong in [ListenerChange::Same(3), ListenerChange::Ruled(0, vec![RuleChange::Same(99, 2)])] {
            let listeners = vec![wrong];
            assert_eq!(RouteChange { listeners, ..change.clone() }.onto(&old), None);
        }
        let beyond = ListenerChange::Ruled(0, vec![RuleChange::Same(u32::MAX, u32::MAX)]);
        assert_eq!(RouteChange { listeners: vec![beyond], ..change }.onto(&old), None);
    }
}
