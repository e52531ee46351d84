//! Clients, and the life of a piece of work: it finds an instance through an edge, is worked on, calls another
//! service, leaves a job behind, is handed over, ends.

use crate::edge::Choice;
use crate::event::{Event, OutsideEvent, WorkEvent};
use crate::host::Tells;
use crate::leases::LeaseAnswer;
use crate::sim::Sim;
use crate::work::{Call, End, Heart, Kind, Place, Work, WorkId};
use naru_model::{InstanceId, Listener, Outcome, ServiceName, Span, StackName};
use naru_sim_stacks::{Calls, Fate, Jobs};

/// A workload that cannot reach its agent tries again after this.
const AGENT_AGAIN: Span = Span::secs(1);

impl Sim {
    /// A client of a stack comes.
    pub(crate) fn client_comes(&mut self, stack: usize, kind: Kind) {
        if self.ground.now >= self.calm {
            return;
        }
        let plan = &self.scenario.stacks[stack];
        let (mean, again) = match kind {
            Kind::Stream => (plan.stream_every.unwrap_or(Span::mins(10)), OutsideEvent::Stream(stack)),
            _ => (plan.request_every, OutsideEvent::Request(stack)),
        };
        let next = self.ground.work.around(mean);
        self.ground.after(next, Event::Outside(again));
        let dice = &mut self.ground.work;
        let takes = match (kind, dice.below(10)) {
            (Kind::Stream, _) => dice.span(Span::secs(20), Span::mins(150)),
            (_, 0..=5) => dice.span(Span(5), Span(800)),
            (_, 6 | 7) => dice.span(Span::secs(1), Span::secs(60)),
            _ => dice.span(Span::mins(1), Span::mins(15)),
        };
        let service: ServiceName = if kind == Kind::Stream && dice.hits(300) { "base" } else { "web" }.into();
        let node = dice.below(self.edges.len() as u64) as usize;
        let stack = self.people[stack].stack().clone();
        let call = if dice.hits(350) { Call::ToCome } else { Call::None };
        self.sends(node, stack, service, kind, takes, call, None);
    }

    #[expect(clippy::too_many_arguments, reason = "all that a piece of work is")]
    fn sends(
        &mut self,
        node: usize,
        stack: StackName,
        service: ServiceName,
        kind: Kind,
        takes: Span,
        call: Call,
        parent: Option<WorkId>,
    ) -> WorkId {
        let now = self.ground.now;
        let place = Place::Held { node, since: now };
        let work = Work { kind, stack, service, takes, place, placing: 0, began: now, parent, call };
        let id = self.books.enter(work);
        self.dispatch(id, node);
        id
    }

    /// An edge looks for an instance for a piece of work that it holds.
    pub(crate) fn dispatch(&mut self, id: WorkId, node: usize) {
        if !self.edges[node].is_up() {
            return self.work_ends(id, End::Unserved);
        }
        let work = self.books.get(id);
        let (stack, service, kind) = (work.stack.clone(), work.service.clone(), work.kind);
        let outside = work.parent.is_none();
        let is_it = |one: &Listener| {
            one.stack == stack && one.service.as_ref() == Some(&service) && published(one) == outside
        };
        let (mut tried, began) = (vec![], self.said_of(id));
        loop {
            match self.edges[node].choose(&mut self.ground.net, is_it, began, &tried) {
                Choice::Backend(instance, version) => match self.host.last(&instance) {
                    Some((pid, process)) if process.accepts() => {
                        self.is_told(id, node, &instance, version, &tried);
                        return self.begins(id, node, pid, &instance, kind);
                    }
                    _ => {
                        self.edges[node].passes_by(&instance);
                        self.books.truth_mut(&instance).handed_over += 1;
                        tried.push(instance);
                    }
                },
                Choice::Nobody(hold) => return self.holds(id, node, hold),
                Choice::Asleep => return self.work_ends(id, End::Unserved),
                Choice::NoListener => {
                    self.check_unserved(id, "nothing listens on its address");
                    return self.work_ends(id, End::Unserved);
                }
            }
        }
    }

    fn begins(&mut self, id: WorkId, node: usize, pid: u32, instance: &InstanceId, kind: Kind) {
        let now = self.ground.now;
        let life = self.edges[node].life;
        self.books.place(&mut self.host, id, now, pid, instance, Some((node, life)));
        self.edges[node].claims(now, instance, kind);
        self.edges[node].report_soon(&mut self.ground, node, self.gather);
        self.check_taken(id, instance);
        self.ground.chat(id.0 as u64, || format!("{instance} takes {} {}", kind.word(), id.0));
        let takes = self.books.get(id).takes;
        let work = self.books.get_mut(id);
        match work.call {
            Call::ToCome if self.host.get(pid).behaviour.calls == Calls::Engine => {
                self.later(id, Span(takes.0 / 2), WorkEvent::Calls)
            }
            _ => self.later(id, takes, WorkEvent::Done),
        }
    }

