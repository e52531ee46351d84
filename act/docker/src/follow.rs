//! What a container says, copied to its instance's log.
//!
//! The engine keeps what containers say, with a time for each line; the instance's log has the same times. So the log
//! itself says how far it has come: of each stream the last time, and how many records have it. After a break (of this
//! process, of the engine) the engine is asked again from a little before that, and what is there already is passed over.

use crate::engine::{Found, now};
use crate::find::{SeenState, look};
use crate::runtime::Inner;
use bollard::container::LogOutput;
use bollard::errors::Error as Said;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;
use naru_logs::{Extent, From, Log, LogLimits, LogReader, Stream, write_record};
use naru_model::{InstanceId, Time};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Messages that are written at once: each has 16 KiB at most.
const BATCH: usize = 64;
/// A record is a line of 16 KiB at most, as the engine cuts them, too.
const MAX_TEXT: usize = 16 << 10;
/// So far back the log is read for its last records; one stream may have been silent for longer, and then all that it
/// said is older than these.
const LAST_RECORDS: usize = 4_096;
/// Between one try to read on and the next.
const AGAIN: Duration = Duration::from_millis(500);

/// How far a log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    stdout: Reached,
    stderr: Reached,
}

/// How far one stream has come: its last time, and how many records have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    at: Time,
    records: usize,
}

impl Reached {
    fn count(&mut self, at: Time) {
        if at > self.at {
            *self = Reached { at, records: 0 };
        }
        self.records += usize::from(at == self.at);
    }
}

impl Cursor {
    /// Read from the log of `id` below `dir`.
    fn read(dir: &Path, id: &InstanceId) -> std::io::Result<Cursor> {
        let mut reader = LogReader::open(dir, id, From::Tail(LAST_RECORDS))?;
        let (mut cursor, mut oldest) = (Cursor::default(), None);
        while let Some(line) = reader.read()? {
            oldest.get_or_insert(line.time);
            match line.stream {
                Stream::Stdout => cursor.stdout.count(line.time),
                Stream::Stderr => cursor.stderr.count(line.time),
                Stream::Note => {}
            }
        }
        let silent = Reached { at: oldest.unwrap_or_default(), records: usize::MAX };
        for reached in [&mut cursor.stdout, &mut cursor.stderr] {
            if reached.records == 0 && oldest.is_some() {
                *reached = silent;
            }
        }
        Ok(cursor)
    }

    /// Where the engine is to begin, in seconds since the epoch: a second early, since it rounds.
    fn since(&self) -> i32 {
        let first = self.stdout.at.min(self.stderr.at).0 / 1_000;
        i32::try_from(first.saturating_sub(1)).unwrap_or_default()
    }
}

/// Passes over what a log has already.
struct Skip {
    until: Cursor,
    now: Cursor,
}

impl Skip {
    /// Whether the next record of a stream, of this time, is new.
    fn is_new(&mut self, stream: Stream, at: Time) -> bool {
        let (until, now) = match stream {
            Stream::Stderr => (self.until.stderr, &mut self.now.stderr),
            _ => (self.until.stdout, &mut self.now.stdout),
        };
        if now.at != at {
            *now = Reached { at, records: 0 };
        }
        now.records += 1;
        at > until.at || (at == until.at && now.records > until.records)
    }
}

