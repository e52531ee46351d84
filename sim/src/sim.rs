//! The simulated world as a whole: its parts, and who gets an event.

use crate::agent::{Agent, Running};
use crate::checks::Checks;
use crate::edge::Edge;
use crate::event::{AgentEvent, EdgeEvent, Event, OutsideEvent, ProcessEvent, ServerEvent};
use crate::ground::{DAWN, Ground};
use crate::host::{Death, Host};
use crate::net::Message;
use crate::people::People;
use crate::sabotage::Sabotage;
use crate::scenario::{Blow, Scenario};
use crate::server::Server;
use crate::stays::Regulars;
use crate::store::Store;
use crate::trace::Telling;
use crate::work::{Books, Kind, WorkId};
use naru_model::{NodeId, ServiceName, Span, StackName, Time};
use naru_sim_stacks::Draft;
use std::collections::BTreeSet;

/// The simulated world.
pub(crate) struct Sim {
    pub(crate) ground: Ground,
    pub(crate) scenario: Scenario,
    pub(crate) store: Store,
    pub(crate) server: Server,
    pub(crate) agents: Vec<Agent>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) host: Host,
    pub(crate) books: Books,
    /// Work that edges hold.
    pub(crate) held: BTreeSet<WorkId>,
    pub(crate) people: Vec<People>,
    pub(crate) regulars: Regulars,
    pub(crate) checks: Checks,
    /// Due times of jobs of which a run was made.
    pub(crate) due: BTreeSet<(StackName, ServiceName, Time)>,
    /// How far the server's clock is ahead of the world's.
    pub(crate) skew: Span,
    /// From here on no fault happens and no client comes.
    pub(crate) calm: Time,
    pub(crate) gather: Span,
    pub(crate) finished: Finished,
}

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    Not,
    Yes,
}

impl Sim {
    pub(crate) fn new(seed: u64, telling: Telling, sabotage: Option<Sabotage>) -> Sim {
        let mut scenario = Scenario::draw(seed);
        let mut ground = Ground::new(seed, telling, sabotage);
        ground.windows = std::mem::take(&mut scenario.windows);
        let nodes: Vec<NodeId> = (0..scenario.nodes).map(|at| format!("n{at}").as_str().into()).collect();
        let draft = |at: usize| Draft::new(at as u16, &mut ground.people).dozing(scenario.dozes);
        let people = (0..scenario.stacks.len()).map(draft).map(People::new).collect();
        Sim {
            store: Store::default(),
            server: Server::new(nodes.len()),
            agents: nodes.iter().cloned().map(Agent::new).collect(),
            edges: nodes.iter().cloned().map(Edge::new).collect(),
            host: Host::default(),
            books: Books::default(),
            held: BTreeSet::new(),
            people,
            regulars: Regulars::default(),
            checks: Checks::new(nodes.len()),
            due: BTreeSet::new(),
            skew: Span::ZERO,
            calm: scenario.calm,
            gather: scenario.gather,
            finished: Finished::Not,
            scenario,
            ground,
        }
    }

    /// Puts on the queue what happens by itself.
    pub(crate) fn begin(&mut self) {
        self.ground.now = DAWN;
        self.ground.at(DAWN, Event::Server { life: 0, what: ServerEvent::Starts });
        for node in 0..self.agents.len() {
            let after = Span(self.ground.net.below(200));
            self.ground.after(after, self.agents[node].event(node, AgentEvent::Starts));
            let after = Span(self.ground.net.below(200));
            self.ground.after(after, self.edges[node].event(node, EdgeEvent::Starts));
        }
        for stack in 0..self.people.len() {
            for (at, _) in self.scenario.stacks[stack].orders.clone() {
                self.ground.at(at, Event::Outside(OutsideEvent::Order(stack)));
            }
            self.ground.at(DAWN + Span::secs(1), Event::Outside(OutsideEvent::Request(stack)));
            if let Some(every) = self.scenario.stacks[stack].stream_every {
                self.ground.at(DAWN + every, Event::Outside(OutsideEvent::Stream(stack)));
            }
            self.ground.at(DAWN + Span::mins(1), Event::Outside(OutsideEvent::JobOrder(stack)));
            self.ground.at(self.calm, Event::Outside(OutsideEvent::Settle(stack)));
        }
        for (at, blow) in self.scenario.blows.clone() {
            self.ground.at(at, Event::Outside(OutsideEvent::Blow(blow)));
        }
        self.ground.at(self.calm + Span::mins(1), Event::Outside(OutsideEvent::Judgement));
    }

