//! The search for an instance that takes a request or a connection: the choice, the tries, and the wait
//! when there is none. The wait bridges the moment in which an instance is replaced or restarts.

use crate::Config;
use crate::route::{Chosen, Set};
use naru_books::{Claim, Ending, Entry, Kind};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a request is sent, in all.
const TRIES: u32 = 3;

/// The first wait when no instance can be connected to; it doubles up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The longest: how much later than possible a restarted instance gets its first request.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// A search, from the first choice to the last.
pub(crate) struct Search<'a> {
    config: &'a Config,
    set: &'a Set,
    kind: Kind,
    tried: Vec<Rc<Entry>>,
    /// The claim of the instance that failed last: how it ends shows only when the next is chosen.
    failed: Option<(Claim, Failure)>,
    sent: u32,
    wait: Duration,
    until: Option<Instant>,
    held: Option<Held<'a>>,
}

/// Why there is no instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoInstance {
    /// The table names none.
    Named,
    /// None of those named could be connected to, or none answered.
    Reached,
    /// Too many wait for one already.
    Waited,
}

/// How an instance failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It could not be connected to.
    Unreachable,
    /// It broke off before it answered, and the request may be sent again.
    BrokeOff,
}

impl<'a> Search<'a> {
    pub(crate) fn new(config: &'a Config, set: &'a Set, kind: Kind) -> Search<'a> {
        Search {
            config,
            set,
            kind,
            tried: Vec::new(),
            failed: None,
            sent: 0,
            wait: FIRST_WAIT,
            until: None,
            held: None,
        }
    }

    /// Whether nothing has failed yet.
    pub(crate) fn is_first(&self) -> bool {
        self.failed.is_none() && self.tried.is_empty()
    }

    /// Whether a request that was sent may be sent once more.
    pub(crate) fn has_tries_left(&self) -> bool {
        self.sent + 1 < TRIES
    }

    /// The instance that was chosen failed.
    pub(crate) fn fail(&mut self, claim: Claim, failure: Failure) {
        self.sent += u32::from(failure == Failure::BrokeOff);
        self.tried.push(claim.entry().clone());
        self.failed = Some((claim, failure));
    }

    /// Chooses the next, and waits for it within the bounds.
    ///
    /// # Errors
    /// When there is none. If one had failed, the work is lost.
    pub(crate) async fn next(&mut self) -> Result<Chosen, NoInstance> {
        loop {
            if let Some(chosen) = self.choose() {
                self.held = None;
                self.pass_on(&chosen.claim);
                return Ok(chosen);
            }
            if let Err(none) = self.hold().await {
                if let Some((claim, _)) = self.failed.take() {
                    claim.end(Ending::Lost);
                }
                return Err(none);
            }
            self.tried.clear();
        }
    }

    fn choose(&self) -> Option<Chosen> {
        let untried = self.set.choose(self.kind, &self.tried);
        match self.failed {
            // It may be the only one: a new connection to it is worth a try.
            Some((_, Failure::BrokeOff)) => untried.or_else(|| self.set.choose(self.kind, &[])),
            _ => untried,
        }
    }

    fn pass_on(&mut self, to: &Claim) {
        if let Some((claim, _)) = self.failed.take() {
            let same = Rc::ptr_eq(claim.entry(), to.entry());
            claim.end(if same { Ending::Repeated } else { Ending::HandedOver });
        }
    }

    async fn hold(&mut self) -> Result<(), NoInstance> {
        let now = Instant::now();
        let queue = self.set.policy.borrow().queue.clone();
        let until = *self.until.get_or_insert(now + Duration::from_millis(queue.time.0));
        if now >= until || (self.set.is_removed()) {
            return Err(if self.failed.is_some() { NoInstance::Reached } else { NoInstance::Named });
        }
        if self.held.is_none() {
            // Each worker keeps an equal part of the queue.
            let held = Held::enter(self.set, (queue.max as usize).div_ceil(self.config.workers));
            self.held = Some(held.ok_or(NoInstance::Waited)?);
        }
        let again = match self.failed {
            Some(_) => until.min(now + self.wait),
            None => until,
        };
        self.wait = (self.wait * 2).min(LAST_WAIT);
        // It was told of a change, or it is time: both mean to look again.
        let _ = tokio::time::timeout_at(again.into(), self.set.changed.notified()).await;
        Ok(())
    }
}

/// A place among those that wait.
struct Held<'a>(&'a Set);

impl<'a> Held<'a> {
    fn enter(set: &'a Set, max: usize) -> Option<Held<'a>> {
        (set.held.get() < max).then(|| {
            set.held.set(set.held.get() + 1);
            Held(set)
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
    }
}
