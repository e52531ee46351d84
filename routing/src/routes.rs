//! `x-naru.routes`: rules, and their order.

use crate::Setting;
use crate::actions::{self, ACTIONS};
use crate::conditions;
use crate::reader::Reader;
use crate::sni;
use naru_model::{Edits, Guard, Redirect, Rule, RuleAction, StackListener, StackRoute};
use naru_yaml::Node;
use std::collections::BTreeSet;

/// More are a program's doing; the edge was measured with a thousand.
const MOST: usize = 5_000;

/// The routes in the order in which they are tried.
pub(crate) fn routes(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    listeners: &[StackListener],
    setting: &Setting<'_>,
) -> Vec<StackRoute> {
    let mut reader = reader.below("routes");
    let items = node.map(Node::items).unwrap_or_default();
    if let Some(node) = node.filter(|node| node.list().is_none()) {
        reader.wrong(node.pos, format!("must be a list, not {}", node.shown()), "write - path: /api/*");
    }
    if let Some(node) = node.filter(|_| items.len() > MOST) {
        reader.wrong(node.key, format!("has {} entries", items.len()), format!("{MOST} are the most"));
    }
    if let Some(node) = node.filter(|_| listeners.iter().all(sni::passes) && !items.is_empty()) {
        reader.wrong(node.key, "has no listener to stand at", "add listeners: { web: { port: 8080 } }");
    }
    let own = listeners.iter().filter(|listener| listener.to_https).map(own_name);
    let mut names: BTreeSet<String> = own.collect();
    let mut found = Vec::new();
    for (at, node) in items.iter().take(MOST).enumerate() {
        let mut reader = reader.below(&format!("[{at}]"));
        if !reader.is_map(node) {
            continue;
        }
        let route = route(&mut reader, at, node, listeners, setting);
        if let Some((_, route)) = &route
            && !names.insert(route.rule.name.clone())
        {
            let pos = node.get("name").map_or(node.key, |name| name.pos);
            reader.wrong(pos, format!("has a name that is taken: {}", route.rule.name), "write another");
        }
        found.extend(route);
    }
    found.sort_by_key(|(priority, route)| {
        (std::cmp::Reverse(*priority), std::cmp::Reverse(naru_traffic::specificity(&route.rule.when)))
    });
    let mut routes: Vec<StackRoute> = found.into_iter().map(|(_, route)| route).collect();
    routes.extend(listeners.iter().filter(|listener| listener.to_https).map(to_https));
    routes
}

/// The name of the rule by which a listener leads to HTTPS. No other may have it.
fn own_name(listener: &StackListener) -> String {
    format!("{}-to-https", listener.name)
}

/// Everything that no other rule of the listener takes goes to HTTPS.
fn to_https(listener: &StackListener) -> StackRoute {
    let redirect = Redirect { status: 308, location: "https://{host}{path}{query}".into() };
    let rule = Rule {
        name: own_name(listener),
        when: Default::default(),
        guard: Guard::default(),
        edits: Edits::default(),
        action: RuleAction::Redirect(redirect),
    };
    StackRoute { listeners: vec![listener.name.clone()], rule }
}

fn route(
    reader: &mut Reader<'_>,
    at: usize,
    node: &Node,
    listeners: &[StackListener],
    setting: &Setting<'_>,
) -> Option<(i64, StackRoute)> {
    reader.keys(node, "routes.[]");
    let name = reader.text("name", node.get("name")).unwrap_or_else(|| format!("routes[{at}]"));
    let priority = reader.whole("priority", node.get("priority"), 0..=1_000_000).map_or(0, |n| n as i64);
    let listeners = standing(reader, node, listeners);
    let when = conditions::when(reader, node);
    let guard = actions::guard(reader, node, setting);
    let edits = actions::edits(reader, node);
    let action = actions::action(reader, node, setting);
    if action.is_none() && !ACTIONS.iter().any(|key| node.get(key).is_some()) {
        let what = "says nothing of what becomes of a request";
        reader.wrong(node.pos, what, format!("add one of {}", ACTIONS.join(", ")));
    }
    let rule = Rule { name, when, guard, edits, action: action? };
    Some((priority, StackRoute { listeners, rule }))
}

/// The listeners at which a route stands.
fn standing(reader: &mut Reader<'_>, node: &Node, listeners: &[StackListener]) -> Vec<String> {
    let chosen = reader.texts("listeners", node.get("listeners"));
    for (wanted, pos) in &chosen {
        if !listeners.iter().any(|listener| listener.name == *wanted) {
            let all: Vec<&str> = listeners.iter().map(|listener| listener.name.as_str()).collect();
            let what = format!("listeners: there is no listener {wanted}");
            reader.error(*pos, what, format!("the listeners are: {}", all.join(", ")));
        }
        if listeners.iter().any(|listener| listener.name == *wanted && sni::passes(listener)) {
            let what = format!("listeners: {wanted} passes on what comes in, and reads no requests");
            reader.error(*pos, what, "name a listener without sni, of protocol: http");
        }
    }
    // A listener that leads everything elsewhere takes no rule that does not name it.
    let is_open = |listener: &&StackListener| !listener.to_https && !sni::passes(listener);
    let open = || listeners.iter().filter(is_open).map(|listener| listener.name.clone());
    let chosen: Vec<String> = chosen.into_iter().map(|(name, _)| name).collect();
    if node.get("listeners").is_none() { open().collect() } else { chosen }
}
