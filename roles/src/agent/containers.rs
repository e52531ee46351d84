//! Instances as containers: what the engine is told of them, and how they find the ledger.
//!
//! The ledger listens on loopback, which is each container's own. So it is served at one more address: that of a small
//! bridge network of this home, on which no container is, and which all containers reach ([`naru_docker`] says how). Who
//! calls there is told apart, as on loopback, by the token in `NARU_WORK_URL`. A Unix socket that is mounted into the
//! container would need no address, but few HTTP clients speak over one.
//!
//! Services are found in the same way: each that a container may call has an address of its own on this host, where the
//! edge listens, and stands with it in the container's table of hosts. An engine that can give no such address leaves
//! the name to its own networks, where it leads to the instances past the edge.

use super::carry::{HostAddresses, locked};
use super::ports::{PortMap, Ports};
use super::preludes::Preludes;
use naru_docker::{Error, FileFrom, Image, Launch, Prepared, Progress, Reach, Runtime, Started};
use naru_model::{Connection, Container, InstanceId, Prelude, PreludeRuns, Protocol, StackName, UsedImage};
use naru_reach::{Attached, Failure, Person};
use naru_supervise::Memory;
use naru_work::Book;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Mutex as Turn;
use tokio::task::JoinSet;

/// The name of the ledger's address.
const LEDGER: &str = "ledger";
/// The file with that address: containers of an agent before call it, whether or not the engine answers now.
const DOOR: &str = "ledger.address";
/// The file with the addresses of services: they are reported before the engine is asked.
const SERVICES: &str = "services.json";
/// The file that says what was run before instances started.
const PRELUDES: &str = "preludes.json";
/// An engine that is away is asked again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// The runtime of containers, and what it is told beside the file's word.
#[derive(Clone)]
pub(super) struct Containers {
    pub(super) runtime: Runtime,
    book: Book,
    /// Where the contents of secrets and configs are, by their ids.
    contents: PathBuf,
    own: PathBuf,
    door: Arc<Turn<Door>>,
    services: Arc<Mutex<Services>>,
    preludes: Preludes,
}

/// Where this node's containers find services: by `STACK/SERVICE`.
#[derive(Default)]
struct Services {
    all: BTreeMap<String, Ipv4Addr>,
    /// Those that the engine has confirmed in this life.
    sure: BTreeSet<String>,
}

/// The ledger's second address.
#[derive(Default)]
struct Door {
    open: Option<Ipv4Addr>,
    /// Serves there, for as long as the agent lives.
    serving: JoinSet<()>,
}

impl Containers {
    /// `own` is the runtime's folder.
    pub(super) fn new(runtime: Runtime, book: Book, own: PathBuf, contents: PathBuf) -> Containers {
        let known = std::fs::read(own.join(SERVICES)).ok();
        let all = known.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let services = Arc::new(Mutex::new(Services { all, ..Services::default() }));
        let preludes = Preludes::open(own.join(PRELUDES));
        Containers { runtime, book, contents, own, door: Arc::default(), services, preludes }
    }

    /// Where this node's containers find services, for the report.
    pub(super) fn host_addresses(&self) -> HostAddresses {
        let mut report = HostAddresses::new();
        for (key, address) in &locked(&self.services).all {
            if let Some((stack, service)) = key.split_once('/') {
                report.entry(stack.into()).or_default().insert(service.into(), address.to_string());
            }
        }
        report
    }

