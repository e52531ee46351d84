//! What the server tells agents and edges: what follows from the records, again and again until it is
//! acknowledged; and that it took their reports, once what follows from those is stored.

use crate::event::ServerEvent;
use crate::net::{self, Message};
use crate::server::Server;
use crate::sim::Sim;
use naru_model::{Generation, InstanceId, Intent, Span};
use std::rc::Rc;

/// What was not acknowledged is sent again after this.
const SEND_AGAIN: Span = Span::secs(2);

/// What an agent was sent last.
pub(crate) struct Sent {
    generation: Generation,
    wanted: Vec<(InstanceId, Intent)>,
}

/// Whether what was sent and not acknowledged is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Yes,
    No,
}

impl Server {
    /// Notes that an edge is sent this table. Whether it is news.
    fn sent_table(&mut self, node: usize, generation: Generation) -> bool {
        let before = std::mem::replace(&mut self.tables[node], generation);
        before < generation
    }
}

impl Sim {
    /// Sends agents and edges what they do not have, as far as is known.
    pub(crate) fn send_all(&mut self, again: Again) {
        let mut waits = false;
        for node in 0..self.edges.len() {
            waits |= self.send_desired(node, again);
            waits |= self.send_table(node, again);
        }
        if waits {
            self.send_again_soon();
        }
    }

    pub(crate) fn send_again_soon(&mut self) {
        let at = self.ground.now + SEND_AGAIN;
        if self.server.again.is_none() {
            self.server.again = Some(at);
            self.ground.at(at, self.server.event(ServerEvent::SendAgain));
        }
    }

    /// Whether something is still to be acknowledged.
    fn send_desired(&mut self, node: usize, again: Again) -> bool {
        let id = &self.agents[node].node;
        let world = &self.server.world;
        let mine = world.instances.values().filter(|one| one.node == *id);
        let wanted: Vec<_> = mine.map(|one| (one.id.clone(), one.intent)).collect();
        let sent = self.server.sent[node].as_ref();
        let news = sent.is_none_or(|sent| sent.wanted != wanted);
        let applied = world.agents.get(id).map(|report| report.applied);
        let acked = sent.is_some_and(|sent| applied.is_some_and(|applied| applied >= sent.generation));
        if !news && (acked || again == Again::No) {
            return !acked;
        }
        let desired = Rc::new(world.desired(id));
        self.server.sent[node] = Some(Sent { generation: desired.generation, wanted });
        net::send(&mut self.ground, Message::Desired(node, desired));
        true
    }

    fn send_table(&mut self, node: usize, again: Again) -> bool {
        let world = &self.server.world;
        let edge = world.edges.get(&self.edges[node].node).and_then(|edge| world.reports.get(&edge.edge));
        let generation = world.routes.generation;
        if edge.is_some_and(|said| said.acked >= generation) {
            return false;
        }
        let news = self.server.sent_table(node, generation);
        if news || again == Again::Yes {
            let table = Rc::new(self.server.world.routes.clone());
            net::send(&mut self.ground, Message::Table(node, table));
        }
        true
    }

    /// What follows from the reports is stored: their senders are told.
    pub(crate) fn answer_reports(&mut self) {
        let world = &self.server.world;
        for mut answer in std::mem::take(&mut self.server.taken) {
            if let Message::EdgeHeard(_, edge, _, gone) = &mut answer
                && let Some(report) = world.reports.get(edge)
            {
                let strange = report.instances.keys().filter(|id| !world.instances.contains_key(*id));
                gone.extend(strange.cloned());
            }
            net::send(&mut self.ground, answer);
        }
    }
}