    /// The edge keeps it until an instance is there, for a while.
    fn holds(&mut self, id: WorkId, node: usize, hold: Span) {
        let since = match self.books.get(id).place {
            Place::Held { since, .. } => since,
            _ => self.ground.now,
        };
        self.books.get_mut(id).place = Place::Held { node, since };
        if self.held.insert(id) {
            self.waits(id, node, 1);
            self.later(id, hold, WorkEvent::HeldTooLong);
        }
    }

    /// An edge tells that something waits, or waits no longer.
    fn waits(&mut self, id: WorkId, node: usize, delta: i64) {
        let work = self.books.get(id);
        let (stack, service) = (work.stack.clone(), work.service.clone());
        if self.edges[node].is_up() {
            self.edges[node].waits(&stack, &service, delta);
            self.edges[node].report_soon(&mut self.ground, node, Span(1));
        }
    }

    /// The edge that holds it holds it no longer.
    fn let_go(&mut self, id: WorkId) -> bool {
        let is_held = self.held.remove(&id);
        if let (true, Place::Held { node, .. }) = (is_held, &self.books.get(id).place) {
            self.waits(id, *node, -1);
        }
        is_held
    }

    /// Something changed at an edge: what it holds is tried again.
    pub(crate) fn try_held(&mut self, node: usize) {
        let mine =
            |id: &WorkId| matches!(self.books.get(*id).place, Place::Held { node: at, .. } if at == node);
        let held: Vec<WorkId> = self.held.iter().copied().filter(mine).collect();
        for id in held {
            self.let_go(id);
            self.dispatch(id, node);
        }
    }

    fn later(&mut self, id: WorkId, after: Span, what: WorkEvent) {
        let placing = self.books.get(id).placing;
        self.ground.after(after, Event::Work { id, placing, what });
    }

    /// Something happens to a piece of work.
    pub(crate) fn work_event(&mut self, id: WorkId, placing: u32, what: WorkEvent) {
        let work = self.books.get(id);
        if work.placing != placing || matches!(work.place, Place::Ended(_)) {
            return;
        }
        match what {
            WorkEvent::Done => self.work_done(id),
            WorkEvent::Calls => self.calls(id),
            WorkEvent::Beats => self.job_beats(id),
            WorkEvent::HeldTooLong => {
                if self.let_go(id) {
                    self.check_unserved(id, "no instance took it in time");
                    self.work_ends(id, End::Unserved);
                }
            }
        }
    }

    fn calls(&mut self, id: WorkId) {
        let work = self.books.get(id);
        let Place::On { pid, .. } = work.place else { return };
        let (stack, rest) = (work.stack.clone(), Span(work.takes.0 / 2));
        let kind = if self.ground.work.hits(500) { Kind::Idempotent } else { Kind::Once };
        let takes = self.ground.work.span(Span(10), Span::mins(8));
        let node = self.host.get(pid).node;
        let child = self.books.next();
        self.books.get_mut(id).call = Call::Waits(child, rest);
        self.sends(node, stack, "engine".into(), kind, takes, Call::None, Some(id));
    }

    fn work_done(&mut self, id: WorkId) {
        let work = self.books.get(id);
        let Place::On { pid, ref instance, .. } = work.place else { return };
        let (instance, kind) = (instance.clone(), work.kind);
        if kind.is_job() {
            return self.job_done(id, pid, &instance);
        }
        if kind.is_request() && self.leaves_job(id, pid) && !self.starts_job(pid, &instance) {
            return self.later(id, AGENT_AGAIN, WorkEvent::Done);
        }
        let errs = match self.host.get(pid).behaviour.fate {
            Fate::Errs(permille) => self.ground.work.hits(permille),
            _ => false,
        };
        self.work_ends(id, if errs && kind.is_request() { End::Failed } else { End::Done });
    }

    /// Whether a request leaves a job behind: the same answer however often it is asked.
    fn leaves_job(&self, id: WorkId, pid: u32) -> bool {
        match self.host.get(pid).behaviour.jobs {
            Jobs::FromRequests(permille) => (id.0 as u64).wrapping_mul(2_654_435_761) % 1000 < permille,
            Jobs::ByItself(_) => false,
        }
    }

