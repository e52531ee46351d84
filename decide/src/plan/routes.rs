//! What a deploy would change of a stack's own addresses and routes: one sentence each.

use naru_model::{Match, PathMatch, RuleAction, Stack, StackListener, StackRoute, Tls};

/// What `new` has other than `old`.
pub(super) fn changes(old: Option<&Stack>, new: &Stack) -> Vec<String> {
    let (listeners, routes) = old.map(|old| (&*old.listeners, &*old.routes)).unwrap_or_default();
    let mut said = Vec::new();
    compare(&mut said, "listener", listeners, &new.listeners, |one| &one.name, listener);
    compare(&mut said, "route", routes, &new.routes, |one| &one.rule.name, route);
    let order = |routes: &[StackRoute]| routes.iter().map(|one| one.rule.name.clone()).collect::<Vec<_>>();
    if said.is_empty() && order(routes) != order(&new.routes) {
        said.push("the routes are tried in another order".into());
    }
    said
}

fn compare<'a, T: PartialEq>(
    said: &mut Vec<String>,
    kind: &str,
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&'a T) -> &'a String,
    shown: impl Fn(&T) -> String,
) {
    for one in new {
        match old.iter().find(|before| name(before) == name(one)) {
            Some(before) if before == one => {}
            Some(_) => said.push(format!("{kind} {} changes: {}", name(one), shown(one))),
            None => said.push(format!("{kind} {} is new: {}", name(one), shown(one))),
        }
    }
    let gone = old.iter().filter(|before| !new.iter().any(|one| name(one) == name(before)));
    said.extend(gone.map(|before| format!("{kind} {} goes: {}", name(before), shown(before))));
}

fn listener(one: &StackListener) -> String {
    let to = match &one.entrance.tls {
        _ if one.to_https => ", all to HTTPS".into(),
        Some(Tls::Passthrough(names)) => {
            let each = names.iter().map(|name| {
                let rule = name.as_rule();
                format!("{} {}", rule.name, action(&rule.action))
            });
            format!(", TLS passed on: {}", each.collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    };
    format!("{}:{}{to}", one.host_ip, one.port)
}

fn route(one: &StackRoute) -> String {
    format!("{} {}", matched(&one.rule.when), action(&one.rule.action))
}

/// `GET shop.example.com/api/*`
fn matched(when: &Match) -> String {
    let methods = when.methods.join(",");
    let hosts = if when.hosts.is_empty() { "*".into() } else { when.hosts.join(",") };
    let paths: Vec<String> = when.paths.iter().map(PathMatch::to_string).collect();
    let paths = if paths.is_empty() { "/*".into() } else { paths.join(",") };
    let space = if methods.is_empty() { "" } else { " " };
    let more = when.headers.len() + when.query.len() + when.sources.len();
    let more = if more > 0 {
        format!(" (and {})", naru_model::plural(more as u64, "condition"))
    } else {
        String::new()
    };
    format!("{methods}{space}{hosts}{paths}{more}")
}

fn action(action: &RuleAction) -> String {
    match action {
        RuleAction::Forward(forward) => format!("to {}:{}", forward.service, forward.target),
        RuleAction::Redirect(redirect) => {
            format!("is redirected ({}) to {}", redirect.status, redirect.location)
        }
        RuleAction::Respond(respond) => format!("is answered {}", respond.status),
        RuleAction::Files(files) => format!("is answered from {}", files.root),
    }
}
