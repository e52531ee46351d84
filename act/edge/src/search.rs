//! The search for an instance that takes a request or a connection: the choice, the tries, and the wait when there is
//! none. The wait bridges the moment in which an instance is replaced or restarts, or all have as much as they may.
//!
//! Whatever protocol is spoken: `new`, then `next` for an instance; then what became of it: [`Search::answered`] as soon
//! as its answer begins, or [`Search::fail`] and `next` again where the work may go elsewhere, or [`Search::lose`].
//! Whether it may is for two to say: the caller knows whether it is safe, [`Search::may_repeat`] whether it is wanted.

use crate::Config;
use crate::set::{Chosen, Set};
use naru_books::{Claim, Ending, Entry, Kind, Waiting};
use naru_traffic::{Hint, NoPick, Ticket};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The first wait when no instance can be connected to; it doubles up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// The longest: how much later than possible a restarted instance gets its first request.
const LAST_WAIT: Duration = Duration::from_millis(250);

/// A search, from the first choice to the last.
pub(crate) struct Search<'a> {
    config: &'a Config,
    set: &'a Set,
    kind: Kind,
    hint: Hint,
    /// Whether it neither wakes the service nor keeps it awake.
    ignored: bool,
    /// The moment of the first choice: the clock need not be asked again for it.
    now: Cell<Option<Instant>>,
    tried: Vec<Rc<Entry>>,
    /// The instance that was chosen last, and when.
    at: Option<(Ticket, Instant)>,
    /// Whether it has begun to answer.
    heard: Cell<bool>,
    /// The claim of the instance that failed last: how it ends shows only when the next is chosen.
    failed: Option<(Claim, Failure)>,
    sent: u32,
    wait: Duration,
    until: Option<Instant>,
    held: Option<Held<'a>>,
    waiting: Option<Waiting>,
}

/// Why there is no instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoInstance {
    /// The table names none.
    Named,
    /// None of those named could be connected to, or none answered.
    Reached,
    /// The last one took too long to answer.
    TooLate,
    /// The service is asleep, and this does not wake it.
    Asleep,
    /// It wakes, and takes longer than a request waits.
    Waking,
    /// All have as much in progress as they may.
    Full,
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
    /// It did not begin to answer in time, and the request may be sent again.
    TooLate,
    /// It answered with a status that is tried elsewhere, and the client has nothing of it.
    Elsewhere,
}

