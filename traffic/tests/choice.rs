//! The choice among instances: what it promises, over many choices and by chance.

#[path = "../../wire/tests/numbers/mod.rs"]
mod numbers;

use naru_model::{Balance, Ejection, HashKey, OwnZone, Policy, Span, Sticky, StickyTo};
use naru_traffic::{Candidate, Hint, NoPick, Pick, PickedWhy, Query, Reach, Roster, Ticket, Verdict, digest};
use numbers::Numbers;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000;

/// A roster, and what is in progress on each of its instances.
struct World {
    roster: Roster,
    names: Vec<String>,
    load: BTreeMap<String, u32>,
    tried: Vec<usize>,
    chance: Numbers,
    now: u64,
}

impl World {
    /// Groups as `(weight, release, instances)`.
    fn new(policy: &Policy, groups: &[(u32, u64, u32)]) -> World {
        let roster = Roster::default();
        let chance = Numbers(0x2545_f491_4f6c_dd1d);
        let (names, load, tried) = (vec![], BTreeMap::new(), vec![]);
        let mut world = World { roster, names, load, tried, chance, now: SECOND };
        world.change(policy, groups);
        world
    }

    fn change(&mut self, policy: &Policy, groups: &[(u32, u64, u32)]) {
        self.names.clear();
        let mut given = vec![];
        for (weight, release, instances) in groups {
            let names: Vec<String> = (1..=*instances).map(|n| format!("shop.web.{release}.{n}")).collect();
            let candidates = names.iter().map(|name| Candidate::new(policy, name, *release));
            given.push((*weight, candidates.collect()));
            self.names.extend(names);
        }
        self.roster.change(policy, &given, self.now);
    }

    fn pick(&mut self, hint: Hint) -> Result<Pick, NoPick> {
        let load = |place: usize| self.load.get(&self.names[place]).copied().unwrap_or(0);
        let tried = |place: usize| self.tried.contains(&place);
        let chance = self.chance.next();
        self.roster.pick(&Query { now: self.now, chance, hint, load: &load, tried: &tried })
    }

    fn place(&mut self, hint: Hint) -> usize {
        self.pick(hint).expect("somebody is there").place
    }

    /// How many of `picks` each instance got, all idle.
    fn counts(&mut self, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        (0..picks).for_each(|_| counts[self.place(Hint::default())] += 1);
        counts
    }

    fn ticket(&mut self, place: usize) -> Ticket {
        let others: Vec<usize> = (0..self.names.len()).filter(|at| *at != place).collect();
        let before = std::mem::replace(&mut self.tried, others);
        let ticket = self.pick(Hint::default()).expect("it is there").ticket;
        self.tried = before;
        ticket
    }
}

fn by(balance: Balance) -> Policy {
    Policy { balance, ..Policy::default() }
}

fn hashed(hash: u64) -> Hint {
    Hint { hash: Some(digest(&hash.to_le_bytes())), stay: None }
}

#[test]
fn idle_instances_take_equal_parts() {
    for instances in [1, 2, 3, 10] {
        let counts = World::new(&Policy::default(), &[(1, 7, instances)]).counts(10_000);
        let fair = 10_000 / instances as usize;
        assert!(counts.iter().all(|n| n.abs_diff(fair) < fair / 5 + 1), "{counts:?}");
    }
}

/// A hundred clients, each with one request at a time; `slow` instances take a hundred times as long.
fn served(world: &mut World, slow: &[usize], rounds: u32) -> Vec<u32> {
    let mut under_way: Vec<(u64, usize, Ticket, u64)> = vec![];
    let mut counts = vec![0; world.names.len()];
    for _ in 0..rounds {
        while under_way.len() < 100 {
            let pick = world.pick(Hint::default()).unwrap();
            *world.load.entry(world.names[pick.place].clone()).or_default() += 1;
            let took = if slow.contains(&pick.place) { 1_000_000 } else { 10_000 };
            under_way.push((world.now + took, pick.place, pick.ticket, took));
            counts[pick.place] += 1;
        }
        under_way.sort_unstable_by_key(|one| std::cmp::Reverse(one.0));
        let (ends, place, ticket, took) = under_way.pop().unwrap();
        world.now = ends;
        *world.load.get_mut(&world.names[place]).unwrap() -= 1;
        world.roster.answered(ticket, ends, took, 200);
    }
    counts
}

