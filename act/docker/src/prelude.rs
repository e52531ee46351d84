//! What runs to its end before an instance starts, each command in a container of its own (`pre_start`).
//!
//! It has the instance's networks, volumes, secrets and limits, and not its names: nobody who calls the service is to
//! reach it. What it says is in the instance's log. Its name is known beforehand, so that an agent that begins while it
//! runs waits for it instead of running it twice.

use crate::body::{Settled, body};
use crate::engine::Found;
use crate::find::{HOME, PRELUDE, Seen, SeenState, labelled, look};
use crate::image::{self, Image, Progress};
use crate::network::{connect_others, join};
use crate::runtime::Inner;
use crate::start::make_folder;
use crate::{Error, Launch, PortMap, files};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use naru_model::{Exit, InstanceId, Prelude};
use std::sync::Arc;
use std::time::Duration;

/// An engine that is away, or breaks off its answer, is asked again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// One command before the start of an instance.
pub(crate) struct Before<'a> {
    pub(crate) id: &'a InstanceId,
    /// Of the instance itself; `pinned` is of the image that this command runs in.
    pub(crate) launch: &'a Launch,
    /// What the instance will be made from.
    pub(crate) image: &'a Image,
    pub(crate) prelude: &'a Prelude,
    /// Which of them, from 0.
    pub(crate) number: usize,
}

/// Runs it to its end, or waits for it where it was begun before. One that has succeeded is not run again, until
/// [`remove`] forgets it.
///
/// # Errors
/// It did not exit with 0, or the engine refuses.
pub(crate) async fn run(
    inner: &Arc<Inner>,
    before: Before<'_>,
    told: impl FnMut(Progress),
) -> Result<(), Error> {
    let engine = inner.engine.get_again().await?;
    let launch = own_launch(&before);
    let own_image = match &before.prelude.image {
        Some(_) => Some(image::ensure(&engine, &launch, told).await?),
        None => None,
    };
    let image = own_image.as_ref().unwrap_or(before.image);
    let home = &inner.home[..inner.home.len().min(6)];
    let name = format!("{}.before{}-{home}", before.id, before.number + 1);
    let begun = match look(&engine, &name).await? {
        Some(Seen { state: SeenState::Ended { exit: Exit::Status(0), .. }, .. }) => return Ok(()),
        // A try before this one's.
        Some(Seen { state: SeenState::Ended { .. }, container, .. }) => {
            inner.discard(&engine, Some(before.id), &container).await?;
            None
        }
        Some(seen) => Some(seen),
        None => None,
    };
    let container = match &begun {
        Some(seen) => seen.container.clone(),
        None => make(inner, &engine, &before, &launch, image, &name).await?,
    };
    if begun.is_none_or(|seen| seen.state == SeenState::Made) {
        let start = engine.docker.start_container(&container, None::<StartContainerOptions>);
        engine.ask(start, || "start what comes before an instance".into()).await?;
    }
    inner.copy_output(before.id, &container);
    let number = before.number + 1;
    match wait(inner, &container).await? {
        Some(Exit::Status(0)) => Ok(()),
        Some(exit) => Err(Error::Unstartable(format!("its pre_start command {number} {exit}"))),
        None => {
            Err(Error::Unstartable(format!("its pre_start command {number} was removed by somebody else")))
        }
    }
}

