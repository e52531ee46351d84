//! Carrying out effects, without a choice: each has an answer, which comes back as an input.

use super::ask::{Beside, Subject};
use super::containers::Containers;
use super::ports::{NONE_FREE, PortMap, Ports};
use super::role::Tag;
use super::surroundings;
use naru_model::{InstanceId, Protocol, ServiceName, SessionKind, StackName, UsedImage};
use naru_process::{Error, KeepLogs, RunNo, Runtime, Signal, StartError, Started};
use naru_reach::{Attached, Failure, Lobby, Person};
use naru_supervise::{BUSY_TIMEOUT, Effect, HOOK_TIMEOUT, Input, Memory, QUIET_TIMEOUT};
use naru_work::Book;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What a start waits for is told this often at most.
const TELL_PACE: Duration = Duration::from_secs(1);

/// Where containers find services, as it is reported.
pub(super) type HostAddresses = BTreeMap<StackName, BTreeMap<ServiceName, String>>;

/// What came of an effect.
pub(super) enum Happened {
    /// An input of the instance's machine.
    Seen(InstanceId, Input),
    /// It was started; a process has a number of its runtime's, too.
    Started { id: InstanceId, run: u64, process: Option<RunNo>, input: Input },
}

/// Has the means, and the tasks under way. They end with it.
pub(super) struct Carrier {
    runtime: Runtime,
    containers: Containers,
    /// Where those wait who are to have an instance's own streams.
    lobby: Lobby,
    book: Book,
    ports: Arc<Mutex<Ports>>,
    inbox: mpsc::Sender<Happened>,
    tasks: JoinSet<()>,
    /// Those that remove what is not needed any more: an agent that ends waits for them.
    removals: JoinSet<()>,
}

impl Carrier {
    pub(super) fn new(
        runtime: Runtime,
        (containers, lobby): (Containers, Lobby),
        book: Book,
        ports: Ports,
        inbox: mpsc::Sender<Happened>,
    ) -> Carrier {
        let ports = Arc::new(Mutex::new(ports));
        let (tasks, removals) = (JoinSet::new(), JoinSet::new());
        Carrier { runtime, containers, lobby, book, ports, inbox, tasks, removals }
    }

    /// An instance of an earlier agent has these ports.
    pub(super) fn adopt_ports(&mut self, id: &InstanceId, ports: PortMap) {
        locked(&self.ports).adopt(id, ports);
    }

    /// Carries out an effect, or sees that it is. An answer that is there at once is returned.
    pub(super) async fn carry_out(&mut self, memory: &Memory, effect: Effect) -> Option<Input> {
        while self.tasks.try_join_next().is_some() {}
        let id = &memory.id;
        match effect {
            Effect::Launch { run, .. } if is_container(memory) => self.launch_container(memory, run),
            Effect::Launch { run, prefer } => self.launch(memory, run, &prefer),
            Effect::QuietLedger => self.told(id, self.book.quiet(id).await),
            Effect::CutLedger => self.told(id, self.book.cut(id).await),
            Effect::LoseLeases { cause } => self.told(id, self.book.lose(id, &cause).await),
            Effect::CloseLedger => {
                return Some(match self.book.close(id).await {
                    Ok(Ok(())) => Input::LedgerClosed,
                    Ok(Err(open)) => Input::LedgerRefused(open),
                    Err(error) => {
                        self.told(id, Err(error));
                        Input::LedgerRefused(0)
                    }
                });
            }
            Effect::Signal { signal } if is_container(memory) => self.signal_container(id, signal),
            Effect::Signal { signal } => self.signal(id, &signal).await,
            Effect::Kill if is_container(memory) => self.kill_container(id),
            Effect::Kill => self.kill(id),
            question => self.ask(memory, question),
        }
        None
    }

