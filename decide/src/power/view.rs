//! What people are shown of a service's power.

use super::{Verdict, judge};
use crate::World;
use crate::draft::Draft;
use naru_model::{
    Duty, NodeId, OffHours, Power, PowerState, PowerView, ServiceName, Span, StackName, Time, Want,
};
use naru_schedule::Weekly;
use std::collections::BTreeMap;

/// So far ahead the calendar reaches.
const WEEK: Span = Span::mins(7 * 24 * 60);

/// The power of each service of a stack that may be asleep.
pub(crate) fn views(world: &World, stack: &StackName, now: Time) -> BTreeMap<ServiceName, PowerView> {
    let node = NodeId::from("");
    let draft = Draft::new(world, &node, now);
    let Some(release) = draft.target_release(stack) else { return BTreeMap::new() };
    let verdicts = judge(&draft, stack).into_iter();
    verdicts
        .filter_map(|(name, verdict)| {
            let power = release.stack.services.get(&name)?.power.as_ref()?;
            let view = view(world, stack, &name, (&verdict, power), now);
            Some((name, view))
        })
        .collect()
}

fn view(
    world: &World,
    stack: &StackName,
    name: &ServiceName,
    (verdict, power): (&Verdict, &Power),
    now: Time,
) -> PowerView {
    let count =
        |duties: &[Duty]| world.instances_of(stack, name).filter(|one| duties.contains(&one.duty)).count();
    let ready =
        world.instances_of(stack, name).any(|one| one.duty == Duty::Serving && world.is_ready(&one.id));
    let state = match verdict.awake {
        true if ready => PowerState::On,
        true => PowerState::Waking,
        false if count(&[Duty::Warming, Duty::Serving, Duty::Held, Duty::Retiring]) > 0 => {
            PowerState::FallingAsleep
        }
        false => PowerState::Asleep,
    };
    PowerView {
        state,
        wants: verdict.wants.clone(),
        next: verdict.next.map(|at| (at, after(power, verdict, at))),
        power: power.clone(),
        off: power.off.as_ref().map(|off| calendar(off, now)).unwrap_or_default(),
    }
}

/// What it is to be at `at`, if nothing happens until then.
fn after(power: &Power, verdict: &Verdict, at: Time) -> PowerState {
    let off = power.off.as_ref().and_then(|off| Weekly::read(off).ok());
    let is_off = off.as_ref().is_some_and(|off| off.has(at));
    // Operations end, and requests that wait are answered.
    let lasts = |want: &Want| match want {
        Want::Dependant { .. } | Want::Run { .. } => true,
        want => want.is_on() && want.until().is_some_and(|until| until > at),
    };
    let goes_on = verdict.awake && verdict.wants.iter().any(lasts);
    let begins = off.as_ref().is_some_and(|off| !is_off && off.since(at) == Some(at));
    let in_hours = !is_off && (power.idle_after.is_none() || begins);
    if goes_on || in_hours { PowerState::On } else { PowerState::Asleep }
}

/// The hours of the next week in which it is off.
fn calendar(off: &OffHours, now: Time) -> Vec<(Time, Time)> {
    let Ok(weekly) = Weekly::read(off) else { return vec![] };
    let end = now + WEEK;
    let mut all = Vec::new();
    let mut at = now;
    while at < end {
        let next = weekly.next_change(at).filter(|next| *next < end).unwrap_or(end);
        if weekly.has(at) {
            all.push((at, next));
        }
        at = next;
    }
    all
}
