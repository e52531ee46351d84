//! Walks of days with hours, and an account of its own of what each machine has to be: the last of what people did, here
//! or at the cloud, of what the hours said and of what ended decides.

use crate::Walk;
use naru_model::{AssetOrder, InProgress, MachineAct, MachineState, Pursuit, Span, Time, Wanted};
use std::collections::BTreeMap;

const FILE: &str = "\
providers:
  c:
    type: ec2
    region: r
    tags: { naru: x }
    power: { off: 'Mon-Sun 20:00-08:00', except: i-3, wake_max: 6h }
";

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The first moment of a day, at which it is off.
const BEGIN: Time = Time(1_000 * DAY);

/// Longer than anything takes in a cloud without faults.
const SETTLED: Span = Span::mins(5);

/// Whether the hours say on.
fn is_day(at: Time) -> bool {
    (8 * HOUR..20 * HOUR).contains(&(at.0 % DAY))
}

fn next_change(after: Time) -> Time {
    let day = after.0 / DAY * DAY;
    let changes = [day + 8 * HOUR, day + 20 * HOUR, day + 32 * HOUR];
    Time(changes.into_iter().find(|at| *at > after.0).unwrap())
}

/// What a machine has to be.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    on: bool,
    /// Until when somebody keeps it on, and since when somebody has.
    kept: Option<(Time, Time)>,
    /// When somebody's keeping ended last.
    ended: Time,
    has_hours: bool,
}

impl Account {
    /// Time goes on from one moment to another.
    fn pass(&mut self, from: Time, to: Time) {
        let mut at = from;
        loop {
            let change = self.has_hours.then(|| next_change(at));
            let end = self.kept.map(|(until, _)| until.max(at));
            let Some(next) = change.into_iter().chain(end).min().filter(|next| *next <= to) else { return };
            if end == Some(next) {
                (self.kept, self.ended) = (None, next);
                self.on = self.has_hours && is_day(next);
            } else if self.kept.is_none() {
                self.on = is_day(next);
            }
            at = next;
        }
    }

    fn order(&mut self, wanted: Wanted, within: Option<Span>, now: Time) {
        let since = self.kept.map_or(now, |(_, since)| since);
        let latest = since + Span(6 * HOUR);
        self.on = wanted == Wanted::On;
        self.kept = match within {
            _ if !self.on => None,
            Some(within) => Some((now + within, since)),
            None if self.has_hours && !is_day(now) => Some((next_change(now).min(latest), since)),
            None => None,
        };
    }

    fn may(&self, within: Option<Span>, now: Time) -> bool {
        let since = self.kept.map_or(now, |(_, since)| since);
        within.is_none_or(|within| now + within <= since + Span(6 * HOUR))
    }
}

/// A walk, and the account beside it.
struct Watched {
    walk: Walk,
    accounts: BTreeMap<String, Account>,
    changes: u64,
}

impl Watched {
    fn new(seed: u64) -> Watched {
        let mut walk = Walk::of(FILE, seed);
        (walk.cloud.faulty, walk.now) = (false, BEGIN);
        walk.cloud.pass(BEGIN);
        let accounts = walk.cloud.ids().into_iter().map(|id| {
            let has_hours = id != "i-3";
            let is_on = walk.cloud.state(&id) == MachineState::Running;
            (id, Account { on: is_on && !has_hours, has_hours, ..Account::default() })
        });
        Watched { accounts: accounts.collect(), walk, changes: 0 }
    }

    fn pass(&mut self, until: Time) {
        for account in self.accounts.values_mut() {
            let before = account.on;
            account.pass(self.walk.now, until);
            self.changes += u64::from(account.on != before);
        }
    }

    fn run(&mut self, time: Span) {
        let until = self.walk.now + time;
        self.pass(until);
        self.walk.run_to(until);
    }

    /// Nobody decides for a while, and the cloud goes on.
    fn is_off(&mut self, time: Span) {
        let until = self.walk.now + time;
        self.pass(until);
        self.walk.answers.clear();
        self.walk.looks.clear();
        self.walk.cloud.pass(until);
        self.walk.now = until;
        self.walk.crash();
    }

    fn order(&mut self) {
        let ids = self.walk.cloud.ids();
        let id = ids[self.walk.dice.below(ids.len() as u64) as usize].clone();
        let wanted = if self.walk.dice.percent(70) { Wanted::On } else { Wanted::Off };
        let within = (wanted == Wanted::On && self.walk.dice.percent(60))
            .then(|| Span(self.walk.dice.below(8 * HOUR) + MINUTE));
        let (account, now) = (self.accounts.get_mut(&id).unwrap(), self.walk.now);
        let order = AssetOrder { asset: id.clone(), wanted, within, message: None };
        match self.walk.fleet.order(&order, "kim", now) {
            Ok(record) => {
                assert!(account.may(within, now), "longer than it may be: {record:#?}");
                account.order(wanted, within, now);
                self.walk.store(vec![record]);
            }
            Err(refusal) => assert!(!account.may(within, now), "{refusal:?} {account:?}"),
        }
    }

