//! A world on a bench: real judgements, a script for the rest. Agents and edges do at once what they are
//! told, unless the script holds them back; the clock moves only by the script.

use naru_decide::{Context, World, admit, reconcile};
use naru_model::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub struct Bench {
    pub world: World,
    pub now: Time,
    node: NodeId,
    seq: u64,
    /// What each instance has in progress at its agent.
    jobs: BTreeMap<String, u64>,
    /// What each instance has in progress at the edge.
    requests: BTreeMap<String, u64>,
    /// Requests that wait for a service at the edge.
    waiting: BTreeMap<ServiceName, u64>,
    /// When an instance was used last.
    used: BTreeMap<String, Used>,
    /// Requests answered so far, and those with an error.
    answered: BTreeMap<String, (u64, u64)>,
    /// What references of images mean now, as far as that is found.
    tags: Images,
    /// Services whose new instances never become ready.
    broken: BTreeSet<String>,
    /// Instances that ended by themselves.
    ended: BTreeMap<String, Exit>,
    /// The edge acknowledges no table above this.
    edge_holds: bool,
    /// Which life of the edge this is.
    edge: u64,
    acked: Generation,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    /// How much of each operation's log was told.
    told: BTreeMap<OperationId, usize>,
    pub out: String,
    started: Time,
}

impl Bench {
    pub fn new() -> Bench {
        let now = Time(1_000_000);
        let mut bench = Bench {
            world: World::default(),
            now,
            node: "here".into(),
            seq: 0,
            jobs: BTreeMap::new(),
            requests: BTreeMap::new(),
            waiting: BTreeMap::new(),
            used: BTreeMap::new(),
            answered: BTreeMap::new(),
            tags: Images::new(),
            broken: BTreeSet::new(),
            ended: BTreeMap::new(),
            edge_holds: false,
            edge: 1,
            acked: Generation(0),
            statuses: BTreeMap::new(),
            told: BTreeMap::new(),
            out: String::new(),
            started: now,
        };
        bench.report();
        bench
    }

