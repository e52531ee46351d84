//! The agent's side: starts, adopts, signals, watches and forgets containers.

use crate::engine::{Config, Engine, Found, locked};
use crate::exec::{ExecOutput, ExecRequest, exec};
use crate::find::{SeenState, look};
use crate::follow::follow;
use crate::image::{Image, Progress};
use crate::import::{self, ImportedOnes};
use crate::mounts::ensure_volumes;
use crate::network::{join, remove_unused};
use crate::session::{self, Seat};
use crate::{Error, Launch, PortMap, Reach, address, files, image, prelude, start, watch};
use bollard::query_parameters::{KillContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use naru_logs::KeepLogs;
use naru_model::{Exit, InstanceId, Time};
use naru_reach::{Attached, Size};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch as signal};

/// Ends that wait to be taken; past so many, the watch waits, and nothing is lost.
const MAX_EVENTS: usize = 1024;
/// After SIGKILL the engine tells the end within this time, or the process is stuck in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(12);
/// An agent that begins does not wait longer than this for what became of its containers.
const ADOPT_LIMIT: Duration = Duration::from_secs(20);
/// An engine that is away is asked again after this time.
const AGAIN: Duration = Duration::from_millis(500);
/// The last words of a container are copied within this time before it is removed, or given up.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A container that runs now.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Its main process, by the host's number, where the engine tells one.
    pub pid: u32,
    /// When.
    pub at: Time,
    /// Where its ports answer; `None`: at 127.0.0.1.
    pub address: Option<Ipv4Addr>,
    /// Target port → port there.
    pub ports: PortMap,
    /// What it is made from.
    pub image: Image,
    /// What was asked for and could not be given.
    pub warnings: Vec<String>,
}

/// What is ready for a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What the container will be made from.
    pub image: Image,
    /// How the host will reach it: with [`Reach::Published`], the start is to be given a port of 127.0.0.1 for each
    /// target.
    pub reach: Reach,
}

/// A start that an earlier agent knew of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which instance.
    pub id: InstanceId,
    /// Its last start.
    pub run: u64,
}

/// What became of a start that an earlier agent knew of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Which instance.
    pub id: InstanceId,
    /// Which start.
    pub run: u64,
    /// What the engine says.
    pub state: AdoptedState,
}

/// What the engine says of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptedState {
    /// It runs, and its end will come as an event.
    Running {
        /// Its main process.
        pid: u32,
        /// When it was started.
        started: Time,
    },
    /// It ended, and no event will come for it.
    Ended {
        /// How.
        exit: Exit,
        /// When, where the engine tells.
        at: Option<Time>,
    },
    /// The engine has no container of that start.
    Nothing,
    /// The engine does not answer. As soon as it does, an end comes as an event, if there was one.
    Unknown,
}

/// A run that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which instance.
    pub id: InstanceId,
    /// Which start of it.
    pub run: u64,
    /// How its main process ended; [`Exit::Unknown`] where its container was removed by somebody else.
    pub exit: Exit,
    /// When, where the engine tells.
    pub at: Option<Time>,
}

/// The ends of runs, each exactly once in the life of this runtime, for runs that [`Runtime::start`] started or
/// [`Runtime::adopt`] took over.
pub struct Events {
    ended: mpsc::Receiver<Ended>,
}

impl Events {
    /// The next end. `None` once the runtime is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<Ended> {
        self.ended.recv().await
    }
}

/// Starts, signals, watches and forgets containers. A cheap handle: clones share one runtime. With the last of them, the
/// watching ends, and no container with it.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
    _guard: Arc<Guard>,
}

/// Ends the tasks that watch when nobody has the runtime any more.
struct Guard(Arc<Inner>);

impl Drop for Guard {
    fn drop(&mut self) {
        locked(&self.0.tasks).abort_all();
    }
}

/// What the handles share.
pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) home: String,
    /// Containers that another tool made.
    pub(crate) imported: ImportedOnes,
    pub(crate) dir: PathBuf,
    /// Runs that are taken to be running.
    pub(crate) runs: std::sync::Mutex<HashMap<InstanceId, Run>>,
    /// Instances that the agent knows. Containers of others that have ended are nobody's.
    pub(crate) known: std::sync::Mutex<BTreeSet<InstanceId>>,
    pub(crate) events: mpsc::Sender<Ended>,
    /// Something changed that the watch is to look at.
    pub(crate) look: Notify,
    /// Held while networks are made and joined, or removed.
    pub(crate) networks: tokio::sync::Mutex<()>,
    tasks: std::sync::Mutex<tokio::task::JoinSet<()>>,
    watching: std::sync::Once,
    /// Whose output is being copied, and whether that is done.
    logs: std::sync::Mutex<HashMap<String, signal::Receiver<bool>>>,
}

