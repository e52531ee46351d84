//! New releases: a deploy's contents, their checks and their addresses; and rollbacks.

use super::{Admission, Answer, check_count, unchanged};
use crate::claim::{container_names, port_claims};
use crate::images::{Settled, settle};
use crate::share::check_sole;
use crate::{World, Write};
use naru_model::{
    Images, Imported, OperationId, OperationKind, Refusal, Release, ReleaseNo, ServiceName, ServiceRecord,
    Stack, StackName, StackRecord, Target, ips_overlap,
};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

impl Admission<'_> {
    pub(super) fn deploy(
        &self,
        stack: &Stack,
        (only, idle): (&[ServiceName], &[ServiceName]),
        images: &Images,
        free_ports: &[u16],
    ) -> Answer {
        if stack.name != *self.name() {
            let error = format!("the demand is for `{}`, its contents are `{}`", self.name(), stack.name);
            return Err(Refusal::new(error, "name the same stack in both"));
        }
        let new = match idle {
            [] => contents(self.world, stack, only)?,
            idle => beside(self.world, stack, only, idle)?,
        };
        check_sole(&new.stack)?;
        self.check_addresses(&new.stack)?;
        self.check_names(&new.stack)?;
        let record = self.world.stacks.get(self.name());
        let present = record.and_then(|record| record.target.as_ref());
        let settled = settle(&new, |_, reference| images.get(reference).cloned(), self.present());
        if present.is_some_and(|present| self.is_same(present, &new) && settled.moved.is_empty()) {
            return unchanged("everything is as the file says already");
        }
        let mut record = record.cloned().unwrap_or_else(|| newborn(self.name()));
        let notes = assign_addresses(&mut record, &new.stack, free_ports)?;
        self.bring(record, Brought { new, settled, same_as: None }, OperationKind::Deploy, notes)
    }

    /// A first release, whose instances another tool made.
    pub(super) fn import(&self, stack: &Stack, found: &Imported, free_ports: &[u16]) -> Answer {
        if self.world.stacks.get(self.name()).is_some_and(|record| record.target.is_some()) {
            let error = format!("stack `{}` is Naru's already", self.name());
            return Err(Refusal::new(error, "`naru up` changes it"));
        }
        if found.containers.values().all(Vec::is_empty) {
            let error = format!("no container of stack `{}` runs", self.name());
            return Err(Refusal::new(error, "`naru up` starts it"));
        }
        let (admitted, mut writes) = self.deploy(stack, (&[], &[]), &found.images, free_ports)?;
        let made = writes.iter().find_map(|write| match write {
            Write::Release(_, release) => Some(release.fingerprints.clone()),
            _ => None,
        });
        let fingerprints = made.unwrap_or_default();
        for write in &mut writes {
            let Write::Stack(record) = write else { continue };
            for (name, service) in &mut record.services {
                service.importable = found.containers.get(name).cloned().unwrap_or_default();
                if found.done.contains(name) {
                    service.completed = fingerprints.get(name).cloned();
                }
            }
            // As many as run: an import starts nothing, and ends nothing.
            let target = record.target.iter_mut();
            target.for_each(|target| as_found(target, stack, found));
        }
        Ok((admitted, writes))
    }

    pub(super) fn rollback(&self, to: Option<ReleaseNo>) -> Answer {
        let (record, target) = self.target()?;
        let to = match to {
            Some(to) => to,
            None => self.served_before(target.release)?,
        };
        let Some(old) = self.world.release(self.name(), to) else {
            let kept = self.world.releases.keys().filter(|(stack, _)| stack == self.name());
            let kept: Vec<_> = kept.map(|(_, number)| number.to_string()).collect();
            let hint = format!("releases kept: {}", kept.join(", "));
            return Err(Refusal::new(format!("there is no release {to} of `{}`", self.name()), hint));
        };
        if old.number == target.release && target.replicas.is_empty() && target.stopped.is_empty() {
            return unchanged(format!("release {to} is the present one"));
        }
        self.check_addresses(&old.stack)?;
        let new = Contents::whole(&old.stack);
        let recorded = |name: &ServiceName, reference: &str| old.images.get(name)?.get(reference).cloned();
        let settled = settle(&new, recorded, self.present());
        let brought = Brought { new, settled, same_as: Some(to) };
        self.bring(record.clone(), brought, OperationKind::Rollback { to }, vec![])
    }

    /// The release that is wanted now.
    fn present(&self) -> Option<&Release> {
        let target = self.world.stacks.get(self.name())?.target.as_ref()?;
        self.world.release(self.name(), target.release)
    }

    /// The release that served last with other contents, or other images, than the present one.
    fn served_before(&self, present: ReleaseNo) -> Result<ReleaseNo, Refusal> {
        let contents = |release: &'_ Release| (release.stack.clone(), release.fingerprints.clone());
        let now = self.world.release(self.name(), present).map(contents);
        let mine = self.world.operations.values().rev().filter(|one| one.stack == *self.name());
        let served = mine.filter(|one| one.cut_over.is_some() && one.back.is_none());
        let other = |number: &ReleaseNo| {
            let then = self.world.release(self.name(), *number).map(contents);
            *number != present && then.is_some() && then != now
        };
        served.filter_map(|one| one.release).find(other).ok_or_else(|| {
            let error = format!("no other release of `{}` has served before", self.name());
            Refusal::new(error, "`naru history` lists what there was; `--to N` names a release")
        })
    }

    fn is_same(&self, present: &Target, new: &Contents) -> bool {
        let release = self.world.release(self.name(), present.release);
        let mine = self.world.instances.values().filter(|one| one.stack == *self.name());
        let mut mine = mine.filter(|one| one.run.is_none());
        present.replicas == new.replicas
            && present.stopped == new.stopped
            && !mine.any(|one| self.world.has_failed(one))
            && release.is_some_and(|release| release.stack == new.stack)
    }

    /// Makes the release and points the target at it.
    fn bring(
        &self,
        mut record: StackRecord,
        brought: Brought,
        kind: OperationKind,
        notes: Vec<String>,
    ) -> Answer {
        let Brought { new, settled, same_as } = brought;
        let number = record.newest.next();
        record.newest = number;
        for service in new.stack.services.keys() {
            record.services.entry(service.clone()).or_default();
        }
        // What was found was found for another release.
        record.services.values_mut().for_each(|service| service.importable.clear());
        let target = Target { release: number, replicas: new.replicas, stopped: new.stopped };
        let (admitted, mut writes) = self.steer(record, Some(target), kind, Some(number), notes);
        let operation = admitted.operation.unwrap_or(OperationId(0));
        for write in &mut writes {
            if let Write::Operation(one) = write
                && one.id == operation
            {
                settled.moved.iter().for_each(|reason| one.say(self.now, reason.clone()));
            }
        }
        let Settled { images, fingerprints, .. } = settled;
        let made = self.now;
        let release = Release { number, operation, made, same_as, stack: new.stack, fingerprints, images };
        writes.insert(0, Write::Release(self.name().clone(), Box::new(release)));
        Ok((admitted, writes))
    }

    /// No two services, of this or another stack, give their containers the same name.
    fn check_names(&self, stack: &Stack) -> Result<(), Refusal> {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for other in self.world.stacks.values().filter(|other| other.name != *self.name()) {
            let Some(target) = &other.target else { continue };
            let Some(release) = self.world.release(&other.name, target.release) else { continue };
            let whose = |(name, service)| (name, format!("service `{service}` of stack `{}`", other.name));
            taken.extend(container_names(&release.stack).map(whose));
        }
        for (name, service) in container_names(stack) {
            let whose = format!("service `{service}`");
            if let Some(other) = taken.insert(name.clone(), whose) {
                let error = format!("`container_name: {name}` of service `{service}` is {other}'s too");
                return Err(Refusal::new(error, "give one of them another, or none"));
            }
        }
        Ok(())
    }

    /// No two services, of this or another stack, publish the same address.
    fn check_addresses(&self, stack: &Stack) -> Result<(), Refusal> {
        let mut taken: BTreeMap<(u16, &str), Vec<(String, String)>> = BTreeMap::new();
        for other in self.world.stacks.values().filter(|other| other.name != *self.name()) {
            let Some(target) = &other.target else { continue };
            let Some(release) = self.world.release(&other.name, target.release) else { continue };
            for one in port_claims(&release.stack) {
                let whose = format!("{} of stack `{}`", one.whose, other.name);
                taken.entry(one.port).or_default().push((one.host_ip, whose));
            }
        }
        for one in port_claims(stack) {
            let there = taken.entry(one.port).or_default();
            if let Some((_, other)) = there.iter().find(|(ip, _)| ips_overlap(ip, &one.host_ip)) {
                let error = format!("{} publishes port {}, which {other} publishes", one.whose, one.port.0);
                return Err(Refusal::new(error, "publish another port, or take the other one down first"));
            }
            there.push((one.host_ip, one.whose));
        }
        Ok(())
    }
}

