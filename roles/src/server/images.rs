//! Images, for whoever makes a release of them: found, pulled, built, sent, with how it goes.
//!
//! The engine is the one of this node's agent. What is done is decided elsewhere ([`naru_decide::image_steps`]).

use futures_util::stream;
use naru_api::{Ground, ImageEvent, ImageOrder, ImageStream, Refused};
use naru_decide::{ImageStep, ImageWay, image_steps};
use naru_docker::{Image, Images, Progress, Recipe};
use naru_home::Home;
use naru_model::{Build, BuildSettings, ImageFate, PullPolicy, Refusal, StackName, StockImage, UsedImage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events that wait for a client; past so many, the work waits, but what tells only of progress is left out.
const QUEUE: usize = 64;
/// Images that are pulled at a time: a registry and a disk are not faster with more.
const AT_A_TIME: usize = 4;
/// Progress is told this often at most.
const PACE: Duration = Duration::from_millis(100);

/// What nobody needs is removed this often at most, when no person asks.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// The images of this node. A cheap handle.
#[derive(Clone)]
pub struct Shelf {
    images: Arc<Images>,
    /// When what nobody needs was removed without being asked.
    swept: Arc<Mutex<Option<Instant>>>,
}

/// What came of a step: what the reference means, if it is here.
type Found = Option<(String, UsedImage)>;

impl Shelf {
    /// Of this home's agent. No engine is asked.
    pub fn of(home: &Home) -> Shelf {
        let images = Images::of(&crate::role::agent::containers(home), naru_docker::sockets());
        Shelf { images: Arc::new(images), swept: Arc::default() }
    }

    /// Does what is wanted. Dropping the stream ends it.
    ///
    /// # Errors
    /// What is wanted cannot be.
    pub fn open(&self, order: ImageOrder) -> Result<ImageStream, Refused> {
        let refused = |refusal| Refused { ground: Ground::Invalid, refusal };
        let steps = image_steps(&order.stack, &order.only, &order.act).map_err(refused)?;
        let (sender, events) = mpsc::channel(QUEUE);
        let mut work = JoinSet::new();
        let teller = Teller { sender, stack: order.stack.name };
        let images = self.images.clone();
        work.spawn(async move {
            let end = match all(&images, steps, &teller).await {
                Ok(images) => ImageEvent::Settled { images },
                Err(refusal) => ImageEvent::Failed { refusal },
            };
            teller.tell(end).await;
        });
        Ok(Box::pin(stream::unfold((events, work), |(mut events, work)| async move {
            let event = events.recv().await?;
            Some((event, (events, work)))
        })))
    }
}

impl Shelf {
    /// All images of the engine, for somebody to judge.
    ///
    /// # Errors
    /// No engine answers.
    pub async fn stock(&self) -> Result<Vec<StockImage>, Refused> {
        self.images
            .stock()
            .await
            .map_err(|error| Refused { ground: Ground::Unavailable, refusal: said(&error) })
    }

    /// Removes what goes. What the engine does not let go is told.
    pub async fn remove(&self, fates: &mut [ImageFate]) {
        for fate in fates.iter_mut().filter(|fate| fate.why.goes()) {
            match self.images.remove(&fate.image).await {
                Ok(()) => tracing::info!(image = %fate.image.id, why = %fate.why, "removed"),
                Err(error) => fate.refused = Some(error.to_string()),
            }
        }
    }

    /// Whether it is time to remove what nobody needs, without being asked: there may be some, and the last time is a
    /// while ago.
    pub fn is_due(&self) -> bool {
        let mut last = self.swept.lock().expect("no code panics with the lock held");
        let is_due = last.is_none_or(|last| last.elapsed() >= SWEEP_EVERY) && self.images.has_brought();
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

/// Tells a client how it goes.
#[derive(Clone)]
struct Teller {
    sender: mpsc::Sender<ImageEvent>,
    stack: StackName,
}

impl Teller {
    /// A client that is gone has the work ended, so nobody is told.
    async fn tell(&self, event: ImageEvent) {
        let _ = self.sender.send(event).await;
    }

    /// Tells of progress, as far as there is room.
    fn progress(&self) -> impl FnMut(Progress) + '_ {
        let mut last: Option<Instant> = None;
        move |progress| {
            if last.is_none_or(|last| last.elapsed() >= PACE) {
                last = Some(Instant::now());
                let text = progress.to_string();
                let _ = self.sender.try_send(ImageEvent::Progress { image: progress.image, text });
            }
        }
    }

    async fn done(&self, image: &str, what: &str, is: &UsedImage) {
        let (image, what, is) = (image.to_owned(), what.to_owned(), is.clone());
        self.tell(ImageEvent::Done { image, what, is }).await;
    }
}

/// First what comes from registries, several at a time; then what is built, one after the other.
async fn all(
    images: &Arc<Images>,
    steps: Vec<ImageStep>,
    teller: &Teller,
) -> Result<BTreeMap<String, UsedImage>, Refusal> {
    let is_made = |step: &ImageStep| matches!(step.way, ImageWay::MakeMissing(_) | ImageWay::Make(..));
    let (made, fetched): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_made);
    let mut settled = BTreeMap::new();
    let mut waiting = fetched.into_iter();
    let mut fetching = JoinSet::new();
    let task = |step| {
        let (images, teller) = (images.clone(), teller.clone());
        async move { one(&images, &step, &teller).await }
    };
    waiting.by_ref().take(AT_A_TIME).for_each(|step| drop(fetching.spawn(task(step))));
    while let Some(found) = fetching.join_next().await {
        let broken = |error: tokio::task::JoinError| Refusal { error: error.to_string(), hint: None };
        settled.extend(found.map_err(broken)??);
        waiting.next().into_iter().for_each(|step| drop(fetching.spawn(task(step))));
    }
    for step in &made {
        settled.extend(one(images, step, teller).await?);
    }
    Ok(settled)
}

async fn one(images: &Images, step: &ImageStep, teller: &Teller) -> Result<Found, Refusal> {
    let reference = &step.reference;
    let here =
        async || images.find(reference).await.map(|found| found.map(used)).map_err(|error| said(&error));
    let found = match &step.way {
        ImageWay::Look => here().await?,
        ImageWay::Fetch(policy) => Some(fetch(images, step, *policy, teller).await?),
        ImageWay::TryFetch(policy) => match fetch(images, step, *policy, teller).await {
            Ok(image) => Some(image),
            Err(refusal) => {
                let text = format!("{}; `naru build {}` makes it", refusal.error, step.service);
                teller.tell(ImageEvent::Note { text }).await;
                None
            }
        },
        ImageWay::MakeMissing(build) => match here().await? {
            Some(image) => Some(image),
            None => Some(make(images, step, build, &BuildSettings::default(), teller).await?),
        },
        ImageWay::Make(build, settings) => Some(make(images, step, build, settings, teller).await?),
        ImageWay::Push(tags) => push(images, step, tags, teller).await?,
    };
    found.iter().for_each(|image| images.touch(&image.id));
    Ok(found.map(|image| (reference.clone(), image)))
}

/// Under its own name, unless only this machine knows that, and under each further one.
async fn push(
    images: &Images,
    step: &ImageStep,
    tags: &[String],
    teller: &Teller,
) -> Result<Option<UsedImage>, Refusal> {
    let own = Some(&step.reference).filter(|_| !is_given(teller, step));
    let mut last = None;
    for name in own.into_iter().chain(tags) {
        let sent = images.push(name, teller.progress()).await;
        let image = used(sent.map_err(|error| said(&error))?);
        teller.done(name, "pushed", &image).await;
        last = Some(image);
    }
    Ok(last)
}

/// Whether the name is Naru's own for what the file gives none.
fn is_given(teller: &Teller, step: &ImageStep) -> bool {
    step.reference == format!("{}-{}", teller.stack, step.service)
}

async fn fetch(
    images: &Images,
    step: &ImageStep,
    policy: PullPolicy,
    teller: &Teller,
) -> Result<UsedImage, Refusal> {
    let mut is_pulled = false;
    let mut progress = teller.progress();
    let told = |news: Progress| {
        is_pulled = true;
        progress(news);
    };
    let got = images.fetch(&step.reference, step.platform.as_deref(), policy, told).await;
    let image = used(got.map_err(|error| said(&error))?);
    if is_pulled {
        teller.done(&step.reference, "pulled", &image).await;
    }
    Ok(image)
}

async fn make(
    images: &Images,
    step: &ImageStep,
    build: &Build,
    settings: &BuildSettings,
    teller: &Teller,
) -> Result<UsedImage, Refusal> {
    let reference = &step.reference;
    let recipe = Recipe {
        reference: reference.clone(),
        build: build.clone(),
        settings: settings.clone(),
        platform: step.platform.clone(),
    };
    let (lines, mut heard) = mpsc::channel(QUEUE);
    let telling = async {
        while let Some(line) = heard.recv().await {
            teller.tell(ImageEvent::Output { image: reference.clone(), line }).await;
        }
    };
    let (made, ()) = tokio::join!(images.build(recipe, lines), telling);
    let image = used(made.map_err(|error| said(&error))?);
    teller.done(reference, "built", &image).await;
    Ok(image)
}

fn used(image: Image) -> UsedImage {
    UsedImage { id: image.id, digest: image.digest }
}

/// The engine's errors say themselves what to do.
fn said(error: &naru_docker::Error) -> Refusal {
    Refusal { error: error.to_string(), hint: None }
}
