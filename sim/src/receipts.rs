//! What receipts say of an instance, against the books, once it is accounted for and forgotten.
//!
//! An edge that died leaves its counts behind, and its next life hands them in. Only where the server took it for
//! gone without having heard them may the receipts say less; then they have to say that something is unknown.
//! What it carried by its last report counts as lost then, even if it had been answered since. They never say
//! more than there was.

use crate::property::{ON_ONE_RECEIPT, TRUE_RECEIPT};
use crate::sim::Sim;
use naru_model::{Counts, InstanceId, InstanceRecord};

/// What went wrong with work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bad {
    /// Requests and streams that were lost or cut, and jobs that were cut.
    broken: u64,
    jobs_lost: u64,
    handed_over: u64,
}

/// Whether all was heard that edges counted in the life of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edges {
    Heard,
    Unheard,
}

impl Sim {
    /// An instance is forgotten: what its receipt says is compared with the books.
    pub(crate) fn check_receipt(&mut self, record: &InstanceRecord) {
        if record.run.is_some() {
            return self.check_run_receipt(record);
        }
        let id = &record.id;
        let truth = self.books.truth.get(id).copied().unwrap_or_default();
        let line = self.store.records.operations.values().find_map(|operation| {
            let line = operation.receipt.instances.get(id)?;
            line.exited.is_some().then(|| line.clone())
        });
        let Some(line) = line else {
            let what = format!("{id} is forgotten, and no receipt tells of it");
            return self.ground.violated(&TRUE_RECEIPT, &[id.as_str()], what);
        };
        let edges = if self.checks.unheard_since(record.made) { Edges::Unheard } else { Edges::Heard };
        let told_by_check = self.books.unleased.get(id).copied().unwrap_or_default();
        let lie = lie(&without_checked(line.lifetime, &truth, told_by_check), &truth, edges);
        let silence = edges == Edges::Unheard
            && through_edges(&line.lifetime) < through_edges(&truth)
            && !self.says_unknown(record);
        if let Some(lie) = lie.or(silence.then_some("less than there was, and nothing is said to be unknown"))
        {
            let what =
                format!("the receipt of {id}: {lie}; it says {:?}, and {truth:?} is true", line.lifetime);
            return self.ground.violated(&TRUE_RECEIPT, &[id.as_str(), "edge "], what);
        }
        if self.checks.remembers(&record.stack) {
            self.check_sum(id, Bad::of(&line.lifetime), edges);
        }
    }

    /// All receipts together tell of each loss once.
    fn check_sum(&mut self, id: &InstanceId, lived: Bad, edges: Edges) {
        let mut told = Counts::default();
        for operation in self.store.records.operations.values() {
            if let Some(line) = operation.receipt.instances.get(id) {
                told += line.during;
            }
        }
        let told = Bad::of(&told);
        let right = match edges {
            Edges::Heard => told == lived,
            // What an incident told of an edge that then died unseen is in no later count.
            Edges::Unheard => told.jobs_lost == lived.jobs_lost,
        };
        if !right {
            let what = format!("{id}: all receipts together tell of {told:?}, and {lived:?} happened");
            self.ground.violated(&ON_ONE_RECEIPT, &[id.as_str(), "edge "], what);
        }
    }

    /// Whether a receipt of its stack, in its time, says that something is unknown.
    fn says_unknown(&self, record: &InstanceRecord) -> bool {
        let mine = self.store.records.operations.values().filter(|one| one.stack == record.stack);
        mine.filter(|one| one.ended.is_none_or(|at| at >= record.made))
            .any(|one| !one.receipt.unknown.is_empty())
    }
}

impl Bad {
    fn of(counts: &Counts) -> Bad {
        Bad {
            broken: counts.requests_lost + counts.streams_lost + counts.cut,
            jobs_lost: counts.jobs_lost,
            handed_over: counts.handed_over,
        }
    }
}

/// A receipt also counts as lost, or cut, the jobs that the last busy check told of. Those are as many as it said,
/// not as many as there were: up to all that ever were, they are left out here.
fn without_checked(mut said: Counts, is: &Counts, jobs: u64) -> Counts {
    let extra = |said: u64, is: u64| said.saturating_sub(is).min(jobs);
    said.jobs_lost -= extra(said.jobs_lost, is.jobs_lost);
    said.cut -= extra(said.cut, is.cut);
    said
}

/// All that an instance got through edges, whatever became of it.
fn through_edges(counts: &Counts) -> u64 {
    let broken = counts.requests_lost + counts.streams_lost;
    counts.requests + counts.streams + broken + counts.handed_over
}

/// What a receipt says of a whole life and is not true.
fn lie(said: &Counts, is: &Counts, edges: Edges) -> Option<&'static str> {
    let jobs = |counts: &Counts| (counts.jobs, counts.jobs_failed, counts.jobs_lost);
    match () {
        () if jobs(said) != jobs(is) => Some("jobs differ"),
        () if edges == Edges::Unheard => {
            // A cut that the books know of is a loss to an edge.
            let most = through_edges(is) + is.cut;
            (through_edges(said) > most).then_some("more requests and streams than there were")
        }
        () if said.requests != is.requests => Some("requests differ"),
        () if said.errors != is.errors => Some("errors differ"),
        () if said.streams != is.streams => Some("streams differ"),
        () if Bad::of(said) != Bad::of(is) => Some("what was lost, cut or handed over differs"),
        () => None,
    }
}
