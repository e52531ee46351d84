//! The edge: takes whole route tables, carries requests and streams to instances, and keeps the books of
//! what is in progress. No choices beyond which instance gets the next request: tables come from outside.
//!
//! One thread per worker, each with a runtime, listening sockets (`SO_REUSEPORT`), pools and books of its
//! own; one task drives both sides of a connection. Nothing on the path of a request takes a lock or, once
//! warm, allocates. The parts, from the outside in:
//!
//! - `listen` opens sockets, `table` is what all workers get, `worker` adopts it (`adopt`) and reports;
//! - `entrance` lets a connection in, if `room` has a place for it, and ends its TLS;
//! - `set` chooses an instance and, in the same step, begins to count in the books (`naru_books`); `search` is how
//!   work comes to one, and to another where that is safe;
//! - `http1` and `tcp` carry the bytes, by the means of `naru_carry`.
//!
//! Invariants: a generation is acknowledged only when no worker can choose by an older one. A piece of work
//! counts exactly once, from the choice of its instance until its last byte was handed to the client's
//! socket. A request is repeated only if that cannot do harm.

mod adopt;
mod connection;
mod drain;
mod entrance;
mod frames;
mod gate;
mod http1;
mod http2;
mod listen;
mod room;
mod route;
mod search;
mod set;
mod table;
mod tcp;
mod tunnel;
mod udp;
mod worker;

pub use listen::Lent;
pub use naru_books::recover;
pub use naru_tls::Home;
pub use table::Refused;

use listen::Listening;
use naru_books::{News, Origins, Seen};
use naru_model::{
    EdgeCounts, EdgeId, EdgeReport, EdgeSnapshot, Generation, InstanceId, ListenerFault, NodeId, RouteTable,
    Time, Waiting, add_waiting,
};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use table::{Kept, Plan};
use tokio::sync::{mpsc, oneshot, watch};
use worker::{Acks, Command, Told, Worker};

/// What an edge is, and its bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its node.
    pub node: NodeId,
    /// This life of the process.
    pub edge: EdgeId,
    /// When that life began.
    pub began: Time,
    /// Threads, at least 1: as many as it may use cores.
    pub workers: usize,
    /// Client connections that one worker has open at once; more wait in the system's queue.
    pub max_connections: usize,
    /// Flows of UDP that one worker has at once. Beyond it, those that were silent for longest give way.
    pub max_flows: usize,
    /// How long a client may take to send a request's head, from its first byte.
    pub head_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// How long a client may neither send nor take a byte that is due; it then counts as gone.
    pub stall_time: Duration,
    /// How long to try to connect to an instance.
    pub connect_time: Duration,
    /// How long a closing connection waits for the client's end, so that the client reads its answer.
    pub linger_time: Duration,
    /// A folder, of this life alone, where a copy of the counts outlives the process; see [`recover`]. `None`:
    /// none does.
    pub sheets: Option<PathBuf>,
    /// Where certificates from authorities lie, of all lives of the node's edges. `None`: none are had.
    pub certificates: Option<Home>,
    /// Its first report is the one after this. An edge that goes on with another's identity begins beyond all
    /// that the other can have told.
    pub seq: u64,
    /// The zone of its node, whose instances come first where a policy says so.
    pub zone: Option<String>,
}

impl Config {
    /// The usual bounds.
    pub fn new(node: NodeId, edge: EdgeId, began: Time, workers: usize) -> Config {
        let workers = workers.max(1);
        Config {
            node,
            edge,
            began,
            workers,
            max_connections: 65_536 / workers,
            // Each takes a port of its own, of which Linux has 28,232, for all programs, if it is not told otherwise.
            max_flows: 16_384 / workers,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(120),
            stall_time: Duration::from_secs(300),
            connect_time: Duration::from_secs(2),
            linger_time: Duration::from_secs(1),
            sheets: None,
            certificates: None,
            seq: 0,
            zone: None,
        }
    }
}

/// How long an edge that ends waits for the last lines of its access logs.
const LOG_TIME: Duration = Duration::from_secs(2);

/// How often certificates are looked at: what a renewed one has to wait.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// An edge that runs. Dropped without [`Edge::shutdown`], it cuts what is in progress.
pub struct Edge {
    shared: Arc<Shared>,
    binder: Option<thread::JoinHandle<()>>,
}

struct Shared {
    config: Arc<Config>,
    acks: Arc<Acks>,
    news: News,
    desk: Mutex<Desk>,
    /// Told when there is something to try again, or the edge ends.
    rebind: Condvar,
}

