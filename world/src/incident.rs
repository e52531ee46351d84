//! What nobody ordered: instances that crash, and edges that die. Each gets an operation of its own, whose
//! receipt lists what was lost with it.

use crate::draft::Draft;
use crate::{EdgeRecord, World};
use naru_model::{
    Counts, Duty, EdgeId, EdgeReport, Ending, Exit, InProgress, InstanceId, InstanceReceipt, InstanceRecord,
    InstanceStatus, NodeId, Operation, OperationId, OperationKind, OperationOutcome, OperationPhase, Phase,
    Reason, Receipt, RestartPolicy, Service, Span, StackName, Time,
};
use std::collections::BTreeMap;

/// So long after the last crash of an instance, its incident is over: edges and agent have told all by then.
const CALM: Span = Span::secs(5);

/// Takes over from edges that are gone: an edge that reports for the first time holds its node's lock, so the
/// one before it is gone. What that one had counted is kept, once; what it carried is lost, and told.
pub fn replace_edges(draft: &mut Draft) {
    for (node, newest) in newest_edges(draft.world) {
        let known = draft.world.edges.get(&node);
        if known.is_some_and(|known| known.edge == newest.edge) {
            continue;
        }
        if let Some(gone) = known {
            match draft.world.reports.get(&gone.edge) {
                Some(report) => fold(draft, report),
                None => tell_unseen(draft, &gone.edge),
            }
        }
        let (edge, began) = (newest.edge.clone(), newest.began);
        draft.write_edge(EdgeRecord { node, edge, began });
    }
}

fn newest_edges(world: &World) -> BTreeMap<NodeId, &EdgeReport> {
    let mut newest: BTreeMap<NodeId, &EdgeReport> = BTreeMap::new();
    for report in world.reports.values() {
        let known = newest.entry(report.node.clone()).or_insert(report);
        if (known.began, &known.edge) < (report.began, &report.edge) {
            *known = report;
        }
    }
    let is_new = |node: &NodeId, report: &EdgeReport| {
        world.edges.get(node).is_none_or(|known| (known.began, &known.edge) <= (report.began, &report.edge))
    };
    newest.retain(|node, report| is_new(node, report));
    newest
}

/// Adds an edge's counts to its instances' past, and opens an incident where it carried anything.
fn fold(draft: &mut Draft, report: &EdgeReport) {
    let mut carried: BTreeMap<StackName, (InProgress, Vec<InstanceId>)> = BTreeMap::new();
    let mut told: Vec<(OperationId, InstanceId, Counts)> = Vec::new();
    for (id, counts) in &report.instances {
        let Some(record) = draft.instance_mut(id) else { continue };
        if !record.past.edges.insert(report.edge.clone()) {
            continue;
        }
        let (requests, streams) = (counts.in_progress.requests, counts.in_progress.streams);
        let broken = Counts { requests_lost: requests, streams_lost: streams, ..Counts::default() };
        record.past.counts += counts.counts;
        record.past.counts += broken;
        record.past.request_durations.add(&counts.request_durations);
        if !counts.in_progress.is_idle() {
            record.on_incidents += broken;
            let told_there = record.incident.map(|open| (open, id.clone(), broken));
            told.extend(told_there);
            let entry = carried.entry(record.stack.clone()).or_default();
            entry.0 += counts.in_progress;
            entry.1.push(id.clone());
        }
    }
    // What the edge took with it is on its own incident; the instance's, if one is open, does not tell it again.
    for (open, id, broken) in told {
        if let Some(operation) = draft.operation_mut(open) {
            *operation.receipt.baseline.entry(id).or_default() += broken;
        }
    }
    for (stack, (work, instances)) in carried {
        let mut operation = open(draft, stack);
        operation.say(draft.now, Reason::EdgeGone { edge: report.edge.clone(), carried: work });
        let unknown = "what it carried is what it had last written down: some of it may have been answered all the same";
        operation.receipt.unknown.push(unknown.into());
        for id in instances {
            let in_progress = report.instances[&id].in_progress;
            let lost = Counts {
                requests_lost: in_progress.requests,
                streams_lost: in_progress.streams,
                ..Counts::default()
            };
            if let Some(record) = draft.instance(&id).cloned() {
                operation.receipt.instances.insert(id, line(draft, &record, lost));
            }
        }
        close(&mut operation, draft.now);
        draft.add_operation(operation);
    }
}

