//! Random walks of the real judgement against a modelled cloud, from seeds. What is checked after every step: nothing is asked
//! for that cannot be asked for in the state that was seen; at most one request of a machine is open; and what is called
//! reached is so, and stays so as long as nobody else acts. At the end, with all faults over, every want has ended.

mod cloud;
mod hours;

use cloud::{Cloud, Dice};
use naru_assets::AssetRecord;
use naru_assets::{Decision, Fleet, Look, Outcome, Provider};
use naru_model::{
    AssetId, AssetOrder, InProgress, Machine, MachineAct, MachineState, Pursuit, Span, Time, Wanted,
};
use std::collections::BTreeMap;

const FILE: &str = "providers:\n  c: { type: ec2, region: r, tags: { naru: x }, group: group }\n";

fn read(text: &str) -> Vec<Provider> {
    naru_assets::read("assets.yaml", text, &naru_schedule::Addresses::default()).unwrap()
}

/// A look that is under way: when it was begun, which, when it ends, and what it will have seen.
type Looked = (Time, Look, Time, Result<Vec<Machine>, String>);

/// Whoever drives the judgement, and what is on its way to it.
struct Walk {
    file: &'static str,
    cloud: Cloud,
    dice: Dice,
    fleet: Fleet,
    stored: BTreeMap<AssetId, AssetRecord>,
    answers: Vec<(Time, AssetId, u64, Outcome)>,
    looks: Vec<Looked>,
    /// When somebody else acted at the cloud last, by machine.
    meddled: BTreeMap<String, Time>,
    now: Time,
    reached: u64,
}

