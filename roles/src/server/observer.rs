//! What is told as an event: the differences between one look at the world and the next.
//!
//! A look is taken after each change, at most every [`PACE`]; what came and went in between is not told, and neither is what
//! changed while no server ran.

use super::core::Api;
use naru_api::{Event, EventKind};
use naru_chronicle::Chronicle;
use naru_decide::World;
use naru_model::{
    Duty, InstanceId, InstanceRecord, InstanceStatus, Operation, OperationId, Phase, ServiceName, Span,
    StackName, Time,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Ten looks a second: more often than anybody reads, and a loaded edge reports more often than that.
const PACE: Duration = Duration::from_millis(100);

/// Without a change, a look so often.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// A wake that ends so soon is told.
const ENDS_SOON: Span = Span::mins(10);

/// Tells events, for as long as the desk works.
pub async fn observe(api: Arc<Api>, chronicle: Chronicle) {
    let mut changes = api.changed();
    let mut before = api.read(Seen::of).await.ok();
    loop {
        // What comes by time alone, such as the end of a wake, is no change.
        if let Ok(Err(_)) = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await {
            return;
        }
        let Ok(now) = api.read(Seen::of).await else { continue };
        if let Some(before) = &before {
            now.since(before).iter().for_each(|event| chronicle.tell(event));
        }
        before = Some(now);
        tokio::time::sleep(PACE).await;
    }
}

/// What is told of an instance.
#[derive(Clone, PartialEq)]
struct Instance {
    stack: StackName,
    service: ServiceName,
    duty: Duty,
    retired_by: Option<OperationId>,
    status: Option<Status>,
}

/// What is told of its status.
#[derive(Clone, PartialEq)]
struct Status {
    phase: Phase,
    restarts: u32,
    last_exit: Option<String>,
    note: Option<String>,
}

/// What is told of an operation.
#[derive(Clone, PartialEq)]
struct Course {
    stack: StackName,
    what: String,
    actor: String,
    cut_over: bool,
    outcome: Option<String>,
    ended: bool,
    /// Instances whose work has outlasted `postpone_max`.
    overdue: BTreeSet<InstanceId>,
}

/// One look at the world.
#[derive(Default)]
struct Seen {
    at: Time,
    instances: BTreeMap<InstanceId, Instance>,
    operations: BTreeMap<OperationId, Course>,
    /// Wakes that end soon, and when.
    wakes: BTreeMap<(StackName, ServiceName, String), Time>,
}

impl Seen {
    fn of(world: &World, at: Time) -> Seen {
        let statuses: BTreeMap<&InstanceId, &InstanceStatus> =
            world.agents.values().flat_map(|report| &report.instances).collect();
        let instance = |(id, record): (&InstanceId, &InstanceRecord)| {
            (id.clone(), Instance::of(record, statuses.get(id).copied()))
        };
        let operation = |(id, one): (&OperationId, &Operation)| (*id, Course::of(one));
        // Those that ended long ago change no more; a few newer ones are kept, so that an end is seen.
        let recent = world.operations.iter().rev().take(RECENT);
        Seen {
            at,
            instances: world.instances.iter().map(instance).collect(),
            operations: recent.map(operation).collect(),
            wakes: wakes(world, at),
        }
    }

    /// What happened since then, in a fixed order.
    fn since(&self, before: &Seen) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, now) in &self.operations {
            let was = before.operations.get(id);
            // One that is older than all that was seen is not new.
            if was.is_some() || before.operations.keys().next_back().is_none_or(|newest| id > newest) {
                events.extend(
                    now.told(was).into_iter().map(|(kind, text)| self.of_operation(*id, now, kind, text)),
                );
            }
        }
        for (id, now) in &self.instances {
            let told = now.told(before.instances.get(id));
            events.extend(told.into_iter().map(|(kind, text)| self.of_instance(id, now, kind, text)));
        }
        for (id, was) in before.instances.iter().filter(|(id, _)| !self.instances.contains_key(*id)) {
            events.push(self.of_instance(id, was, EventKind::InstanceGone, "gone, and accounted for".into()));
        }
        events.extend(
            self.wakes.iter().filter(|(of, _)| !before.wakes.contains_key(of)).map(|wake| self.of_wake(wake)),
        );
        events
    }

    fn of_operation(&self, id: OperationId, one: &Course, kind: EventKind, text: String) -> Event {
        Event {
            time: self.at,
            kind,
            stack: one.stack.clone(),
            service: None,
            instance: None,
            operation: Some(id),
            actor: Some(one.actor.clone()),
            text,
        }
    }

    fn of_wake(&self, ((stack, service, owner), until): (&(StackName, ServiceName, String), &Time)) -> Event {
        let text = format!("the wake of {service} by {owner} ends {}: `naru extend {service}`", until.utc());
        let (stack, service, actor) = (stack.clone(), Some(service.clone()), Some(owner.clone()));
        let (time, kind, instance, operation) = (self.at, EventKind::WakeEnds, None, None);
        Event { time, kind, stack, service, instance, operation, actor, text }
    }

    fn of_instance(&self, id: &InstanceId, one: &Instance, kind: EventKind, text: String) -> Event {
        Event {
            time: self.at,
            kind,
            stack: one.stack.clone(),
            service: Some(one.service.clone()),
            instance: Some(id.clone()),
            operation: if kind == EventKind::InstanceRetires { one.retired_by } else { None },
            actor: None,
            text,
        }
    }
}