fn tell_unseen(draft: &mut Draft, edge: &EdgeId) {
    let named = draft.world.routes.listeners.iter().map(|listener| listener.stack.clone());
    let stacks: std::collections::BTreeSet<_> = named.collect();
    for stack in stacks {
        let mut operation = open(draft, stack);
        let reason = Reason::EdgeGoneUnseen { edge: edge.clone() };
        operation.receipt.unknown.push(reason.to_string());
        operation.say(draft.now, reason);
        close(&mut operation, draft.now);
        draft.add_operation(operation);
    }
}

/// Opens, goes on with and closes the incidents of instances that ended though nobody told them to, or that
/// lost work.
pub fn notice_losses(draft: &mut Draft) {
    let all: Vec<_> = draft.instances().cloned().collect();
    for one in all {
        let deaths = draft.world.status(&one.id).map_or(0, deaths);
        let losses = losses(draft.world.counted(&one));
        match one.duty {
            Duty::Retiring if one.incident.is_some() => end_incident(draft, &one.id),
            Duty::Retiring => {}
            _ if !draft.world.is_heard(&one.id) => {}
            _ if deaths > one.restarts_told
                || losses.lost() > one.on_incidents.lost()
                || one.incident.is_some() =>
            {
                tell(draft, &one, deaths, losses);
            }
            _ => {}
        }
    }
}

/// How often it ended other than as it should.
fn deaths(status: &InstanceStatus) -> u32 {
    let failed = status.last_exit.as_ref().is_some_and(|exit| !exit.is_success());
    // A restart counts when it is made; until then the end itself does.
    let is_down = matches!(status.phase, Phase::Exited | Phase::Pending);
    status.restarts + u32::from(is_down && failed)
}

fn tell(draft: &mut Draft, one: &InstanceRecord, deaths: u32, losses: Counts) {
    let news = losses - one.on_incidents;
    let died = deaths > one.restarts_told;
    let is_told = one.duty == Duty::Warming || is_failed_step(draft, one);
    let is_noise = is_told && news.lost() == 0 && one.incident.is_none();
    let id = match one.incident {
        Some(id) => Some(id),
        None if is_noise => None,
        None => Some(begin_incident(draft, one)),
    };
    if let Some(id) = id {
        say(draft, one, id, died.then_some(deaths), news);
        list(draft, one, id, losses);
    }
    if let Some(record) = draft.instance_mut(&one.id) {
        record.restarts_told = record.restarts_told.max(deaths);
        if id.is_some() {
            record.on_incidents = losses;
        }
    }
    if let Some(id) = id {
        calm(draft, one, id);
    }
}

/// Whether it runs to its end as a step of the open rollout, which then says by itself that the step has failed.
fn is_failed_step(draft: &Draft, one: &InstanceRecord) -> bool {
    let opens = draft.steering(&one.stack).is_some_and(|operation| operation.cut_over.is_none());
    let is_fresh = draft.fingerprint(&one.stack, &one.service).as_ref() == Some(&one.fingerprint);
    let runs_once = |service: &Service| service.template.restart.policy == RestartPolicy::No;
    opens && is_fresh && draft.wanted_definition(&one.stack, &one.service).is_some_and(runs_once)
}

fn say(draft: &mut Draft, one: &InstanceRecord, id: OperationId, died: Option<u32>, news: Counts) {
    let instance = one.id.clone();
    let status = draft.world.status(&one.id);
    if died.is_some() {
        let exit = status.and_then(|status| status.last_exit.clone()).unwrap_or(Exit::Unknown);
        let restarts = status.filter(|status| !status.phase.is_over()).map_or(0, |status| status.restarts);
        draft.say(id, Reason::Crashed { instance, exit, restarts });
    } else if news.lost() > 0 {
        let (requests, streams, jobs) = (news.requests_lost, news.streams_lost, news.jobs_lost);
        draft.say(id, Reason::Loses { instance, requests, streams, jobs });
    }
}