#[test]
fn a_slow_instance_gets_few_and_not_none() {
    let mut world = World::new(&Policy::default(), &[(1, 7, 4)]);
    let counts = served(&mut world, &[2], 20_000);
    assert!(counts[2] > 0 && counts[2] < 400, "{counts:?}");
    assert!([0, 1, 3].iter().all(|at| counts[*at] > 6_000), "{counts:?}");
}

#[test]
fn one_slow_time_does_not_starve_an_instance() {
    let mut world = World::new(&Policy::default(), &[(1, 7, 2)]);
    served(&mut world, &[0], 2_000);
    let counts = served(&mut world, &[], 400_000);
    assert!(counts[0] > 100_000, "{counts:?}");
}

#[test]
fn a_new_instance_is_neither_flooded_nor_starved() {
    let policy = Policy::default();
    let mut world = World::new(&policy, &[(1, 7, 3)]);
    served(&mut world, &[], 2_000);
    world.load.clear();
    world.change(&policy, &[(1, 7, 4)]);
    let counts = served(&mut world, &[], 4_000);
    assert!((800..1_300).contains(&counts[3]), "{counts:?}");
}

#[test]
fn turns_and_weights_are_exact() {
    let mut world = World::new(&by(Balance::RoundRobin), &[(1, 7, 3)]);
    let places: Vec<usize> = (0..7).map(|_| world.place(Hint::default())).collect();
    assert_eq!(places, [0, 1, 2, 0, 1, 2, 0]);
    world.tried = vec![1];
    let places: Vec<usize> = (0..4).map(|_| world.place(Hint::default())).collect();
    assert_eq!(places, [2, 0, 2, 0], "the one that was tried loses its turn");
    world.tried.clear();
    world.change(&by(Balance::RoundRobin), &[(1, 7, 4)]);
    let places: Vec<usize> = (0..5).map(|_| world.place(Hint::default())).collect();
    assert_eq!(places, [1, 2, 3, 0, 1], "the turns go on when one comes");
    for balance in [Balance::LeastLoaded, Balance::RoundRobin] {
        let counts = World::new(&by(balance), &[(25, 8, 1), (75, 7, 1), (0, 6, 1)]).counts(400);
        assert_eq!(counts, [100, 300, 0]);
    }
}

#[test]
fn a_new_instance_starts_slowly_in_every_way() {
    for balance in [Balance::LeastLoaded, Balance::RoundRobin, Balance::Hash(HashKey::Source)] {
        let policy = Policy { slow_start: Span::secs(100), ..by(balance.clone()) };
        let mut world = World::new(&policy, &[(1, 7, 3)]);
        world.change(&policy, &[(1, 7, 4)]);
        for (age, least, most) in [(0, 200, 350), (50, 1_250, 1_700), (100, 2_300, 2_700)] {
            world.now = SECOND + age * SECOND;
            let got = (0..10_000).filter(|n| world.place(hashed(*n)) == 3).count();
            assert!((least..most).contains(&got), "{balance:?} after {age} s: {got} of 10000");
        }
        let mut world = World::new(&policy, &[(1, 7, 4)]);
        let counts = world.counts(4_000);
        assert!(counts.iter().all(|n| *n > 800), "those that were there from the beginning: {counts:?}");
    }
}

#[test]
fn a_hash_finds_the_same_instance_and_few_move() {
    let policy = by(Balance::Hash(HashKey::Source));
    let mut world = World::new(&policy, &[(1, 7, 10)]);
    let before: Vec<usize> = (0..5_000).map(|n| world.place(hashed(n))).collect();
    assert!((0..5_000).all(|n| world.place(hashed(n)) == before[n as usize]), "always the same");
    world.change(&policy, &[(1, 7, 9)]);
    let moved =
        (0..5_000).filter(|n| before[*n as usize] < 9 && world.place(hashed(*n)) != before[*n as usize]);
    let moved = moved.count();
    assert!(moved < 250, "{moved} of 4500 that could stay");
    assert!(world.counts(900).iter().all(|n| *n > 50), "without anything to hash, all have a part");
}

#[test]
fn by_a_hash_a_growing_share_only_takes() {
    let policy = by(Balance::Hash(HashKey::Source));
    let mut fresh = vec![];
    for weight in [10, 50, 90] {
        let mut world = World::new(&policy, &[(weight, 8, 1), (100 - weight, 7, 1)]);
        let on: Vec<u64> = (0..2_000).filter(|n| world.place(hashed(*n)) == 0).collect();
        assert!(on.len().abs_diff(20 * weight as usize) < 100, "{weight} %: {}", on.len());
        assert!(fresh.iter().all(|n| on.contains(n)), "nobody goes back");
        fresh = on;
    }
}

