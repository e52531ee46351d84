//! The instances of a set: who they are, and what was seen of them. What is known of one outlives a change of the
//! table; the floor of ejection holds after each.

use super::Micros;
use super::budget::Budget;
use super::eject::{Health, Verdict};
use super::latency::Latency;
use super::maglev::Table;
use super::ramp::{WHOLE, share};
use naru_model::{Balance, Ejection, OwnZone, Policy, StickyTo};
use std::collections::BTreeMap;
use std::ops::Range;

/// The instances among which one is chosen, at one worker.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    pub(super) members: Vec<Member>,
    pub(super) groups: Vec<Group>,
    pub(super) way: Way,
    /// Whether those of the own zone come first.
    pub(super) zone: Option<OwnZone>,
    /// What clients stay on.
    pub(super) stays: Option<StickyTo>,
    /// More in progress than this one is not given.
    pub(super) most: Option<u32>,
    ejection: Ejection,
    slow_start: Micros,
    serials: u64,
    /// How many were chosen.
    pub(super) picks: u64,
    /// What may be sent again.
    pub budget: Budget,
}

/// How one is chosen of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    #[default]
    Load,
    Turn,
    Hash,
}

/// An instance, as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// A hash of its name: the same at every edge.
    pub key: u64,
    /// Where clients that stay are, by [`crate::mark`]; 0 where none do.
    pub mark: u64,
    /// Whether it is in the edge's own zone.
    pub near: bool,
}

/// An instance that was chosen, for as long as the table names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) place: usize,
    pub(super) serial: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: u64,
    pub(super) mark: u64,
    /// Whether it is in the edge's own zone.
    pub(super) near: bool,
    pub(super) serial: u64,
    /// Whether its group has a share.
    pub(super) shared: bool,
    /// When it came to a roster that others were in; `None` if it was there from the beginning.
    came: Option<Micros>,
    pub(super) latency: Latency,
    pub(super) health: Health,
    /// How far behind its turns it is, in thousandths.
    pub(super) behind: u32,
    /// Which of all choices it was, the last time.
    pub(super) picked: u64,
}

/// A share of the traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) weight: u32,
    pub(super) places: Range<usize>,
    /// How far behind its share it is.
    pub(super) credit: i64,
    /// Whose turn it is.
    pub(super) turn: usize,
    /// What is usual of its members.
    pub(super) usual: Latency,
    keys: Vec<u64>,
    pub(super) table: Table,
}

impl Roster {
    /// Chooses among these from now on: groups, each with its weight. Places count through all groups, in order.
    pub fn change(&mut self, policy: &Policy, groups: &[(u32, Vec<Candidate>)], now: Micros) {
        self.way = match policy.balance {
            Balance::LeastLoaded => Way::Load,
            Balance::RoundRobin => Way::Turn,
            Balance::Hash(_) => Way::Hash,
        };
        self.zone = policy.zone;
        self.stays = policy.sticky.as_ref().map(|sticky| sticky.to);
        self.most = policy.max_in_progress;
        self.ejection = policy.ejection.clone();
        self.slow_start = policy.slow_start.0.saturating_mul(1000);
        let first = self.members.is_empty();
        let before = std::mem::take(&mut self.members);
        let mut known: BTreeMap<u64, Member> = before.into_iter().map(|one| (one.key, one)).collect();
        let old = std::mem::take(&mut self.groups);
        let same_shares = old.iter().map(|group| group.weight).eq(groups.iter().map(|(weight, _)| *weight));
        for (at, (weight, candidates)) in groups.iter().enumerate() {
            let begin = self.members.len();
            for one in candidates {
                let member = known.remove(&one.key);
                let member = member.unwrap_or_else(|| {
                    self.serials += 1;
                    Member::new(self.serials, one.key, (!first).then_some(now))
                });
                self.members.push(Member { mark: one.mark, near: one.near, shared: *weight > 0, ..member });
            }
            let before = old.get(at).filter(|_| same_shares);
            self.groups.push(self.group(before, *weight, begin));
        }
        self.hold_floor(now);
    }

