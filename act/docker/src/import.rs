//! Containers that another tool made: which there are, and those that are instances of this home now.
//!
//! An engine gives a container no other labels once it is made, so a file of the runtime's own says whose an imported one
//! is. Docker Compose says in its labels what its containers are of.

use crate::engine::{Found, greet, locked};
use crate::find::{Ours, SeenState, labelled, list, look};
use crate::network::join;
use crate::runtime::{Inner, Started};
use crate::start::{Asked, make_folder, started};
use crate::{Error, image};
use bollard::models::{ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::InspectContainerOptions;
use naru_model::{Exit, InstanceId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The file that says which they are, in the runtime's own folder.
const FILE: &str = "imported.json";
/// Docker Compose's label: the project's name.
const PROJECT: &str = "com.docker.compose.project";

/// The containers of others that are instances now, by the engine's ids.
pub(crate) struct ImportedOnes {
    path: PathBuf,
    all: Mutex<BTreeMap<String, Whose>>,
}

/// Which instance's a container is, and which run of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Whose {
    id: InstanceId,
    run: u64,
}

impl ImportedOnes {
    pub(crate) fn open(own: &Path) -> Result<ImportedOnes, Error> {
        let path = own.join(FILE);
        let all = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::from),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let all = all.map_err(|source| Error::Disk { path: path.clone(), source })?;
        Ok(ImportedOnes { path, all: Mutex::new(all) })
    }

    /// Whether a container is another tool's.
    pub(crate) fn has(&self, container: &str) -> bool {
        locked(&self.all).contains_key(container)
    }

    fn enter(&self, container: &str, id: &InstanceId, run: u64) -> Result<(), Error> {
        let mut all = locked(&self.all);
        all.insert(container.to_owned(), Whose { id: id.clone(), run });
        self.write(&all)
    }

    /// It is gone.
    pub(crate) fn forget(&self, container: &str) -> Result<(), Error> {
        let mut all = locked(&self.all);
        match all.remove(container) {
            Some(_) => self.write(&all),
            None => Ok(()),
        }
    }

    fn write(&self, all: &BTreeMap<String, Whose>) -> Result<(), Error> {
        let new = self.path.with_extension("new");
        let written = || -> std::io::Result<()> {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(all)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        written().map_err(|source| Error::Disk { path: self.path.clone(), source })
    }
}

impl Inner {
    /// The containers of this home, or of one instance of it: those that it made, and those that it imported.
    pub(crate) async fn ours(&self, engine: &Found, only: Option<&InstanceId>) -> Result<Vec<Ours>, Error> {
        let mut all = list(engine, &self.home, only).await?;
        let imported = locked(&self.imported.all).clone();
        for (container, Whose { id, run }) in imported {
            if only.is_some_and(|only| *only != id) {
                continue;
            }
            match look(engine, &container).await? {
                Some(seen) => {
                    let is_running = matches!(seen.state, SeenState::Running { .. });
                    all.push(Ours { container, id, run, is_running });
                }
                None => self.imported.forget(&container)?,
            }
        }
        Ok(all)
    }
}

/// Has a container that runs be this run of an instance. `None`: it does not run.
pub(crate) async fn import(
    inner: &Arc<Inner>,
    asked: Asked,
    container: &str,
) -> Result<Option<Started>, Error> {
    let engine = inner.engine.get_again().await?;
    let Some(seen) = look(&engine, container).await? else {
        let socket = engine.socket.display();
        return Err(Error::Unstartable(format!("container {container} is not on the engine at {socket}")));
    };
    if !matches!(seen.state, SeenState::Running { .. }) {
        return Ok(None);
    }
    let joined = {
        let _one_at_a_time = inner.networks.lock().await;
        join(&engine, &inner.home, &asked.launch).await?
    };
    make_folder(inner, &asked.id)?;
    inner.imported.enter(&seen.container, &asked.id, asked.run)?;
    let mut warnings = Vec::new();
    // From now on it is decided elsewhere whether it is started again.
    let off = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: Some(0) };
    let update = ContainerUpdateBody { restart_policy: Some(off), ..ContainerUpdateBody::default() };
    let updated = engine.docker.update_container(&seen.container, update);
    if let Err(error) = engine.ask(updated, || "turn the engine's own restarts off".into()).await {
        warnings.push(format!("the engine may start it again by itself: {error}"));
    }
    inner.enter(&asked.id, asked.run, Some(seen.container.clone()));
    let asked = Asked { image: image::made_from(&engine, &seen.image).await?, ..asked };
    started(&engine, &asked, &seen, &joined, warnings).await.map(Some)
}

