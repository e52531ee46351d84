//! The instances of one service, sorted by what the target wants.

use super::Way;
use crate::draft::Draft;
use crate::observe::Acked;
use crate::retire::retire;
use crate::route::is_open;
use naru_model::{Duty, InstanceId, InstanceRecord, OperationId, Phase, Reason, ServiceName, StackName};
use std::collections::BTreeSet;

/// The instances of one service. Those that retire are neither fresh nor stale.
pub(super) struct Crew {
    pub stack: StackName,
    pub service: ServiceName,
    /// How many are wanted.
    pub wanted: u32,
    /// Made from what the target wants, and in or before the routes.
    pub fresh: Vec<InstanceRecord>,
    /// The same, but out of the routes; they may come back.
    pub held: Vec<InstanceRecord>,
    /// Made from something else.
    pub stale: Vec<InstanceRecord>,
    /// On their way out.
    pub retiring: Vec<InstanceRecord>,
}

impl Crew {
    pub fn of(draft: &Draft, stack: &StackName, service: &ServiceName) -> Crew {
        let fingerprint = draft.fingerprint(stack, service);
        let mut crew = Crew {
            stack: stack.clone(),
            service: service.clone(),
            wanted: draft.wanted(stack, service),
            fresh: vec![],
            held: vec![],
            stale: vec![],
            retiring: vec![],
        };
        for one in draft.instances_in(stack, service) {
            let is_fresh = fingerprint.as_ref() == Some(&one.fingerprint);
            match one.duty {
                Duty::Retiring => crew.retiring.push(one),
                Duty::Held if is_fresh => crew.held.push(one),
                _ if is_fresh => crew.fresh.push(one),
                _ => crew.stale.push(one),
            }
        }
        crew
    }

    /// All that are not retiring.
    pub fn all(&self) -> impl Iterator<Item = &InstanceRecord> {
        self.fresh.iter().chain(&self.held).chain(&self.stale)
    }

    /// How many more have to be made.
    pub fn missing(&self) -> u32 {
        self.wanted.saturating_sub(self.fresh.len() as u32)
    }

    /// How many of those may be made now where two may not be side by side: what has not ended takes a place.
    pub fn room(&self) -> u32 {
        let present = self.all().count() + self.retiring.len();
        self.wanted.saturating_sub(present as u32).min(self.missing())
    }

    /// How many different definitions still retire.
    pub fn retiring_generations(&self) -> u32 {
        self.retiring.iter().map(|one| &one.fingerprint).collect::<BTreeSet<_>>().len() as u32
    }

    /// Whether at least one fresh instance runs.
    pub fn has_started(&self, draft: &Draft) -> bool {
        let runs = |phase| matches!(phase, Phase::Starting | Phase::Ready | Phase::Unready);
        self.fresh.iter().any(|one| draft.world.status(&one.id).is_some_and(|status| runs(status.phase)))
    }

    /// How many fresh ones are ready.
    pub fn ready(&self, draft: &Draft) -> u32 {
        self.fresh.iter().filter(|one| draft.world.is_ready(&one.id)).count() as u32
    }

    /// How many fresh ones every edge can choose (or, without a port, that simply work).
    pub fn settled(&self, draft: &Draft) -> u32 {
        self.fresh.iter().filter(|one| is_settled(draft, one)).count() as u32
    }

    /// Makes `count` new instances.
    pub fn make(&self, draft: &mut Draft, count: u32, id: OperationId) {
        let Some(target) = draft.stack(&self.stack).target.clone() else { return };
        let Some(fingerprint) = draft.fingerprint(&self.stack, &self.service) else { return };
        for _ in 0..count {
            let stack = draft.stack_mut(&self.stack);
            let importable = stack.services.get_mut(&self.service).map(|record| &mut record.importable);
            let imported = importable.filter(|all| !all.is_empty()).map(|all| all.remove(0));
            let of = (&self.stack, &self.service, target.release);
            let mut record = draft.newborn(of, fingerprint.clone(), id);
            if let Some(container) = imported {
                record.imported = Some(container.clone());
                draft.say(id, Reason::Imports { instance: record.id.clone(), container });
            }
            draft.add_instance(record);
        }
        let (service, release, wanted) = (self.service.clone(), target.release, self.wanted);
        draft.say(id, Reason::Makes { service, release, count, wanted });
    }

