//! Clients that stay on the release that they began with, where the file asks for that; and whether they can.
//!
//! The expectation is written down here anew, from what the user's guide promises, and not taken from the deciding
//! code: as long as a newer release came by a deploy that went well, and the file's time has not passed since.

use crate::property::STAYS_WHERE_IT_BEGAN;
use crate::sabotage::Sabotage;
use crate::scenario::Window;
use crate::sight::Sight;
use crate::sim::Sim;
use crate::work::{Kind, WorkId};
use naru_model::{
    Duty, Ending, InstanceId, InstanceRecord, Intent, OperationKind, Order, Reason, ReleaseNo, ServiceName,
    Span, StackName, Sticky, StickyTo, Time,
};
use std::collections::BTreeMap;

/// Clients of each service that come back.
const REGULARS: usize = 6;

/// For so long after a fault, nothing is promised: tables are late, and instances come back by then.
const EXCUSED: Span = Span::mins(5);

/// Where clients began.
#[derive(Default)]
pub(crate) struct Regulars {
    began: BTreeMap<(StackName, ServiceName, usize), Began>,
}

/// What a client was told, and what it saw.
#[derive(Clone)]
struct Began {
    version: ReleaseNo,
    fingerprint: String,
}

impl Sim {
    /// What the client of a request says of where it began.
    pub(crate) fn said_of(&self, id: WorkId) -> Option<ReleaseNo> {
        if self.ground.sabotages(Sabotage::NobodyStays) {
            return None;
        }
        Some(self.regulars.began.get(&self.regular(id)?)?.version)
    }

    /// Who sends a request from outside, if it is somebody who comes back.
    fn regular(&self, id: WorkId) -> Option<(StackName, ServiceName, usize)> {
        let work = self.books.get(id);
        let one = id.0 % (REGULARS + 2);
        let from_outside = matches!(work.kind, Kind::Idempotent | Kind::Once) && work.parent.is_none();
        (from_outside && one < REGULARS).then(|| (work.stack.clone(), work.service.clone(), one))
    }

    /// A request is given to an instance that is told as this version, or as none.
    pub(crate) fn is_told(
        &mut self,
        id: WorkId,
        node: usize,
        to: &InstanceId,
        version: Option<ReleaseNo>,
        tried: &[InstanceId],
    ) {
        let Some(regular) = self.regular(id) else { return };
        let fingerprint = self.checks.fingerprint(to).cloned();
        let Some((version, fingerprint)) = version.zip(fingerprint) else {
            self.regulars.began.remove(&regular);
            return;
        };
        // A restart makes other instances of the same release.
        let before = self.regulars.began.get(&regular).filter(|before| before.version != version).cloned();
        if let Some(before) = before {
            self.check_stays(&regular, &before.fingerprint, node, to, tried);
        }
        let retiring = |one: &InstanceRecord| one.duty == Duty::Retiring;
        if self.store.records.instances.get(to).is_some_and(retiring) {
            self.ground.sees(Sight::StayedWithRetiring);
        }
        self.regulars.began.insert(regular, Began { version, fingerprint });
    }

    fn check_stays(
        &mut self,
        (stack, service, _): &(StackName, ServiceName, usize),
        began: &str,
        node: usize,
        to: &InstanceId,
        tried: &[InstanceId],
    ) {
        if self.checks.fingerprint(to).is_some_and(|print| print == began) {
            return;
        }
        if self.is_disturbed(stack, service) || !self.chooses_by_the_newest(node) {
            return;
        }
        let records = &self.store.records;
        let mine = records.instances_of(stack, service).filter(|one| one.fingerprint == began);
        let able = |one: &&InstanceRecord| {
            let process = self.host.last(&one.id);
            process.is_some_and(|(_, process)| process.is_well() && process.accepts())
        };
        let untried = mine.filter(able).filter(|one| !tried.contains(&one.id));
        let Some(left) = untried.filter(|one| self.ought_to_go_on(one)).map(|one| one.id.clone()).next()
        else {
            return;
        };
        let what = format!("a client that began on the release of {left}, which goes on, was given to {to}");
        let subjects = [left.as_str(), to.as_str(), "table", "edge ", "operation"];
        self.ground.violated(&STAYS_WHERE_IT_BEGAN, &subjects, what);
    }

    fn is_disturbed(&self, stack: &StackName, service: &ServiceName) -> bool {
        let now = self.ground.now;
        let recent = |at: Option<Time>| at.is_some_and(|at| at + EXCUSED > now);
        let promise = self.checks.promises.get(&(stack.clone(), service.clone()));
        let struck = promise.is_none_or(|promise| recent(promise.struck)) || recent(self.checks.edge_died);
        let window = |window: &Window| window.to + EXCUSED > now && window.from < now;
        struck || self.ground.windows.iter().any(window)
    }

    fn chooses_by_the_newest(&self, node: usize) -> bool {
        let newest = self.store.records.routes.generation;
        self.edges[node].tables().all(|table| table.generation == newest)
    }

    /// Whether the user's guide promises that an instance goes on for those that began on it.
    fn ought_to_go_on(&self, one: &InstanceRecord) -> bool {
        let records = &self.store.records;
        let (stack, now) = (&records.stacks[&one.stack], self.clock());
        let wants = crate::records::targets(records, stack);
        let Some(want) = wants.iter().find(|want| want.service == one.service) else { return false };
        let Some(keep) = kept_for(want.definition.policy.sticky.as_ref()) else { return false };
        let side_by_side =
            !want.definition.singleton && want.definition.rollout.update.order != Order::StopFirst;
        let by = one.retired_by.and_then(|by| records.operations.get(&by));
        let by_a_newer = by.is_some_and(|by| {
            by.kind == OperationKind::Deploy && by.back.is_none() && by.ending == Ending::Finish
        });
        let steering = stack.steering.and_then(|id| records.operations.get(&id));
        let progress = steering.and_then(|operation| operation.services.get(&one.service));
        let crowded = progress
            .is_some_and(|progress| matches!(progress.waits_for, Some(Reason::WaitsForRetirement { .. })));
        let replaced = want.fingerprint != one.fingerprint && by_a_newer && side_by_side && !crowded;
        let is_routed = one.routed.is_some() && one.intent == Intent::Run;
        is_routed
            && match one.duty {
                Duty::Serving => true,
                Duty::Held => replaced,
                Duty::Retiring => replaced && one.since + keep > now,
                Duty::Warming => false,
            }
    }
}

fn kept_for(sticky: Option<&Sticky>) -> Option<Span> {
    sticky.filter(|sticky| sticky.to == StickyTo::Version).map(|sticky| sticky.keep)
}
