//! People of a directory: what becomes of the records when one comes in, when they are looked up again, and how long
//! the directory's last word holds.
//!
//! A name that was added here is never the directory's, and an entry of the directory that has a name which another
//! entry had before is somebody else: neither gets what was granted to the other.

use naru_model::{Refusal, Span, Time};
use naru_who::{DirectoryPerson, Origin, People, PersonWrite, UserRecord};

/// So many have come in by the directory that it cannot be right.
const USERS_MAX: usize = 10_000;

/// Why somebody of the directory is not let in, or no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lapsed {
    /// The directory has them no more.
    Gone {
        /// Since when, as far as is known here.
        since: Time,
    },
    /// The directory has not been heard for too long.
    Stale {
        /// When it was heard last.
        seen: Time,
    },
}

impl Lapsed {
    /// What it says of a user.
    pub fn sentence(&self, user: &str) -> String {
        match self {
            Lapsed::Gone { since } => format!("the directory has {user} no more, since {}", since.utc()),
            Lapsed::Stale { seen } => {
                format!("the directory has not said anything of {user} since {}", seen.utc())
            }
        }
    }
}

/// Whether what is known of a user still holds.
///
/// # Errors
/// The directory has the user no more, or was not heard for too long.
pub fn holds(user: &UserRecord, now: Time) -> Result<(), Lapsed> {
    is_there(user)?;
    match user.origin {
        Origin::Directory { seen, until, .. } if until <= now => Err(Lapsed::Stale { seen }),
        _ => Ok(()),
    }
}

/// Whether the directory has a user, as far as is known.
///
/// # Errors
/// It has not.
pub fn is_there(user: &UserRecord) -> Result<(), Lapsed> {
    match user.origin {
        Origin::Directory { gone: Some(since), .. } => Err(Lapsed::Gone { since }),
        _ => Ok(()),
    }
}

/// The record of somebody whose password the directory has found right.
///
/// # Errors
/// The name is that of somebody else.
pub fn arrives(
    people: &People,
    person: &DirectoryPerson,
    stale_max: Span,
    now: Time,
) -> Result<UserRecord, Refusal> {
    let name = &person.name;
    let made = match people.users.get(name) {
        None if people.users.len() >= USERS_MAX => {
            let error = format!("there are {USERS_MAX} users, the most there can be");
            return Err(Refusal::new(error, "`naru user rm` removes some"));
        }
        None => now,
        Some(UserRecord { origin: Origin::Local, .. }) => {
            let error = format!("{name} was added on this server, and is not the directory's {name}");
            return Err(Refusal::new(
                error,
                format!("`naru user rm {name}` gives the name to the directory"),
            ));
        }
        Some(UserRecord { origin: Origin::Directory { id, .. }, made, .. }) if *id == person.id => *made,
        Some(_) => {
            let error = format!("{name} was somebody else in the directory before");
            let hint = format!(
                "`naru user rm {name}` takes back what was granted to that one, and then this one comes in"
            );
            return Err(Refusal::new(error, hint));
        }
    };
    Ok(record(person, made, stale_max, now))
}

fn record(person: &DirectoryPerson, made: Time, stale_max: Span, now: Time) -> UserRecord {
    let DirectoryPerson { name, id, dn, groups } = person.clone();
    let origin = Origin::Directory { id, dn, seen: now, until: now + stale_max, gone: None };
    UserRecord { name, groups, password: None, made, by: "directory".into(), origin }
}

/// Users of the directory with tokens that are not over: those who are looked up again.
pub fn present(people: &People, now: Time) -> Vec<String> {
    let is_open = |name: &str| people.tokens.values().any(|token| token.user == name && now < token.until);
    let is_due = |user: &&UserRecord| {
        matches!(user.origin, Origin::Directory { gone: None, .. }) && is_open(&user.name)
    };
    people.users.values().filter(is_due).map(|user| user.name.clone()).collect()
}

/// What is otherwise than it was, of somebody who was looked up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Whose.
    pub name: String,
    /// What, in words.
    pub what: String,
}

/// What an answer about a user of the directory makes of the records; `None` is the answer that there is nobody. Nothing
/// is written only to say that nothing changed, until a quarter of the time is over for which the last word holds.
pub fn looked_up(
    people: &People,
    name: &str,
    answer: Option<&DirectoryPerson>,
    stale_max: Span,
    now: Time,
) -> (Vec<PersonWrite>, Option<Changed>) {
    let Some(user) = people.users.get(name) else { return (vec![], None) };
    let Origin::Directory { id, dn, seen, until, gone: None } = &user.origin else { return (vec![], None) };
    let changed = |what: String| Some(Changed { name: name.into(), what });
    let Some(person) = answer.filter(|person| person.id == *id) else {
        let origin =
            Origin::Directory { id: id.clone(), dn: dn.clone(), seen: *seen, until: *until, gone: Some(now) };
        let groups = Default::default();
        let tokens = people.tokens.values().filter(|token| token.user == name);
        let mut writes: Vec<_> = tokens.map(|token| PersonWrite::ForgetToken(token.id.clone())).collect();
        let what = format!("the directory has {name} no more: {} tokens end", writes.len());
        writes.push(PersonWrite::User(Box::new(UserRecord { groups, origin, ..user.clone() })));
        return (writes, changed(what));
    };
    let groups = user.groups != person.groups;
    let is_old = *seen + Span(stale_max.0 / 4) <= now || *until > now + stale_max;
    if !groups && !is_old && *dn == person.dn {
        return (vec![], None);
    }
    let write = PersonWrite::User(Box::new(record(person, user.made, stale_max, now)));
    let shown = |groups: &std::collections::BTreeSet<String>| {
        if groups.is_empty() { "none".into() } else { groups.iter().cloned().collect::<Vec<_>>().join(", ") }
    };
    let what = || format!("groups of {name}: {}, before: {}", shown(&person.groups), shown(&user.groups));
    (vec![write], groups.then(what).and_then(changed))
}