    /// Somebody at the console, who does something that has an effect.
    fn meddle(&mut self) {
        let ids = self.walk.cloud.ids();
        let id = ids[self.walk.dice.below(ids.len() as u64) as usize].clone();
        let (act, on) = match self.walk.cloud.state(&id) {
            MachineState::Running => (MachineAct::Stop, false),
            MachineState::Stopped => (MachineAct::Start, true),
            _ => return,
        };
        self.walk.cloud.meddle(&id, act);
        self.accounts.get_mut(&id).unwrap().on = on;
    }

    fn check(&self, seed: u64) {
        for (id, account) in &self.accounts {
            let want = if account.on { MachineState::Running } else { MachineState::Stopped };
            let record = self.walk.stored.iter().find(|(one, _)| one.machine() == id);
            let at = self.walk.now.utc();
            assert_eq!(self.walk.cloud.state(id), want, "seed {seed}, {id} at {at}: {account:?} {record:#?}");
        }
    }

    /// Not so near to a moment at which something changes that it is still under way.
    fn is_calm(&self) -> bool {
        let (now, since) = (self.walk.now, Time(self.walk.now.0.saturating_sub(SETTLED.0)));
        let near = |moment: Time| moment > since && moment <= now + SETTLED;
        let ends = self.accounts.values().flat_map(|one| [one.kept.map(|(until, _)| until), Some(one.ended)]);
        !near(next_change(since)) && !ends.flatten().any(near)
    }

    fn go(mut self, seed: u64) -> u64 {
        self.run(SETTLED);
        for _ in 0..40 {
            let rest = Span(self.walk.dice.below(6 * HOUR));
            if self.walk.dice.percent(20) {
                self.is_off(rest);
                if self.is_calm() && self.walk.dice.percent(50) {
                    self.meddle();
                    self.is_off(Span::mins(10));
                }
            } else {
                self.run(rest);
            }
            while !self.is_calm() {
                self.run(SETTLED);
            }
            // What was missed is made up for.
            self.run(SETTLED);
            while !self.is_calm() {
                self.run(SETTLED);
            }
            self.check(seed);
            match self.walk.dice.below(3) {
                0 => self.order(),
                1 => self.meddle(),
                _ => self.walk.crash(),
            }
            self.run(SETTLED);
        }
        self.changes
    }
}

#[test]
fn the_last_of_hours_people_and_ends_decides() {
    const SEEDS: u64 = 80;
    let changes: u64 = (0..SEEDS).map(|seed| Watched::new(seed).go(seed)).sum();
    assert!(changes > SEEDS * 15, "{changes} changes by hours and ends: the walks show little");
}

#[test]
fn what_hours_do_is_told_and_is_done_once() {
    let mut watched = Watched::new(7);
    watched.run(Span(8 * HOUR + 10 * MINUTE));
    let record = watched.walk.stored.values().find(|record| record.id.machine() == "i-0").unwrap();
    let said: Vec<&str> = record.log.iter().map(|entry| entry.text.as_str()).collect();
    let since = Time(BEGIN.0 + 8 * HOUR).utc();
    assert_eq!(said[0], format!("by its hours it is on since {since}"));
    assert!(said.last().unwrap().starts_with("it is running, after "), "{said:?}");
    assert_eq!((record.want.actor.as_str(), record.asked), ("its hours", 1));
    assert!(matches!(record.pursuit, Pursuit::Reached { .. }));
    // Nobody is worked against.
    watched.walk.cloud.meddle("i-0", MachineAct::Stop);
    watched.walk.run_to(watched.walk.now + Span(4 * HOUR));
    assert_eq!(watched.walk.cloud.state("i-0"), MachineState::Stopped);
    let view = watched.walk.fleet.view(watched.walk.now);
    let hours = |id: &str| view.assets.iter().find(|one| one.id.machine() == id).unwrap().hours.clone();
    let own = hours("i-0").unwrap();
    assert_eq!((own.now, own.next), (Wanted::On, Some(Time(BEGIN.0 + 20 * HOUR))));
    assert_eq!(hours("i-3"), None, "it is excepted");
}

#[test]
fn hours_wait_for_work_and_never_stop_the_machine_that_keeps_them() {
    let mut watched = Watched::new(7);
    watched.run(Span(9 * HOUR));
    watched.walk.fleet.set_own(Some("i-1".into()));
    watched.run(Span(12 * HOUR));
    assert_eq!(watched.walk.cloud.state("i-1"), MachineState::Running, "nobody could start it again");
    assert_eq!(watched.walk.cloud.state("i-0"), MachineState::Stopped);
    let view = watched.walk.fleet.view(watched.walk.now);
    let own = view.assets.iter().find(|one| one.id.machine() == "i-1").unwrap();
    assert!(!own.hours.as_ref().unwrap().kept);
    assert_eq!(own.work, Some(InProgress::default()));
}
