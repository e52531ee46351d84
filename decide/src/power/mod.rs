//! Whether a service is to be on or asleep: a function of what is wanted at this moment, by whom, and until when.
//!
//! Nothing remembers what was wanted before: a clock that is set, a server that restarts or a moment that nobody looked at
//! changes nothing of what follows. What is wanted is judged here; [`course`] brings it about.
//!
//! What came before a service was to fall asleep (its hours ended, somebody sent it to sleep) does not keep it on: that is
//! finished by what retires. Use that began later does.

mod course;
pub(crate) mod view;

pub(crate) use crate::draft::Verdict;
pub(crate) use course::{advance, is_falling_asleep};

use crate::draft::Draft;
use crate::{World, jobs};
use naru_model::{
    Duty, InstanceRecord, OffHours, Power, Reason, Release, Service, ServiceName, Span, StackName,
    StackRecord, Time, Want,
};
use naru_schedule::Weekly;
use std::collections::{BTreeMap, BTreeSet};

/// Clocks are set: what changes later than this is looked for again before.
const LOOK: Span = Span::secs(30);

/// Judges all services of all stacks, and sees to it that somebody looks when time changes that.
pub(crate) fn look(draft: &mut Draft) {
    for stack in draft.world.stacks.keys() {
        for (service, verdict) in judge(draft, stack) {
            if let Some(next) = verdict.next {
                draft.wake_at(next.min(draft.now + LOOK));
            }
            draft.set_verdict(stack, service, verdict);
        }
    }
}

/// What is wanted of each service of a stack that may be asleep.
pub(crate) fn judge(draft: &Draft, stack: &StackName) -> BTreeMap<ServiceName, Verdict> {
    let Some(release) = draft.target_release(stack) else { return BTreeMap::new() };
    let may_sleep = release.stack.services.iter().filter_map(|(name, one)| Some((name, one.power.as_ref()?)));
    let mut all: BTreeMap<ServiceName, Verdict> = may_sleep
        .map(|(name, power)| (name.clone(), Judged::new(draft, stack, name, power).verdict()))
        .collect();
    for (service, want) in needed_by_runs(draft, stack) {
        keep_awake(&mut all, &service, want);
    }
    wake_dependencies(draft, stack, release, &mut all);
    all
}

/// A dependency is woken with its dependants: those that may be asleep themselves and are not. One that is always on has
/// no say, or what it depends on would never sleep.
fn wake_dependencies(
    draft: &Draft,
    stack: &StackName,
    release: &Release,
    all: &mut BTreeMap<ServiceName, Verdict>,
) {
    let stopped = draft.stack(stack).target.as_ref().map(|target| &target.stopped);
    let is_stopped = |name: &ServiceName| stopped.is_some_and(|stopped| stopped.contains(name));
    // Each comes after those it depends on, so its dependants' verdicts are final when it is looked at from the end.
    for name in draft.in_order(stack).iter().rev() {
        if !all.get(name).is_some_and(|verdict| verdict.awake) || is_stopped(name) {
            continue;
        }
        let dependencies =
            release.stack.services.get(name).into_iter().flat_map(|one: &Service| one.depends_on.keys());
        for on in dependencies {
            keep_awake(all, on, Want::Dependant { service: name.clone() });
        }
    }
}

/// Services that a run in progress depends on, or one that waits to begin.
fn needed_by_runs(draft: &Draft, stack: &StackName) -> Vec<(ServiceName, Want)> {
    let mut all = Vec::new();
    for key in draft.open_runs(stack) {
        let Some(run) = draft.run(&key) else { continue };
        let release = draft.world.release(stack, run.release);
        let job = release.and_then(|release| jobs::definition(release, &run.job, run.one_off.as_deref()));
        for on in job.iter().flat_map(|job| job.depends_on.keys()) {
            all.push((on.clone(), Want::Run { job: run.job.clone(), run: run.number }));
        }
    }
    all
}

