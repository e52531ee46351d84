//! What a deploy would change, and why.

mod jobs;
mod routes;

use crate::World;
use crate::admit::contents;
use crate::images::{Settled, settle};
use crate::share::{StopFirst, check_sole, stop_first, written_folder, written_volume};
use naru_model::{
    FailureAction, ImageHealth, Images, Mode, Plan, PlanAction, Power, Protocol, Refusal, Release,
    RestartPolicy, Service, ServiceName, ServicePlan, Span, Stack, StackRecord, Strategy, UpdateConfig,
    plural,
};
use serde::Serialize;
use std::collections::BTreeSet;

/// What deploying `stack` (only the services of `only`, and what they depend on, unless it is empty) would
/// change.
///
/// `images`: what references mean now, as far as it was found.
pub fn plan(world: &World, stack: &Stack, only: &[ServiceName], images: &Images) -> Result<Plan, Refusal> {
    let new = contents(world, stack, only)?;
    check_sole(&new.stack)?;
    let record = world.stacks.get(&stack.name);
    let target = record.and_then(|record| record.target.as_ref());
    let present = target.and_then(|target| world.release(&stack.name, target.release));
    let names: BTreeSet<&ServiceName> = new
        .stack
        .services
        .keys()
        .chain(present.into_iter().flat_map(|release| release.stack.services.keys()))
        .collect();
    let settled = settle(&new, |_, reference| images.get(reference).cloned(), present);
    let planner = Planner { world, record, present, settled };
    let wanted = |name: &ServiceName| new.stack.services.get(name).filter(|_| !new.stopped.contains(name));
    let services: Vec<_> = names.into_iter().map(|name| planner.service(name, wanted(name))).collect();
    let routes = routes::changes(present.map(|release| &release.stack), &new.stack);
    let jobs = jobs::changes(world, present.map(|release| &release.stack), &new.stack);
    let (name, release) = (stack.name.clone(), Default::default());
    let mut plan = Plan { stack: name, release, services, routes, jobs, notes: vec![] };
    let newest = record.map(|record| record.newest).unwrap_or_default();
    let same = present.filter(|_| !plan.changes()).map(|release| release.number);
    plan.release = same.unwrap_or(newest.next());
    if target.is_some_and(|target| !target.replicas.is_empty()) {
        plan.notes.push("the file's numbers of instances take the place of `naru scale`'s".into());
    }
    if let Some(id) = record.and_then(|record| record.steering).filter(|_| plan.changes()) {
        plan.notes.push(format!("operation {id} is still open; this would take its place"));
    }
    Ok(plan)
}

struct Planner<'a> {
    world: &'a World,
    record: Option<&'a StackRecord>,
    present: Option<&'a Release>,
    settled: Settled,
}

impl Planner<'_> {
    fn service(&self, name: &ServiceName, wanted: Option<&Service>) -> ServicePlan {
        let old = self.present.and_then(|release| release.stack.services.get(name));
        let target = self.record.and_then(|record| record.target.as_ref());
        let now = match (self.record, target) {
            (Some(record), Some(target)) => crate::want::replicas(self.world, &record.name, target, name),
            _ => 0,
        };
        let then = wanted.map_or(0, count);
        // How much of a job is done already is no change.
        let now = old.filter(|old| old.mode.is_job() && now < count(old)).map_or(now, count);
        let moved: Vec<_> = self.settled.moved_of(name).map(ToString::to_string).collect();
        let mut differs = match (old, wanted) {
            (Some(old), Some(new)) => differences(old, new),
            _ => vec![],
        };
        if !moved.is_empty() {
            differs.insert(0, "image".into());
        }
        let action = match self.action(old, wanted, (now, then), &differs) {
            PlanAction::Scale | PlanAction::Adjust if !moved.is_empty() && now > 0 => PlanAction::Replace,
            other => other,
        };
        let mut how = wanted.map(|service| how(service, action, then)).unwrap_or_default();
        how.splice(0..0, moved);
        how.extend(self.held_ports(name, old).filter(|_| action == PlanAction::Replace));
        ServicePlan { service: name.clone(), action, replicas: (now, then), differs, how }
    }

    /// What follows where another tool's containers have the ports of the host.
    fn held_ports(&self, name: &ServiceName, old: Option<&Service>) -> Option<String> {
        let record = self.record?;
        let mut mine = self.world.instances_of(&record.name, name);
        if !mine.any(|one| self.world.holds_ports(one)) || old?.ports.is_empty() {
            return None;
        }
        Some(
            "the old container has its ports of the host until it ends, and ends without a wait for requests that came \
             there; then the edge takes them, after as long as the container takes to stop"
                .into(),
        )
    }

    fn action(
        &self,
        old: Option<&Service>,
        new: Option<&Service>,
        (now, then): (u32, u32),
        differs: &[String],
    ) -> PlanAction {
        match (old, new) {
            (_, None) if now == 0 => PlanAction::Keep,
            (_, None) => PlanAction::Remove,
            (None, Some(_)) => PlanAction::Create,
            (Some(_), Some(_)) if now == 0 && then > 0 => PlanAction::Create,
            (Some(old), Some(new)) if old.template != new.template => PlanAction::Replace,
            _ if now != then => PlanAction::Scale,
            _ if !differs.is_empty() => PlanAction::Adjust,
            _ => PlanAction::Keep,
        }
    }
}