#[test]
fn full_instances_are_passed_over() {
    let mut world = World::new(&Policy { max_in_progress: Some(2), ..Policy::default() }, &[(1, 7, 2)]);
    world.load.insert("shop.web.7.1".into(), 2);
    assert_eq!(world.counts(10), [0, 10]);
    world.load.insert("shop.web.7.2".into(), 2);
    assert_eq!(world.pick(Hint::default()), Err(NoPick::Full));
    world.tried = vec![0, 1];
    assert_eq!(world.pick(Hint::default()), Err(NoPick::Tried));
    assert_eq!(World::new(&Policy::default(), &[(0, 7, 2)]).pick(Hint::default()), Err(NoPick::None));
}

fn sticky(to: StickyTo) -> Policy {
    let sticky = Sticky { to, cookie: "c".into(), header: None, max_age: None, keep: Sticky::usual_keep() };
    Policy { sticky: Some(sticky), ..Policy::default() }
}

#[test]
fn a_client_stays_on_its_release_until_no_split_names_it() {
    let policy = sticky(StickyTo::Version);
    let mut world = World::new(&policy, &[(10, 8, 2), (90, 7, 2)]);
    let seven = Hint { hash: None, stay: Some(7) };
    let release = |world: &mut World| {
        let pick = world.pick(seven).unwrap();
        (world.roster.mark(pick.ticket).unwrap(), pick.why == PickedWhy::Began)
    };
    assert!((0..200).all(|_| release(&mut world) == (7, true)));
    world.change(&policy, &[(100, 8, 2), (0, 7, 2)]);
    assert!((0..200).all(|_| release(&mut world) == (7, true)), "a share of nothing keeps who is there");
    assert_eq!(world.counts(100)[2..], [0, 0], "and gets nobody new");
    world.tried = vec![2, 3];
    assert_eq!(release(&mut world), (8, false), "but it serves where the old cannot");
    world.tried.clear();
    world.change(&policy, &[(100, 8, 2)]);
    assert_eq!(release(&mut world), (8, false));
}

#[test]
fn a_client_waits_for_its_release_where_that_is_full() {
    for (to, alone) in [(StickyTo::Version, Err(NoPick::Full)), (StickyTo::Session, Ok(2))] {
        let policy = Policy { max_in_progress: Some(2), ..sticky(to) };
        let mut world = World::new(&policy, &[(0, 7, 2), (1, 8, 1)]);
        world.load.insert("shop.web.7.1".into(), 2);
        let stay = Hint { hash: None, stay: Some(naru_traffic::mark(to, "shop.web.7.1", 7)) };
        let place = |world: &mut World| world.pick(stay).map(|pick| pick.place);
        let beside = if to == StickyTo::Version { 1 } else { 2 };
        assert_eq!(place(&mut world), Ok(beside), "another of its release has room");
        world.load.insert("shop.web.7.2".into(), 2);
        assert_eq!(place(&mut world), alone);
    }
}

#[test]
fn a_session_stays_on_its_instance() {
    let policy = sticky(StickyTo::Session);
    let mut world = World::new(&policy, &[(1, 7, 5)]);
    let pick = world.pick(Hint::default()).unwrap();
    let stay = Hint { hash: None, stay: world.roster.mark(pick.ticket) };
    assert!((0..100).all(|_| world.place(stay) == pick.place));
    world.tried = vec![pick.place];
    let moved = world.pick(stay).unwrap();
    assert_ne!(world.roster.mark(moved.ticket), stay.stay, "its new place is another");
}

#[test]
fn an_instance_that_fails_is_passed_over_for_a_while() {
    let mut world = World::new(&Policy::default(), &[(1, 7, 2)]);
    let ticket = world.ticket(0);
    (0..4).for_each(|_| assert!(matches!(world.roster.failed(ticket, world.now), Verdict::Counted(_))));
    let verdict = world.roster.answered(ticket, world.now, 10, 503);
    assert_eq!(verdict, Verdict::Ejected { pause: 10 * SECOND, times: 1 });
    assert_eq!(world.counts(50), [0, 50]);
    world.tried = vec![1];
    assert_eq!(world.pick(Hint::default()).map(|pick| (pick.place, pick.why)), Ok((0, PickedWhy::Doubtful)));
    world.tried.clear();
    let other = world.ticket(1);
    (0..5).for_each(|_| assert!(!matches!(world.roster.failed(other, world.now), Verdict::Ejected { .. })));
    assert_eq!(world.roster.ejected(world.now), 1, "one of two is half");
    world.now += 10 * SECOND;
    assert!(world.counts(50)[0] > 0);
}