/// What is not on the path of a request.
struct Desk {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    table: RouteTable,
    plan: Arc<Plan>,
    origins: Origins,
    kept: Kept,
    listening: Listening,
    /// When the files of certificates are looked at again.
    look_again: Instant,
    seq: u64,
    /// Instances outside the table, reported with nothing in progress, by the first such report.
    ended: BTreeMap<InstanceId, u64>,
    phase: Phase,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Serving,
    Finishing,
}

impl Edge {
    /// Starts the workers; they serve nothing before the first table.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(config: Config) -> io::Result<Edge> {
        Edge::start_with(config, vec![])
    }

    /// Starts the workers, which will accept on what another edge [lent](Edge::lend), as far as the first table
    /// names it. Until that is applied they accept nothing.
    ///
    /// # Errors
    /// As for [`Edge::start`].
    pub fn start_with(config: Config, lent: Vec<Lent>) -> io::Result<Edge> {
        let config = Arc::new(config);
        let news = News::default();
        let workers = 0..config.workers.max(1);
        let each = workers.clone().map(|_| AtomicU64::new(0)).collect();
        let open = workers.map(|_| AtomicUsize::new(0)).collect();
        let acks = Arc::new(Acks { each, open, news: news.clone(), finished: watch::Sender::new(0) });
        let commands = (0..acks.each.len()).map(|index| start_worker(index, &config, &acks));
        let commands = commands.collect::<io::Result<_>>()?;
        let desk = Desk {
            commands,
            table: RouteTable::default(),
            plan: Arc::default(),
            origins: Origins::default(),
            kept: Kept::new(config.certificates.clone(), config.zone.clone()),
            listening: Listening::with(lent),
            look_again: Instant::now(),
            seq: config.seq,
            ended: BTreeMap::new(),
            phase: Phase::Serving,
        };
        let shared = Arc::new(Shared { config, acks, news, desk: Mutex::new(desk), rebind: Condvar::new() });
        let own = shared.clone();
        let binder = thread::Builder::new().name("edge-bind".into()).spawn(move || own.bind_again())?;
        Ok(Edge { shared, binder: Some(binder) })
    }

    /// Opens what `table` names, closes what it does not, and tells the workers to choose by it. That all do
    /// shows as `acked` in the report. The table of the applied generation once more is no error.
    ///
    /// # Errors
    /// A table older than the one applied, or one that cannot be read: nothing is changed.
    pub fn apply(&self, table: RouteTable) -> Result<(), Refused> {
        let mut desk = self.shared.desk();
        let applied = desk.table.generation;
        if table.generation < applied {
            return Err(Refused::Stale { offered: table.generation, applied });
        }
        self.shared.publish(&mut desk, table)
    }

    /// Changes whenever a report would tell something that should not wait: a generation acknowledged, an
    /// instance outside the table with nothing in progress any more, a listener's fault or its end, somebody who
    /// waits for a service that is asleep.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.news.watch()
    }

    /// The table by which all workers choose.
    pub fn acked(&self) -> Generation {
        self.shared.acks.all()
    }

    /// Client connections that are open, and flows of UDP.
    pub fn connections(&self) -> usize {
        self.shared.acks.open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// The table that was applied last.
    pub fn table(&self) -> RouteTable {
        self.shared.desk().table.clone()
    }

    /// The listening sockets, for a successor, while this edge goes on accepting from them too. No table may be
    /// applied until the successor has taken them or given up.
    pub async fn lend(&self) -> Vec<Lent> {
        let mut asked = Vec::new();
        self.shared.desk().tell_all(|| {
            let (to, lent) = oneshot::channel();
            asked.push(lent);
            Command::Lend(to)
        });
        let mut all = Vec::new();
        for lent in asked {
            // No answer: its thread panicked.
            all.extend(lent.await.into_iter().flatten());
        }
        all
    }

    /// Accepts no more, since a successor does on the same sockets, and returns once every connection has ended
    /// in its own time: HTTP/1 connections close with their next answer, and idle ones are not touched. Reports
    /// can be had, and tables applied, meanwhile and afterwards.
    pub async fn leave(&self) {
        self.end(|| Command::Leave).await;
    }

    /// Of an edge that leaves: connections that wait for their next request need not be kept, and close.
    pub fn hasten(&self) {
        self.shared.desk().tell_all(|| Command::Finish);
    }

    /// Of an edge that leaves, whose successor may be gone: another can open the addresses now. Answers to datagrams need
    /// the sockets that they came to, so flows of UDP end within [`Config::linger_time`]; nothing else is touched.
    pub fn release(&self) {
        self.shared.desk().tell_all(|| Command::Release);
    }

    /// The addresses listened on, by listener's address as the table names it; followed, where that leaves
    /// the port to the system, by a space and the listener's name.
    pub fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        self.shared.desk().listening.addresses().map(|(key, address)| (key.into(), address)).collect()
    }

    /// All counts, at `now`.
    pub async fn report(&self, now: Time) -> EdgeReport {
        let now = (Instant::now(), now);
        let asked = self.shared.desk().ask(now);
        let mut told = Vec::with_capacity(asked.len());
        for answer in asked {
            // No answer: its thread panicked.
            told.extend(answer.await);
        }
        self.shared.assemble(told)
    }

    /// What is seen from outside, at `now`. No report: it may be taken at any time.
    pub async fn snapshot(&self, now: Time) -> EdgeSnapshot {
        let at = (Instant::now(), now);
        let (asked, looked) = {
            let mut desk = self.shared.desk();
            (desk.ask(at), desk.look())
        };
        let (mut told, mut seen) = (Vec::with_capacity(asked.len()), Vec::with_capacity(looked.len()));
        for (answer, part) in asked.into_iter().zip(looked) {
            told.extend(answer.await);
            seen.extend(part.await);
        }
        let mut desk = self.shared.desk();
        let report = self.shared.sum(told, &desk);
        let Desk { origins, table, kept, .. } = &mut *desk;
        EdgeSnapshot {
            access_logs: kept.logs.counts(),
            ..naru_books::assemble(report, seen, origins, table, now)
        }
    }

    /// The report `seq` was taken, and the server has no record of the instances `gone` any more: of those, what
    /// it told as ended need not be told again. What the server still has a record of is told for as long as
    /// it has, since it takes the newest report for all that was counted.
    pub fn confirm(&self, seq: u64, gone: &[InstanceId]) {
        let mut desk = self.shared.desk();
        let taken: Arc<[InstanceId]> = gone
            .iter()
            .filter(|id| desk.ended.get(*id).is_some_and(|first| *first <= seq))
            .cloned()
            .collect();
        if taken.is_empty() {
            return;
        }
        for id in taken.iter() {
            desk.ended.remove(id);
        }
        desk.kept.loads.forget(&taken);
        desk.tell_all(|| Command::Forget(taken.clone()));
    }

    /// Accepts no more, closes idle connections, and returns once all work in progress has ended. Reports
    /// can be had meanwhile and afterwards.
    pub async fn shutdown(&self) {
        self.end(|| Command::Finish).await;
    }

    async fn end(&self, word: impl Fn() -> Command) {
        let mut finished = {
            let mut desk = self.shared.desk();
            desk.phase = Phase::Finishing;
            desk.kept.seals.rest();
            desk.tell_all(word);
            self.shared.acks.finished.subscribe()
        };
        let workers = self.shared.acks.each.len();
        // The sender lives as long as this edge.
        let _ = finished.wait_for(|finished| *finished == workers).await;
        let logs = self.shared.desk().kept.logs.all();
        let settled = async {
            for log in &logs {
                log.settle().await;
            }
        };
        // A disk that does not answer holds up no end.
        let _ = tokio::time::timeout(LOG_TIME, settled).await;
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        {
            let mut desk = self.shared.desk();
            desk.phase = Phase::Finishing;
            desk.commands.clear();
        }
        self.shared.rebind.notify_all();
        if let Some(binder) = self.binder.take() {
            // It panicked: what it had to say is on stderr.
            let _ = binder.join();
        }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Every change of the desk is whole before anything can panic.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, desk: &mut Desk, table: RouteTable) -> Result<(), Refused> {
        let before = desk.faults();
        let mut plan = Plan::read(&table, (&desk.table, &desk.plan), &mut desk.kept)?;
        if desk.phase == Phase::Serving {
            desk.listening.provide(&mut plan, self.acks.each.len(), Instant::now());
        }
        for listener in &plan.listeners {
            for backend in listener.all_splits().flat_map(|split| &split.backends) {
                desk.ended.remove(&backend.instance);
            }
        }
        let Desk { origins, table: old, .. } = &mut *desk;
        origins.learn(&table, old);
        *old = table;
        let plan = Arc::new(plan);
        desk.plan = plan.clone();
        desk.tell_all(|| Command::Adopt(plan.clone()));
        if desk.faults() != before {
            self.news.tell();
        }
        self.rebind.notify_all();
        Ok(())
    }

    /// Tries again what could not be opened, and looks at files that may have changed, whenever that is due, for
    /// as long as the edge lives.
    fn bind_again(&self) {
        let mut desk = self.desk();
        while desk.phase == Phase::Serving {
            let now = Instant::now();
            if desk.look_again <= now && !desk.kept.seals.is_empty() {
                let before = desk.faults();
                desk.kept.seals.look_again();
                desk.look_again = now + LOOK_AGAIN;
                if desk.faults() != before {
                    self.news.tell();
                }
            }
            desk = match desk.due() {
                None => self.rebind.wait(desk).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > now => {
                    let (desk, _) =
                        self.rebind.wait_timeout(desk, due - now).unwrap_or_else(PoisonError::into_inner);
                    desk
                }
                Some(_) => {
                    let table = desk.table.clone();
                    if let Err(refused) = self.publish(&mut desk, table) {
                        tracing::error!(%refused, "a table that was taken is refused");
                        return;
                    }
                    desk
                }
            };
        }
    }

    fn assemble(&self, mut told: Vec<Told>) -> EdgeReport {
        let mut desk = self.desk();
        desk.seq += 1;
        let ended: Vec<InstanceId> =
            told.iter_mut().flat_map(|told| std::mem::take(&mut told.ended)).collect();
        let report = self.sum(told, &desk);
        desk.settle(&report, ended);
        report
    }

    fn sum(&self, told: Vec<Told>, desk: &Desk) -> EdgeReport {
        let acked = told.iter().map(|told| told.generation).min().unwrap_or(self.acks.all());
        let mut waiting = Waiting::new();
        told.iter().for_each(|told| add_waiting(&mut waiting, &told.waiting));
        let mut each = told.into_iter().map(|told| told.instances);
        // In order already: most of an edge's instances are known to all of its workers.
        let mut instances: BTreeMap<InstanceId, EdgeCounts> = each.next().into_iter().flatten().collect();
        each.flatten().for_each(|(id, counts)| instances.entry(id).or_default().add(&counts));
        EdgeReport {
            node: self.config.node.clone(),
            edge: self.config.edge.clone(),
            began: self.config.began,
            seq: desk.seq,
            acked,
            instances,
            faults: desk.faults(),
            waiting,
        }
    }
}

