//! About how long work in progress still takes, from how long past work of its service took.

use crate::World;
use naru_model::{InstanceRecord, Span, Time};

/// The longest of what is left of the kinds of work in progress on an instance. `None` where there is no work,
/// or no past to tell from.
pub fn remaining(world: &World, record: &InstanceRecord, now: Time) -> Option<Span> {
    let work = world.work(&record.id);
    let age = world.oldest_work(&record.id).map(|began| now.since(began)).unwrap_or_default();
    let requests = || {
        let service = world.stacks.get(&record.stack)?.services.get(&record.service)?;
        let mut past = service.request_durations.clone();
        world.request_durations(&record.id).for_each(|more| past.add(more));
        past.remaining(age)
    };
    match (work.jobs > 0, work.requests > 0) {
        (true, _) => of_job(world, record, age),
        (false, true) => requests(),
        (false, false) => None,
    }
}

/// What is left of a job that has run for `age`.
pub fn of_job(world: &World, record: &InstanceRecord, age: Span) -> Option<Span> {
    let stack = world.stacks.get(&record.stack)?;
    if record.run.is_some() {
        return stack.jobs.get(&record.service)?.durations.remaining(age);
    }
    let mut past = stack.services.get(&record.service)?.job_durations.clone();
    world.status(&record.id).into_iter().for_each(|status| past.add(&status.job_durations));
    past.remaining(age)
}
