//! Rolling: a batch of new instances beside the old; as each serves, an old one goes.

use super::crew::Crew;
use super::{Standing, config, wait_for_edges};
use crate::draft::Draft;
use naru_model::{OperationId, Reason, Span, Stage, Time};

pub(super) fn step(draft: &mut Draft, crew: &Crew, id: OperationId) -> Standing {
    let settled = crew.settled(draft);
    let retired = crew.retire_stale(draft, crew.wanted.saturating_sub(settled), id);
    if retired > 0 {
        note_batch(draft, crew, id);
    }
    if crew.stale.is_empty() {
        crew.scale_in(draft, id);
    }
    let unsettled = crew.fresh.len() as u32 - settled;
    let missing = crew.missing();
    if missing == 0 || unsettled > 0 {
        return standing(draft, crew, settled);
    }
    if let Some(delay) = delay(draft, crew, id) {
        return (Stage::Replacing, Some(Reason::WaitsForDelay { service: crew.service.clone(), delay }));
    }
    crew.make(draft, missing.min(batch(draft, crew, id)), id);
    waits_for_ready(crew, crew.ready(draft))
}

fn standing(draft: &Draft, crew: &Crew, settled: u32) -> Standing {
    let replaced = crew.stale.is_empty() && settled >= crew.wanted;
    let out = crew.retiring.iter().all(|one| super::is_out(draft, one));
    match replaced {
        true if out => (Stage::CutOver, None),
        true => (Stage::Switching, wait_for_edges(draft)),
        false => waits_for_settled(draft, crew),
    }
}

/// Until enough are ready; then, until every edge knows them.
pub(super) fn waits_for_settled(draft: &Draft, crew: &Crew) -> Standing {
    let ready = crew.ready(draft);
    match (ready < crew.wanted, wait_for_edges(draft)) {
        (false, Some(wait)) => (Stage::Replacing, Some(wait)),
        _ => waits_for_ready(crew, ready),
    }
}

pub(super) fn waits_for_ready(crew: &Crew, ready: u32) -> Standing {
    let (service, wanted) = (crew.service.clone(), crew.wanted);
    (Stage::Replacing, Some(Reason::WaitsForReady { service, ready, wanted }))
}

/// How many are made at a time: `parallelism`, or all where there is nothing to replace.
fn batch(draft: &Draft, crew: &Crew, id: OperationId) -> u32 {
    match crew.stale.is_empty() && crew.fresh.is_empty() {
        true => crew.wanted,
        false => crew.parallelism(draft, id),
    }
}

fn note_batch(draft: &mut Draft, crew: &Crew, id: OperationId) {
    let now = draft.now;
    let progress = draft.operation_mut(id).and_then(|operation| operation.services.get_mut(&crew.service));
    if let Some(progress) = progress {
        progress.last_batch = Some(now);
    }
}

/// The time between batches, while it has not passed.
fn delay(draft: &mut Draft, crew: &Crew, id: OperationId) -> Option<Span> {
    let definition = draft.wanted_definition(&crew.stack, &crew.service)?;
    let delay = config(draft, id, &definition.rollout.update, &definition.rollout.rollback).delay;
    let last: Time = draft.operation(id)?.services.get(&crew.service)?.last_batch?;
    let due = last + delay;
    (draft.now < due).then(|| {
        draft.wake_at(due);
        delay
    })
}
