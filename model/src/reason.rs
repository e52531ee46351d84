//! Why: each decision's reason, as data, and the one sentence that people read of it.

use crate::{
    Condition, EdgeId, Exit, Generation, InProgress, InstanceId, OperationId, ReleaseNo, ServiceName, Span,
    Time, UsedImage, Want, plural, quantity,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Why something is done, or waited for. What each field is, its sentence below says.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Reason {
    /// New instances were made.
    Makes { service: ServiceName, release: ReleaseNo, count: u32, wanted: u32 },
    /// A container that another tool made becomes an instance.
    Imports { instance: InstanceId, container: String },
    /// A reference means another image than it did for the release before.
    OtherImage { service: ServiceName, reference: String, was: UsedImage, is: UsedImage },
    /// A dependency is not there yet.
    WaitsForDependency { service: ServiceName, on: ServiceName, condition: Condition },
    /// Too many releases retire side by side.
    WaitsForRetirement { service: ServiceName, retiring: u32, max: u32 },
    /// New instances are not all ready.
    WaitsForReady { service: ServiceName, ready: u32, wanted: u32 },
    /// The old instance has to end before the new one may start.
    WaitsForHandOver { service: ServiceName, instance: InstanceId },
    /// The time between batches.
    WaitsForDelay { service: ServiceName, delay: Span },
    /// The new set has to stay ready.
    WaitsForSoak { service: ServiceName, soak: Span },
    /// A person's word.
    WaitsForPromotion { service: ServiceName },
    /// A canary's step.
    HoldsShare { service: ServiceName, percent: u32, hold: Span },
    /// A canary's step began.
    Shares { service: ServiceName, percent: u32, release: ReleaseNo },
    /// The new set takes all traffic.
    Promotes { service: ServiceName, release: ReleaseNo },
    /// Edges have not acknowledged the table.
    WaitsForEdges { generation: Generation, behind: Vec<EdgeId> },
    /// No edge is there to acknowledge.
    WaitsForAnEdge { generation: Generation },
    /// The service's new definition serves.
    CutOver { service: ServiceName, release: ReleaseNo },
    /// The operation's person need not wait any longer.
    Serves { took: Span },
    /// The new instances are watched.
    Watches { monitor: Span },
    /// A new instance ended.
    Ended { instance: InstanceId, exit: Exit },
    /// A new instance is not ready in its time.
    NotReady { instance: InstanceId, within: Span, note: Option<String> },
    /// The new instances answer too many requests with errors.
    Errors { service: ServiceName, permille: u64, before: u64, limit: u32 },
    /// Back to the release before.
    RollsBack { to: ReleaseNo },
    /// A failure, and there is nothing to go back to.
    NothingToGoBackTo,
    /// A failure, and the file says to stop there.
    PausesOnFailure { service: ServiceName },
    /// A failure within what the file says is borne.
    Bears { service: ServiceName, failed: u32, wanted: u32 },
    /// An instance is on its way out.
    Retires { instance: InstanceId, found: InProgress },
    /// An instance leaves the routes and may come back.
    Holds { instance: InstanceId },
    /// An instance is back in the routes.
    TakesBack { instance: InstanceId },
    /// It is told to take no new work.
    Quiets { instance: InstanceId },
    /// Its work is in progress.
    WaitsForWork { instance: InstanceId, work: InProgress, estimate: Option<Span> },
    /// It goes on for clients that began there.
    WaitsForClients { instance: InstanceId, left: Span },
    /// Its node's agent has not been heard.
    WaitsForAgent { instance: InstanceId },
    /// It must outlive those that call it.
    WaitsForCallers { service: ServiceName, caller: InstanceId },
    /// Its work is at zero.
    Stops { instance: InstanceId, waited: Span },
    /// Its work is ended on somebody's order.
    Cuts { instance: InstanceId, work: InProgress, by: String },
    /// It is gone.
    Gone { instance: InstanceId, exit: Exit },
    /// Its work outlasts `postpone_max`.
    Alarm { instance: InstanceId, waited: Span, limit: Span },
    /// A later operation took over.
    Superseded { by: OperationId },
    /// A person's word.
    Ordered { actor: String, what: String },
    /// An instance ended unexpectedly.
    Crashed { instance: InstanceId, exit: Exit, restarts: u32 },
    /// Work was lost, though the instance lives.
    Loses { instance: InstanceId, requests: u64, streams: u64, jobs: u64 },
    /// An edge is gone with what it carried.
    EdgeGone { edge: EdgeId, carried: InProgress },
    /// An edge is gone, and nobody knows what it carried.
    EdgeGoneUnseen { edge: EdgeId },
    /// Due times of a job at which nothing could be begun. `count` of [`Reason::COUNTED`] is that many or more.
    RunsMissed { job: ServiceName, count: u64, first: Time, last: Time, made_up: bool },
    /// A run of a job has failed, and there is no further try.
    RunFailed { job: ServiceName, run: u64, tries: u32, exit: Exit, timeout: Option<Span> },
    /// Its hours have begun, and enough others start already.
    WaitsForTurn { service: ServiceName, starting: u32 },
    /// A run waits for the one before it.
    WaitsForRun { job: ServiceName, run: u64 },
    /// An address could not be opened.
    CannotListen { address: String, error: String },
    /// A service is to be on.
    Wakes { service: ServiceName, want: Want },
    /// A service is to be asleep.
    FallsAsleep { service: ServiceName, want: Want },
    /// It is to be on again before it slept.
    TurnsBack { service: ServiceName, want: Want },
    /// Nothing is left to do.
    Done,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::WaitsForDependency { .. }
            | Reason::WaitsForRetirement { .. }
            | Reason::WaitsForReady { .. }
            | Reason::WaitsForHandOver { .. }
            | Reason::WaitsForDelay { .. }
            | Reason::WaitsForSoak { .. }
            | Reason::WaitsForPromotion { .. }
            | Reason::WaitsForEdges { .. }
            | Reason::WaitsForAnEdge { .. }
            | Reason::WaitsForWork { .. }
            | Reason::WaitsForClients { .. }
            | Reason::WaitsForAgent { .. }
            | Reason::WaitsForCallers { .. }
            | Reason::WaitsForTurn { .. }
            | Reason::WaitsForRun { .. }
            | Reason::HoldsShare { .. }
            | Reason::Watches { .. } => self.fmt_wait(f),
            Reason::Ended { .. }
            | Reason::NotReady { .. }
            | Reason::Errors { .. }
            | Reason::RollsBack { .. }
            | Reason::NothingToGoBackTo
            | Reason::PausesOnFailure { .. }
            | Reason::Bears { .. }
            | Reason::Alarm { .. }
            | Reason::Crashed { .. }
            | Reason::Loses { .. }
            | Reason::EdgeGone { .. }
            | Reason::EdgeGoneUnseen { .. }
            | Reason::RunsMissed { .. }
            | Reason::RunFailed { .. }
            | Reason::CannotListen { .. } => self.fmt_fault(f),
            _ => self.fmt_step(f),
        }
    }
}

