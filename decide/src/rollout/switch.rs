//! Blue-green and canary: the whole new set starts beside the old. It soaks, takes a growing share (canary),
//! is promoted, and then takes all traffic in one table. The old set stays, out of the routes, until the new
//! one has been watched for `monitor`: so long, going back is one table too.

use super::crew::{Crew, hold, set_duty};
use super::rolling::{waits_for_ready, waits_for_settled};
use super::{Standing, is_out, wait_for_edges};
use crate::draft::Draft;
use crate::retire::retire;
use naru_model::{CanaryStep, Duty, OperationId, Reason, Rollout, ServiceProgress, Stage, Strategy, Time};

pub(super) fn step(draft: &mut Draft, crew: &Crew, id: OperationId) -> Standing {
    if crew.missing() > 0 {
        crew.make(draft, crew.missing(), id);
    }
    crew.scale_in(draft, id);
    // What never served is of no use to go back to.
    for one in crew.stale.iter().filter(|one| one.duty == Duty::Warming) {
        retire(draft, &one.id, id);
    }
    let is_switched = crew.stale.iter().all(|one| one.duty != Duty::Serving);
    let goes_back = draft.operation(id).is_some_and(|operation| operation.back.is_some());
    let ready = crew.ready(draft);
    if is_switched && crew.fresh.iter().any(|one| one.duty == Duty::Serving) {
        return switched(draft, crew);
    }
    if ready < crew.wanted {
        return waits_for_ready(crew, ready);
    }
    if goes_back || is_switched {
        return switch(draft, crew, id);
    }
    let Some(rollout) = draft.wanted_definition(&crew.stack, &crew.service).map(|one| one.rollout.clone())
    else {
        return waits_for_ready(crew, ready);
    };
    proceed(draft, crew, id, &rollout)
}

/// From ready to promoted: soak, shares, a person's word.
fn proceed(draft: &mut Draft, crew: &Crew, id: OperationId, rollout: &Rollout) -> Standing {
    let service = crew.service.clone();
    let (mut stage, mut since) = stage_of(draft, crew, id);
    // At most one round for each step of the canary, and three for the rest.
    for _ in 0..rollout.steps.len() + 4 {
        let next = match stage {
            Stage::Soaking => match is_due(draft, since + rollout.soak) {
                Due::Later => {
                    return (stage, Some(Reason::WaitsForSoak { service, soak: rollout.soak }));
                }
                Due::Now if rollout.strategy == Strategy::Canary && !rollout.steps.is_empty() => {
                    Stage::Step(0)
                }
                Due::Now => Stage::AwaitingPromotion,
            },
            Stage::Step(at) => {
                let CanaryStep { weight, hold } = rollout.steps[at as usize];
                match is_due(draft, since + hold) {
                    Due::Later => {
                        return (stage, Some(Reason::HoldsShare { service, percent: weight, hold }));
                    }
                    Due::Now if (at as usize + 1) < rollout.steps.len() => Stage::Step(at + 1),
                    Due::Now => Stage::AwaitingPromotion,
                }
            }
            Stage::AwaitingPromotion if rollout.promote_auto || is_promoted(draft, id) => {
                return switch(draft, crew, id);
            }
            Stage::AwaitingPromotion => return (stage, Some(Reason::WaitsForPromotion { service })),
            _ => Stage::Soaking,
        };
        if let Stage::Step(at) = next {
            share(draft, crew, id, rollout.steps[at as usize].weight);
        }
        (stage, since) = (next, draft.now);
        super::record(draft, id, &crew.service, (stage, None));
    }
    (stage, None)
}

fn stage_of(draft: &Draft, crew: &Crew, id: OperationId) -> (Stage, Time) {
    let progress: Option<&ServiceProgress> =
        draft.operation(id).and_then(|operation| operation.services.get(&crew.service));
    progress.map_or((Stage::Replacing, draft.now), |progress| (progress.stage, progress.since))
}

/// Whether a time has come; if not, another look is asked for then.
enum Due {
    Now,
    Later,
}

fn is_due(draft: &mut Draft, due: Time) -> Due {
    if draft.now >= due {
        return Due::Now;
    }
    draft.wake_at(due);
    Due::Later
}

fn is_promoted(draft: &Draft, id: OperationId) -> bool {
    draft.operation(id).is_some_and(|operation| operation.promoted.is_some())
}

fn share(draft: &mut Draft, crew: &Crew, id: OperationId, percent: u32) {
    crew.fresh.iter().for_each(|one| set_duty(draft, &one.id, Duty::Serving));
    if let Some(target) = draft.stack(&crew.stack).target.as_ref() {
        let (service, release) = (crew.service.clone(), target.release);
        draft.say(id, Reason::Shares { service, percent, release });
    }
}

/// All traffic to the new set, in one table.
fn switch(draft: &mut Draft, crew: &Crew, id: OperationId) -> Standing {
    crew.fresh.iter().for_each(|one| set_duty(draft, &one.id, Duty::Serving));
    let goes_back = draft.operation(id).is_some_and(|operation| operation.back.is_some());
    for one in crew.stale.iter().filter(|one| one.duty == Duty::Serving) {
        match goes_back {
            true => retire(draft, &one.id, id),
            false => hold(draft, &one.id, id),
        }
    }
    if let Some(target) = draft.stack(&crew.stack).target.as_ref() {
        let (service, release) = (crew.service.clone(), target.release);
        draft.say(id, Reason::Promotes { service, release });
    }
    (Stage::Switching, None)
}

/// After the switch: every edge has to know.
fn switched(draft: &Draft, crew: &Crew) -> Standing {
    let settled = crew.settled(draft);
    let out = crew.stale.iter().chain(&crew.retiring).all(|one| is_out(draft, one));
    match settled >= crew.wanted {
        true if out => (Stage::CutOver, None),
        true => (Stage::Switching, wait_for_edges(draft)),
        false => (Stage::Switching, waits_for_settled(draft, crew).1),
    }
}
