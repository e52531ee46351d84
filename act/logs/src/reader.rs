//! Reading a log while it is written and rotated.
//!
//! A reader holds its file open, so a rotation cannot take it away. At the file's end it looks where that
//! file has gone: if it has a number now, the next newer one is read next; if it is gone altogether (the
//! reader is slower than the rotation), it goes on with the oldest that is left and says so.

use super::line::{LogLine, Stream};
use crate::{LOG, folder_of, now};
use naru_model::InstanceId;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More rotated files than this are not looked for.
const MAX_FILES: u32 = 1000;
/// How often the end of a log is looked at: soon enough for an eye, and nothing for a processor.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A record is bounded when it is written; a line without end is not one.
const MAX_RECORD: u64 = 1 << 20;
/// What is read at once when the last lines are looked for.
const BLOCK: u64 = 64 << 10;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The oldest line that is kept.
    Start,
    /// The last so many lines.
    Tail(usize),
}

/// Reads an instance's log over its rotated files, oldest first, and goes on as it grows.
pub struct LogReader {
    path: PathBuf,
    open: Option<Open>,
    /// Bytes of a record whose end is not written yet.
    partial: Vec<u8>,
}

struct Open {
    file: BufReader<File>,
    inode: u64,
}

impl LogReader {
    /// `dir` is the runtime's folder. A log that is not there yet is an empty one.
    ///
    /// # Errors
    /// The id is none, or the log cannot be read.
    pub fn open(dir: &Path, id: &InstanceId, from: From) -> io::Result<LogReader> {
        let folder =
            folder_of(dir, id).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let mut reader = LogReader { path: folder.join(LOG), open: None, partial: Vec::new() };
        reader.open = match from {
            From::Start => reader.oldest()?,
            From::Tail(count) => reader.last_lines(count)?,
        };
        Ok(reader)
    }

    /// The next line that is there; `None` at the end as it is now. Call again later to go on.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(&mut self) -> io::Result<Option<LogLine>> {
        loop {
            if self.open.is_none() {
                self.open = self.oldest()?;
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            (&mut open.file).take(MAX_RECORD).read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') || self.partial.len() as u64 >= MAX_RECORD {
                let record = self.partial.strip_suffix(b"\n").unwrap_or(&self.partial);
                let line = LogLine::parse(record);
                self.partial.clear();
                return Ok(Some(line));
            }
            let inode = open.inode;
            match self.place_of(inode) {
                Some(0) => return Ok(None),
                // It was renamed after our last read, perhaps with a last record: read on before leaving it.
                Some(place) if self.has_more()? => debug_assert!(place > 0),
                Some(place) => self.open = self.numbered(place - 1)?,
                None if self.has_more()? => {}
                None if self.oldest()?.is_none() => return Ok(None),
                None => return self.skip().map(Some),
            }
        }
    }

    /// The next line, waited for as long as it takes. Safe to cancel.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn follow(&mut self) -> io::Result<LogLine> {
        loop {
            if let Some(line) = self.read()? {
                return Ok(line);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn skip(&mut self) -> io::Result<LogLine> {
        self.partial.clear();
        self.open = self.oldest()?;
        let text = "lines were rotated away before they were read".to_owned();
        Ok(LogLine { time: now(), stream: Stream::Note, text, continues: false })
    }

    fn has_more(&mut self) -> io::Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        let at = open.file.stream_position()?;
        Ok(open.file.get_ref().metadata()?.len() > at)
    }

    fn name(&self, place: u32) -> PathBuf {
        if place == 0 { self.path.clone() } else { self.path.with_extension(place.to_string()) }
    }

    fn numbered(&self, place: u32) -> io::Result<Option<Open>> {
        match File::open(self.name(place)) {
            Ok(file) => Ok(Some(Open { inode: file.metadata()?.ino(), file: BufReader::new(file) })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number that a file has now.
    fn place_of(&self, inode: u64) -> Option<u32> {
        let is_it = |place: &u32| fs::metadata(self.name(*place)).is_ok_and(|meta| meta.ino() == inode);
        (0..=self.last_place()).find(is_it)
    }

    /// The highest number in use.
    fn last_place(&self) -> u32 {
        (1..MAX_FILES).take_while(|place| self.name(*place).exists()).last().unwrap_or(0)
    }

    fn oldest(&self) -> io::Result<Option<Open>> {
        self.numbered(self.last_place())
    }

    /// Opened where the last `count` lines begin.
    fn last_lines(&self, count: usize) -> io::Result<Option<Open>> {
        let (mut missing, mut found) = (count, None);
        for place in 0..=self.last_place() {
            let Some(mut open) = self.numbered(place)? else { continue };
            let (start, lines) = start_of_last(open.file.get_mut(), missing)?;
            open.file.seek(SeekFrom::Start(start))?;
            missing -= lines;
            found = Some(open);
            if missing == 0 {
                break;
            }
        }
        Ok(found)
    }
}

/// Where the last `count` lines of a file begin, and how many there are if it has fewer.
fn start_of_last(file: &mut File, count: usize) -> io::Result<(u64, usize)> {
    let size = file.metadata()?.len();
    let (mut at, mut ends) = (size, 0);
    let mut block = Vec::new();
    while at > 0 {
        let begin = at.saturating_sub(BLOCK);
        block.resize((at - begin) as usize, 0);
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(&mut block)?;
        for (offset, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The end of the line before the first one that is wanted.
            if ends == count {
                return Ok((begin + offset as u64 + 1, count));
            }
            ends += 1;
        }
        at = begin;
    }
    Ok((0, ends))
}