    /// Gives back the addresses of a stack of which nothing is left here: at once in the books, and then at the engine.
    pub(super) fn forget_stack(&self, stack: &StackName) -> impl Future<Output = ()> + Send + 'static {
        let prefix = format!("{stack}/");
        self.preludes.forget(&prefix);
        let mut services = locked(&self.services);
        let gone: Vec<String> = services.all.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        services.all.retain(|key, _| !key.starts_with(&prefix));
        services.sure.retain(|key| !key.starts_with(&prefix));
        if !gone.is_empty() {
            self.write(&services);
        }
        let theirs = self.clone();
        async move {
            for key in gone {
                theirs.give_back(&key).await;
            }
        }
    }

    async fn give_back(&self, key: &str) {
        let _one_at_a_time = self.door.lock().await;
        if locked(&self.services).all.contains_key(key) {
            return;
        }
        if let Err(error) = self.runtime.remove_host_address(key).await {
            tracing::warn!(key, %error, "its address is not given back");
        }
    }

    /// The names by which a container finds services, with their addresses.
    async fn hosts(&self, memory: &Memory) -> Vec<(String, Ipv4Addr)> {
        let mut hosts = Vec::new();
        for (name, service) in &memory.desired.hosts {
            match self.address(&format!("{}/{service}", memory.desired.stack)).await {
                Ok(address) => hosts.push((name.clone(), address)),
                Err(error) => {
                    tracing::warn!(instance = %memory.id, name, %error, "a service is found past the edge");
                }
            }
        }
        hosts
    }

    async fn address(&self, key: &str) -> Result<Ipv4Addr, Error> {
        let _one_at_a_time = self.door.lock().await;
        let sure = {
            let services = locked(&self.services);
            services.all.get(key).copied().filter(|_| services.sure.contains(key))
        };
        if let Some(address) = sure {
            return Ok(address);
        }
        let address = loop {
            match self.runtime.host_address(key).await {
                Err(error) if error.is_away() => tokio::time::sleep(AGAIN).await,
                other => break other?,
            }
        };
        let mut services = locked(&self.services);
        services.sure.insert(key.to_owned());
        services.all.insert(key.to_owned(), address);
        self.write(&services);
        Ok(address)
    }

    fn write(&self, services: &Services) {
        let path = self.own.join(SERVICES);
        let json = serde_json::to_vec(&services.all).map_err(std::io::Error::from);
        if let Err(error) = json.and_then(|json| std::fs::write(&path, json)) {
            tracing::warn!(path = %path.display(), %error, "cannot be written");
        }
    }

    /// Serves the ledger where containers of an earlier agent call it.
    pub(super) async fn open_known_door(&self) {
        let known = std::fs::read_to_string(self.own.join(DOOR)).ok();
        if let Some(address) = known.and_then(|text| text.trim().parse().ok()) {
            let mut door = self.door.lock().await;
            door.serving.spawn(naru_work::serve_at(self.book.clone(), address));
            door.open = Some(address);
        }
    }

    /// Starts an instance, for whoever is to have its streams. `told` hears what it waits for.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) async fn start(
        &self,
        memory: &Memory,
        run: u64,
        ports: &Mutex<Ports>,
        person: Option<&Person>,
        told: impl FnMut(String),
    ) -> Result<(Started, Option<Attached>), Failure> {
        self.start_for(memory, run, ports, person, told).await.map_err(failure)
    }

    /// Removes what there is of a start that is given up.
    pub(super) async fn give_up(&self, id: &InstanceId) {
        if let Err(error) = self.runtime.give_up(id).await {
            tracing::warn!(instance = %id, %error, "what there is of its start is not removed yet");
        }
    }

    async fn start_for(
        &self,
        memory: &Memory,
        run: u64,
        ports: &Mutex<Ports>,
        person: Option<&Person>,
        mut told: impl FnMut(String),
    ) -> Result<(Started, Option<Attached>), String> {
        let container = memory.desired.template.run.container().ok_or("it is no container")?;
        let (work_url, warning) = self.work_url(&memory.id, container).await;
        let mut launch = self.launch(memory, container, work_url)?;
        // Once it has run, it is started again as any instance is.
        if let Some(found) = memory.desired.imported.as_ref().filter(|_| memory.life.image.is_none())
            && let Some(started) = self.import(memory, run, &launch, found, &mut told).await?
        {
            return Ok((started, None));
        }
        launch.extra_hosts = self.hosts(memory).await;
        let prepared = self.prepare(&launch, &mut told).await?;
        // Once it has been started, it is started again without what comes before.
        if memory.life.image.is_none() && !launch.container.pre_start.is_empty() {
            self.run_preludes(memory, &launch, &prepared, &mut told).await?;
        }
        let publish = match prepared.reach {
            Reach::Published => publish(memory, ports)?,
            Reach::Direct | Reach::Host => PortMap::new(),
        };
        let (mut started, attached) = loop {
            let begun = match person {
                Some(person) => {
                    let size = person.terminal;
                    let begun = self.runtime.start_attached(&memory.id, run, &launch, &prepared, size).await;
                    begun.map(|(started, attached)| (started, Some(attached)))
                }
                None => {
                    let begun = self.runtime.start(&memory.id, run, &launch, &prepared, &publish).await;
                    begun.map(|started| (started, None))
                }
            };
            match begun {
                Err(error) if error.is_away() => wait(&error, &mut told).await,
                other => break other.map_err(|error| error.to_string())?,
            }
        };
        started.warnings.extend(warning);
        Ok((started, attached))
    }

    /// A container of another tool's goes on as this instance, if it runs.
    async fn import(
        &self,
        memory: &Memory,
        run: u64,
        launch: &Launch,
        found: &str,
        told: &mut impl FnMut(String),
    ) -> Result<Option<Started>, String> {
        loop {
            match self.runtime.import(&memory.id, run, launch, found).await {
                Err(error) if error.is_away() => wait(&error, told).await,
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }

    async fn prepare(&self, launch: &Launch, told: &mut impl FnMut(String)) -> Result<Prepared, String> {
        loop {
            match self.runtime.prepare(launch, |progress| told(progress.to_string())).await {
                Err(error) if error.is_away() => wait(&error, told).await,
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }

    /// What the file has run before the instance, one after the other; what is for its whole version, unless it was run for
    /// another instance.
    async fn run_preludes(
        &self,
        memory: &Memory,
        launch: &Launch,
        prepared: &Prepared,
        told: &mut impl FnMut(String),
    ) -> Result<(), String> {
        let key = format!("{}/{}", memory.desired.stack, memory.desired.service);
        let version = memory.desired.template.fingerprint_of(&memory.desired.images);
        let _one_at_a_time = self.preludes.turn(&key).await;
        let launch_of = |prelude: &Prelude| {
            let image = prelude.image.as_ref().map(|image| memory.desired.images.get(image));
            let pinned = image.map_or_else(|| launch.pinned.clone(), |image| image.map(image_of));
            Launch { pinned, ..launch.clone() }
        };
        for (number, prelude) in launch.container.pre_start.iter().enumerate() {
            let once = prelude.runs == PreludeRuns::Once;
            if once && self.preludes.has_run(&key, &version, number) {
                continue;
            }
            told(format!("its pre_start command {} runs", number + 1));
            loop {
                let pulled = |progress: Progress| told(progress.to_string());
                match self.runtime.prelude(&memory.id, number, &launch_of(prelude), prepared, pulled).await {
                    Err(error) if error.is_away() => wait(&error, told).await,
                    other => break other.map_err(|error| error.to_string())?,
                }
            }
            if once {
                self.preludes.note(&key, &version, number);
            }
        }
        if let Err(error) = self.runtime.forget_preludes(&memory.id).await {
            tracing::warn!(instance = %memory.id, %error, "what ran before it goes with it");
        }
        Ok(())
    }

    /// The ledger's address for an instance; where there is none that it reaches, why.
    async fn work_url(&self, id: &InstanceId, container: &Container) -> (Option<String>, Option<String>) {
        let address = match container.connection {
            Connection::Host => Ok(Ipv4Addr::LOCALHOST),
            Connection::None => Err("it has no network".to_owned()),
            _ => self.door().await,
        };
        match address.and_then(|address| self.book.admit_at(id, address).map_err(|error| error.to_string())) {
            Ok(url) => (Some(url), None),
            Err(why) => {
                let said = format!("it gets no NARU_WORK_URL, so only a busy check can tell its jobs: {why}");
                (None, Some(said))
            }
        }
    }

    /// The ledger's address for containers, served from the first one on.
    async fn door(&self) -> Result<Ipv4Addr, String> {
        let mut door = self.door.lock().await;
        if let Some(open) = door.open {
            return Ok(open);
        }
        let address = loop {
            match self.runtime.host_address(LEDGER).await {
                Err(error) if error.is_away() => tokio::time::sleep(AGAIN).await,
                other => break other.map_err(|error| error.to_string())?,
            }
        };
        std::fs::write(self.own.join(DOOR), address.to_string()).map_err(|error| error.to_string())?;
        door.serving.spawn(naru_work::serve_at(self.book.clone(), address));
        door.open = Some(address);
        Ok(address)
    }

    fn launch(
        &self,
        memory: &Memory,
        container: &Container,
        work_url: Option<String>,
    ) -> Result<Launch, String> {
        let desired = &memory.desired;
        let template = &desired.template;
        let udp = template.targets.iter().filter(|target| target.protocol == Protocol::Udp);
        Ok(Launch {
            stack: desired.stack.clone(),
            // By its service's name others find instances that serve, and take their namespaces.
            service: match desired.one_off {
                Some(_) => memory.id.as_str().into(),
                None => desired.service.clone(),
            },
            container: container.clone(),
            pinned: pinned(memory, container),
            environment: environment(memory, work_url),
            working_dir: template.working_dir.clone(),
            user: template.user.clone(),
            stop_signal: template.stop_signal.clone(),
            labels: template.labels.clone(),
            resources: template.resources.clone(),
            targets: template.targets.iter().map(|target| target.port).collect(),
            udp: udp.map(|target| target.port).collect(),
            extra_hosts: vec![],
            files: files(container, &self.contents)?,
        })
    }
}

/// Why a container was not started, with the status that a shell has for it.
fn failure(error: String) -> Failure {
    let has = |words: &[&str]| words.iter().any(|words| error.contains(words));
    let status = match () {
        () if has(&["executable file not found", "no such file or directory"]) => 127,
        () if has(&["permission denied", "exec format error", "is a directory"]) => 126,
        () => 125,
    };
    Failure { status, error, hint: None }
}

/// What an earlier start was made from, or what the release recorded: not what the reference means by now.
fn pinned(memory: &Memory, container: &Container) -> Option<Image> {
    let recorded = || memory.desired.images.get(&container.image);
    let image = memory.life.image.as_ref().or_else(recorded)?;
    Some(image_of(image))
}

fn image_of(image: &UsedImage) -> Image {
    Image { id: image.id.clone(), digest: image.digest.clone(), health: None }
}

/// Ports of loopback for a container that is reached only so.
fn publish(memory: &Memory, ports: &Mutex<Ports>) -> Result<PortMap, String> {
    let given = locked(ports).give(&memory.id, &memory.desired.template.targets, &memory.life.ports);
    given.ok_or_else(|| super::ports::NONE_FREE.to_owned())
}

async fn wait(error: &Error, told: &mut impl FnMut(String)) {
    told(format!("waits: {error}"));
    tokio::time::sleep(AGAIN).await;
}

/// The file's environment, then what the server adds, then what this node knows. `PORT` is not set: a container listens
/// where its image says.
fn environment(memory: &Memory, work_url: Option<String>) -> BTreeMap<String, String> {
    let desired = &memory.desired;
    let mut all = desired.template.environment.clone();
    all.extend(desired.environment.clone());
    let own = [
        ("NARU_INSTANCE", memory.id.to_string()),
        ("NARU_STACK", desired.stack.to_string()),
        ("NARU_SERVICE", desired.service.to_string()),
        ("NARU_RELEASE", desired.release.to_string()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all.extend(work_url.map(|url| ("NARU_WORK_URL".to_owned(), url)));
    all
}

/// Where the contents of a container's secrets and configs are.
fn files(container: &Container, contents: &Path) -> Result<Vec<FileFrom>, String> {
    let place = |file: &naru_model::ContentFile| {
        let source = contents.join(file.content.as_str());
        if !source.exists() {
            let (kind, name) = (file.kind.word(), &file.name);
            return Err(format!("the content of {kind} {name} is not there: `naru up` again"));
        }
        Ok(FileFrom { file: file.clone(), source })
    };
    container.files.iter().map(place).collect()
}
