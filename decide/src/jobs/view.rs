//! What people are shown of jobs.

use crate::draft::Draft;
use crate::{RunKey, World};
use naru_model::{JobState, JobView, NodeId, RunRecord, ServiceName, StackName, Time};
use std::collections::BTreeSet;

/// The jobs of a stack, or of all: those that are run, and those of which a run has not ended.
pub fn jobs(world: &World, stack: Option<&StackName>, now: Time) -> Vec<JobView> {
    let node = NodeId::from("");
    let draft = Draft::new(world, &node, now);
    let stacks = world.stacks.keys().filter(|name| stack.is_none_or(|stack| stack == *name));
    stacks.flat_map(|stack| jobs_of(&draft, stack)).collect()
}

fn jobs_of(draft: &Draft, stack: &StackName) -> Vec<JobView> {
    let wanted = super::jobs(draft, stack);
    let is_job = |key: &RunKey| draft.run(key).is_some_and(|run| run.one_off.is_none());
    let open = draft.open_runs(stack).into_iter().filter(is_job).map(|key| key.1);
    let names: BTreeSet<ServiceName> = wanted.keys().cloned().chain(open).collect();
    let view = |name: ServiceName| {
        let job = wanted.get(&name).map(|(_, job)| *job);
        let state: JobState = draft.stack(stack).jobs.get(&name).cloned().unwrap_or_default();
        let armed = state.armed.as_ref();
        let runs: Vec<&RunRecord> = of(draft.world, stack, &name).collect();
        JobView {
            stack: stack.clone(),
            schedules: armed.map(|armed| armed.schedules.clone()).unwrap_or_default(),
            by_hand: job.is_some_and(|job| job.by_hand),
            next: armed.and_then(|armed| armed.next),
            tally: state.tally,
            open: runs.iter().filter(|run| !run.state.is_over()).map(|run| (*run).clone()).collect(),
            last: runs.iter().rev().find(|run| run.state.is_over()).map(|run| (*run).clone()),
            name,
        }
    };
    names.into_iter().map(view).collect()
}

/// The runs of a job that are kept, oldest first.
fn of<'a>(
    world: &'a World,
    stack: &'a StackName,
    job: &'a ServiceName,
) -> impl Iterator<Item = &'a RunRecord> {
    let first = (stack.clone(), job.clone(), 0);
    let mine = move |run: &&RunRecord| run.stack == *stack && run.job == *job;
    world.runs.range(first..).map(|(_, run)| run).take_while(mine)
}

/// Runs of a stack's job or service, or of all of them, or of all stacks; newest first. No value of a variable is shown.
pub fn runs(world: &World, stack: Option<&StackName>, job: Option<&ServiceName>) -> Vec<RunRecord> {
    let mine = |run: &&RunRecord| {
        stack.is_none_or(|stack| run.stack == *stack) && job.is_none_or(|job| run.job == *job)
    };
    let mut runs: Vec<RunRecord> = world.runs.values().filter(mine).cloned().collect();
    for one in runs.iter_mut().filter_map(|run| run.one_off.as_mut()) {
        **one = one.without_values();
    }
    runs.sort_by_key(|run| std::cmp::Reverse((run.made, run.number)));
    runs
}
