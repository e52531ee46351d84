//! A person's word on whether services are on: `wake`, `extend`, `sleep`.

use super::{Admission, Answer, unchanged};
use crate::draft::Draft;
use crate::power::{judge, sleepers};
use crate::{World, Write};
use naru_model::{
    Admitted, Duty, NodeId, Operation, OperationKind, OperationOutcome, OperationPhase, Power, Refusal,
    ServiceName, Sleep, Span, StackName, StackRecord, Target, Time, Wake, Want,
};
use std::collections::BTreeMap;

/// Takes somebody's wakes back. What nobody else wants on falls asleep, as it does when a wake ends by itself.
pub fn end_wakes(world: &World, stack: &StackName, named: &[ServiceName], owner: &str) -> Vec<Write> {
    let Some(record) = world.stacks.get(stack) else { return vec![] };
    let mut changed = record.clone();
    let is_meant = |name: &ServiceName| named.is_empty() || named.contains(name);
    for (_, service) in changed.services.iter_mut().filter(|(name, _)| is_meant(name)) {
        service.power.wakes.retain(|wake| wake.owner != owner);
    }
    if changed == *record { vec![] } else { vec![Write::Stack(Box::new(changed))] }
}

impl<'a> Admission<'a> {
    pub(super) fn wake(&self, named: &[ServiceName], within: Span) -> Answer {
        let (record, target) = self.target()?;
        let services = self.may_sleep(&target, named)?;
        check_span(within)?;
        let (mut record, until) = (record.clone(), self.now + within);
        for (service, power) in &services {
            if !power.by_person {
                return Err(Refusal::new(
                    format!("`{service}` is not woken by people: its file says `wake: request`"),
                    "a request wakes it, or a change of the file",
                ));
            }
            if target.stopped.contains(*service) {
                let error = format!("`{service}` is stopped, not asleep");
                return Err(Refusal::new(error, format!("`naru start {service}` starts it")));
            }
            self.order_wake(&mut record, service, power, (self.now, until))?;
        }
        let names: Vec<ServiceName> = services.keys().map(|name| (*name).clone()).collect();
        let asleep: Vec<ServiceName> = names.iter().filter(|name| !self.has_any(name)).cloned().collect();
        self.answer_wake(record, &names, until, asleep)
    }

    /// One's own wake of a service: since when it counts stays, so that no row of wakes lasts for longer than one may.
    fn order_wake(
        &self,
        record: &mut StackRecord,
        service: &ServiceName,
        power: &Power,
        (from, until): (Time, Time),
    ) -> Result<(), Refusal> {
        let orders = &mut record.services.entry(service.clone()).or_default().power;
        let is_mine = |wake: &Wake| wake.owner == self.demand.actor && wake.until > self.now;
        let since = orders.wakes.iter().find(|wake| is_mine(wake)).map_or(self.now, |wake| wake.since);
        let latest = since + power.wake_max;
        if until > latest {
            return Err(too_long(service, power.wake_max, (from, latest)));
        }
        orders.wakes.retain(|wake| wake.owner != self.demand.actor);
        let (owner, reason) = (self.demand.actor.clone(), self.demand.message.clone());
        orders.wakes.push(Wake { owner, reason, since, until });
        orders.sleep = None;
        Ok(())
    }

    fn answer_wake(
        &self,
        record: StackRecord,
        services: &[ServiceName],
        until: Time,
        asleep: Vec<ServiceName>,
    ) -> Answer {
        let names: Vec<_> = services.iter().map(|name| name.as_str()).collect();
        let notes = vec![format!("{} kept on until {}", verb(&names), until.utc())];
        let mut writes = vec![Write::Stack(Box::new(record))];
        // An operation that steers starts them anyhow, and one that wakes others goes on by its own.
        let is_steered = self.open_steering().is_some();
        let operation = (!asleep.is_empty() && !is_steered).then(|| {
            let open = self.open_of(|kind| matches!(kind, OperationKind::Wake { .. }));
            open.map(|operation| operation.id).unwrap_or_else(|| {
                let operation = self.operation(OperationKind::Wake { services: asleep }, None, None);
                let id = operation.id;
                writes.push(Write::Operation(Box::new(operation)));
                id
            })
        });
        Ok((Admitted { operation, notes, run: None }, writes))
    }

    pub(super) fn extend(&self, named: &[ServiceName], by: Span) -> Answer {
        let (record, target) = self.target()?;
        let services = self.may_sleep(&target, named)?;
        check_span(by)?;
        let mine = |service: &ServiceName| {
            let orders = &record.services.get(service)?.power;
            orders.wakes.iter().find(|wake| wake.owner == self.demand.actor && wake.until > self.now)
        };
        let mut changed = record.clone();
        let mut said = Vec::new();
        for (service, power) in &services {
            let Some(wake) = mine(service) else {
                if named.is_empty() {
                    continue;
                }
                let error = format!("you have no wake of `{service}` that could last longer");
                return Err(Refusal::new(error, format!("`naru wake {service} --for {by}` is one")));
            };
            let until = wake.until + by;
            self.order_wake(&mut changed, service, power, (wake.until, until))?;
            said.push(format!("{service} is kept on until {}", until.utc()));
        }
        if said.is_empty() {
            return Err(Refusal::new(
                "you have no wake that could last longer",
                "`naru wake SERVICE --for 2h`",
            ));
        }
        let admitted = Admitted { operation: None, notes: said, run: None };
        Ok((admitted, vec![Write::Stack(Box::new(changed))]))
    }