    /// The next event. `false`: there is none, or all has been said.
    pub(crate) fn step(&mut self) -> bool {
        if self.finished == Finished::Yes || self.ground.verdict().is_some() {
            return false;
        }
        let Some(event) = self.ground.next() else { return false };
        match event {
            Event::Server { life, what } if life == self.server.life => self.server_event(what),
            Event::Agent { node, life, what } if life == self.agents[node].life => {
                self.agent_event(node, what)
            }
            Event::Edge { node, life, what } if life == self.edges[node].life => self.edge_event(node, what),
            Event::Server { .. } | Event::Agent { .. } | Event::Edge { .. } => return true,
            Event::Arrives(message) => self.arrives(*message),
            Event::Commits(pending) => self.commits(*pending),
            Event::Process { pid, what } => self.process_event(pid, what),
            Event::Work { id, placing, what } => self.work_event(id, placing, what),
            Event::Outside(what) => self.outside_event(what),
        }
        self.check_availability();
        true
    }

    fn arrives(&mut self, message: Message) {
        match message {
            Message::Desired(node, desired) => self.agent_hears(node, &desired),
            Message::Table(node, table) => self.edge_hears(node, &table),
            Message::AgentReport(node, report) => self.server_hears_agent(node, &report),
            Message::EdgeReport(node, report, life) if life == self.server.life => {
                self.server_hears_edge(node, &report)
            }
            Message::EdgeReport(..) => {}
            Message::AgentHeard(node, incarnation, seq) => self.agents[node].heard(incarnation, seq),
            Message::EdgeHeard(node, edge, seq, gone) => {
                self.edges[node].heard(&mut self.ground, node, &edge, seq, &gone);
            }
        }
    }

    fn edge_hears(&mut self, node: usize, table: &std::rc::Rc<naru_model::RouteTable>) {
        self.edges[node].takes(&mut self.ground, node, table);
    }

    fn edge_event(&mut self, node: usize, what: EdgeEvent) {
        match what {
            EdgeEvent::Starts => {
                self.ground.proclaim(node as u64, || format!("edge {node} starts"));
                self.edges[node].starts(&mut self.ground, node);
                // Until it is told of the newest table it chooses by the one that its last life had, if there was one.
                if self.edges[node].life > 0 {
                    self.checks.edge_struck(self.ground.now);
                }
                self.checks.look_again();
            }
            EdgeEvent::Adopts(worker) => {
                self.edges[node].adopts(&mut self.ground, node, worker);
                let acked = self.edges[node].acked();
                self.checks.edge_acknowledges(&mut self.ground, node, self.edges[node].life, acked);
                self.checks.look_again();
                self.try_held(node);
            }
            EdgeEvent::Reports => self.edges[node].report(&mut self.ground, node),
            EdgeEvent::Reconnects => self.edges[node].reconnects(&mut self.ground, node),
        }
    }

    fn outside_event(&mut self, what: OutsideEvent) {
        match what {
            OutsideEvent::Request(stack) => {
                let kind = if self.ground.work.hits(600) { Kind::Idempotent } else { Kind::Once };
                self.client_comes(stack, kind);
            }
            OutsideEvent::Stream(stack) => self.client_comes(stack, Kind::Stream),
            OutsideEvent::Order(stack) => self.order(stack),
            OutsideEvent::JobOrder(stack) => self.job_order(stack),
            OutsideEvent::Blow(blow) => self.blow(blow),
            OutsideEvent::Settle(stack) => self.settle(stack),
            OutsideEvent::Judgement => self.judge(),
        }
    }

    fn blow(&mut self, blow: Blow) {
        match blow {
            Blow::Server(down) => self.server_dies(down),
            Blow::Agent(node, down) if self.ground.fate.hits(500) => self.agent_dies(node, down),
            Blow::Agent(node, down) => {
                if self.agents[node].is_up() {
                    self.agents[node].state = Running::Doomed(down);
                }
            }
            Blow::Edge(node, down) => self.edge_dies(node, down),
            Blow::Clock(by) => {
                self.ground.proclaim(3, || format!("FAULT: the server's clock is set forward by {by}"));
                self.skew = self.skew + by;
            }
            Blow::Instance => {
                if let Some(pid) = self.some_process() {
                    let instance = self.host.get(pid).instance.clone();
                    self.ground.proclaim(u64::from(pid), || format!("FAULT: {instance} is killed"));
                    self.process_ends(pid, Death::Struck);
                }
            }
            Blow::Sickness(span) => {
                if let Some(pid) = self.some_process().filter(|pid| self.host.get(*pid).is_well()) {
                    self.process_event(pid, ProcessEvent::Sickens);
                    self.ground.after(span, Event::Process { pid, what: ProcessEvent::Recovers });
                }
            }
        }
    }

    fn some_process(&mut self) -> Option<u32> {
        let pids: Vec<u32> = self.host.living().map(|(pid, _)| pid).collect();
        (!pids.is_empty()).then(|| *self.ground.fate.pick(&pids))
    }
}
