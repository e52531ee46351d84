//! Changes that bring no release: how many, whether at all, and how an open rollout goes on.

use super::{Admission, Answer, check_count, unchanged};
use crate::{Write, share};
use naru_model::{
    Admitted, Duty, Ending, Mode, Operation, OperationKind, OperationOutcome, OperationPhase, Reason,
    Refusal, ServiceName, StackRecord, Stage, Target,
};
use std::collections::BTreeMap;

impl<'a> Admission<'a> {
    pub(super) fn scale(&self, replicas: &BTreeMap<ServiceName, u32>) -> Answer {
        let (record, mut target) = self.target()?;
        if replicas.is_empty() {
            return Err(Refusal::new("no service was named", "`naru scale SERVICE=N …`"));
        }
        let named: Vec<_> = replicas.keys().cloned().collect();
        self.services(&target, &named)?;
        let mut changed = BTreeMap::new();
        for (service, wanted) in replicas {
            check_count(service, *wanted)?;
            self.check_scale(&target, service, *wanted)?;
            let now = crate::want::replicas(self.world, self.name(), &target, service);
            if now != *wanted {
                changed.insert(service.clone(), *wanted);
            }
        }
        if changed.is_empty() {
            return unchanged("that many are wanted already");
        }
        for (service, wanted) in &changed {
            target.stopped.remove(service);
            target.replicas.insert(service.clone(), *wanted);
        }
        self.turn(record, Some(target), OperationKind::Scale { replicas: changed })
    }

    fn check_scale(&self, target: &Target, service: &ServiceName, wanted: u32) -> Result<(), Refusal> {
        let release = self.world.release(self.name(), target.release);
        let Some(definition) = release.and_then(|release| release.stack.services.get(service)) else {
            return Ok(());
        };
        if definition.mode == Mode::Global {
            let error = format!("`{service}` has `mode: global`: one instance on each node");
            return Err(Refusal::new(error, "change `deploy.mode` in the file to scale it"));
        }
        if definition.mode.is_job() {
            let error = format!("`{service}` runs to completion: how often is its file's to say");
            return Err(Refusal::new(error, "change `deploy.replicas` in the file"));
        }
        share::check_count(service, definition, wanted)
    }

    pub(super) fn stop(&self, named: &[ServiceName]) -> Answer {
        let (record, mut target) = self.target()?;
        let services = self.services(&target, named)?;
        let cuts = self.demand.ending == Ending::Cut && self.has_retiring(&services);
        if !cuts && services.iter().all(|service| target.stopped.contains(service)) {
            return unchanged("they are stopped already");
        }
        target.stopped.extend(services.iter().cloned());
        self.turn(record, Some(target), OperationKind::Stop { services })
    }

    fn has_retiring(&self, services: &[ServiceName]) -> bool {
        let mine = self.world.instances.values().filter(|one| one.stack == *self.name() && one.run.is_none());
        mine.filter(|one| services.contains(&one.service)).any(|one| one.duty == Duty::Retiring)
    }

    pub(super) fn start(&self, named: &[ServiceName]) -> Answer {
        let (record, mut target) = self.target()?;
        let services = self.services(&target, named)?;
        let stopped: Vec<_> = services.into_iter().filter(|service| target.stopped.remove(service)).collect();
        if stopped.is_empty() {
            return unchanged("they are on already");
        }
        self.turn(record, Some(target), OperationKind::Start { services: stopped })
    }

    pub(super) fn restart(&self, named: &[ServiceName]) -> Answer {
        let (record, target) = self.target()?;
        let mut services = self.services(&target, named)?;
        if !named.is_empty() {
            services = self.with_those_that_follow(&target, services);
        }
        services.retain(|service| !target.stopped.contains(service));
        if services.is_empty() {
            return unchanged("what was named is stopped; `naru start` starts it");
        }
        let mut record = record.clone();
        for service in &services {
            record.services.entry(service.clone()).or_default().restarts += 1;
        }
        self.turn(&record, Some(target), OperationKind::Restart { services })
    }

    /// `depends_on.restart: true`: a service that is restarted along with one it depends on.
    fn with_those_that_follow(&self, target: &Target, mut services: Vec<ServiceName>) -> Vec<ServiceName> {
        let Some(release) = self.world.release(self.name(), target.release) else { return services };
        for (name, service) in &release.stack.services {
            let follows = service.depends_on.iter().any(|(on, how)| how.restart && services.contains(on));
            if follows && !services.contains(name) {
                services.push(name.clone());
            }
        }
        services
    }

