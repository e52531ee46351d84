//! Whether enough instances of a service can be chosen and can serve, whatever an operation does; and whether
//! calls between services find somebody.

use crate::host::Mood;
use crate::property::{CALLERS_ARE_SERVED, PROMISED_AVAILABILITY};
use crate::records::targets;
use crate::sim::Sim;
use crate::work::{Place, WorkId};
use naru_model::{Duty, Generation, InstanceId, Order, RouteTable, ServiceName, Span, StackName, Time};

/// After a fault, a call may fail for so long: edges hold for less, and instances come back by then.
const EXCUSED: Span = Span::mins(5);

/// After a fault, the server may take so long to hear of it, and to act on it: its connections are as bad as
/// the scenario has them.
const AFTERMATH: Span = Span::mins(3);

/// How many instances of a service an operation has to leave routed and ready.
#[derive(Default)]
pub(crate) struct Promise {
    pub(crate) level: u32,
    /// Whether the level was reached, and no fault has struck since.
    pub(crate) state: Kept,
    /// When a fault struck last.
    pub(crate) struck: Option<Time>,
    /// When a level was first reached since then.
    pub(crate) reached: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    #[default]
    NotReached,
    Reached,
    /// The new does not come first.
    Void,
    /// It is listed, and people ordered that none of it run.
    Away,
}

/// Whether availability may have changed since it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Needed,
    Done,
}

impl Sim {
    /// A piece of work found nobody to take it.
    pub(crate) fn check_unserved(&mut self, id: WorkId, how: &str) {
        let work = self.books.get(id);
        let Some(parent) = work.parent else { return };
        let Place::On { instance: caller, .. } = self.books.get(parent).place.clone() else { return };
        let promise = self.checks.promises.get(&(work.stack.clone(), work.service.clone()));
        let recent = |at: Option<Time>| at.is_some_and(|at| at + EXCUSED > self.ground.now);
        let excused = promise.is_none_or(|promise| {
            let off = matches!(promise.state, Kept::Void | Kept::Away);
            recent(promise.struck) || off || promise.reached.is_none()
        });
        if excused
            || recent(self.checks.edge_died)
            || self
                .ground
                .windows
                .iter()
                .any(|w| w.to + EXCUSED > self.ground.now && w.from < self.ground.now)
        {
            return;
        }
        let what = format!(
            "a call of {caller}, in the course of work {}, to {} failed: {how}",
            parent.0, work.service
        );
        let subjects = [caller.as_str().to_string(), format!("{}.{}", work.stack, work.service)];
        let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
        self.ground.violated(&CALLERS_ARE_SERVED, &subjects, what);
    }

    /// Sets the levels that operations have to keep, by what is wanted now.
    pub(crate) fn promise_levels(&mut self) {
        for record in self.store.records.instances.values() {
            self.checks.remember(record);
        }
        let records = &self.store.records;
        for stack in records.stacks.values() {
            let wants = targets(records, stack);
            let rests = stack.steering.is_none();
            let mine = self.checks.promises.iter_mut().filter(|((of, _), _)| *of == stack.name);
            for ((_, service), promise) in mine {
                let listed =
                    stack.target.as_ref().and_then(|target| records.release(&stack.name, target.release));
                let listed = listed.is_some_and(|release| release.stack.services.contains_key(service));
                if !wants.iter().any(|want| want.service == *service) {
                    let away = listed || promise.state == Kept::Away;
                    (promise.level, promise.state) = (0, if away { Kept::Away } else { Kept::NotReached });
                } else if promise.state == Kept::Away {
                    (promise.state, promise.reached) = (Kept::NotReached, None);
                }
            }
            for want in wants.iter().filter(|want| want.has_port) {
                let promise =
                    self.checks.promises.entry((stack.name.clone(), want.service.clone())).or_default();
                let rollout = &want.definition.rollout;
                let orders = [rollout.update.order, rollout.rollback.order];
                promise.level = if promise.level == 0 { want.count } else { promise.level.min(want.count) };
                let gives_way = want.definition.singleton || orders.contains(&Order::StopFirst);
                if gives_way || want.definition.power.is_some() {
                    promise.state = Kept::Void;
                } else if rests && (promise.state == Kept::Void || promise.level < want.count) {
                    (promise.level, promise.state) = (want.count, Kept::NotReached);
                }
            }
        }
        self.checks.look_again();
    }

    /// How many instances of a service can serve and be chosen, at the worker of an edge that has the fewest.
    pub(crate) fn routed_and_ready(&self, stack: &StackName, service: &ServiceName) -> u32 {
        let able = |id: &InstanceId| {
            self.host.last(id).is_some_and(|(_, process)| process.is_well() && process.mood == Mood::Takes)
        };
        let count = |table: &RouteTable| {
            let mine = table
                .listeners
                .iter()
                .filter(|one| one.stack == *stack && one.service.as_ref() == Some(service));
            let listeners = mine.filter(|one| !one.name.ends_with("@preview"));
            let each = listeners.map(|listener| {
                let splits = listener.splits.iter().filter(|split| split.weight > 0);
                splits.flat_map(|split| &split.backends).filter(|one| able(&one.instance)).count() as u32
            });
            each.min().unwrap_or(0)
        };
        let edges = self.edges.iter().filter(|edge| edge.is_up() && edge.acked() > Generation(0));
        edges.flat_map(|edge| edge.tables()).map(count).min().unwrap_or(0)
    }

    /// Looks whether operations keep up what is promised.
    pub(crate) fn check_availability(&mut self) {
        if self.checks.look == Look::Done {
            return;
        }
        self.checks.look = Look::Done;
        let now = self.ground.now;
        let shaken = |at: Option<Time>| at.is_some_and(|at| at + AFTERMATH > now);
        let keys: Vec<_> = self.checks.promises.keys().cloned().collect();
        for (stack, service) in keys {
            let ready = self.routed_and_ready(&stack, &service);
            let mine = self.store.records.instances_of(&stack, &service);
            let serving = mine.filter(|one| one.duty == Duty::Serving).count() as u32;
            let key = (stack.clone(), service.clone());
            let Some(promise) = self.checks.promises.get_mut(&key) else { continue };
            match promise.state {
                Kept::Void | Kept::Away => {}
                Kept::NotReached if shaken(promise.struck) || shaken(self.checks.edge_died) => {}
                Kept::NotReached if promise.level > 0 && ready.min(serving) >= promise.level => {
                    promise.state = Kept::Reached;
                    promise.reached.get_or_insert(now);
                }
                Kept::Reached if ready < promise.level => {
                    let what = format!(
                        "{ready} of {service} of {stack} are routed and ready, {} were promised",
                        promise.level
                    );
                    let subject = format!("{stack}.{service}");
                    return self.ground.violated(
                        &PROMISED_AVAILABILITY,
                        &[&subject, "edge ", "operation", "table"],
                        what,
                    );
                }
                _ => {}
            }
        }
    }
}
