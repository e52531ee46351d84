//! The one task that owns the world.
//!
//! It takes what waits for it (questions, demands, reports) in batches, and after each batch decides until
//! there is nothing more to write. Reports are answered after that, so that a reporter may forget what it
//! reported: what follows from it is stored. Between two commits everyone who watches is told.

use super::books::Books;
use super::ledger::{CommitError, Committed, Ledger, LoadError};
use super::ports;
use naru_api::{Ground, Refused, Taken};
use naru_decide::{Context, Decision, World, Write, admit, end_wakes, reconcile, view};
use naru_gate::{Deed, DeskJudge, Judge};
use naru_home::{Home, wall};
use naru_model::{Admitted, AgentReport, Demand, EdgeReport, InProgress, NodeId, Span, Time, WorkView};
use naru_store::{Store, TxnError};
use naru_who::{DeskRequest, PeopleChanged, PersonWrite};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// A decision comes to rest after a few rounds; a round for each of a thousand things is far beyond that,
/// and then the judgement contradicts itself.
const ROUNDS_MAX: usize = 1_000;

/// So many messages are taken before a decision: enough that a burst of reports costs one decision.
const BATCH_MAX: usize = 256;

/// More wait with their senders.
const QUEUE_MAX: usize = 256;

/// Between two tries to store a decision.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Between two decisions that time alone calls for.
const REST: Duration = Duration::from_millis(5);

/// A look at the world, and at the clock.
type Look = Box<dyn FnOnce(&World, Time) + Send>;

/// Something for the desk.
pub enum Message {
    /// Look at the world.
    Read(Look),
    /// Change it.
    Demand(Box<Demand>, oneshot::Sender<Result<Admitted, Refused>>),
    /// Change who may do what.
    People(Judge, oneshot::Sender<Result<PeopleChanged, Refused>>),
    /// Something at the service desk.
    Request(DeskJudge, oneshot::Sender<Result<DeskRequest, Refused>>),
    /// An agent's report.
    Agent(AgentReport, oneshot::Sender<Taken>),
    /// An edge's report.
    Edge(EdgeReport, oneshot::Sender<Taken>),
    /// Take no more demands, if no instance is there.
    Close(oneshot::Sender<Result<(), Refused>>),
}

/// The other end of a desk.
#[derive(Clone)]
pub struct Handle {
    /// For the desk.
    pub messages: mpsc::Sender<Message>,
    /// From the desk.
    pub books: Books,
}

/// Tells all work in progress on this node, as far as the world knows. What cannot be told counts as some.
pub fn work_here(handle: &Handle) -> naru_cloud::WorkHere {
    let messages = handle.messages.clone();
    Box::new(move || {
        let messages = messages.clone();
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let look = Message::Read(Box::new(move |world, now| {
                let _ = sender.send(in_progress(view::work(world, None, now)));
            }));
            let unknown = InProgress { jobs: 1, ..InProgress::default() };
            let _ = messages.send(look).await;
            answer.await.unwrap_or(unknown)
        })
    })
}

/// The world and all that is needed to change it.
pub struct Desk<S> {
    ledger: Ledger<S>,
    world: World,
    node: NodeId,
    now: Time,
    /// When `now` was, by the clock that nobody sets.
    ticked: Instant,
    messages: mpsc::Receiver<Message>,
    books: Books,
    /// Where the search for free ports begins: another home on this machine begins elsewhere.
    first_port: u64,
    doors: Doors,
    retry: Duration,
    /// Until then nothing is stored, but what somebody orders.
    faulty_until: Option<Time>,
    wake: Option<Time>,
    /// The world is not what the store says, until it is loaded.
    doubt: Option<String>,
    /// Reporters that wait, with what their reports named.
    taken: Vec<(oneshot::Sender<Taken>, Taken)>,
}

/// Whether there may be something to decide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    No,
    Yes,
}

#[derive(PartialEq, Eq)]
enum Doors {
    Open,
    Closed,
}

impl<S: Store> Desk<S> {
    /// A desk for a world as just loaded.
    pub fn new(ledger: Ledger<S>, world: World, node: NodeId, home: &Home) -> (Desk<S>, Handle) {
        let (sender, messages) = mpsc::channel(QUEUE_MAX);
        let books = Books::new(&world, &node);
        let handle = Handle { messages: sender, books: books.clone() };
        let mut hasher = DefaultHasher::new();
        home.dir().hash(&mut hasher);
        let now = wall().max(ledger.at());
        let desk = Desk {
            ledger,
            world,
            node,
            now,
            ticked: Instant::now(),
            messages,
            books,
            first_port: hasher.finish(),
            doors: Doors::Open,
            retry: RETRY.0,
            faulty_until: None,
            wake: None,
            doubt: None,
            taken: vec![],
        };
        (desk, handle)
    }

    /// Works until all handles are gone.
    pub async fn run(mut self) {
        let mut touched = Touched::Yes;
        loop {
            if touched == Touched::Yes {
                self.settle().await;
            }
            self.tick();
            let wait = self.wake.map_or(Duration::MAX, |wake| wake.since(self.now).std()).max(REST);
            touched = match tokio::time::timeout(wait, self.messages.recv()).await {
                Err(_) => Touched::Yes,
                Ok(None) => return,
                Ok(Some(message)) => self.take_batch(message).await,
            };
        }
    }