    /// Fresh instances that were held serve again, as far as they are wanted.
    pub fn take_back(&self, draft: &mut Draft, id: OperationId) {
        for one in self.held.iter().take(self.missing() as usize) {
            set_duty(draft, &one.id, Duty::Serving);
            if let Some(record) = draft.instance_mut(&one.id) {
                record.retired_by = None;
            }
            draft.say(id, Reason::TakesBack { instance: one.id.clone() });
        }
    }

    /// Fresh instances that are ready serve, unless the whole set is switched at once.
    pub fn serve_ready(&self, draft: &mut Draft, way: Way) {
        let warming = self.fresh.iter().filter(|one| one.duty == Duty::Warming);
        let ready: Vec<_> = warming.filter(|one| draft.world.is_ready(&one.id)).collect();
        if way != Way::Switch {
            ready.into_iter().for_each(|one| set_duty(draft, &one.id, Duty::Serving));
        }
    }

    /// Retires stale instances down to `keep`: the useless first, then the idle, then the least busy.
    pub fn retire_stale(&self, draft: &mut Draft, keep: u32, id: OperationId) -> u32 {
        let surplus = (self.stale.len() as u32).saturating_sub(keep);
        let victims = by_usefulness(draft, &self.stale);
        victims.iter().take(surplus as usize).for_each(|one| retire(draft, one, id));
        surplus
    }

    /// Takes surplus fresh instances out of the routes: the idle for good, the others so that they may come
    /// back.
    pub fn scale_in(&self, draft: &mut Draft, id: OperationId) {
        let surplus = (self.fresh.len() as u32).saturating_sub(self.wanted);
        for one in by_usefulness(draft, &self.fresh).into_iter().take(surplus as usize) {
            if draft.world.work(&one).is_idle() {
                retire(draft, &one, id);
                continue;
            }
            hold(draft, &one, id);
            draft.say(id, Reason::Holds { instance: one });
        }
    }
}

/// Whether every edge can choose an instance; without a port, whether it works.
fn is_settled(draft: &Draft, one: &InstanceRecord) -> bool {
    let world = draft.world;
    let has_port = world.definition(one).is_some_and(|service| !service.template.targets.is_empty());
    // One that was in a preview's table alone is known to nobody who asks for the service.
    let is_known = || {
        let acked = |generation| world.acked(generation) == Acked::All;
        is_open(&world.routes, &one.id) && one.routed.is_some_and(acked)
    };
    one.duty == Duty::Serving && world.is_ready(&one.id) && (!has_port || is_known())
}

/// Least useful first: ended, out of the routes, not ready, idle, least work in progress; the youngest of equals.
fn by_usefulness(draft: &Draft, of: &[InstanceRecord]) -> Vec<InstanceId> {
    let use_of = |one: &InstanceRecord| {
        let world = draft.world;
        let routed = one.duty == Duty::Serving;
        (!world.is_over(&one.id), routed, world.is_ready(&one.id), world.work(&one.id).total())
    };
    let mut sorted: Vec<_> = of.iter().rev().collect();
    sorted.sort_by_key(|one| use_of(one));
    sorted.into_iter().map(|one| one.id.clone()).collect()
}

/// Takes an instance out of the routes, so that it may come back.
pub(super) fn hold(draft: &mut Draft, one: &InstanceId, id: OperationId) {
    set_duty(draft, one, Duty::Held);
    if let Some(record) = draft.instance_mut(one) {
        record.retired_by = Some(id);
    }
}

pub(super) fn set_duty(draft: &mut Draft, id: &InstanceId, duty: Duty) {
    let now = draft.now;
    if let Some(record) = draft.instance_mut(id).filter(|record| record.duty != duty) {
        record.duty = duty;
        record.since = now;
    }
}
