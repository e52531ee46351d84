//! What happened, for whoever asks later: lines of JSON in a log like any instance's, bounded as those are.

use naru_api::Event;
use naru_home::Home;
use naru_logs::{Extent, Log, LogLimits, Queue, Stream, write_record};
use std::io;
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