    /// Whoever had the streams of an instance of an earlier agent has lost them. A process's shim has seen to that.
    pub(super) fn hang_up(&mut self, memory: &Memory) {
        if session(memory).is_some() && is_container(memory) {
            let (runtime, id) = (self.containers.runtime.clone(), memory.id.clone());
            self.tasks.spawn(async move { runtime.hang_up(&id).await });
        }
    }

    /// Forgets an instance that has ended, and keeps its log, unless that was to go with it.
    pub(super) async fn forget(&mut self, memory: &Memory) {
        let id = &memory.id;
        locked(&self.ports).free(id);
        self.told(id, self.book.remove(id).await);
        let forget = memory.desired.one_off.is_some_and(|terms| terms.forget);
        let logs = if forget { KeepLogs::Delete } else { KeepLogs::Keep };
        if !is_container(memory) {
            return self.remove(id, logs).await;
        }
        let (runtime, id) = (self.containers.runtime.clone(), id.clone());
        while self.removals.try_join_next().is_some() {}
        self.removals.spawn(async move {
            if let Err(error) = runtime.remove(&id, logs).await {
                tracing::warn!(instance = %id, %error, "its container is not removed yet");
            }
        });
    }

    /// Nothing of a stack is left here.
    pub(super) fn forget_stack(&mut self, stack: &StackName) {
        self.removals.spawn(self.containers.forget_stack(stack));
    }

    /// Waits until what is not needed any more is removed: nothing else would remove it, where no agent follows.
    pub(super) async fn finish(&mut self) {
        while self.removals.join_next().await.is_some() {}
    }

    /// Where this node's containers find services.
    pub(super) fn host_addresses(&self) -> HostAddresses {
        self.containers.host_addresses()
    }

    /// Removes the files of an instance that is forgotten: its log, perhaps.
    pub(super) async fn remove(&mut self, id: &InstanceId, logs: KeepLogs) {
        if let Err(error) = self.runtime.remove(id, logs).await {
            tracing::error!(instance = %id, %error, "its files could not be removed");
        }
    }

    fn told(&self, id: &InstanceId, result: Result<(), naru_work::WorkError>) {
        if let Err(error) = result {
            tracing::error!(instance = %id, %error, "its ledger could not be written");
        }
    }

    fn launch(&mut self, memory: &Memory, run: u64, prefer: &PortMap) {
        let targets = &memory.desired.template.targets;
        let ports = locked(&self.ports).give(&memory.id, targets, prefer);
        let (memory, runtime, book) = (memory.clone(), self.runtime.clone(), self.book.clone());
        let lobby = self.lobby.clone();
        self.spawn(async move {
            let id = memory.id.clone();
            let started = match (ports, person(&memory, &lobby).await) {
                (Some(ports), Ok(person)) => {
                    let came = start(&memory, run, ports, (&runtime, &book), person.as_ref()).await;
                    greet(person, came)
                }
                (None, Ok(person)) => greet(person, Err(failure(NONE_FREE))),
                (_, Err(nobody)) => Err(nobody),
            };
            match started {
                Ok((ports, started)) => {
                    let Started { pid, warnings, run: number, .. } = started;
                    let input = Input::process_started(run, pid, ports, warnings);
                    Happened::Started { id, run, process: Some(number), input }
                }
                Err(why) => Happened::Seen(id, Input::StartFailed { run, why }),
            }
        });
    }

    fn launch_container(&mut self, memory: &Memory, run: u64) {
        let (memory, containers, ports) = (memory.clone(), self.containers.clone(), self.ports.clone());
        let (inbox, lobby) = (self.inbox.clone(), self.lobby.clone());
        self.spawn(async move {
            let id = memory.id.clone();
            let mut last = None;
            let told = |what: String| {
                // A pull tells more often than anybody reads.
                let due = last.is_none_or(|last: Instant| last.elapsed() >= TELL_PACE);
                if due {
                    last = Some(Instant::now());
                    let _ = inbox.try_send(Happened::Seen(id.clone(), Input::StartWaits { run, what }));
                }
            };
            let started = match person(&memory, &lobby).await {
                Ok(person) => {
                    let came = containers.start(&memory, run, &ports, person.as_ref(), told).await;
                    greet(person, came)
                }
                Err(nobody) => {
                    containers.give_up(&id).await;
                    Err(nobody)
                }
            };
            match started {
                Ok(started) => {
                    let naru_docker::Started { pid, address, ports, image, warnings, .. } = started;
                    let address = address.map(|address| address.to_string());
                    let image_health = image.health;
                    let image = Some(UsedImage { id: image.id, digest: image.digest });
                    let input = Input::Started { run, pid, address, ports, image, image_health, warnings };
                    Happened::Started { id, run, process: None, input }
                }
                Err(why) => Happened::Seen(id, Input::StartFailed { run, why }),
            }
        });
    }

