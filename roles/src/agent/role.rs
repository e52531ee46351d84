//! The loop: what happened in, effects out, a report of what changed.

use super::adopt::{adopt_containers, as_found, open_containers};
use super::carry::{Carrier, Happened, HostAddresses};
use super::keep::Keep;
use super::ports::Ports;
use super::reach::{Door, Means};
use super::{AgentError, Config};
use naru_model::{AgentReport, Desired, Generation, InstanceId, InstanceStatus, NodeId, StackName, Time};
use naru_process::{Ended, Events, KeepLogs, RunNo, Runtime};
use naru_reach::Lobby;
use naru_supervise::{Found, Input, Memory, Stage, Supervisor};
use naru_work::{Book, WorkServer, now};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Answers that wait to be taken; past so many, those who ask wait.
const INBOX: usize = 1_024;
/// So many are taken before effects are carried out and a report is made: bounds the wait of the first.
const BATCH: usize = 256;
/// Heartbeats change what is reported of jobs, and are reported this often at most.
const BEATS_PACE: Duration = Duration::from_secs(1);
/// Nothing is due: look again then, all the same.
const IDLE: Duration = Duration::from_secs(60);

/// What is kept with the process itself, so that a new agent knows which start it is.
#[derive(Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) run: u64,
    pub(super) ports: BTreeMap<u16, u16>,
}

/// A look at what is remembered of the instances of a stack, or of all.
pub(super) struct Look {
    pub(super) stack: Option<StackName>,
    pub(super) answer: oneshot::Sender<Vec<Memory>>,
}

/// All that the loop listens to, beside what is desired.
pub(super) struct Inlets {
    happened: mpsc::Receiver<Happened>,
    looks: mpsc::Receiver<Look>,
    ended: Events,
    containers: naru_docker::Events,
    ledgers: watch::Receiver<u64>,
    beats: watch::Receiver<u64>,
}

/// An instance of this node.
struct Instance {
    machine: Supervisor,
    /// As it was written down last.
    saved: Option<Memory>,
    /// The runtime's number of the machine's present start.
    run: Option<(RunNo, u64)>,
    /// An end that came before the answer of the start that it is about.
    early: Option<End>,
    leases: u64,
}

/// What was reported last.
struct Reported {
    applied: Generation,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    host_addresses: HostAddresses,
}

/// An end, as a runtime tells it.
enum End {
    Process(Ended),
    Container(naru_docker::Ended),
}

/// What the agent serves beside its loop.
pub(super) struct Servers {
    pub(super) work: WorkServer,
    pub(super) door: Option<Door>,
}

/// The agent's state.
pub(super) struct Role {
    node: NodeId,
    zone: Option<String>,
    keep: Keep,
    book: Book,
    carrier: Carrier,
    instances: BTreeMap<InstanceId, Instance>,
    /// Whom the server names; `None` until it has spoken in this life.
    named: Option<BTreeSet<InstanceId>>,
    touched: BTreeSet<InstanceId>,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    incarnation: u64,
    seq: u64,
    reported: Option<Reported>,
    reports: watch::Sender<Option<AgentReport>>,
}

