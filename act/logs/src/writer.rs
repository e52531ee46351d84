//! The files of a log: append, rotate, and outlive a full disk.

use super::line::{Extent, Stream, write_record};
use crate::{LOG, now};
use naru_model::plural;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How much of an instance's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// A file that has reached this size, in bytes, is closed and the next one begun.
    pub file_bytes: u64,
    /// So many files are kept, the one being written included; at least 1.
    pub files: u32,
}

impl Default for LogLimits {
    /// 3 files of 10 MiB: hours of a talkative service, and 30 GiB for a thousand instances at the worst.
    fn default() -> Self {
        LogLimits { file_bytes: 10 << 20, files: 3 }
    }
}

/// Appends records to an instance's log.
pub struct Log {
    path: PathBuf,
    limits: LogLimits,
    file: File,
    size: u64,
    dropped: Dropped,
}

/// What could not be written since the last note of it.
#[derive(Default)]
struct Dropped {
    lines: u64,
    bytes: u64,
    why: String,
}

impl Log {
    /// The log in an instance's `folder`, which is there already.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(folder: &Path, limits: LogLimits) -> io::Result<Log> {
        let path = folder.join(LOG);
        let (file, size) = open(&path)?;
        let mut log = Log { path, limits, file, size, dropped: Dropped::default() };
        log.end_torn_record();
        Ok(log)
    }

    /// Appends whole records. What does not fit on the disk is counted and said later.
    pub fn append(&mut self, mut records: &[u8]) {
        if self.dropped.lines > 0 && !self.write_note() {
            return self.count(records);
        }
        while !records.is_empty() {
            let (now, later) = records.split_at(self.fitting(records));
            self.write(now);
            records = later;
        }
    }

    /// Counts records that were never handed to the disk.
    pub fn drop_records(&mut self, lines: u64, bytes: u64, why: &str) {
        self.dropped.lines += lines;
        self.dropped.bytes += bytes;
        self.dropped.why = why.to_owned();
    }

    /// Says what was dropped, if anything was, once more.
    pub fn finish(&mut self) {
        if self.dropped.lines > 0 {
            self.write_note();
        }
    }

    /// How much of `records` goes into the present file: as many whole records as it has room for, and
    /// one at least. Rotates where it has room for none.
    fn fitting(&mut self, records: &[u8]) -> usize {
        let room = |size: u64, limits: LogLimits| limits.file_bytes.saturating_sub(size) as usize;
        let whole = |room: usize| {
            let within = &records[..records.len().min(room)];
            within.iter().rposition(|&byte| byte == b'\n').map(|end| end + 1)
        };
        if let Some(count) = whole(room(self.size, self.limits)) {
            return count;
        }
        if self.size > 0 {
            self.rotate();
        }
        let first = records.iter().position(|&byte| byte == b'\n').map_or(records.len(), |end| end + 1);
        whole(room(self.size, self.limits)).unwrap_or(first)
    }

    /// A rotation that fails (the folder is gone, the disk is full) leaves the file to grow: losing the log is
    /// worse than a long one, and the next record tries again.
    fn rotate(&mut self) {
        let numbered = |n: u32| self.path.with_extension(n.to_string());
        for n in (1..self.limits.files.saturating_sub(1)).rev() {
            let _ = fs::rename(numbered(n), numbered(n + 1));
        }
        let moved = match self.limits.files {
            0 | 1 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, numbered(1)),
        };
        if let (Ok(()), Ok((file, size))) = (moved, open(&self.path)) {
            (self.file, self.size) = (file, size);
        }
    }

    fn write(&mut self, records: &[u8]) {
        let mut done = 0;
        let failed = loop {
            match self.file.write(&records[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
            if done == records.len() {
                break None;
            }
        };
        let Some(error) = failed else {
            self.size += records.len() as u64;
            return;
        };
        let whole = records[..done].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.size += whole as u64;
        let _ = self.file.set_len(self.size);
        self.dropped.why = error.to_string();
        self.count(&records[whole..]);
    }

    /// Whether the note is in the log now.
    fn write_note(&mut self) -> bool {
        let dropped = std::mem::take(&mut self.dropped);
        let said =
            format!("{} ({} bytes) dropped: {}", plural(dropped.lines, "line"), dropped.bytes, dropped.why);
        let mut note = Vec::new();
        write_record(&mut note, now(), Stream::Note, Extent::Whole, said.as_bytes());
        self.write(&note);
        if self.dropped.lines == 0 {
            return true;
        }
        // The note itself was counted as dropped.
        self.dropped = Dropped { why: std::mem::take(&mut self.dropped.why), ..dropped };
        false
    }

    fn count(&mut self, records: &[u8]) {
        self.dropped.lines += records.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.dropped.bytes += records.len() as u64;
    }

    /// A crash of the machine may have cut the last record short.
    fn end_torn_record(&mut self) {
        use std::os::unix::fs::FileExt;
        let mut last = [b'\n'];
        let read =
            File::open(&self.path).and_then(|file| file.read_at(&mut last, self.size.saturating_sub(1)));
        if read.is_ok_and(|count| count > 0) && last != [b'\n'] && self.file.write_all(b"\n").is_ok() {
            self.size += 1;
        }
    }
}

fn open(path: &PathBuf) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().mode(0o600).append(true).create(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