/// Wakes that end soon. One that was prolonged ends soon another time, and is told again then.
fn wakes(world: &World, at: Time) -> BTreeMap<(StackName, ServiceName, String), Time> {
    let mut found = BTreeMap::new();
    for stack in world.stacks.values() {
        for (service, record) in &stack.services {
            for wake in
                record.power.wakes.iter().filter(|wake| at < wake.until && wake.until <= at + ENDS_SOON)
            {
                found.insert((stack.name.clone(), service.clone(), wake.owner.clone()), wake.until);
            }
        }
    }
    found
}

/// Operations that are looked at: more than are open at a time.
const RECENT: usize = 100;

type Told = Vec<(EventKind, String)>;

impl Course {
    fn of(one: &Operation) -> Course {
        let release = one.release.map(|release| format!(", release {release}")).unwrap_or_default();
        Course {
            stack: one.stack.clone(),
            what: format!("{}{release}", one.kind),
            actor: one.actor.clone(),
            cut_over: one.cut_over.is_some(),
            outcome: one.outcome.map(|outcome| outcome.to_string()),
            ended: one.ended.is_some(),
            overdue: one
                .receipt
                .instances
                .iter()
                .filter(|(_, line)| line.alarmed.is_some())
                .map(|(id, _)| id.clone())
                .collect(),
        }
    }

    fn told(&self, was: Option<&Course>) -> Told {
        let mut told = Vec::new();
        if was.is_none() {
            told.push((EventKind::OperationBegan, self.what.clone()));
        }
        if self.cut_over && !was.is_some_and(|was| was.cut_over) {
            told.push((EventKind::OperationServes, format!("{}: serves", self.what)));
        }
        for instance in &self.overdue {
            if !was.is_some_and(|was| was.overdue.contains(instance)) {
                let text = format!("{}: work of {instance} goes on past postpone_max", self.what);
                told.push((EventKind::InstanceOverdue, text));
            }
        }
        if self.ended && !was.is_some_and(|was| was.ended) {
            let outcome = self.outcome.as_deref().unwrap_or("ended");
            told.push((EventKind::OperationEnded, format!("{}: {outcome}", self.what)));
        }
        told
    }
}

impl Instance {
    fn of(record: &InstanceRecord, status: Option<&InstanceStatus>) -> Instance {
        Instance {
            stack: record.stack.clone(),
            service: record.service.clone(),
            duty: record.duty,
            retired_by: record.retired_by,
            status: status.map(|status| Status {
                phase: status.phase,
                restarts: status.restarts,
                last_exit: status.last_exit.as_ref().map(ToString::to_string),
                note: status.note.clone(),
            }),
        }
    }

    fn told(&self, was: Option<&Instance>) -> Told {
        let mut told = Vec::new();
        if was.is_none() {
            told.push((EventKind::InstanceMade, "made".into()));
        }
        if self.duty == Duty::Retiring && was.is_none_or(|was| was.duty != Duty::Retiring) {
            told.push((EventKind::InstanceRetires, "retires".into()));
        }
        let Some(now) = &self.status else { return told };
        let before = was.and_then(|was| was.status.as_ref());
        if now.restarts > before.map_or(0, |before| before.restarts) && was.is_some() {
            let exit = now.last_exit.as_deref().unwrap_or("ended");
            told.push((EventKind::InstanceFailed, format!("{exit}; it is started again")));
        }
        if before.map(|before| before.phase) != Some(now.phase) {
            told.extend(now.entered().map(|kind| (kind, now.words())));
        }
        told
    }
}

