//! Of which groups somebody is, through all levels of groups in groups.
//!
//! Each level is one question for all groups of the level before. What was seen is not looked at again, so that a group
//! in itself ends nothing but its own round. A person with more groups than the bounds allow does not come in: with some
//! of the groups left out, a rule that forbids might not be found.

use crate::Refusal;
use crate::config::{Find, Groups};
use crate::connection::{Connection, Search};
use crate::dn::canonical;
use crate::person::{Entry, values};
use ldap3::{Scope, ldap_escape};
use std::collections::{BTreeMap, BTreeSet};

/// More groups than Active Directory puts on a ticket.
const GROUPS_MAX: usize = 1_000;

/// Groups that one question is about.
const BATCH: usize = 40;

/// Active Directory's rule that follows members of members.
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";

/// All groups of somebody: as they are written, by the one form of all spellings.
pub(crate) type All = BTreeMap<String, String>;

/// What those are called here.
pub(crate) fn mapped(all: &All, groups: &Groups) -> BTreeSet<String> {
    all.keys().filter_map(|dn| groups.map.get(dn)).cloned().collect()
}

/// All groups of the one whose entry it is.
pub(crate) async fn of(connection: &mut Connection, groups: &Groups, entry: &Entry) -> Result<All, Refusal> {
    match groups.find {
        Find::Member => by_members(connection, groups, &entry.dn).await,
        Find::MemberOf => by_themselves(connection, groups, &entry.groups).await,
        Find::InChain => {
            let filter = format!("({}:{IN_CHAIN}:={})", groups.attribute, ldap_escape(entry.dn.as_str()));
            let found = ask(connection, groups, &filter).await?;
            let mut all = All::new();
            add(&mut all, found)?;
            Ok(all)
        }
    }
}

/// Upwards: the groups that have the person as a member, then those that have these, and so on.
async fn by_members(connection: &mut Connection, groups: &Groups, dn: &str) -> Result<All, Refusal> {
    let (mut all, mut level) = (All::new(), vec![dn.to_string()]);
    for _ in 0..groups.depth {
        let mut next = vec![];
        for batch in level.chunks(BATCH) {
            let one = |dn: &String| format!("({}={})", groups.attribute, ldap_escape(dn.as_str()));
            let any: String = batch.iter().map(one).collect();
            let found = ask(connection, groups, &format!("(|{any})")).await?;
            next.extend(add(&mut all, found)?);
        }
        level = next;
        if level.is_empty() {
            return Ok(all);
        }
    }
    Err(too_deep(groups))
}

/// By what the person's entry says, then by what its groups say of themselves.
async fn by_themselves(
    connection: &mut Connection,
    groups: &Groups,
    named: &[String],
) -> Result<All, Refusal> {
    let mut all = All::new();
    let mut level = add(&mut all, named.to_vec())?;
    for _ in 0..groups.depth {
        let mut next = vec![];
        for dn in &level {
            let attributes = [groups.attribute.as_str()];
            let (scope, filter) = (Scope::Base, groups.filter.as_str());
            let search = Search { base: dn, scope, filter, attributes: &attributes, most: 1 };
            for group in connection.search(&search).await? {
                next.extend(add(&mut all, values(&group, &groups.attribute))?);
            }
        }
        level = next;
        if level.is_empty() {
            return Ok(all);
        }
    }
    Err(too_deep(groups))
}

async fn ask(connection: &mut Connection, groups: &Groups, fits: &str) -> Result<Vec<String>, Refusal> {
    let filter = format!("(&{}{fits})", bracketed(&groups.filter));
    // "1.1": no attributes.
    let (base, scope) = (groups.base.as_str(), Scope::Subtree);
    let search = Search { base, scope, filter: &filter, attributes: &["1.1"], most: GROUPS_MAX };
    Ok(connection.search(&search).await?.into_iter().map(|group| group.dn).collect())
}

fn bracketed(filter: &str) -> String {
    if filter.starts_with('(') { filter.into() } else { format!("({filter})") }
}

/// Adds groups, and gives back those that were not known.
fn add(all: &mut All, found: Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut fresh = vec![];
    for dn in found {
        let Some(form) = canonical(&dn) else {
            return Err(Refusal::Unusable(format!("a group has a DN that is none: {dn:?}")));
        };
        if all.insert(form, dn.clone()).is_none() {
            fresh.push(dn);
        }
    }
    if all.len() > GROUPS_MAX {
        return Err(Refusal::Unusable(format!("somebody is of more than {GROUPS_MAX} groups")));
    }
    Ok(fresh)
}

fn too_deep(groups: &Groups) -> Refusal {
    Refusal::Unusable(format!(
        "groups are in groups more than {} deep: `depth` of groups says how deep",
        groups.depth
    ))
}
