//! Connecting people with instances: a command beside one, with a terminal perhaps, for as long as somebody is there.
//!
//! Such a command is work of its instance, like any job: it holds a lease, so that it is seen and waited for, and is on the
//! receipt if it is cut or lost.

use super::role::Look;
use crate::door;
use futures_util::{FutureExt, StreamExt};
use naru_api::{CopyOrder, ExecOrder, ReachOrder, TerminalOrder};
use naru_docker::ExecRequest;
use naru_model::{Exit, InstanceId, Outcome, StackName};
use naru_process::{AttachError, AttachOrder};
use naru_reach::{Attached, Failure, Frame, FrameWriter, Lobby, Size, Usage, pack, transfer, unpack};
use naru_supervise::Memory;
use naru_work::Book;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

/// So many people and scripts at a time; more are told so.
const SESSIONS_MAX: usize = 128;
/// A server that has connected says at once what it wants.
const ORDER_WITHIN: Duration = Duration::from_secs(10);

/// Questions to an engine at a time.
const ASKED_AT_ONCE: usize = 16;

/// What is needed to run a command beside an instance.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) processes: naru_process::Runtime,
    pub(super) containers: naru_docker::Runtime,
    pub(super) book: Book,
    /// To the loop, which knows the instances.
    pub(super) looks: mpsc::Sender<Look>,
    /// Where those wait who are to have an instance's own streams.
    pub(super) lobby: Lobby,
}

/// The door, and all that goes on behind it.
pub(super) struct Door {
    listener: UnixListener,
    means: Means,
    places: Arc<Semaphore>,
    sessions: JoinSet<()>,
}

