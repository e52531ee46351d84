//! A model of the edge: tables in the order of their generations, each worker a little later than the other;
//! least load; an acknowledgement once all workers choose by the newest; counts for each instance.
//!
//! A new life of it begins with the table that the last one had written down, a new id, and counts at zero. What
//! earlier lives had counted when they died is on disk too; it is handed in first, one report after the other, and
//! all over again when the server's connection was lost in between.

use crate::event::{EdgeEvent, Event};
use crate::ground::Ground;
use crate::net::{self, Message};
use crate::sabotage::Sabotage;
use crate::sight::Sight;
use crate::work::{End, Kind};
use naru_model::{
    Backend, EdgeCounts, EdgeId, EdgeReport, Generation, InstanceId, Listener, NodeId, ReleaseNo, RouteTable,
    ServiceName, Span, StackName, StickyTo, Time, Waiting,
};
use naru_sim_stacks::Dice;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Workers of an edge: enough for one to be behind the other.
const WORKERS: usize = 2;

/// An edge keeps a request for so long when no instance is there to take it.
const HOLD: Span = Span::secs(20);

/// A report that was not acknowledged is sent again after this.
const SEND_AGAIN: Span = Span::secs(2);

/// The edge of a node.
pub(crate) struct Edge {
    pub(crate) node: NodeId,
    pub(crate) life: u32,
    id: EdgeId,
    began: Time,
    pub(crate) power: Power,
    /// The newest table that was taken; on disk before any worker chooses by it.
    newest: Rc<RouteTable>,
    workers: [Rc<RouteTable>; WORKERS],
    entries: BTreeMap<InstanceId, EdgeCounts>,
    begins: BTreeMap<InstanceId, Vec<Time>>,
    /// What waits for an instance.
    waiting: Waiting,
    seq: u64,
    heard: u64,
    news: News,
    sent: Time,
    /// When it looks next whether there is something to tell.
    due: Option<Time>,
    /// The last reports of lives before this one, oldest first, and how many of them were taken.
    before: Vec<Rc<EdgeReport>>,
    handed: usize,
}

/// Whether there is something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Fresh,
    Told,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    Up,
    Down,
}

/// What an edge finds for a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// An instance; the version that the client is told, where it is to stay.
    Backend(InstanceId, Option<ReleaseNo>),
    /// Nobody to give it to now; it waits for so long.
    Nobody(Span),
    /// Nobody, and it wakes nobody.
    Asleep,
    /// Nothing listens there.
    NoListener,
}

impl Edge {
    pub(crate) fn new(node: NodeId) -> Edge {
        Edge {
            id: EdgeId::from(format!("{node}-e0")),
            node,
            life: 0,
            began: Time(0),
            power: Power::Down,
            newest: Rc::default(),
            workers: Default::default(),
            entries: BTreeMap::new(),
            begins: BTreeMap::new(),
            waiting: Waiting::new(),
            seq: 0,
            heard: 0,
            news: News::Told,
            sent: Time(0),
            due: None,
            before: vec![],
            handed: 0,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.power == Power::Up
    }

    pub(crate) fn id(&self) -> &EdgeId {
        &self.id
    }

    /// A new life.
    pub(crate) fn starts(&mut self, ground: &mut Ground, node: usize) {
        self.power = Power::Up;
        self.id = EdgeId::from(format!("{}-e{}", self.node, self.life));
        self.began = ground.now;
        self.workers = [self.newest.clone(), self.newest.clone()];
        self.entries.clear();
        self.begins.clear();
        self.waiting.clear();
        (self.seq, self.heard, self.news, self.due, self.handed) = (0, 0, News::Fresh, None, 0);
        self.list_named();
        self.report_soon(ground, node, Span(1));
    }

    /// The end of a life, with all that it carried.
    pub(crate) fn dies(&mut self) {
        self.seq += 1;
        self.before.push(Rc::new(self.present()));
        self.power = Power::Down;
        self.life += 1;
    }

    /// The table that the server offers.
    pub(crate) fn takes(&mut self, ground: &mut Ground, node: usize, table: &Rc<RouteTable>) {
        let stale =
            table.generation <= self.newest.generation && !ground.sabotages(Sabotage::StaleStepCarriedOut);
        if !self.is_up() || stale {
            if table.generation < self.newest.generation {
                ground.sees(Sight::StaleTable);
            }
            return;
        }
        self.newest = table.clone();
        let slow = ground.window().map_or(Span(20), |window| window.late);
        for worker in 0..WORKERS {
            let after = Span(ground.net.below(slow.0.min(3000)));
            ground.after(after, self.event(node, EdgeEvent::Adopts(worker)));
        }
    }

    /// A worker chooses by the newest table from now on.
    pub(crate) fn adopts(&mut self, ground: &mut Ground, node: usize, worker: usize) {
        self.workers[worker] = self.newest.clone();
        self.list_named();
        let acked = self.acked();
        ground.note(acked.0, || {
            format!("edge {} worker {worker} has table {}", self.id, self.newest.generation)
        });
        self.news = News::Fresh;
        self.report_soon(ground, node, Span(1));
    }

    /// The table by which all workers choose.
    pub(crate) fn acked(&self) -> Generation {
        self.workers.iter().map(|table| table.generation).min().unwrap_or_default()
    }

    /// The tables by which it chooses, or would if it were started now.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &RouteTable> {
        let disk = (!self.is_up()).then_some(&*self.newest);
        let live = self.workers.iter().map(|table| &**table).filter(|_| self.is_up());
        live.chain(disk)
    }