/// What happens beside the judgement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// Orders and crashes.
    Orders,
    /// These, and people at the cloud's console.
    Console,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        Walk::of(FILE, seed)
    }

    fn of(file: &'static str, seed: u64) -> Walk {
        let mut fleet = Fleet::default();
        fleet.set_providers(read(file));
        Walk {
            file,
            cloud: Cloud::new(seed, 4),
            dice: Dice::new(seed + 1_000_000),
            fleet,
            stored: BTreeMap::new(),
            answers: vec![],
            looks: vec![],
            meddled: BTreeMap::new(),
            now: Time(0),
            reached: 0,
        }
    }

    fn store(&mut self, records: Vec<AssetRecord>) {
        for record in records {
            self.check_reached(&record);
            self.stored.insert(record.id.clone(), record.clone());
            self.fleet.apply(record);
        }
    }

    /// What is called reached is so, unless somebody else acted since it was wanted.
    fn check_reached(&mut self, record: &AssetRecord) {
        let before = self.stored.get(&record.id).map(|before| &before.pursuit);
        if !matches!(record.pursuit, Pursuit::Reached { .. }) || before == Some(&record.pursuit) {
            return;
        }
        self.reached += 1;
        self.check_stands(record);
    }

    fn check_stands(&self, record: &AssetRecord) {
        let machine = record.id.machine();
        if self.meddled.get(machine).is_some_and(|at| *at + Span::secs(60) >= record.want.at) {
            return;
        }
        let want =
            if record.want.wanted == Wanted::On { MachineState::Running } else { MachineState::Stopped };
        assert_eq!(self.cloud.state(machine), want, "at {}: {record:#?}", self.now.0);
    }

    fn seen(&self, id: &AssetId) -> Option<MachineState> {
        let view = self.fleet.view(self.now);
        view.assets.iter().find(|asset| asset.id == *id)?.machine.as_ref().map(|machine| machine.state)
    }

    /// Decides until there is nothing more to do now.
    fn settle(&mut self) -> Option<Time> {
        for _ in 0..100 {
            let decision = self.fleet.decide(self.now);
            let wake = decision.wake;
            let is_idle = decision == Decision { wake, ..Decision::default() };
            self.carry_out(decision);
            if is_idle && wake.is_none_or(|wake| wake > self.now) {
                return wake;
            }
        }
        panic!("at {} it does not come to rest", self.now.0);
    }

    fn carry_out(&mut self, decision: Decision) {
        self.store(decision.records);
        for request in decision.requests {
            let state = self.seen(&request.id);
            let want = if request.act.starts() { MachineState::Stopped } else { MachineState::Running };
            assert_eq!(state, Some(want), "asked for in a state in which it cannot be: {request:?}");
            let is_open = self.answers.iter().any(|(_, id, _, _)| *id == request.id);
            assert!(!is_open, "two requests at once: {request:?}");
            let outcome = self.cloud.ask(request.id.machine(), request.act);
            let at = self.now + Span(20 + self.dice.below(3_000));
            self.answers.push((at, request.id, request.number, outcome));
        }
        for look in decision.looks {
            self.fleet.look_begins(&look);
            let found = self.cloud.look(&look.only);
            let at = self.now + Span(20 + self.dice.below(2_000));
            self.looks.push((at, look, self.now, found));
        }
    }

    /// On to the next thing that happens, `until` at the latest.
    fn advance(&mut self, until: Time) {
        let wake = self.settle();
        let times =
            self.answers.iter().map(|one| one.0).chain(self.looks.iter().map(|one| one.0)).chain(wake);
        let next = times.min().unwrap_or(until).min(until).max(self.now + Span(1));
        self.now = next;
        self.cloud.pass(next);
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|one| one.0 <= next);
        self.answers = later;
        let due: Vec<(Time, AssetId, u64, Outcome)> = due;
        for (_, id, number, outcome) in due {
            let records = self.fleet.answered(&id, number, outcome, next);
            self.store(records);
        }
        let (due, later) = std::mem::take(&mut self.looks).into_iter().partition(|one| one.0 <= next);
        self.looks = later;
        let due: Vec<Looked> = due;
        for (at, look, began, found) in due {
            self.fleet.looked(&look, (began, at), found);
        }
    }

    fn run_to(&mut self, until: Time) {
        while self.now < until {
            self.advance(until);
        }
    }

    /// The driver dies, and another one begins with what was stored.
    fn crash(&mut self) {
        self.answers.clear();
        self.looks.clear();
        self.fleet = Fleet::default();
        self.fleet.load(self.stored.values().cloned(), self.now);
        self.fleet.set_providers(read(self.file));
    }

    fn order(&mut self) {
        let ids = self.cloud.ids();
        let asset = ids[self.dice.below(ids.len() as u64) as usize].clone();
        let wanted = [Wanted::On, Wanted::Off, Wanted::Hibernated][self.dice.below(3) as usize];
        let order = AssetOrder { asset, wanted, within: None, message: None };
        // Refused while nothing was seen yet.
        if let Ok(record) = self.fleet.order(&order, "kim", self.now) {
            self.store(vec![record]);
        }
    }

    fn outside(&mut self, outside: Outside) {
        match self.dice.below(10) {
            0..=4 => self.order(),
            5 => self.crash(),
            6 => self.cloud.room = !self.cloud.room,
            7 if outside == Outside::Console => {
                let ids = self.cloud.ids();
                let id = ids[self.dice.below(ids.len() as u64) as usize].clone();
                let act = if self.dice.percent(50) { MachineAct::Start } else { MachineAct::Stop };
                self.cloud.meddle(&id, act);
                self.meddled.insert(id, self.now);
            }
            _ => {}
        }
    }

    /// The whole walk of a seed.
    fn go(mut self, outside: Outside) -> u64 {
        for _ in 0..60 {
            let rest = if self.dice.percent(50) { 5_000 } else { 180_000 };
            let until = self.now + Span(self.dice.below(rest));
            self.run_to(until);
            self.outside(outside);
        }
        (self.cloud.faulty, self.cloud.room) = (false, true);
        self.run_to(self.now + Span::mins(30));
        for record in self.stored.values() {
            assert_ne!(record.pursuit, Pursuit::Open, "a want without an end: {record:#?}");
            if matches!(record.pursuit, Pursuit::Reached { .. }) {
                self.check_stands(record);
            }
        }
        self.reached
    }
}

/// How many walks of each kind: some seconds.
const SEEDS: u64 = 1000;

#[test]
fn wants_end_as_they_say_whatever_the_cloud_does() {
    let reached: u64 = (0..SEEDS).map(|seed| Walk::new(seed).go(Outside::Orders)).sum();
    assert!(reached > SEEDS * 5, "{reached} wants were reached: the walks show little");
}

