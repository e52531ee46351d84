//! The administrator's own policies: read from texts, strictly, with the place of what is wrong.

use crate::schema;
use cedar_policy::{Effect, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use std::collections::BTreeMap;
use std::fmt;

/// Each costs about a microsecond a decision; what is to be many is a grant.
const POLICIES_MAX: usize = 200;

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyFault {
    /// The file's name.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// One sentence.
    pub error: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.error)
    }
}

/// All policies: the fixed ones, and the administrator's.
#[derive(Clone)]
pub struct Policies {
    pub(crate) set: PolicySet,
    pub(crate) schema: Schema,
    /// How many are the administrator's.
    pub count: usize,
    /// Whether any of the administrator's gives a right by itself.
    pub permits: bool,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policies({})", self.count)
    }
}

impl Default for Policies {
    /// The fixed ones alone.
    fn default() -> Policies {
        let schema = Schema::from_cedarschema_str(&schema::text()).expect("the schema is Naru's own").0;
        let fixed: PolicySet = schema::fixed().parse().expect("the fixed policies are Naru's own");
        let mut all = Policies { set: PolicySet::new(), schema, count: 0, permits: false };
        all.take(&fixed, |name| format!("role or actions: {name}"));
        all.count = 0;
        all
    }
}

impl Policies {
    /// The fixed ones, and those of files, each with its name.
    ///
    /// # Errors
    /// All that is wrong with them, in the order of the files. None of them is taken then.
    pub fn read(files: &BTreeMap<String, String>) -> Result<Policies, Vec<PolicyFault>> {
        let mut all = Policies::default();
        let mut faults = vec![];
        for (file, text) in files {
            match all.of_file(file, text) {
                Ok(set) => all.take(&set, |name| format!("policy {file}#{name}")),
                Err(found) => faults.extend(found),
            }
        }
        if all.count > POLICIES_MAX {
            let file = files.keys().next_back().cloned().unwrap_or_default();
            let error =
                format!("{} policies, at most {POLICIES_MAX}: what is to be many is a grant", all.count);
            faults.push(PolicyFault { file, line: 1, column: 1, error });
        }
        if faults.is_empty() { Ok(all) } else { Err(faults) }
    }

    /// The fixed ones, and one that forbids everything: for as long as the administrator's cannot be read.
    pub fn closed() -> Policies {
        let mut all = Policies::default();
        let none: PolicySet =
            "@id(\"none can be read\") forbid(principal, action, resource);".parse().expect("it is plain");
        all.take(&none, |name| format!("policies: {name}"));
        all
    }

    fn of_file(&self, file: &str, text: &str) -> Result<PolicySet, Vec<PolicyFault>> {
        let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
            errors.iter().map(|error| fault(file, text, error)).collect::<Vec<_>>()
        })?;
        if set.templates().next().is_some() {
            let error =
                "templates (`?principal`, `?resource`) are not used here: name the person, or use a grant";
            return Err(vec![PolicyFault { file: file.into(), line: 1, column: 1, error: error.into() }]);
        }
        let found = Validator::new(self.schema.clone()).validate(&set, ValidationMode::Strict);
        let mut all: Vec<_> = found.validation_errors().map(|error| fault(file, text, error)).collect();
        if all.is_empty() {
            // A policy that can never apply, or whose letters look like others, is a mistake as well.
            all.extend(found.validation_warnings().map(|warning| fault(file, text, warning)));
        }
        if !all.iter().all(follows) {
            all.retain(|fault| !follows(fault));
        }
        // The same is found once for each action that the policy may be about.
        let places: BTreeMap<(usize, usize, String), PolicyFault> =
            all.into_iter().map(|fault| ((fault.line, fault.column, fault.error.clone()), fault)).collect();
        let faults: Vec<_> = places.into_values().collect();
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    /// Takes policies in, each under its own name: its annotation `@id`, or its number in the file.
    fn take(&mut self, set: &PolicySet, named: impl Fn(&str) -> String) {
        let mut policies: Vec<_> = set.policies().collect();
        policies.sort_by_key(|policy| number(policy.id()));
        for (at, policy) in policies.into_iter().enumerate() {
            let name = policy.annotation("id").map_or_else(|| (at + 1).to_string(), str::to_string);
            let mut id = PolicyId::new(named(&name));
            if self.set.policy(&id).is_some() {
                id = PolicyId::new(format!("{} ({})", named(&name), at + 1));
            }
            self.permits |=
                policy.effect() == Effect::Permit && AsRef::<str>::as_ref(&id).starts_with("policy ");
            self.count += 1;
            self.set.add(policy.new_id(id)).expect("no policy has this id");
        }
    }
}

/// The parser calls them `policy0`, `policy1`, ….
fn number(id: &PolicyId) -> u64 {
    let text: &str = id.as_ref();
    text.trim_start_matches("policy").parse().unwrap_or(u64::MAX)
}

/// Whether it only follows from something else that is wrong, where there is something else.
fn follows(fault: &PolicyFault) -> bool {
    fault.error.starts_with("unable to find an applicable action")
}

fn fault(file: &str, text: &str, error: &(impl Diagnostic + ?Sized)) -> PolicyFault {
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut words = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    // Which policy it is, is said by the place.
    if let Some((_, rest)) = words.split_once("`, ").filter(|(head, _)| head.starts_with("for policy `")) {
        words = rest.into();
    }
    if let Some((head, rest)) = words.split_once(" for Naru::Action::\"") {
        words = format!("{head}{}", rest.split_once('"').map_or("", |(_, rest)| rest));
    }
    if let Some(help) = error.help() {
        words = format!("{words}; {help}");
    }
    PolicyFault { file: file.into(), line, column, error: words }
}

#[cfg(test)]
mod tests {
    use super::Policies;

    fn read(text: &str) -> Result<Policies, Vec<String>> {
        let files = [("night.cedar".to_string(), text.to_string())].into();
        Policies::read(&files).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_policy_is_read_and_named() {
        let policies =
            read("@id(\"still\")\nforbid(principal, action in Naru::Action::\"deployer\", resource);")
                .unwrap();
        assert_eq!((policies.count, policies.permits), (1, false));
        assert!(read("permit(principal in Naru::Group::\"ops\", action, resource);").unwrap().permits);
        assert!(!Policies::default().permits);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, place, says) in [
            ("permit(principal, action, resource)", "night.cedar:1:", "unexpected end"),
            ("// a\nforbid(principal, action == Naru::Action::\"fly\", resource);", "night.cedar:2:", "fly"),
            ("forbid(principal, action, resource)\nwhen { context.speed > 3 };", "night.cedar:2:8", "speed"),
            (
                "forbid(principal, action, resource) when { context.grant.id == 3 };",
                "night.cedar:1:",
                "grant",
            ),
            ("forbid(principal == ?principal, action, resource);", "night.cedar:1:1", "templates"),
            ("forbid(principal, action, resource) when { context.now == \"x\" };", "night.cedar:1:", ""),
            ("permit(principal is Naru::Stack, action, resource);", "night.cedar:1:", ""),
        ] {
            let found = read(text).unwrap_err();
            assert!(found[0].starts_with(place) && found[0].contains(says), "{text}: {found:?}");
            assert!(!found[0].contains('\n') && found.len() == 1, "{found:?}");
        }
    }
}