/// A run that is taken to be running.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) number: u64,
    /// `None`: the engine has not said yet.
    pub(crate) container: Option<String>,
    /// How it ended, once it has.
    pub(crate) end: signal::Sender<Option<Exit>>,
}

impl Runtime {
    /// Opens the runtime. No engine is asked.
    ///
    /// Call within a tokio runtime with IO and time enabled.
    ///
    /// # Errors
    /// The runtime's own file cannot be read.
    pub fn open(config: Config) -> Result<(Runtime, Events), Error> {
        let engine = Engine::open(&config.own, config.sockets)?;
        let (events, ended) = mpsc::channel(MAX_EVENTS);
        let inner = Arc::new(Inner {
            home: engine.home(),
            imported: ImportedOnes::open(&config.own)?,
            engine,
            dir: config.dir,
            runs: Default::default(),
            known: Default::default(),
            events,
            look: Notify::new(),
            networks: Default::default(),
            tasks: Default::default(),
            watching: std::sync::Once::new(),
            logs: Default::default(),
        });
        let guard = Arc::new(Guard(inner.clone()));
        Ok((Runtime { inner, _guard: guard }, Events { ended }))
    }

    /// Takes over what an earlier agent left, in the order of `known`. With nothing known, no engine is asked.
    pub async fn adopt(&self, known: &[Known]) -> Vec<Adopted> {
        if known.is_empty() {
            return vec![];
        }
        locked(&self.inner.known).extend(known.iter().map(|one| one.id.clone()));
        let found = match tokio::time::timeout(ADOPT_LIMIT, self.find_known(known)).await {
            Ok(found) => found,
            Err(_) => Err(self.inner.engine.silent(ADOPT_LIMIT)),
        };
        if let Err(error) = &found {
            tracing::warn!(%error, "containers of the agent before are taken to run on until the engine answers");
        }
        let state = |one: &Known| match &found {
            Ok(found) => found.get(&one.id).cloned().unwrap_or((AdoptedState::Nothing, None)),
            Err(_) => (AdoptedState::Unknown, None),
        };
        let adopt = |one: &Known| {
            let (state, container) = state(one);
            if matches!(state, AdoptedState::Running { .. } | AdoptedState::Unknown) {
                self.inner.enter(&one.id, one.run, container);
            } else if let Some(container) = container {
                self.inner.copy_output(&one.id, &container);
            }
            Adopted { id: one.id.clone(), run: one.run, state }
        };
        known.iter().map(adopt).collect()
    }

    /// Has the containers of an instance left alone, whatever became of them: it is about to be started again, or to be
    /// removed.
    pub fn know(&self, id: &InstanceId) {
        locked(&self.inner.known).insert(id.clone());
    }

    async fn find_known(
        &self,
        known: &[Known],
    ) -> Result<HashMap<InstanceId, (AdoptedState, Option<String>)>, Error> {
        let engine = self.inner.engine.get_again().await?;
        let mut found = HashMap::new();
        for ours in self.inner.ours(&engine, None).await? {
            if !known.iter().any(|one| one.id == ours.id && one.run == ours.run) {
                continue;
            }
            let Some(seen) = look(&engine, &ours.container).await? else { continue };
            let state = match seen.state {
                SeenState::Running { pid, started } => AdoptedState::Running { pid, started },
                SeenState::Ended { exit, at } => AdoptedState::Ended { exit, at },
                SeenState::Made => continue,
            };
            found.insert(ours.id, (state, Some(ours.container)));
        }
        Ok(found)
    }

    /// Gets the image and makes the networks and volumes that a start will need. `told` hears how far a pull has come.
    ///
    /// # Errors
    /// There is no engine, the image cannot be had, or the engine refuses.
    pub async fn prepare(&self, launch: &Launch, told: impl FnMut(Progress)) -> Result<Prepared, Error> {
        let engine = self.inner.engine.get().await?;
        self.inner.watch();
        let image = image::ensure(&engine, launch, told).await?;
        ensure_volumes(&engine, &self.inner.home, launch).await?;
        let _one_at_a_time = self.inner.networks.lock().await;
        let joined = join(&engine, &self.inner.home, launch).await?;
        Ok(Prepared { image, reach: joined.reach })
    }

