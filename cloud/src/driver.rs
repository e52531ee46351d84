//! Assets: one task drives the judgement of [`naru_assets`]. It reads the file that names the clouds, stores records before it
//! believes them, asks and looks as it was decided, and hands in what came of that.
//!
//! Its records are its own, beside those of the desk: no other part of the server writes them, and their keys begin with
//! `asset/`.

use crate::file;
use crate::records::Records;
use futures_util::future::BoxFuture;
use naru_api::{Ground, Refused, ShowAssets};
use naru_assets::{AssetRecord, Decision, Fleet, Look, Outcome, Provider, Request};
use naru_ec2::{Ec2, Environment, Fault, Metadata};
use naru_home::{Home, wall};
use naru_model::{AssetId, AssetOrder, AssetView, AssetsView, InProgress, Machine, Span, Time};
use naru_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::task::JoinSet;

/// More wait with their senders.
const QUEUE_MAX: usize = 64;

/// A look that takes longer has failed, though it may go on to be tried.
const LOOK_WITHIN: Duration = Duration::from_secs(25);

/// Whoever wants to see the clouds as they are waits so long.
const SHOW_WITHIN: Span = Span::secs(20);

/// The file and the work on this machine are looked at this often at least: while anything is wanted, and while nothing is.
const PULSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// The file is read again this often though it did not change: calendars that it names do.
const READ_AGAIN: Span = Span::mins(60);

/// Between tries to store something.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Tells all work in progress on this node.
pub type WorkHere = Box<dyn Fn() -> BoxFuture<'static, InProgress> + Send + Sync>;

/// Something for the task.
enum Message {
    Show(ShowAssets, oneshot::Sender<AssetsView>),
    Order(AssetOrder, String, oneshot::Sender<Result<AssetView, Refused>>),
}

/// The other end of the task.
#[derive(Clone)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
}

/// Where the task gets its orders.
pub struct Orders(mpsc::Receiver<Message>);

/// Both ends.
pub fn channel() -> (Handle, Orders) {
    let (messages, orders) = mpsc::channel(QUEUE_MAX);
    (Handle { messages }, Orders(orders))
}

impl Handle {
    /// All assets.
    ///
    /// # Errors
    /// The server ends.
    pub async fn show(&self, how: ShowAssets) -> Result<AssetsView, Refused> {
        self.ask(|answer| Message::Show(how, answer)).await
    }

