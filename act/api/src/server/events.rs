//! Server-sent events. A stream holds what was sent last and asks for the state only when its reader has
//! room: a slow one skips states, and nothing piles up.

use super::{Closing, ending};
use crate::{Core, Refused, Snapshot, WatchQuery};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt};
use naru_model::{Operation, OperationId, RouteChange, RouteTable};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A silent stream tells that it lives this often; [`crate::Client`] gives up after four times that.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Not more than one state per watch in this time: 50 pictures a second are more than a person sees, and a
/// loaded edge reports more often than that.
const PACE: Duration = Duration::from_millis(20);

type Events<S> = Sse<axum::response::sse::KeepAliveStream<S>>;

/// The newest value of a channel, at first and at each change.
pub(super) fn newest<T: Serialize + Send + Sync + 'static>(
    name: &'static str,
    mut values: watch::Receiver<Arc<T>>,
    closing: Closing,
) -> Events<impl Stream<Item = Result<Event, axum::Error>>> {
    values.mark_changed();
    let events = stream::unfold(values, move |mut values| async move {
        values.changed().await.ok()?;
        let value = values.borrow_and_update().clone();
        Some((Event::default().event(name).json_data(&*value), values))
    });
    lively(events.take_until(closing.begun()))
}

/// The newest route table of a channel: whole at first, and then what makes each of the one that was told before.
pub(super) fn routes(
    mut tables: watch::Receiver<Arc<RouteTable>>,
    closing: Closing,
) -> Events<impl Stream<Item = Result<Event, axum::Error>>> {
    tables.mark_changed();
    let told: Option<Arc<RouteTable>> = None;
    let events = stream::unfold((tables, told), |(mut tables, told)| async move {
        tables.changed().await.ok()?;
        let table = tables.borrow_and_update().clone();
        let event = match told {
            None => Event::default().event("routes").json_data(&*table),
            Some(told) => Event::default().event("change").json_data(RouteChange::between(&told, &table)),
        };
        Some((event, (tables, Some(table))))
    });
    lively(events.take_until(closing.begun()))
}

/// The state that the query asks about, at first and as it changes.
pub(super) fn watch(
    core: Arc<dyn Core>,
    query: WatchQuery,
    closing: Closing,
) -> Events<impl Stream<Item = Result<Event, axum::Error>>> {
    let changes = core.changes();
    let watcher = Watcher { core, changes, query, sent: Sent::default(), due: VecDeque::new(), looked: None };
    let events = stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await.ok()?;
        Some((event, watcher))
    });
    lively(events.take_until(closing.begun()))
}

fn lively<S: Stream<Item = Result<Event, axum::Error>> + Send + 'static>(events: S) -> Events<S> {
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Watcher {
    core: Arc<dyn Core>,
    changes: watch::Receiver<u64>,
    query: WatchQuery,
    sent: Sent,
    /// Of one snapshot only: the next is taken when it is empty.
    due: VecDeque<Result<Event, axum::Error>>,
    looked: Option<Instant>,
}

impl Watcher {
    async fn next(&mut self) -> Result<Result<Event, axum::Error>, Refused> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return Ok(event);
            }
            if let Some(looked) = self.looked {
                self.changes.changed().await.map_err(|_| ending())?;
                tokio::time::sleep_until(looked + PACE).await;
            }
            self.look().await?;
        }
    }

    async fn look(&mut self) -> Result<(), Refused> {
        self.changes.borrow_and_update();
        self.looked = Some(Instant::now());
        let known = self.sent.open.iter().copied().chain(self.query.operation.filter(|_| self.sent.is_new()));
        let seen = self.core.snapshot(self.query.stack.clone(), known.collect(), self.sent.newest).await?;
        self.due = self.sent.changed(&seen);
        Ok(())
    }
}

/// What a watch has sent, as digests.
#[derive(Default)]
struct Sent {
    operations: BTreeMap<OperationId, u64>,
    open: Vec<OperationId>,
    newest: Option<OperationId>,
    instances: Option<u64>,
    routes: Option<u64>,
}

impl Sent {
    fn is_new(&self) -> bool {
        self.instances.is_none()
    }

    /// The events for what differs from what was sent.
    fn changed(&mut self, seen: &Snapshot) -> VecDeque<Result<Event, axum::Error>> {
        let mut due = VecDeque::new();
        let digests =
            seen.operations.iter().map(|operation| (operation.id, text(operation))).collect::<Vec<_>>();
        for (id, json) in &digests {
            if self.operations.get(id) != Some(&digest(json)) {
                due.push_back(Ok(Event::default().event("operation").data(json)));
            }
        }
        self.remember(&seen.operations, &digests);
        let (instances, routes) = (text(&seen.instances), text(&seen.routes));
        if self.instances.replace(digest(&instances)) != self.instances {
            due.push_back(Ok(Event::default().event("instances").data(instances)));
        }
        if self.routes.replace(digest(&routes)) != self.routes {
            due.push_back(Ok(Event::default().event("routes").data(routes)));
        }
        due
    }

    /// Ended operations never change again: their digests are dropped with the next look.
    fn remember(&mut self, operations: &[Operation], digests: &[(OperationId, String)]) {
        self.operations = digests.iter().map(|(id, json)| (*id, digest(json))).collect();
        self.open = operations.iter().filter(|one| one.ended.is_none()).map(|one| one.id).collect();
        self.newest = operations.iter().map(|one| one.id).max().max(self.newest);
    }
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the model's values have only text keys")
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
