//! Images: there already, or pulled, with what came so far.

use crate::credentials::{credentials, registry_of};
use crate::engine::Found;
use crate::{Error, Launch};
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::{Stream, StreamExt};
use naru_model::{PullPolicy, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A pull that tells nothing new for so long has come to a standstill.
const STANDSTILL: Duration = Duration::from_secs(300);
/// Layers that are counted; an image has 127 at most.
const MAX_LAYERS: usize = 1_000;

/// The image that a container is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The engine's id of it: `sha256:…`. The same content has the same id.
    pub id: String,
    /// By which a registry has it, as `NAME@sha256:…`; `None`: it was made here.
    pub digest: Option<String>,
}

/// How far a pull has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Which image.
    pub image: String,
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes of all layers whose size is known by now.
    pub total: u64,
}

impl fmt::Display for Progress {
    /// `pulling web:1 (3.1 of 40.2 MB)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pulling {}", self.image)?;
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
    let named = &launch.container.image;
    if let Some(pinned) = &launch.pinned {
        return match (find(engine, &pinned.id).await?, &pinned.digest) {
            (Some(image), _) => Ok(image),
            // Only a digest of a registry names a content that can be had again.
            (None, Some(digest)) => pull(engine, launch, digest, &mut told).await,
            (None, None) => Err(Error::Image(format!(
                "the image that this instance is made from ({named}, {}) is not there any more: deploy again",
                pinned.id
            ))),
        };
    }
    let there = find(engine, named).await?;
    match (launch.container.pull, there) {
        (PullPolicy::Missing | PullPolicy::Never | PullPolicy::Build, Some(image)) => Ok(image),
        (PullPolicy::Every(span), Some(image)) if !is_older(engine, named, span.std()).await? => Ok(image),
        (PullPolicy::Never, None) => Err(Error::Image(format!(
            "image {named} is not there, and `pull_policy: never` forbids to pull it: pull or build it by hand"
        ))),
        (PullPolicy::Build, None) => Err(Error::Image(format!(
            "image {named} is not there: it is to be built, which this version does not do: `docker build -t {named}`"
        ))),
        _ => pull(engine, launch, named, &mut told).await,
    }
}

async fn find(engine: &Found, named: &str) -> Result<Option<Image>, Error> {
    let asked = engine.docker.inspect_image(named);
    match engine.ask(asked, || format!("look at image {named}")).await {
        Ok(said) => {
            let digest = said.repo_digests.into_iter().flatten().next();
            Ok(Some(Image { id: said.id.unwrap_or_else(|| named.to_owned()), digest }))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an image came here longer ago than `span`. An engine that does not tell when counts as long ago.
async fn is_older(engine: &Found, named: &str, span: Duration) -> Result<bool, Error> {
    let asked = engine.docker.inspect_image(named);
    let said = engine.ask(asked, || format!("look at image {named}")).await?;
    let tagged = said.metadata.and_then(|metadata| metadata.last_tag_time);
    let tagged = tagged.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let tagged = tagged.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(Time);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    Ok(tagged.is_none_or(|at| Time(now).since(at).std() > span))
}

async fn pull(
    engine: &Found,
    launch: &Launch,
    named: &str,
    told: &mut impl FnMut(Progress),
) -> Result<Image, Error> {
    let (name, tag) = split(named);
    let platform = launch.container.platform.clone().unwrap_or_default();
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).platform(&platform).build();
    let credentials = credentials(registry_of(named)).await;
    // The engine may take its time for the first word: the standstill is watched here.
    let patient = engine.docker.clone().with_timeout(STANDSTILL);
    let stream = patient.create_image(Some(options), None, credentials);
    told(Progress { image: named.to_owned(), ..Progress::default() });
    let end = watch(Box::pin(stream), named, told).await;
    if let Err(said) = end {
        return Err(Error::Image(why(named, engine, said)));
    }
    let missing = || Error::Image(format!("image {named} was pulled, and the engine does not have it"));
    find(engine, named).await?.ok_or_else(missing)
}

/// Sees a pull out.
async fn watch(
    mut stream: impl Stream<Item = Result<CreateImageInfo, bollard::errors::Error>> + Unpin,
    named: &str,
    told: &mut impl FnMut(Progress),
) -> Result<(), String> {
    let mut layers: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    loop {
        let next = match tokio::time::timeout(STANDSTILL, stream.next()).await {
            Ok(next) => next,
            Err(_) => return Err(format!("nothing came for {} s", STANDSTILL.as_secs())),
        };
        let info = match next {
            None => return Ok(()),
            Some(Err(error)) => return Err(error.to_string()),
            Some(Ok(info)) => info,
        };
        let (Some(layer), Some(detail)) = (info.id, info.progress_detail) else { continue };
        let (Some(current), Some(total)) = (detail.current, detail.total) else { continue };
        // A layer is unpacked after it came, which is told in the same way.
        let is_download = info.status.is_some_and(|status| status.starts_with("Download"));
        if is_download && (layers.len() < MAX_LAYERS || layers.contains_key(&layer)) {
            layers.insert(layer, (current.max(0) as u64, total.max(0) as u64));
            let (bytes, total) = layers.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            told(Progress { image: named.to_owned(), bytes, total });
        }
    }
}

/// Why a pull failed, and what can be done.
fn why(named: &str, engine: &Found, said: String) -> String {
    let registry = registry_of(named);
    let low = said.to_lowercase();
    let hint = if low.contains("no space left") {
        format!("the disk of the container engine at {} is full: make room there", engine.socket.display())
    } else if low.contains("unauthorized") || low.contains("denied") || low.contains("authentication") {
        format!("`docker login {registry}` as the user who runs Naru, or check the image's name")
    } else if low.contains("not found") || low.contains("manifest unknown") {
        "check the image's name and tag".to_owned()
    } else {
        format!("check that {registry} is reached from this machine")
    };
    format!("image {named} could not be pulled: {}: {hint}", said.trim())
}

/// Name and tag, or digest, for the engine: without a tag it would pull all.
fn split(named: &str) -> (&str, &str) {
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
