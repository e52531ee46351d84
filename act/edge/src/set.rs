//! Instances among which one is chosen, at one worker: those of a listener, or of one of its rules.
//!
//! [`Roster`] makes the choice; what it goes by is brought here: the clock, chance, and what all workers together have
//! in progress. A choice and its count are one step.

use crate::adopt::Adoption;
use crate::table::{PlannedBackend, PlannedSplit};
use naru_books::{Claim, Crowd, Entry, Kind, News};
use naru_model::{Policy, ServiceName, StackName};
use naru_traffic::{Candidate, Fields, Hint, Micros, NoPick, Query, Roster, Ticket, Verdict, set_lines};
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often a choice is made anew because another worker took the last place meanwhile.
const RACES: usize = 8;

/// The instances among which one is chosen. Requests share it, and it outlives its removal for as long as they do.
pub(crate) struct Set {
    roster: RefCell<Roster>,
    /// As the roster's places are.
    targets: RefCell<Vec<Target>>,
    /// Told when the instances changed, to those that wait for one.
    pub(crate) changed: Notify,
    removed: Cell<bool>,
    /// How many wait for an instance.
    pub(crate) held: Cell<usize>,
    /// Whether the instances are spoken to by HTTP/2.
    pub(crate) http2: bool,
    policy: RefCell<Arc<Policy>>,
    splits: RefCell<Arc<[PlannedSplit]>>,
    /// Whom to tell that somebody waits for a service that is asleep.
    news: RefCell<News>,
    began: Instant,
    chance: Cell<u64>,
}

/// An instance that can be chosen.
struct Target {
    entry: Rc<Entry>,
    address: SocketAddr,
}

/// An instance that was chosen: the work counts from here on.
pub(crate) struct Chosen {
    pub(crate) claim: Claim,
    pub(crate) address: SocketAddr,
    pub(crate) ticket: Ticket,
}

impl Set {
    /// One without instances, which will speak HTTP/2 or HTTP/1.1.
    pub(crate) fn new(http2: bool) -> Set {
        Set {
            roster: RefCell::default(),
            targets: RefCell::default(),
            changed: Notify::new(),
            removed: Cell::new(false),
            held: Cell::new(0),
            http2,
            policy: RefCell::default(),
            splits: RefCell::default(),
            news: RefCell::default(),
            began: Instant::now(),
            // Never 0, from which nothing else would follow.
            chance: Cell::new(RandomState::new().hash_one(0) | 1),
        }
    }

    /// Chooses among these from now on.
    pub(crate) fn change(
        &self,
        splits: &Arc<[PlannedSplit]>,
        policy: &Arc<Policy>,
        adoption: &mut Adoption<'_>,
    ) {
        if Arc::ptr_eq(splits, &self.splits.borrow()) && Arc::ptr_eq(policy, &self.policy.borrow()) {
            return;
        }
        self.splits.replace(splits.clone());
        self.policy.replace(policy.clone());
        if policy.doze.is_some() {
            self.news.replace(adoption.news.clone());
        }
        let candidate = |b: &PlannedBackend| Candidate {
            near: b.near,
            ..Candidate::new(policy, b.instance.as_str(), b.version.0)
        };
        let group = |split: &PlannedSplit| (split.weight, split.backends.iter().map(candidate).collect());
        let groups: Vec<_> = splits.iter().map(group).collect();
        let backends = splits.iter().flat_map(|split| &split.backends);
        let targets = backends.map(|b| Target { entry: adoption.take(b), address: b.address }).collect();
        self.roster.borrow_mut().change(policy, &groups, self.micros(Instant::now()));
        self.targets.replace(targets).into_iter().for_each(|before| adoption.let_go(before.entry));
        self.changed.notify_waiters();
    }

    /// No table names it any more: nothing can be chosen, and nobody waits.
    pub(crate) fn remove(&self, adoption: &mut Adoption<'_>) {
        self.targets.take().into_iter().for_each(|before| adoption.let_go(before.entry));
        self.splits.take();
        self.roster.borrow_mut().change(&Policy::default(), &[], self.micros(Instant::now()));
        self.removed.set(true);
        self.changed.notify_waiters();
    }

