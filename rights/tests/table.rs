//! `table.txt`: people and their grants, and what each may do; a line a case.

use naru_model::Time;
use naru_rights::{Made, Policies, Rights, admit};
use naru_who::{
    GrantRecord, Granted, Grantee, People, PeopleOrder, PersonWrite, Resource, Scope, Standing, TokenOrigin,
    TokenRecord, UserRecord, Who,
};
use std::sync::Arc;

const NOW: Time = Time(1_800_000_000_000);

const TABLE: &str = include_str!("table.txt");

fn what(text: &str) -> Granted {
    match text.split_once(':').unwrap() {
        ("role", role) => Granted::Role(role.parse().unwrap()),
        (_, actions) => Granted::Actions(actions.split(',').map(|action| action.parse().unwrap()).collect()),
    }
}

fn at(words: &[&str], key: &str) -> Option<Time> {
    let seconds: i64 = words.iter().find_map(|word| word.strip_prefix(key))?.parse().unwrap();
    Some(Time(NOW.0.strict_add_signed(seconds * 1000)))
}

fn write(line: &str) -> Option<PersonWrite> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Some(match words[..] {
        ["user", name, ref groups @ ..] => PersonWrite::User(Box::new(UserRecord {
            name: name.into(),
            groups: groups.iter().map(ToString::to_string).collect(),
            password: None,
            made: NOW,
            by: "owner".into(),
            origin: naru_who::Origin::Local,
        })),
        ["grant", id, who, granted, on, ref times @ ..] => PersonWrite::Grant(Box::new(GrantRecord {
            id: id.parse().unwrap(),
            who: who.parse::<Grantee>().unwrap(),
            what: what(granted),
            on: on.parse().unwrap(),
            from: at(times, "from=").unwrap_or(Time(0)),
            until: at(times, "until="),
            by: "owner".into(),
            reason: None,
        })),
        ["token", id, user, ref rest @ ..] => {
            let scoped = rest.first().is_some_and(|first| first.contains(':'));
            let scope = scoped.then(|| Scope { what: what(rest[0]), on: rest[1].parse().unwrap() });
            let origin = if rest.contains(&"sign-in") { TokenOrigin::SignIn } else { TokenOrigin::Made };
            let until = at(rest, "until=").unwrap_or(Time(u64::MAX));
            let (hash, note) = (String::new(), String::new());
            let (id, user) = (id.into(), user.into());
            PersonWrite::Token(Box::new(TokenRecord {
                id,
                user,
                hash,
                scope,
                origin,
                note,
                made: NOW,
                until,
            }))
        }
        _ => return None,
    })
}

fn rights() -> Rights {
    let mut people = People::default();
    TABLE.lines().filter_map(write).for_each(|write| people.apply(write));
    let own: String = TABLE
        .lines()
        .filter_map(|line| line.strip_prefix("policy "))
        .map(|text| format!("{text}\n"))
        .collect();
    let policies = Policies::read(&[("own.cedar".to_string(), own)].into()).unwrap();
    Rights::new(Arc::new(people), Arc::new(policies))
}

fn who(text: &str) -> Who {
    if text == "owner" {
        return Who::owner("root", "unix socket");
    }
    let (name, token) =
        text.split_once(':').map_or((text, None), |(name, token)| (name, Some(token.to_string())));
    Who { name: name.into(), standing: Standing::User { token }, from: "test".into() }
}

/// `None`: it is as wanted.
fn judge(rights: &Rights, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["may", asks, right, on, wanted, ref by @ ..] => {
            let on: Resource = on.parse().unwrap();
            let verdict = rights.decide(&who(asks), right.parse().unwrap(), &on, NOW);
            let rule = by.join(" ");
            let as_wanted = verdict.allowed == (wanted == "yes")
                && (rule.is_empty() || verdict.by.as_deref() == Some(rule.as_str()));
            (!as_wanted).then(|| format!("{line}\n    {verdict:?}"))
        }
        ["order", asks, wanted, ..] => {
            let order: PeopleOrder = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
            let made = Made { password: Some("hash".into()), token: Some(("id".into(), "hash".into())) };
            let done = admit(rights, &who(asks), &order, &made, NOW);
            (done.is_ok() != (wanted == "yes")).then(|| format!("{line}\n    {done:?}"))
        }
        _ => None,
    }
}

#[test]
fn every_case_is_as_the_table_says() {
    let rights = rights();
    let cases: Vec<&str> =
        TABLE.lines().filter(|line| line.starts_with("may ") || line.starts_with("order ")).collect();
    assert!(cases.len() >= 150, "{}", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|line| judge(&rights, line)).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Each judgement that the table holds can fail: with all grants gone, nobody but the owner may do anything.
#[test]
fn without_grants_nobody_may_do_anything() {
    let rights = rights();
    let mut bare = (**rights.people()).clone();
    bare.grants.clear();
    let bare = Rights::new(Arc::new(bare), rights.policies().clone());
    for line in TABLE.lines().filter(|line| line.starts_with("may ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let verdict = bare.decide(&who(words[1]), words[2].parse().unwrap(), &words[3].parse().unwrap(), NOW);
        assert!(!verdict.allowed, "{line}");
    }
}

#[test]
fn what_is_refused_everywhere_is_refused_at_first_sight() {
    let rights = rights();
    for (line, verdict) in TABLE.lines().filter(|line| line.starts_with("may ")).map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (who, right) = (who(words[1]), words[2].parse().unwrap());
        let allowed = rights.decide(&who, right, &words[3].parse().unwrap(), NOW).allowed;
        (line, (allowed, rights.anywhere(&who, &[right], NOW)))
    }) {
        assert!(!verdict.0 || verdict.1, "{line}: decided yes, and kept out before");
    }
    assert!(!rights.anywhere(&who("nobody:n1"), naru_who::Right::ALL, NOW));
    assert!(!rights.anywhere(&who("ghost"), naru_who::Right::ALL, NOW));
}

#[test]
fn a_removed_user_leaves_nothing_to_whoever_is_called_so_later() {
    let rights = rights();
    let order = PeopleOrder::RemoveUser { name: "ann".into() };
    let (_, writes) = admit(&rights, &who("owner"), &order, &Made::default(), NOW).unwrap();
    let mut people = (**rights.people()).clone();
    writes.into_iter().for_each(|write| people.apply(write));
    assert!(!people.grants.values().any(|grant| grant.who == Grantee::User("ann".into())));
    assert!(!people.tokens.values().any(|token| token.user == "ann"));
    let next = people.next_grant;
    assert!(next > 30, "no number comes again");
}

#[test]
fn policies_that_cannot_be_read_let_nobody_do_anything() {
    let rights = rights();
    let closed = Rights::new(rights.people().clone(), Arc::new(Policies::closed()));
    let verdict = closed.decide(&who("ann"), naru_who::Right::Read, &Resource::All, NOW);
    assert!(!verdict.allowed, "{verdict:?}");
    assert!(closed.decide(&who("owner"), naru_who::Right::Read, &Resource::All, NOW).allowed);
}