    async fn take_batch(&mut self, first: Message) -> Touched {
        let mut touched = self.take(first).await;
        for _ in 1..BATCH_MAX {
            let Ok(message) = self.messages.try_recv() else { break };
            touched = touched.max(self.take(message).await);
        }
        touched
    }

    async fn take(&mut self, message: Message) -> Touched {
        self.tick();
        match message {
            Message::Read(look) => look(&self.world, self.now),
            Message::Demand(demand, answer) => {
                let outcome = self.demand(&demand).await;
                let _ = answer.send(outcome);
                return Touched::Yes;
            }
            Message::People(judge, answer) => {
                let outcome = self.people(judge).await;
                // It holds from now on, whatever else waits.
                self.books.publish(&self.world, &self.node);
                let _ = answer.send(outcome);
            }
            Message::Request(judge, answer) => {
                let outcome = self.request(judge).await;
                self.books.publish(&self.world, &self.node);
                let _ = answer.send(outcome);
                return Touched::Yes;
            }
            Message::Agent(report, answer) => {
                self.taken.push((answer, Taken { seq: report.seq, gone: vec![] }));
                self.world.hear_agent(report);
                return Touched::Yes;
            }
            Message::Edge(report, answer) => {
                let gone = report.instances.keys().cloned().collect();
                self.taken.push((answer, Taken { seq: report.seq, gone }));
                self.world.hear_edge(report);
                return Touched::Yes;
            }
            Message::Close(answer) => {
                let _ = answer.send(self.close());
            }
        }
        Touched::No
    }

    /// The clock never goes back and never stands still, whatever the machine's does.
    fn tick(&mut self) {
        let passed = self.ticked.elapsed().as_millis() as u64;
        self.now = wall().max(self.now + Span(passed));
        // Whole milliseconds only, so that what is left of one is not lost at each tick.
        self.ticked += Duration::from_millis(passed);
    }

    async fn demand(&mut self, demand: &Demand) -> Result<Admitted, Refused> {
        if self.doors == Doors::Closed {
            return Err(ending());
        }
        if let Err(error) = self.resolve().await {
            return Err(unavailable(&error.to_string()));
        }
        let (admitted, writes) = self.admitted(demand)?;
        self.write(writes).await.map(|()| admitted)
    }

    fn admitted(&self, demand: &Demand) -> Result<(Admitted, Vec<Write>), Refused> {
        let free_ports = ports::free_ports(&self.world, demand, self.first_port);
        let context = Context { now: self.now, free_ports, node: self.node.clone() };
        let judged = admit(&self.world, demand, &context);
        judged.map_err(|refusal| Refused { ground: Ground::Conflict, refusal })
    }

    /// An approval and what is done by it are one transaction: a server that is killed has done both, or neither.
    async fn request(&mut self, judge: DeskJudge) -> Result<DeskRequest, Refused> {
        if let Err(error) = self.resolve().await {
            return Err(unavailable(&error.to_string()));
        }
        let ruled = judge(&Arc::new(self.world.people.clone()), self.now)?;
        let (mut request, mut writes) = (ruled.request, vec![]);
        match ruled.deed {
            Deed::Nothing => {}
            Deed::Demand(_) if self.doors == Doors::Closed => return Err(ending()),
            Deed::Demand(demand) => {
                let (admitted, done) = self.admitted(&demand)?;
                let outcome = request.outcome.get_or_insert_default();
                (outcome.operation, outcome.notes) = (admitted.operation, admitted.notes);
                writes = done;
            }
            Deed::EndWake { stack, services, owner } => {
                writes = end_wakes(&self.world, &stack, &services, &owner);
                let outcome = request.outcome.get_or_insert_default();
                outcome.until = Some(self.now);
            }
        }
        writes.extend(ruled.writes.into_iter().map(Write::Person));
        writes.push(Write::Person(PersonWrite::Request(Box::new(request.clone()))));
        self.write(writes).await.map(|()| request)
    }

    async fn people(&mut self, judge: Judge) -> Result<PeopleChanged, Refused> {
        if let Err(error) = self.resolve().await {
            return Err(unavailable(&error.to_string()));
        }
        let people = Arc::new(self.world.people.clone());
        let (changed, writes) = judge(&people, self.now)?;
        self.write(writes.into_iter().map(Write::Person).collect()).await.map(|()| changed)
    }

    /// Stores what somebody has ordered.
    async fn write(&mut self, writes: Vec<Write>) -> Result<(), Refused> {
        if writes.is_empty() {
            return Ok(());
        }
        match self.store(writes).await {
            Ok(Stored::Yes) => Ok(()),
            Ok(Stored::Outrun) => {
                let error = "another server changed the records at the same moment; nothing was ordered";
                Err(Refused::new(Ground::Conflict, error, "order it again"))
            }
            Err(StoreError::Unknown(what)) => {
                let error = format!("whether this was ordered is not known: {what}");
                Err(Refused::new(Ground::Unavailable, error, "`naru history` shows whether it was"))
            }
            Err(StoreError::Not(what)) => Err(unavailable(&what)),
        }
    }