impl Role {
    /// Takes over what an earlier agent left, and reports it.
    pub(super) async fn begin(
        config: &Config,
        reports: watch::Sender<Option<AgentReport>>,
    ) -> Result<(Role, Inlets, Servers), AgentError> {
        let (mut keep, memories) = Keep::open(&config.dir)?;
        let book = Book::open(&config.dir.join("work")).map_err(AgentError::Work)?;
        let server = WorkServer::bind(&book).await.map_err(AgentError::Work)?;
        let opened = Runtime::open(&config.dir.join("instances"), &config.shim).await;
        let (runtime, adopted, ended) = opened.map_err(AgentError::Process)?;
        let (containers, containers_ended) = open_containers(config, &book).await?;
        let found = adopt_containers(&containers.runtime, &memories).await;
        let (inbox, happened) = mpsc::channel(INBOX);
        let (looks, asked) = mpsc::channel(INBOX);
        let lobby = Lobby::open();
        let means = Means {
            processes: runtime.clone(),
            containers: containers.runtime.clone(),
            book: book.clone(),
            looks,
            lobby: lobby.clone(),
        };
        let servers = Servers { work: server, door: Door::open(&config.reach, means) };
        let inlets = Inlets {
            happened,
            looks: asked,
            ended,
            containers: containers_ended,
            ledgers: book.changed(),
            beats: book.beats(),
        };
        let incarnation = keep.begin(now())?;
        let ports = Ports::new([book.port()].into(), incarnation);
        let mut role = Role {
            node: config.node.clone(),
            keep,
            carrier: Carrier::new(runtime, (containers, lobby), book.clone(), ports, inbox),
            book,
            instances: BTreeMap::new(),
            named: None,
            touched: BTreeSet::new(),
            statuses: BTreeMap::new(),
            zone: config.zone.clone(),
            incarnation,
            seq: 0,
            reported: None,
            reports,
        };
        role.adopt(memories, adopted, found);
        role.settle().await;
        Ok((role, inlets, servers))
    }

    /// Runs until `desired` is closed.
    pub(super) async fn run(mut self, mut desired: watch::Receiver<Option<Desired>>, mut inlets: Inlets) {
        desired.mark_changed();
        let mut beats_due = None;
        loop {
            tokio::select! {
                changed = desired.changed() => {
                    if changed.is_err() {
                        return self.carrier.finish().await;
                    }
                    let wanted = desired.borrow_and_update().clone();
                    wanted.into_iter().for_each(|wanted| self.apply(wanted));
                }
                Some(happened) = inlets.happened.recv() => self.happened(happened),
                Some(look) = inlets.looks.recv() => self.look(look),
                Some(ended) = inlets.ended.next() => self.ended(End::Process(ended)),
                Some(ended) = inlets.containers.next() => self.ended(End::Container(ended)),
                Ok(()) = inlets.ledgers.changed() => self.ledgers_changed(),
                Ok(()) = inlets.beats.changed(), if beats_due.is_none() => {
                    beats_due = Some(tokio::time::Instant::now() + BEATS_PACE);
                }
                () = until(beats_due) => {
                    beats_due = None;
                    self.ledgers_changed();
                }
                () = tokio::time::sleep(self.pause()) => self.tick(),
            }
            for _ in 0..BATCH {
                let Ok(happened) = inlets.happened.try_recv() else { break };
                self.happened(happened);
            }
            self.settle().await;
        }
    }

    fn adopt(
        &mut self,
        memories: Vec<Memory>,
        adopted: Vec<naru_process::Adopted>,
        mut containers: BTreeMap<InstanceId, Found>,
    ) {
        let mut found: BTreeMap<InstanceId, naru_process::Adopted> =
            adopted.into_iter().map(|adopted| (adopted.id.clone(), adopted)).collect();
        for memory in memories {
            let id = memory.id.clone();
            let (found, run) = match (containers.remove(&id), found.remove(&id)) {
                (Some(found), _) => (found, None),
                (None, Some(adopted)) => as_found(adopted),
                (None, None) => (Found::Nothing, None),
            };
            let ports = if let Found::Running { ports, .. } = &found { ports } else { &memory.life.ports };
            // Ports at an address of its own are nobody else's.
            if memory.life.address.is_none() {
                self.carrier.adopt_ports(&id, ports.clone());
            }
            if let Found::Running { .. } = &found {
                self.carrier.hang_up(&memory);
            }
            let leases = self.book.read(&id, |ledger| ledger.open());
            let machine = Supervisor::adopt(now(), memory.clone(), leases, found);
            self.enter(id, Instance { machine, saved: Some(memory), run, early: None, leases });
        }
        for id in found.into_keys() {
            tracing::warn!(instance = %id, "runs here and is not known to this agent: left alone");
        }
    }

