//! Server-sent events, read; and read for ever.

use super::connection::Connection;
use super::lines::RawLines;
use super::path::Target;
use crate::{ClientError, WatchEvent};
use naru_model::{Desired, RouteChange, RouteTable};
use std::sync::Arc;
use std::time::Duration;

/// The server tells every 5 s that it lives. Four times without a word: it is stopped, or gone.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Between two tries to reach a server: at first as one that starts needs, then as one that is away.
const RETRY: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(500));

/// Whole values, as the server sends them.
pub struct Events<T> {
    lines: RawLines,
    name: String,
    last: Option<T>,
}

/// Whole values for ever: it reconnects by itself, and silently, as often as it takes.
pub struct Follow<T> {
    connection: Arc<Connection>,
    target: Target,
    events: Option<Events<T>>,
    retry: Duration,
}

/// What an event's name and data say; `None` for a name that this version does not know.
pub trait FromEvent: Sized {
    /// Reads one event. `before` is what the one before it said, where that is [kept](FromEvent::keep).
    fn from_event(name: &str, data: &[u8], before: Option<&Self>) -> serde_json::Result<Option<Self>>;

    /// What is kept for the next event, where that may say only what differs.
    fn keep(&self) -> Option<Self> {
        None
    }
}

impl<T: FromEvent> Events<T> {
    pub(super) async fn open(
        connection: &Arc<Connection>,
        target: &Target,
    ) -> Result<Events<T>, ClientError> {
        let lines = RawLines::open(connection, target);
        let lines = tokio::time::timeout(SILENCE_MAX, lines).await;
        let lines = lines.unwrap_or(Err(ClientError::TimedOut(SILENCE_MAX)))?;
        Ok(Events { lines, name: String::new(), last: None })
    }

    /// The next value; `None` when the server ends. Safe to cancel.
    ///
    /// # Errors
    /// The stream broke off or fell silent, or an event makes no sense.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            let line = tokio::time::timeout(SILENCE_MAX, self.lines.next()).await;
            let Some(line) = line.unwrap_or(Err(ClientError::TimedOut(SILENCE_MAX)))? else {
                return Ok(None);
            };
            if let Some(name) = line.strip_prefix(b"event: ") {
                self.name = String::from_utf8_lossy(name).into_owned();
            } else if let Some(data) = line.strip_prefix(b"data: ")
                && let Some(value) =
                    T::from_event(&self.name, data, self.last.as_ref()).map_err(ClientError::protocol)?
            {
                self.last = value.keep();
                return Ok(Some(value));
            }
        }
    }
}

impl<T: FromEvent> Follow<T> {
    pub(super) fn new(connection: Arc<Connection>, target: Target) -> Follow<T> {
        Follow { connection, target, events: None, retry: RETRY.0 }
    }

    /// The next value, waited for as long as it takes. Safe to cancel.
    pub async fn next(&mut self) -> T {
        loop {
            if self.events.is_none() {
                self.reconnect().await;
            }
            let Some(events) = &mut self.events else { continue };
            match events.next().await {
                Ok(Some(value)) => {
                    self.retry = RETRY.0;
                    return value;
                }
                Ok(None) => tracing::debug!("the server ended"),
                Err(error) => tracing::debug!(%error, "the server is away"),
            }
            self.events = None;
        }
    }

    async fn reconnect(&mut self) {
        match Events::open(&self.connection, &self.target).await {
            Ok(events) => self.events = Some(events),
            Err(error) => {
                tracing::trace!(%error, "the server is away");
                tokio::time::sleep(self.retry).await;
                self.retry = (self.retry * 2).min(RETRY.1);
            }
        }
    }
}

impl FromEvent for Desired {
    fn from_event(name: &str, data: &[u8], _: Option<&Desired>) -> serde_json::Result<Option<Desired>> {
        (name == "desired").then(|| serde_json::from_slice(data)).transpose()
    }
}

impl FromEvent for RouteTable {
    fn from_event(
        name: &str,
        data: &[u8],
        before: Option<&RouteTable>,
    ) -> serde_json::Result<Option<RouteTable>> {
        match name {
            "routes" => serde_json::from_slice(data).map(Some),
            "change" => {
                let change: RouteChange = serde_json::from_slice(data)?;
                let other = || serde::de::Error::custom("a change of another table than was told before");
                before.and_then(|before| change.onto(before)).ok_or_else(other).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn keep(&self) -> Option<RouteTable> {
        // Its rules are shared, so that this costs little.
        Some(self.clone())
    }
}

impl FromEvent for WatchEvent {
    fn from_event(name: &str, data: &[u8], _: Option<&WatchEvent>) -> serde_json::Result<Option<WatchEvent>> {
        Ok(Some(match name {
            "operation" => WatchEvent::Operation(serde_json::from_slice(data)?),
            "instances" => WatchEvent::Instances(serde_json::from_slice(data)?),
            "routes" => WatchEvent::Routes(serde_json::from_slice(data)?),
            _ => return Ok(None),
        }))
    }
}
