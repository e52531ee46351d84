//! What is reported of an instance.

use super::life::{Stage, Unleased};
use super::machine::Supervisor;
use crate::lease::Ledger;
use naru_model::{InProgress, InstanceStatus, Phase, Time};

/// So many leases are told one by one: 300 kB of a report.
const MAX_LISTED: usize = 1_000;

impl Supervisor {
    /// What is to be reported now, with what the instance's ledger holds.
    pub fn status(&self, now: Time, ledger: &Ledger) -> InstanceStatus {
        let life = self.life();
        let phase = life.stage.phase();
        let (busy, busy_since) = self.told_busy(ledger);
        InstanceStatus {
            phase,
            since: life.since,
            started: life.running.map(|running| running.started),
            pid: life.running.map(|running| running.pid),
            address: life.address.clone(),
            ports: life.ports.clone(),
            image: life.image.clone(),
            restarts: life.restarts,
            last_exit: life.last_exit.clone(),
            quiet_told: phase >= Phase::Quiet && (phase != Phase::Quiet || self.is_quiet_told()),
            jobs: InProgress { jobs: ledger.open().max(busy), ..InProgress::default() },
            open_jobs: ledger.oldest_jobs(MAX_LISTED).into_iter().cloned().collect(),
            oldest_job: ledger.oldest().into_iter().chain(busy_since).min(),
            last_job: ledger.last_ended().max(self.busy.last_busy()),
            note: self.notes.shown(),
            counts: ledger.counts(),
            job_durations: ledger.durations().clone(),
            ended_badly: ledger.ended_badly().cloned().collect(),
            restart_in: match life.stage {
                Stage::Waiting(at) if life.run > 0 => Some(at.since(now)),
                _ => None,
            },
        }
    }

    /// Jobs by the last answer of the busy check, and since when there were any. Until an agent has an answer of
    /// its own, that of the one before it holds.
    fn told_busy(&self, ledger: &Ledger) -> (u64, Option<Time>) {
        let life = self.life();
        match life.unleased {
            _ if life.running.is_none() => (0, None),
            Unleased::Jobs { jobs, since, .. } if !self.busy.is_asked() => {
                (ledger.open() + jobs, Some(since))
            }
            _ => (self.busy.jobs(), self.busy.since().filter(|_| self.busy.jobs() > 0)),
        }
    }
}
