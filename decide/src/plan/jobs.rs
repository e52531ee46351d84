//! What a deploy would change of a stack's jobs: one sentence each.

use super::differing;
use crate::World;
use naru_model::{Job, ServiceName, Stack};

/// What `new` has other than `old`.
pub(super) fn changes(world: &World, old: Option<&Stack>, new: &Stack) -> Vec<String> {
    let before = |name: &ServiceName| old.and_then(|old| old.jobs.get(name));
    let mut said = Vec::new();
    for (name, job) in &new.jobs {
        match before(name) {
            Some(known) if known == job => {}
            Some(known) => {
                let goes_on = goes_on(world, new, name);
                said.push(format!("job {name} changes ({}){}{goes_on}", differences(known, job), times(job)));
            }
            None => said.push(format!("job {name} is new{}", times(job))),
        }
    }
    let gone = old.into_iter().flat_map(|old| old.jobs.keys()).filter(|name| !new.jobs.contains_key(*name));
    said.extend(gone.map(|name| format!("job {name} goes{}", goes_on(world, new, name))));
    said
}

/// `: at 0 3 * * * (UTC)`
fn times(job: &Job) -> String {
    let all: Vec<String> = job.schedules.iter().map(ToString::to_string).collect();
    match all.as_slice() {
        [] => ": by hand only".into(),
        all => format!(": at {}", all.join(" and at ")),
    }
}

fn differences(old: &Job, new: &Job) -> String {
    let mut keys = Vec::new();
    differing(&old.template, &new.template, &mut keys);
    differing(old, new, &mut keys);
    keys.retain(|key| key != "template");
    // Keys that are left out where they hold nothing.
    let lost = [
        ("timeout", old.timeout.is_some() && new.timeout.is_none()),
        ("schedules", !old.schedules.is_empty() && new.schedules.is_empty()),
    ];
    keys.extend(lost.into_iter().filter(|(_, is)| *is).map(|(key, _)| key.to_string()));
    keys.join(", ")
}

/// Runs in progress are nobody's to end.
fn goes_on(world: &World, stack: &Stack, name: &ServiceName) -> String {
    let first = (stack.name.clone(), name.clone(), 0);
    let mine = world.runs.range(first..).take_while(|(key, _)| key.0 == stack.name && key.1 == *name);
    let open: Vec<String> = mine
        .filter(|(_, run)| !run.state.is_over())
        .map(|(_, run)| format!("run {} of release {}", run.number, run.release))
        .collect();
    match open.as_slice() {
        [] => String::new(),
        open => format!("; {} goes on to its end", open.join(" and ")),
    }
}
