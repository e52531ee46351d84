//! The omniscient books: every piece of work, where it is, and what became of it. Receipts are compared with
//! these; nothing of Naru sees them.

use crate::host::Host;
use naru_model::{Counts, InstanceId, ServiceName, Span, StackName, Time};
use std::collections::{BTreeMap, BTreeSet};

/// The number of a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkId(pub(crate) usize);

/// A piece of work.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    /// Whom it is for.
    pub(crate) stack: StackName,
    pub(crate) service: ServiceName,
    /// How long it takes, once an instance has it.
    pub(crate) takes: Span,
    pub(crate) place: Place,
    /// How often it was placed.
    pub(crate) placing: u32,
    /// When its instance began with it.
    pub(crate) began: Time,
    /// The work that waits for it.
    pub(crate) parent: Option<WorkId>,
    pub(crate) call: Call,
}

/// What a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request, which may be sent again.
    Idempotent,
    /// A request, which may not.
    Once,
    Stream,
    /// A job with a lease, and its heartbeat.
    Leased(Heart),
    /// A job that only the busy check tells of.
    Unleased,
}

/// The heartbeat of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heart {
    Beats,
    /// It hangs: no heartbeat, and no end.
    Stopped,
}

/// Whether a piece of work calls another service in its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    None,
    /// It will.
    ToCome,
    /// It waits for the answer, and goes on for so long then.
    Waits(WorkId, Span),
}

/// Where a piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an edge that has no instance to give it to.
    Held { node: usize, since: Time },
    /// On an instance's process, carried by this life of a node's edge where it came through one.
    On { pid: u32, instance: InstanceId, carrier: Option<(usize, u32)> },
    /// Over.
    Ended(End),
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// Answered with an error, or ended as failed by the workload.
    Failed,
    /// Its instance died, or its lease expired.
    Lost,
    /// It was in progress on an instance that was cut.
    Cut,
    /// Its edge died.
    Dropped,
    /// No instance was there to take it.
    Unserved,
}

/// The books.
#[derive(Default)]
pub(crate) struct Books {
    works: Vec<Work>,
    /// What became of work, by instance, as an edge or a ledger that never fails would have counted it.
    pub(crate) truth: BTreeMap<InstanceId, Counts>,
    /// Jobs that only the busy check could tell of, by instance.
    pub(crate) unleased: BTreeMap<InstanceId, u64>,
    open: BTreeSet<WorkId>,
}

impl Books {
    pub(crate) fn enter(&mut self, work: Work) -> WorkId {
        let id = WorkId(self.works.len());
        self.works.push(work);
        self.open.insert(id);
        id
    }

    /// The number of the next piece of work.
    pub(crate) fn next(&self) -> WorkId {
        WorkId(self.works.len())
    }

    pub(crate) fn get(&self, id: WorkId) -> &Work {
        &self.works[id.0]
    }

    pub(crate) fn get_mut(&mut self, id: WorkId) -> &mut Work {
        &mut self.works[id.0]
    }

    pub(crate) fn truth_mut(&mut self, instance: &InstanceId) -> &mut Counts {
        self.truth.entry(instance.clone()).or_default()
    }

    /// What has not ended.
    pub(crate) fn open(&self) -> impl Iterator<Item = WorkId> + '_ {
        self.open.iter().copied()
    }

    /// Puts it on an instance's process.
    pub(crate) fn place(
        &mut self,
        host: &mut Host,
        id: WorkId,
        now: Time,
        pid: u32,
        instance: &InstanceId,
        carrier: Option<(usize, u32)>,
    ) {
        host.open_mut(pid).insert(id);
        if self.get(id).kind == Kind::Unleased {
            *self.unleased.entry(instance.clone()).or_default() += 1;
        }
        let work = self.get_mut(id);
        work.began = now;
        work.placing += 1;
        work.place = Place::On { pid, instance: instance.clone(), carrier };
    }

    /// Takes it from where it is, without an end.
    pub(crate) fn lift(&mut self, host: &mut Host, id: WorkId, to: Place) {
        if let Place::On { pid, .. } = self.get(id).place {
            host.open_mut(pid).remove(&id);
        }
        self.get_mut(id).place = to;
    }

    /// Ends it, and counts it where it was.
    pub(crate) fn end(&mut self, host: &mut Host, id: WorkId, end: End) {
        let work = self.get(id);
        let kind = work.kind;
        if let Place::On { instance, .. } = work.place.clone() {
            let truth = self.truth.entry(instance).or_default();
            count(truth, kind, end);
        }
        self.lift(host, id, Place::Ended(end));
        self.open.remove(&id);
    }
}

impl Kind {
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Kind::Idempotent | Kind::Once)
    }

    pub(crate) fn is_job(self) -> bool {
        matches!(self, Kind::Leased(_) | Kind::Unleased)
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Idempotent | Kind::Once => "request",
            Kind::Stream => "stream",
            Kind::Leased(_) | Kind::Unleased => "job",
        }
    }
}

fn count(counts: &mut Counts, kind: Kind, end: End) {
    match (kind, end) {
        (Kind::Unleased, _) | (_, End::Unserved) => {}
        (_, End::Cut) => counts.cut += 1,
        (Kind::Idempotent | Kind::Once, End::Lost | End::Dropped) => counts.requests_lost += 1,
        (Kind::Stream, End::Lost | End::Dropped) => counts.streams_lost += 1,
        (Kind::Leased(_), End::Lost) => counts.jobs_lost += 1,
        (Kind::Idempotent | Kind::Once, _) => {
            counts.requests += 1;
            counts.errors += u64::from(end == End::Failed);
        }
        (Kind::Stream, _) => counts.streams += 1,
        (Kind::Leased(_), _) => {
            counts.jobs += 1;
            counts.jobs_failed += u64::from(end == End::Failed);
        }
    }
}
