//! Jobs: when they are due, and how a run goes from there to its end.
//!
//! [`due`] judges the due times of schedules, and makes runs of them; what cannot be run any more is told, once. [`runs`] takes each
//! run a step further: it waits for what it depends on, is tried, tried again where it failed, and ends.
//!
//! A run is work: no operation ends one. It goes on by the release that it was begun by, whatever is deployed meanwhile;
//! `down` waits for it. What ends one before its time is a person's cut, or the time limit in the file. A one-off is a run, too: of
//! what a person makes of a service.

mod due;
mod runs;
pub(crate) mod view;

pub(crate) use due::{Place, beside};
pub(crate) use naru_world::definition;
pub(crate) use runs::newborn_line;

use crate::draft::Draft;
use crate::{RunKey, Write};
use naru_model::{Job, Release, RunCause, RunRecord, RunState, ServiceName, StackName};
use std::collections::BTreeMap;

/// Ended runs kept for each job.
const KEEP_RUNS: usize = 50;

/// Judges what is due on a stack, and takes its runs one step further.
pub(crate) fn advance(draft: &mut Draft, stack: &StackName) {
    due::arm(draft, stack);
    for key in draft.open_runs(stack) {
        runs::step(draft, &key);
    }
}

/// The release whose jobs are run: the one that serves, until another has come to serve.
pub(crate) fn release<'w>(draft: &Draft<'w>, stack: &StackName) -> Option<&'w Release> {
    let record = draft.stack(stack);
    let target = record.target.as_ref()?.release;
    let served = record.serving.and_then(|number| draft.world.release(stack, number));
    served.or_else(|| draft.world.release(stack, target))
}

/// The jobs that are run of a stack, and by which release.
fn jobs<'w>(draft: &Draft<'w>, stack: &StackName) -> BTreeMap<ServiceName, (&'w Release, &'w Job)> {
    let release = release(draft, stack);
    let all =
        release.into_iter().flat_map(|release| release.stack.jobs.iter().map(move |one| (release, one)));
    all.map(|(release, (name, job))| (name.clone(), (release, job))).collect()
}

/// A run that is yet to begin.
pub(crate) fn newborn(
    stack: &StackName,
    (job, number): (&ServiceName, u64),
    release: &Release,
    cause: RunCause,
    overlap: naru_model::Overlap,
    made: naru_model::Time,
) -> RunRecord {
    RunRecord {
        stack: stack.clone(),
        job: job.clone(),
        number,
        release: release.number,
        cause,
        overlap,
        one_off: None,
        made,
        state: RunState::Waiting,
        waits_for: None,
        tries: vec![],
        ended: None,
        held_back: 0,
        cut: None,
    }
}

/// Forgets runs that ended long ago.
pub(crate) fn prune(draft: &mut Draft, stack: &StackName) {
    let mut ended: BTreeMap<&ServiceName, Vec<&RunKey>> = BTreeMap::new();
    for (key, run) in &draft.world.runs {
        if run.stack == *stack && run.state.is_over() {
            ended.entry(&run.job).or_default().push(key);
        }
    }
    let surplus: Vec<RunKey> = ended
        .into_values()
        .flat_map(|keys| {
            keys.iter()
                .take(keys.len().saturating_sub(KEEP_RUNS))
                .map(|key| (*key).clone())
                .collect::<Vec<_>>()
        })
        .collect();
    surplus.into_iter().for_each(|key| draft.forget(Write::ForgetRun(key)));
}