    /// Starts an instance, for the `run`th time. A start that was begun before, whose answer did not come, is gone on with:
    /// no run is started twice.
    ///
    /// Not undone by dropping the future: then the instance is started all the same.
    ///
    /// # Errors
    /// Another run of it is there and runs, the launch cannot work, or the engine refuses. Nothing of this run runs then,
    /// and no event comes. [`Error::is_away`]: nothing is known; ask again.
    pub async fn start(
        &self,
        id: &InstanceId,
        run: u64,
        launch: &Launch,
        prepared: &Prepared,
        publish: &PortMap,
    ) -> Result<Started, Error> {
        let (image, publish) = (prepared.image.clone(), publish.clone());
        let asked = start::Asked { id: id.clone(), run, launch: launch.clone(), image, publish, seat: None };
        self.begin(asked).await.map(|begun| begun.started)
    }

    /// The same for somebody who has its streams from its first byte on, with a terminal of that size if there is one: the
    /// launch asks for it, too. What it says is in its log as well.
    ///
    /// # Errors
    /// As [`Runtime::start`].
    pub async fn start_attached(
        &self,
        id: &InstanceId,
        run: u64,
        launch: &Launch,
        prepared: &Prepared,
        terminal: Option<Size>,
    ) -> Result<(Started, Attached), Error> {
        let (image, publish) = (prepared.image.clone(), PortMap::new());
        let seat = Some(Seat { terminal });
        let begun =
            self.begin(start::Asked { id: id.clone(), run, launch: launch.clone(), image, publish, seat });
        let begun = begun.await?;
        let missing = || Error::Unstartable(format!("instance {id}: its streams are not there"));
        Ok((begun.started, begun.attached.ok_or_else(missing)?))
    }

    async fn begin(&self, asked: start::Asked) -> Result<start::Begun, Error> {
        locked(&self.inner.known).insert(asked.id.clone());
        let inner = self.inner.clone();
        let whole = tokio::spawn(async move { start::start(&inner, asked).await });
        let own = |error: tokio::task::JoinError| Error::Unstartable(error.to_string());
        whole.await.map_err(own)?
    }

    /// Ends an instance whose streams nobody has any more: it is hung up on, and killed if that does not end it. Returns when
    /// it has ended; or at once, where it does not run.
    pub async fn hang_up(&self, id: &InstanceId) {
        let Some(run) = self.inner.run_of(id) else { return };
        if let Ok((engine, container)) = self.container_of(id).await {
            session::hang_up(&engine, &container, run.end.subscribe()).await;
        }
    }

    /// Removes what there is of an instance's containers, running or not: the start that they were made for is given up.
    ///
    /// # Errors
    /// The engine is away or refuses.
    pub async fn give_up(&self, id: &InstanceId) -> Result<(), Error> {
        let engine = self.inner.engine.get_again().await?;
        for ours in self.inner.ours(&engine, Some(id)).await? {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            let killed = engine.docker.kill_container(&ours.container, Some(options));
            // One that does not run needs no kill.
            let _ = engine.ask(killed, || format!("kill instance {id}")).await;
            self.inner.discard(&engine, Some(id), &ours.container).await?;
        }
        Ok(())
    }

    /// Has a container that another tool made, and that runs, be the `run`th run of an instance. `None`: it does not run.
    ///
    /// # Errors
    /// The engine or the disk refuses. [`Error::is_away`]: nothing is known; ask again.
    pub async fn import(
        &self,
        id: &InstanceId,
        run: u64,
        launch: &Launch,
        container: &str,
    ) -> Result<Option<Started>, Error> {
        self.inner.engine.get().await?;
        self.inner.watch();
        locked(&self.inner.known).insert(id.clone());
        let asked = start::Asked {
            id: id.clone(),
            run,
            launch: launch.clone(),
            image: Image::default(),
            publish: PortMap::new(),
            seat: None,
        };
        import::import(&self.inner, asked, container).await
    }

    /// Runs what the file has run before an instance starts, the `number`th from 0, to its end. What has succeeded is not
    /// run again until [`Runtime::forget_preludes`]; what an earlier agent began is waited for. Where it has an image of its
    /// own, `launch.pinned` is of that.
    ///
    /// # Errors
    /// It did not exit with 0, its image cannot be had, or the engine refuses. [`Error::is_away`]: ask again.
    pub async fn prelude(
        &self,
        id: &InstanceId,
        number: usize,
        launch: &Launch,
        prepared: &Prepared,
        told: impl FnMut(Progress),
    ) -> Result<(), Error> {
        locked(&self.inner.known).insert(id.clone());
        let Some(prelude) = launch.container.pre_start.get(number) else { return Ok(()) };
        let before = prelude::Before { id, launch, image: &prepared.image, prelude, number };
        prelude::run(&self.inner, before, told).await
    }