    /// Who gets the next piece of work for a service, of a client that began on a release.
    pub(crate) fn choose(
        &self,
        dice: &mut Dice,
        is_it: impl Fn(&Listener) -> bool,
        began: Option<ReleaseNo>,
        tried: &[InstanceId],
    ) -> Choice {
        let table = &self.workers[dice.below(WORKERS as u64) as usize];
        let Some(listener) = table.listeners.iter().find(|listener| is_it(listener)) else {
            return Choice::NoListener;
        };
        let load =
            |instance: &InstanceId| self.entries.get(instance).map_or(0, |entry| entry.in_progress.total());
        let sticky = listener.policy.sticky.as_ref().is_some_and(|sticky| sticky.to == StickyTo::Version);
        let chosen = |backend: &Backend| {
            Choice::Backend(backend.instance.clone(), sticky.then_some(backend.version()))
        };
        let stays = listener.splits.iter().flat_map(|split| &split.backends);
        let stays =
            stays.filter(|one| sticky && Some(one.version()) == began && !tried.contains(&one.instance));
        if let Some(there) = stays.min_by_key(|backend| load(&backend.instance)) {
            return chosen(there);
        }
        let free = |split: &&naru_model::Split| {
            split.weight > 0 && split.backends.iter().any(|backend| !tried.contains(&backend.instance))
        };
        let splits: Vec<_> = listener.splits.iter().filter(free).collect();
        let nobody = || match &listener.policy.doze {
            Some(doze) if doze.asleep && !doze.by_request => Choice::Asleep,
            Some(doze) => Choice::Nobody(doze.hold.max(HOLD)),
            None => Choice::Nobody(HOLD),
        };
        if splits.is_empty() {
            return nobody();
        }
        let weights: Vec<_> =
            splits.iter().enumerate().map(|(at, split)| (u64::from(split.weight), at)).collect();
        let split = splits[dice.weighted(&weights)];
        let untried = split.backends.iter().filter(|backend| !tried.contains(&backend.instance));
        let best = untried.min_by_key(|backend| load(&backend.instance));
        best.map_or_else(nobody, chosen)
    }

    /// An instance gets a piece of work.
    pub(crate) fn claims(&mut self, now: Time, instance: &InstanceId, kind: Kind) {
        let entry = self.entries.entry(instance.clone()).or_default();
        match kind {
            Kind::Stream => entry.in_progress.streams += 1,
            _ => entry.in_progress.requests += 1,
        }
        entry.used.began = Some(now);
        let begins = self.begins.entry(instance.clone()).or_default();
        begins.push(now);
        entry.oldest = begins.first().copied();
        self.news = News::Fresh;
    }

    /// It has ended, or is handed over (`None`).
    pub(crate) fn releases(
        &mut self,
        now: Time,
        instance: &InstanceId,
        kind: Kind,
        began: Time,
        end: Option<End>,
    ) {
        let entry = self.entries.entry(instance.clone()).or_default();
        match kind {
            Kind::Stream => entry.in_progress.streams -= 1,
            _ => entry.in_progress.requests -= 1,
        }
        entry.used.ended = Some(now);
        match (kind, end) {
            (_, None) => entry.counts.handed_over += 1,
            (Kind::Stream, Some(End::Lost | End::Cut)) => entry.counts.streams_lost += 1,
            (Kind::Stream, Some(_)) => entry.counts.streams += 1,
            (_, Some(End::Lost | End::Cut)) => entry.counts.requests_lost += 1,
            (_, Some(end)) => {
                entry.counts.requests += 1;
                entry.counts.errors += u64::from(end == End::Failed);
                entry.request_durations.record(now.since(began));
            }
        }
        let begins = self.begins.entry(instance.clone()).or_default();
        if let Some(at) = begins.iter().position(|time| *time == began) {
            begins.remove(at);
        }
        entry.oldest = begins.first().copied();
        self.news = News::Fresh;
    }

    /// A request waits for an instance of a service; `delta` of -1: it does no longer.
    pub(crate) fn waits(&mut self, stack: &StackName, service: &ServiceName, delta: i64) {
        let waiting = self.waiting.entry(stack.clone()).or_default().entry(service.clone()).or_default();
        *waiting = waiting.saturating_add_signed(delta);
        self.news = News::Fresh;
    }

