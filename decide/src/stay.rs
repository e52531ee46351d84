//! Who goes on for the clients that began there, after a newer release has come: instances of a service whose file
//! says `sticky: version`. The table names them with no share, so that nobody comes who does not ask for them.
//!
//! Those that are held may come back, and are kept as they are. Those that retire are kept for the file's time from
//! then on; no longer where the way out was chosen for another reason than a newer release (nobody is to go on with
//! one that failed, or that people went back from), and where the next deploy waits for one of them to go.

use crate::World;
use crate::draft::Draft;
use crate::retire::is_cut;
use crate::share::stop_first;
use naru_model::{Duty, InstanceRecord, Intent, OperationKind, Reason, Service, Span, Split, StickyTo, Time};

/// Whether an instance is to be named for those that began on it.
pub(crate) fn is_kept(draft: &Draft, one: &InstanceRecord) -> bool {
    match one.duty {
        Duty::Held => may_be_kept(draft, one).is_some(),
        Duty::Retiring => until(draft, one).is_some(),
        Duty::Warming | Duty::Serving => false,
    }
}

/// Until when an instance that retires goes on for those that began on it, if it does.
pub(crate) fn until(draft: &Draft, one: &InstanceRecord) -> Option<Time> {
    let until = one.since + may_be_kept(draft, one)?;
    let keeps = one.intent == Intent::Run && draft.now < until && is_cut(draft, one).is_none();
    (keeps && !is_in_the_way(draft, one)).then_some(until)
}

/// For how long after a newer release came.
fn may_be_kept(draft: &Draft, one: &InstanceRecord) -> Option<Span> {
    if one.routed.is_none() || draft.fingerprint(&one.stack, &one.service).as_ref() == Some(&one.fingerprint)
    {
        return None;
    }
    if draft.wanted(&one.stack, &one.service) == 0 {
        return None;
    }
    let keep = keep_of(draft.wanted_definition(&one.stack, &one.service)?)?;
    let operation = draft.operation(one.retired_by?)?;
    let by_a_newer = operation.kind == OperationKind::Deploy && operation.back.is_none();
    by_a_newer.then_some(keep)
}

/// What the file says; nothing where the old has to be gone before the new comes.
fn keep_of(service: &Service) -> Option<Span> {
    let sticky = service.policy.sticky.as_ref().filter(|sticky| sticky.to == StickyTo::Version)?;
    let is_asked_for = service.template.targets.iter().any(|target| target.protocol.is_http());
    let side_by_side = stop_first(service, &service.rollout.update).is_none();
    (is_asked_for && side_by_side).then_some(sticky.keep)
}

/// Whether a deploy waits until fewer definitions retire, and of those that do this is the oldest, and none is
/// leaving.
fn is_in_the_way(draft: &Draft, one: &InstanceRecord) -> bool {
    let progress = draft.steering(&one.stack).and_then(|operation| operation.services.get(&one.service));
    let waits = progress.and_then(|progress| progress.waits_for.as_ref());
    if !matches!(waits, Some(Reason::WaitsForRetirement { .. })) {
        return false;
    }
    let retiring = || {
        draft.instances().filter(|other| {
            (&other.stack, &other.service, other.duty) == (&one.stack, &one.service, Duty::Retiring)
        })
    };
    let leaves = |other: &InstanceRecord| other.intent != Intent::Run || other.unrouted.is_some();
    let another_leaves = retiring().any(|other| other.fingerprint != one.fingerprint && leaves(other));
    let oldest = retiring().min_by_key(|other| other.since).map(|other| &other.fingerprint);
    !another_leaves && oldest == Some(&one.fingerprint)
}

/// Whether the newest table names an instance for those that began on it, and for nobody else.
pub(crate) fn is_named_for_them_alone(world: &World, one: &InstanceRecord) -> bool {
    let splits = || world.routes.listeners.iter().flat_map(|listener| listener.all_splits());
    let names = |split: &Split| split.backends.iter().any(|backend| backend.instance == one.id);
    let mut named = splits().filter(|split| names(split)).peekable();
    named.peek().is_some() && named.all(|split| split.weight == 0)
}
