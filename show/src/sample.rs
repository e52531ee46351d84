//! Values for the tests of what people are shown.

use naru_model::{
    Duty, EdgeSnapshot, Ending, Generation, InProgress, InstanceId, InstanceSnapshot, InstanceStatus,
    InstanceView, Intent, Latencies, ListenerSnapshot, MadeBy, Operation, OperationId, OperationKind,
    OperationPhase, Phase, Protocol, ReleaseNo, RuleSnapshot, RuleTally, Span, StackName, Target, Time,
};

/// An instance, made at minute 1. One that retires has a job left.
pub fn instance(
    stack: &str,
    service: &str,
    release: u64,
    number: u64,
    phase: Phase,
    duty: Duty,
) -> InstanceView {
    let (stack, service, release): (StackName, _, _) = (stack.into(), service.into(), ReleaseNo(release));
    let retires = duty == Duty::Retiring;
    let id = InstanceId::new(&stack, &service, release, number);
    InstanceView {
        waits_for: retires.then(|| format!("{id} finishes 1 job")),
        id,
        stack,
        service,
        run: None,
        one_off: false,
        release,
        current: !retires,
        node: "here".into(),
        made: Time(60_000),
        duty,
        intent: if retires { Intent::Quiet } else { Intent::Run },
        status: Some(status(phase)),
        work: InProgress { jobs: u64::from(retires), ..InProgress::default() },
        retired_by: retires.then_some(OperationId(7)),
        estimate: retires.then_some(Span::mins(2)),
    }
}

/// What its agent says.
pub fn status(phase: Phase) -> InstanceStatus {
    InstanceStatus {
        phase,
        since: Time(61_000),
        started: Some(Time(60_500)),
        pid: Some(4711),
        address: None,
        image: None,
        ports: [(80, 40_001)].into(),
        restarts: 0,
        last_exit: None,
        quiet_told: false,
        jobs: InProgress::default(),
        open_jobs: vec![],
        oldest_job: None,
        last_job: None,
        note: None,
        counts: Default::default(),
        job_durations: Default::default(),
        ended_badly: vec![],
        restart_in: None,
    }
}

/// Operation 7, a deploy of release 2 over release 1, begun at minute 1.
pub fn deploy(stack: &str) -> Operation {
    Operation {
        id: OperationId(7),
        stack: stack.into(),
        kind: OperationKind::Deploy,
        actor: "mina".into(),
        message: Some("new model".into()),
        began: Time(60_000),
        phase: OperationPhase::Running,
        outcome: None,
        cut_over: None,
        ended: None,
        release: Some(ReleaseNo(2)),
        before: Some(Target {
            release: ReleaseNo(1),
            replicas: Default::default(),
            stopped: Default::default(),
        }),
        back: None,
        ending: Ending::Finish,
        promoted: None,
        services: Default::default(),
        log: vec![],
        receipt: Default::default(),
    }
}

/// An edge that began at 10 s, with `n` requests answered by an instance and `n` by the edge itself, with 503.
pub fn traffic(at: Time, n: u64) -> EdgeSnapshot {
    let mut counts = [0; Latencies::BUCKETS];
    counts[Latencies::bucket(3_100)] = n;
    let latencies = Latencies::new(counts, n * 3_100);
    let tally =
        RuleTally { answers: [0, 0, n, 0, 0, n], latencies: latencies.clone(), ..RuleTally::default() };
    let listener = ListenerSnapshot {
        name: "shop/api:80@0.0.0.0:8080".into(),
        address: "0.0.0.0:8080".into(),
        protocol: Protocol::Http,
        stack: "shop".into(),
        accepted: 1,
        turned_away: 0,
        open: 1,
        draining: 0,
        held: 3,
        rules: vec![RuleSnapshot { name: String::new(), service: Some("api".into()), tally }],
    };
    let made_by = MadeBy { stack: "shop".into(), service: "api".into(), release: ReleaseNo(2) };
    let answers = [0, n, 0, 0, 0];
    let instance =
        InstanceSnapshot { made_by: Some(made_by), answers, latencies, ..InstanceSnapshot::default() };
    EdgeSnapshot {
        node: "node".into(),
        edge: "edge".into(),
        began: Time(10_000),
        at,
        acked: Generation(1),
        listeners: vec![listener],
        instances: [("shop.api.2.1".into(), instance)].into(),
        access_logs: Default::default(),
        draining: vec![],
    }
}