    /// A process takes a job. `false`: it cannot reach its agent, and tries again later.
    pub(crate) fn starts_job(&mut self, pid: u32, instance: &InstanceId) -> bool {
        let process = self.host.get(pid);
        let (node, tells) = (process.node, process.customs.tells);
        let dice = &mut self.ground.work;
        let by_lease = tells == Tells::ByLease || dice.hits(300);
        let longest = if tells == Tells::ByLease { Span::mins(180) } else { Span::mins(12) };
        let takes = dice.span(Span::secs(20), longest);
        let heart = if dice.hits(40) { Heart::Stopped } else { Heart::Beats };
        let kind = if by_lease { Kind::Leased(heart) } else { Kind::Unleased };
        let id = self.books.next();
        let ttl = Span((takes.0 / 8).clamp(5_000, 3_600_000));
        if by_lease {
            match self.takes_lease(node, instance, id, ttl) {
                LeaseAnswer::NoAgent => return false,
                LeaseAnswer::Refused => return true,
                LeaseAnswer::Given => {}
            }
        }
        let now = self.ground.now;
        let place = Place::Held { node, since: now };
        let (stack, service) = ("".into(), "".into());
        let job = Work {
            kind,
            stack,
            service,
            takes,
            place,
            placing: 0,
            began: now,
            parent: None,
            call: Call::None,
        };
        self.books.enter(job);
        self.books.place(&mut self.host, id, now, pid, instance, None);
        self.ground.note(id.0 as u64, || format!("{instance} begins job {} ({kind:?}, {takes})", id.0));
        match heart {
            Heart::Stopped if by_lease => {}
            _ => self.later(id, takes, WorkEvent::Done),
        }
        if kind == Kind::Leased(Heart::Beats) {
            self.later(id, Span(ttl.0 / 2), WorkEvent::Beats);
        }
        true
    }

    fn job_beats(&mut self, id: WorkId) {
        let work = self.books.get(id);
        let Place::On { pid, ref instance, .. } = work.place else { return };
        let (instance, takes) = (instance.clone(), work.takes);
        let node = self.host.get(pid).node;
        self.beats(node, &instance, id);
        let ttl = (takes.0 / 8).clamp(5_000, 3_600_000);
        self.later(id, Span(ttl / 2), WorkEvent::Beats);
    }

    fn job_done(&mut self, id: WorkId, pid: u32, instance: &InstanceId) {
        if self.books.get(id).kind == Kind::Unleased {
            return self.work_ends(id, End::Done);
        }
        let node = self.host.get(pid).node;
        let failed = self.ground.work.hits(50);
        let outcome = if failed { Outcome::Failed } else { Outcome::Done };
        if !self.ends_lease(node, instance, id, outcome) {
            self.later(id, AGENT_AGAIN, WorkEvent::Done);
        }
    }

    /// A piece of work ends; what it waited for ends with it, and what waited for it goes on.
    pub(crate) fn work_ends(&mut self, id: WorkId, end: End) {
        let work = self.books.get(id).clone();
        if matches!(work.place, Place::Ended(_)) {
            return;
        }
        self.let_go(id);
        self.leaves_edge(&work, Some(end));
        self.books.end(&mut self.host, id, end);
        self.ground.chat(id.0 as u64, || match &work.place {
            Place::On { instance, .. } => format!("{instance}: {} {} ends: {end:?}", work.kind.word(), id.0),
            _ => format!("{} {} ends: {end:?}", work.kind.word(), id.0),
        });
        if let Call::Waits(child, _) = work.call {
            // Its client has left.
            self.work_ends(child, End::Done);
        }
        if let Some(parent) = work.parent {
            self.goes_on(parent);
        }
    }

    /// The edge that carries it counts its end.
    pub(crate) fn leaves_edge(&mut self, work: &Work, end: Option<End>) {
        let Place::On { ref instance, carrier: Some((node, life)), .. } = work.place else { return };
        let edge = &mut self.edges[node];
        if edge.life == life && edge.is_up() {
            edge.releases(self.ground.now, instance, work.kind, work.began, end);
            edge.report_soon(&mut self.ground, node, self.gather);
        }
    }

    fn goes_on(&mut self, parent: WorkId) {
        let Call::Waits(_, rest) = self.books.get(parent).call else { return };
        if matches!(self.books.get(parent).place, Place::On { .. }) {
            self.books.get_mut(parent).call = Call::None;
            self.later(parent, rest, WorkEvent::Done);
        }
    }
}

/// Whether a listener is published: its port lies in the range of the simulated stacks.
fn published(listener: &Listener) -> bool {
    let port: u16 = listener.address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
    (8000..9999).contains(&port) && port % 100 < 50
}