    /// Removes the containers in which something ran before an instance.
    ///
    /// # Errors
    /// The engine is away or refuses.
    pub async fn forget_preludes(&self, id: &InstanceId) -> Result<(), Error> {
        let engine = self.inner.engine.get_again().await?;
        prelude::remove(&self.inner, &engine, id).await
    }

    /// Sends a signal, by name or number, to the main process; with none named, the one that its image asks for. Waits for
    /// an engine that is away.
    ///
    /// # Errors
    /// It is not running, or the engine refuses.
    pub async fn signal(&self, id: &InstanceId, signal: &str) -> Result<(), Error> {
        loop {
            match self.signal_once(id, signal).await {
                Err(error) if error.is_away() => tokio::time::sleep(AGAIN).await,
                Err(error) if error.is_not_running() => return Err(Error::NotRunning(id.clone())),
                other => return other,
            }
        }
    }

    async fn signal_once(&self, id: &InstanceId, signal: &str) -> Result<(), Error> {
        let (engine, container) = self.container_of(id).await?;
        let images = match signal {
            "" => look(&engine, &container).await?.and_then(|seen| seen.stop_signal),
            _ => None,
        };
        let signal = if signal.is_empty() { images.as_deref().unwrap_or("SIGTERM") } else { signal };
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        let asked = engine.docker.kill_container(&container, Some(options));
        engine.ask(asked, || format!("send {signal} to instance {id}")).await
    }

    /// Kills the container and returns when it has ended. The event comes as for any end. Waits for an engine that is away.
    /// Of an instance that does not run yet, what runs before it is killed.
    ///
    /// # Errors
    /// It ended meanwhile, or it is stuck in the kernel for more than 12 s.
    pub async fn kill(&self, id: &InstanceId) -> Result<(), Error> {
        let Some(run) = self.inner.run_of(id) else { return prelude::kill(&self.inner, id).await };
        let mut end = run.end.subscribe();
        self.signal(id, "SIGKILL").await?;
        let ended = tokio::time::timeout(KILL_LIMIT, end.wait_for(Option::is_some)).await;
        match ended {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Survives(id.clone())),
        }
    }

    /// Runs a command in the container. Waits for an engine that is away, unless the command was begun: then what came of it
    /// is not known.
    ///
    /// # Errors
    /// The container is not running, or the engine refuses.
    pub async fn exec(
        &self,
        id: &InstanceId,
        request: &ExecRequest,
        timeout: Duration,
    ) -> Result<ExecOutput, Error> {
        loop {
            let (engine, container) = match self.container_of(id).await {
                Err(error) if error.is_away() => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                other => other?,
            };
            if engine.ask(engine.docker.ping(), || "whether it is there".into()).await.is_err() {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            return match exec(&engine, &container, request, timeout).await {
                Err(error) if error.is_not_running() => Err(Error::NotRunning(id.clone())),
                other => other,
            };
        }
    }

    /// Forgets an instance: removes its container, the container's unnamed volumes, and its files, and the networks that
    /// nothing is on any more. What an engine that is away keeps is removed as soon as it answers. An instance that is not
    /// there is no error.
    ///
    /// # Errors
    /// The engine or the system refuses.
    pub async fn remove(&self, id: &InstanceId, logs: KeepLogs) -> Result<(), Error> {
        locked(&self.inner.runs).remove(id);
        locked(&self.inner.known).remove(id);
        let folder = naru_logs::folder_of(&self.inner.dir, id)?;
        let removed = self.remove_containers(id).await;
        files::clear(&folder, None);
        if logs == KeepLogs::Delete {
            remove_logs(&folder).map_err(|source| Error::Disk { path: folder, source })?;
        }
        removed
    }

    async fn remove_containers(&self, id: &InstanceId) -> Result<(), Error> {
        let engine = self.inner.engine.get_again().await?;
        prelude::remove(&self.inner, &engine, id).await?;
        for ours in self.inner.ours(&engine, Some(id)).await? {
            self.inner.discard(&engine, Some(id), &ours.container).await?;
        }
        let _one_at_a_time = self.inner.networks.lock().await;
        remove_unused(&engine, &self.inner.home).await
    }

    /// An address of this host's that every container of the engine reaches, the same for the same name ever after.
    ///
    /// # Errors
    /// The engine cannot give one: it runs without root or in another machine, or it is Podman's.
    pub async fn host_address(&self, name: &str) -> Result<Ipv4Addr, Error> {
        let engine = self.inner.engine.get().await?;
        let _one_at_a_time = self.inner.networks.lock().await;
        address::host_address(&engine, &self.inner.home, name).await
    }

    /// All such addresses of this home, by name.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn host_addresses(&self) -> Result<BTreeMap<String, Ipv4Addr>, Error> {
        let engine = self.inner.engine.get_again().await?;
        address::host_addresses(&engine, &self.inner.home).await
    }

    /// Gives such an address back. One that is not there is no error.
    ///
    /// # Errors
    /// The engine does not answer or refuses.
    pub async fn remove_host_address(&self, name: &str) -> Result<(), Error> {
        let engine = self.inner.engine.get_again().await?;
        let _one_at_a_time = self.inner.networks.lock().await;
        address::remove_host_address(&engine, &self.inner.home, name).await
    }

    pub(crate) async fn container_of(&self, id: &InstanceId) -> Result<(Found, String), Error> {
        let gone = || Error::NotRunning(id.clone());
        let run = self.inner.run_of(id).ok_or_else(gone)?;
        let engine = self.inner.engine.get_again().await?;
        match run.container {
            Some(container) => Ok((engine, container)),
            None => {
                let listed = self.inner.ours(&engine, Some(id)).await?;
                let ours = listed.into_iter().find(|one| one.run == run.number).ok_or_else(gone)?;
                Ok((engine, ours.container))
            }
        }
    }
}

