//! A node's agent: the real supervisor and ledger machines, and the thin act side that a real agent has.
//!
//! What a real agent writes down before it carries out effects, memories and ledgers, is here what a new
//! life of it finds; all else it forgets.

use crate::event::{AgentEvent, Event, ProcessEvent};
use crate::ground::Ground;
use crate::net::{self, Message};
use crate::sabotage::Sabotage;
use crate::sight::Sight;
use crate::sim::Sim;
use naru_model::{
    AgentReport, Desired, DesiredInstance, Generation, InstanceId, InstanceStatus, NodeId, Span, Template,
    Time,
};
use naru_supervise::lease::Ledger;
use naru_supervise::{Effect, Input, Memory, Supervisor};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A report that was not acknowledged is sent again after this.
const SEND_AGAIN: Span = Span::secs(2);

/// An agent, and its disk.
pub(crate) struct Agent {
    pub(crate) node: NodeId,
    /// Its life; also its incarnation.
    pub(crate) life: u32,
    pub(crate) state: Running,
    pub(crate) disk: Disk,
    pub(crate) machines: BTreeMap<InstanceId, Machine>,
    reporting: Reporting,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    Up,
    /// It runs, and is killed before it carries out its next effect.
    Doomed(Span),
    Down,
}

/// What outlives it.
#[derive(Default)]
pub(crate) struct Disk {
    memories: BTreeMap<InstanceId, Memory>,
    pub(crate) ledgers: BTreeMap<InstanceId, Ledger>,
    applied: Generation,
}

pub(crate) struct Machine {
    supervisor: Supervisor,
    /// The earliest tick that is on its way.
    tick: Option<Time>,
    /// The next look at its leases that is on its way.
    pub(crate) look: Option<Time>,
}

/// Where it is with its reports.
#[derive(Default)]
struct Reporting {
    seq: u64,
    heard: u64,
    last: BTreeMap<InstanceId, InstanceStatus>,
    applied: Generation,
    sent: Time,
    /// When it looks next whether there is something to tell.
    due: Option<Time>,
}