    /// Waits, apart from the loop, for an engine that is away.
    fn signal_container(&mut self, id: &InstanceId, signal: String) {
        let (runtime, id) = (self.containers.runtime.clone(), id.clone());
        self.tasks.spawn(async move {
            match runtime.signal(&id, &signal).await {
                Ok(()) | Err(naru_docker::Error::NotRunning(_)) => {}
                Err(error) => tracing::error!(instance = %id, %error, "no stop signal"),
            }
        });
    }

    fn kill_container(&mut self, id: &InstanceId) {
        let (runtime, id) = (self.containers.runtime.clone(), id.clone());
        self.tasks.spawn(async move {
            match runtime.kill(&id).await {
                Ok(()) | Err(naru_docker::Error::NotRunning(_)) => {}
                Err(error) => tracing::error!(instance = %id, %error, "not killed"),
            }
        });
    }

    async fn signal(&self, id: &InstanceId, name: &str) {
        let signal = name.parse().unwrap_or_else(|error| {
            tracing::warn!(instance = %id, %error, "SIGTERM is sent instead");
            Signal::TERM
        });
        match self.runtime.signal(id, signal).await {
            // It ended just now; the event is under way.
            Ok(()) | Err(Error::NotRunning(_)) => {}
            Err(error) => tracing::error!(instance = %id, %error, "no stop signal"),
        }
    }

    fn kill(&mut self, id: &InstanceId) {
        let (runtime, id) = (self.runtime.clone(), id.clone());
        self.tasks.spawn(async move {
            match runtime.kill(&id).await {
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(error) => tracing::error!(instance = %id, %error, "not killed"),
            }
        });
    }

    fn ask(&mut self, memory: &Memory, question: Effect) {
        let (memory, book) = (memory.clone(), self.book.clone());
        let (runtime, containers) = (self.runtime.clone(), self.containers.runtime.clone());
        self.spawn(async move {
            let id = memory.id.clone();
            let input = match subject(&memory, runtime, containers, &book).await {
                Ok(subject) => answer(&subject, question).await,
                Err(why) => unanswered(question, why),
            };
            Happened::Seen(id, input)
        });
    }

    fn spawn(&mut self, work: impl Future<Output = Happened> + Send + 'static) {
        let inbox = self.inbox.clone();
        self.tasks.spawn(async move {
            let happened = work.await;
            // The loop has ended only if this task is about to.
            let _ = inbox.send(happened).await;
        });
    }
}

/// How somebody has its own streams; `None`: nobody does.
fn session(memory: &Memory) -> Option<SessionKind> {
    memory.desired.one_off?.session
}

/// Who is to have its streams, if anybody is.
///
/// # Errors
/// Nobody came.
async fn person(memory: &Memory, lobby: &Lobby) -> Result<Option<Person>, String> {
    match session(memory) {
        Some(_) => lobby.meet(&memory.id).await.map(Some).ok_or_else(|| "whoever wanted it has gone".into()),
        None => Ok(None),
    }
}

/// Tells whoever is to have its streams what came of the start.
fn greet<T>(person: Option<Person>, came: Result<(T, Option<Attached>), Failure>) -> Result<T, String> {
    let (started, attached) = match came {
        Ok((started, attached)) => (Ok(started), attached.map(Ok)),
        Err(failure) => (Err(failure.error.clone()), Some(Err(failure))),
    };
    if let (Some(person), Some(attached)) = (person, attached) {
        person.answer(attached);
    }
    started
}