    /// Runs a script, one command a line; the output is the story.
    pub fn run(script: &str) -> String {
        let mut bench = Bench::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            writeln!(bench.out, "> {line}").unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            bench.command(&words);
            bench.settle();
        }
        bench.out
    }

    fn command(&mut self, words: &[&str]) {
        match words {
            ["deploy", rest @ ..] => self.deploy(rest, &[]),
            ["deploy-idle", service, rest @ ..] => self.deploy_idle(rest, service),
            ["deploy-only", service, rest @ ..] => self.deploy(rest, &[(*service).into()]),
            ["plan", rest @ ..] => self.plan(rest),
            ["tag", reference, id] => self.tag(reference, id, None),
            ["tag", reference, id, digest] => self.tag(reference, id, Some(digest)),
            ["images"] => self.images(),
            ["import", rest @ ..] => self.import(rest),
            ["ports"] => self.ports(),
            ["rollback"] => self.order(Change::Rollback { to: None }, Ending::Finish),
            ["down"] => self.order(Change::Down, Ending::Finish),
            ["down", "--cut"] => self.order(Change::Down, Ending::Cut),
            ["run", job] => self.order(Change::Run { job: (*job).into() }, Ending::Finish),
            ["one-off", service, rest @ ..] => self.one_off(service, rest == ["alone"]),
            ["cancel", job, run, rest @ ..] => {
                let ending = if rest == ["--cut"] { Ending::Cut } else { Ending::Finish };
                let run = Some(run.parse().unwrap());
                self.order(Change::Cancel { job: (*job).into(), run }, ending);
            }
            ["runs"] => self.runs(),
            // The server is down, or the clock is set forward: nobody looks meanwhile.
            ["away", seconds] => self.now = self.now + Span::secs(seconds.parse().unwrap()),
            ["pause"] => self.order(Change::Pause, Ending::Finish),
            ["resume"] => self.order(Change::Resume, Ending::Finish),
            ["promote"] => self.order(Change::Promote, Ending::Finish),
            ["abort"] => self.order(Change::Abort, Ending::Finish),
            ["jobs", id, n] => drop(self.jobs.insert(id.to_string(), n.parse().unwrap())),
            ["requests", id, n] => {
                let (n, now) = (n.parse().unwrap(), self.now);
                let before = self.requests.insert(id.to_string(), n).unwrap_or(0);
                let used = self.used.entry(id.to_string()).or_default();
                if n > before {
                    used.began = Some(now);
                } else {
                    used.ended = Some(now);
                }
            }
            ["answered", id, n, errors] => {
                let counts = (n.parse().unwrap(), errors.parse().unwrap());
                self.answered.insert(id.to_string(), counts);
            }
            ["break", service] => drop(self.broken.insert(service.to_string())),
            ["mend", service] => drop(self.broken.remove(*service)),
            ["exit", id, status] => {
                self.ended.insert(id.to_string(), Exit::Status(status.parse().unwrap()));
            }
            ["edge", what @ ("holds" | "goes-on")] => self.edge_holds = *what == "holds",
            ["edge", "dies"] => {
                self.edge += 1;
                self.requests.clear();
                self.answered.clear();
            }
            ["server", "restarts"] => {
                self.world.agents.clear();
                self.world.reports.clear();
                self.step();
            }
            ["wait", seconds] => self.wait(seconds.parse::<u64>().unwrap() * 1000),
            ["ps"] => self.ps(),
            ["hosts", id] => self.hosts(id),
            ["receipt", id] => self.receipt(OperationId(id.parse().unwrap())),
            other => self.service_command(other),
        }
    }

    /// An order about one service.
    fn service_command(&mut self, words: &[&str]) {
        match words {
            ["scale", service, n] => {
                let replicas = [((*service).into(), n.parse().unwrap())].into();
                self.order(Change::Scale { replicas }, Ending::Finish);
            }
            ["stop", service] => {
                self.order(Change::Stop { services: vec![(*service).into()] }, Ending::Finish)
            }
            ["start", service] => {
                self.order(Change::Start { services: vec![(*service).into()] }, Ending::Finish)
            }
            ["restart", service] => {
                self.order(Change::Restart { services: vec![(*service).into()] }, Ending::Finish);
            }
            other => self.power_command(other),
        }
    }

    fn power_command(&mut self, words: &[&str]) {
        match words {
            ["wake", service, seconds] => {
                let within = Span::secs(seconds.parse().unwrap());
                self.order(Change::Wake { services: vec![(*service).into()], within }, Ending::Finish);
            }
            ["extend", service, seconds] => {
                let by = Span::secs(seconds.parse().unwrap());
                self.order(Change::Extend { services: vec![(*service).into()], by }, Ending::Finish);
            }
            ["sleep", rest @ ..] => {
                let (cut, names): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| **word == "--cut");
                let ending = if cut.is_empty() { Ending::Finish } else { Ending::Cut };
                let services = names.into_iter().map(ServiceName::from).collect();
                self.order(Change::Sleep { services }, ending);
            }
            ["waiting", service, n] => drop(self.waiting.insert((*service).into(), n.parse().unwrap())),
            ["power"] => self.power(),
            other => panic!("not a command: {other:?}"),
        }
    }

    /// Moves the clock, stopping wherever the judgement asked to look again.
    fn wait(&mut self, ms: u64) {
        let until = self.now + Span(ms);
        loop {
            self.settle();
            let wake = reconcile(&self.world, &self.node, self.now).wake;
            let next = wake.filter(|wake| *wake > self.now && *wake < until).unwrap_or(until);
            self.now = next;
            if next == until {
                return;
            }
        }
    }

    fn deploy(&mut self, words: &[&str], only: &[ServiceName]) {
        let (stack, images) = (Box::new(stack(words)), self.tags.clone());
        self.order(Change::Deploy { stack, only: only.to_vec(), images, idle: vec![] }, Ending::Finish);
    }

    /// With a service that is there for one-offs.
    fn deploy_idle(&mut self, words: &[&str], service: &str) {
        let (stack, images, idle) = (Box::new(stack(words)), self.tags.clone(), vec![service.into()]);
        self.order(Change::Deploy { stack, only: vec![], images, idle }, Ending::Finish);
    }

    fn one_off(&mut self, service: &str, alone: bool) {
        let environment = [("SECRET".to_string(), "hush".to_string())].into();
        let with = Box::new(OneOff { environment, alone, ..OneOff::default() });
        self.order(Change::OneOff { service: service.into(), with }, Ending::Finish);
    }

    /// What a deploy would change.
    fn plan(&mut self, words: &[&str]) {
        let plan = naru_decide::plan(&self.world, &stack(words), &[], &self.tags).unwrap();
        for one in plan.services {
            let action = format!("{:?}", one.action).to_lowercase();
            writeln!(self.out, "  {} {action} {}", one.service, one.differs.join(",")).unwrap();
            one.how.iter().for_each(|how| writeln!(self.out, "    {how}").unwrap());
        }
        plan.jobs.iter().for_each(|said| writeln!(self.out, "  {said}").unwrap());
    }

    /// A reference means this image from now on.
    fn tag(&mut self, reference: &str, id: &str, digest: Option<&str>) {
        let digest = digest.map(|digest| format!("reg/{reference}@sha256:{digest}"));
        self.tags.insert(reference.into(), UsedImage { id: format!("sha256:{id}"), digest });
    }

    /// What each instance is made from.
    fn images(&mut self) {
        for (id, one) in self.world.desired(&self.node).instances {
            let images: Vec<_> =
                one.images.iter().map(|(name, image)| format!("{name}={}", image.id)).collect();
            writeln!(self.out, "  {id} {}", images.join(" ")).unwrap();
        }
    }

    /// `SERVICE=SPEC` for what the file says, `SERVICE:CONTAINER` for what runs, `SERVICE:` for what has succeeded.
    fn import(&mut self, words: &[&str]) {
        let (file, runs): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
        let mut found = Imported::default();
        for (service, container) in runs.iter().map(|word| word.split_once(':').expect("SERVICE:CONTAINER")) {
            match container {
                "" => drop(found.done.insert(service.into())),
                _ => found.containers.entry(service.into()).or_default().push(container.into()),
            }
        }
        self.order(Change::Import { stack: Box::new(stack(&file)), found }, Ending::Finish);
    }

    /// Where the edge listens for those outside, and who answers.
    fn ports(&mut self) {
        for listener in &self.world.routes.listeners {
            if let Some((name, _)) = listener.name.split_once("@127.0.0.1:") {
                let backends = listener.all_splits().flat_map(|split| &split.backends);
                let backends: Vec<_> = backends.map(|one| one.instance.to_string()).collect();
                writeln!(self.out, "  {name}: {}", backends.join(", ")).unwrap();
            }
        }
        for one in self.world.instances.values() {
            if let Some(container) = &one.imported {
                writeln!(self.out, "  {} began as {container}", one.id).unwrap();
            }
        }
    }

    fn order(&mut self, change: Change, ending: Ending) {
        let demand = Demand { stack: "s".into(), change, ending, actor: "lee".into(), message: None };
        let context =
            Context { now: self.now, free_ports: (30000..30100).collect(), node: self.node.clone() };
        match admit(&self.world, &demand, &context) {
            Ok((admitted, writes)) => {
                admitted.notes.iter().for_each(|note| writeln!(self.out, "  note: {note}").unwrap());
                writes.into_iter().for_each(|write| self.world.apply(write));
            }
            Err(refusal) => writeln!(self.out, "  refused: {}", refusal.error).unwrap(),
        }
    }

    /// One round of the judgement; true if it wrote anything.
    fn step(&mut self) -> bool {
        let decision = reconcile(&self.world, &self.node, self.now);
        let wrote = !decision.writes.is_empty();
        self.world.generation = self.world.generation.next();
        decision.writes.into_iter().for_each(|write| self.world.apply(write));
        wrote
    }

    /// Rounds and reports, until nothing changes.
    fn settle(&mut self) {
        for _ in 0..500 {
            let wrote = self.step();
            let before = (self.statuses.clone(), self.acked);
            self.report();
            let more = !reconcile(&self.world, &self.node, self.now).writes.is_empty();
            if !wrote && !more && before == (self.statuses.clone(), self.acked) {
                return self.tell();
            }
        }
        panic!("it does not settle:\n{}", self.out);
    }

    fn report(&mut self) {
        self.seq += 1;
        let desired = self.world.desired(&self.node);
        let mut statuses = BTreeMap::new();
        let names = desired.instances.values().flat_map(|one| one.hosts.values().cloned()).collect();
        for (id, wanted) in desired.instances {
            let status = self.status(&id, &wanted);
            statuses.insert(id, status);
        }
        self.statuses = statuses.clone();
        self.world.hear_agent(AgentReport {
            node: self.node.clone(),
            incarnation: 1,
            seq: self.seq,
            applied: desired.generation,
            instances: statuses,
            zone: None,
            host_addresses: self.host_addresses(&names),
        });
        if !self.edge_holds {
            self.acked = self.world.routes.generation;
        }
        let instances =
            self.world.instances.keys().map(|id| (id.clone(), self.counts(id.as_str()))).collect();
        self.world.hear_edge(EdgeReport {
            node: self.node.clone(),
            edge: format!("edge-{}", self.edge).into(),
            began: Time(self.edge),
            seq: self.seq,
            acked: self.acked,
            instances,
            faults: vec![],
            waiting: [("s".into(), self.waiting.clone())].into(),
        });
    }

    /// What the edge has counted for an instance.
    fn counts(&self, id: &str) -> EdgeCounts {
        EdgeCounts {
            in_progress: InProgress {
                requests: self.requests.get(id).copied().unwrap_or(0),
                ..Default::default()
            },
            counts: Counts {
                requests: self.answered.get(id).map_or(0, |(n, _)| *n),
                errors: self.answered.get(id).map_or(0, |(_, n)| *n),
                ..Counts::default()
            },
            used: self.used.get(id).copied().unwrap_or_default(),
            ..EdgeCounts::default()
        }
    }

    /// An address of the node's for each service that containers call.
    fn host_addresses(
        &self,
        names: &BTreeSet<ServiceName>,
    ) -> BTreeMap<StackName, BTreeMap<ServiceName, String>> {
        let address = |name: &ServiceName| (name.clone(), format!("10.231.0.{}", name.as_str().len()));
        let all: BTreeMap<_, _> = names.iter().map(address).collect();
        if all.is_empty() { BTreeMap::new() } else { [("s".into(), all)].into() }
    }

    /// By which names an instance finds others, and what its environment says of them.
    fn hosts(&mut self, id: &str) {
        let desired = self.world.desired(&self.node);
        let Some(one) = desired.instances.get(&InstanceId::from(id)) else { return };
        for (name, service) in &one.hosts {
            writeln!(self.out, "  {name} → {service}").unwrap();
        }
        for (name, value) in &one.environment {
            writeln!(self.out, "  {name}={value}").unwrap();
        }
    }

    fn status(&self, id: &InstanceId, wanted: &DesiredInstance) -> InstanceStatus {
        let jobs = self.jobs.get(id.as_str()).copied().unwrap_or(0);
        let ended = self.ended.get(id.as_str());
        let was = self.statuses.get(id).map(|status| status.phase);
        let running = if self.broken.contains(wanted.service.as_str()) && was != Some(Phase::Ready) {
            Phase::Starting
        } else {
            Phase::Ready
        };
        let (phase, exit) = match wanted.intent {
            _ if ended.is_some() => (Phase::Exited, ended.cloned()),
            Intent::Run => (running, None),
            Intent::Quiet => (Phase::Quiet, None),
            Intent::Stop if jobs > 0 => (Phase::Quiet, None),
            Intent::Stop | Intent::Cut => (Phase::Exited, Some(Exit::Signal(15))),
        };
        let targets = wanted.template.targets.iter().map(|target| (target.port, 40000 + target.port));
        InstanceStatus {
            phase,
            since: self.statuses.get(id).filter(|was| was.phase == phase).map_or(self.now, |was| was.since),
            started: self.statuses.get(id).map_or(Some(self.now), |was| was.started),
            pid: Some(1),
            address: None,
            ports: targets.collect(),
            image: None,
            restarts: 0,
            last_exit: exit,
            quiet_told: phase == Phase::Quiet,
            jobs: InProgress { jobs, ..Default::default() },
            open_jobs: vec![],
            oldest_job: (jobs > 0).then_some(self.started),
            last_job: None,
            note: None,
            counts: Counts::default(),
            job_durations: Durations::default(),
            ended_badly: vec![],
            restart_in: None,
        }
    }

    /// Writes what operations said since last time.
    fn tell(&mut self) {
        for (id, operation) in &self.world.operations {
            let told = self.told.entry(*id).or_default();
            for entry in &operation.log[*told..] {
                let at = entry.at.since(self.started).0 as f64 / 1000.0;
                writeln!(self.out, "  {at:>6.1} #{id} {}", entry.reason).unwrap();
            }
            *told = operation.log.len();
        }
    }

    fn ps(&mut self) {
        for view in naru_decide::view::instances(&self.world, None, self.now) {
            let phase = view.status.as_ref().map_or("?".into(), |status| status.phase.to_string());
            let duty = format!("{:?}", view.duty).to_lowercase();
            let waits = view.waits_for.map(|waits| format!(" — {waits}")).unwrap_or_default();
            writeln!(self.out, "  {} {duty} {phase}{waits}", view.id).unwrap();
        }
        let listeners = &self.world.routes.listeners;
        for listener in listeners.iter().filter(|listener| !listener.name.ends_with("@internal")) {
            let split = |split: &Split| {
                let name = |one: &Backend| match one.version {
                    Some(version) => format!("{}={version}", one.instance),
                    None => one.instance.to_string(),
                };
                let who: Vec<_> = split.backends.iter().map(name).collect();
                format!("{}:[{}]", split.weight, who.join(" "))
            };
            let splits: Vec<_> = listener.splits.iter().map(split).collect();
            writeln!(self.out, "  {} → {}", listener.name, splits.join(" ")).unwrap();
        }
    }

    /// What is wanted of each service that may be asleep.
    fn power(&mut self) {
        let (started, now) = (self.started, self.now);
        let at = |time: Time| format!("{:.1}", time.since(started).0 as f64 / 1000.0);
        for service in
            naru_decide::view::stacks(&self.world, now).into_iter().flat_map(|stack| stack.services)
        {
            let Some(power) = service.power else { continue };
            let want = |want: &Want| match want.until() {
                Some(until) => format!("{want} (until {})", at(until)),
                None => want.to_string(),
            };
            let wants: Vec<_> = power.wants.iter().map(want).collect();
            let next = power.next.map(|(time, to)| format!("; {to} at {}", at(time))).unwrap_or_default();
            writeln!(self.out, "  {} {}: {}{next}", service.name, power.state, wants.join(", ")).unwrap();
        }
    }

    fn runs(&mut self) {
        for view in naru_decide::view::jobs(&self.world, None, self.now) {
            let next =
                view.next.map(|next| format!(", next in {}", next.since(self.now))).unwrap_or_default();
            let DueTally { run, held_back, missed } = view.tally;
            let name = &view.name;
            writeln!(self.out, "  {name}: {run} run, {held_back} held back, {missed} missed{next}").unwrap();
        }
        for run in naru_decide::view::runs(&self.world, None, None) {
            let tries: Vec<_> = run.tries.iter().map(|one| one.instance.as_str()).collect();
            let wait = run.waits_for.as_ref().map(|wait| format!(" — {wait}")).unwrap_or_default();
            let (job, number, tries) = (&run.job, run.number, tries.join(" "));
            let kind = if run.one_off.is_some() { " one-off" } else { "" };
            writeln!(
                self.out,
                "  {job} {number}{kind} {} [{tries}] held back {}{wait}",
                run.state, run.held_back
            )
            .unwrap();
            assert!(!format!("{run:?}").contains("hush"), "no value is shown");
        }
    }

    fn receipt(&mut self, id: OperationId) {
        let Some(operation) = self.world.operations.get(&id) else {
            return writeln!(self.out, "  there is no operation {id}").unwrap();
        };
        let outcome = operation.outcome.map_or("open".into(), |outcome| outcome.to_string());
        writeln!(self.out, "  {} {} {outcome}", operation.kind, operation.phase).unwrap();
        for (id, line) in &operation.receipt.instances {
            let Counts { requests, jobs, cut, .. } = line.during;
            let lost = line.during.lost();
            let exit = line.exited.as_ref().map_or("still there".into(), |(_, exit)| exit.to_string());
            writeln!(self.out, "  {id}: {requests} requests, {jobs} jobs, lost {lost}, cut {cut}; {exit}")
                .unwrap();
        }
    }
}