    fn enter(&mut self, id: InstanceId, instance: Instance) {
        self.touched.insert(id.clone());
        self.instances.insert(id, instance);
    }

    /// Takes what the server wants, unless it is older than what was taken last.
    fn apply(&mut self, desired: Desired) {
        if desired.node != self.node || desired.generation < self.keep.general.applied {
            let (node, generation) = (&desired.node, desired.generation);
            let applied = self.keep.general.applied;
            tracing::warn!(%node, %generation, %applied, "a stale order, or another node's: refused");
            return;
        }
        self.named = Some(desired.instances.keys().cloned().collect());
        for (id, wanted) in desired.instances {
            match self.instances.get(&id) {
                Some(known) if known.machine.memory().desired.intent == wanted.intent => {}
                Some(_) => self.input(&id, Input::Intent(wanted.intent)),
                None if !is_file_name(&id) => tracing::error!(instance = %id, "no fit id: refused"),
                None => {
                    let machine = Supervisor::new(now(), id.clone(), wanted);
                    let leases = self.book.read(&id, |ledger| ledger.open());
                    self.enter(id, Instance { machine, saved: None, run: None, early: None, leases });
                }
            }
        }
        self.touched.extend(self.instances.keys().cloned());
        self.save_touched();
        if self.keep.general.applied != desired.generation
            && let Err(error) = self.keep.applied(desired.generation)
        {
            tracing::error!(%error, "the generation that is applied could not be written down");
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Seen(id, input) => self.input(&id, input),
            Happened::Started { id, run, process, input } => {
                let early = self.instances.get_mut(&id).and_then(|instance| {
                    instance.run = process.map(|process| (process, run));
                    instance.early.take()
                });
                self.input(&id, input);
                early.into_iter().for_each(|ended| self.ended(ended));
            }
        }
    }

    fn look(&self, Look { stack, answer }: Look) {
        let memories = self.instances.values().map(|one| one.machine.memory());
        let wanted = memories.filter(|memory| stack.as_ref().is_none_or(|of| *of == memory.desired.stack));
        // Whoever asked may have gone.
        let _ = answer.send(wanted.cloned().collect());
    }

    fn ended(&mut self, end: End) {
        let (End::Process(Ended { id, .. }) | End::Container(naru_docker::Ended { id, .. })) = &end;
        let id = id.clone();
        let Some(instance) = self.instances.get_mut(&id) else { return };
        let life = instance.machine.life();
        let known = match (&end, instance.run) {
            (End::Process(ended), Some((known, run))) if known == ended.run => {
                Some((run, ended.exit.clone()))
            }
            (End::Process(_), _) => None,
            (End::Container(ended), _) if life.stage == Stage::Launching && life.run == ended.run => None,
            (End::Container(ended), _) => Some((ended.run, ended.exit.clone())),
        };
        match known {
            Some((run, exit)) => self.input(&id, Input::Exited { run, exit }),
            None => instance.early = Some(end),
        }
    }

    fn ledgers_changed(&mut self) {
        for id in self.book.take_changed() {
            let Some(instance) = self.instances.get_mut(&id) else { continue };
            let leases = self.book.read(&id, |ledger| ledger.open());
            if instance.leases != leases {
                instance.leases = leases;
                instance.machine.input(now(), Input::Leases(leases));
            }
            self.touched.insert(id);
        }
    }

    fn tick(&mut self) {
        let now = now();
        let due = |instance: &Instance| instance.machine.wake().is_some_and(|(at, _)| at <= now);
        let due: Vec<_> =
            self.instances.iter().filter(|(_, one)| due(one)).map(|(id, _)| id.clone()).collect();
        due.iter().for_each(|id| self.input(id, Input::Tick));
    }

    fn input(&mut self, id: &InstanceId, input: Input) {
        if let Some(instance) = self.instances.get_mut(id) {
            instance.machine.input(now(), input);
            self.touched.insert(id.clone());
        }
    }