    /// Wants something of an asset.
    ///
    /// # Errors
    /// It cannot be wanted, or stored.
    pub async fn order(&self, order: AssetOrder, actor: String) -> Result<AssetView, Refused> {
        self.ask(|answer| Message::Order(order, actor, answer)).await?
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Refused> {
        let gone = || {
            Refused::new(Ground::Unavailable, "the server cannot answer at present", "try again in a moment")
        };
        let (sender, answer) = oneshot::channel();
        self.messages.send(message(sender)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

/// What came of something that the task had done.
enum Happened {
    Looked { look: Look, began: Time, found: Result<Vec<Machine>, String> },
    Answered { id: AssetId, number: u64, outcome: Outcome },
}

/// A client of a provider's cloud, made when it is first used.
type Client = Arc<OnceCell<Ec2>>;

/// The task.
struct Driver<S> {
    home: Home,
    records: Records<S>,
    work_here: WorkHere,
    environment: Environment,
    fleet: Fleet,
    clients: BTreeMap<String, (Provider, Client)>,
    file: FileState,
    /// When it was read.
    read: Time,
    fault: Option<String>,
    own: OwnMachine,
    doing: JoinSet<Happened>,
    /// Who waits for the clouds to be looked at, since when.
    waiting: Vec<(Time, oneshot::Sender<AssetsView>)>,
    now: Time,
    ticked: Instant,
    /// Whether records may be otherwise than is known here: they are read before anything else.
    doubt: Doubt,
    /// Requests whose answers are still to come.
    asking: BTreeSet<(AssetId, u64)>,
    /// What answers have changed, and the store does not know yet.
    unstored: BTreeMap<AssetId, AssetRecord>,
}

/// Whether the records are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    No,
    Some,
}

/// How the file was when it was read last.
#[derive(PartialEq, Eq)]
enum FileState {
    Unread,
    Read(Option<(SystemTime, u64)>),
}

/// Whether it is known which machine this is.
enum OwnMachine {
    Unasked,
    Known(Option<String>),
}

/// Drives assets until the server ends.
pub async fn run<S: Store>(home: Home, store: S, work_here: WorkHere, orders: Orders) {
    let now = wall();
    let driver = Driver {
        home,
        records: Records::new(store),
        work_here,
        environment: Environment::of_process(),
        fleet: Fleet::default(),
        clients: BTreeMap::new(),
        file: FileState::Unread,
        read: now,
        fault: None,
        own: OwnMachine::Unasked,
        doing: JoinSet::new(),
        waiting: vec![],
        now,
        ticked: Instant::now(),
        doubt: Doubt::Some,
        asking: BTreeSet::new(),
        unstored: BTreeMap::new(),
    };
    driver.work(orders.0).await;
}

impl<S: Store> Driver<S> {
    async fn work(mut self, mut orders: mpsc::Receiver<Message>) {
        loop {
            self.tick();
            let wait = match self.settle().await {
                Ok(wake) => self.wait(wake),
                Err(error) => {
                    tracing::error!(%error, "the records of assets cannot be read or stored");
                    self.doubt = Doubt::Some;
                    STORE_AGAIN
                }
            };
            self.show_those_who_wait();
            tokio::select! {
                message = orders.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                Some(happened) = self.doing.join_next() => self.hear(happened).await,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The clock never goes back.
    fn tick(&mut self) {
        let passed = self.ticked.elapsed().as_millis() as u64;
        self.now = wall().max(self.now + Span(passed));
        self.ticked += Duration::from_millis(passed);
    }

    fn wait(&self, wake: Option<Time>) -> Duration {
        let wake = wake.map_or(Duration::MAX, |wake| wake.since(self.now).std());
        let patience =
            self.waiting.iter().map(|(since, _)| (*since + SHOW_WITHIN).since(self.now).std()).min();
        let pulse = if self.fleet.is_pursuing() { PULSE.0 } else { PULSE.1 };
        wake.min(patience.unwrap_or(Duration::MAX)).clamp(Duration::from_millis(5), pulse)
    }

    /// Decides until there is nothing more to do now. Gives when to decide again.
    async fn settle(&mut self) -> Result<Option<Time>, String> {
        self.read_file().await;
        let unstored: Vec<AssetRecord> = self.unstored.values().cloned().collect();
        self.records.put(&unstored, &[]).await?;
        self.unstored.clear();
        if self.doubt != Doubt::No {
            let records = self.records.all().await?;
            let is_asked = |record: &AssetRecord| {
                record.ask.as_ref().is_some_and(|ask| self.asking.contains(&(record.id.clone(), ask.number)))
            };
            let (asked, others): (Vec<_>, Vec<_>) = records.into_iter().partition(is_asked);
            asked.into_iter().for_each(|record| self.fleet.apply(record));
            // Nobody here waits for the answers to these.
            self.fleet.load(others, self.now);
            self.doubt = Doubt::No;
        }
        if self.file == FileState::Unread || self.fault.is_some() && self.clients.is_empty() {
            // Nothing is concluded of assets whose file cannot be read.
            return Ok(None);
        }
        if let OwnMachine::Known(Some(_)) = self.own {
            let work = (self.work_here)().await;
            self.fleet.set_work(work);
        }
        loop {
            let decision = self.fleet.decide(self.now);
            let is_done = decision.records.is_empty() && decision.forgotten.is_empty();
            let wake = decision.wake;
            self.carry_out(decision).await?;
            if is_done {
                return Ok(wake);
            }
        }
    }

    /// First what is to be stored, then the rest.
    async fn carry_out(&mut self, decision: Decision) -> Result<(), String> {
        self.records.put(&decision.records, &decision.forgotten).await?;
        decision.records.into_iter().for_each(|record| self.fleet.apply(record));
        decision.forgotten.iter().for_each(|id| self.fleet.forget(id));
        for request in decision.requests {
            self.ask(request);
        }
        for look in decision.looks {
            self.look(look);
        }
        Ok(())
    }

    fn ask(&mut self, request: Request) {
        let Some((provider, client)) = self.clients.get(request.id.provider()).cloned() else {
            // The file lost it in this moment: the request counts as one that was lost.
            return self.doubt = Doubt::Some;
        };
        let environment = self.environment.clone();
        self.asking.insert((request.id.clone(), request.number));
        self.doing.spawn(async move {
            let asked = async {
                client_of(&client, &provider, &environment)
                    .await?
                    .act(request.id.machine(), request.act)
                    .await
            };
            let outcome = match asked.await {
                Ok(()) => Outcome::Taken,
                Err(Fault::Refused(refusal)) => Outcome::Refused(refusal),
                Err(Fault::Lost(what)) => Outcome::Lost(what),
                Err(Fault::NotSent(what) | Fault::Settings(what)) => Outcome::NotSent(what),
            };
            tracing::info!(asset = %request.id, act = %request.act, ?outcome, "asked");
            Happened::Answered { id: request.id, number: request.number, outcome }
        });
    }

    fn look(&mut self, look: Look) {
        let Some((provider, client)) = self.clients.get(&look.provider).cloned() else { return };
        let (environment, began) = (self.environment.clone(), self.now);
        self.fleet.look_begins(&look);
        self.doing.spawn(async move {
            let looked = async {
                let ec2 = client_of(&client, &provider, &environment).await?;
                file::look(ec2, &provider, &look.only).await
            };
            let found = match tokio::time::timeout(LOOK_WITHIN, looked).await {
                Ok(found) => found.map_err(|fault| fault.to_string()),
                Err(_) => Err(format!("the cloud did not answer within {LOOK_WITHIN:?}")),
            };
            Happened::Looked { look, began, found }
        });
    }

    async fn hear(&mut self, happened: Result<Happened, tokio::task::JoinError>) {
        self.tick();
        match happened {
            Ok(Happened::Looked { look, began, found }) => {
                if let Err(fault) = &found {
                    tracing::warn!(provider = %look.provider, %fault, "assets cannot be looked at");
                }
                self.fleet.looked(&look, (began, self.now), found);
            }
            Ok(Happened::Answered { id, number, outcome }) => {
                for record in self.fleet.answered(&id, number, outcome, self.now) {
                    self.unstored.insert(record.id.clone(), record.clone());
                    self.fleet.apply(record);
                }
                self.asking.remove(&(id, number));
            }
            Err(error) => tracing::error!(%error, "a request or look ended without a result"),
        }
    }

    async fn take(&mut self, message: Message) {
        self.tick();
        match message {
            Message::Show(ShowAssets::Known, answer) => {
                self.read_file().await;
                drop(answer.send(self.view()));
            }
            Message::Show(ShowAssets::Looked, answer) => {
                self.file = FileState::Unread;
                self.fleet.look_soon();
                self.waiting.push((self.now, answer));
            }
            Message::Order(order, actor, answer) => {
                let outcome = self.order(&order, &actor).await;
                // Whoever asked may have gone.
                let _ = answer.send(outcome);
            }
        }
    }

    async fn order(&mut self, order: &AssetOrder, actor: &str) -> Result<AssetView, Refused> {
        let record = self.fleet.order(order, actor, self.now);
        let record = record.map_err(|refusal| Refused { ground: Ground::Conflict, refusal })?;
        if let Err(error) = self.records.put(std::slice::from_ref(&record), &[]).await {
            self.doubt = Doubt::Some;
            let error = format!("whether this was ordered is not known: {error}");
            return Err(Refused::new(
                Ground::Unavailable,
                error,
                "`naru assets ls` shows whether it is wanted",
            ));
        }
        let id = record.id.clone();
        tracing::info!(asset = %id, wanted = %order.wanted, actor, "ordered");
        self.fleet.apply(record);
        let view = self.view().assets.into_iter().find(|asset| asset.id == id);
        view.ok_or_else(|| {
            Refused::new(Ground::NotFound, format!("there is no asset {id}"), "`naru assets ls` lists them")
        })
    }

    fn view(&self) -> AssetsView {
        AssetsView { fault: self.fault.clone(), ..self.fleet.view(self.now) }
    }

    fn show_those_who_wait(&mut self) {
        for (since, answer) in std::mem::take(&mut self.waiting) {
            let is_over = self.now.since(since) >= SHOW_WITHIN || self.fault.is_some();
            if is_over || self.fleet.has_looked_since(since) {
                let _ = answer.send(self.view());
            } else {
                self.waiting.push((since, answer));
            }
        }
    }

    /// Reads the file if it has changed. With one that is wrong, the providers before stay.
    async fn read_file(&mut self) {
        let found = std::fs::metadata(self.home.path(naru_assets::FILE)).ok();
        let state = FileState::Read(found.and_then(|found| Some((found.modified().ok()?, found.len()))));
        if self.file == state && self.now.since(self.read) < READ_AGAIN {
            return;
        }
        (self.file, self.read) = (state, self.now);
        let home = self.home.clone();
        // Calendars may have to be fetched.
        let read = tokio::task::spawn_blocking(move || file::providers(&home)).await;
        let Ok(read) = read else { return self.file = FileState::Unread };
        match read {
            Ok(providers) => {
                self.fault = None;
                self.know_own_machine(&providers).await;
                let before = std::mem::take(&mut self.clients);
                for provider in &providers {
                    let known = before.get(&provider.name).filter(|(known, _)| known == provider);
                    let client = known.map_or_else(Client::default, |(_, client)| client.clone());
                    self.clients.insert(provider.name.clone(), (provider.clone(), client));
                }
                self.fleet.set_providers(providers);
            }
            Err(error) => {
                tracing::error!(%error, "assets.yaml cannot be used");
                self.fault = Some(error.to_string());
            }
        }
    }

    /// Asked for once, and only where there are assets: elsewhere nobody may answer, which takes its time.
    async fn know_own_machine(&mut self, providers: &[Provider]) {
        if matches!(self.own, OwnMachine::Unasked) && !providers.is_empty() {
            let machine = Metadata::machine(&self.environment).await;
            tracing::info!(machine = machine.as_deref().unwrap_or("none of EC2"), "this machine");
            self.fleet.set_own(machine.clone());
            self.own = OwnMachine::Known(machine);
        }
    }
}

async fn client_of<'c>(
    client: &'c OnceCell<Ec2>,
    provider: &Provider,
    environment: &Environment,
) -> Result<&'c Ec2, Fault> {
    client.get_or_try_init(|| file::connect(provider, environment)).await
}
