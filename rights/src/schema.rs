//! The schema that all policies are held against, and the fixed policies.
//!
//! The schema's actions are made of [`Right`] and [`Role`], so that there is one list of them: each role is a group of
//! actions, and a policy may name it as one.

use naru_who::{Resource, Right, Role};
use std::fmt::Write;

/// The kinds of resources, as policies name them.
pub const KINDS: [(&str, &str); 6] = [
    ("all", "All"),
    ("stack", "Stack"),
    ("service", "Service"),
    ("instance", "Instance"),
    ("node", "Node"),
    ("asset", "Asset"),
];

/// The kinds of resources that something can be done with.
fn kinds_of(right: Right) -> &'static [&'static str] {
    match right {
        Right::Read | Right::ManagePeople => &["all", "stack", "service", "instance", "node", "asset"],
        Right::Wake | Right::Sleep | Right::Extend => &["all", "stack", "service", "instance", "asset"],
        Right::Prune | Right::Shutdown | Right::Report => &["all", "node"],
        Right::ReadAudit => &["all"],
        _ => &["all", "stack", "service", "instance"],
    }
}

/// Whether something can be done with a resource at all, whoever does it.
pub fn applies(right: Right, on: &Resource) -> bool {
    kinds_of(right).contains(&on.kind())
}

const TYPES: &str = r#"
    entity Group;
    // `names`: the user and its groups, as grants name them.
    entity User in [Group] = { names: Set<String> };
    // `within`: the resource and all that it is within, as grants name them.
    entity All = { within: Set<String> };
    entity Stack in [All] = { within: Set<String> };
    entity Service in [Stack, All] = { within: Set<String> };
    entity Instance in [Service, Stack, All] = { within: Set<String> };
    entity Node in [All] = { within: Set<String> };
    entity Asset in [All] = { within: Set<String> };

    // Times are milliseconds since the epoch. Of a grant of actions, `role` is empty.
    type Grant = { id: Long, who: String, role: String, verbs: Set<String>, on: String, from: Long, until: Long };
    // What the token that somebody showed is for at most.
    type Scope = { verbs: Set<String>, on: String };
    type Asked = { now: Long, verb: String, grant?: Grant, scope?: Scope };
"#;

/// The schema, as Cedar reads it.
pub fn text() -> String {
    let mut text = format!("namespace Naru {{{TYPES}\n");
    for role in Role::ALL {
        let _ = writeln!(text, "    action \"{role}\";");
    }
    for right in Right::ALL {
        let roles: Vec<String> =
            Role::ALL.iter().filter(|role| role.allows(*right)).map(|role| format!("\"{role}\"")).collect();
        let groups = if roles.is_empty() { String::new() } else { format!(" in [{}]", roles.join(", ")) };
        let named = |kind: &&str| KINDS.iter().find(|(word, _)| word == kind).map(|(_, name)| *name);
        let kinds: Vec<&str> = kinds_of(*right).iter().filter_map(named).collect();
        let _ = writeln!(
            text,
            "    action \"{right}\"{groups} appliesTo {{ principal: [User], resource: [{}], context: Asked }};",
            kinds.join(", ")
        );
    }
    text + "}\n"
}

/// What each of the fixed policies that read a grant asks of it.
const GRANT_HOLDS: &str = "context has grant
    && principal.names.contains(context.grant.who)
    && resource.within.contains(context.grant.on)
    && context.grant.from <= context.now
    && context.now < context.grant.until";

/// The fixed policies: one for each role, one for grants of actions, and one for what a token is not for.
pub fn fixed() -> String {
    let mut text = String::new();
    for role in Role::ALL {
        let _ = write!(
            text,
            "@id(\"role-{role}\")\npermit(principal is Naru::User, action in Naru::Action::\"{role}\", resource)\n\
             when {{ {GRANT_HOLDS}\n    && context.grant.role == \"{role}\" }};\n\n"
        );
    }
    let _ = write!(
        text,
        "@id(\"actions\")\npermit(principal is Naru::User, action, resource)\n\
         when {{ {GRANT_HOLDS}\n    && context.grant.role == \"\" && context.grant.verbs.contains(context.verb) }}\n\
         unless {{ context.verb == \"report\" }};\n\n\
         @id(\"scope\")\nforbid(principal, action, resource)\n\
         when {{ context has scope }}\n\
         unless {{ context.scope.verbs.contains(context.verb) && resource.within.contains(context.scope.on) }};\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::{fixed, text};
    use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};

    #[test]
    fn the_fixed_policies_hold_against_the_schema() {
        let (schema, warnings) = Schema::from_cedarschema_str(&text()).unwrap();
        assert_eq!(warnings.count(), 0);
        let policies: PolicySet = fixed().parse().unwrap();
        assert_eq!(policies.num_of_policies(), 7);
        let found = Validator::new(schema).validate(&policies, ValidationMode::Strict);
        assert!(found.validation_passed_without_warnings(), "{found:?}");
    }
}