impl<'a> Search<'a> {
    /// One for work of which `hint` is known, and which is looked at `now`.
    pub(crate) fn new(config: &'a Config, set: &'a Set, kind: Kind, hint: Hint, now: Instant) -> Search<'a> {
        Search {
            config,
            set,
            kind,
            hint,
            ignored: false,
            now: Cell::new(Some(now)),
            tried: Vec::new(),
            at: None,
            heard: Cell::new(false),
            failed: None,
            sent: 0,
            wait: FIRST_WAIT,
            until: None,
            held: None,
            waiting: None,
        }
    }

    /// It neither wakes the service nor keeps it awake.
    pub(crate) fn ignored(self, ignored: bool) -> Search<'a> {
        Search { ignored, ..self }
    }

    /// Whether nothing has failed yet.
    pub(crate) fn is_first(&self) -> bool {
        self.failed.is_none() && self.tried.is_empty()
    }

    /// Whether a request that was sent may be sent once more: there are tries left, and the budget has room.
    pub(crate) fn may_repeat(&self) -> bool {
        let tries = self.set.with_policy(|policy| policy.retry.tries);
        self.sent + 1 < tries && self.set.allows_retry(self.config.workers)
    }

    /// Whether an answer with this status is better asked for elsewhere, if that is safe: the policy says so, and
    /// somebody else is there.
    pub(crate) fn is_better_elsewhere(&self, status: u16, at: &Claim) -> bool {
        self.set.with_policy(|policy| policy.retry.statuses.contains(&status))
            && self.has_another(at)
            && self.may_repeat()
    }

    /// Whether a sound instance is there that was not tried yet, beside this one.
    pub(crate) fn has_another(&self, than: &Claim) -> bool {
        self.set.has_another(self.tried.iter().chain([than.entry()]))
    }

    /// How long the instance may take to begin its answer, once it has the whole request.
    pub(crate) fn response_timeout(&self) -> Option<Duration> {
        self.set.with_policy(|policy| policy.response_timeout.map(|span| Duration::from_millis(span.0)))
    }

    /// The instance has begun to answer, with this status; 0 for a connection that is there.
    pub(crate) fn answered(&self, status: u16) {
        self.heard.set(true);
        if let Some((ticket, since)) = self.at {
            let now = Instant::now();
            self.set.answered(ticket, now, now.saturating_duration_since(since), status);
        }
    }

    /// Whether the instance has begun to answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.heard.get()
    }

    /// Lines of the answer, each with its CRLF, that tell the client where it is now, if that is news to it.
    pub(crate) fn stay_lines(&self, scheme: &str) -> String {
        self.at.map(|(ticket, _)| self.set.stay_lines(ticket, self.hint, scheme)).unwrap_or_default()
    }

    /// The instance that was chosen failed, and the work may go elsewhere: `next` says where.
    pub(crate) fn fail(&mut self, claim: Claim, failure: Failure) {
        if failure != Failure::Unreachable {
            self.sent += 1;
            self.set.spend_retry();
        }
        if failure != Failure::Elsewhere {
            self.count_failure();
        }
        self.tried.push(claim.entry().clone());
        self.failed = Some((claim, failure));
    }

    /// The instance that was chosen failed, and the work is lost with it.
    pub(crate) fn lose(&self, claim: Claim) {
        self.count_failure();
        claim.end(Ending::Lost);
    }

    fn count_failure(&self) {
        if let Some((ticket, _)) = self.at {
            self.set.failed(ticket);
        }
    }

    /// Chooses the next, and waits for it within the bounds.
    ///
    /// # Errors
    /// When there is none. If one had failed, the work is lost.
    pub(crate) async fn next(&mut self) -> Result<Chosen, NoInstance> {
        let mut chosen = self.choose();
        loop {
            let none = match chosen {
                Ok(mut chosen) => {
                    (self.held, self.waiting) = (None, None);
                    if self.ignored {
                        chosen.claim.is_no_use();
                    }
                    if self.at.is_none() {
                        self.set.asked(chosen.claim.began());
                    }
                    self.at = Some((chosen.ticket, chosen.claim.began()));
                    self.heard.set(false);
                    self.pass_on(&chosen.claim);
                    return Ok(chosen);
                }
                Err(none) => none,
            };
            if let Err(none) = self.hold(none) {
                if let Some((claim, _)) = self.failed.take() {
                    claim.end(Ending::Lost);
                }
                return Err(none);
            }
            self.tried.clear();
            chosen =
                if none == NoPick::Full { self.wait_for_room().await } else { self.wait_for_change().await };
        }
    }

    fn choose(&self) -> Result<Chosen, NoPick> {
        // Who comes later waits behind those that wait.
        if self.held.is_none() && self.set.crowd().is_some_and(|crowd| crowd.waits()) {
            return Err(NoPick::Full);
        }
        let now = self.now.take().unwrap_or_else(Instant::now);
        let untried = self.set.choose(self.kind, self.hint, &self.tried, now);
        match self.failed {
            // It may be the only one: a new connection to it is worth a try.
            Some((_, Failure::BrokeOff)) => {
                untried.or_else(|_| self.set.choose(self.kind, self.hint, &[], now))
            }
            _ => untried,
        }
    }

    fn pass_on(&mut self, to: &Claim) {
        if let Some((claim, _)) = self.failed.take() {
            let same = Rc::ptr_eq(claim.entry(), to.entry());
            claim.end(if same { Ending::Repeated } else { Ending::HandedOver });
        }
    }

    /// Takes a place among those that wait.
    fn hold(&mut self, none: NoPick) -> Result<(), NoInstance> {
        let now = Instant::now();
        let (queue, doze) = self.set.with_policy(|policy| {
            let doze = policy.doze.as_ref().filter(|_| none != NoPick::Full);
            (policy.queue.clone(), doze.map(|doze| (doze.hold, doze.asleep, doze.by_request)))
        });
        let doze = doze.filter(|_| self.failed.is_none());
        if matches!(doze, Some((_, true, by_request)) if self.ignored || !by_request) {
            return Err(NoInstance::Asleep);
        }
        let time = doze.map_or(queue.time, |(hold, ..)| hold.max(queue.time));
        let until = *self.until.get_or_insert(now + Duration::from_millis(time.0));
        let failed = self.failed.as_ref().map(|(_, failure)| *failure);
        if now >= until || self.set.is_removed() || failed == Some(Failure::TooLate) {
            return Err(match (failed, none) {
                (Some(Failure::TooLate), _) => NoInstance::TooLate,
                (Some(_), _) => NoInstance::Reached,
                (None, NoPick::Full) => NoInstance::Full,
                (None, _) if doze.is_some() => NoInstance::Waking,
                (None, _) => NoInstance::Named,
            });
        }
        if self.held.is_none() {
            // Each worker keeps an equal part of the queue.
            let held = Held::enter(self.set, (queue.max as usize).div_ceil(self.config.workers));
            self.held = Some(held.ok_or(NoInstance::Waited)?);
        }
        if none == NoPick::Full {
            self.waiting = self.set.crowd().map(|crowd| crowd.join());
        }
        Ok(())
    }

    /// Waits for another table, or, where one had failed, for a while. Both mean to look again.
    async fn wait_for_change(&mut self) -> Result<Chosen, NoPick> {
        let until = self.until.unwrap_or_else(Instant::now);
        let again = if self.failed.is_some() { until.min(Instant::now() + self.wait) } else { until };
        self.wait = (self.wait * 2).min(LAST_WAIT);
        let _ = tokio::time::timeout_at(again.into(), self.set.changed.notified()).await;
        self.choose()
    }

    /// Waits for room at an instance, or for others.
    async fn wait_for_room(&mut self) -> Result<Chosen, NoPick> {
        let Some(waiting) = &self.waiting else { return self.choose() };
        let (mut room, changed) = (pin!(waiting.room()), self.set.changed.notified());
        room.as_mut().enable();
        // What became free before is not told any more.
        if let Ok(chosen) = self.choose() {
            return Ok(chosen);
        }
        // Nobody tells when an instance's pause ends: that is looked for now and then.
        let again = self.until.unwrap_or_else(Instant::now).min(Instant::now() + LAST_WAIT);
        tokio::select! {
            () = room => {}
            () = changed => {}
            () = tokio::time::sleep_until(again.into()) => {}
        }
        self.choose()
    }
}

/// A place among those that wait.
struct Held<'a>(&'a Set);

impl<'a> Held<'a> {
    fn enter(set: &'a Set, max: usize) -> Option<Held<'a>> {
        (set.held.get() < max).then(|| {
            set.held.set(set.held.get() + 1);
            if set.held.get() == 1 {
                set.knock();
            }
            Held(set)
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
    }
}