/// A want that is not its own.
fn keep_awake(all: &mut BTreeMap<ServiceName, Verdict>, service: &ServiceName, want: Want) {
    if let Some(verdict) = all.get_mut(service) {
        match verdict.awake {
            true => verdict.wants.push(want),
            false => verdict.wants.insert(0, want),
        }
        verdict.awake = true;
    }
}

/// One service at one moment.
struct Judged<'a> {
    draft: &'a Draft<'a>,
    stack: &'a StackName,
    service: &'a ServiceName,
    power: &'a Power,
    hours: Option<Hours>,
    /// Its instances that are not on their way out.
    present: Vec<&'a InstanceRecord>,
}

/// Where a moment lies in its hours.
#[derive(Clone, Copy)]
struct Hours {
    off: bool,
    since: Option<Time>,
    until: Option<Time>,
}

impl Hours {
    fn of(off: &OffHours, now: Time) -> Option<Hours> {
        // What cannot be read was refused when the file was; a record of another version is as if it had none.
        let weekly = Weekly::read(off).ok()?;
        Some(Hours { off: weekly.has(now), since: weekly.since(now), until: weekly.next_change(now) })
    }
}

impl<'a> Judged<'a> {
    fn new(draft: &'a Draft<'a>, stack: &'a StackName, service: &'a ServiceName, power: &'a Power) -> Self {
        let mine = draft.instances().filter(|one| one.stack == *stack && one.service == *service);
        Judged {
            draft,
            stack,
            service,
            power,
            hours: power.off.as_ref().and_then(|off| Hours::of(off, draft.now)),
            present: mine.filter(|one| one.duty != Duty::Retiring).collect(),
        }
    }

