//! One choice.
//!
//! Of two at random (of four or fewer: of all), the one with less to do: nearly as even as asking all, without the herd that runs to the one that
//! was idle a moment ago (Mitzenmacher). What an instance has to do is what it has in progress times how long its
//! answers take. Times within a fifth of each other, or a millisecond, count as alike: they are noise, and would send
//! all of a quiet service's requests to one instance. Where nothing differs, they take turns.

use super::ramp::WHOLE;
use super::roster::{Roster, Ticket, Way};
use super::zone::{self, Reach};
use super::{Micros, below, mix};
use naru_model::StickyTo;
use std::ops::Range;

/// What is known when an instance is chosen.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// When.
    pub now: Micros,
    /// A number by chance.
    pub chance: u64,
    /// What the request says.
    pub hint: super::Hint,
    /// What the instance at a place has in progress, at all workers together.
    pub load: &'a dyn Fn(usize) -> u32,
    /// Whether the instance at a place was tried already.
    pub tried: &'a dyn Fn(usize) -> bool,
}

/// An instance that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place.
    pub place: usize,
    /// By which it is told later how it went.
    pub ticket: Ticket,
    /// Why it.
    pub why: Why,
    /// Among which.
    pub reach: Reach,
}

/// Why an instance was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client began there.
    Began,
    /// It is the only one that can take it.
    Only,
    /// Of two, it has less to do than the one at this place.
    Lighter(usize),
    /// It is its turn.
    Turn,
    /// The hash leads to it.
    Hashed,
    /// Those that are sound were tried, or are full: it is passed over for its failures otherwise.
    Doubtful,
}

/// Why no instance was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There is none.
    None,
    /// All that are there were tried.
    Tried,
    /// All that were not tried have as much in progress as they may.
    Full,
}

/// Which instances are chosen among.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Among {
    /// The sound ones of the edge's own zone.
    Near,
    Sound,
    All,
}

impl Roster {
    /// Chooses an instance.
    ///
    /// # Errors
    /// There is none that can take the request.
    pub fn pick(&mut self, query: &Query<'_>) -> Result<Pick, NoPick> {
        if let Some(pick) = self.stay(query) {
            return Ok(pick);
        }
        if self.waits_where_it_began(query) {
            return Err(NoPick::Full);
        }
        let Some(first) = self.next_group(query) else { return Err(NoPick::None) };
        for among in [Among::Sound, Among::All] {
            let rest = (0..self.groups.len()).filter(|at| *at != first);
            for group in std::iter::once(first).chain(rest) {
                if self.groups[group].weight == 0 {
                    continue;
                }
                // A share is a share, wherever its instances are: each group looks to its own.
                let reach = self.reach(group, query, among);
                let within = if matches!(reach, Reach::OwnZone { .. }) { Among::Near } else { among };
                if let Some((place, why)) = self.pick_of(group, query, within) {
                    let why = if among == Among::All { Why::Doubtful } else { why };
                    return Ok(self.picked(place, why, reach));
                }
            }
        }
        Err(self.why_none(query))
    }

    /// Whether there is one for a request that `tried` the others.
    pub fn has_another(&self, query: &Query<'_>) -> bool {
        (0..self.members.len())
            .any(|place| self.members[place].shared && self.fits(place, query, Among::Sound))
    }

    fn reach(&self, group: usize, query: &Query<'_>, among: Among) -> Reach {
        let policy = self.zone.filter(|_| among == Among::Sound);
        let places = self.groups[group].places.clone();
        zone::reach(policy, places.map(|place| (self.members[place].near, self.fits(place, query, among))))
    }

    fn picked(&mut self, place: usize, why: Why, reach: Reach) -> Pick {
        self.picks += 1;
        let member = &mut self.members[place];
        member.picked = self.picks;
        Pick { place, ticket: Ticket { place, serial: member.serial }, why, reach }
    }

    fn why_none(&self, query: &Query<'_>) -> NoPick {
        let mut shared = (0..self.members.len()).filter(|place| self.members[*place].shared).peekable();
        if shared.peek().is_none() {
            return NoPick::None;
        }
        if shared.any(|place| !(query.tried)(place)) { NoPick::Full } else { NoPick::Tried }
    }

