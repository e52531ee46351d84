//! The entry that a name stands for.

use crate::Refusal;
use crate::config::{Config, Find, NAME};
use crate::connection::{Connection, Search};
use crate::dn::canonical;
use ldap3::{Scope, SearchEntry, dn_escape, ldap_escape};

/// What tells an entry from a later one with the same name, in the directories that are known.
const IDS: [&str; 3] = ["entryUUID", "objectGUID", "nsUniqueId"];

/// Under which Active Directory knows a person as `kim@example.com`.
const PRINCIPAL: &str = "userPrincipalName";

/// Somebody's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its DN.
    pub(crate) dn: String,
    /// What stays the same when it is renamed or moved.
    pub(crate) id: String,
    /// The groups that it names itself, where it does.
    pub(crate) groups: Vec<String>,
}

/// As whom the password of `name` is tried, by the template.
pub(crate) fn bind_name(template: &str, name: &str) -> String {
    if template.contains("={name}") {
        template.replace(NAME, &dn_escape(name))
    } else {
        template.replace(NAME, name)
    }
}

/// The one entry that a name stands for; `None` if there is none.
pub(crate) async fn find(
    connection: &mut Connection,
    config: &Config,
    name: &str,
) -> Result<Option<Entry>, Refusal> {
    let people = &config.people;
    let filter = people.filter.replace(NAME, &ldap_escape(name));
    let mut attributes = vec![people.name.as_str(), PRINCIPAL];
    attributes.extend(IDS);
    let named = config.groups.as_ref().filter(|groups| groups.find == Find::MemberOf);
    attributes.extend(named.map(|groups| groups.attribute.as_str()));
    let (base, scope) = (people.base.as_str(), Scope::Subtree);
    let search = Search { base, scope, filter: &filter, attributes: &attributes, most: 1 };
    let Some(found) = connection.search(&search).await?.pop() else { return Ok(None) };
    if canonical(&found.dn).is_none() {
        return Err(Refusal::Unusable(format!("the entry of {name} has a DN that is none: {:?}", found.dn)));
    }
    // A filter may look at more than the name. Who somebody is here must not depend on which of several was typed.
    if !values(&found, &people.name).iter().any(|value| value.eq_ignore_ascii_case(name)) {
        let why = format!("{} fits, but its {} is not {name}", found.dn, people.name);
        return Err(Refusal::Unusable(why));
    }
    if let Some(template) = &config.bind {
        is_of(&found, &bind_name(template, name))?;
    }
    let groups = named.map(|groups| values(&found, &groups.attribute)).unwrap_or_default();
    Ok(Some(Entry { id: id(&found), groups, dn: found.dn }))
}

/// Whoever's password was tried is whoever was found.
fn is_of(found: &SearchEntry, bound: &str) -> Result<(), Refusal> {
    let same = match canonical(bound) {
        Some(bound) => canonical(&found.dn) == Some(bound),
        None => values(found, PRINCIPAL).iter().any(|value| value.eq_ignore_ascii_case(bound)),
    };
    if same {
        return Ok(());
    }
    Err(Refusal::Unusable(format!(
        "the password is tried as {bound}, and the entry that is found is {}",
        found.dn
    )))
}

/// The values of an attribute, by its name in any case.
pub(crate) fn values(entry: &SearchEntry, name: &str) -> Vec<String> {
    let same = entry.attrs.iter().filter(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
    same.flat_map(|(_, values)| values).cloned().collect()
}

fn id(entry: &SearchEntry) -> String {
    for name in IDS {
        let texts = entry.attrs.iter().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
        let bytes = entry.bin_attrs.iter().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
        let value = texts.and_then(|(_, values)| values.first().map(String::as_bytes));
        let value = value.or(bytes.and_then(|(_, values)| values.first().map(Vec::as_slice)));
        if let Some(value) = value {
            // A number of 16 bytes, which may happen to be text.
            let shown = match std::str::from_utf8(value) {
                Ok(text) if name != "objectGUID" => text.to_ascii_lowercase(),
                _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
            };
            return format!("{name}={shown}");
        }
    }
    format!("dn={}", canonical(&entry.dn).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::bind_name;
    use crate::dn::canonical;

    #[test]
    fn a_name_stays_one_value_of_the_template() {
        let template = "uid={name},ou=people,dc=x";
        for odd in ["a,ou=admins", "a+cn=b", "\\", "#a", " a ", "\"", "a\0b", "a=b", "<;>"] {
            let dn = canonical(&bind_name(template, odd)).unwrap_or_else(|| panic!("{odd:?}"));
            assert!(dn.ends_with(",ou=people,dc=x") && dn.matches(['=']).count() == 3, "{odd:?}: {dn}");
        }
        assert_eq!(bind_name("{name}@example.com", "kim"), "kim@example.com");
    }
}
