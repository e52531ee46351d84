//! The chain as a file, and its end beside it.

use crate::chain::{End, follow, next};
use naru_who::{AuditEntry, AuditEvent, AuditQuery, AuditState};
use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const EVENTS: &str = "audit.jsonl";
const HEAD: &str = "head";

/// A line is some hundred bytes; its text is cut well before that.
const TEXT_MAX: usize = 4_000;
const LINE_MAX: usize = 64 << 10;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// Why nothing can be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk, or the system.
    #[error("the audit {} cannot be used: {source}", path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files do not fit together.
    #[error(
        "the audit is not whole: {0}; move its folder aside to begin a new one, and keep it for whoever looks into this"
    )]
    Broken(String),
}

/// The audit, open to be written by one process.
pub struct Audit {
    dir: PathBuf,
    file: File,
    end: End,
    /// Where the last whole line ends.
    bytes: u64,
}

fn system(path: &Path) -> impl Fn(io::Error) -> AuditError + '_ {
    |source| AuditError::System { path: path.into(), source }
}

impl Audit {
    /// That of a folder, which is made if it is missing. A line that was not whole when the machine lost power is cut off:
    /// nobody was told that it counts.
    ///
    /// # Errors
    /// The folder cannot be used, or the chain is broken: then nothing is added to it.
    pub fn open(dir: &Path) -> Result<Audit, AuditError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(system(dir))?;
        let path = dir.join(EVENTS);
        let seen = walk(dir, |_| {}).map_err(system(&path))?;
        if let Some(fault) = seen.fault {
            return Err(AuditError::Broken(fault));
        }
        let file =
            OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(system(&path))?;
        if file.metadata().map_err(system(&path))?.len() > seen.bytes {
            file.set_len(seen.bytes).and_then(|()| file.sync_all()).map_err(system(&path))?;
        }
        // A new file's name, too, is to outlive a loss of power.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(system(dir))?;
        Ok(Audit { dir: dir.into(), file, end: seen.end, bytes: seen.bytes })
    }

    /// Adds an event. When this returns, it is on the disk.
    ///
    /// # Errors
    /// It is not; what was asked for is not to be done then.
    pub fn add(&mut self, mut entry: AuditEntry) -> Result<AuditEvent, AuditError> {
        for text in [&mut entry.text, &mut entry.who, &mut entry.on] {
            cut(text);
        }
        let (event, line) = next(&self.end, entry);
        let path = self.dir.join(EVENTS);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Half a line would be the beginning of the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(AuditError::System { path, source });
        }
        self.bytes += line.len() as u64;
        self.end = End { seq: event.seq, digest: event.digest.clone() };
        let head = self.dir.join(HEAD);
        put_head(&self.dir, &self.end).map_err(system(&head))?;
        Ok(event)
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
        text.push('…');
    }
}

fn put_head(dir: &Path, end: &End) -> io::Result<()> {
    let (path, fresh) = (dir.join(HEAD), dir.join("head.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(format!("{} {}\n", end.seq, end.digest).as_bytes())?;
    file.sync_data()?;
    fs::rename(&fresh, &path)
}

fn take_head(dir: &Path) -> io::Result<Result<Option<End>, String>> {
    let text = match fs::read_to_string(dir.join(HEAD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        text => text?,
    };
    let read = text
        .trim_end()
        .split_once(' ')
        .and_then(|(seq, digest)| Some(End { seq: seq.parse().ok()?, digest: digest.into() }));
    Ok(read.map(Some).ok_or_else(|| "its file `head` makes no sense".to_string()))
}

/// What a walk along the chain found.
struct Seen {
    end: End,
    /// Of whole lines.
    bytes: u64,
    fault: Option<String>,
}

/// Goes along the chain to its end, or to where it breaks.
fn walk(dir: &Path, mut each: impl FnMut(AuditEvent)) -> io::Result<Seen> {
    let head = take_head(dir)?;
    let mut seen = Seen { end: End::default(), bytes: 0, fault: None };
    let mut at_head = None;
    let wanted = head.as_ref().ok().and_then(Option::as_ref).map(|head| head.seq);
    let mut lines = match File::open(dir.join(EVENTS)) {
        Ok(file) => Some(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    while let Some(line) = lines.as_mut().map(next_line).transpose()?.flatten() {
        match follow(&seen.end, &line) {
            Ok(event) => {
                seen.end = End { seq: event.seq, digest: event.digest.clone() };
                seen.bytes += line.len() as u64 + 1;
                if Some(event.seq) == wanted {
                    at_head = Some(seen.end.clone());
                }
                each(event);
            }
            Err(why) => {
                seen.fault = Some(format!("line {}: {why}", seen.end.seq + 1));
                return Ok(seen);
            }
        }
    }
    seen.fault = match head {
        Err(fault) => Some(fault),
        // Between an event and its head a machine may lose power.
        Ok(None) if seen.end.seq > 1 => Some("its file `head` is gone".into()),
        Ok(Some(head)) if head.seq > seen.end.seq => {
            Some(format!("{} events are gone from its end", head.seq - seen.end.seq))
        }
        Ok(Some(head)) if head.seq > 0 && at_head != Some(head.clone()) => {
            Some(format!("event {} is another one than it was", head.seq))
        }
        Ok(_) => None,
    };
    Ok(seen)
}

/// A whole line, without its line feed. One that is not whole, at the end, is none.
fn next_line(lines: &mut BufReader<File>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    loop {
        let chunk = lines.fill_buf()?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let (taken, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (chunk.len(), false),
        };
        line.extend_from_slice(&chunk[..taken]);
        lines.consume(taken);
        if ended || line.len() > LINE_MAX {
            line.truncate(line.len() - usize::from(ended));
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

/// The events that a query wants, oldest first.
///
/// # Errors
/// The files cannot be read.
pub fn read(dir: &Path, query: &AuditQuery) -> Result<Vec<AuditEvent>, AuditError> {
    let limit = query.limit.unwrap_or(LIMIT).min(LIMIT_MAX);
    let mut found = VecDeque::new();
    let path = dir.join(EVENTS);
    walk(dir, |event| {
        if wants(query, &event.entry) {
            found.push_back(event);
            if found.len() > limit {
                found.pop_front();
            }
        }
    })
    .map_err(system(&path))?;
    Ok(found.into())
}

fn wants(query: &AuditQuery, entry: &AuditEntry) -> bool {
    let is = |wanted: &Option<String>, said: &str| wanted.as_ref().is_none_or(|wanted| wanted == said);
    let within = query.on.as_ref().is_none_or(|on| {
        entry.on == *on
            || entry
                .on
                .parse::<naru_who::Resource>()
                .ok()
                .and_then(|of| of.chain())
                .is_some_and(|chain| chain.iter().any(|above| above.to_string() == *on))
    });
    is(&query.who, &entry.who)
        && is(&query.action, &entry.action)
        && within
        && query.outcome.is_none_or(|outcome| outcome == entry.outcome)
        && query.since.is_none_or(|since| entry.time.0 >= since)
}

/// Whether all of it is as it was written.
///
/// # Errors
/// The files cannot be read.
pub fn verify(dir: &Path) -> Result<AuditState, AuditError> {
    let seen = walk(dir, |_| {}).map_err(system(&dir.join(EVENTS)))?;
    Ok(AuditState { events: seen.end.seq, head: seen.end.digest, fault: seen.fault })
}