/// Brings the instance's line on the incident's receipt up to date.
fn list(draft: &mut Draft, one: &InstanceRecord, id: OperationId, losses: Counts) {
    let lifetime = draft.world.counted(one);
    let jobs = draft.world.status(&one.id).map(|status| status.ended_badly.clone()).unwrap_or_default();
    let Some(operation) = draft.operation_mut(id) else { return };
    let base = operation.receipt.baseline.get(&one.id).copied().unwrap_or_default();
    let began = operation.began;
    if let Some(line) = operation.receipt.instances.get_mut(&one.id) {
        line.during = losses - base;
        line.lifetime = lifetime;
        let recent = jobs.into_iter().filter(|job| job.ended.is_none_or(|at| at + CALM >= began));
        line.jobs = recent.collect();
    }
}

/// The part of the counts that an incident is about.
fn losses(counts: Counts) -> Counts {
    Counts {
        handed_over: counts.handed_over,
        requests_lost: counts.requests_lost,
        streams_lost: counts.streams_lost,
        jobs_lost: counts.jobs_lost,
        ..Counts::default()
    }
}

fn begin_incident(draft: &mut Draft, one: &InstanceRecord) -> OperationId {
    let mut operation = open(draft, one.stack.clone());
    operation.receipt.baseline.insert(one.id.clone(), one.on_incidents);
    operation.receipt.instances.insert(one.id.clone(), line(draft, one, Counts::default()));
    let id = operation.id;
    draft.add_operation(operation);
    if let Some(record) = draft.instance_mut(&one.id) {
        record.incident = Some(id);
    }
    id
}

/// An incident is over when nothing more was lost, and its instance has been well or ended for good, for a
/// while.
fn calm(draft: &mut Draft, one: &InstanceRecord, id: OperationId) {
    let Some(status) = draft.world.status(&one.id) else { return };
    if !matches!(status.phase, Phase::Ready | Phase::Exited) {
        return;
    }
    let told = draft.operation(id).and_then(|operation| operation.log.last()).map(|last| last.at);
    let due = told.unwrap_or(draft.now).max(status.since) + CALM;
    match draft.now < due {
        true => draft.wake_at(due),
        false => end_incident(draft, &one.id),
    }
}

/// Closes the incident that is open about an instance, if one is.
pub fn end_incident(draft: &mut Draft, id: &InstanceId) {
    let now = draft.now;
    let Some(id) = draft.instance_mut(id).and_then(|record| record.incident.take()) else { return };
    if let Some(operation) = draft.operation_mut(id) {
        close(operation, now);
    }
}

fn close(operation: &mut Operation, now: Time) {
    operation.ended = Some(now);
    operation.phase = OperationPhase::Done;
    operation.outcome = Some(OperationOutcome::Succeeded);
    operation.receipt.baseline.clear();
}

/// An incident that is over as it is told.
pub fn tell_at_once(draft: &mut Draft, stack: &StackName, reason: Reason) {
    let mut operation = open(draft, stack.clone());
    operation.say(draft.now, reason);
    close(&mut operation, draft.now);
    draft.add_operation(operation);
}

fn open(draft: &Draft, stack: StackName) -> Operation {
    unordered(draft, stack, OperationKind::Incident)
}

/// An operation that nobody ordered, and that has just begun.
pub fn unordered(draft: &Draft, stack: StackName, kind: OperationKind) -> Operation {
    Operation {
        id: draft.next_operation(),
        stack,
        kind,
        actor: "naru".into(),
        message: None,
        began: draft.now,
        phase: OperationPhase::Running,
        outcome: None,
        cut_over: None,
        ended: None,
        release: None,
        before: None,
        back: None,
        ending: Ending::Finish,
        promoted: None,
        services: BTreeMap::new(),
        log: vec![],
        receipt: Receipt::default(),
    }
}

fn line(draft: &Draft, record: &InstanceRecord, during: Counts) -> InstanceReceipt {
    InstanceReceipt {
        service: record.service.clone(),
        release: record.release,
        retired: draft.now,
        unrouted: None,
        quiet: None,
        found: draft.world.work(&record.id),
        idle: None,
        exited: None,
        waited: Span::ZERO,
        alarmed: None,
        during,
        lifetime: draft.world.counted(record),
        jobs: vec![],
    }
}
