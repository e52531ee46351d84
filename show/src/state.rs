//! What is known of an operation that is followed, and when following it is over.

use naru_api::WatchEvent;
use naru_model::{
    InstanceId, InstanceView, LogEntry, Operation, OperationId, OperationKind, OperationOutcome,
    OperationPhase, Reason, ServiceName, Stage, Time,
};
use std::collections::{BTreeMap, BTreeSet};

/// Until when an operation is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// What it wants serves.
    CutOver,
    /// Its last instance is gone, and its receipt final.
    Ended,
}

/// How a person wants it to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// As ordered.
    Success,
    /// Given up.
    Abort,
}

/// Why following is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It went as wished, as far as was waited for.
    Well,
    /// It goes on when a person says so.
    AwaitsPromotion,
    /// It failed, and stays where it is until a person says how to go on.
    Stuck,
    /// It did not go as wished.
    Badly(OperationOutcome),
}

/// What is known of it.
#[derive(Clone, Debug)]
pub struct State {
    /// Which operation.
    pub id: OperationId,
    /// The newest that was heard of it.
    pub operation: Option<Operation>,
    /// The stack's instances.
    pub instances: Vec<InstanceView>,
    /// Other operations whose instances were seen to retire meanwhile: their work is on those receipts.
    pub others: BTreeSet<OperationId>,
    /// How many instances of each service are wanted in the end.
    pub wanted: BTreeMap<ServiceName, u32>,
    /// The last entry of its log that was handed out.
    told: Option<LogEntry>,
    /// Entries before this are old.
    from: Time,
}

impl State {
    /// Nothing is known yet; what the log told before `from` is not told again.
    pub fn new(id: OperationId, wanted: BTreeMap<ServiceName, u32>, from: Time) -> State {
        let others = BTreeSet::new();
        State { id, operation: None, instances: vec![], others, wanted, told: None, from }
    }

    /// Takes in a change.
    pub fn hear(&mut self, event: WatchEvent) {
        match event {
            WatchEvent::Operation(operation) if operation.id == self.id => self.operation = Some(*operation),
            WatchEvent::Instances(instances) => {
                let retirers = instances.iter().filter_map(|view| view.retired_by);
                self.others.extend(retirers.filter(|id| *id != self.id));
                self.instances = instances;
            }
            WatchEvent::Operation(_) | WatchEvent::Routes(_) => {}
        }
    }

    /// The log's entries that were not handed out yet.
    pub fn news(&mut self) -> Vec<LogEntry> {
        let Some(operation) = &self.operation else { return vec![] };
        let known = self.told.as_ref().and_then(|told| operation.log.iter().rposition(|one| one == told));
        let start = known.map_or(0, |at| at + 1);
        let new: Vec<_> = operation.log[start..].iter().filter(|one| one.at >= self.from).cloned().collect();
        self.told = operation.log.last().cloned().or(self.told.take());
        new
    }

    /// Whether following is over.
    pub fn end(&self, until: Until, wish: Wish) -> Option<End> {
        let one = self.operation.as_ref()?;
        match (one.outcome, wish) {
            (Some(OperationOutcome::Succeeded), Wish::Abort) => {
                return Some(End::Badly(OperationOutcome::Succeeded));
            }
            (Some(OperationOutcome::Aborted), Wish::Abort)
            | (Some(OperationOutcome::Succeeded) | None, _) => {}
            (Some(bad), _) => return Some(End::Badly(bad)),
        }
        let reached = match (until, wish) {
            (Until::CutOver, Wish::Success) => {
                one.cut_over.is_some() && one.phase != OperationPhase::RollingBack
            }
            (Until::CutOver, Wish::Abort) => one.outcome.is_some(),
            (Until::Ended, _) => one.ended.is_some(),
        };
        match () {
            () if reached || one.ended.is_some() => Some(End::Well),
            () if one.phase == OperationPhase::Paused && self.has_failed() => Some(End::Stuck),
            () if wish == Wish::Success && self.awaits_promotion() => Some(End::AwaitsPromotion),
            () => None,
        }
    }

