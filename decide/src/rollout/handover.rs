//! Hand-over: the old instance is gone before the new one starts, where the two may not be side by side.

use super::crew::Crew;
use super::{Standing, is_out, wait_for_edges};
use crate::draft::Draft;
use naru_model::{InstanceId, OperationId, Reason, Stage};

pub(super) fn step(draft: &mut Draft, crew: &Crew, id: OperationId) -> Standing {
    let settled = crew.settled(draft);
    let keep = crew.wanted.saturating_sub(crew.parallelism(draft, id)).saturating_sub(settled);
    let retired = crew.retire_stale(draft, keep, id);
    if crew.stale.is_empty() {
        crew.scale_in(draft, id);
    }
    let alive: Vec<&InstanceId> = crew.retiring.iter().map(|one| &one.id).collect();
    let room = crew.room();
    if room > 0 {
        crew.make(draft, room, id);
    }
    let replaced = crew.stale.is_empty() && settled >= crew.wanted;
    let out = crew.retiring.iter().all(|one| is_out(draft, one));
    match alive.first() {
        _ if replaced && out && retired == 0 => (Stage::CutOver, None),
        _ if replaced => (Stage::Switching, wait_for_edges(draft)),
        Some(old) if crew.missing() > room => {
            let (service, instance) = (crew.service.clone(), (*old).clone());
            (Stage::Replacing, Some(Reason::WaitsForHandOver { service, instance }))
        }
        _ => super::rolling::waits_for_settled(draft, crew),
    }
}
