//! The end of a run: faults have stopped, clients have gone, work ends; now everything has to be as wanted.

use crate::event::{Event, OutsideEvent};
use crate::property::{BOUNDED_RECORDS, CONVERGENCE};
use crate::records::{Want, targets};
use crate::sim::{Finished, Sim};
use naru_model::{Duty, RestartPolicy, Span, StackRecord, Time};

/// From the end of the last work until everything is as wanted: a few rollouts one after the other, each with
/// its times to get healthy, to soak, to be watched, for each service of a chain.
const PATIENCE: Span = Span::mins(60);
/// Work is waited for no longer than this: the longest jobs and streams, one after the other.
const LONGEST: Span = Span::mins(16 * 60);

impl Sim {
    /// Looks whether everything is as wanted; if not, again later, until patience ends.
    pub(crate) fn judge(&mut self) {
        let busy = self.books.open().next().is_some();
        let now = self.ground.now;
        if busy {
            self.checks.work_seen(now);
        }
        let wrong = self.wrong();
        match wrong {
            None if !busy => {
                self.finished = Finished::Yes;
                return self.check_bounds();
            }
            Some(wrong) if now > self.checks.last_work().max(self.calm) + PATIENCE => {
                let subjects = wrong.subjects.iter().map(String::as_str).collect::<Vec<_>>();
                return self.ground.violated(&CONVERGENCE, &subjects, wrong.what);
            }
            _ if now > self.calm + LONGEST => {
                let first = self.books.open().next().map(|id| (id, self.books.get(id)));
                let what = format!("work does not end: {first:?}");
                let subject = first.map(|(id, work)| format!("{} {}", work.kind.word(), id.0));
                return self.ground.violated(&CONVERGENCE, &[&subject.unwrap_or_default()], what);
            }
            _ => {}
        }
        self.ground.after(Span::mins(1), Event::Outside(OutsideEvent::Judgement));
    }

    /// What is not as wanted.
    fn wrong(&self) -> Option<Wrong> {
        if self.people.iter().any(|people| people.mended == 0) {
            return Some(Wrong::new("people have not given their last order", &[]));
        }
        let records = &self.store.records;
        let open = records.operations.values().find(|operation| operation.ended.is_none());
        if let Some(open) = open {
            let waits: Vec<_> = open
                .services
                .iter()
                .map(|(name, at)| format!("{name} {:?} {:?}", at.stage, at.waits_for))
                .collect();
            let what =
                format!("operation {} ({}) has not ended: {:?}, {:?}", open.id, open.kind, open.phase, waits);
            let mut wrong = Wrong::new(&what, &[&format!("operation {} ", open.id)]);
            wrong.subjects.extend(open.receipt.instances.keys().map(|id| id.to_string()));
            let mine = records.instances.values().filter(|one| one.stack == open.stack);
            wrong.subjects.extend(mine.map(|one| one.id.to_string()));
            return Some(wrong);
        }
        let edges = self.edges.iter().find(|edge| !edge.is_up() || edge.acked() != records.routes.generation);
        if let Some(edge) = edges {
            return Some(Wrong::new(&format!("edge {} has not the newest table", edge.id()), &["edge "]));
        }
        let jobs = || self.wrong_with_jobs().map(|what| Wrong::new(&what, &["run ", "stack "]));
        records
            .stacks
            .values()
            .find_map(|stack| self.wrong_with(stack))
            .or_else(jobs)
            .or_else(|| self.stray())
    }

    fn wrong_with(&self, stack: &StackRecord) -> Option<Wrong> {
        let records = &self.store.records;
        let asleep = naru_decide::view::asleep(&self.server.world, &stack.name, self.clock());
        let mut wants = targets(records, stack);
        wants.retain(|want| !asleep.contains(&want.service));
        for one in records.instances.values().filter(|one| one.stack == stack.name && one.run.is_none()) {
            let want = wants.iter().find(|want| want.service == one.service);
            let right = want.is_some_and(|want| want.fingerprint == one.fingerprint);
            if !right || one.duty != Duty::Serving {
                let what = format!("{} is still there, {:?}, {:?}", one.id, one.duty, one.intent);
                return Some(Wrong::new(
                    &what,
                    &[one.id.as_str(), &format!("stack {}", one.stack), "operation "],
                ));
            }
        }
        for want in &wants {
            let completed = stack.services.get(&want.service).and_then(|record| record.completed.as_ref());
            if completed == Some(&want.fingerprint) || is_left_alone(want, &wants) {
                continue;
            }
            let mine = records.instances_of(&stack.name, &want.service);
            let well =
                mine.filter(|one| self.host.last(&one.id).is_some_and(|(_, process)| process.is_well()));
            let (well, routed) = (well.count() as u32, self.routed_and_ready(&stack.name, &want.service));
            if well != want.count || want.has_port && routed != want.count {
                let what = format!(
                    "{} of {}: {} wanted, {well} well, {routed} routed",
                    want.service, stack.name, want.count
                );
                return Some(Wrong::new(&what, &[&format!("{}.{}", stack.name, want.service)]));
            }
        }
        None
    }

    /// What is there although no record names it.
    fn stray(&self) -> Option<Wrong> {
        let records = &self.store.records;
        let living = self.host.living().map(|(_, process)| process.instance.clone());
        // Agents are told of the end of runs all the time: what they have of one that has ended is no stray.
        let agents = self
            .agents
            .iter()
            .flat_map(|agent| agent.instances().cloned())
            .filter(|id| !crate::jobs::NAMES.iter().any(|name| id.as_str().contains(name)));
        let stray = living.chain(agents).find(|id| !records.instances.contains_key(id))?;
        let what = format!("{stray} is still there, and no record names it");
        Some(Wrong::new(&what, &[stray.as_str()]))
    }

    fn check_bounds(&mut self) {
        let records = &self.store.records;
        let releases = records.releases.len();
        let most = records.stacks.len() * 60;
        if releases > most {
            self.ground.violated(&BOUNDED_RECORDS, &[], format!("{releases} releases are kept"));
        }
    }
}

/// Whether a one-shot that may have failed concerns nobody: its file says not to start it again, and nothing
/// that is wanted waits for it.
fn is_left_alone(want: &Want, all: &[Want]) -> bool {
    let once = !want.has_port && want.definition.template.restart.policy == RestartPolicy::No;
    once && !all.iter().any(|other| other.definition.depends_on.contains_key(&want.service))
}

/// Something that is not as wanted.
struct Wrong {
    what: String,
    subjects: Vec<String>,
}

impl Wrong {
    fn new(what: &str, subjects: &[&str]) -> Wrong {
        Wrong { what: what.into(), subjects: subjects.iter().map(|subject| subject.to_string()).collect() }
    }
}

/// The beginning of time, for those who saw no work yet.
pub(crate) const NEVER: Time = Time(0);
