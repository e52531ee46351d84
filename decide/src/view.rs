//! What people are shown of the world.

use crate::draft::Draft;
use crate::observe::Acked;
use crate::power::judge;
use crate::power::view::views as power_views;
use crate::{World, estimate, stay, want};
use naru_model::{
    AddressView, Duty, InProgress, InstanceRecord, InstanceView, Intent, JobRecord, NodeId, PowerState,
    PowerView, Reach, Reason, ServiceName, ServiceView, StackName, StackRecord, StackView, Time, WorkView,
};

use std::collections::BTreeSet;

pub use crate::jobs::view::{jobs, runs};

/// The services of a stack that are to be asleep.
pub fn asleep(world: &World, stack: &StackName, now: Time) -> BTreeSet<ServiceName> {
    let node = NodeId::from("");
    let verdicts = world.stacks.contains_key(stack).then(|| judge(&Draft::new(world, &node, now), stack));
    let asleep = verdicts.into_iter().flatten().filter(|(_, verdict)| !verdict.awake);
    asleep.map(|(service, _)| service).collect()
}

/// All stacks that have a target or an instance.
pub fn stacks(world: &World, now: Time) -> Vec<StackView> {
    let lives = |stack: &&StackRecord| {
        stack.target.is_some() || world.instances.values().any(|one| one.stack == stack.name)
    };
    world.stacks.values().filter(lives).map(|stack| stack_view(world, stack, now)).collect()
}

fn stack_view(world: &World, stack: &StackRecord, now: Time) -> StackView {
    let target = stack.target.as_ref();
    let release = target.and_then(|target| world.release(&stack.name, target.release));
    let wanted = release.into_iter().flat_map(|release| release.stack.services.keys());
    let mut names: Vec<&ServiceName> = wanted.collect();
    let mine = world.instances.values().filter(|one| one.stack == stack.name);
    names.extend(mine.filter(|one| one.run.is_none()).map(|one| &one.service));
    names.sort();
    names.dedup();
    let mut powers = power_views(world, &stack.name, now);
    StackView {
        name: stack.name.clone(),
        serving: stack.serving.filter(|_| target.is_some()),
        target: target.map(|target| target.release),
        steering: stack.steering,
        services: names
            .into_iter()
            .map(|name| service_view(world, stack, name, powers.remove(name)))
            .collect(),
        addresses: addresses(world, &stack.name, None),
    }
}

fn service_view(
    world: &World,
    stack: &StackRecord,
    name: &ServiceName,
    power: Option<PowerView>,
) -> ServiceView {
    let count = |keep: &dyn Fn(&InstanceRecord) -> bool| {
        world.instances_of(&stack.name, name).filter(|one| keep(one)).count() as u32
    };
    let target = stack.target.as_ref();
    ServiceView {
        name: name.clone(),
        wanted: match &power {
            Some(power) if matches!(power.state, PowerState::Asleep | PowerState::FallingAsleep) => 0,
            _ => target.map_or(0, |target| want::replicas(world, &stack.name, target, name)),
        },
        ready: count(&|one| one.duty == Duty::Serving && world.is_ready(&one.id)),
        retiring: count(&|one| matches!(one.duty, Duty::Retiring | Duty::Held)),
        addresses: addresses(world, &stack.name, Some(name)),
        power,
    }
}

/// The addresses of a service, or of the stack itself.
fn addresses(world: &World, stack: &StackName, service: Option<&ServiceName>) -> Vec<AddressView> {
    let all = world.routes.listeners.iter();
    let mine = all.filter(|one| one.stack == *stack && one.service.as_ref() == service);
    let view = |listener: &naru_model::Listener| {
        let scheme = listener.protocol.scheme();
        let reach = match listener.name.rsplit('@').next() {
            Some("internal") => Reach::Internal,
            Some(end) if end.starts_with("containers.") => Reach::Internal,
            Some("preview") => Reach::Preview,
            _ => Reach::Published,
        };
        let faults = world.reports.values().flat_map(|report| &report.faults);
        let fault = faults.into_iter().find(|fault| fault.listener == listener.name);
        let url = format!("{scheme}://{}", listener.address.replace("0.0.0.0", "localhost"));
        AddressView { url, protocol: listener.protocol, reach, fault: fault.map(|fault| fault.error.clone()) }
    };
    mine.map(view).collect()
}

