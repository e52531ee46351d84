//! Whose turn it is to start: where the hours of many services begin at once, a few start at a time, so that each has the machine for
//! as long as its start takes most of it. What somebody waits for does not wait for others.

use crate::draft::Draft;
use naru_model::{Duty, InstanceRecord, Reason, ServiceName, Span, StackName, Want};

/// So many instances start at once by hours: small machines have as many cores.
const AT_ONCE: usize = 4;

/// One that takes longer to start no longer keeps others from it.
const PATIENCE: Span = Span::secs(60);

/// Why a service of which nothing runs is not started yet, though it is to be on.
pub(super) fn waits_for_turn(draft: &Draft, stack: &StackName, service: &ServiceName) -> Option<Reason> {
    if !is_woken_by_hours(draft, stack, service) {
        return None;
    }
    let starting = draft.all_instances().filter(|one| is_starting(draft, one)).count();
    (starting >= AT_ONCE)
        .then(|| Reason::WaitsForTurn { service: service.clone(), starting: starting as u32 })
}

/// Has somebody look again when what starts keeps others from it no longer.
pub(super) fn look_again(draft: &mut Draft) {
    let starting = draft.all_instances().filter(|one| is_starting(draft, one));
    let due = starting.map(|one| one.made + PATIENCE).min();
    due.into_iter().for_each(|at| draft.wake_at(at));
}

fn is_starting(draft: &Draft, one: &InstanceRecord) -> bool {
    one.duty == Duty::Warming && !draft.world.is_ready(&one.id) && draft.now < one.made + PATIENCE
}

/// Whether nothing but the time of day wants it on, or what depends on it.
fn is_woken_by_hours(draft: &Draft, stack: &StackName, service: &ServiceName) -> bool {
    let verdicts = draft.verdicts(stack);
    let mut asked = vec![service];
    while let Some(name) = asked.pop() {
        let Some(verdict) = verdicts.get(name).filter(|verdict| verdict.awake) else { return false };
        for want in &verdict.wants {
            match want {
                // Dependencies make no circle.
                Want::Dependant { service } => asked.push(service),
                // What was used lately has nothing to start: this is the beginning of its hours.
                Want::Hours { .. } | Want::Use { until: Some(_) } => {}
                // Of a dependency: why it would be asleep.
                want if !want.is_on() => {}
                _ => return false,
            }
        }
    }
    true
}