/// Kills what runs before an instance's start; its end is then seen by whoever waits for it.
pub(crate) async fn kill(inner: &Inner, id: &InstanceId) -> Result<(), Error> {
    let engine = inner.engine.get_again().await?;
    for container in of(&engine, &inner.home, id).await? {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        let asked = engine.docker.kill_container(&container, Some(options));
        match engine.ask(asked, || format!("kill what runs before instance {id}")).await {
            Err(error) if !error.is_not_running() && !error.is_missing() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Forgets what was run before an instance.
pub(crate) async fn remove(inner: &Arc<Inner>, engine: &Found, id: &InstanceId) -> Result<(), Error> {
    for container in of(engine, &inner.home, id).await? {
        inner.discard(engine, Some(id), &container).await?;
    }
    Ok(())
}

async fn of(engine: &Found, home: &str, id: &InstanceId) -> Result<Vec<String>, Error> {
    let labels = vec![format!("{}={home}", HOME), format!("{PRELUDE}={id}")];
    let listed = labelled(engine, labels).await?;
    Ok(listed.into_iter().filter_map(|one| one.id).collect())
}

/// The instance's launch, with the command's own word where it has one.
fn own_launch(before: &Before<'_>) -> Launch {
    let mut launch = before.launch.clone();
    let Prelude { command, image, .. } = before.prelude;
    let container = &mut launch.container;
    if let Some(image) = image {
        container.image = image.clone();
    }
    if !command.process.command.is_empty() {
        container.command = Some(command.process.command.clone());
        container.entrypoint = Some(vec![]);
    }
    container.privileges.privileged |= command.privileged;
    (container.name, container.hostname) = (None, None);
    container.ports.clear();
    (container.tty, container.stdin_open) = (false, false);
    launch.targets.clear();
    launch.udp.clear();
    launch.environment.extend(command.environment.clone());
    launch.user = command.user.clone().or(launch.user);
    launch.working_dir = command.working_dir.clone().unwrap_or(launch.working_dir);
    launch
}

async fn make(
    inner: &Arc<Inner>,
    engine: &Found,
    before: &Before<'_>,
    launch: &Launch,
    image: &Image,
    name: &str,
) -> Result<String, Error> {
    let folder = make_folder(inner, before.id)?;
    // Number 0: the starts of the instance itself count from 1, and clear it away.
    let files = files::lay_out(&folder, 0, &launch.files)?;
    let _one_at_a_time = inner.networks.lock().await;
    let joined = join(engine, &inner.home, launch).await?.nameless();
    let settled = Settled {
        home: &inner.home,
        id: before.id,
        run: 0,
        image: &image.id,
        joined: &joined,
        publish: &PortMap::new(),
        files,
        attached: false,
    };
    let mut body = body(launch, settled);
    let labels = body.labels.get_or_insert_default();
    // It is no run of the instance.
    labels.remove(crate::find::INSTANCE);
    labels.remove(crate::find::RUN);
    labels.insert(PRELUDE.to_owned(), before.id.to_string());
    let platform = launch.container.platform.clone().unwrap_or_default();
    let options = CreateContainerOptionsBuilder::default().name(name).platform(&platform).build();
    let made = engine.docker.create_container(Some(options), body);
    let made = engine.ask(made, || format!("make a container for what comes before instance {}", before.id));
    let made = made.await?;
    if let Err(error) = connect_others(engine, &joined, &made.id).await {
        inner.discard(engine, None, &made.id).await?;
        return Err(error);
    }
    Ok(made.id)
}

/// Its end; `None`: it is gone. An engine that goes away meanwhile is waited for: what it says then counts.
async fn wait(inner: &Arc<Inner>, container: &str) -> Result<Option<Exit>, Error> {
    loop {
        let engine = inner.engine.get_again().await;
        let seen = match &engine {
            Ok(engine) => look(engine, container).await,
            Err(_) => Ok(None),
        };
        match (engine, seen) {
            (Err(error), _) | (_, Err(error)) if !error.is_away() => return Err(error),
            (Ok(_), Ok(None)) => return Ok(None),
            (Ok(_), Ok(Some(Seen { state: SeenState::Ended { exit, .. }, .. }))) => return Ok(Some(exit)),
            (Ok(engine), Ok(Some(_))) => {
                let patient = engine.docker.clone().with_timeout(Duration::MAX);
                let mut ends = patient.wait_container(container, None::<WaitContainerOptions>);
                // How it ended is looked at: this tells only that it has, or that the engine broke off.
                if !matches!(ends.next().await, Some(Ok(_))) {
                    tokio::time::sleep(AGAIN).await;
                }
            }
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
}