/// The numbers of instances that were found; services of which none was are not started.
fn as_found(target: &mut Target, stack: &Stack, found: &Imported) {
    for (name, service) in &stack.services {
        match found.containers.get(name).map_or(0, |all| all.len() as u32) {
            0 if found.done.contains(name) => {}
            0 => drop(target.stopped.insert(name.clone())),
            count if count != service.replicas => drop(target.replicas.insert(name.clone(), count)),
            _ => {}
        }
    }
}

fn newborn(name: &StackName) -> StackRecord {
    StackRecord {
        name: name.clone(),
        newest: ReleaseNo(0),
        instances_made: 0,
        target: None,
        serving: None,
        steering: None,
        services: BTreeMap::new(),
        jobs: BTreeMap::new(),
    }
}

/// What a new release is to contain, and which of its services are not to run.
pub(crate) struct Contents {
    pub stack: Stack,
    pub stopped: BTreeSet<ServiceName>,
    /// Other numbers of instances than the stack says.
    pub replicas: BTreeMap<ServiceName, u32>,
    /// Services that stay as the present release has them.
    pub kept: BTreeSet<ServiceName>,
}

impl Contents {
    /// All of a stack, and all of it runs.
    fn whole(stack: &Stack) -> Contents {
        let (stopped, replicas, kept) = Default::default();
        Contents { stack: stack.clone(), stopped, replicas, kept }
    }
}