/// Copies until the container has ended and all is copied, or it is gone.
pub(crate) async fn follow(inner: Arc<Inner>, id: InstanceId, container: String) {
    loop {
        match copy(&inner, &id, &container).await {
            Ok(Copied::All) => return,
            Ok(Copied::Some) => {}
            Err(error) => tracing::debug!(instance = %id, error, "its output cannot be read now"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// How far it went.
enum Copied {
    All,
    Some,
}

async fn copy(inner: &Inner, id: &InstanceId, container: &str) -> Result<Copied, String> {
    let engine = inner.engine.get_again().await.map_err(|error| error.to_string())?;
    let (dir, named) = (inner.dir.clone(), id.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let folder = naru_logs::folder_of(&dir, &named).map_err(std::io::Error::other)?;
        let log = Log::open(&folder, LogLimits::default())?;
        Ok::<_, std::io::Error>((log, Cursor::read(&dir, &named)?))
    });
    let opened = opened.await.map_err(|error| error.to_string())?;
    let (mut log, cursor) = opened.map_err(|error| error.to_string())?;
    let options = LogsOptionsBuilder::default()
        .follow(true)
        .stdout(true)
        .stderr(true)
        .timestamps(true)
        .since(cursor.since())
        .build();
    let mut batches = Box::pin(engine.docker.logs(container, Some(options)).ready_chunks(BATCH));
    let mut skip = Skip { until: cursor, now: Cursor::default() };
    while let Some(batch) = batches.next().await {
        let (records, end) = records(batch, &mut skip);
        if !records.is_empty() {
            let written = tokio::task::spawn_blocking(move || {
                log.append(&records);
                log
            });
            log = written.await.map_err(|error| error.to_string())?;
        }
        match end {
            None => {}
            Some(Said::DockerResponseServerError { status_code: 404, .. }) => return Ok(Copied::All),
            Some(error) if is_unreadable(&error) => {
                note(
                    &mut log,
                    "its logging driver keeps nothing that can be read: see where it sends its lines",
                );
                return Ok(Copied::All);
            }
            Some(error) => return Err(error.to_string()),
        }
    }
    ended(&engine, container).await
}

/// The stream ended: with the container, or with a break.
async fn ended(engine: &Found, container: &str) -> Result<Copied, String> {
    match look(engine, container).await {
        Ok(Some(seen)) if matches!(seen.state, SeenState::Running { .. }) => Ok(Copied::Some),
        Ok(_) => Ok(Copied::All),
        Err(error) => Err(error.to_string()),
    }
}

fn is_unreadable(error: &Said) -> bool {
    error.to_string().contains("does not support reading")
}

fn note(log: &mut Log, text: &str) {
    let mut record = Vec::new();
    write_record(&mut record, now(), Stream::Note, Extent::Whole, text.as_bytes());
    log.append(&record);
}

/// The records of a batch that are new, and the error that it ended with.
fn records(batch: Vec<Result<LogOutput, Said>>, skip: &mut Skip) -> (Vec<u8>, Option<Said>) {
    let mut records = Vec::new();
    for output in batch {
        let (stream, message) = match output {
            Ok(LogOutput::StdErr { message }) => (Stream::Stderr, message),
            Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => (Stream::Stdout, message),
            Ok(LogOutput::StdIn { .. }) => continue,
            Err(error) => return (records, Some(error)),
        };
        let (at, text) = time_and_text(&message);
        let (text, is_whole) = match text.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), true),
            None => (text, false),
        };
        let parts = text.chunks(MAX_TEXT).count().max(1);
        for (number, part) in (1..).zip(text.chunks(MAX_TEXT).chain([&b""[..]]).take(parts)) {
            let extent = if is_whole && number == parts { Extent::Whole } else { Extent::Part };
            if skip.is_new(stream, at) {
                write_record(&mut records, at, stream, extent, part);
            }
        }
    }
    (records, None)
}

/// `2026-11-26T12:44:27.141077453Z TEXT`, as the engine writes a line with its time.
fn time_and_text(message: &[u8]) -> (Time, &[u8]) {
    let parsed = || {
        let space = message.iter().position(|byte| *byte == b' ')?;
        let at: jiff::Timestamp = std::str::from_utf8(&message[..space]).ok()?.parse().ok()?;
        Some((Time(u64::try_from(at.as_millisecond()).ok()?), &message[space + 1..]))
    };
    parsed().unwrap_or((Time(0), message))
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Reached, Skip, records};
    use bollard::container::LogOutput;
    use naru_logs::{Log, LogLimits, folder_of};
    use naru_model::Time;

    fn out(millis: u64, text: &str) -> LogOutput {
        LogOutput::StdOut { message: format!("1970-01-01T00:00:{:06.3}Z {text}", millis as f64 / 1e3).into() }
    }

    fn err(millis: u64, text: &str) -> LogOutput {
        LogOutput::StdErr { message: format!("1970-01-01T00:00:{:06.3}Z {text}", millis as f64 / 1e3).into() }
    }

    /// What the engine tells in all, in its order.
    fn all() -> Vec<LogOutput> {
        vec![
            out(1_000, "one\n"),
            out(1_500, "two\r\n"),
            out(1_500, "three\n"),
            err(1_500, "oops\n"),
            out(1_500, "fo"),
            out(1_500, "ur\n"),
            out(2_000, "\n"),
        ]
    }

    const WHOLE: &str = "1000 o one\n1500 o two\n1500 o three\n1500 e oops\n1500 o+ fo\n1500 o ur\n2000 o \n";

    #[test]
    fn a_log_goes_on_after_any_record_without_a_line_lost_or_doubled() {
        for cut in 0..=7 {
            let home = tempfile::tempdir().unwrap();
            let id = "a".into();
            let folder = folder_of(home.path(), &id).unwrap();
            std::fs::create_dir(&folder).unwrap();
            for told in [all().into_iter().take(cut).collect::<Vec<_>>(), all()] {
                let cursor = Cursor::read(home.path(), &id).unwrap();
                let mut skip = Skip { until: cursor, now: Cursor::default() };
                let (new, end) = records(told.into_iter().map(Ok).collect(), &mut skip);
                assert!(end.is_none());
                Log::open(&folder, LogLimits::default()).unwrap().append(&new);
            }
            assert_eq!(std::fs::read_to_string(folder.join("log")).unwrap(), WHOLE, "cut after {cut}");
        }
    }

    #[test]
    fn the_engine_is_asked_from_a_second_before_the_stream_that_is_behind() {
        let at = |millis| Reached { at: Time(millis), records: 1 };
        assert_eq!(Cursor { stdout: at(9_500), stderr: at(4_200) }.since(), 3);
        assert_eq!(Cursor::default().since(), 0);
    }
}