    pub(super) fn down(&self) -> Answer {
        let record = self.known()?;
        let lives = self.world.instances.values().any(|one| one.stack == *self.name());
        let cuts = self.demand.ending == Ending::Cut && lives;
        if record.target.is_none() && !cuts {
            return unchanged(format!("stack `{}` is down already", self.name()));
        }
        self.turn(record, None, OperationKind::Down)
    }

    fn turn(&self, record: &StackRecord, target: Option<Target>, kind: OperationKind) -> Answer {
        Ok(self.steer(record.clone(), target, kind, None, vec![]))
    }

    /// The operation that steers the stack now.
    fn open(&self) -> Result<&'a Operation, Refusal> {
        let record = self.known()?;
        let steering = record.steering.and_then(|id| self.world.operations.get(&id));
        steering.filter(|operation| operation.is_steering()).ok_or_else(|| {
            let error = format!("nothing is being changed on stack `{}`", self.name());
            Refusal::new(error, "`naru history` lists what was")
        })
    }

    fn answer(&self, mut operation: Operation, what: &str, more: Vec<Write>) -> Answer {
        let (actor, what) = (self.demand.actor.clone(), what.to_string());
        operation.say(self.now, Reason::Ordered { actor, what });
        let admitted = Admitted { operation: Some(operation.id), notes: vec![], run: None };
        let mut writes = more;
        writes.push(Write::Operation(Box::new(operation)));
        Ok((admitted, writes))
    }

    pub(super) fn pause(&self) -> Answer {
        let mut operation = self.open()?.clone();
        if operation.phase == OperationPhase::Paused {
            return unchanged("it is paused already");
        }
        if operation.cut_over.is_some() || operation.back.is_some() {
            let error = format!("operation {} is past the point where it can be paused", operation.id);
            return Err(Refusal::new(error, "`naru receipt` tells where it is"));
        }
        operation.phase = OperationPhase::Paused;
        self.answer(operation, "pause", vec![])
    }

    /// Instances that had failed and are not well by now are replaced by new ones.
    pub(super) fn resume(&self) -> Answer {
        let mut operation = self.open()?.clone();
        if operation.phase != OperationPhase::Paused {
            let error = format!("operation {} is not paused", operation.id);
            return Err(Refusal::new(error, "`naru receipt` tells where it is"));
        }
        operation.phase = OperationPhase::Running;
        let mut failed = Vec::new();
        operation.services.values_mut().for_each(|progress| failed.append(&mut progress.failed));
        let mut retired = Vec::new();
        for id in failed {
            let Some(mut record) = self.world.instances.get(&id).cloned() else { continue };
            if self.world.is_ready(&id) {
                continue;
            }
            crate::retire::begin(self.world, self.now, &mut record, &mut operation);
            retired.push(Write::Instance(Box::new(record)));
        }
        self.answer(operation, "resume", retired)
    }

    pub(super) fn promote(&self) -> Answer {
        let mut operation = self.open()?.clone();
        let waits = |stage: Stage| {
            matches!(
                stage,
                Stage::Waiting
                    | Stage::Replacing
                    | Stage::Soaking
                    | Stage::AwaitingPromotion
                    | Stage::Step(_)
            )
        };
        if operation.promoted.is_some() || !operation.services.values().any(|progress| waits(progress.stage))
        {
            let error = format!("operation {} has nothing to promote", operation.id);
            return Err(Refusal::new(error, "only a blue-green or canary release that has not cut over has"));
        }
        operation.promoted = Some(self.now);
        self.answer(operation, "promote", vec![])
    }

    /// Back to what was before; to nothing, for the first release.
    pub(super) fn abort(&self) -> Answer {
        let mut operation = self.open()?.clone();
        if operation.back.is_some() {
            return unchanged("it is being given up already");
        }
        let mut record = self.known()?.clone();
        record.target = operation.before.clone();
        operation.back = Some(OperationOutcome::Aborted);
        operation.phase = OperationPhase::RollingBack;
        operation.services.clear();
        self.answer(operation, "abort", vec![Write::Stack(Box::new(record))])
    }
}
