//! Images: there already, or pulled, with what came so far.

use crate::credentials::{credentials, registry_of};
use crate::engine::{Found, now};
use crate::stock::Before;
use crate::{Error, Launch};
use bollard::models::{CreateImageInfo, HealthConfig};
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::{Stream, StreamExt};
use naru_model::{Check, Health, Process, PullPolicy, Span, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A pull that tells nothing new for so long has come to a standstill.
pub(crate) const STANDSTILL: Duration = Duration::from_secs(300);
/// Layers that are counted; an image has 127 at most.
const MAX_LAYERS: usize = 1_000;

/// The image that a container is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The engine's id of it: `sha256:…`. The same content has the same id.
    pub id: String,
    /// By which a registry has it, as `NAME@sha256:…`; `None`: it was made here.
    pub digest: Option<String>,
    /// The health check that it comes with.
    pub health: Option<Health>,
}

/// How far a pull or push has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `pulling` or `pushing`.
    pub doing: &'static str,
    /// Which image.
    pub image: String,
    /// Bytes that are there.
    pub bytes: u64,
    /// Bytes of all layers whose size is known by now.
    pub total: u64,
}

impl Progress {
    pub(crate) fn begun(doing: &'static str, image: &str) -> Progress {
        Progress { doing, image: image.to_owned(), bytes: 0, total: 0 }
    }
}

impl fmt::Display for Progress {
    /// `pulling web:1 (3.1 of 40.2 MB)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.doing, self.image)?;
        if self.total == 0 {
            return Ok(());
        }
        let (bytes, total) = (self.bytes as f64 / 1e6, self.total as f64 / 1e6);
        write!(f, " ({bytes:.1} of {total:.1} MB)")
    }
}

/// The image of a launch, pulled if its policy says so.
pub(crate) async fn ensure(
    engine: &Found,
    launch: &Launch,
    mut told: impl FnMut(Progress),
) -> Result<Image, Error> {
    let container = &launch.container;
    let (named, platform) = (&container.image, container.platform.as_deref());
    let Some(pinned) = &launch.pinned else {
        return by_policy(engine, named, platform, container.pull, &mut told).await;
    };
    match (find(engine, &pinned.id).await?, &pinned.digest) {
        (Some(image), _) => Ok(image),
        // Only a digest of a registry names a content that can be had again.
        (None, Some(digest)) => pull(engine, digest, platform, &mut told).await,
        (None, None) => Err(Error::Image(format!(
            "the image that this instance is made from ({named}, {}) is not there any more: deploy again",
            pinned.id
        ))),
    }
}

/// What is here under a name, or in its registry, as the policy says.
pub(crate) async fn by_policy(
    engine: &Found,
    named: &str,
    platform: Option<&str>,
    policy: PullPolicy,
    told: &mut impl FnMut(Progress),
) -> Result<Image, Error> {
    let there = find(engine, named).await?;
    match (policy, there) {
        (PullPolicy::Missing | PullPolicy::Never | PullPolicy::Build, Some(image)) => Ok(image),
        (PullPolicy::Every(span), Some(image)) if !is_older(engine, named, span.std()).await? => Ok(image),
        (PullPolicy::Never, None) => Err(Error::Image(format!(
            "image {named} is not here, and is not to be pulled: `naru pull`, or build it"
        ))),
        (PullPolicy::Build, None) => {
            Err(Error::Image(format!("image {named} is not here, and is to be built: `naru build`")))
        }
        _ => pull(engine, named, platform, told).await,
    }
}

/// The image of a container that is there, by its id. Its name may mean another by now.
pub(crate) async fn made_from(engine: &Found, id: &str) -> Result<Image, Error> {
    let gone = || Image { id: id.to_owned(), ..Image::default() };
    Ok(find(engine, id).await?.map_or_else(gone, |image| Image { digest: None, ..image }))
}