impl Agent {
    pub(crate) fn new(node: NodeId) -> Agent {
        Agent {
            node,
            life: 0,
            state: Running::Down,
            disk: Disk::default(),
            machines: BTreeMap::new(),
            reporting: Reporting::default(),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state != Running::Down
    }

    /// The instances that it has.
    pub(crate) fn instances(&self) -> impl Iterator<Item = &InstanceId> {
        self.machines.keys()
    }

    /// What an instance of it is made from.
    pub(crate) fn template(&self, id: &InstanceId) -> Option<&Template> {
        Some(&self.machines.get(id)?.supervisor.memory().desired.template)
    }

    /// Takes its word that a report was heard.
    pub(crate) fn heard(&mut self, incarnation: u64, seq: u64) {
        if incarnation == u64::from(self.life) {
            self.reporting.heard = self.reporting.heard.max(seq);
        }
    }

    /// It dies: machines are lost, their memories are not.
    fn die(&mut self) {
        self.state = Running::Down;
        let machines = std::mem::take(&mut self.machines);
        let memories = machines.into_iter().map(|(id, machine)| (id, machine.supervisor.memory().clone()));
        self.disk.memories = memories.collect();
    }

    pub(crate) fn event(&self, node: usize, what: AgentEvent) -> Event {
        Event::Agent { node, life: self.life, what }
    }

    /// Sees to it that a report goes out soon.
    fn report_soon(&mut self, ground: &mut Ground, node: usize, gather: Span) {
        let at = ground.now + gather;
        if self.is_up() && self.reporting.due.is_none_or(|due| due > at) {
            self.reporting.due = Some(at);
            ground.at(at, self.event(node, AgentEvent::Reports));
        }
    }

    /// Takes what is wanted of an instance.
    fn takes(&mut self, now: Time, id: &InstanceId, wanted: &DesiredInstance) {
        if let Some(machine) = self.machines.get_mut(id) {
            if machine.supervisor.memory().desired.intent != wanted.intent {
                machine.supervisor.input(now, Input::Intent(wanted.intent));
            }
            return;
        }
        self.disk.ledgers.insert(id.clone(), Ledger::new(id.clone()));
        let supervisor = Supervisor::new(now, id.clone(), wanted.clone());
        self.machines.insert(id.clone(), Machine { supervisor, tick: None, look: None });
    }

    fn report(&mut self, ground: &mut Ground, node: usize) {
        if self.reporting.due.take_if(|due| *due <= ground.now).is_none() {
            return;
        }
        let disk = &self.disk;
        let status = |(id, machine): (&InstanceId, &Machine)| {
            let status = machine.supervisor.status(ground.now, &disk.ledgers[id]);
            (id.clone(), status)
        };
        let instances: BTreeMap<_, _> = self.machines.iter().map(status).collect();
        let reporting = &mut self.reporting;
        let again = reporting.sent + SEND_AGAIN;
        let same = instances == reporting.last && reporting.applied == disk.applied && reporting.seq > 0;
        match same {
            true if reporting.heard == reporting.seq => return,
            true if again > ground.now => return self.report_soon(ground, node, again.since(ground.now)),
            _ => {}
        }
        reporting.seq += 1;
        reporting.sent = ground.now;
        reporting.applied = disk.applied;
        let report = AgentReport {
            node: self.node.clone(),
            incarnation: u64::from(self.life),
            seq: reporting.seq,
            applied: disk.applied,
            instances: instances.clone(),
            zone: None,
            host_addresses: BTreeMap::new(),
        };
        reporting.last = instances;
        self.report_soon(ground, node, SEND_AGAIN);
        net::send(ground, Message::AgentReport(node, Rc::new(report)));
    }
}

impl Sim {
    /// Something happens to an agent.
    pub(crate) fn agent_event(&mut self, node: usize, what: AgentEvent) {
        match what {
            AgentEvent::Starts => self.agent_starts(node),
            AgentEvent::Tick(id) => {
                if let Some(machine) = self.agents[node].machines.get_mut(&id) {
                    if machine.tick != Some(self.ground.now) {
                        return;
                    }
                    machine.tick = None;
                    self.agent_input(node, &id, Input::Tick);
                }
            }
            AgentEvent::Input(id, input) => self.agent_input(node, &id, *input),
            AgentEvent::Reports => self.agents[node].report(&mut self.ground, node),
            AgentEvent::Reconnects => {
                let agent = &mut self.agents[node];
                agent.reporting.heard = 0;
                agent.reporting.sent = Time(0);
                agent.report_soon(&mut self.ground, node, Span(1));
            }
            AgentEvent::Expires(id) => self.expire_leases(node, &id),
        }
    }

    /// An agent is killed, and starts again after `down`.
    pub(crate) fn agent_dies(&mut self, node: usize, down: Span) {
        if !self.agents[node].is_up() {
            return;
        }
        self.ground.proclaim(node as u64, || format!("FAULT: agent {node} is killed, for {down}"));
        self.agents[node].die();
        self.agents[node].life += 1;
        let starts = self.agents[node].event(node, AgentEvent::Starts);
        self.ground.after(down, starts);
    }

    /// The next life of an agent: adopts what the last one had.
    fn agent_starts(&mut self, node: usize) {
        let now = self.ground.now;
        self.ground.proclaim(node as u64, || format!("agent {node} starts"));
        let agent = &mut self.agents[node];
        agent.state = Running::Up;
        agent.reporting = Reporting::default();
        let memories = std::mem::take(&mut agent.disk.memories);
        let ids: Vec<InstanceId> = memories.keys().cloned().collect();
        for (id, memory) in memories {
            let ledger = agent.disk.ledgers.get_mut(&id).expect("each memory has its ledger");
            ledger.resume(now);
            let supervisor = Supervisor::adopt(now, memory, ledger.open(), self.host.found(&id));
            agent.machines.insert(id, Machine { supervisor, tick: None, look: None });
        }
        for id in ids {
            self.drive(node, &id);
            self.watch_leases(node, &id);
        }
        let agent = &mut self.agents[node];
        agent.report_soon(&mut self.ground, node, Span(1));
    }

