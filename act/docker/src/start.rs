//! A start, from the launch to a container that runs.

use crate::attach::Stream;
use crate::body::{Settled, body};
use crate::engine::{Found, Kind};
use crate::find::{Ours, Seen, SeenState, look};
use crate::image::{self, Image};
use crate::network::{Joined, connect_others, join};
use crate::runtime::{Inner, Started};
use crate::session::{self, Seat};
use crate::steady::announce_changes;
use crate::{Error, Launch, PortMap, Reach, files};
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use naru_model::InstanceId;
use naru_reach::Attached;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

/// What is to be started.
pub(crate) struct Asked {
    pub(crate) id: InstanceId,
    pub(crate) run: u64,
    pub(crate) launch: Launch,
    pub(crate) image: Image,
    pub(crate) publish: PortMap,
    /// Who is to have its streams; `None`: nobody.
    pub(crate) seat: Option<Seat>,
}

/// What was started, and its streams for whoever is to have them.
pub(crate) struct Begun {
    pub(crate) started: Started,
    pub(crate) attached: Option<Attached>,
}

/// Starts it, or goes on with a start that was begun before.
pub(crate) async fn start(inner: &Arc<Inner>, asked: Asked) -> Result<Begun, Error> {
    let engine = inner.engine.get_again().await?;
    let mut warnings = Vec::new();
    let (seen, joined, stream) = match begun(inner, &engine, &asked).await? {
        Some(seen) => {
            let stream = match asked.seat {
                Some(_) => Some(session::streams(&engine, &seen.container).await?),
                None => None,
            };
            let _one_at_a_time = inner.networks.lock().await;
            (seen, join(&engine, &inner.home, &asked.launch).await?, stream)
        }
        None => {
            let (container, joined) = make(inner, &engine, &asked, &mut warnings).await?;
            let stream = match run(&engine, &asked, &container).await {
                Err(error @ Error::Refused { .. }) => {
                    inner.discard(&engine, Some(&asked.id), &container).await?;
                    return Err(unstartable(error));
                }
                other => other?,
            };
            let gone = || Error::Unstartable(format!("instance {}: its container is gone", asked.id));
            (look(&engine, &container).await?.ok_or_else(gone)?, joined, stream)
        }
    };
    let end = inner.enter(&asked.id, asked.run, Some(seen.container.clone()));
    let attached = match (asked.seat, stream) {
        (Some(seat), Some(stream)) => {
            Some(session::attached(&engine, &seen.container, stream, seat, end).await)
        }
        _ => None,
    };
    let started = started(&engine, &asked, &seen, &joined, warnings).await?;
    Ok(Begun { started, attached })
}

/// Runs a container that was made. Whoever is to have its streams has them first.
async fn run(engine: &Found, asked: &Asked, container: &str) -> Result<Option<Stream>, Error> {
    let stream = match asked.seat {
        Some(_) => Some(session::streams(engine, container).await?),
        None => None,
    };
    let run = engine.docker.start_container(container, None::<StartContainerOptions>);
    engine.ask(run, || format!("start instance {}", asked.id)).await?;
    Ok(stream)
}

/// What there is of this run already. What is left of earlier runs is removed.
async fn begun(inner: &Arc<Inner>, engine: &Found, asked: &Asked) -> Result<Option<Seen>, Error> {
    let mut begun = None;
    for Ours { container, run, .. } in inner.ours(engine, Some(&asked.id)).await? {
        let Some(seen) = look(engine, &container).await? else { continue };
        match seen.state {
            SeenState::Running { .. } | SeenState::Ended { .. } if run == asked.run => begun = Some(seen),
            SeenState::Running { .. } => return Err(Error::AlreadyRunning(asked.id.clone())),
            _ => inner.discard(engine, Some(&asked.id), &container).await?,
        }
    }
    Ok(begun)
}

/// The instance's folder, where its log is.
pub(crate) fn make_folder(inner: &Inner, id: &InstanceId) -> Result<PathBuf, Error> {
    let folder = naru_logs::folder_of(&inner.dir, id)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|source| Error::Disk { path: folder.clone(), source })?;
    Ok(folder)
}