    /// Whether there is nothing to wait for.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.get()
    }

    /// Looks at how its instances are treated.
    pub(crate) fn with_policy<T>(&self, look: impl FnOnce(&Policy) -> T) -> T {
        look(&self.policy.borrow())
    }

    /// The service that it is of, where that may be asleep.
    pub(crate) fn dozer(&self) -> Option<(StackName, ServiceName)> {
        self.with_policy(|policy| policy.doze.as_ref().map(|doze| (doze.stack.clone(), doze.service.clone())))
    }

    /// Somebody waits for its instances, and nobody did before: whoever can have them started is told.
    pub(crate) fn knock(&self) {
        if self.with_policy(|policy| policy.doze.is_some()) {
            self.news.borrow().tell();
        }
    }

    /// What of a request matters for the choice, where anything does.
    pub(crate) fn hint<'a, F: Fields + 'a>(&self, asked: impl FnOnce() -> (IpAddr, &'a str, &'a F)) -> Hint {
        let policy = self.policy.borrow();
        if policy.sticky.is_none() && !matches!(policy.balance, naru_model::Balance::Hash(_)) {
            return Hint::default();
        }
        let (source, target, fields) = asked();
        Hint::of(&policy, source, target, fields)
    }

    /// The same of a connection or flow of which only its source is known.
    pub(crate) fn hint_of(&self, source: SocketAddr) -> Hint {
        Hint::of_source(&self.policy.borrow(), source)
    }

    /// Chooses an instance that was not tried yet, and counts the work on it from `now` on.
    ///
    /// # Errors
    /// There is none that can take it.
    pub(crate) fn choose(
        &self,
        kind: Kind,
        hint: Hint,
        tried: &[Rc<Entry>],
        now: Instant,
    ) -> Result<Chosen, NoPick> {
        let targets = self.targets.borrow();
        let mut roster = self.roster.borrow_mut();
        for _ in 0..RACES {
            let load = |place: usize| targets[place].entry.load.now();
            let tried = |place: usize| is_tried(&targets[place], tried.iter());
            let (chance, at) = (self.draw(), self.micros(now));
            let pick = roster.pick(&Query { now: at, chance, hint, load: &load, tried: &tried })?;
            let Target { entry, address } = &targets[pick.place];
            if let Some(claim) = entry.claim(kind, now, roster.most()) {
                return Ok(Chosen { claim, address: *address, ticket: pick.ticket });
            }
        }
        Err(NoPick::Full)
    }

    /// Whether a sound instance is there for a request that `tried` others.
    pub(crate) fn has_another<'a>(&self, tried: impl Iterator<Item = &'a Rc<Entry>> + Clone) -> bool {
        let targets = self.targets.borrow();
        let load = |place: usize| targets[place].entry.load.now();
        let tried = |place: usize| is_tried(&targets[place], tried.clone());
        let (now, hint) = (self.micros(Instant::now()), Hint::default());
        self.roster.borrow().has_another(&Query { now, chance: 0, hint, load: &load, tried: &tried })
    }

    /// Those who wait for room, where instances can be full.
    pub(crate) fn crowd(&self) -> Option<Arc<Crowd>> {
        self.roster.borrow().most()?;
        self.targets.borrow().first().map(|target| target.entry.load.crowd().clone())
    }

    /// An instance began to answer, with this status, after `took`.
    pub(crate) fn answered(&self, ticket: Ticket, now: Instant, took: Duration, status: u16) {
        let took = took.as_micros() as u64;
        let verdict = self.roster.borrow_mut().answered(ticket, self.micros(now), took, status);
        self.tell(ticket, verdict);
    }

    /// An instance failed.
    pub(crate) fn failed(&self, ticket: Ticket) {
        let verdict = self.roster.borrow_mut().failed(ticket, self.micros(Instant::now()));
        self.tell(ticket, verdict);
    }

    fn tell(&self, ticket: Ticket, verdict: Verdict) {
        let Verdict::Ejected { pause, times } = verdict else { return };
        let Some(place) = self.roster.borrow().place(ticket) else { return };
        let entry = &self.targets.borrow()[place].entry;
        entry.eject();
        let (pause, id) = (Duration::from_micros(pause), &entry.id);
        tracing::warn!(%id, ?pause, times, "an instance fails again and again and is passed over for a while");
    }

    /// A request came, for which some may be sent again.
    pub(crate) fn asked(&self, now: Instant) {
        self.roster.borrow_mut().budget.asked(self.micros(now));
    }

    /// Whether the budget allows one more retry, as one of the edge's `workers`.
    pub(crate) fn allows_retry(&self, workers: usize) -> bool {
        let percent = self.policy.borrow().retry.budget;
        self.roster.borrow().budget.allows(self.micros(Instant::now()), percent, workers)
    }

    /// A request is sent again.
    pub(crate) fn spend_retry(&self) {
        self.roster.borrow_mut().budget.spend(self.micros(Instant::now()));
    }

    /// Lines of an answer that tell a client where it is now, if that is news to it.
    pub(crate) fn stay_lines(&self, ticket: Ticket, hint: Hint, scheme: &str) -> String {
        let policy = self.policy.borrow();
        let Some(sticky) = &policy.sticky else { return String::new() };
        match self.roster.borrow().mark(ticket) {
            Some(mark) if hint.stay != Some(mark) => set_lines(sticky, mark, scheme),
            _ => String::new(),
        }
    }

    fn micros(&self, now: Instant) -> Micros {
        now.saturating_duration_since(self.began).as_micros() as u64
    }

    /// The next number of a sequence that looks like chance (xorshift): who gets a request is no secret.
    fn draw(&self) -> u64 {
        let mut n = self.chance.get();
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        self.chance.set(n);
        n
    }
}

fn is_tried<'a>(target: &Target, mut tried: impl Iterator<Item = &'a Rc<Entry>>) -> bool {
    tried.any(|entry| Rc::ptr_eq(entry, &target.entry))
}