    fn world(&self) -> &'a World {
        self.draft.world
    }

    fn record(&self) -> &'a StackRecord {
        self.draft.stack(self.stack)
    }

    fn verdict(&self) -> Verdict {
        let asleep = self.wants_asleep();
        let mut on = self.wants_on();
        let mut next: Option<Time> = on.iter().chain(&asleep).filter_map(Want::until).min();
        next = next.into_iter().chain(self.hours.and_then(|hours| hours.until)).min();
        if on.is_empty() && !self.present.is_empty() && !self.is_known() {
            on.push(Want::Unknown);
        }
        let awake = !on.is_empty();
        let wants = if awake { on } else { asleep };
        Verdict { awake, wants, next: next.filter(|at| *at > self.draft.now) }
    }

    /// Whether all have said what goes on on its instances, since this server began.
    fn is_known(&self) -> bool {
        self.present.iter().all(|one| self.world().is_heard(&one.id))
    }

    fn wants_on(&self) -> Vec<Want> {
        let now = self.draft.now;
        let orders = self.record().services.get(self.service).map(|record| &record.power);
        let wakes = orders.into_iter().flat_map(|orders| &orders.wakes).filter(|wake| wake.until > now);
        let mut wants: Vec<Want> = wakes.cloned().map(Want::Wake).collect();
        let steering = self.draft.steering(self.stack).map(|operation| operation.id);
        wants.extend(steering.map(|id| Want::Operation { id }));
        let waiting = self.world().waiting(self.stack, self.service);
        if self.power.by_request && waiting > 0 {
            wants.push(Want::Requests { waiting });
        }
        let is_off = self.hours.is_some_and(|hours| hours.off) || self.sent_to_sleep().is_some();
        if !is_off && self.power.idle_after.is_none() {
            wants.push(Want::Hours { until: self.hours.and_then(|hours| hours.until) });
        }
        wants.extend(self.used());
        wants
    }

    /// Its use, as far as that keeps it on.
    fn used(&self) -> Option<Want> {
        let (linger, now) = (self.power.linger(), self.draft.now);
        let is_off = self.hours.is_some_and(|hours| hours.off) || self.sent_to_sleep().is_some();
        if !is_off && self.power.idle_after.is_none() {
            return None;
        }
        // The beginning of its hours is one: whoever comes first finds it on.
        let begun = self.hours.filter(|hours| !hours.off && !is_off).and_then(|hours| hours.since);
        let since = is_off.then(|| self.rest_since()).flatten();
        let uses = self.present.iter().filter_map(|one| self.use_of(one, since));
        let last = uses.chain(begun.map(Last::At)).max()?;
        match last {
            Last::Now => Some(Want::Use { until: None }),
            Last::At(at) if at + linger > now => Some(Want::Use { until: Some(at + linger) }),
            Last::At(_) => None,
        }
    }

    /// When an instance was used last; nothing counts that began before `since`.
    fn use_of(&self, one: &InstanceRecord, since: Option<Time>) -> Option<Last> {
        let counts = |at: Time| since.is_none_or(|since| at > since);
        // Whoever had it made may have gone before it was there, and comes again.
        let made = (counts(one.made) && !self.is_of_a_wake(one)).then_some(Last::At(one.made));
        let work = self.world().work(&one.id);
        let used = self.world().used(one);
        let is_new = used.began.is_some_and(counts) || counts(one.made);
        let by_requests = self.power.by_request || self.power.idle_after.is_some();
        let requests = (is_new && by_requests).then(|| match work.requests + work.streams > 0 {
            true => Some(Last::Now),
            false => used.began.max(used.ended).map(Last::At),
        });
        let jobs = match (since, work.jobs > 0) {
            (None, true) => Some(Last::Now),
            (None, false) => self.world().status(&one.id).and_then(|status| status.last_job).map(Last::At),
            // A worker takes jobs by itself as long as it is let: those are no reason to let it.
            (Some(_), _) => None,
        };
        [made, requests.flatten(), jobs].into_iter().flatten().max()
    }

    /// Whether it was made since a person wanted it on, who said for how long.
    fn is_of_a_wake(&self, one: &InstanceRecord) -> bool {
        let operation = self.draft.operation(one.made_by);
        operation.is_some_and(|operation| {
            operation.log.iter().any(|entry| match &entry.reason {
                Reason::Wakes { service, want: Want::Wake(_) } => service == self.service,
                _ => false,
            })
        })
    }

    /// Since when it is to be asleep.
    fn rest_since(&self) -> Option<Time> {
        let hours = self.hours.filter(|hours| hours.off).and_then(|hours| hours.since);
        hours.max(self.sent_to_sleep().map(|(order, _)| order.since))
    }

    /// Somebody's order, while it holds, and until when it does: until its hours begin the next time.
    fn sent_to_sleep(&self) -> Option<(&'a naru_model::Sleep, Option<Time>)> {
        let order = self.record().services.get(self.service)?.power.sleep.as_ref()?;
        let Some(off) = &self.power.off else { return Some((order, None)) };
        let weekly = Weekly::read(off).ok()?;
        let ends = weekly.next_change(order.since);
        let until = if weekly.has(order.since) { ends } else { ends.and_then(|at| weekly.next_change(at)) };
        until.is_none_or(|until| until > self.draft.now).then_some((order, until))
    }

    fn wants_asleep(&self) -> Vec<Want> {
        let ordered = self.sent_to_sleep().map(|(order, until)| Want::Sleep { order: order.clone(), until });
        let hours = self.hours.filter(|hours| hours.off).map(|hours| Want::OffHours { until: hours.until });
        let mut wants: Vec<Want> = ordered.into_iter().chain(hours).collect();
        if let (true, Some(after)) = (wants.is_empty(), self.power.idle_after) {
            wants.push(Want::Idle { after });
        }
        wants
    }
}

/// When something was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    At(Time),
    Now,
}

/// The services among `named`, or all that may be asleep, of the release that is wanted.
pub(crate) fn sleepers<'w>(
    release: &'w Release,
    named: &[ServiceName],
) -> BTreeMap<&'w ServiceName, &'w Power> {
    let named: BTreeSet<&ServiceName> = named.iter().collect();
    let all = release.stack.services.iter().filter(|(name, _)| named.is_empty() || named.contains(name));
    all.filter_map(|(name, service)| Some((name, service.power.as_ref()?))).collect()
}