fn stack(words: &[&str]) -> Stack {
    let (mut services, mut jobs) = (BTreeMap::new(), BTreeMap::new());
    for word in words {
        let (name, spec) = word.split_once('=').expect("SERVICE=SPEC");
        if let Some(name) = name.strip_prefix("job:") {
            jobs.insert(ServiceName::from(name), job(spec));
            continue;
        }
        services.insert(ServiceName::from(name), service(spec));
    }
    Stack { name: "s".into(), project_dir: "/".into(), services, jobs, listeners: vec![], routes: vec![] }
}

/// `VERSION[,KEY[:VALUE]]…`: cron (with `_` for a blank), queue, allow, skip, timeout, retries, backoff, after:SERVICE.
fn job(spec: &str) -> Job {
    let mut words = spec.split(',');
    let mut template = plain(words.next().unwrap_or_default()).template;
    template.targets.clear();
    template.restart.policy = RestartPolicy::No;
    let mut job = Job {
        template,
        build: None,
        depends_on: BTreeMap::new(),
        schedules: vec![],
        by_hand: true,
        overlap: Overlap::Forbid,
        timeout: None,
        retries: 0,
        backoff: Span::secs(10),
    };
    for word in words {
        let (key, value) = word.split_once(':').unwrap_or((word, ""));
        let seconds = || Span::secs(value.parse().expect("a number"));
        match key {
            "cron" => job.schedules.push(Schedule {
                cron: value.replace('_', " "),
                timezone: "UTC".into(),
                overlap: Overlap::Forbid,
                catch_up: CatchUp::One,
            }),
            "queue" => job.overlap = Overlap::Queue,
            "image" => job.template.run = Run::Container(Container::of(value).into()),
            "allow" => job.overlap = Overlap::Allow,
            "skip" => job.schedules.iter_mut().for_each(|one| one.catch_up = CatchUp::Skip),
            "timeout" => job.timeout = Some(seconds()),
            "retries" => job.retries = value.parse().expect("a number"),
            "backoff" => job.backoff = seconds(),
            "after" => {
                let how = Dependency { condition: Condition::ServiceHealthy, required: true, restart: false };
                job.depends_on.insert(value.into(), how);
            }
            other => panic!("not a key: {other}"),
        }
    }
    job.schedules.iter_mut().for_each(|one| one.overlap = job.overlap);
    job
}