    fn close(&mut self) -> Result<(), Refused> {
        let count = self.world.instances.len() as u64;
        if count == 0 {
            self.doors = Doors::Closed;
            return Ok(());
        }
        let are = if count == 1 { "is" } else { "are" };
        let error = format!("{} {are} there", naru_model::plural(count, "instance"));
        let hint = "`naru down --all` retires them first, `--cut` ends them with their work";
        Err(Refused::new(Ground::Conflict, error, hint))
    }

    /// Decides and stores until there is nothing more to write. A store that is at fault is left alone for a
    /// while, whatever is reported meanwhile.
    async fn settle(&mut self) {
        self.tick();
        if let Some(until) = self.faulty_until.filter(|until| *until > self.now) {
            self.wake = Some(until);
            self.taken.clear();
            return self.books.publish(&self.world, &self.node);
        }
        let outcome = self.decide().await;
        self.books.publish(&self.world, &self.node);
        match outcome {
            Ok(wake) => {
                self.wake = wake;
                self.faulty_until = None;
                self.retry = RETRY.0;
                self.books.fault(None);
                for (sender, mut taken) in self.taken.drain(..) {
                    taken.gone.retain(|id| !self.world.instances.contains_key(id));
                    // A reporter that did not wait reports again.
                    let _ = sender.send(taken);
                }
            }
            Err(fault) => {
                self.taken.clear();
                tracing::error!(%fault, retry = ?self.retry, "a decision could not be stored");
                self.books.fault(Some(fault));
                self.faulty_until = Some(self.now + Span(self.retry.as_millis() as u64));
                self.wake = self.faulty_until;
                self.retry = (self.retry * 2).min(RETRY.1);
            }
        }
    }

    async fn decide(&mut self) -> Result<Option<Time>, String> {
        let mut last = Decision::default();
        for _ in 0..ROUNDS_MAX {
            self.resolve().await.map_err(|error| error.to_string())?;
            last = reconcile(&self.world, &self.node, self.now);
            if last.writes.is_empty() {
                return Ok(last.wake);
            }
            match self.store(last.writes.clone()).await {
                Ok(_) | Err(StoreError::Unknown(_)) => self.books.publish(&self.world, &self.node),
                Err(StoreError::Not(fault)) => return Err(fault),
            }
        }
        tracing::error!(writes = ?last.writes, "after {ROUNDS_MAX} rounds there is still something to write");
        Err("a decision does not come to rest; the server's log has its last writes".into())
    }

    /// Stores writes and then believes them.
    async fn store(&mut self, writes: Vec<Write>) -> Result<Stored, StoreError> {
        match self.ledger.commit(&writes, self.now).await {
            Ok(Committed::As(generation)) => {
                writes.into_iter().for_each(|write| self.world.apply(write));
                self.world.generation = generation;
                self.faulty_until = None;
                Ok(Stored::Yes)
            }
            Ok(Committed::Outrun) => {
                tracing::warn!("another server wrote; the records are loaded anew");
                self.doubt = Some("another server wrote".into());
                Ok(Stored::Outrun)
            }
            Err(CommitError::Store(TxnError::Unknown(what))) => {
                tracing::warn!(%what, "a write's outcome is unknown; the records are loaded anew");
                self.doubt = Some(what.to_string());
                Err(StoreError::Unknown(what.to_string()))
            }
            Err(error) => {
                // Of a large change, the pages may be written already, and the guard with them.
                self.doubt = Some(error.to_string());
                Err(StoreError::Not(error.to_string()))
            }
        }
    }

    /// Loads the records anew if the world may differ from them. Observations stay.
    async fn resolve(&mut self) -> Result<(), LoadError> {
        if self.doubt.is_none() {
            return Ok(());
        }
        let mut fresh = self.ledger.load().await?;
        fresh.agents = std::mem::take(&mut self.world.agents);
        fresh.reports = std::mem::take(&mut self.world.reports);
        self.world = fresh;
        self.doubt = None;
        Ok(())
    }
}

enum Stored {
    Yes,
    Outrun,
}

enum StoreError {
    Unknown(String),
    Not(String),
}

/// By its kinds, as the listing of work names them.
fn in_progress(work: Vec<WorkView>) -> InProgress {
    let mut all = InProgress::default();
    for one in work {
        let place = match one.kind.as_str() {
            "requests" => &mut all.requests,
            "streams" => &mut all.streams,
            _ => &mut all.jobs,
        };
        *place += one.count;
    }
    all
}

fn ending() -> Refused {
    Refused::new(Ground::Unavailable, "the server is ending", "order it again in a moment")
}

fn unavailable(what: &str) -> Refused {
    let hint = "what runs goes on; order it again when the cause is gone";
    Refused::new(Ground::Unavailable, format!("nothing can be stored at present: {what}"), hint)
}
