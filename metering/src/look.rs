//! One look: what of the world is metered.

use naru_cost::{Look, Now, Subject};
use naru_decide::{World, view};
use naru_model::{AssetsView, MachineState, NodeId, PowerState, ServiceName, StackName, StackView, Time};
use naru_world::want::replicas;
use std::collections::BTreeMap;

/// When something that is in use will have been used.
const NOW: Time = Time(u64::MAX);

/// The services of the world, and the node itself: it runs, since somebody looks.
pub fn of_world(world: &World, node: &NodeId, now: Time) -> Look {
    let mut look = Look { at: now, ..Look::default() };
    look.subjects.insert(Subject::Node(node.clone()), Now { on: true, ..Now::default() });
    for stack in view::stacks(world, now) {
        services(world, &stack, &mut look);
    }
    look
}

fn services(world: &World, stack: &StackView, look: &mut Look) {
    let target = world.stacks.get(&stack.name).and_then(|stack| stack.target.as_ref());
    for service in &stack.services {
        let instances: Vec<_> = world.instances_of(&stack.name, &service.name).collect();
        let asleep = service.power.as_ref().is_some_and(|power| power.state == PowerState::Asleep);
        let used = |one: &&naru_model::InstanceRecord| {
            if !world.work(&one.id).is_idle() {
                return Some(NOW);
            }
            let used = world.used(one);
            used.began.max(used.ended)
        };
        let would = target.map_or(0, |target| replicas(world, &stack.name, target, &service.name));
        let now = Now {
            on: !instances.is_empty(),
            asleep: asleep && instances.is_empty(),
            used: instances.iter().filter_map(used).max(),
            instances: u32::try_from(instances.len()).unwrap_or(u32::MAX),
            spared: if asleep && instances.is_empty() { would } else { 0 },
            kind: None,
        };
        look.subjects.insert(Subject::Service(stack.name.clone(), service.name.clone()), now);
    }
}

/// Adds machines of clouds, as they were seen last.
pub fn of_assets(assets: &AssetsView, look: &mut Look) {
    for asset in &assets.assets {
        let Some(machine) = &asset.machine else { continue };
        // A cloud bills a machine from when it starts until it stands still.
        let on =
            matches!(machine.state, MachineState::Pending | MachineState::Running | MachineState::Stopping);
        let asleep = machine.state == MachineState::Stopped;
        let now = Now { on, asleep, kind: Some(machine.kind.clone()), ..Now::default() };
        look.subjects.insert(Subject::Asset(asset.id.clone()), now);
    }
}

/// What people call the machines of clouds.
pub fn names(assets: &AssetsView) -> BTreeMap<String, String> {
    assets.assets.iter().map(|asset| (asset.id.to_string(), asset.name.to_string())).collect()
}

/// In which zone the hours of each service are told: that of its own hours, where it has some.
pub fn zones(world: &World) -> BTreeMap<Subject, String> {
    let targets = world.stacks.values().filter_map(|stack| Some((&stack.name, stack.target.as_ref()?)));
    let releases = targets.filter_map(|(name, target)| Some((name, world.release(name, target.release)?)));
    let services =
        releases.flat_map(|(name, release)| release.stack.services.iter().map(move |one| (name, one)));
    let zone = |(stack, (service, of)): (&StackName, (&ServiceName, &naru_model::Service))| {
        let zone = of.power.as_ref()?.off.as_ref()?.timezone.clone();
        Some((Subject::Service(stack.clone(), service.clone()), zone))
    };
    services.filter_map(zone).collect()
}