#[test]
fn wants_end_when_others_act_at_the_cloud_too() {
    let reached: u64 = (0..SEEDS).map(|seed| Walk::new(SEEDS + seed).go(Outside::Console)).sum();
    assert!(reached > SEEDS * 4, "{reached} wants were reached: the walks show little");
}

/// A walk without faults, and what is told on the way.
fn told(wanted: Wanted, machine: &str, prepare: impl FnOnce(&mut Walk)) -> Vec<String> {
    let mut walk = Walk::new(7);
    walk.cloud.faulty = false;
    walk.run_to(Time(3_000));
    prepare(&mut walk);
    let order = AssetOrder { asset: machine.into(), wanted, within: None, message: Some("a test".into()) };
    let record = walk.fleet.order(&order, "kim", walk.now).unwrap();
    walk.store(vec![record]);
    walk.run_to(walk.now + Span::mins(5));
    let view = walk.fleet.view(walk.now);
    let asset = view.assets.into_iter().find(|asset| asset.id.machine() == machine).unwrap();
    asset.log.into_iter().map(|entry| entry.text).collect()
}

#[test]
fn a_start_and_a_stop_are_told_step_by_step() {
    let said = told(Wanted::On, "i-0", |_| {});
    assert_eq!(said[0], "kim wants it on: a test");
    assert_eq!(said[1], "it is stopped: the cloud is asked to start it");
    assert_eq!(said[2], "the cloud takes the request to start it");
    assert_eq!(said[3], "it is pending, on its way to on");
    assert!(said[4].starts_with("it is running, after "), "{said:?}");
    assert_eq!(said.len(), 5, "{said:?}");
    assert_eq!(told(Wanted::On, "i-1", |_| {})[1], "it is running already");
    let said = told(Wanted::Off, "i-0", |walk| walk.cloud.meddle("i-0", MachineAct::Start));
    assert_eq!(said[1], "it is pending, and cannot be asked to stop before that is over");
    assert!(said.last().unwrap().starts_with("it is stopped, after "), "{said:?}");
}

#[test]
fn where_there_is_no_room_another_one_of_the_group_stands_in_or_it_is_tried_again() {
    let said = told(Wanted::On, "i-0", |walk| walk.cloud.room = false);
    assert!(said.last().unwrap().ends_with("; i-2 stands in"), "{said:?}");
    // With the other one running there is nobody to stand in.
    let said = told(Wanted::On, "i-0", |walk| {
        walk.cloud.meddle("i-2", MachineAct::Start);
        walk.run_to(walk.now + Span::mins(2));
        walk.cloud.room = false;
    });
    assert!(said.iter().any(|text| text.ends_with("it is tried again in 30 s")), "{said:?}");
}

#[test]
fn the_own_machine_is_not_stopped_with_work_in_progress() {
    let mut walk = Walk::new(7);
    walk.cloud.faulty = false;
    walk.run_to(Time(3_000));
    walk.fleet.set_own(Some("i-1".into()));
    let order = AssetOrder { asset: "i-1".into(), wanted: Wanted::Off, within: None, message: None };
    let busy = InProgress { requests: 0, streams: 0, jobs: 2 };
    walk.fleet.set_work(busy);
    let refused = walk.fleet.order(&order, "kim", walk.now).unwrap_err();
    assert!(refused.error.starts_with("2 jobs in progress on i-1"), "{refused:?}");
    walk.fleet.set_work(InProgress::default());
    let record = walk.fleet.order(&order, "kim", walk.now).unwrap();
    walk.store(vec![record]);
    // Work that comes before the request is made holds it up.
    walk.fleet.set_work(busy);
    walk.run_to(walk.now + Span::mins(5));
    let last = walk.stored.values().next().unwrap().log.last().unwrap().text.clone();
    assert_eq!(last, "2 jobs in progress on it; it is stopped when that is done");
    assert_eq!(walk.cloud.state("i-1"), MachineState::Running);
    walk.fleet.set_work(InProgress::default());
    walk.run_to(walk.now + Span::mins(5));
    assert_eq!(walk.cloud.state("i-1"), MachineState::Stopped);
}