    /// A request found nobody at the instance's address, and goes to another.
    pub(crate) fn passes_by(&mut self, instance: &InstanceId) {
        self.entries.entry(instance.clone()).or_default().counts.handed_over += 1;
        self.news = News::Fresh;
    }

    /// The server took the report of this number, and has no record of these instances any more: they are
    /// accounted for. Not before: it counts by the newest report alone.
    pub(crate) fn heard(
        &mut self,
        ground: &mut Ground,
        node: usize,
        edge: &EdgeId,
        seq: u64,
        gone: &[InstanceId],
    ) {
        if !self.is_up() {
            return;
        }
        if *edge != self.id {
            let next = self.before.get(self.handed);
            self.handed += usize::from(next.is_some_and(|next| next.edge == *edge && next.seq == seq));
            return self.report_soon(ground, node, Span(1));
        }
        (self.before, self.handed) = (vec![], 0);
        self.heard = self.heard.max(seq);
        for instance in gone {
            let idle = self.entries.get(instance).is_some_and(|entry| entry.in_progress.is_idle());
            if idle && !self.names(instance) {
                self.entries.remove(instance);
                self.begins.remove(instance);
            }
        }
    }

    /// The server's connection was lost, and there is another: all is told again.
    pub(crate) fn reconnects(&mut self, ground: &mut Ground, node: usize) {
        (self.news, self.handed) = (News::Fresh, 0);
        self.report_soon(ground, node, Span(1));
    }

    /// Sees to it that a report goes out soon.
    pub(crate) fn report_soon(&mut self, ground: &mut Ground, node: usize, gather: Span) {
        let at = ground.now + gather;
        if self.is_up() && self.due.is_none_or(|due| due > at) {
            self.due = Some(at);
            ground.at(at, self.event(node, EdgeEvent::Reports));
        }
    }

    /// Tells what it sees, if that is news to the server.
    pub(crate) fn report(&mut self, ground: &mut Ground, node: usize) {
        if self.due.take_if(|due| *due <= ground.now).is_none() {
            return;
        }
        let again = self.sent + SEND_AGAIN;
        if self.handed < self.before.len() {
            return self.hand_in(ground, node);
        }
        match self.news {
            News::Told if self.heard == self.seq => {}
            News::Told if again > ground.now => {
                self.report_soon(ground, node, again.since(ground.now));
            }
            _ => self.tell(ground, node),
        }
    }

    /// Hands in what an earlier life had counted. One that is not taken in time is begun with again.
    fn hand_in(&mut self, ground: &mut Ground, node: usize) {
        let report = self.before[self.handed].clone();
        self.report_soon(ground, node, SEND_AGAIN);
        let server = ground.server;
        net::send(ground, Message::EdgeReport(node, report, server));
    }

    fn tell(&mut self, ground: &mut Ground, node: usize) {
        self.news = News::Told;
        self.sent = ground.now;
        self.seq += 1;
        self.report_soon(ground, node, SEND_AGAIN);
        let server = ground.server;
        net::send(ground, Message::EdgeReport(node, Rc::new(self.present()), server));
    }

    /// Whether a report is the last word of an earlier life.
    pub(crate) fn is_last_word(&self, edge: &EdgeId, seq: Option<u64>) -> bool {
        self.before.iter().any(|last| last.edge == *edge && Some(last.seq) == seq)
    }

    /// What it sees, whole.
    fn present(&self) -> EdgeReport {
        EdgeReport {
            node: self.node.clone(),
            edge: self.id.clone(),
            began: self.began,
            seq: self.seq,
            acked: self.acked(),
            instances: self.entries.clone(),
            faults: vec![],
            waiting: self.waiting.clone(),
        }
    }

    /// Whether any worker's table names the instance.
    pub(crate) fn names(&self, instance: &InstanceId) -> bool {
        self.tables().any(|table| names(table, instance))
    }

    fn list_named(&mut self) {
        for table in &self.workers {
            for backend in
                table.listeners.iter().flat_map(Listener::all_splits).flat_map(|split| &split.backends)
            {
                if !self.entries.contains_key(&backend.instance) {
                    self.entries.insert(backend.instance.clone(), EdgeCounts::default());
                }
            }
        }
    }

    pub(crate) fn event(&self, node: usize, what: EdgeEvent) -> Event {
        Event::Edge { node, life: self.life, what }
    }
}

/// Whether a table names an instance.
pub(crate) fn names(table: &RouteTable, instance: &InstanceId) -> bool {
    let splits = table.listeners.iter().flat_map(Listener::all_splits);
    splits.flat_map(|split| &split.backends).any(|backend| backend.instance == *instance)
}