/// `VERSION[,KEY[:VALUE]]…`: n replicas, green, canary, stop-first, parallelism, delay, monitor, soak, manual,
/// sticky (to the version, kept for so many seconds), pause, after:SERVICE, once (a one-shot), noport; off, idle, person, most.
fn service(spec: &str) -> Service {
    let mut words = spec.split(',');
    let version = words.next().unwrap_or_default();
    let mut service = plain(version);
    for word in words {
        let (key, value) = word.split_once(':').unwrap_or((word, ""));
        let number = || value.parse::<u32>().expect("a number");
        let rollout = &mut service.rollout;
        match key {
            "n" => service.replicas = number(),
            "green" => rollout.strategy = Strategy::BlueGreen,
            "canary" => {
                rollout.strategy = Strategy::Canary;
                let step = |weight| CanaryStep { weight, hold: Span::secs(10) };
                rollout.steps = vec![step(10), step(50)];
            }
            "stop-first" => rollout.update.order = Order::StopFirst,
            "parallelism" => rollout.update.parallelism = number(),
            "delay" => rollout.update.delay = Span::secs(number().into()),
            "monitor" => rollout.update.monitor = Span::secs(number().into()),
            "soak" => rollout.soak = Span::secs(number().into()),
            "retiring" => rollout.max_retiring = number(),
            "sticky" => {
                let (to, keep) = (StickyTo::Version, Span::secs(number().into()));
                let sticky = Sticky { to, cookie: "v".into(), header: None, max_age: None, keep };
                service.policy.sticky = Some(sticky);
            }
            "image" => service.template.run = Run::Container(Container::of(value).into()),
            "nets" => {
                let Run::Container(container) = &mut service.template.run else { panic!("no image") };
                let attach = |name: &str| Attachment {
                    network: Network {
                        name: name.into(),
                        internal: name.starts_with("inner"),
                        ..Network::default()
                    },
                    aliases: vec![format!("alias-of-{}", value.len())],
                    ..Attachment::default()
                };
                container.connection = Connection::Networks(value.split('+').map(attach).collect());
            }
            "direct" => service.direct = true,
            "off" | "idle" | "person" | "most" => doze(&mut service, key, value),
            "manual" => rollout.promote_auto = false,
            "pause" => rollout.update.failure_action = FailureAction::Pause,
            "noport" => service.template.targets.clear(),
            "postpone" => service.work.postpone_max = Some(Span::secs(number().into())),
            "once" => run_once(&mut service),
            "global" | "job" | "global-job" => set_mode(&mut service, key),
            "at-once" => service.max_concurrent = Some(number()),
            "after" => {
                let how = Dependency { condition: Condition::ServiceHealthy, required: true, restart: false };
                service.depends_on.insert(value.into(), how);
            }
            "after-done" => {
                let condition = Condition::ServiceCompletedSuccessfully;
                service
                    .depends_on
                    .insert(value.into(), Dependency { condition, required: true, restart: false });
            }
            other => panic!("not a key: {other}"),
        }
    }
    for target in &service.template.targets {
        let (host_ip, target, protocol) = ("127.0.0.1".into(), target.port, target.protocol);
        service.ports.push(Port { host_ip, published: None, target, protocol, stated: true });
    }
    service
}