/// What Docker Compose runs of one project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The folder that relative paths of its files begin at.
    pub folder: PathBuf,
    /// Its files, in their order.
    pub files: Vec<PathBuf>,
    /// Its files of variables, where some were named.
    pub env_files: Vec<PathBuf>,
    /// Its containers, by service and number.
    pub containers: Vec<Foreign>,
}

/// A container of such a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Of which service.
    pub service: String,
    /// Which of the service's.
    pub number: u32,
    /// What it was made from, as its maker named it.
    pub image: String,
    /// The engine's id of that image.
    pub image_id: String,
    /// Whether it runs.
    pub is_running: bool,
    /// How it ended, if it has run.
    pub exit: Option<Exit>,
    /// Folders in it that are kept in volumes without a name: these go with it.
    pub unnamed_volumes: Vec<String>,
}

/// What Docker Compose has on the first engine that answers, by project. One-off containers of `run` are left out.
///
/// # Errors
/// No engine answers, or it refuses.
pub async fn projects(sockets: Result<Vec<PathBuf>, String>) -> Result<Vec<Project>, Error> {
    let engine = first(sockets.map_err(Error::Elsewhere)?).await?;
    let listed = labelled(&engine, vec![PROJECT.to_owned()]).await?;
    let mut all: BTreeMap<String, Project> = BTreeMap::new();
    for id in listed.into_iter().filter_map(|one| one.id) {
        let said = engine.docker.inspect_container(&id, None::<InspectContainerOptions>);
        match engine.ask(said, || format!("look at container {id}")).await {
            Ok(said) => enter(&mut all, said),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    let mut all: Vec<Project> = all.into_values().collect();
    for project in &mut all {
        project.containers.sort_by(|a, b| (&a.service, a.number).cmp(&(&b.service, b.number)));
    }
    Ok(all)
}

async fn first(sockets: Vec<PathBuf>) -> Result<Found, Error> {
    let mut tried = Vec::new();
    for socket in sockets {
        match greet(&socket).await {
            Ok(found) => return Ok(found),
            Err(why) => tried.push(format!("{}: {why}", socket.display())),
        }
    }
    Err(Error::NoEngine { tried: tried.join("; ") })
}

fn enter(all: &mut BTreeMap<String, Project>, said: ContainerInspectResponse) {
    let config = said.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    let label = |name: &str| labels.get(&format!("{PROJECT}{name}")).filter(|value| !value.is_empty());
    let service = labels.get("com.docker.compose.service");
    let one_off =
        labels.get("com.docker.compose.oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let (Some(name), Some(service), Some(id), false) = (label(""), service, said.id, one_off) else { return };
    let folder = label(".working_dir").map(PathBuf::from).unwrap_or_default();
    // Of older versions of Docker Compose, as they were typed there.
    let paths = |value: Option<&String>| -> Vec<PathBuf> {
        value.map(|value| value.split(',').map(|path| folder.join(path)).collect()).unwrap_or_default()
    };
    let project =
        all.entry(name.clone()).or_insert_with(|| Project { name: name.clone(), ..Project::default() });
    // Of containers made at different times, the last one's files hold; they are listed newest first.
    if project.files.is_empty() {
        project.files = paths(label(".config_files"));
        project.env_files = paths(label(".environment_file"));
        project.folder = folder;
    }
    let state = said.state.unwrap_or_default();
    let mounts = said.mounts.unwrap_or_default();
    let unnamed = mounts.into_iter().filter(|mount| mount.name.as_deref().is_some_and(is_unnamed));
    project.containers.push(Foreign {
        id,
        name: said.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        service: service.clone(),
        number: labels.get("com.docker.compose.container-number").and_then(|n| n.parse().ok()).unwrap_or(1),
        image: config.image.unwrap_or_default(),
        image_id: said.image.unwrap_or_default(),
        is_running: state.running.unwrap_or(false),
        exit: state.exit_code.filter(|_| state.running == Some(false)).map(|code| Exit::Status(code as i32)),
        unnamed_volumes: unnamed.filter_map(|mount| mount.destination).collect(),
    });
}

/// A volume that nobody named has 64 hexadecimal digits.
fn is_unnamed(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}