/// How many instances a definition asks for.
fn count(service: &Service) -> u32 {
    match service.mode {
        Mode::Global | Mode::GlobalJob => 1,
        Mode::Replicated | Mode::ReplicatedJob => service.replicas,
    }
}

/// The keys whose values differ, `template.`'s by their own names. Values are not shown: they may be secret.
fn differences(old: &Service, new: &Service) -> Vec<String> {
    let mut keys = Vec::new();
    differing(&old.template, &new.template, &mut keys);
    differing(old, new, &mut keys);
    keys.retain(|key| key != "template");
    keys
}

/// The names of the fields of two values of one struct that differ, by their serialised forms.
fn differing<T: Serialize>(old: &T, new: &T, keys: &mut Vec<String>) {
    let fields = |value: &T| match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    keys.extend(new.iter().filter(|(key, value)| old.get(*key) != Some(*value)).map(|(key, _)| key.clone()));
    // What is as it is by itself has no form.
    keys.extend(old.keys().filter(|key| !new.contains_key(*key)).cloned());
}

/// How it is done: one sentence each.
fn how(service: &Service, action: PlanAction, replicas: u32) -> Vec<String> {
    let mut said = Vec::new();
    match action {
        PlanAction::Replace => {
            said.extend([way(service), failure(&service.rollout.update)]);
            said.extend(together(service));
        }
        PlanAction::Create => said.extend(readiness(service)),
        _ => {}
    }
    if matches!(action, PlanAction::Keep) {
        return said;
    }
    for port in &service.ports {
        if !port.stated {
            let taken = match port.protocol {
                Protocol::Http => "HTTP",
                Protocol::Http2 => "HTTP/2",
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
            };
            said.push(format!("port {} is taken for {taken}; `app_protocol` says otherwise", port.target));
        }
    }
    said.extend(service.power.as_ref().map(rest));
    if service.template.restart.policy == RestartPolicy::No && replicas > 0 {
        said.push("an instance that ends is not started again (`restart: \"no\"`)".into());
    }
    said
}

/// When it is asleep.
fn rest(power: &Power) -> String {
    let hours = power.off.as_ref().map(|off| {
        let days = match off.holidays.len() as u64 {
            0 => String::new(),
            n => format!(" and on {}", plural(n, "day")),
        };
        format!("{} in {}{days}", off.windows, off.timezone)
    });
    let idle = power.idle_after.map(|after| format!("after {after} without use"));
    let when: Vec<String> = hours.into_iter().chain(idle).collect();
    let wakes = match (power.by_request, power.by_person) {
        (true, true) => "a request or a person wakes it",
        (true, false) => "a request wakes it",
        (false, true) => "a person wakes it",
        (false, false) => "nothing else wakes it",
    };
    format!("asleep {}; {wakes}", when.join(", and "))
}