impl Inner {
    pub(crate) fn run_of(&self, id: &InstanceId) -> Option<Run> {
        locked(&self.runs).get(id).cloned()
    }

    /// Whether a container may be one of the runs.
    pub(crate) fn may_have(&self, container: &str) -> bool {
        let is_it = |run: &Run| run.container.as_deref().is_none_or(|known| known == container);
        container.is_empty() || locked(&self.runs).values().any(is_it)
    }

    /// Enters a run into the books: from now on its end is told, also by what is returned.
    pub(crate) fn enter(
        self: &Arc<Inner>,
        id: &InstanceId,
        number: u64,
        container: Option<String>,
    ) -> signal::Receiver<Option<Exit>> {
        if let Some(container) = &container {
            self.copy_output(id, container);
        }
        let (tell, end) = signal::channel(None);
        locked(&self.runs).insert(id.clone(), Run { number, container, end: tell });
        self.watch();
        self.look.notify_one();
        end
    }

    /// Has the watch run, from the first time on.
    pub(crate) fn watch(self: &Arc<Inner>) {
        self.watching.call_once(|| self.spawn(watch::watch(self.clone())));
    }

    /// Copies what a container says into the instance's log, once.
    pub(crate) fn copy_output(self: &Arc<Inner>, id: &InstanceId, container: &str) {
        let mut logs = locked(&self.logs);
        if logs.contains_key(container) {
            return;
        }
        let (done, receiver) = signal::channel(false);
        logs.insert(container.to_owned(), receiver);
        let (inner, id, container) = (self.clone(), id.clone(), container.to_owned());
        self.spawn(async move {
            follow(inner, id, container).await;
            done.send_replace(true);
        });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = locked(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    /// Removes a container that does not run, once its last words are copied: those of an instance that is known.
    pub(crate) async fn discard(
        self: &Arc<Inner>,
        engine: &Found,
        id: Option<&InstanceId>,
        container: &str,
    ) -> Result<(), Error> {
        id.into_iter().for_each(|id| self.copy_output(id, container));
        let copied = locked(&self.logs).get(container).cloned();
        if let Some(mut copied) = copied {
            let _ = tokio::time::timeout(LAST_WORDS, copied.wait_for(|done| *done)).await;
        }
        // What is kept in an unnamed volume of another tool's container may be all that there is of it.
        let volumes = !self.imported.has(container);
        let options = RemoveContainerOptionsBuilder::default().v(volumes).build();
        let asked = engine.docker.remove_container(container, Some(options));
        match engine.ask(asked, || format!("remove container {container}")).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => {
                locked(&self.logs).remove(container);
                self.imported.forget(container)
            }
        }
    }

    /// Tells an end, unless it was told already.
    pub(crate) async fn tell_end(&self, id: &InstanceId, run: u64, exit: Exit, at: Option<Time>) {
        let ended = {
            let mut runs = locked(&self.runs);
            match runs.get(id) {
                Some(one) if one.number == run => runs.remove(id),
                _ => None,
            }
        };
        let Some(ended) = ended else { return };
        // Nobody listens any more: then nobody misses it.
        let _ = self.events.send(Ended { id: id.clone(), run, exit: exit.clone(), at }).await;
        ended.end.send_replace(Some(exit));
    }
}

fn remove_logs(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(naru_logs::is_log) {
            std::fs::remove_file(entry.path())?;
        }
    }
    // What else is there is not this runtime's.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}
