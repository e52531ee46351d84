//! `table.txt`: people and their grants, and what each may do; a line a case.

use naru_model::{Span, Time};
use naru_rights::desk::{begin, rule, seen};
use naru_rights::{Declined, Made, Policies, Rights, admit};
use naru_who::{
    Asked, Decision, DeskRequest, GrantRecord, Granted, Grantee, Outcome, People, PeopleOrder, PersonWrite,
    Rank, RequestAct, RequestOrder, RequestState, Resource, Ruling, Scope, Standing, TokenOrigin,
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
            request: words.iter().find_map(|word| word.strip_prefix("request=")?.parse().ok()),
        })),
        ["request", id, by, state, ref rest @ ..] => {
            PersonWrite::Request(Box::new(request(line, (id, by, state), rest)))
        }
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

fn request(line: &str, (id, by, state): (&str, &str, &str), rest: &[&str]) -> DeskRequest {
    let asked: Asked = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
    let decided = rest.iter().find_map(|word| word.strip_prefix("by="));
    let state: RequestState = serde_json::from_value(state.into()).unwrap();
    let what = if state == RequestState::Denied { Ruling::Denied } else { Ruling::Approved };
    let decision = |by: &str| {
        let of = if by == "owner" { Rank::Owner } else { Rank::User };
        let lasts = asked.lasts().filter(|_| what == Ruling::Approved);
        Decision { what, by: by.into(), of, at: NOW, reason: None, lasts }
    };
    let decisions: Vec<Decision> = decided.map(decision).into_iter().collect();
    let outcome = matches!(state, RequestState::Done | RequestState::InUse)
        .then(|| Outcome { until: Some(NOW + Span::mins(60)), ..Outcome::default() });
    let (id, by, reason) = (id.parse().unwrap(), by.into(), "a demo".into());
    let lapses = at(rest, "lapses=").unwrap_or(NOW + Span::mins(60));
    DeskRequest { id, by, asked, reason, made: NOW, lapses, state, decisions, outcome }
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
        ["desk", asks, wanted, ..] => {
            let order: RequestOrder = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
            let ruled = rule(rights, &who(asks), &order, NOW);
            let said = match &ruled {
                Ok(_) => "yes",
                Err(Declined::NotAllowed(_)) => "no",
                Err(Declined::Senseless(_)) => "odd",
                Err(Declined::Late(_)) => "late",
            };
            (said != wanted).then(|| format!("{line}\n    {ruled:?}"))
        }
        ["begin", asks, right, on, wanted] => {
            let begun = begin(rights, &who(asks), right.parse().unwrap(), &on.parse().unwrap(), NOW);
            (begun.is_some() != (wanted == "yes")).then(|| format!("{line}\n    {begun:?}"))
        }
        _ => None,
    }
}

const CASES: [&str; 4] = ["may ", "order ", "desk ", "begin "];

#[test]
fn every_case_is_as_the_table_says() {
    let rights = rights();
    let cases: Vec<&str> =
        TABLE.lines().filter(|line| CASES.iter().any(|case| line.starts_with(case))).collect();
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

fn numbers(rights: &Rights, asks: &str) -> Vec<u64> {
    seen(rights, &who(asks), NOW).iter().map(|view| view.request.id).collect()
}

#[test]
fn one_sees_what_is_ones_own_and_what_one_decides_about() {
    let rights = rights();
    assert_eq!(numbers(&rights, "kim"), [16, 15, 14, 11, 7, 6, 5, 3, 1]);
    assert_eq!(numbers(&rights, "nobody"), [0; 0]);
    assert_eq!(numbers(&rights, "exp"), [15, 9], "whoever approved it takes it back");
    assert_eq!(numbers(&rights, "owner").len(), 16);
    let may = |asks: &str, id: u64| {
        let all = seen(&rights, &who(asks), NOW);
        all.into_iter().find(|view| view.request.id == id).map(|view| view.may).unwrap_or_default()
    };
    assert_eq!(may("ann", 1), [RequestAct::Decide]);
    assert_eq!(may("kim", 1), [RequestAct::Withdraw]);
    assert_eq!(may("ann", 11), [RequestAct::Revoke], "a wake that runs");
    assert_eq!(may("ann", 6), [], "it has lapsed");
}

/// Writes what was ordered into the records.
fn done(rights: &Rights, asks: &str, order: RequestOrder) -> Rights {
    let ruled = rule(rights, &who(asks), &order, NOW).unwrap();
    let mut people = (**rights.people()).clone();
    ruled.writes.into_iter().for_each(|write| people.apply(write));
    people.apply(PersonWrite::Request(Box::new(ruled.request)));
    Rights::new(Arc::new(people), rights.policies().clone())
}

#[test]
fn a_right_begins_with_its_first_use_and_ends_with_its_revocation() {
    let asked =
        Asked::Right { right: naru_who::Right::Cut, on: "shop".parse().unwrap(), lasts: Span::mins(60) };
    let rights = done(&rights(), "kim", RequestOrder::Make { asked, reason: "stuck".into() });
    let id = *rights.people().requests.keys().next_back().unwrap();
    let approve = |lasts| RequestOrder::Approve { id, lasts, reason: None };
    let rights = done(&rights, "ann", approve(Some(Span::mins(30))));
    let (cut, on) = (naru_who::Right::Cut, "shop".parse().unwrap());
    assert!(!rights.decide(&who("kim"), cut, &on, NOW).allowed, "its time has not begun");
    assert!(rights.anywhere(&who("kim"), &[cut], NOW));
    let later = NOW + Span::mins(600);
    let begun = begin(&rights, &who("kim"), cut, &on, later).unwrap();
    let mut people = (**rights.people()).clone();
    begun.writes.into_iter().for_each(|write| people.apply(write));
    people.apply(PersonWrite::Request(Box::new(begun.request)));
    let rights = Rights::new(Arc::new(people), rights.policies().clone());
    assert!(rights.decide(&who("kim"), cut, &on, later + Span::mins(29)).allowed);
    assert!(!rights.decide(&who("kim"), cut, &on, later + Span::mins(30)).allowed, "shortened to that");
    assert!(begin(&rights, &who("kim"), cut, &on, later).is_none(), "once");
    let revoked = done(&rights, "ann", RequestOrder::Revoke { id, reason: None });
    assert!(!revoked.decide(&who("kim"), cut, &on, later).allowed);
    let mut people = (**rights.people()).clone();
    people.apply(PersonWrite::ForgetGrant(10));
    let rights = Rights::new(Arc::new(people), rights.policies().clone());
    assert!(!rights.decide(&who("kim"), cut, &on, later).allowed, "ann may not any more, and so nor may kim");
}