    /// All that a node is to have, by the server's word.
    pub(crate) fn agent_hears(&mut self, node: usize, desired: &Desired) {
        if !self.agents[node].is_up() {
            return;
        }
        let agent = &mut self.agents[node];
        let stale = desired.generation < agent.disk.applied;
        if stale && !self.ground.sabotages(Sabotage::StaleStepCarriedOut) {
            self.ground.sees(Sight::StaleDesired);
            return;
        }
        self.checks.agent_applies(&mut self.ground, node, desired.generation);
        self.ground.trace.mix(desired.generation.0);
        let now = self.ground.now;
        let agent = &mut self.agents[node];
        for (id, wanted) in &desired.instances {
            agent.takes(now, id, wanted);
        }
        // Memories are on disk by now; what was applied goes there before effects are carried out.
        agent.disk.applied = desired.generation;
        for id in desired.instances.keys() {
            self.drive(node, id);
        }
        if self.agents[node].is_up() {
            self.agent_forgets(node, desired);
            let gather = self.gather;
            self.agents[node].report_soon(&mut self.ground, node, gather);
        }
    }

    /// What ended and is not named any longer is forgotten.
    fn agent_forgets(&mut self, node: usize, desired: &Desired) {
        let agent = &mut self.agents[node];
        let over = |(id, machine): &(&InstanceId, &Machine)| {
            machine.supervisor.life().stage.phase().is_over() && !desired.instances.contains_key(*id)
        };
        let gone: Vec<_> = agent.machines.iter().filter(over).map(|(id, _)| id.clone()).collect();
        for id in gone {
            agent.machines.remove(&id);
            agent.disk.ledgers.remove(&id);
            self.host.forget(&id);
        }
    }

    /// Tells an instance's machine, and does what it says.
    pub(crate) fn agent_input(&mut self, node: usize, id: &InstanceId, input: Input) {
        let now = self.ground.now;
        if !self.agents[node].is_up() {
            return;
        }
        let Some(machine) = self.agents[node].machines.get_mut(id) else { return };
        machine.supervisor.input(now, input);
        self.drive(node, id);
        let gather = self.gather;
        self.agents[node].report_soon(&mut self.ground, node, gather);
    }

    /// Drains a machine's effects, and sets its clock.
    fn drive(&mut self, node: usize, id: &InstanceId) {
        loop {
            let Some(machine) = self.agents[node].machines.get_mut(id) else { return };
            let before = machine.supervisor.life().stage.phase();
            let Some(effect) = machine.supervisor.effect() else { break };
            if let Running::Doomed(down) = self.agents[node].state {
                self.ground.sees(Sight::AgentDiedMidway);
                self.ground
                    .proclaim(0, || format!("FAULT: agent {node} is killed before {effect:?} of {id}"));
                return self.agent_dies(node, down);
            }
            self.tells(before as u64, node, id, &effect);
            self.carry_out(node, id, effect);
        }
        let now = self.ground.now;
        let agent = &mut self.agents[node];
        let Some(machine) = agent.machines.get_mut(id) else { return };
        let Some((at, _)) = machine.supervisor.wake() else { return };
        let at = at.max(now + Span(1));
        if machine.tick.is_none_or(|tick| tick > at || tick <= now) {
            machine.tick = Some(at);
            let tick = agent.event(node, AgentEvent::Tick(id.clone()));
            self.ground.at(at, tick);
        }
    }

    fn tells(&mut self, phase: u64, node: usize, id: &InstanceId, effect: &Effect) {
        let text = || format!("{id}: agent {node} carries out {}", said(effect));
        match effect {
            Effect::Probe { .. } | Effect::AskBusy { .. } => self.ground.chat(phase, text),
            _ => self.ground.note(phase, text),
        }
    }

    /// An answer that comes after a while, to this life of the agent.
    pub(crate) fn answer(&mut self, node: usize, id: &InstanceId, after: Span, input: Input) {
        let what = AgentEvent::Input(id.clone(), Box::new(input));
        let event = self.agents[node].event(node, what);
        self.ground.after(after, event);
    }

    /// A process that serves takes jobs by itself.
    pub(crate) fn next_job(&mut self, pid: u32) {
        if let Some(pace) = self.host.get(pid).job_pace() {
            let after = self.ground.work.around(pace);
            self.ground.after(after, Event::Process { pid, what: ProcessEvent::TakesJob });
        }
    }
}

fn said(effect: &Effect) -> String {
    let text = format!("{effect:?}");
    text.chars().take(90).collect()
}