    /// How long until the next machine wants to be woken. Never zero, so that no machine can take the loop.
    fn pause(&self) -> Duration {
        let next = self.instances.values().filter_map(|one| one.machine.wake()).map(|(at, _)| at).min();
        next.map_or(IDLE, |at: Time| at.since(now()).std().clamp(Duration::from_millis(1), IDLE))
    }

    /// Writes down, carries out, forgets and reports what the last inputs touched.
    async fn settle(&mut self) {
        loop {
            self.save_touched();
            let touched = std::mem::take(&mut self.touched);
            for id in &touched {
                self.carry_out(id).await;
            }
            for id in touched {
                self.forget_if_over(&id).await;
                match self.instances.get(&id) {
                    Some(one) => {
                        let status = self.book.read(&id, |ledger| one.machine.status(now(), ledger));
                        self.statuses.insert(id, status);
                    }
                    None => drop(self.statuses.remove(&id)),
                }
            }
            // A ledger answers at once, and its answer may lead to more.
            if self.touched.is_empty() {
                break;
            }
        }
        self.report();
    }

    fn save_touched(&mut self) {
        for id in &self.touched {
            let Some(instance) = self.instances.get_mut(id) else { continue };
            let memory = instance.machine.memory();
            if instance.saved.as_ref().is_some_and(|saved| saved.is_same(memory)) {
                continue;
            }
            match self.keep.save(memory) {
                Ok(()) => instance.saved = Some(memory.clone()),
                Err(error) => tracing::error!(instance = %id, %error, "its memory could not be written down"),
            }
        }
    }

    async fn carry_out(&mut self, id: &InstanceId) {
        let Some(instance) = self.instances.get_mut(id) else { return };
        while let Some(effect) = instance.machine.effect() {
            tracing::debug!(instance = %id, ?effect, "to be done");
            if let Some(input) = self.carrier.carry_out(instance.machine.memory(), effect).await {
                instance.machine.input(now(), input);
                self.touched.insert(id.clone());
                break;
            }
        }
    }

    /// An instance that has ended and that the server no longer names.
    async fn forget_if_over(&mut self, id: &InstanceId) {
        let unnamed = self.named.as_ref().is_some_and(|named| !named.contains(id));
        let over = self.instances.get(id).is_some_and(|one| one.machine.life().stage == Stage::Over);
        if !unnamed || !over {
            return;
        }
        let Some(instance) = self.instances.remove(id) else { return };
        let forgotten = self.keep.forget(instance.machine.memory()).unwrap_or_else(|error| {
            tracing::error!(instance = %id, %error, "could not be forgotten");
            vec![]
        });
        self.carrier.forget(instance.machine.memory()).await;
        let stack = &instance.machine.memory().desired.stack;
        if !self.instances.values().any(|one| one.machine.memory().desired.stack == *stack) {
            self.carrier.forget_stack(stack);
        }
        for surplus in forgotten {
            self.carrier.remove(&surplus, KeepLogs::Delete).await;
        }
    }

    fn report(&mut self) {
        let applied = self.keep.general.applied;
        let host_addresses = self.carrier.host_addresses();
        let same = |reported: &Reported| {
            reported.applied == applied
                && reported.statuses == self.statuses
                && reported.host_addresses == host_addresses
        };
        if self.reported.as_ref().is_some_and(same) {
            return;
        }
        self.seq += 1;
        let (statuses, addresses) = (self.statuses.clone(), host_addresses.clone());
        self.reported = Some(Reported { applied, statuses, host_addresses: addresses });
        self.reports.send_replace(Some(AgentReport {
            node: self.node.clone(),
            incarnation: self.incarnation,
            seq: self.seq,
            applied,
            instances: self.statuses.clone(),
            zone: self.zone.clone(),
            host_addresses,
        }));
    }
}

fn is_file_name(id: &InstanceId) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !id.as_str().is_empty() && !id.as_str().starts_with('.') && id.as_str().chars().all(fits)
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