/// What is here under a name or id.
pub(crate) async fn find(engine: &Found, named: &str) -> Result<Option<Image>, Error> {
    let asked = engine.docker.inspect_image(named);
    match engine.ask(asked, || format!("look at image {named}")).await {
        Ok(said) => {
            let digests = said.repo_digests.unwrap_or_default();
            // One image may have come from several registries: the name's own is the one to ask again.
            let own = format!("{}@", split(named).0);
            let digest = digests.iter().find(|digest| digest.starts_with(&own)).or(digests.first());
            let health = said.config.and_then(|config| config.healthcheck).and_then(health);
            let id = said.id.unwrap_or_else(|| named.to_owned());
            Ok(Some(Image { id, digest: digest.cloned(), health }))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// An image's check, with the engine's own defaults for what it does not say
/// (<https://docs.docker.com/reference/dockerfile/#healthcheck>).
fn health(written: HealthConfig) -> Option<Health> {
    let (kind, rest) = written.test.as_deref()?.split_first()?;
    let command = match (kind.as_str(), rest) {
        ("CMD", [_, ..]) => rest.to_vec(),
        ("CMD-SHELL", [line]) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        _ => return None,
    };
    let span = |nanoseconds: Option<i64>, default: Span| match nanoseconds {
        Some(nanoseconds) if nanoseconds > 0 => Span((nanoseconds as u64 / 1_000_000).max(1)),
        _ => default,
    };
    Some(Health {
        check: Check::Command(Process { command }),
        interval: span(written.interval, Span::secs(30)),
        timeout: span(written.timeout, Span::secs(30)),
        retries: written
            .retries
            .and_then(|retries| u32::try_from(retries).ok())
            .filter(|n| *n > 0)
            .unwrap_or(3),
        start_period: span(written.start_period, Span::ZERO),
        start_interval: span(written.start_interval, Span::secs(5)),
    })
}

/// Whether an image came here longer ago than `span`. An engine that does not tell when counts as long ago.
async fn is_older(engine: &Found, named: &str, span: Duration) -> Result<bool, Error> {
    let asked = engine.docker.inspect_image(named);
    let said = engine.ask(asked, || format!("look at image {named}")).await?;
    let tagged = said.metadata.and_then(|metadata| metadata.last_tag_time);
    let tagged = tagged.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let tagged = tagged.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(Time);
    Ok(tagged.is_none_or(|at| now().since(at).std() > span))
}

async fn pull(
    engine: &Found,
    named: &str,
    platform: Option<&str>,
    told: &mut impl FnMut(Progress),
) -> Result<Image, Error> {
    let (name, tag) = split(named);
    let platform = platform.unwrap_or_default();
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).platform(platform).build();
    let credentials = credentials(registry_of(named)).await;
    let before = Before::of(engine).await?;
    // The engine may take its time for the first word: the standstill is watched here.
    let patient = engine.docker.clone().with_timeout(STANDSTILL);
    let stream = patient.create_image(Some(options), None, credentials);
    told(Progress::begun("pulling", named));
    let end = watch(Box::pin(stream), named, told).await;
    if let Err(said) = end {
        return Err(Error::Image(why("pulled", named, engine, &said)));
    }
    let missing = || Error::Image(format!("image {named} was pulled, and the engine does not have it"));
    let image = find(engine, named).await?.ok_or_else(missing)?;
    before.enter(engine, &image)?;
    Ok(image)
}

/// Sees a pull out.
async fn watch(
    mut stream: impl Stream<Item = Result<CreateImageInfo, bollard::errors::Error>> + Unpin,
    named: &str,
    told: &mut impl FnMut(Progress),
) -> Result<(), String> {
    let mut layers = Layers::of("pulling", named);
    while let Some(info) = next(&mut stream).await? {
        let (Some(layer), Some(detail)) = (info.id, info.progress_detail) else { continue };
        // A layer is unpacked after it came, which is told in the same way.
        if info.status.is_some_and(|status| status.starts_with("Download")) {
            layers.came(layer, detail.current, detail.total).into_iter().for_each(&mut *told);
        }
    }
    Ok(())
}

/// The next word of a pull, push or build; `None`: it has come to its end.
pub(crate) async fn next<T>(
    stream: &mut (impl Stream<Item = Result<T, bollard::errors::Error>> + Unpin),
) -> Result<Option<T>, String> {
    match tokio::time::timeout(STANDSTILL, stream.next()).await {
        Err(_) => Err(format!("nothing came for {} s", STANDSTILL.as_secs())),
        Ok(next) => next.transpose().map_err(|error| match error {
            bollard::errors::Error::DockerStreamError { error } => error,
            bollard::errors::Error::DockerResponseServerError { message, .. } => message,
            other => other.to_string(),
        }),
    }
}

/// The sum of an image's layers, as they come.
pub(crate) struct Layers {
    progress: Progress,
    layers: BTreeMap<String, (u64, u64)>,
}

impl Layers {
    pub(crate) fn of(doing: &'static str, image: &str) -> Layers {
        Layers { progress: Progress::begun(doing, image), layers: BTreeMap::new() }
    }

    /// Takes in what is told of a layer.
    pub(crate) fn came(
        &mut self,
        layer: String,
        current: Option<i64>,
        total: Option<i64>,
    ) -> Option<Progress> {
        let (current, total) = (current?.max(0) as u64, total?.max(0) as u64);
        if self.layers.len() >= MAX_LAYERS && !self.layers.contains_key(&layer) {
            return None;
        }
        self.layers.insert(layer, (current, total));
        let (bytes, total) = self.layers.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Some(Progress { bytes, total, ..self.progress.clone() })
    }
}

/// Why a pull or push failed, and what can be done.
pub(crate) fn why(done: &str, named: &str, engine: &Found, said: &str) -> String {
    let registry = registry_of(named);
    let low = said.to_lowercase();
    let hint = if low.contains("no space left") {
        format!(
            "the disk of the container engine at {} is full: make room there, `naru prune` helps",
            engine.socket.display()
        )
    } else if ["unauthorized", "denied", "authentication", "no basic auth"]
        .iter()
        .any(|one| low.contains(one))
    {
        format!("`docker login {registry}` as the user who runs Naru, or check the image's name")
    } else if low.contains("not found") || low.contains("manifest unknown") {
        "check the image's name and tag".to_owned()
    } else {
        format!("check that {registry} is reached from this machine")
    };
    format!("image {named} could not be {done}: {}: {hint}", said.trim())
}

/// Name and tag, or digest, for the engine: without a tag it would pull all.
pub(crate) fn split(named: &str) -> (&str, &str) {
    if let Some((name, digest)) = named.split_once('@') {
        return (name, digest);
    }
    let after_slash = named.rfind('/').map_or(0, |at| at + 1);
    match named[after_slash..].split_once(':') {
        Some((name, tag)) => (&named[..after_slash + name.len()], tag),
        None => (named, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Progress, split, watch};
    use bollard::errors::Error;
    use bollard::models::CreateImageInfo;
    use futures_util::stream;

    #[test]
    fn a_reference_without_a_tag_means_latest() {
        assert_eq!(split("web"), ("web", "latest"));
        assert_eq!(split("reg:5000/a/web"), ("reg:5000/a/web", "latest"));
        assert_eq!(split("reg:5000/web:2"), ("reg:5000/web", "2"));
        assert_eq!(split("web:2@sha256:ab"), ("web:2", "sha256:ab"));
    }

    #[tokio::test]
    async fn progress_is_the_sum_of_the_layers() {
        let line = |id: &str, status: &str, current: u64| {
            let json = format!(
                "{{\"id\": \"{id}\", \"status\": \"{status}\", \"progressDetail\": {{\"current\": {current}, \"total\": 2000000}}}}"
            );
            Ok(serde_json::from_str::<CreateImageInfo>(&json).unwrap())
        };
        let lines = [
            line("a", "Downloading", 500_000),
            line("b", "Downloading", 1_000_000),
            line("a", "Extracting", 7),
            line("a", "Downloading", 2_000_000),
        ];
        let mut seen = Vec::new();
        let mut told = |progress: Progress| seen.push(progress.to_string());
        watch(stream::iter(lines), "web:1", &mut told).await.unwrap();
        assert_eq!(
            seen,
            [
                "pulling web:1 (0.5 of 2.0 MB)",
                "pulling web:1 (1.5 of 4.0 MB)",
                "pulling web:1 (3.0 of 4.0 MB)"
            ]
        );
        let full = "write /x: no space left on device".to_owned();
        let broken = [Err(Error::DockerStreamError { error: full })];
        let said = watch(stream::iter(broken), "web:1", &mut |_| {}).await.unwrap_err();
        assert!(said.contains("no space left on device"), "{said}");
    }
}
