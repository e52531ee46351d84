//! What the reports say, read with care: what has not been heard is unknown, never zero.

use crate::World;
use naru_model::{
    Counts, EdgeCounts, EdgeId, EdgeReport, Generation, InProgress, InstanceId, InstanceRecord, Phase,
    ServiceName, StackName, Time, Used,
};

/// Whether every edge chooses by a table of a generation, or a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acked {
    /// Every one.
    All,
    /// These do not, or have not said so.
    Behind(Vec<EdgeId>),
    /// No edge was ever heard of.
    NoEdge,
}

impl World {
    /// The newest report of each edge that serves. An edge that is known and has not reported since this
    /// server began yields `None`.
    fn serving_edges(&self) -> impl Iterator<Item = (&EdgeId, Option<&EdgeReport>)> {
        self.edges.values().map(|edge| (&edge.edge, self.reports.get(&edge.edge)))
    }

    /// Whether every edge has acknowledged `generation`.
    pub fn acked(&self, generation: Generation) -> Acked {
        if self.edges.is_empty() {
            return Acked::NoEdge;
        }
        let behind = self.serving_edges().filter(|(_, said)| said.is_none_or(|said| said.acked < generation));
        let behind: Vec<_> = behind.map(|(edge, _)| edge.clone()).collect();
        if behind.is_empty() { Acked::All } else { Acked::Behind(behind) }
    }

    fn edge_counts(&self, id: &InstanceId) -> impl Iterator<Item = &EdgeCounts> {
        self.serving_edges().filter_map(move |(_, said)| said?.instances.get(id))
    }

    /// Requests that wait for instances of a service, as far as was heard.
    pub fn waiting(&self, stack: &StackName, service: &ServiceName) -> u64 {
        let said = self.serving_edges().filter_map(|(_, said)| said?.waiting.get(stack)?.get(service));
        said.sum()
    }

    /// When an instance was used last, as far as was heard. What an edge that began later cannot know is taken for use up to
    /// then.
    pub fn used(&self, record: &InstanceRecord) -> Used {
        let said = self.serving_edges().filter_map(|(_, said)| said);
        let each = said.map(|said| {
            let known = said.instances.get(&record.id).map(|counts| counts.used).unwrap_or_default();
            let before = Some(said.began).filter(|began| *began > record.made);
            Used { ended: known.ended.max(before), ..known }
        });
        each.fold(Used::default(), Used::and)
    }

    /// Work in progress on an instance, as far as was heard.
    pub fn work(&self, id: &InstanceId) -> InProgress {
        let mut sum = self.status(id).map(|status| status.jobs).unwrap_or_default();
        self.edge_counts(id).for_each(|counts| sum += counts.in_progress);
        // It is work itself, whatever leases it takes in its course.
        if self.runs_to_end(id) && !self.is_over(id) {
            sum.jobs = sum.jobs.max(1);
        }
        sum
    }

    /// Whether an instance is there to run to its end: a run of a job, or of a service whose mode is one.
    pub fn runs_to_end(&self, id: &InstanceId) -> bool {
        let Some(record) = self.instances.get(id) else { return false };
        record.run.is_some() || self.definition(record).is_some_and(|service| service.mode.is_job())
    }

    /// When the oldest work in progress on an instance began.
    pub fn oldest_work(&self, id: &InstanceId) -> Option<Time> {
        let run = self.status(id).filter(|_| self.runs_to_end(id)).and_then(|status| status.started);
        let jobs = self.status(id).and_then(|status| status.oldest_job).into_iter().chain(run);
        self.edge_counts(id).filter_map(|counts| counts.oldest).chain(jobs).min()
    }

    /// All that was counted for an instance in its life.
    pub fn counted(&self, record: &InstanceRecord) -> Counts {
        let mut sum = record.past.counts;
        self.edge_counts(&record.id).for_each(|counts| sum += counts.counts);
        if let Some(status) = self.status(&record.id) {
            sum += status.counts;
        }
        sum
    }

    /// Whether every edge has reported that nothing is in progress there, choosing by a table that does not
    /// name the instance.
    pub fn edges_idle(&self, record: &InstanceRecord) -> bool {
        let unrouted = match (record.routed, record.unrouted) {
            (None, _) => return true,
            (Some(_), None) => return false,
            (Some(_), Some(generation)) => self.acked(generation) == Acked::All,
        };
        unrouted && self.edge_counts(&record.id).all(|counts| counts.in_progress.is_idle())
    }

    /// Whether an instance that was told to be quiet has been seen to have no work left.
    pub fn is_idle(&self, record: &InstanceRecord) -> bool {
        let Some(status) = self.status(&record.id) else { return false };
        let agent = status.phase.is_over()
            || status.phase == Phase::Quiet
                && status.quiet_told
                && status.jobs.is_idle()
                && !self.runs_to_end(&record.id);
        agent && self.edges_idle(record)
    }

    /// Whether all have reported of an instance since this server began: its agent, and every edge. Until then,
    /// what was counted for it is unknown, not zero.
    pub fn is_heard(&self, id: &InstanceId) -> bool {
        self.status(id).is_some() && self.serving_edges().all(|(_, said)| said.is_some())
    }

    /// Whether an instance has ended for good, other than as a one-shot does that succeeded.
    pub fn has_failed(&self, record: &InstanceRecord) -> bool {
        let Some(status) = self.status(&record.id).filter(|status| status.phase.is_over()) else {
            return false;
        };
        let has_port = self.definition(record).is_some_and(|service| !service.template.targets.is_empty());
        has_port || !status.last_exit.as_ref().is_some_and(|exit| exit.is_success())
    }

    /// Whether an instance is, as far as is known, still the container that another tool made and gave its ports.
    pub fn holds_ports(&self, record: &InstanceRecord) -> bool {
        let status = self.status(&record.id);
        record.imported.is_some()
            && status.is_none_or(|status| status.restarts == 0 && !status.phase.is_over())
    }

    /// Whether an instance was seen to serve.
    pub fn is_ready(&self, id: &InstanceId) -> bool {
        self.status(id).is_some_and(|status| status.phase == Phase::Ready)
    }

    /// Whether an instance was seen to have ended for good.
    pub fn is_over(&self, id: &InstanceId) -> bool {
        self.status(id).is_some_and(|status| status.phase.is_over())
    }
}

impl World {
    /// How long the finished requests of an instance took, edge by edge.
    pub fn request_durations(&self, id: &InstanceId) -> impl Iterator<Item = &naru_model::Durations> {
        self.edge_counts(id).map(|counts| &counts.request_durations)
    }
}