/// The instances of a stack, or of all.
pub fn instances(world: &World, stack: Option<&StackName>, now: Time) -> Vec<InstanceView> {
    let mine = world.instances.values().filter(|one| stack.is_none_or(|stack| one.stack == *stack));
    let mut views: Vec<_> = mine.map(|one| instance_view(world, one, now)).collect();
    views.sort_by(|a, b| (&a.stack, &a.service, a.made).cmp(&(&b.stack, &b.service, b.made)));
    views
}

fn instance_view(world: &World, one: &InstanceRecord, now: Time) -> InstanceView {
    let stack = world.stacks.get(&one.stack);
    let target = stack.and_then(|stack| stack.target.as_ref());
    let release = target.and_then(|target| world.release(&one.stack, target.release));
    let fingerprint = release.zip(stack).and_then(|(r, stack)| want::fingerprint(r, stack, &one.service));
    let estimate = estimate::remaining(world, one, now);
    InstanceView {
        id: one.id.clone(),
        stack: one.stack.clone(),
        service: one.service.clone(),
        run: one.run,
        one_off: world.one_off(one).is_some(),
        release: one.release,
        current: fingerprint.as_ref() == Some(&one.fingerprint),
        node: one.node.clone(),
        made: one.made,
        duty: one.duty,
        intent: one.intent,
        status: world.status(&one.id).cloned(),
        work: world.work(&one.id),
        retired_by: one.retired_by,
        waits_for: waits_for(world, one, estimate, now).map(|reason| reason.to_string()),
        estimate: estimate.filter(|_| one.duty == Duty::Retiring),
    }
}

/// What the next step of a retirement waits for.
fn waits_for(
    world: &World,
    one: &InstanceRecord,
    estimate: Option<naru_model::Span>,
    now: Time,
) -> Option<Reason> {
    if !matches!(one.duty, Duty::Retiring) || world.is_over(&one.id) {
        return None;
    }
    let instance = one.id.clone();
    if world.status(&one.id).is_none() {
        return Some(Reason::WaitsForAgent { instance });
    }
    if let Some(until) = stay::until(&Draft::new(world, &one.node, now), one) {
        return Some(Reason::WaitsForClients { instance, left: until.since(now) });
    }
    if let (Intent::Run, Some(generation)) = (one.intent, one.unrouted) {
        return match world.acked(generation) {
            Acked::All => None,
            Acked::Behind(behind) => Some(Reason::WaitsForEdges { generation, behind }),
            Acked::NoEdge => Some(Reason::WaitsForAnEdge { generation }),
        };
    }
    let work = world.work(&one.id);
    (!work.is_idle()).then_some(Reason::WaitsForWork { instance, work, estimate })
}

/// The work in progress on a stack, or on all.
pub fn work(world: &World, stack: Option<&StackName>, now: Time) -> Vec<WorkView> {
    let mine = world.instances.values().filter(|one| stack.is_none_or(|stack| one.stack == *stack));
    mine.flat_map(|one| work_of(world, one, now)).collect()
}

fn work_of(world: &World, one: &InstanceRecord, now: Time) -> Vec<WorkView> {
    let work = world.work(&one.id);
    let open: &[JobRecord] = world.status(&one.id).map_or(&[], |status| &status.open_jobs);
    let unnamed = work.jobs.saturating_sub(open.len() as u64);
    let estimate = estimate::remaining(world, one, now);
    let is_one_off = world.one_off(one).is_some();
    let name = if is_one_off { format!("one-off of {}", one.service) } else { one.service.to_string() };
    let counted = |kind: &str, count: u64| WorkView {
        instance: one.id.clone(),
        kind: kind.into(),
        count,
        // A run without leases of its own is told by its number.
        job: one.run.filter(|_| kind == "jobs").map(|run| (run.to_string(), name.clone())),
        began: world.oldest_work(&one.id),
        progress: None,
        note: None,
        estimate,
    };
    let InProgress { requests, streams, .. } = work;
    let kinds = [("requests", requests), ("streams", streams), ("jobs", unnamed)];
    let kinds = kinds.into_iter().filter(|(_, count)| *count > 0);
    let jobs = open.iter().map(|job| WorkView {
        job: Some((job.id.clone(), job.name.clone())),
        began: Some(job.began),
        progress: job.progress,
        note: job.note.clone(),
        estimate: estimate::of_job(world, one, now.since(job.began)),
        ..counted("job", 1)
    });
    kinds.map(|(kind, count)| counted(kind, count)).chain(jobs).collect()
}