    /// The instances that failed in this operation, those that never became ready included.
    pub fn failed(&self) -> Vec<InstanceId> {
        let services = self.operation.iter().flat_map(|one| one.services.values());
        let listed = services.flat_map(|progress| progress.failed.iter().cloned());
        let logged = self.log().filter_map(|entry| match &entry.reason {
            Reason::Ended { instance, .. } | Reason::NotReady { instance, .. } => Some(instance.clone()),
            _ => None,
        });
        listed.chain(logged).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The first thing that went wrong.
    pub fn fault(&self) -> Option<&Reason> {
        self.log().map(|entry| &entry.reason).find(|reason| is_fault(reason))
    }

    /// Whether this operation takes instances away and brings none.
    pub fn only_retires(&self) -> bool {
        let kind = self.operation.as_ref().map(|one| &one.kind);
        matches!(
            kind,
            Some(
                OperationKind::Stop { .. }
                    | OperationKind::Sleep { .. }
                    | OperationKind::Down
                    | OperationKind::Cancel { .. }
            )
        )
    }

    fn log(&self) -> impl Iterator<Item = &LogEntry> {
        self.operation.iter().flat_map(|one| &one.log).filter(|entry| entry.at >= self.from)
    }

    fn has_failed(&self) -> bool {
        self.operation
            .iter()
            .flat_map(|one| one.services.values())
            .any(|progress| !progress.failed.is_empty())
            || self.fault().is_some()
    }

    /// Whether all that is left is a person's word.
    fn awaits_promotion(&self) -> bool {
        let Some(one) = &self.operation else { return false };
        let stages = || one.services.values().map(|progress| progress.stage);
        one.promoted.is_none()
            && stages().any(|stage| stage == Stage::AwaitingPromotion)
            && stages()
                .all(|stage| matches!(stage, Stage::AwaitingPromotion | Stage::CutOver | Stage::Waiting))
    }
}

/// Whether a reason tells of something that went wrong.
pub fn is_fault(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::Ended { .. }
            | Reason::NotReady { .. }
            | Reason::Errors { .. }
            | Reason::NothingToGoBackTo
            | Reason::PausesOnFailure { .. }
            | Reason::Crashed { .. }
            | Reason::EdgeGone { .. }
            | Reason::EdgeGoneUnseen { .. }
            | Reason::CannotListen { .. }
            | Reason::Alarm { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::{End, State, Until, Wish};
    use crate::sample;
    use naru_api::WatchEvent;
    use naru_model::{
        Exit, Operation, OperationOutcome, OperationPhase, Reason, ServiceProgress, Span, Stage, Time,
    };

    fn heard(operation: Operation) -> State {
        let mut state = State::new(operation.id, Default::default(), Time(0));
        state.hear(WatchEvent::Operation(Box::new(operation)));
        state
    }

    fn at(stage: Stage) -> ServiceProgress {
        ServiceProgress { stage, since: Time(0), failed: vec![], last_batch: None, waits_for: None }
    }

    #[test]
    fn following_ends_at_cut_over_or_when_all_is_gone() {
        let mut one = sample::deploy("shop");
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), None);
        one.cut_over = Some(Time(61_000));
        one.phase = OperationPhase::Retiring;
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), Some(End::Well));
        assert_eq!(heard(one.clone()).end(Until::Ended, Wish::Success), None);
        one.ended = Some(Time(90_000));
        assert_eq!(heard(one).end(Until::Ended, Wish::Success), Some(End::Well));
    }

    #[test]
    fn a_rollback_after_cut_over_is_seen_by_who_waits_for_the_end() {
        let mut one = sample::deploy("shop");
        one.cut_over = Some(Time(61_000));
        one.phase = OperationPhase::RollingBack;
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), None);
        one.outcome = Some(OperationOutcome::RolledBack);
        let bad = Some(End::Badly(OperationOutcome::RolledBack));
        assert_eq!(heard(one.clone()).end(Until::Ended, Wish::Success), bad);
        assert_eq!(heard(one).end(Until::CutOver, Wish::Success), bad);
    }

    #[test]
    fn an_aborted_rollout_is_what_abort_wanted() {
        let mut one = sample::deploy("shop");
        one.outcome = Some(OperationOutcome::Aborted);
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Abort), Some(End::Well));
        let bad = Some(End::Badly(OperationOutcome::Aborted));
        assert_eq!(heard(one).end(Until::CutOver, Wish::Success), bad);
    }

    #[test]
    fn following_ends_where_a_person_is_waited_for() {
        let mut one = sample::deploy("shop");
        one.services.insert("api".into(), at(Stage::AwaitingPromotion));
        one.services.insert("engine".into(), at(Stage::Replacing));
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), None);
        one.services.insert("engine".into(), at(Stage::CutOver));
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), Some(End::AwaitsPromotion));
        one.promoted = Some(Time(70_000));
        assert_eq!(heard(one).end(Until::CutOver, Wish::Success), None);
    }

    #[test]
    fn a_pause_on_failure_ends_it_and_a_persons_pause_does_not() {
        let mut one = sample::deploy("shop");
        one.phase = OperationPhase::Paused;
        assert_eq!(heard(one.clone()).end(Until::CutOver, Wish::Success), None);
        one.say(Time(61_000), Reason::Ended { instance: "shop.api.2.4".into(), exit: Exit::Status(1) });
        let state = heard(one);
        assert_eq!(state.end(Until::CutOver, Wish::Success), Some(End::Stuck));
        assert_eq!(state.failed(), ["shop.api.2.4".into()]);
    }

    #[test]
    fn each_entry_of_the_log_is_told_once() {
        let mut one = sample::deploy("shop");
        one.say(Time(61_000), Reason::NothingToGoBackTo);
        let mut state = heard(one.clone());
        assert_eq!(state.news().len(), 1);
        assert_eq!(state.news().len(), 0);
        one.say(Time(62_000), Reason::Serves { took: Span(5) });
        state.hear(WatchEvent::Operation(Box::new(one)));
        assert_eq!(state.news().len(), 1);
    }
}