/// `off:HH:MM-HH:MM` of each day, `idle:SECONDS`, `person` (no request wakes it), `most:SECONDS` (of a wake).
fn doze(service: &mut Service, key: &str, value: &str) {
    let power = service.power.get_or_insert_with(|| Power {
        off: None,
        idle_after: None,
        by_request: true,
        by_person: true,
        wake_max: Span::mins(60),
        hold: Span::secs(60),
        ignore: Ignored::default(),
    });
    let seconds = || Span::secs(value.parse().expect("a number"));
    match key {
        "off" => {
            let windows = format!("Mon-Sun {value}");
            power.off = Some(OffHours { windows, timezone: "UTC".into(), holidays: vec![] });
        }
        "idle" => power.idle_after = Some(seconds()),
        "most" => power.wake_max = seconds(),
        _ => power.by_request = false,
    }
}

fn run_once(service: &mut Service) {
    service.template.targets.clear();
    service.template.restart.policy = RestartPolicy::No;
}

fn set_mode(service: &mut Service, word: &str) {
    service.mode = match word {
        "job" => Mode::ReplicatedJob,
        "global-job" => Mode::GlobalJob,
        _ => Mode::Global,
    };
    if service.mode.is_job() {
        service.template.targets.clear();
    }
}

fn plain(version: &str) -> Service {
    let update = UpdateConfig {
        parallelism: 1,
        delay: Span::ZERO,
        failure_action: FailureAction::Rollback,
        monitor: Span::secs(5),
        max_failure_permille: 0,
        order: Order::StartFirst,
        order_stated: false,
    };
    Service {
        build: None,
        template: Template {
            run: Run::Process(Process { command: vec!["serve".into(), version.into()] }),
            environment: BTreeMap::new(),
            working_dir: "/".into(),
            user: None,
            targets: vec![TargetPort { port: 80, protocol: Protocol::Http }],
            health: None,
            restart: Restart {
                policy: RestartPolicy::OnFailure,
                delay: Span(100),
                max_attempts: None,
                window: Span::secs(10),
            },
            stop_signal: "SIGTERM".into(),
            stop_grace: Span::secs(10),
            resources: Resources::default(),
            busy: None,
            quiet: None,
            post_start: vec![],
            pre_stop: vec![],
            labels: BTreeMap::new(),
            content_digest: None,
        },
        mode: Mode::Replicated,
        max_concurrent: None,
        replicas: 1,
        ports: vec![],
        depends_on: BTreeMap::new(),
        rollout: Rollout {
            strategy: Strategy::Rolling,
            update: update.clone(),
            rollback: update,
            soak: Span::ZERO,
            promote_auto: true,
            preview: None,
            steps: vec![],
            max_retiring: 10,
            healthy_within: Span::secs(120),
            max_error_permille: 100,
        },
        work: WorkPolicy { postpone_max: None, at_limit: AtLimit::Wait },
        singleton: false,
        policy: Default::default(),
        direct: false,
        published: Default::default(),
        power: None,
    }
}
