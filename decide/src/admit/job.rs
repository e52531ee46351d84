//! Runs by hand: one of a job or a service that a person wants, and one that a person wants no longer.

use super::{Admission, Answer};
use crate::draft::Draft;
use crate::jobs::{self, Place, newborn, newborn_line};
use crate::{RunKey, Write};
use naru_model::{
    Admitted, Duty, Ending, InstanceRecord, NodeId, OneOff, Operation, OperationKind, OperationOutcome,
    OperationPhase, Overlap, Reason, Receipt, Refusal, Release, RunCause, RunRecord, RunState, ServiceName,
    StackRecord,
};

impl Admission<'_> {
    pub(super) fn run(&self, job: &ServiceName) -> Answer {
        let (record, _) = self.target()?;
        let release = self.run_release();
        let (release, definition) = release
            .and_then(|release| Some((release, release.stack.jobs.get(job)?)))
            .ok_or_else(|| self.no_job(job, release))?;
        if !definition.by_hand {
            let error = format!("`{job}` is not run by hand: its file says `triggers.manual: false`");
            return Err(Refusal::new(error, "remove that, and deploy the file"));
        }
        let open: Vec<RunRecord> = self.open_runs(job).cloned().collect();
        if let Place::Taken(by) = jobs::beside(&open, definition.overlap) {
            let error = format!("run {by} of `{job}` has not ended, and one at a time is allowed");
            let hint = "`naru job runs` shows it; `x-naru.concurrency: allow` lets runs go on side by side";
            return Err(Refusal::new(error, hint));
        }
        Ok(self.enter(record, (job, release), definition.overlap, None))
    }

    /// A run of a service, beside its instances.
    pub(super) fn one_off(&self, service: &ServiceName, with: &OneOff) -> Answer {
        let (record, target) = self.target()?;
        let wanted = self.world.release(self.name(), target.release);
        let has = |release: &&Release| release.stack.services.contains_key(service);
        let Some(release) = self.run_release().into_iter().chain(wanted).find(has) else {
            self.services(&target, std::slice::from_ref(service))?;
            return Err(Refusal::new(format!("nothing is known of `{service}`"), "`naru up` deploys it"));
        };
        let is_process = release.stack.services[service].template.run.container().is_none();
        if is_process && (with.entrypoint.is_some() || with.name.is_some()) {
            let error =
                format!("`{service}` is a host process, without an entrypoint and a container's name");
            return Err(Refusal::new(
                error,
                "leave `--entrypoint` and `--name` out, and give the whole command",
            ));
        }
        Ok(self.enter(record, (service, release), Overlap::Allow, Some(Box::new(with.clone()))))
    }

    /// By which release runs are made now.
    fn run_release(&self) -> Option<&Release> {
        let node = NodeId::from("");
        let number = jobs::release(&Draft::new(self.world, &node, self.now), self.name())?.number;
        self.world.release(self.name(), number)
    }

    fn enter(
        &self,
        record: &StackRecord,
        (name, release): (&ServiceName, &Release),
        overlap: Overlap,
        one_off: Option<Box<OneOff>>,
    ) -> (Admitted, Vec<Write>) {
        let mut record = record.clone();
        let state = record.jobs.entry(name.clone()).or_default();
        state.runs += 1;
        let cause =
            RunCause::Order { actor: self.demand.actor.clone(), message: self.demand.message.clone() };
        let run = newborn(self.name(), (name, state.runs), release, cause, overlap, self.now);
        let run = RunRecord { one_off, ..run };
        let admitted = Admitted { operation: None, notes: vec![], run: Some(run.number) };
        (admitted, vec![Write::Stack(Box::new(record)), Write::Run(Box::new(run))])
    }

    fn no_job(&self, job: &ServiceName, release: Option<&Release>) -> Refusal {
        let all: Vec<_> =
            release.into_iter().flat_map(|one| one.stack.jobs.keys()).map(|name| name.as_str()).collect();
        let hint = match all.as_slice() {
            [] => "it has none: jobs stand in the file under the top-level `jobs`".to_string(),
            all => format!("its jobs are: {}", all.join(", ")),
        };
        Refusal::new(format!("stack `{}` has no job `{job}`", self.name()), hint)
    }

    /// The runs of a job that have not ended, oldest first.
    fn open_runs<'a>(&'a self, job: &'a ServiceName) -> impl Iterator<Item = &'a RunRecord> {
        let first: RunKey = (self.name().clone(), job.clone(), 0);
        let mine = move |run: &&RunRecord| run.stack == *self.name() && run.job == *job;
        let all = self.world.runs.range(first..).map(|(_, run)| run).take_while(mine);
        all.filter(|run| !run.state.is_over())
    }

    pub(super) fn cancel(&self, job: &ServiceName, number: Option<u64>) -> Answer {
        self.known()?;
        let run = self.the_run(job, number)?.clone();
        if let Some(present) = run.present_try()
            && self.demand.ending != Ending::Cut
        {
            let error = format!(
                "run {} of `{job}` is in progress: to cancel it cuts it ({})",
                run.number, present.instance
            );
            return Err(Refusal::new(error, "`naru job cancel` asks first; `--yes` answers"));
        }
        let kind = OperationKind::Cancel { job: job.clone(), run: run.number };
        let mut operation = Operation {
            // It brings nothing that could serve: there is no cut-over to wait for.
            outcome: Some(OperationOutcome::Succeeded),
            phase: OperationPhase::Retiring,
            receipt: Receipt::default(),
            ..self.operation(kind, None, None)
        };
        let instance = run.present_try().and_then(|one| self.world.instances.get(&one.instance));
        let more = match instance {
            Some(record) => self.cut_short(record, &mut operation),
            None => vec![self.never_begun(run, &mut operation)],
        };
        let admitted = Admitted { operation: Some(operation.id), notes: vec![], run: None };
        Ok((admitted, more.into_iter().chain([Write::Operation(Box::new(operation))]).collect()))
    }

    fn the_run<'a>(&'a self, job: &'a ServiceName, number: Option<u64>) -> Result<&'a RunRecord, Refusal> {
        let open: Vec<&RunRecord> = self.open_runs(job).collect();
        let found = match number {
            Some(number) => open.iter().find(|run| run.number == number),
            None if open.len() == 1 => open.first(),
            None => None,
        };
        found.copied().ok_or_else(|| {
            let all: Vec<_> = open.iter().map(|run| run.number.to_string()).collect();
            let (error, hint) = match (number, all.as_slice()) {
                (_, []) => (
                    format!("no run of `{job}` is open"),
                    "`naru job runs` lists those that have ended".into(),
                ),
                (Some(number), all) => {
                    (format!("run {number} of `{job}` is not open"), format!("open runs: {}", all.join(", ")))
                }
                (None, all) => (
                    format!("{} runs of `{job}` are open", all.len()),
                    format!("name one of {}", all.join(", ")),
                ),
            };
            Refusal::new(error, hint)
        })
    }

    /// The instance goes by this operation, unless it is on the receipt of another that waits for it.
    fn cut_short(&self, record: &InstanceRecord, operation: &mut Operation) -> Vec<Write> {
        if record.retired_by.is_some() {
            return vec![];
        }
        let line = newborn_line(record, self.now);
        operation.receipt.instances.insert(record.id.clone(), line);
        let (duty, since, retired_by) = (Duty::Retiring, self.now, Some(operation.id));
        vec![Write::Instance(Box::new(InstanceRecord { duty, since, retired_by, ..record.clone() }))]
    }

    fn never_begun(&self, mut run: RunRecord, operation: &mut Operation) -> Write {
        (run.state, run.ended, run.waits_for) = (RunState::Cancelled, Some(self.now), None);
        run.cut = Some(self.demand.actor.clone());
        (operation.phase, operation.ended) = (OperationPhase::Done, Some(self.now));
        operation.say(self.now, Reason::Done);
        Write::Run(Box::new(run))
    }
}
