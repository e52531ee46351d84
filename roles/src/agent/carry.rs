//! Carrying out effects, without a choice: each has an answer, which comes back as an input.

use super::ask::Subject;
use super::ports::{PortMap, Ports};
use super::role::Tag;
use super::surroundings;
use naru_model::{InstanceId, Protocol};
use naru_process::{Error, KeepLogs, Runtime, Signal, Started};
use naru_supervise::{BUSY_TIMEOUT, Effect, HOOK_TIMEOUT, Input, Memory, QUIET_TIMEOUT};
use naru_work::Book;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// What came of an effect.
pub(super) enum Happened {
    /// An input of the instance's machine.
    Seen(InstanceId, Input),
    /// A process was started.
    Started { id: InstanceId, run: u64, ports: PortMap, started: Started },
}

/// Has the means, and the tasks under way. They end with it.
pub(super) struct Carrier {
    runtime: Runtime,
    book: Book,
    ports: Arc<Mutex<Ports>>,
    inbox: mpsc::Sender<Happened>,
    tasks: JoinSet<()>,
}

impl Carrier {
    pub(super) fn new(runtime: Runtime, book: Book, ports: Ports, inbox: mpsc::Sender<Happened>) -> Carrier {
        Carrier { runtime, book, ports: Arc::new(Mutex::new(ports)), inbox, tasks: JoinSet::new() }
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
            Effect::Signal { signal } => self.signal(id, &signal).await,
            Effect::Kill => self.kill(id),
            question => self.ask(memory, question),
        }
        None
    }

    /// Removes the files of an instance that has ended.
    pub(super) async fn remove(&mut self, id: &InstanceId, logs: KeepLogs) {
        locked(&self.ports).free(id);
        self.told(id, self.book.remove(id).await);
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
        self.spawn(async move {
            let id = memory.id.clone();
            let started = match ports {
                Some(ports) => start(&memory, run, ports, &runtime, &book).await,
                None => Err("no port from 20000 to 29999 is free on 127.0.0.1".into()),
            };
            match started {
                Ok((ports, started)) => Happened::Started { id, run, ports, started },
                Err(why) => Happened::Seen(id, Input::StartFailed { run, why }),
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
        let (memory, runtime, book) = (memory.clone(), self.runtime.clone(), self.book.clone());
        self.spawn(async move {
            let id = memory.id.clone();
            let input = match subject(&memory, runtime, &book).await {
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

async fn start(
    memory: &Memory,
    run: u64,
    ports: PortMap,
    runtime: &Runtime,
    book: &Book,
) -> Result<(PortMap, Started), String> {
    let url = book.admit(&memory.id).map_err(|error| error.to_string())?;
    let launch = surroundings::launch(memory, &ports, &url)?;
    let tag = serde_json::to_vec(&Tag { run, ports: ports.clone() }).map_err(|error| error.to_string())?;
    let started = runtime.start(&memory.id, &launch, &tag).await.map_err(|error| error.to_string())?;
    Ok((ports, started))
}

async fn subject(memory: &Memory, runtime: Runtime, book: &Book) -> Result<Subject, String> {
    let url = book.admit(&memory.id).map_err(|error| error.to_string())?;
    let ports = memory.life.ports.clone();
    let launch = surroundings::launch(memory, &ports, &url)?;
    let mut accepting = memory.desired.template.targets.iter().filter(|one| one.protocol != Protocol::Udp);
    let first = accepting.next().map(|target| target.port);
    Ok(Subject { id: memory.id.clone(), ports, first, launch, runtime })
}

async fn answer(subject: &Subject, question: Effect) -> Input {
    match question {
        Effect::Probe { run, check, timeout } => {
            Input::Probed { run, seen: subject.probe(check.as_ref(), timeout).await }
        }
        Effect::RunHook { run, hook, command } => {
            Input::HookEnded { run, hook, result: subject.command(&command.process, HOOK_TIMEOUT).await }
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

fn locked(ports: &Mutex<Ports>) -> std::sync::MutexGuard<'_, Ports> {
    ports.lock().expect("nothing panics while it holds the ports")
}
