//! Watching the containers that run, for their ends.
//!
//! One loop, by signal and by timer: an event of the engine, a new run, or a quarter of a minute that has passed cause a
//! look at what the engine has, and what has ended is told. A stream of events that breaks is opened again, and then
//! everything is looked at; while the engine does not answer, nothing is told.

use crate::Error;
use crate::engine::{Found, locked};
use crate::find::{INSTANCE, Ours, SeenState, look};
use crate::runtime::Inner;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use naru_model::{Exit, InstanceId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// After a break, the engine is asked again after this time, then twice that, …
const SOON: Duration = Duration::from_millis(100);
/// … up to this.
const LATER: Duration = Duration::from_secs(2);
/// An event that was lost is made up for within this time.
const ALL: Duration = Duration::from_secs(15);
/// Events are asked for from so many seconds before now: what happens while the question is on its way is told, too.
const OVERLAP: u64 = 2;

/// Watches for as long as the runtime lives.
pub(crate) async fn watch(inner: Arc<Inner>) {
    let mut pause = SOON;
    loop {
        let began = tokio::time::Instant::now();
        match round(&inner).await {
            Ok(()) => tracing::debug!("the container engine's events ended"),
            Err(error) if error.is_away() => {
                tracing::warn!(%error, "containers are not watched until it does")
            }
            Err(error) => tracing::error!(%error, "containers cannot be watched"),
        }
        // Events had come for a while: this is a new break.
        if began.elapsed() > LATER {
            pause = SOON;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LATER);
    }
}

/// From a connection to its break.
async fn round(inner: &Arc<Inner>) -> Result<(), Error> {
    let engine = inner.engine.get_again().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let filters = HashMap::from([
        ("type", vec!["container".to_owned()]),
        // Of all containers: those that another tool made have none of this home's labels.
        ("event", vec!["die".to_owned(), "died".to_owned(), "destroy".to_owned(), "remove".to_owned()]),
    ]);
    let since = now.saturating_sub(OVERLAP).to_string();
    let options = EventsOptionsBuilder::default().since(&since).filters(&filters).build();
    let mut events = Box::pin(engine.docker.events(Some(options)));
    look_at_all(inner, &engine).await?;
    let mut due = tokio::time::Instant::now() + ALL;
    loop {
        tokio::select! {
            event = events.next() => match event {
                None => return Ok(()),
                Some(event) => {
                    let event = engine.ask(async { event }, || "watch its events".into()).await?;
                    heard(inner, &engine, event).await?;
                }
            },
            () = inner.look.notified() => look_at_all(inner, &engine).await?,
            () = tokio::time::sleep_until(due) => {
                look_at_all(inner, &engine).await?;
                due = tokio::time::Instant::now() + ALL;
            }
        }
    }
}

/// Looks at the container that an event is about.
async fn heard(inner: &Arc<Inner>, engine: &Found, event: EventMessage) -> Result<(), Error> {
    let actor = event.actor.unwrap_or_default();
    let (id, labels) = (actor.id.unwrap_or_default(), actor.attributes.unwrap_or_default());
    match labels.get(INSTANCE) {
        Some(id) => {
            let id = InstanceId::from(id.as_str());
            match inner.run_of(&id).map(|run| (run.number, run.container)) {
                Some((run, Some(container))) => look_at(inner, engine, &id, run, &container).await,
                Some((_, None)) => look_at_all(inner, engine).await,
                None => Ok(()),
            }
        }
        // Another tool's; or an engine that does not say whose it was.
        None if inner.may_have(&id) => look_at_all(inner, engine).await,
        None => Ok(()),
    }
}

async fn look_at(
    inner: &Inner,
    engine: &Found,
    id: &InstanceId,
    run: u64,
    container: &str,
) -> Result<(), Error> {
    let (exit, at) = match look(engine, container).await?.map(|seen| seen.state) {
        Some(SeenState::Running { .. }) => return Ok(()),
        Some(SeenState::Ended { exit, at }) => (exit, at),
        Some(SeenState::Made) | None => (Exit::Unknown, None),
    };
    inner.tell_end(id, run, exit, at).await;
    Ok(())
}

/// Looks at all that is taken to run. What is not among the engine's containers has ended, too.
async fn look_at_all(inner: &Arc<Inner>, engine: &Found) -> Result<(), Error> {
    // Before the list: whatever is entered after it may not be in it yet.
    let runs = locked(&inner.runs).clone();
    let mut listed: HashMap<(InstanceId, u64), Ours> = HashMap::new();
    for ours in inner.ours(engine, None).await? {
        if locked(&inner.known).contains(&ours.id) {
            listed.insert((ours.id.clone(), ours.run), ours);
        } else {
            clear_away(inner, engine, &ours).await?;
        }
    }
    for (id, run) in runs {
        match listed.get(&(id.clone(), run.number)) {
            Some(ours) if run.container.is_none() => {
                if let Some(known) =
                    locked(&inner.runs).get_mut(&id).filter(|known| known.number == run.number)
                {
                    known.container = Some(ours.container.clone());
                }
                inner.copy_output(&id, &ours.container);
                look_at(inner, engine, &id, run.number, &ours.container).await?;
            }
            Some(ours) if ours.is_running => {}
            Some(ours) => look_at(inner, engine, &id, run.number, &ours.container).await?,
            None => inner.tell_end(&id, run.number, Exit::Unknown, None).await,
        }
    }
    Ok(())
}

/// A container of an instance that the agent does not know. It is removed if it has ended; what runs is left alone.
async fn clear_away(inner: &Arc<Inner>, engine: &Found, ours: &Ours) -> Result<(), Error> {
    let Some(seen) = look(engine, &ours.container).await? else { return Ok(()) };
    if matches!(seen.state, SeenState::Running { .. }) {
        tracing::debug!(instance = %ours.id, "runs here and is not known to this agent: left alone");
        return Ok(());
    }
    match inner.discard(engine, None, &ours.container).await {
        Err(error) if !error.is_away() => {
            tracing::warn!(%error, "what is left of an instance cannot be removed");
            Ok(())
        }
        other => other,
    }
}