    fn fits(&self, place: usize, query: &Query<'_>, among: Among) -> bool {
        let member = &self.members[place];
        (among == Among::All || !member.health.is_ejected(query.now))
            && (among != Among::Near || member.near)
            && !(query.tried)(place)
            && self.most.is_none_or(|most| (query.load)(place) < most)
    }

    /// Where the client began, if somebody there can take it. A share of nothing is no hindrance.
    fn stay(&mut self, query: &Query<'_>) -> Option<Pick> {
        let mark = query.hint.stay?;
        let fits = |place: usize| self.members[place].mark == mark && self.fits(place, query, Among::Sound);
        let all = 0..self.members.len();
        let (one, other) = two(&all, query.hint.hash.unwrap_or(query.chance), fits)?;
        let lighter = other.filter(|_| self.way != Way::Hash && self.is_lighter(other, one, query));
        Some(self.picked(lighter.unwrap_or(one), Why::Began, Reach::Unasked))
    }

    /// Whether the client's release is there, and merely full. A session moves then: any instance of its release
    /// will do; what a page needs of its release, another does not have.
    fn waits_where_it_began(&self, query: &Query<'_>) -> bool {
        let Some(mark) = query.hint.stay.filter(|_| self.stays == Some(StickyTo::Version)) else {
            return false;
        };
        let is_there = |place: usize| {
            let member = &self.members[place];
            member.mark == mark && !member.health.is_ejected(query.now) && !(query.tried)(place)
        };
        (0..self.members.len()).any(is_there)
    }

    /// Smooth weighted turns: each gains its weight, the richest is chosen and pays for all. By a hash, each has its
    /// part of all hashes, the first groups the first: whose share grows takes from the others, and gives nothing.
    fn next_group(&mut self, query: &Query<'_>) -> Option<usize> {
        let has = |group: &super::roster::Group| group.weight > 0 && !group.places.is_empty();
        let mut with = (0..self.groups.len()).filter(|at| has(&self.groups[*at]));
        let first = with.next()?;
        if with.next().is_none() {
            return Some(first);
        }
        let total: i64 =
            self.groups.iter().filter(|group| has(group)).map(|group| i64::from(group.weight)).sum();
        if self.way == Way::Hash {
            let mut at = below(mix(query.hint.hash.unwrap_or(query.chance)), total as usize) as i64;
            return self.groups.iter().position(|group| {
                let weight = if has(group) { i64::from(group.weight) } else { 0 };
                at -= weight;
                at < 0
            });
        }
        let mut best = first;
        for at in 0..self.groups.len() {
            if has(&self.groups[at]) {
                self.groups[at].credit += i64::from(self.groups[at].weight);
                best = if self.groups[at].credit > self.groups[best].credit { at } else { best };
            }
        }
        self.groups[best].credit -= total;
        Some(best)
    }

    fn pick_of(&mut self, group: usize, query: &Query<'_>, among: Among) -> Option<(usize, Why)> {
        match self.way {
            Way::Load => self.lighter(group, query, among),
            Way::Turn => self.in_turn(group, query, among),
            Way::Hash => self.by_hash(group, query, among),
        }
    }

    fn lighter(&self, group: usize, query: &Query<'_>, among: Among) -> Option<(usize, Why)> {
        let places = &self.groups[group].places;
        let fits = |place: usize| self.fits(place, query, among);
        let warm = |place: usize| {
            let share = self.share(place, query.now);
            share >= WHOLE || below(mix(query.chance ^ place as u64), WHOLE as usize) < share as usize
        };
        if places.len() <= FEW {
            let start = places.start + below(query.chance, places.len());
            let order = || (start..places.end).chain(places.start..start);
            let all = order().filter(|place| fits(*place) && warm(*place));
            return self.lightest(all, query).or_else(|| self.lightest(order().filter(|p| fits(*p)), query));
        }
        let (one, other) = two(places, query.chance, |place| fits(place) && warm(place))
            .or_else(|| two(places, query.chance, fits))?;
        self.lightest(std::iter::once(one).chain(other), query)
    }

