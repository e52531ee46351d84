//! What every part of the simulated world stands on: the clock, the queue, chance, the trace and the verdict.

use crate::event::Event;
use crate::queue::Queue;
use crate::sabotage::Sabotage;
use crate::scenario::Window;
use crate::sight::Sight;
use crate::trace::{Telling, Trace, Weight};
use naru_model::{Span, Time};
use naru_sim_stacks::Dice;
use std::collections::BTreeSet;

/// When every run begins: a Monday.
pub(crate) const DAWN: Time = Time(1_800_000_000_000);

/// The ground.
pub(crate) struct Ground {
    pub(crate) now: Time,
    queue: Queue,
    pub(crate) trace: Trace,
    /// Delays and losses of messages and transactions.
    pub(crate) net: Dice,
    /// Processes.
    pub(crate) fate: Dice,
    /// Clients and jobs.
    pub(crate) work: Dice,
    /// People.
    pub(crate) people: Dice,
    /// Jobs of the file, and who orders runs of them.
    pub(crate) jobs: Dice,
    pub(crate) windows: Vec<Window>,
    /// The life of the server that is connected to.
    pub(crate) server: u32,
    pub(crate) sabotage: Option<Sabotage>,
    verdict: Option<Violation>,
    sights: BTreeSet<Sight>,
}

/// A property that does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) property: &'static crate::property::Property,
    pub(crate) what: String,
    /// Whose story it is.
    pub(crate) subjects: Vec<String>,
}

impl Ground {
    pub(crate) fn new(seed: u64, telling: Telling, sabotage: Option<Sabotage>) -> Ground {
        Ground {
            now: DAWN,
            queue: Queue::default(),
            trace: Trace::new(telling),
            net: Dice::new(seed, 1),
            fate: Dice::new(seed, 2),
            work: Dice::new(seed, 3),
            people: Dice::new(seed, 4),
            jobs: Dice::new(seed, 5),
            windows: vec![],
            server: 0,
            sabotage,
            verdict: None,
            sights: BTreeSet::new(),
        }
    }

    /// The next event; the clock goes on to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let (at, event) = self.queue.pop()?;
        self.now = at;
        Some(event)
    }

    pub(crate) fn at(&mut self, at: Time, event: Event) {
        self.queue.put(at.max(self.now), event);
    }

    pub(crate) fn after(&mut self, span: Span, event: Event) {
        self.queue.put(self.now + span, event);
    }

    /// The fault window that is open now.
    pub(crate) fn window(&self) -> Option<&Window> {
        self.windows.iter().find(|window| window.from <= self.now && self.now < window.to)
    }

    pub(crate) fn sabotages(&self, which: Sabotage) -> bool {
        self.sabotage == Some(which)
    }

    /// A step of somebody, for the digest and for the story of whom it names.
    pub(crate) fn note(&mut self, number: u64, text: impl FnOnce() -> String) {
        self.trace.mix(self.now.0);
        self.trace.mix(number);
        self.trace.tell(self.now, Weight::Particular, text);
    }

    /// What goes on all the time.
    pub(crate) fn chat(&mut self, number: u64, text: impl FnOnce() -> String) {
        self.trace.mix(self.now.0);
        self.trace.mix(number);
        self.trace.tell(self.now, Weight::Chatter, text);
    }

    /// An order or a fault: part of every story.
    pub(crate) fn proclaim(&mut self, number: u64, text: impl FnOnce() -> String) {
        self.trace.mix(self.now.0);
        self.trace.mix(number);
        self.trace.tell(self.now, Weight::Common, text);
    }

    /// A property does not hold. The first is kept: what follows may follow from it.
    pub(crate) fn violated(
        &mut self,
        property: &'static crate::property::Property,
        subjects: &[&str],
        what: impl Into<String>,
    ) {
        if self.verdict.is_none() {
            let subjects = subjects.iter().map(|subject| subject.to_string()).collect();
            self.verdict = Some(Violation { property, what: what.into(), subjects });
        }
    }

    /// The run has met this case.
    pub(crate) fn sees(&mut self, sight: Sight) {
        self.sights.insert(sight);
    }

    pub(crate) fn sights(&self) -> BTreeSet<Sight> {
        self.sights.clone()
    }

    pub(crate) fn verdict(&self) -> Option<&Violation> {
        self.verdict.as_ref()
    }
}