#[cfg(test)]
mod tests {
    use super::{Lapsed, arrives, holds, looked_up, present};
    use naru_model::{Span, Time};
    use naru_who::{DirectoryPerson, Origin, People, PersonWrite, TokenOrigin, TokenRecord, UserRecord};

    const NOW: Time = Time(1_000_000_000);
    const STALE: Span = Span::mins(60);

    fn person(id: &str, groups: &[&str]) -> DirectoryPerson {
        let groups = groups.iter().map(|group| group.to_string()).collect();
        DirectoryPerson { name: "kim".into(), id: id.into(), dn: "uid=kim,dc=x".into(), groups }
    }

    /// Kim has come in, and has a token.
    fn people() -> People {
        let mut people = People::default();
        let kim = arrives(&people, &person("1", &["ops"]), STALE, NOW).unwrap();
        people.apply(PersonWrite::User(Box::new(kim)));
        let (id, user, hash, note) = ("t".to_string(), "kim".to_string(), String::new(), String::new());
        let (scope, origin, made, until) = (None, TokenOrigin::SignIn, NOW, NOW + Span::mins(600));
        people.apply(PersonWrite::Token(Box::new(TokenRecord {
            id,
            user,
            hash,
            scope,
            origin,
            note,
            made,
            until,
        })));
        people
    }

    fn after(people: &People, answer: Option<&DirectoryPerson>, now: Time) -> (People, Option<String>) {
        let mut people = people.clone();
        let (writes, changed) = looked_up(&people, "kim", answer, STALE, now);
        writes.into_iter().for_each(|write| people.apply(write));
        (people, changed.map(|changed| changed.what))
    }

    #[test]
    fn who_was_added_here_is_never_the_directorys() {
        let mut people = People::default();
        let local = UserRecord {
            name: "kim".into(),
            groups: Default::default(),
            password: None,
            made: NOW,
            by: "root".into(),
            origin: Origin::Local,
        };
        people.apply(PersonWrite::User(Box::new(local)));
        let refused = arrives(&people, &person("1", &[]), STALE, NOW).unwrap_err();
        assert!(refused.error.contains("added on this server"), "{refused:?}");
    }

    #[test]
    fn another_entry_of_the_same_name_is_somebody_else() {
        let people = people();
        arrives(&people, &person("1", &[]), STALE, NOW).unwrap();
        arrives(&people, &person("2", &[]), STALE, NOW).unwrap_err();
        let (people, changed) = after(&people, Some(&person("2", &["ops"])), NOW);
        assert!(people.tokens.is_empty(), "{changed:?}");
    }

    #[test]
    fn groups_follow_and_who_is_gone_loses_tokens() {
        let people = people();
        assert_eq!(present(&people, NOW), ["kim"]);
        let (moved, changed) = after(&people, Some(&person("1", &["dev"])), NOW);
        assert_eq!(changed.as_deref(), Some("groups of kim: dev, before: ops"));
        assert_eq!(moved.users["kim"].groups, ["dev".to_string()].into());
        let (gone, changed) = after(&people, None, NOW);
        assert_eq!(changed.as_deref(), Some("the directory has kim no more: 1 tokens end"));
        assert!(gone.tokens.is_empty() && gone.users["kim"].groups.is_empty());
        assert_eq!(holds(&gone.users["kim"], NOW), Err(Lapsed::Gone { since: NOW }));
        assert!(present(&gone, NOW).is_empty());
        arrives(&gone, &person("1", &["ops"]), STALE, NOW).expect("who is back comes in again");
    }

    #[test]
    fn the_last_word_holds_for_its_time() {
        let people = people();
        assert_eq!(holds(&people.users["kim"], NOW + Span::mins(59)), Ok(()));
        assert_eq!(holds(&people.users["kim"], NOW + STALE), Err(Lapsed::Stale { seen: NOW }));
        let (same, _) = after(&people, Some(&person("1", &["ops"])), NOW + Span::mins(14));
        assert_eq!(same, people, "nothing is written for nothing");
        let (later, changed) = after(&people, Some(&person("1", &["ops"])), NOW + Span::mins(15));
        assert_eq!(changed, None);
        assert_eq!(holds(&later.users["kim"], NOW + STALE), Ok(()));
    }
}