    fn lightest(&self, mut places: impl Iterator<Item = usize>, query: &Query<'_>) -> Option<(usize, Why)> {
        let first = (places.next()?, Why::Only);
        Some(places.fold(first, |(best, _), place| match self.is_lighter(Some(place), best, query) {
            true => (place, Why::Lighter(best)),
            false => (best, Why::Lighter(place)),
        }))
    }

    fn is_lighter(&self, other: Option<usize>, one: usize, query: &Query<'_>) -> bool {
        let Some(other) = other else { return false };
        let load = |place: usize| f64::from((query.load)(place)) + 1.0;
        let (theirs, ours) = (self.expected(other, query.now), self.expected(one, query.now));
        let alike = (theirs - ours).abs() <= (theirs.max(ours) * 0.2).max(1000.0);
        // Where all is alike, they take turns; one that starts slowly would take too many.
        let whole = [one, other].iter().all(|place| self.share(*place, query.now) == WHOLE);
        let turn = |place: usize| (load(place), if whole { self.members[place].picked } else { 0 });
        if alike { turn(other) < turn(one) } else { theirs * load(other) < ours * load(one) }
    }

    fn expected(&self, place: usize, now: Micros) -> f64 {
        let group = self.groups.iter().find(|group| group.places.contains(&place));
        self.members[place].latency.expected(now, group.map_or(0.0, |group| group.usual.mean()))
    }

    fn in_turn(&mut self, group: usize, query: &Query<'_>, among: Among) -> Option<(usize, Why)> {
        let places = self.groups[group].places.clone();
        let count = places.len();
        // A new instance takes the turns that its share is worth: with a tenth, every tenth.
        for _ in 0..(WHOLE / 100) as usize * count {
            let place = places.start + self.groups[group].turn % count;
            let fits = self.fits(place, query, among);
            let share = self.share(place, query.now);
            self.groups[group].turn = (self.groups[group].turn + 1) % count;
            if !fits {
                continue;
            }
            let behind = &mut self.members[place].behind;
            *behind += share;
            if *behind >= WHOLE {
                *behind -= WHOLE;
                return Some((place, Why::Turn));
            }
        }
        None
    }

    fn by_hash(&self, group: usize, query: &Query<'_>, among: Among) -> Option<(usize, Why)> {
        let Some(hash) = query.hint.hash else { return self.lighter(group, query, among) };
        let group = &self.groups[group];
        let fits = |place: usize| self.fits(place, query, among);
        let warm = |place: usize| {
            let share = self.share(place, query.now);
            let own = mix(hash ^ self.members[place].key);
            share >= WHOLE || below(own, WHOLE as usize) < share as usize
        };
        if !group.places.clone().any(fits) {
            return None;
        }
        let find = || group.table.find(hash).map(|at| group.places.start + at);
        let found = find().find(|place| fits(*place) && warm(*place)).or_else(|| find().find(|p| fits(*p)));
        Some((found?, Why::Hashed))
    }
}

/// So few are all compared: chance would now and then miss the idle one of them.
const FEW: usize = 4;

/// How often chance is asked before all are looked at in order.
const DRAWS: u64 = 4;

/// Two different places that fit, or one where there is but one.
fn two(places: &Range<usize>, chance: u64, fits: impl Fn(usize) -> bool) -> Option<(usize, Option<usize>)> {
    let one = draw(places, mix(chance), &fits)?;
    let other = draw(places, mix(!chance), |place| place != one && fits(place));
    Some((one, other))
}

fn draw(places: &Range<usize>, chance: u64, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let drawn = |n: u64| places.start + below(mix(chance.wrapping_add(n)), places.len());
    let start = drawn(0);
    if places.is_empty() {
        return None;
    }
    let again = (1..DRAWS).map(drawn);
    let in_order = (start + 1..places.end).chain(places.start..start);
    std::iter::once(start).chain(again).chain(in_order).find(|place| fits(*place))
}