/// What a new release brings.
struct Brought {
    new: Contents,
    settled: Settled,
    /// For a rollback: the release whose contents these are.
    same_as: Option<ReleaseNo>,
}

/// The contents of a deploy of `stack`. With `only`, what is not named, and nobody named depends on, stays as
/// the present release has it; what was never started stays off.
pub(crate) fn contents(world: &World, stack: &Stack, only: &[ServiceName]) -> Result<Contents, Refusal> {
    stack.services.iter().try_for_each(|(name, service)| check_count(name, service.replicas))?;
    if only.is_empty() {
        return Ok(Contents::whole(stack));
    }
    let chosen = stack.with_dependencies(only)?;
    let target = world.stacks.get(&stack.name).and_then(|record| record.target.as_ref());
    let present = target.and_then(|target| world.release(&stack.name, target.release));
    let was_stopped = |name: &ServiceName| target.is_none_or(|target| target.stopped.contains(name));
    let mut new = Contents::whole(stack);
    // Services were named: jobs stay as they are.
    new.stack.jobs = present.map(|release| release.stack.jobs.clone()).unwrap_or_default();
    new.kept.extend(new.stack.jobs.keys().cloned());
    for name in stack.services.keys().filter(|name| !chosen.contains(*name)) {
        match present.and_then(|release| release.stack.services.get(name)) {
            Some(kept) => {
                new.stack.services.insert(name.clone(), kept.clone());
                new.kept.insert(name.clone());
            }
            None => drop(new.stopped.insert(name.clone())),
        }
        if was_stopped(name) {
            new.stopped.insert(name.clone());
        }
    }
    Ok(new)
}

/// The contents of a deploy that brings what one-offs are made of: the services `idle` are there and are not started, `only` are,
/// with what they depend on. All else is as it was, and what was never started stays off.
fn beside(
    world: &World,
    stack: &Stack,
    only: &[ServiceName],
    idle: &[ServiceName],
) -> Result<Contents, Refusal> {
    stack.with_dependencies(idle)?;
    let started = stack.with_dependencies(only)?;
    let target = world.stacks.get(&stack.name).and_then(|record| record.target.as_ref());
    let present = target.and_then(|target| world.release(&stack.name, target.release));
    let mut new = Contents::whole(present.map_or(stack, |release| &release.stack));
    match target {
        Some(target) => (new.stopped, new.replicas) = (target.stopped.clone(), target.replicas.clone()),
        None => new.stopped = stack.services.keys().cloned().collect(),
    }
    if present.is_none() {
        new.stack.jobs.clear();
    }
    new.kept = present.into_iter().flat_map(|release| release.stack.services.keys()).cloned().collect();
    new.kept.extend(new.stack.jobs.keys().cloned());
    for name in idle.iter().filter(|name| !new.kept.contains(*name)) {
        new.stack.services.insert(name.clone(), stack.services[name].clone());
        new.stopped.insert(name.clone());
    }
    for name in &started {
        new.stack.services.insert(name.clone(), stack.services[name].clone());
        new.stopped.remove(name);
        new.kept.remove(name);
    }
    Ok(new)
}

/// Gives each target port its stable address, and each port without a published number one; those that have
/// theirs keep it.
fn assign_addresses(
    record: &mut StackRecord,
    stack: &Stack,
    free_ports: &[u16],
) -> Result<Vec<String>, Refusal> {
    let mut free = free_ports.iter().copied();
    let mut next = || {
        let none = || Refusal::new("no free port is left for the services' addresses", "end what uses them");
        free.next().ok_or_else(none)
    };
    let mut notes = Vec::new();
    for (name, service) in &stack.services {
        let known: &mut ServiceRecord = record.services.entry(name.clone()).or_default();
        for target in &service.template.targets {
            if let Entry::Vacant(free) = known.addresses.entry(target.port) {
                free.insert(next()?);
            }
        }
        for port in service.ports.iter().filter(|port| port.published.is_none()) {
            if let Entry::Vacant(free) = known.published.entry(port.target) {
                let chosen = *free.insert(next()?);
                notes.push(format!("{name}: port {} is published at {}:{chosen}", port.target, port.host_ip));
            }
        }
    }
    Ok(notes)
}
