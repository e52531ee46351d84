//! What happened, for whoever asks later: lines of JSON in a log like any instance's, bounded as those are.

use futures_util::stream;
use naru_api::{Event, EventQuery, EventStream, Ground, Refused};
use naru_home::Home;
use naru_logs::{Extent, From, Log, LogLimits, LogReader, Queue, Stream, write_record};
use naru_model::Time;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The folder of the home.
pub const FOLDER: &str = "events";

/// Weeks of a busy stack.
const LIMITS: LogLimits = LogLimits { file_bytes: 4 << 20, files: 4 };

/// Where events are told. Clones tell the same.
#[derive(Clone)]
pub struct Chronicle {
    queue: Arc<Mutex<Queue>>,
}

impl Chronicle {
    /// That of a home.
    ///
    /// # Errors
    /// Its folder or file cannot be made.
    pub fn open(home: &Home) -> io::Result<Chronicle> {
        let log = Log::open(&home.folder(FOLDER)?, LIMITS)?;
        Ok(Chronicle { queue: Arc::new(Mutex::new(Queue::start(log)?)) })
    }

    /// Tells of one.
    pub fn tell(&self, event: &Event) {
        let json = serde_json::to_vec(event).expect("an event has only text keys");
        let mut record = Vec::with_capacity(json.len() + 32);
        write_record(&mut record, event.time, Stream::Note, Extent::Whole, &json);
        // Nothing panics while it holds it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(&record);
    }
}

/// So many lines are read before other tasks have their turn.
const TURN: usize = 64;

/// What happened, from the home's folder.
///
/// # Errors
/// It cannot be read.
pub fn open(home: PathBuf, query: EventQuery) -> Result<EventStream, Refused> {
    let log = LogReader::open(&home, &FOLDER.into(), From::Start).map_err(|error| {
        let error = format!("events cannot be read: {error}");
        Refused::new(Ground::Unavailable, error, "they are in the folder `events` of NARU_HOME")
    })?;
    let since = Time(query.since.unwrap_or_default());
    Ok(Box::pin(stream::unfold((log, query, since), |(mut log, query, since)| async move {
        let event = next(&mut log, &query, since).await?;
        Some((event, (log, query, since)))
    })))
}

async fn next(log: &mut LogReader, query: &EventQuery, since: Time) -> Option<Event> {
    let mut read = 0;
    loop {
        read += 1;
        if read % TURN == 0 {
            tokio::task::yield_now().await;
        }
        let line = if query.follow { log.follow().await.map(Some) } else { log.read() };
        let line = line.inspect_err(|error| tracing::warn!(%error, "events cannot be read")).ok()??;
        // The log's own notes, of lines that found no room, are no events.
        let Ok(event) = serde_json::from_str::<Event>(&line.text) else { continue };
        if event.time >= since && query.stack.as_ref().is_none_or(|stack| *stack == event.stack) {
            return Some(event);
        }
    }
}
