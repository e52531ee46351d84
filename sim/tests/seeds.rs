//! Seeds that must pass: the first few hundred, and those kept because they once failed.

use naru_sim::Sight;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Enough to meet each kind of order with each kind of fault, and few enough for every run of the tests.
const SEEDS: std::ops::Range<u64> = 1..301;

/// Seeds that once found something, each with what.
const KEPT: &str = include_str!("../seeds.txt");

fn check(seeds: impl Iterator<Item = u64>) {
    let mut stories = String::new();
    for failure in seeds.filter_map(|seed| naru_sim::run(seed, None).failure).take(2) {
        writeln!(stories, "{failure}\n").expect("a string takes all that is written to it");
    }
    assert!(stories.is_empty(), "{stories}");
}

#[test]
fn the_first_seeds_pass() {
    check(SEEDS);
}

#[test]
fn kept_seeds_pass() {
    let lines = KEPT.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let seeds: Vec<u64> = lines
        .map(|line| {
            let (seed, why) = line.split_once(' ').expect("each kept seed has its reason beside it");
            assert!(!why.trim().is_empty(), "{line}: why is it kept?");
            seed.parse().expect("each line begins with a seed")
        })
        .collect();
    assert!(!seeds.is_empty());
    check(seeds.into_iter());
}

#[test]
fn the_seeds_meet_what_they_are_meant_to_meet() {
    let mut missing: BTreeSet<Sight> = Sight::ALL.iter().copied().collect();
    for seed in SEEDS {
        let seen = naru_sim::verdict(seed, None).sights;
        missing.retain(|sight| !seen.contains(sight));
    }
    assert!(missing.is_empty(), "no seed meets {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [7, 77, 777] {
        let (one, other) = (naru_sim::verdict(seed, None), naru_sim::verdict(seed, None));
        assert_eq!((one.digest, one.events), (other.digest, other.events), "seed {seed}");
        assert!(one.events > 100, "seed {seed}: hardly anything happened");
    }
    assert_ne!(naru_sim::verdict(7, None).digest, naru_sim::verdict(8, None).digest);
}