#[test]
fn never_more_than_the_share_is_ejected_whatever_happens() {
    for seed in 1..60 {
        let mut chance = Numbers(seed * 0x9e37_79b9);
        let at_most = chance.below(101) as u32;
        let ejection = Ejection { failures: 1 + chance.below(3) as u32, pause: Span::secs(5), at_most };
        let policy = Policy { ejection, ..Policy::default() };
        let mut shape =
            [(1, 7, 1 + chance.below(6) as u32), (chance.below(2) as u32, 6, chance.below(6) as u32)];
        let mut world = World::new(&policy, &shape);
        for _ in 0..300 {
            world.now += chance.below(SECOND as usize) as u64;
            match chance.below(10) {
                0 => {
                    shape[chance.below(2)].2 = 1 + chance.below(6) as u32;
                    world.change(&policy, &shape);
                }
                1 => {
                    shape[1].0 = 1 - shape[1].0;
                    world.change(&policy, &shape);
                }
                _ => {
                    let pick = world.pick(Hint::default()).expect("somebody is always chosen");
                    world.roster.failed(pick.ticket, world.now);
                }
            }
            let shared: u32 = shape.iter().filter(|group| group.0 > 0).map(|group| group.2).sum();
            let unshared: u32 = shape.iter().filter(|group| group.0 == 0).map(|group| group.2).sum();
            let most = (shared * at_most / 100 + unshared * at_most / 100) as usize;
            let ejected = world.roster.ejected(world.now);
            assert!(ejected <= most, "{ejected} of {shared} and {unshared}, {at_most} % (seed {seed})");
        }
    }
}

/// Instances of which the first `near` of release 7 are in the edge's own zone.
fn zoned(balance: Balance, near: usize, groups: &[(u32, u64, u32)]) -> World {
    let zone = Some(OwnZone::default());
    let policy = Policy { zone, max_in_progress: Some(8), balance, ..Policy::default() };
    let mut world = World::new(&policy, groups);
    let mut given = vec![];
    for (weight, release, instances) in groups {
        let candidate = |n: u32| Candidate {
            near: *release == 7 && n as usize <= near,
            ..Candidate::new(&policy, &format!("shop.web.{release}.{n}"), *release)
        };
        given.push((*weight, (1..=*instances).map(candidate).collect()));
    }
    world.roster.change(&policy, &given, world.now);
    world
}

#[test]
fn the_own_zone_comes_first_while_enough_of_it_can_take_more() {
    for balance in [Balance::LeastLoaded, Balance::RoundRobin, Balance::Hash(HashKey::Source)] {
        let mut world = zoned(balance, 4, &[(1, 7, 9)]);
        let counts = world.counts(400);
        assert!(counts[..4].iter().all(|n| *n > 0) && counts[4..].iter().all(|n| *n == 0), "{counts:?}");
        assert_eq!(world.pick(Hint::default()).unwrap().reach, Reach::OwnZone { able: 4, there: 4 });
        // Half of them are full: still enough. One more, and all are chosen among.
        for full in ["shop.web.7.1", "shop.web.7.2"] {
            world.load.insert(full.into(), 8);
        }
        assert_eq!(
            world.counts(100).iter().enumerate().filter(|(_, n)| **n > 0).map(|(at, _)| at).max(),
            Some(3)
        );
        world.load.insert("shop.web.7.3".into(), 8);
        assert_eq!(world.pick(Hint::default()).unwrap().reach, Reach::TooFew { able: 1, there: 4 });
        let counts = world.counts(600);
        assert!(counts[..3] == [0, 0, 0] && counts[3..].iter().all(|n| *n > 0), "{counts:?}");
    }
}

#[test]
fn a_share_is_a_share_wherever_its_instances_are() {
    // The new release has nobody in the own zone.
    let mut world = zoned(Balance::LeastLoaded, 1, &[(50, 7, 3), (50, 8, 1)]);
    let counts = world.counts(100);
    assert_eq!((counts[0], counts[1] + counts[2], counts[3]), (50, 0, 50));
    let mut far = zoned(Balance::LeastLoaded, 0, &[(1, 7, 3)]);
    assert_eq!(far.pick(Hint::default()).unwrap().reach, Reach::TooFew { able: 0, there: 0 });
}
