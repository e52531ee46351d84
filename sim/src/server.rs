//! The server: rounds over the real deciding code, one guarded transaction each, and the words to agents and
//! edges that follow from the records.
//!
//! What it knows beside the store dies with it. A transaction whose outcome it is not told is never sent again:
//! it reads the store anew.

use crate::event::{AgentEvent, EdgeEvent, Event, ServerEvent};
use crate::ground::Ground;
use crate::net::Message;
use crate::outbox::{Again, Sent};
use crate::property::{ROUNDS_COME_TO_REST, WAKE_IS_LATER};
use crate::sabotage::{self, Sabotage};
use crate::sight::Sight;
use crate::sim::Sim;
use crate::store::{Answer, Luck, Pending};
use naru_decide::{Context, World, Write, admit, reconcile};
use naru_model::{AgentReport, Change, Demand, EdgeReport, Ending, Generation, NodeId, Span, Time};
use std::rc::Rc;

/// After a refusal the server reads the store anew, and waits so long.
const REFUSED_PAUSE: Span = Span(500);
/// Rounds in a row, at one point in time, that may write.
const MOST_ROUNDS: u32 = 40;

/// The server.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) life: u32,
    pub(crate) state: State,
    pub(crate) world: World,
    under_way: Option<UnderWay>,
    /// Whether a round is on the clock.
    round: Option<Time>,
    wake: Option<Time>,
    pub(crate) again: Option<Time>,
    pub(crate) sent: Vec<Option<Sent>>,
    /// The newest table that each edge was sent.
    pub(crate) tables: Vec<Generation>,
    /// Reports that were taken, to be answered once what follows from them is stored.
    pub(crate) taken: Vec<Message>,
    free_port: u16,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    Up,
    #[default]
    Down,
}

/// A transaction that the server waits for.
struct UnderWay {
    purpose: Purpose,
    writes: Vec<Write>,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Round,
    /// The order of a stack's people.
    Order(usize),
}

impl Server {
    pub(crate) fn new(nodes: usize) -> Server {
        let sent = (0..nodes).map(|_| None).collect();
        Server { sent, tables: vec![Generation(0); nodes], free_port: 10_000, ..Server::default() }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    pub(crate) fn is_free(&self) -> bool {
        self.is_up() && self.under_way.is_none()
    }

    pub(crate) fn event(&self, what: ServerEvent) -> Event {
        Event::Server { life: self.life, what }
    }

    /// A round follows soon.
    pub(crate) fn round_soon(&mut self, ground: &mut Ground, after: Span) {
        let at = ground.now + after;
        if self.is_up() && self.round.is_none_or(|due| due > at) {
            self.round = Some(at);
            ground.at(at, self.event(ServerEvent::Round));
        }
    }

    /// Reads the store anew, and keeps what was observed.
    fn reload(&mut self, records: World) {
        let old = std::mem::replace(&mut self.world, records);
        self.world.agents = old.agents;
        self.world.reports = old.reports;
    }

    fn free_ports(&mut self) -> Vec<u16> {
        self.free_port += 12;
        (self.free_port - 12..self.free_port).collect()
    }
}

impl Sim {
    /// Something happens to the server.
    pub(crate) fn server_event(&mut self, what: ServerEvent) {
        match what {
            ServerEvent::Starts => self.server_starts(),
            ServerEvent::Round => {
                if self.server.round.take_if(|at| *at <= self.ground.now).is_some() {
                    self.round();
                }
            }
            ServerEvent::Wake(at) => {
                if self.server.wake.take_if(|wake| *wake == at).is_some() {
                    self.round();
                }
            }
            ServerEvent::Answered(answer) => self.answered(answer),
            ServerEvent::SendAgain => {
                if self.server.again.take_if(|at| *at <= self.ground.now).is_some() {
                    self.send_all(Again::Yes);
                }
            }
        }
    }

    /// The server is killed, and starts again after `down`.
    pub(crate) fn server_dies(&mut self, down: Span) {
        if !self.server.is_up() {
            return;
        }
        self.ground.proclaim(1, || format!("FAULT: the server is killed, for {down}"));
        self.ghost();
        let nodes = self.edges.len();
        let life = self.server.life + 1;
        self.ground.server = life;
        let free_port = self.server.free_port;
        self.server = Server { life, free_port, ..Server::new(nodes) };
        self.people.iter_mut().for_each(|people| people.forget_answer());
        let starts = self.server.event(ServerEvent::Starts);
        self.ground.after(down, starts);
    }