async fn make(
    inner: &Arc<Inner>,
    engine: &Found,
    asked: &Asked,
    warnings: &mut Vec<String>,
) -> Result<(String, Joined), Error> {
    let folder = make_folder(inner, &asked.id)?;
    files::clear(&folder, None);
    let files = files::lay_out(&folder, asked.run, &asked.launch.files)?;
    let _one_at_a_time = inner.networks.lock().await;
    // What nothing was on may have been removed since it was prepared.
    let joined = join(engine, &inner.home, &asked.launch).await?;
    let settled = Settled {
        home: &inner.home,
        id: &asked.id,
        run: asked.run,
        image: &asked.image.id,
        joined: &joined,
        publish: &asked.publish,
        files,
        attached: asked.seat.is_some(),
    };
    let body = body(&asked.launch, settled);
    let own = format!("{}.r{}-{}", asked.id, asked.run, &inner.home[..inner.home.len().min(6)]);
    let platform = asked.launch.container.platform.clone().unwrap_or_default();
    let create = |name: &str| {
        let options = CreateContainerOptionsBuilder::default().name(name).platform(&platform).build();
        let made = engine.docker.create_container(Some(options), body.clone());
        engine.ask(made, || format!("make a container for instance {}", asked.id))
    };
    let wanted = asked.launch.container.name.as_deref();
    let made = match create(wanted.unwrap_or(&own)).await {
        // Another generation of the service has the name as long as it has work.
        Err(Error::Refused { status: 409, .. }) if wanted.is_some() => {
            let name = wanted.unwrap_or_default();
            warnings.push(format!("the container's name {name} is taken: this one is called {own}"));
            create(&own).await
        }
        other => other,
    };
    let made = made.map_err(unstartable)?;
    warnings.extend(made.warnings);
    if let Err(error) = connect_others(engine, &joined, &made.id).await {
        inner.discard(engine, Some(&asked.id), &made.id).await?;
        return Err(unstartable(error));
    }
    Ok((made.id, joined))
}

/// Where it answers, and what else there is to say.
pub(crate) async fn started(
    engine: &Found,
    asked: &Asked,
    seen: &Seen,
    joined: &Joined,
    mut warnings: Vec<String>,
) -> Result<Started, Error> {
    let (pid, at) = match &seen.state {
        SeenState::Running { pid, started } => (*pid, *started),
        SeenState::Ended { at, .. } => (0, at.unwrap_or_default()),
        SeenState::Made => (0, Default::default()),
    };
    let same: PortMap = asked.launch.targets.iter().map(|port| (*port, *port)).collect();
    let (address, ports) = match joined.reach {
        Reach::Host => (None, same),
        Reach::Published => (None, seen.published.clone()),
        Reach::Direct => (address_of(engine, seen, joined).await?, same),
    };
    if let (Some(address), Kind::Podman { .. }) = (address, engine.kind) {
        announce_changes(address);
    }
    if joined.reach == Reach::Direct && address.is_none() && !asked.launch.targets.is_empty() {
        warnings.push("it has no address on a network: nobody reaches its ports".into());
    }
    let ports = if joined.reach == Reach::Direct && address.is_none() { PortMap::new() } else { ports };
    // A start that was begun before may have been made from another image than the name means now.
    let image = if seen.image.is_empty() || seen.image == asked.image.id {
        asked.image.clone()
    } else {
        image::made_from(engine, &seen.image).await?
    };
    Ok(Started { pid, at, address, ports, image, warnings })
}

/// Its own address, or that of the container whose network it shares.
async fn address_of(
    engine: &Found,
    seen: &Seen,
    joined: &Joined,
) -> Result<Option<std::net::Ipv4Addr>, Error> {
    match joined.mode.strip_prefix("container:") {
        Some(other) => Ok(look(engine, other).await?.and_then(|seen| seen.address)),
        None => Ok(seen.address),
    }
}

/// What the engine refuses of a container's own making will be refused again.
fn unstartable(error: Error) -> Error {
    match error {
        Error::Refused { doing, said, .. } => {
            Error::Unstartable(format!("{doing}: the container engine says: {said}"))
        }
        other => other,
    }
}