fn failure(why: impl ToString) -> Failure {
    Failure { status: 125, error: why.to_string(), hint: None }
}

async fn start(
    memory: &Memory,
    run: u64,
    ports: PortMap,
    (runtime, book): (&Runtime, &Book),
    person: Option<&Person>,
) -> Result<((PortMap, Started), Option<Attached>), Failure> {
    let url = book.admit(&memory.id).map_err(failure)?;
    let mut launch = surroundings::launch(memory, &ports, &url).map_err(failure)?;
    let tag = serde_json::to_vec(&Tag { run, ports: ports.clone() }).map_err(failure)?;
    let Some(person) = person else {
        let started = runtime.start(&memory.id, &launch, &tag).await.map_err(of_start)?;
        return Ok(((ports, started), None));
    };
    if let Some(kind) = person.kind.clone() {
        launch.environment.entry("TERM".into()).or_insert(kind);
    }
    let (started, attached) =
        runtime.start_attached(&memory.id, &launch, &tag, person.terminal).await.map_err(of_start)?;
    Ok(((ports, started), Some(attached)))
}

fn of_start(error: StartError) -> Failure {
    let status = match &error {
        StartError::Unstartable(why) if why.contains(" not found") => 127,
        StartError::Unstartable(_) => 126,
        _ => 125,
    };
    Failure { status, ..failure(error) }
}

async fn subject(
    memory: &Memory,
    runtime: Runtime,
    containers: naru_docker::Runtime,
    book: &Book,
) -> Result<Subject, String> {
    let ports = memory.life.ports.clone();
    let beside = if is_container(memory) {
        Beside::Container(containers)
    } else {
        let url = book.admit(&memory.id).map_err(|error| error.to_string())?;
        Beside::Process { launch: surroundings::launch(memory, &ports, &url)?, runtime }
    };
    let address = memory.life.address.as_deref().and_then(|text| text.parse().ok());
    let address = address.unwrap_or(Ipv4Addr::LOCALHOST);
    let mut accepting = memory.desired.template.targets.iter().filter(|one| one.protocol != Protocol::Udp);
    let first = accepting.next().map(|target| target.port);
    Ok(Subject { id: memory.id.clone(), address, ports, first, beside })
}

async fn answer(subject: &Subject, question: Effect) -> Input {
    match question {
        Effect::Probe { run, check, timeout } => {
            Input::Probed { run, seen: subject.probe(check.as_ref(), timeout).await }
        }
        Effect::RunHook { run, hook, command } => {
            Input::HookEnded { run, hook, result: subject.command(&command, HOOK_TIMEOUT).await }
        }
        Effect::TellQuiet { run, call } => {
            Input::QuietTold { run, result: subject.tell_quiet(&call, QUIET_TIMEOUT).await }
        }
        Effect::AskBusy { run, question, action } => {
            let answer = subject.busy(&action, BUSY_TIMEOUT).await;
            Input::BusyAnswered { run, question, answer }
        }
        _ => Input::Tick,
    }
}

/// The instance could not even be asked.
fn unanswered(question: Effect, why: String) -> Input {
    match question {
        Effect::Probe { run, .. } => Input::Probed { run, seen: naru_supervise::Probed::Failed(why) },
        Effect::RunHook { run, hook, .. } => Input::HookEnded { run, hook, result: Err(why) },
        Effect::TellQuiet { run, .. } => Input::QuietTold { run, result: Err(why) },
        Effect::AskBusy { run, question, .. } => Input::BusyAnswered { run, question, answer: Err(why) },
        _ => Input::Tick,
    }
}

fn is_container(memory: &Memory) -> bool {
    memory.desired.template.run.container().is_some()
}

/// Nothing panics while it holds one of the agent's locks.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
