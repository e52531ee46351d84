//! Jobs and their ledger: leases given, kept up, ended, expired, by the real machine on the agent's disk.

use crate::event::AgentEvent;
use crate::sight::Sight;
use crate::sim::Sim;
use crate::work::{End, WorkId};
use naru_model::{InstanceId, Outcome, Span};
use naru_supervise::Input;
use naru_supervise::lease::{Beat, Entry, Ledger, Request};

/// What a workload is told that asks for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseAnswer {
    Given,
    Refused,
    NoAgent,
}

impl Sim {
    /// The ledger of an instance, if its agent is up.
    pub(crate) fn ledger(&mut self, id: &InstanceId, node: usize) -> Option<&mut Ledger> {
        let agent = &mut self.agents[node];
        if agent.is_up() { agent.disk.ledgers.get_mut(id) } else { None }
    }

    /// A lease for a job.
    pub(crate) fn takes_lease(
        &mut self,
        node: usize,
        id: &InstanceId,
        job: WorkId,
        ttl: Span,
    ) -> LeaseAnswer {
        let now = self.ground.now;
        let Some(ledger) = self.ledger(id, node) else { return LeaseAnswer::NoAgent };
        let request = Request::new("job", Some(ttl)).expect("the name is there and the ttl within bounds");
        let taken = ledger.take(now, job.0 as u64, request);
        let open = ledger.open();
        match taken {
            Ok(_) => {
                self.agent_input(node, id, Input::Leases(open));
                self.watch_leases(node, id);
                LeaseAnswer::Given
            }
            Err(_) => LeaseAnswer::Refused,
        }
    }

    /// A job's heartbeat.
    pub(crate) fn beats(&mut self, node: usize, id: &InstanceId, job: WorkId) {
        let now = self.ground.now;
        let Some(ledger) = self.ledger(id, node) else { return };
        if let Err(gone) = ledger.beat(now, &job.0.to_string(), Beat::default()) {
            self.checks.lease_taken_away(&mut self.ground, id, &gone.to_string());
        }
    }

    /// The workload says that its job has ended. Whether the agent heard it.
    pub(crate) fn ends_lease(&mut self, node: usize, id: &InstanceId, job: WorkId, outcome: Outcome) -> bool {
        let now = self.ground.now;
        let Some(ledger) = self.ledger(id, node) else { return false };
        let heard = ledger.end(now, &job.0.to_string(), outcome).is_ok();
        let open = ledger.open();
        if heard {
            self.work_ends(job, if outcome == Outcome::Failed { End::Failed } else { End::Done });
        }
        self.agent_input(node, id, Input::Leases(open));
        heard
    }

    pub(crate) fn watch_leases(&mut self, node: usize, id: &InstanceId) {
        let Some(at) = self.ledger(id, node).and_then(|ledger| ledger.wake()) else { return };
        let agent = &mut self.agents[node];
        let Some(machine) = agent.machines.get_mut(id) else { return };
        if machine.look.is_none_or(|look| look > at || look < self.ground.now) {
            machine.look = Some(at);
            let expires = agent.event(node, AgentEvent::Expires(id.clone()));
            self.ground.at(at, expires);
        }
    }

    pub(crate) fn expire_leases(&mut self, node: usize, id: &InstanceId) {
        let now = self.ground.now;
        if let Some(machine) = self.agents[node].machines.get_mut(id)
            && machine.look.take_if(|look| *look <= now).is_none()
        {
            return;
        }
        let Some(ledger) = self.ledger(id, node) else { return };
        if ledger.wake().is_none_or(|at| at > now) {
            return self.watch_leases(node, id);
        }
        let entries = ledger.expire(now);
        let open = ledger.open();
        if !entries.is_empty() {
            self.ground.sees(Sight::LeaseExpired);
        }
        self.close_books(&entries, End::Lost);
        self.agent_input(node, id, Input::Leases(open));
        self.watch_leases(node, id);
    }

    /// Ends in the books what the ledger closed.
    pub(crate) fn close_books(&mut self, entries: &[Entry], end: End) {
        for entry in entries {
            let Entry::Ended(ending) = entry else { continue };
            let job = WorkId(ending.id.parse().expect("its number was given as a number"));
            if !matches!(self.books.get(job).place, crate::work::Place::Ended(_)) {
                self.books.end(&mut self.host, job, end);
            }
        }
    }
}
