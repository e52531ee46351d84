//! The virtual store: records, a revision, and guarded transactions.

use crate::ground::Ground;
use crate::property::STALE_ACTORS_REFUSED;
use crate::sabotage::Sabotage;
use naru_decide::{World, Write};
use naru_model::Generation;

/// The records, as the disk has them. Observations are never in it.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) records: World,
}

/// A transaction on its way to the store.
pub(crate) struct Pending {
    /// The life of the server that sent it.
    pub(crate) life: u32,
    pub(crate) guard: Generation,
    pub(crate) writes: Vec<Write>,
    pub(crate) luck: Luck,
}

/// What a fault does to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    /// Nothing.
    Good,
    /// It is refused.
    Refused,
    /// It is carried out, and the server is not told.
    SilentlyDone,
    /// It is not carried out, and the server is not told.
    SilentlyLost,
}

/// What the server is told.
pub(crate) enum Answer {
    Committed(Generation),
    Refused,
    Unknown,
}

impl Store {
    /// Whether the transaction is carried out, by its guard alone.
    pub(crate) fn admits(&self, ground: &Ground, guard: Generation) -> bool {
        guard == self.records.generation || ground.sabotages(Sabotage::StaleStepCarriedOut)
    }

    /// Carries the writes out.
    pub(crate) fn write(&mut self, ground: &mut Ground, guard: Generation, writes: &[Write]) -> Generation {
        if guard != self.records.generation {
            let what =
                format!("a write guarded by revision {guard} was carried out at {}", self.records.generation);
            ground.violated(&STALE_ACTORS_REFUSED, &[], what);
        }
        writes.iter().for_each(|write| self.records.apply(write.clone()));
        self.records.generation = self.records.generation.next();
        self.records.generation
    }

    /// A server that starts takes the store over: whoever wrote to it before is stale from now on.
    pub(crate) fn take_over(&mut self) {
        self.records.generation = self.records.generation.next();
    }

    /// What a server reads when it starts, or when it is in doubt.
    pub(crate) fn load(&self, ground: &Ground) -> World {
        let mut world = self.records.clone();
        if ground.sabotages(Sabotage::RetirementForgottenAtRestart) {
            world.instances.retain(|_, instance| instance.duty != naru_model::Duty::Retiring);
        }
        if ground.sabotages(Sabotage::DueForgottenAtRestart) {
            let jobs = world.stacks.values_mut().flat_map(|stack| stack.jobs.values_mut());
            for armed in jobs.filter_map(|state| state.armed.as_mut()) {
                armed.seen = armed.seen.max(ground.now);
            }
        }
        world
    }
}
