//! A cloud that behaves as EC2 does, and as badly: requests that get lost or come late, answers that do, states that are shown
//! late, no room, too many requests, and people who start and stop machines at its console.

use naru_assets::Outcome;
use naru_model::{CloudRefusal, Machine, MachineAct, MachineState, RefusalKind, Span, Time};
use std::collections::BTreeMap;

/// Chance, from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % n
    }

    /// Whether something happens that happens so often in a hundred times.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A machine as it is, and as it was.
struct Real {
    state: MachineState,
    /// When it is on to its next state.
    next: Option<(Time, MachineState)>,
    launched: Time,
    /// When it was asked to stop last.
    changed: Option<Time>,
    reason: Option<String>,
    zone: String,
    /// What it was up to when, newest last.
    past: Vec<(Time, Machine)>,
}

pub struct Cloud {
    pub dice: Dice,
    pub now: Time,
    machines: BTreeMap<String, Real>,
    /// Requests that are still on their way.
    late: Vec<(Time, String, MachineAct)>,
    /// Whether anything goes wrong.
    pub faulty: bool,
    /// Whether there is room.
    pub room: bool,
}

impl Cloud {
    pub fn new(seed: u64, count: u64) -> Cloud {
        let machines = (0..count).map(|n| {
            let state = if n % 2 == 0 { MachineState::Stopped } else { MachineState::Running };
            let zone = format!("z-{}", n % 2);
            (
                format!("i-{n}"),
                Real {
                    state,
                    next: None,
                    launched: Time(0),
                    changed: None,
                    reason: None,
                    zone,
                    past: vec![],
                },
            )
        });
        let mut cloud = Cloud {
            dice: Dice::new(seed),
            now: Time(0),
            machines: machines.collect(),
            late: vec![],
            faulty: true,
            room: true,
        };
        cloud.write_down();
        cloud
    }

    pub fn ids(&self) -> Vec<String> {
        self.machines.keys().cloned().collect()
    }

    pub fn state(&self, id: &str) -> MachineState {
        self.machines[id].state
    }

    /// Time goes on, and what is due happens at its time.
    pub fn pass(&mut self, to: Time) {
        let late = |cloud: &Cloud| cloud.late.iter().map(|one| one.0).min();
        let turn = |cloud: &Cloud| cloud.machines.values().filter_map(|real| Some(real.next?.0)).min();
        while let Some(at) = late(self).into_iter().chain(turn(self)).min().filter(|at| *at <= to) {
            self.now = at;
            let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|one| one.0 <= at);
            self.late = later;
            for real in self.machines.values_mut() {
                if let Some((_, state)) = real.next.filter(|(turns, _)| *turns <= at) {
                    (real.state, real.next) = (state, None);
                }
            }
            let due: Vec<(Time, String, MachineAct)> = due;
            due.iter().for_each(|(_, id, act)| drop(self.carry_out(id, *act)));
            self.write_down();
        }
        self.now = to;
    }

    fn write_down(&mut self) {
        for (id, real) in &mut self.machines {
            let machine = Machine {
                id: id.clone(),
                state: real.state,
                kind: "m7i.large".into(),
                zone: real.zone.clone(),
                tags: [("group".to_string(), "g".to_string())].into(),
                launched: Some(real.launched),
                changed: real.changed.filter(|_| real.state == MachineState::Stopped),
                reason: real.reason.clone(),
                health: None,
            };
            if real.past.last().is_none_or(|(_, last)| *last != machine) {
                real.past.push((self.now, machine));
            }
        }
    }

    fn carry_out(&mut self, id: &str, act: MachineAct) -> Result<(), CloudRefusal> {
        let (now, takes) = (self.now, Span(5_000 + self.dice.below(40_000)));
        let falls = !self.room && self.dice.percent(30);
        let real = self.machines.get_mut(id).expect("all that is asked for is there");
        let refusal = |kind, code: &str| CloudRefusal { kind, code: code.into(), text: format!("{code}.") };
        match (act, real.state) {
            (MachineAct::Start, MachineState::Stopped) if !self.room && !falls => {
                return Err(refusal(RefusalKind::Capacity, "InsufficientInstanceCapacity"));
            }
            (MachineAct::Start, MachineState::Stopped) => {
                (real.state, real.launched, real.reason) = (MachineState::Pending, now, None);
                let end = if falls { MachineState::Stopped } else { MachineState::Running };
                if falls {
                    real.reason = Some("Server.InsufficientInstanceCapacity: no room".into());
                }
                real.next = Some((now + takes, end));
            }
            (MachineAct::Stop | MachineAct::Hibernate, MachineState::Running) => {
                (real.state, real.changed) = (MachineState::Stopping, Some(now));
                real.reason = Some("Client.UserInitiatedShutdown: User initiated shutdown".into());
                real.next = Some((now + takes, MachineState::Stopped));
            }
            (MachineAct::Start, MachineState::Pending | MachineState::Running) => {}
            (MachineAct::Stop | MachineAct::Hibernate, MachineState::Stopping | MachineState::Stopped) => {}
            _ => return Err(refusal(RefusalKind::State, "IncorrectInstanceState")),
        }
        self.write_down();
        Ok(())
    }

    /// Somebody at the console.
    pub fn meddle(&mut self, id: &str, act: MachineAct) {
        let _ = self.carry_out(id, act);
    }

    /// A request, and what is heard of it.
    pub fn ask(&mut self, id: &str, act: MachineAct) -> Outcome {
        if self.faulty {
            match self.dice.below(20) {
                0 => return Outcome::NotSent("no route to host".into()),
                1 => {
                    let (code, text) = ("RequestLimitExceeded".into(), "too many requests".into());
                    return Outcome::Refused(CloudRefusal { kind: RefusalKind::Throttled, code, text });
                }
                2 => return Outcome::Lost("the request was lost".into()),
                3 => {
                    let at = self.now + Span(self.dice.below(40_000));
                    self.late.push((at, id.into(), act));
                    return Outcome::Lost("the request is late".into());
                }
                4 => {
                    let _ = self.carry_out(id, act);
                    return Outcome::Lost("the answer was lost".into());
                }
                _ => {}
            }
        }
        match self.carry_out(id, act) {
            Ok(()) => Outcome::Taken,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    /// A look; each machine may be shown as it was some seconds ago.
    pub fn look(&mut self, only: &[String]) -> Result<Vec<Machine>, String> {
        if self.faulty && self.dice.percent(10) {
            return Err("no answer".into());
        }
        let mut seen = vec![];
        let (now, faulty) = (self.now, self.faulty);
        for (id, real) in &self.machines {
            if !only.is_empty() && !only.contains(id) {
                continue;
            }
            let age = if faulty && self.dice.percent(30) { Span(self.dice.below(8_000)) } else { Span(0) };
            let shown = real.past.iter().rev().find(|(at, _)| *at <= now - age).or(real.past.first());
            seen.extend(shown.map(|(_, machine)| machine.clone()));
        }
        Ok(seen)
    }
}