impl Door {
    /// Opens it. An agent without one has its instances all the same.
    pub(super) fn open(socket: &Path, means: Means) -> Option<Door> {
        // One of an earlier life is in the way.
        let _ = fs::remove_file(socket);
        let bound = UnixListener::bind(socket).and_then(|listener| {
            fs::set_permissions(socket, Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        match bound {
            Ok(listener) => {
                let places = Arc::new(Semaphore::new(SESSIONS_MAX));
                Some(Door { listener, means, places, sessions: JoinSet::new() })
            }
            Err(error) => {
                tracing::error!(socket = %socket.display(), %error, "nobody can be connected with an instance");
                None
            }
        }
    }

    /// Lets in whoever comes, for ever.
    pub(super) async fn run(mut self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (means, places) = (self.means.clone(), self.places.clone());
                    while self.sessions.try_join_next().is_some() {}
                    self.sessions.spawn(async move {
                        let place = places.try_acquire().ok();
                        means.serve(stream, place.is_some()).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Means {
    async fn serve(self, mut stream: UnixStream, has_place: bool) {
        let order = match tokio::time::timeout(ORDER_WITHIN, door::hear(&mut stream)).await {
            Ok(Ok(order)) => order,
            _ => return tracing::debug!("a connection without an order"),
        };
        let begun = match order {
            _ if !has_place => Err(other(format!("{SESSIONS_MAX} sessions are open, which is the most"))),
            ReachOrder::Usage(stack) => {
                let read = || {
                    let (means, stack) = (self.clone(), stack.clone());
                    async move { means.usage(stack).await }.boxed()
                };
                return naru_reach::serve_usage(stream, read).await;
            }
            ReachOrder::CopyOut(of) => self.copy_out(&of).await.map(|copy| (of.instance, (copy, None))),
            ReachOrder::CopyIn(of) => self.copy_in(&of).await.map(|copy| (of.instance, (copy, None))),
            ReachOrder::Run(order) => {
                let terminal = order.terminal.as_ref().map(size);
                let kind = order.terminal.and_then(|terminal| terminal.kind);
                let entered = self.lobby.enter(&order.instance, terminal, kind).await;
                entered.map(|attached| (order.instance, (attached, None)))
            }
            ReachOrder::Exec(order) => {
                self.begin(&order).await.map(|(attached, held)| (order.instance, (attached, Some(held))))
            }
        };
        match begun {
            Ok((id, (attached, held))) => {
                let exit = naru_reach::serve(stream, attached).await;
                if let Some(held) = held {
                    self.end(&id, held, exit).await;
                }
            }
            Err(failure) => {
                // Whoever asked may have gone.
                let _ = FrameWriter::new(stream).send(&Frame::Failed(failure)).await;
            }
        }
    }

    /// The lease comes first: there is no moment in which the command runs and nobody knows.
    async fn begin(&self, order: &ExecOrder) -> Result<(Attached, naru_work::Held), Failure> {
        let memory = self.look(&order.instance).await?;
        let name = format!("exec {} ({})", order.command.join(" "), order.actor);
        let held = self.book.hold(&order.instance, &name).await.map_err(other)?.map_err(other)?;
        match self.attach(&memory, order).await {
            Ok(attached) => Ok((attached, held)),
            Err(failure) => {
                self.end(&order.instance, held, Some(Exit::Unknown)).await;
                Err(failure)
            }
        }
    }

    async fn end(&self, id: &InstanceId, held: naru_work::Held, exit: Option<Exit>) {
        match exit {
            // Whatever its status: a person's command did what it did.
            Some(_) => {
                if let Err(error) = held.end(Outcome::Done).await {
                    tracing::error!(instance = %id, %error, "its ledger could not be written");
                }
            }
            None => tracing::warn!(instance = %id, "a command whose person is gone cannot be ended"),
        }
    }

    /// A copy of files is no work of the instance: it is done in moments, and may be done again.
    async fn copy_out(&self, of: &CopyOrder) -> Result<Attached, Failure> {
        let memory = self.look(&of.instance).await?;
        if memory.desired.template.run.container().is_some() {
            let (runtime, of) = (self.containers.clone(), of.clone());
            return Ok(transfer(move |_, to| async move {
                runtime.copy_out(&of.instance, &of.path, to).await.map_err(|error| error.to_string())
            }));
        }
        let path = on_host(&memory, &of.path)?;
        let name =
            path.file_name().map_or_else(|| "files".into(), |name| name.to_string_lossy().into_owned());
        Ok(transfer(move |_, to| on_a_thread(move || pack(&path, &name, to))))
    }

    /// Within a folder that is there, under its own name; else as what was named.
    async fn copy_in(&self, of: &CopyOrder) -> Result<Attached, Failure> {
        let memory = self.look(&of.instance).await?;
        let is_container = memory.desired.template.run.container().is_some();
        let path = if is_container { Path::new("/").join(&of.path) } else { on_host(&memory, &of.path)? };
        let is_folder = if is_container {
            let seen = self.containers.has_folder(&of.instance, &path.to_string_lossy()).await;
            seen.map_err(of_container)?
        } else {
            path.is_dir()
        };
        let (folder, name) = match (is_folder, path.parent(), path.file_name()) {
            (false, Some(folder), Some(name)) => (folder.to_owned(), name.to_string_lossy().into_owned()),
            _ => (path, of.name.clone()),
        };
        let (runtime, id) = (self.containers.clone(), of.instance.clone());
        Ok(transfer(move |from, to| async move {
            // Nobody hears it: then nobody copies.
            let _ = to.send(name.into_bytes()).await;
            if is_container {
                let folder = folder.to_string_lossy().into_owned();
                return runtime.copy_in(&id, &folder, from).await.map_err(|error| error.to_string());
            }
            on_a_thread(move || match folder.is_dir() {
                true => unpack(from, &folder),
                false => Err(std::io::Error::other(format!("{} is no folder", folder.display()))),
            })
            .await
        }))
    }

    /// What runs, of a stack or in all.
    async fn running(&self, stack: Option<StackName>) -> Vec<Memory> {
        let (answer, found) = oneshot::channel();
        let asked = self.looks.send(Look { stack, answer }).await;
        let mut found = if asked.is_ok() { found.await.unwrap_or_default() } else { vec![] };
        found.retain(|memory| memory.life.running.is_some());
        found
    }

    /// What what runs uses. One of which nothing can be told now is left out.
    async fn usage(self, stack: Option<StackName>) -> Result<Vec<Usage>, Failure> {
        let running = self.running(stack).await;
        let (containers, processes): (Vec<&Memory>, Vec<&Memory>) =
            running.iter().partition(|memory| memory.desired.template.run.container().is_some());
        let ids: Vec<InstanceId> = processes.iter().map(|memory| memory.id.clone()).collect();
        let runtime = self.processes.clone();
        let read = tokio::task::spawn_blocking(move || runtime.usage(&ids));
        let ask = |memory: &&Memory| {
            let (runtime, id) = (self.containers.clone(), memory.id.clone());
            async move { runtime.usage(&id).await }
        };
        let asked: Vec<_> = containers.iter().map(ask).collect();
        let told: Vec<_> = futures_util::stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        let mut all = read.await.map_err(other)?;
        let limit = |id: &InstanceId| {
            processes.iter().find(|memory| memory.id == *id)?.desired.template.resources.memory
        };
        all.iter_mut().for_each(|usage| usage.memory_limit = limit(&usage.instance));
        all.extend(told.into_iter().filter_map(Result::ok).flatten());
        all.sort_by(|one, other| one.instance.cmp(&other.instance));
        Ok(all)
    }

    async fn look(&self, id: &InstanceId) -> Result<Memory, Failure> {
        let found = self.running(None).await.into_iter().find(|memory| memory.id == *id);
        found.ok_or_else(|| Failure {
            hint: Some("`naru ps` shows what runs".into()),
            ..other(format!("instance {id} is not running"))
        })
    }

    async fn attach(&self, memory: &Memory, order: &ExecOrder) -> Result<Attached, Failure> {
        let terminal = order.terminal.as_ref().map(size);
        if memory.desired.template.run.container().is_some() {
            let request = ExecRequest {
                argv: order.command.clone(),
                user: order.user.clone(),
                working_dir: order.working_dir.clone(),
                environment: order.environment.clone(),
                privileged: order.privileged,
            };
            let attached = self.containers.attach(&memory.id, &request, terminal).await;
            return attached.map_err(of_container);
        }
        if order.privileged {
            return Err(other("a process has its user's rights: `--privileged` is for containers"));
        }
        let mut environment = order.environment.clone();
        if let Some(kind) = order.terminal.as_ref().and_then(|terminal| terminal.kind.clone()) {
            environment.entry("TERM".into()).or_insert(kind);
        }
        let order = AttachOrder {
            argv: order.command.clone(),
            user: order.user.clone(),
            working_dir: order.working_dir.as_ref().map(Into::into),
            environment,
            terminal,
        };
        self.processes.attach(&memory.id, &order).await.map_err(of_process)
    }
}

/// Where a path of a process's is.
fn on_host(memory: &Memory, path: &str) -> Result<PathBuf, Failure> {
    if path.is_empty() {
        return Err(other("the path is empty"));
    }
    Ok(Path::new(&memory.desired.template.working_dir).join(path))
}

async fn on_a_thread(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn size(terminal: &TerminalOrder) -> Size {
    Size { columns: terminal.columns, lines: terminal.lines }
}

fn other(error: impl ToString) -> Failure {
    Failure { status: 125, error: error.to_string(), hint: None }
}

fn of_process(error: AttachError) -> Failure {
    let status = match &error {
        AttachError::NoProgram(_) => 127,
        AttachError::Unstartable(_) => 126,
        AttachError::User(_) | AttachError::System(_) => 125,
    };
    Failure { status, ..other(error) }
}

fn of_container(error: naru_docker::Error) -> Failure {
    let status = match &error {
        naru_docker::Error::Refused { said, .. } => {
            let is_missing = ["not found", "no such file"].iter().any(|words| said.contains(words));
            if is_missing { 127 } else { 126 }
        }
        _ => 125,
    };
    Failure { status, ..other(error) }
}