fn way(service: &Service) -> String {
    let rollout = &service.rollout;
    if let Some(stop_first) = stop_first(service, &rollout.update) {
        let why = match stop_first {
            StopFirst::Sole(sole) => sole.to_string(),
            StopFirst::Asked => "stop-first".into(),
        };
        return format!("handed over: each old instance ends before the next starts ({why})");
    }
    match rollout.strategy {
        Strategy::Rolling => {
            let batch = match rollout.update.parallelism {
                0 => "all at once".into(),
                some => format!("{} at a time", plural(u64::from(some), "instance")),
            };
            format!("rolling, {batch}: a new instance is ready before an old one goes")
        }
        Strategy::BlueGreen => {
            let promoted = if rollout.promote_auto { "by itself" } else { "by `naru promote`" };
            let soak =
                if rollout.soak == Span::ZERO { String::new() } else { format!(" after {}", rollout.soak) };
            format!(
                "blue-green: the whole new set is ready, then takes all traffic at once{soak}, {promoted}"
            )
        }
        Strategy::Canary => {
            let shares: Vec<_> = rollout.steps.iter().map(|step| format!("{} %", step.weight)).collect();
            format!("canary: the new set takes {}, then all traffic", shares.join(", "))
        }
    }
}

/// What old and new instances both write for a while.
fn together(service: &Service) -> Option<String> {
    if service.replicas == 0 || stop_first(service, &service.rollout.update).is_some() {
        return None;
    }
    let meanwhile = "old and new instances may both write";
    if let Some(volume) = written_volume(service) {
        return Some(format!("{meanwhile} the volume `{volume}` for a while, as the file has it"));
    }
    let folder = written_folder(service)?;
    let advice = "`:ro` or `deploy.update_config.order: stop-first` forbids it";
    Some(format!("{meanwhile} {folder} for a while; {advice}"))
}

fn failure(update: &UpdateConfig) -> String {
    match update.failure_action {
        FailureAction::Rollback => "if it fails, the release before serves again".into(),
        FailureAction::Pause => "if it fails, it stays as it is, for you to resume or abort".into(),
        FailureAction::Continue => "if it fails, it goes on all the same".into(),
    }
}

fn readiness(service: &Service) -> Option<String> {
    if service.template.health.is_some() {
        return None;
    }
    let container = service.template.run.container();
    let whose = match container.is_some_and(|container| container.image_health == ImageHealth::Counts) {
        true => "if its image has no health check either",
        false => "without a health check",
    };
    Some(match service.template.targets.is_empty() {
        true => format!("{whose}, it counts as ready when it has run for a second: it has no port"),
        false => format!("{whose}, it counts as ready when its port accepts"),
    })
}

#[cfg(test)]
mod tests {
    use super::{PlanAction, how};
    use crate::share::tests::{service, volume, web};
    use naru_model::{Container, Mount, MountSource};

    fn first(container: Container) -> String {
        how(&service(container), PlanAction::Replace, 1).join(" | ")
    }

    #[test]
    fn a_plan_says_why_the_old_one_goes_first_or_what_both_write() {
        let failure = "if it fails, the release before serves again";
        let rolling = "rolling, 1 instance at a time: a new instance is ready before an old one goes";
        let handed = "handed over: each old instance ends before the next starts";
        assert_eq!(first(web()), format!("{rolling} | {failure}"));
        let named = Container { name: Some("db".into()), ..web() };
        assert_eq!(first(named), format!("{handed} (`container_name: db` is a name for one) | {failure}"));
        let mut held = service(Container { mounts: vec![volume(false)], ..web() });
        let said = how(&held, PlanAction::Replace, 1).remove(0);
        let lets = "`deploy.update_config.order: start-first` lets them";
        assert_eq!(said, format!("{handed} (two would write the volume `data`; {lets})"));
        held.rollout.update.order_stated = true;
        let said = how(&held, PlanAction::Replace, 1).remove(2);
        assert_eq!(
            said,
            "old and new instances may both write the volume `data` for a while, as the file has it"
        );
        let source = MountSource::Bind {
            path: "/srv/data".into(),
            create_host_path: true,
            propagation: None,
            selinux: None,
            recursive: None,
        };
        let bound = Mount { source, target: "/data".into(), read_only: false };
        let said = first(Container { mounts: vec![bound], ..web() });
        assert!(said.contains("may both write /srv/data for a while"), "{said}");
    }
}
