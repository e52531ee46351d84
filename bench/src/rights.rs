//! What a decision about a right costs: a thousand users, a thousand grants and more, five thousand instances.

use crate::report::{Report, median};
use naru_model::Time;
use naru_rights::{Policies, Rights};
use naru_who::{
    GrantRecord, Granted, Grantee, People, PersonWrite, Resource, Right, Role, Standing, UserRecord, Who,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const USERS: u64 = 1_000;
const INSTANCES: u64 = 5_000;
const NOW: Time = Time(1_800_000_000_000);

/// What the median may be, in µs.
const MEDIAN: f64 = 20.0;

/// Measures it.
pub fn run() -> Report {
    let rights = Rights::new(Arc::new(people()), Arc::new(Policies::default()));
    let mut report = Report::new(format!("a decision, with {USERS} users and {INSTANCES} instances"));
    let (mut all, mut allowed) = (vec![], vec![]);
    for n in 0..20_000 {
        let (who, on) = (user(n * 7 % USERS), instance(n * 13 % INSTANCES));
        let right = [Right::Read, Right::Restart, Right::Deploy, Right::Exec][(n % 4) as usize];
        let began = Instant::now();
        let verdict = rights.decide(&who, right, &on, NOW);
        let took = began.elapsed().as_secs_f64() * 1e6;
        all.push(took);
        if black_box(verdict).allowed {
            allowed.push(took);
        }
    }
    let told = |all: &mut Vec<f64>| {
        all.sort_by(f64::total_cmp);
        let at = |percent: usize| all[all.len() * percent / 100];
        format!("{:.1} / {:.1} µs", at(50), at(99))
    };
    report.figure("allowed, of 20,000", allowed.len());
    report.figure("of all: median, 99 of 100", told(&mut all));
    report.figure("of those that are allowed", told(&mut allowed));
    report.at_most("median of all", median(&all), MEDIAN, "µs");
    let began = Instant::now();
    let seen =
        (0..INSTANCES).filter(|n| rights.decide(&user(3), Right::Read, &instance(*n), NOW).allowed).count();
    report.figure(
        "a list of 5,000 instances, each decided",
        format!("{:.0} ms, {seen} seen", began.elapsed().as_secs_f64() * 1e3),
    );
    report
}

fn user(n: u64) -> Who {
    Who { name: format!("user{n}"), standing: Standing::User { token: None }, from: "bench".into() }
}

/// A hundred stacks, of ten services with five instances.
fn instance(n: u64) -> Resource {
    Resource::Instance(format!("stack{}.service{}.1.{n}", n / 50, n / 5 % 10).as_str().into())
}

/// Each of a team of ten, which has one stack to itself; every fifth with a right of its own.
fn people() -> People {
    let mut people = People::default();
    let mut id = 0;
    let mut grant = |who, what, on: &str| {
        id += 1;
        let (on, from) = (on.parse().expect("it is plain"), Time(0));
        PersonWrite::Grant(Box::new(GrantRecord {
            id,
            who,
            what,
            on,
            from,
            until: None,
            by: "owner".into(),
            reason: None,
            request: None,
        }))
    };
    for n in 0..USERS {
        let (name, by) = (format!("user{n}"), "owner".to_string());
        let groups = [format!("team{}", n / 10), "all".into()].into();
        people.apply(PersonWrite::User(Box::new(UserRecord {
            name: name.clone(),
            groups,
            password: None,
            made: NOW,
            by,
            origin: naru_who::Origin::Local,
        })));
        if n % 5 == 0 {
            let on = format!("service/stack{}/service1", n % 100);
            people.apply(grant(Grantee::User(name), Granted::Actions([Right::Exec].into()), &on));
        }
    }
    for team in 0..USERS / 10 {
        let who = || Grantee::Group(format!("team{team}"));
        people.apply(grant(who(), Granted::Role(Role::Deployer), &format!("stack/stack{team}")));
        people.apply(grant(who(), Granted::Role(Role::Waker), &format!("stack/stack{}", (team + 1) % 100)));
    }
    people.apply(grant(Grantee::Group("all".into()), Granted::Role(Role::Viewer), "all"));
    people
}