impl Desk {
    /// What of the table cannot be served.
    fn faults(&self) -> Vec<ListenerFault> {
        let mut faults = self.listening.faults();
        for listener in &self.table.listeners {
            let Some((terminate, inside)) = table::terminated(listener) else { continue };
            faults.extend(self.kept.seals.faults(terminate, inside).into_iter().map(|fault| ListenerFault {
                listener: listener.name.clone(),
                address: listener.address.clone(),
                error: fault.to_string(),
            }));
        }
        faults
    }

    /// When something is to be done without being told.
    fn due(&self) -> Option<Instant> {
        let again = (!self.kept.seals.is_empty()).then_some(self.look_again);
        self.listening.due().into_iter().chain(again).min()
    }

    fn tell_all(&mut self, mut command: impl FnMut() -> Command) {
        for worker in &self.commands {
            // A worker is gone only when the edge has finished.
            let _ = worker.send(command());
        }
    }

    fn ask(&mut self, now: (Instant, Time)) -> Vec<oneshot::Receiver<Told>> {
        let mut answers = Vec::with_capacity(self.commands.len());
        for worker in &self.commands {
            let (to, answer) = oneshot::channel();
            let _ = worker.send(Command::Tell { now, to });
            answers.push(answer);
        }
        answers
    }

    fn look(&mut self) -> Vec<oneshot::Receiver<Seen>> {
        let mut answers = Vec::with_capacity(self.commands.len());
        for worker in &self.commands {
            let (to, answer) = oneshot::channel();
            let _ = worker.send(Command::Look { to });
            answers.push(answer);
        }
        answers
    }