    /// What a server that is thought dead may still do: a last transaction, and last words, late.
    fn ghost(&mut self) {
        if !self.ground.net.hits(400) {
            return;
        }
        let world = &self.server.world;
        let mut writes = reconcile(world, &self.home(), self.clock()).writes;
        if writes.is_empty()
            && let Some(stack) = world.stacks.keys().next()
        {
            let demand = Demand {
                stack: stack.clone(),
                change: Change::Restart { services: vec![] },
                ending: Ending::Finish,
                actor: "ghost".into(),
                message: None,
            };
            let context = Context { now: self.clock(), free_ports: vec![], node: self.home() };
            writes = admit(world, &demand, &context).map(|(_, writes)| writes).unwrap_or_default();
        }
        if !writes.is_empty() {
            let guard = world.generation;
            let pending = Pending { life: self.server.life, guard, writes, luck: Luck::Good };
            let late = Span(self.ground.net.within(1, 20_000));
            self.ground.after(late, Event::Commits(Box::new(pending)));
        }
        for node in 0..self.edges.len() {
            let desired = Rc::new(self.server.world.desired(&self.agents[node].node));
            let table = Rc::new(self.server.world.routes.clone());
            for message in [Message::Desired(node, desired), Message::Table(node, table)] {
                let late = Span(self.ground.net.within(1, 60_000));
                self.ground.after(late, Event::Arrives(Box::new(message)));
            }
        }
    }

    fn server_starts(&mut self) {
        self.ground.proclaim(1, || "the server starts".into());
        self.server.state = State::Up;
        self.store.take_over();
        self.server.world = self.store.load(&self.ground);
        for node in 0..self.edges.len() {
            let after = |ground: &mut Ground| Span(ground.net.within(1, 800));
            let agent = self.agents[node].event(node, AgentEvent::Reconnects);
            let wait = after(&mut self.ground);
            self.ground.after(wait, agent);
            let edge = self.edges[node].event(node, EdgeEvent::Reconnects);
            let wait = after(&mut self.ground);
            self.ground.after(wait, edge);
        }
        self.server.round_soon(&mut self.ground, Span(1));
    }

    /// An agent's report arrives.
    pub(crate) fn server_hears_agent(&mut self, node: usize, report: &AgentReport) {
        if !self.server.is_up() {
            return;
        }
        let (incarnation, seq) = (report.incarnation, report.seq);
        let mut report = report.clone();
        if self.ground.sabotages(Sabotage::SignalBeforeIdle) {
            sabotage::hide_jobs(&self.store.records, &mut report);
        }
        let known = self.server.world.agents.get(&report.node).map(|known| known.incarnation);
        if known.is_none_or(|known| known < incarnation) {
            // It connects for the first time, and is told all.
            self.server.sent[node] = None;
        }
        self.server.world.hear_agent(report);
        self.server.taken.push(Message::AgentHeard(node, incarnation, seq));
        self.server.round_soon(&mut self.ground, Span(1));
    }

    /// An edge's report arrives.
    pub(crate) fn server_hears_edge(&mut self, node: usize, report: &EdgeReport) {
        if !self.server.is_up() {
            return;
        }
        let mut said = report.clone();
        if self.ground.sabotages(Sabotage::SignalBeforeIdle) {
            sabotage::hide_requests(&self.store.records, &mut said);
        }
        self.server.world.hear_edge(said);
        self.server.taken.push(Message::EdgeHeard(node, report.edge.clone(), report.seq, vec![]));
        self.server.round_soon(&mut self.ground, Span(1));
        if report.acked < self.server.world.routes.generation {
            self.send_again_soon();
        }
    }

    /// Rounds, until there is nothing to write.
    fn round(&mut self) {
        if !self.server.is_free() {
            return;
        }
        let node = self.home();
        for rounds in 0.. {
            if rounds > MOST_ROUNDS {
                let what =
                    format!("{rounds} rounds at one point in time still wrote: {}", self.last_writes());
                return self.ground.violated(&ROUNDS_COME_TO_REST, &[], what);
            }
            let decision = match self.ground.sabotages(Sabotage::QuietBeforeAcknowledged) {
                true => reconcile(&sabotage::acknowledged(&self.server.world), &node, self.clock()),
                false => reconcile(&self.server.world, &node, self.clock()),
            };
            if decision.writes.is_empty() {
                self.rests(decision.wake);
                self.answer_reports();
                break;
            }
            if self.commit(Purpose::Round, decision.writes) == Done::Later {
                return;
            }
        }
        self.send_all(Again::No);
    }

    fn last_writes(&self) -> String {
        let decision = reconcile(&self.server.world, &self.home(), self.clock());
        decision.writes.iter().map(crate::records::said).collect::<Vec<_>>().join("; ")
    }

    fn rests(&mut self, wake: Option<Time>) {
        let Some(wake) = wake else { return };
        if wake <= self.clock() {
            let what = "a round that writes nothing asks for another at once".to_string();
            return self.ground.violated(&WAKE_IS_LATER, &[], what);
        }
        if self.server.wake != Some(wake) {
            self.server.wake = Some(wake);
            let wait = wake.since(self.clock());
            self.ground.after(wait, self.server.event(ServerEvent::Wake(wake)));
        }
    }

