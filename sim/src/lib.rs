//! The simulation: the real deciding code, server's side and agent's side, in a virtual world of machines,
//! messages, clients and people, with faults. One seed, one run, the same each time.
//!
//! Nothing here is random, concurrent or timed by a clock: a heap of events in virtual time, one stream of
//! numbers for each use, ordered maps. [`PROPERTIES`] are looked at as the world goes; the first that does not
//! hold ends the run, and the story of it is told from a second run of the same seed.
//!
//! Real: [`naru_decide`]'s `World`, `admit`, `reconcile`, `desired`, `hear_*`, its supervisor and its ledger.
//! Modelled: the store, the network, the edge, processes, and the thin act sides of server and agent.

mod agent;
mod availability;
mod checks;
mod deaths;
mod edge;
mod effects;
mod event;
mod ground;
mod host;
mod jobs;
mod judgement;
mod leases;
mod net;
mod outbox;
mod people;
mod property;
mod queue;
mod receipts;
mod records;
mod sabotage;
mod scenario;
mod server;
mod sight;
mod sim;
mod stays;
mod store;
mod trace;
mod traffic;
mod work;

pub use property::{PROPERTIES, Property};
pub use sabotage::Sabotage;
pub use sight::Sight;

use std::collections::BTreeSet;
use std::fmt;
use trace::Telling;

/// A run of more events than this goes nowhere: a hundred times what a seed needs on the mean.
const MOST_EVENTS: u64 = 2_000_000;

/// Lines of a story: enough to see what led to a failure, and no more than a person reads.
const STORY: usize = 120;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// A digest of all that happened.
    pub digest: u64,
    /// How much happened.
    pub events: u64,
    /// What the run has met.
    pub sights: BTreeSet<Sight>,
    /// The first property that did not hold.
    pub failure: Option<Failure>,
}

/// A property that did not hold, and how that came about.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Which.
    pub property: &'static Property,
    /// What was found.
    pub what: String,
    /// The last that happened to those concerned.
    pub story: Vec<String>,
}

/// One seed in so many is run twice, and both runs have to be the same.
const TWICE: u64 = 16;

/// Runs a seed; one that fails, a second time for its story.
pub fn run(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let outcome = run_once(seed, sabotage, Telling::Digest);
    if outcome.failure.is_some() {
        return run_once(seed, sabotage, Telling::Story);
    }
    if seed.is_multiple_of(TWICE) {
        compare(outcome, run_once(seed, sabotage, Telling::Digest))
    } else {
        outcome
    }
}

fn compare(mut one: Outcome, other: Outcome) -> Outcome {
    if (one.digest, one.events) != (other.digest, other.events) {
        let what = format!(
            "{} events and digest {:x}, then {} and {:x}",
            one.events, one.digest, other.events, other.digest
        );
        let (seed, property) = (one.seed, &property::SAME_TRACE);
        one.failure = Some(Failure { seed, property, what, story: vec![] });
    }
    one
}

/// Whether a seed fails, and by which property; without its story.
pub fn verdict(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    run_once(seed, sabotage, Telling::Digest)
}

fn run_once(seed: u64, sabotage: Option<Sabotage>, telling: Telling) -> Outcome {
    let mut sim = sim::Sim::new(seed, telling, sabotage);
    sim.begin();
    let mut events = 0;
    while events < MOST_EVENTS && sim.step() {
        events += 1;
    }
    if events == MOST_EVENTS {
        sim.ground.violated(&property::CONVERGENCE, &[], format!("it goes on for more than {events} events"));
    }
    let failure = sim.ground.verdict().map(|violation| Failure {
        seed,
        property: violation.property,
        what: format!("{} at {}", violation.what, trace::clock(sim.ground.now)),
        story: sim.ground.trace.story(&violation.subjects, STORY),
    });
    Outcome { seed, digest: sim.ground.trace.digest(), events, sights: sim.ground.sights(), failure }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {} does not hold", self.seed, self.property.name)?;
        writeln!(f, "  {}", self.property.says)?;
        writeln!(f, "  found: {}", self.what)?;
        writeln!(f, "the story:")?;
        self.story.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        write!(f, "again: cargo xtask sim --seed {}", self.seed)
    }
}