impl Status {
    fn entered(&self) -> Option<EventKind> {
        match self.phase {
            Phase::Pending => None,
            Phase::Starting => Some(EventKind::InstanceStarts),
            Phase::Ready => Some(EventKind::InstanceReady),
            Phase::Unready => Some(EventKind::InstanceUnready),
            Phase::Quiet => Some(EventKind::InstanceQuiet),
            Phase::Stopping => Some(EventKind::InstanceStops),
            Phase::Exited => Some(EventKind::InstanceExited),
            Phase::Lost => Some(EventKind::InstanceLost),
        }
    }

    fn words(&self) -> String {
        let more = match self.phase {
            Phase::Exited => self.last_exit.clone(),
            Phase::Unready => self.note.clone(),
            _ => None,
        };
        match more {
            Some(more) => format!("{}: {more}", self.phase.word()),
            None => self.phase.word().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, Instance, Seen, Status};
    use naru_model::{Duty, Phase, Time};

    fn instance(phase: Option<Phase>, duty: Duty) -> Instance {
        let status = phase.map(|phase| Status {
            phase,
            restarts: 0,
            last_exit: Some("exited with status 3".into()),
            note: None,
        });
        Instance { stack: "shop".into(), service: "web".into(), duty, retired_by: None, status }
    }

    fn seen(instances: &[(&str, Instance)]) -> Seen {
        let instances = instances.iter().map(|(id, one)| ((*id).into(), one.clone())).collect();
        Seen { at: Time(9), instances, ..Seen::default() }
    }

    fn told(now: &Seen, before: &Seen) -> Vec<String> {
        let events = now.since(before);
        events.iter().map(|event| serde_json::to_string(&event.kind).unwrap() + " " + &event.text).collect()
    }

    #[test]
    fn an_instance_is_told_from_its_making_to_its_end() {
        let nothing = seen(&[]);
        let made = seen(&[("a", instance(None, Duty::Warming))]);
        let ready = seen(&[("a", instance(Some(Phase::Ready), Duty::Serving))]);
        let retires = seen(&[("a", instance(Some(Phase::Ready), Duty::Retiring))]);
        let over = seen(&[("a", instance(Some(Phase::Exited), Duty::Retiring))]);
        assert_eq!(told(&made, &nothing), ["\"instance-made\" made"]);
        assert_eq!(told(&ready, &made), ["\"instance-ready\" ready"]);
        assert_eq!(told(&ready, &ready), Vec::<String>::new());
        assert_eq!(told(&retires, &ready), ["\"instance-retires\" retires"]);
        assert_eq!(told(&over, &retires), ["\"instance-exited\" exited: exited with status 3"]);
        assert_eq!(told(&nothing, &over), ["\"instance-gone\" gone, and accounted for"]);
    }

    #[test]
    fn one_that_fails_and_is_started_again_is_told_once() {
        let before = instance(Some(Phase::Ready), Duty::Serving);
        let mut after = before.clone();
        after.status.as_mut().unwrap().restarts = 1;
        let told = told(&seen(&[("a", after)]), &seen(&[("a", before)]));
        assert_eq!(told, ["\"instance-failed\" exited with status 3; it is started again"]);
    }

    #[test]
    fn an_operation_is_told_in_three_steps() {
        let course = |cut_over: bool, ended: bool| Course {
            stack: "shop".into(),
            what: "deploy, release 2".into(),
            actor: "root".into(),
            cut_over,
            outcome: ended.then(|| "succeeded".into()),
            ended,
            overdue: Default::default(),
        };
        let at = |course: Course| {
            let operations = [(naru_model::OperationId(7), course)].into();
            Seen { operations, ..Seen::default() }
        };
        let began = told(&at(course(false, false)), &Seen::default());
        assert_eq!(began, ["\"operation-began\" deploy, release 2"]);
        let rest = told(&at(course(true, true)), &at(course(false, false)));
        let want = [
            "\"operation-serves\" deploy, release 2: serves",
            "\"operation-ended\" deploy, release 2: succeeded",
        ];
        assert_eq!(rest, want);
    }
}