    /// Where new instances are placed.
    pub(crate) fn home(&self) -> NodeId {
        self.agents[self.server.life as usize % self.agents.len()].node.clone()
    }

    /// An order of a stack's people reaches the server, which is free.
    pub(crate) fn server_hears_order(&mut self, stack: usize, demand: &Demand) {
        let context = Context { now: self.clock(), free_ports: self.server.free_ports(), node: self.home() };
        match admit(&self.server.world, demand, &context) {
            Err(refusal) => {
                self.ground.proclaim(2, || format!("refused: {}", refusal.error));
                self.people[stack].answered();
            }
            Ok((_, writes)) if writes.is_empty() => self.people[stack].answered(),
            Ok((admitted, writes)) => {
                let id = admitted.operation.unwrap_or_default();
                self.ground.proclaim(id.0, || format!("admitted as operation {id}"));
                if self.commit(Purpose::Order(stack), writes) == Done::Now {
                    self.server.round_soon(&mut self.ground, Span(1));
                }
            }
        }
    }

    /// Sends a transaction. In a window of faults, and now and then, it takes its time.
    fn commit(&mut self, purpose: Purpose, mut writes: Vec<Write>) -> Done {
        sabotage::tamper(&self.ground, &self.store.records, &mut writes);
        let luck = self.luck();
        let guard = self.server.world.generation;
        let slow = luck != Luck::Good || self.ground.window().is_some() || self.ground.net.hits(100);
        if !slow && self.store.admits(&self.ground, guard) {
            let generation = self.write_records(guard, &writes);
            self.server.under_way = Some(UnderWay { purpose, writes });
            self.committed(generation);
            return Done::Now;
        }
        let late = Span(1 + self.ground.net.below(self.scenario.commit.0 * 2));
        let pending = Pending { life: self.server.life, guard, writes: writes.clone(), luck };
        self.ground.after(late, Event::Commits(Box::new(pending)));
        self.server.under_way = Some(UnderWay { purpose, writes });
        Done::Later
    }

    fn luck(&mut self) -> Luck {
        let Some(window) = self.ground.window() else { return Luck::Good };
        let (refused, unknown) = (window.refused, window.unknown);
        let dice = &mut self.ground.net;
        match dice.below(1000) {
            n if n < refused => Luck::Refused,
            n if n < refused + unknown && dice.hits(500) => Luck::SilentlyDone,
            n if n < refused + unknown => Luck::SilentlyLost,
            _ => Luck::Good,
        }
    }

    /// A transaction reaches the store.
    pub(crate) fn commits(&mut self, pending: Pending) {
        let admitted = self.store.admits(&self.ground, pending.guard);
        let answer = match pending.luck {
            Luck::SilentlyLost => {
                self.ground.sees(Sight::UnknownLost);
                Answer::Unknown
            }
            Luck::Refused => Answer::Refused,
            _ if !admitted => {
                self.ground.sees(Sight::StaleWrite);
                self.ground.note(3, || format!("the store refuses a stale write of server {}", pending.life));
                Answer::Refused
            }
            luck => {
                let generation = self.write_records(pending.guard, &pending.writes);
                if luck == Luck::Good {
                    Answer::Committed(generation)
                } else {
                    self.ground.sees(Sight::UnknownDone);
                    Answer::Unknown
                }
            }
        };
        let event = Event::Server { life: pending.life, what: ServerEvent::Answered(answer) };
        self.ground.after(Span(1), event);
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Committed(generation) => {
                self.committed(generation);
                self.server.round_soon(&mut self.ground, Span(1));
            }
            Answer::Refused | Answer::Unknown => {
                let unknown = matches!(answer, Answer::Unknown);
                let what = if unknown { "unknown" } else { "refused" };
                self.ground
                    .note(4, || format!("a transaction's outcome: {what}; the server reads the store"));
                let records = self.store.load(&self.ground);
                self.server.reload(records);
                if let Some(UnderWay { purpose: Purpose::Order(stack), .. }) = self.server.under_way.take() {
                    if unknown { self.people[stack].answered() } else { self.people[stack].forget_answer() }
                }
                self.server.round_soon(&mut self.ground, REFUSED_PAUSE);
            }
        }
    }

    fn committed(&mut self, generation: Generation) {
        let Some(UnderWay { purpose, writes }) = self.server.under_way.take() else { return };
        writes.into_iter().for_each(|write| self.server.world.apply(write));
        self.server.world.generation = generation;
        if let Purpose::Order(stack) = purpose {
            self.people[stack].answered();
        }
    }
}

/// Whether a transaction is done, or on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Now,
    Later,
}