    /// Notes which instances this report tells as ended: outside the table by which all choose, and idle. `ended` are
    /// those of which one worker says so.
    fn settle(&mut self, report: &EdgeReport, ended: Vec<InstanceId>) {
        if report.acked != self.table.generation {
            return;
        }
        for id in ended {
            if report.instances.get(&id).is_some_and(|counts| counts.in_progress.is_idle()) {
                self.ended.entry(id).or_insert(self.seq);
            }
        }
    }
}

fn start_worker(
    index: usize,
    config: &Arc<Config>,
    acks: &Arc<Acks>,
) -> io::Result<mpsc::UnboundedSender<Command>> {
    // Without a bound: tables and reports come at the pace of one server, and each is taken in a moment.
    let (to, commands) = mpsc::unbounded_channel();
    let (config, acks) = (config.clone(), acks.clone());
    let (ready, started) = std::sync::mpsc::channel();
    thread::Builder::new().name(format!("edge-{index}")).spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        match builder.enable_all().build_local(tokio::runtime::LocalOptions::default()) {
            Ok(runtime) => {
                // Whoever started it waits for this.
                let _ = ready.send(Ok(()));
                runtime.block_on(Worker::new(index, config, acks).run(commands));
            }
            Err(error) => {
                let _ = ready.send(Err(error));
            }
        }
    })?;
    started.recv().map_err(io::Error::other)??;
    Ok(to)
}