impl Reason {
    /// Missed runs are counted one by one up to so many.
    pub const COUNTED: u64 = 1_000;

    fn fmt_wait(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::WaitsForDependency { service, on, condition } => {
                let come = match condition {
                    Condition::ServiceStarted => "to have started",
                    Condition::ServiceHealthy => "to be ready",
                    Condition::ServiceCompletedSuccessfully => "to have ended with status 0",
                };
                write!(f, "{service} waits for {on} {come}")
            }
            Reason::WaitsForRetirement { service, retiring, max } => {
                let releases = plural(u64::from(*retiring), "release");
                write!(f, "{service} waits: {releases} of it still retire, and max_retiring is {max}")
            }
            Reason::WaitsForReady { service, ready, wanted } => {
                write!(f, "{service}: {ready} of {wanted} new instances ready")
            }
            Reason::WaitsForHandOver { service, instance } => {
                write!(f, "{service} is handed over: {instance} has to end before the next may start")
            }
            Reason::WaitsForDelay { service, delay } => {
                write!(f, "{service}: {delay} between one batch and the next")
            }
            Reason::WaitsForSoak { service, soak } => {
                write!(f, "{service}: the new set is ready and is watched for {soak}")
            }
            Reason::WaitsForPromotion { service } => {
                write!(f, "{service}: the new set is ready; `naru promote` gives it the traffic")
            }
            Reason::HoldsShare { service, percent, hold } => {
                write!(f, "{service}: {percent} % of the traffic goes to the new release for {hold}")
            }
            Reason::WaitsForEdges { generation, behind } => {
                let count = plural(behind.len() as u64, "edge");
                write!(f, "{count} still to acknowledge route table {generation}")
            }
            Reason::WaitsForAnEdge { generation } => {
                write!(f, "no edge is there yet to acknowledge route table {generation}")
            }
            Reason::WaitsForWork { instance, work, estimate } => {
                write!(f, "{instance} finishes {}", quantity(*work))?;
                estimate.map_or(Ok(()), |left| write!(f, ", about {left}"))
            }
            Reason::WaitsForClients { instance, left } => {
                write!(f, "{instance} goes on for clients that began there, for {left} more")
            }
            Reason::WaitsForAgent { instance } => {
                write!(f, "nothing is known of {instance} until its node's agent reports")
            }
            Reason::WaitsForCallers { service, caller } => {
                write!(f, "{service} stays as long as {caller} may call it")
            }
            Reason::WaitsForTurn { service, starting } => {
                write!(
                    f,
                    "{service} waits for its turn: {} start already",
                    plural(u64::from(*starting), "instance")
                )
            }
            Reason::WaitsForRun { job, run } => write!(f, "{job} waits for its run {run} to end"),
            Reason::Watches { monitor } => write!(f, "serves; watched for {monitor}"),
            _ => Ok(()),
        }
    }

    fn fmt_fault(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Ended { instance, exit } => write!(f, "{instance} {exit}"),
            Reason::NotReady { instance, within, note } => {
                write!(f, "{instance} was not ready within {within}")?;
                note.as_ref().map_or(Ok(()), |note| write!(f, ": {note}"))
            }
            Reason::Errors { service, permille, before, limit } => write!(
                f,
                "{service}: {} % of the new instances' answers are errors (before: {} %, borne: {} %)",
                percent(*permille),
                percent(*before),
                percent(u64::from(*limit)),
            ),
            Reason::RollsBack { to } => write!(f, "back to release {to}"),
            Reason::NothingToGoBackTo => {
                write!(f, "failed, and there is no release to go back to: it is left as it is")
            }
            Reason::PausesOnFailure { service } => {
                write!(f, "{service} failed; failure_action is pause: `naru resume` or `naru abort`")
            }
            Reason::Bears { service, failed, wanted } => {
                write!(f, "{service}: {failed} of {wanted} failed, which is borne; going on")
            }
            Reason::Alarm { instance, waited, limit } => {
                write!(f, "{instance} has been waited for {waited}, longer than postpone_max ({limit})")
            }
            Reason::Crashed { instance, exit, restarts: 0 } => write!(f, "{instance} {exit}"),
            Reason::Crashed { instance, exit, restarts } => {
                write!(
                    f,
                    "{instance} {exit}; started again, {} in all",
                    plural(u64::from(*restarts), "restart")
                )
            }
            Reason::Loses { instance, requests, streams, jobs } => {
                let lost = InProgress { requests: *requests, streams: *streams, jobs: *jobs };
                write!(f, "{instance} lost {}", quantity(lost))
            }
            Reason::EdgeGone { edge, carried } => {
                write!(f, "edge {edge} ended while it carried {}", quantity(*carried))
            }
            Reason::EdgeGoneUnseen { edge } => {
                write!(f, "edge {edge} ended, and what it carried then was not seen")
            }
            Reason::RunsMissed { .. } | Reason::RunFailed { .. } => self.fmt_run(f),
            Reason::CannotListen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            _ => Ok(()),
        }
    }

    fn fmt_run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::RunsMissed { job, count, first, last, made_up } => {
                let more = if *count >= Reason::COUNTED { " or more" } else { "" };
                let (were, due) = if *count == 1 {
                    ("was", String::new())
                } else {
                    ("were", format!(" to {}", last.utc()))
                };
                let from = if *count == 1 { "at" } else { "from" };
                write!(
                    f,
                    "{job}: {}{more} {were} missed, due {from} {}{due}",
                    plural(*count, "run"),
                    first.utc()
                )?;
                write!(f, "{}", if *made_up { "; one run makes up for it" } else { "" })
            }
            Reason::RunFailed { job, run, tries, exit, timeout } => {
                write!(f, "{job}: run {run} has failed")?;
                if *tries > 1 {
                    write!(f, " after {tries} tries")?;
                }
                match timeout {
                    Some(limit) => write!(f, ": it took longer than its timeout ({limit})"),
                    None => write!(f, ": it {exit}"),
                }
            }
            _ => Ok(()),
        }
    }

    fn fmt_step(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Makes { service, release, count, wanted } => {
                let count = plural(u64::from(*count), "instance");
                write!(f, "{service}: starting {count} of release {release} ({wanted} wanted)")
            }
            Reason::OtherImage { service, reference, was, is } => {
                write!(f, "{service}: {reference} is image {} now, was {}", is.short(), was.short())
            }
            Reason::Imports { instance, container } => {
                let short = container.get(..12).unwrap_or(container);
                write!(f, "container {short} runs on as {instance}")
            }
            Reason::Shares { service, percent, release } => {
                write!(f, "{service}: {percent} % of the traffic goes to release {release}")
            }
            Reason::Promotes { service, release } => {
                write!(f, "{service}: all traffic goes to release {release}")
            }
            Reason::CutOver { service, release } => write!(f, "{service}: release {release} serves"),
            Reason::Serves { took } => write!(f, "cut over after {took}"),
            Reason::Retires { instance, found } if found.is_idle() => write!(f, "{instance} retires, idle"),
            Reason::Retires { instance, found } => write!(f, "{instance} retires with {}", quantity(*found)),
            Reason::Holds { instance } => write!(f, "{instance} leaves the routes, and may come back"),
            Reason::TakesBack { instance } => write!(f, "{instance} is back in the routes"),
            Reason::Quiets { instance } => write!(f, "{instance} is told to take no new work"),
            Reason::Stops { instance, waited } => {
                write!(f, "{instance} has no work left after {waited}; it is told to end")
            }
            Reason::Cuts { instance, work, by } => {
                write!(f, "{instance} is cut with {} by order of {by}", quantity(*work))
            }
            Reason::Wakes { service, want } => write!(f, "{service} wakes: {want}"),
            Reason::FallsAsleep { service, want } => write!(f, "{service} falls asleep: {want}"),
            Reason::TurnsBack { service, want } => write!(f, "{service} stays on after all: {want}"),
            Reason::Gone { instance, exit } => write!(f, "{instance} is gone: {exit}"),
            Reason::Superseded { by } => write!(f, "operation {by} takes its place"),
            Reason::Ordered { actor, what } => write!(f, "{actor}: {what}"),
            Reason::Done => write!(f, "done"),
            _ => Ok(()),
        }
    }
}

fn percent(permille: u64) -> String {
    if permille.is_multiple_of(10) {
        format!("{}", permille / 10)
    } else {
        format!("{}.{}", permille / 10, permille % 10)
    }
}