    pub(super) fn sleep(&self, named: &[ServiceName], node: &NodeId) -> Answer {
        let (record, target) = self.target()?;
        let services = self.may_sleep(&target, named)?;
        // One that has cut over is only watched: they fall asleep when it is done.
        if let Some(open) = self.open_steering().filter(|open| open.cut_over.is_none()) {
            let error = format!("operation {} is under way, and needs what it changes on", open.id);
            return Err(Refusal::new(error, "wait for its end, or `naru abort` it"));
        }
        let names: Vec<ServiceName> = services.keys().map(|name| (*name).clone()).collect();
        let (changed, notes) = self.sent_to_sleep(record, &names);
        self.check_dependants(&changed, &names, node)?;
        let awake: Vec<ServiceName> = names.iter().filter(|name| self.has_any(name)).cloned().collect();
        if awake.is_empty() {
            let said = unchanged("they are asleep already")?.0;
            return Ok((said, vec![Write::Stack(Box::new(changed))]));
        }
        let mut operation = self.operation(OperationKind::Sleep { services: awake }, None, None);
        falls_asleep(&mut operation);
        let admitted = Admitted { operation: Some(operation.id), notes, run: None };
        Ok((admitted, vec![Write::Stack(Box::new(changed)), Write::Operation(Box::new(operation))]))
    }

    /// The record with these sent to sleep, and whose wakes that ends.
    fn sent_to_sleep(&self, record: &StackRecord, names: &[ServiceName]) -> (StackRecord, Vec<String>) {
        let (mut changed, mut notes) = (record.clone(), Vec::new());
        for name in names {
            let orders = &mut changed.services.entry(name.clone()).or_default().power;
            for wake in orders.wakes.drain(..).filter(|wake| wake.until > self.now) {
                notes.push(format!("ends the wake of {name} by {}, until {}", wake.owner, wake.until.utc()));
            }
            let (owner, reason) = (self.demand.actor.clone(), self.demand.message.clone());
            orders.sleep = Some(Sleep { owner, reason, since: self.now });
        }
        (changed, notes)
    }

    /// What somebody who is on needs cannot be sent to sleep.
    fn check_dependants(
        &self,
        changed: &StackRecord,
        names: &[ServiceName],
        node: &NodeId,
    ) -> Result<(), Refusal> {
        let mut draft = Draft::new(self.world, node, self.now);
        *draft.stack_mut(self.name()) = changed.clone();
        let verdicts: BTreeMap<_, _> = judge(&draft, self.name());
        for name in names {
            let want =
                verdicts.get(name).filter(|verdict| verdict.awake).and_then(|verdict| verdict.wants.first());
            let hint = match want {
                None | Some(Want::Unknown | Want::Requests { .. } | Want::Operation { .. }) => continue,
                Some(Want::Dependant { service }) => format!("name {service} too"),
                Some(Want::Run { job, run }) => format!("wait for its end, or `naru job cancel {job} {run}`"),
                Some(_) => "`naru power` shows what is wanted of it".to_string(),
            };
            let why = want.map(ToString::to_string).unwrap_or_default();
            return Err(Refusal::new(format!("`{name}` stays on: {why}"), hint));
        }
        Ok(())
    }

    /// Those named, or all, that may be asleep by the file.
    fn may_sleep(
        &self,
        target: &Target,
        named: &[ServiceName],
    ) -> Result<BTreeMap<&'a ServiceName, &'a Power>, Refusal> {
        self.services(target, named)?;
        let release = self.world.release(self.name(), target.release);
        let all = release.map(|release| sleepers(release, named)).unwrap_or_default();
        let stranger = named.iter().find(|name| !all.contains_key(name));
        let hint = "`x-naru.power` in the file says when a service may be asleep; `naru stop` and `naru start` need none";
        match stranger {
            Some(name) => {
                Err(Refusal::new(format!("`{name}` is never asleep: it has no `power` in the file"), hint))
            }
            None if all.is_empty() => {
                Err(Refusal::new(format!("no service of stack `{}` may be asleep", self.name()), hint))
            }
            None => Ok(all),
        }
    }

    /// Whether a service has an instance that is not on its way out.
    fn has_any(&self, service: &ServiceName) -> bool {
        let mut mine = self.world.instances_of(self.name(), service);
        mine.any(|one| !matches!(one.duty, Duty::Retiring | Duty::Held))
    }

    fn open_steering(&self) -> Option<&'a Operation> {
        let steering = self.world.stacks.get(self.name())?.steering?;
        self.world.operations.get(&steering).filter(|operation| operation.is_steering())
    }

    fn open_of(&self, is: impl Fn(&OperationKind) -> bool) -> Option<&'a Operation> {
        let mut open = self.world.operations.values().filter(|operation| operation.ended.is_none());
        open.find(|operation| operation.stack == *self.name() && is(&operation.kind))
    }
}

/// What it retires is all there is to it: nobody waits for anything that it brings.
pub(crate) fn falls_asleep(operation: &mut Operation) {
    operation.phase = OperationPhase::Retiring;
    operation.outcome = Some(OperationOutcome::Succeeded);
}

fn verb(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} is"),
        many => format!("{} are", many.join(", ")),
    }
}

fn too_long(service: &ServiceName, most: Span, (from, latest): (Time, Time)) -> Refusal {
    let until = latest.utc();
    let error =
        format!("`{service}` may be kept on for {most} by one person's wake: until {until} at the latest");
    let hint = match latest.since(from) {
        Span(0) => "somebody else may wake it, or the file's `wake_max` says more".to_string(),
        left => format!("`--for {}` is what is left", typed(left)),
    };
    Refusal::new(error, hint)
}

/// As one types it.
fn typed(span: Span) -> String {
    match span.0 / 1000 {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

fn check_span(span: Span) -> Result<(), Refusal> {
    match span {
        Span(0) => Err(Refusal::new("for no time at all is not at all", "say for how long, as `--for 2h`")),
        _ => Ok(()),
    }
}
