//! Planted faults: each tampers with what passes between the deciding code and the world, as a plausible bug
//! of either side would, and the properties must notice. The real code's paths know nothing of them.

use crate::ground::Ground;
use naru_decide::{World, Write};
use naru_model::{AgentReport, EdgeReport, InProgress, InstanceId, Intent, OperationKind, Stage, Time};

macro_rules! sabotages {
    ($($(#[$doc:meta])* $variant:ident: $name:literal,)*) => {
        /// A planted fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sabotage { $($(#[$doc])* $variant,)* }

        impl Sabotage {
            /// All of them.
            pub const ALL: &[Sabotage] = &[$(Sabotage::$variant),*];

            /// As it is named on a command line.
            pub fn name(self) -> &'static str {
                match self { $(Sabotage::$variant => $name,)* }
            }
        }
    };
}

sabotages! {
    /// Quiet before the edges have acknowledged: the server takes every edge's report as if it acknowledged
    /// the newest table.
    QuietBeforeAcknowledged: "quiet-before-acknowledged",
    /// SIGTERM before work is zero: once an instance is quiet, the server is told that nothing is in progress
    /// on it, and its agent's ledger closes although leases are open.
    SignalBeforeIdle: "signal-before-idle",
    /// Retirement forgotten at a server restart: a server that starts does not read the records of retiring
    /// instances.
    RetirementForgottenAtRestart: "retirement-forgotten-at-restart",
    /// A stale step carried out: neither agents nor edges nor the store compare generations.
    StaleStepCarriedOut: "stale-step-carried-out",
    /// A double count: what a dead edge had counted for an instance is added to its record twice.
    DoubleCount: "double-count",
    /// A deploy reported done before cut-over: the operation says so as soon as its first new instance was
    /// made.
    DoneBeforeCutOver: "done-before-cut-over",
    /// Nobody stays: edges do not read where clients began.
    NobodyStays: "nobody-stays",
    /// Due times forgotten at a restart: a server that starts takes what came meanwhile for seen.
    DueForgottenAtRestart: "due-forgotten-at-restart",
}

/// [`Sabotage::QuietBeforeAcknowledged`]: the world as it would be.
pub(crate) fn acknowledged(world: &World) -> World {
    let mut world = world.clone();
    let generation = world.routes.generation;
    world.reports.values_mut().for_each(|report| report.acked = report.acked.max(generation));
    world
}

/// [`Sabotage::SignalBeforeIdle`], on an agent's report.
pub(crate) fn hide_jobs(records: &World, report: &mut AgentReport) {
    for (id, status) in &mut report.instances {
        if is_quiet(records, id) {
            status.jobs = InProgress::default();
        }
    }
}

/// [`Sabotage::SignalBeforeIdle`], on an edge's report.
pub(crate) fn hide_requests(records: &World, report: &mut EdgeReport) {
    for (id, counts) in &mut report.instances {
        if is_quiet(records, id) {
            counts.in_progress = InProgress::default();
        }
    }
}

fn is_quiet(records: &World, id: &InstanceId) -> bool {
    records.instances.get(id).is_some_and(|record| record.intent == Intent::Quiet)
}

/// The faults that lie in what is written.
pub(crate) fn tamper(ground: &Ground, records: &World, writes: &mut [Write]) {
    match ground.sabotage {
        Some(Sabotage::DoubleCount) => writes.iter_mut().for_each(|write| count_twice(records, write)),
        Some(Sabotage::DoneBeforeCutOver) => {
            writes.iter_mut().for_each(|write| say_done(ground.now, write));
        }
        _ => {}
    }
}

fn count_twice(records: &World, write: &mut Write) {
    let Write::Instance(record) = write else { return };
    let before = records.instances.get(&record.id).map(|known| &known.past);
    if before.is_some_and(|past| past.edges.len() < record.past.edges.len()) {
        let more = record.past.counts - before.map(|past| past.counts).unwrap_or_default();
        record.past.counts += more;
    }
}

fn say_done(now: Time, write: &mut Write) {
    let Write::Operation(operation) = write else { return };
    let begun = operation.services.values().any(|progress| progress.stage != Stage::Waiting);
    if operation.kind == OperationKind::Deploy && operation.back.is_none() && begun {
        operation.cut_over.get_or_insert(now);
    }
}