    fn group(&self, before: Option<&Group>, weight: u32, begin: usize) -> Group {
        let keys: Vec<u64> = self.members[begin..].iter().map(|one| one.key).collect();
        let mut group = before.cloned().unwrap_or_default();
        if group.keys != keys || group.table == Table::default() {
            // The turn goes on with the one whose it was, or with the next that is left.
            let next = group.keys.iter().cycle().skip(group.turn).take(group.keys.len());
            group.turn = next.filter_map(|next| keys.iter().position(|key| key == next)).next().unwrap_or(0);
            group.table = match self.way {
                Way::Hash => Table::fill(keys.iter().copied()),
                Way::Load | Way::Turn => Table::default(),
            };
        }
        Group { weight, places: begin..self.members.len(), keys, ..group }
    }

    /// More in progress than this one instance is not given.
    pub fn most(&self) -> Option<u32> {
        self.most
    }

    /// Where a client that was given this one is, by [`crate::mark`].
    pub fn mark(&self, ticket: Ticket) -> Option<u64> {
        Some(self.members[self.place(ticket)?].mark)
    }

    /// The instance began to answer after `took`, with this status.
    pub fn answered(&mut self, ticket: Ticket, now: Micros, took: Micros, status: u16) -> Verdict {
        let Some(place) = self.place(ticket) else { return Verdict::Counted(0) };
        if status >= 500 {
            // Failing is often fast: that must not draw the others' requests.
            return self.failed(ticket, now);
        }
        if let Some(group) = self.groups.iter_mut().find(|group| group.places.contains(&place)) {
            group.usual.record(now, took);
        }
        let member = &mut self.members[place];
        member.latency.record(now, took);
        member.health.well();
        Verdict::Counted(0)
    }

    /// The instance could not be connected to, broke off before it answered, or took too long.
    pub fn failed(&mut self, ticket: Ticket, now: Micros) -> Verdict {
        let Some(place) = self.place(ticket) else { return Verdict::Counted(0) };
        let may = self.room_for_ejection(self.members[place].shared, now) > 0;
        self.members[place].health.badly(now, &self.ejection, || may)
    }

    /// How many instances are passed over because they fail.
    pub fn ejected(&self, now: Micros) -> usize {
        self.members.iter().filter(|one| one.health.is_ejected(now)).count()
    }

    /// How many more may be ejected. Those with a share of the traffic are counted apart from those without: each
    /// kind has to hold by itself.
    fn room_for_ejection(&self, shared: bool, now: Micros) -> i64 {
        let alike = || self.members.iter().filter(|one| one.shared == shared);
        let most = alike().count() as u64 * u64::from(self.ejection.at_most.min(100)) / 100;
        most as i64 - alike().filter(|one| one.health.is_ejected(now)).count() as i64
    }

    /// After a change, those that would come back first do so at once, where too many are passed over.
    fn hold_floor(&mut self, now: Micros) {
        for shared in [true, false] {
            while self.room_for_ejection(shared, now) < 0 {
                let ejected = self.members.iter_mut();
                let ejected = ejected.filter(|one| one.shared == shared && one.health.is_ejected(now));
                if let Some(one) = ejected.min_by_key(|one| one.health.until()) {
                    one.health.spare(now);
                }
            }
        }
    }

    /// Where it is now, if the table still names it.
    pub fn place(&self, ticket: Ticket) -> Option<usize> {
        let at = self.members.get(ticket.place).filter(|one| one.serial == ticket.serial);
        match at {
            Some(_) => Some(ticket.place),
            None => self.members.iter().position(|one| one.serial == ticket.serial),
        }
    }

    /// Its share, in thousandths.
    pub(super) fn share(&self, place: usize, now: Micros) -> u32 {
        self.members[place].came.map_or(WHOLE, |came| share(now.saturating_sub(came), self.slow_start))
    }
}

impl Member {
    fn new(serial: u64, key: u64, came: Option<Micros>) -> Member {
        Member {
            key,
            mark: 0,
            near: false,
            serial,
            shared: true,
            came,
            latency: Latency::default(),
            health: Health::default(),
            behind: 0,
            picked: 0,
        }
    }
}

/// What a policy's marks are of.
impl Candidate {
    /// An instance by its name, for a policy.
    pub fn new(policy: &Policy, instance: &str, release: u64) -> Candidate {
        let to = policy.sticky.as_ref().map(|sticky| sticky.to);
        let mark = to.map_or(0, |to: StickyTo| super::mark(to, instance, release));
        Candidate { key: super::digest(instance.as_bytes()), mark, near: false }
    }
}
