//! One record of a log, to bytes and back.

use naru_model::Time;
use std::io::Write;

/// A line longer than this is cut into records, so that no instance makes its shim hold more.
const MAX_LINE: usize = 16 << 10;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The instance's stdout.
    Stdout,
    /// The instance's stderr.
    Stderr,
    /// The shim's own note, such as lines dropped on a full disk.
    Note,
}

/// A line of an instance's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read from the instance.
    pub time: Time,
    /// Where it came from.
    pub stream: Stream,
    /// Without its line feed; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether the line goes on in the next one of the same stream: it was longer than 16 KiB.
    pub continues: bool,
}

/// Whether a record is the end of its line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// It is.
    Whole,
    /// The line goes on in the next record.
    Part,
}

impl Stream {
    fn letter(self) -> char {
        match self {
            Stream::Stdout => 'o',
            Stream::Stderr => 'e',
            Stream::Note => 'n',
        }
    }
}

impl LogLine {
    /// A record without its line feed. What is none (a file torn by a crash) is a note with its bytes.
    pub(crate) fn parse(record: &[u8]) -> LogLine {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parsed = || -> Option<LogLine> {
            let mut fields = record.splitn(3, |&byte| byte == b' ');
            let time = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let (stream, continues) = match fields.next()? {
                b"o" => (Stream::Stdout, false),
                b"o+" => (Stream::Stdout, true),
                b"e" => (Stream::Stderr, false),
                b"e+" => (Stream::Stderr, true),
                b"n" => (Stream::Note, false),
                _ => return None,
            };
            Some(LogLine { time: Time(time), stream, text: text(fields.next()?), continues })
        };
        let torn = || LogLine { time: Time(0), stream: Stream::Note, text: text(record), continues: false };
        parsed().unwrap_or_else(torn)
    }
}

/// Appends one record.
pub fn write_record(out: &mut Vec<u8>, time: Time, stream: Stream, extent: Extent, text: &[u8]) {
    let plus = if extent == Extent::Part { "+" } else { "" };
    // Writing to memory cannot fail.
    let _ = write!(out, "{time} {letter}{plus} ", time = time.0, letter = stream.letter());
    out.extend_from_slice(text);
    out.push(b'\n');
}

/// Cuts one stream into lines.
pub struct Lines {
    stream: Stream,
    partial: Vec<u8>,
}

impl Lines {
    /// Of an instance's `stream`.
    pub fn new(stream: Stream) -> Lines {
        Lines { stream, partial: Vec::new() }
    }

    /// Takes what was read, and appends a record for each line that it completes.
    pub fn take(&mut self, time: Time, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let room = &bytes[..bytes.len().min(MAX_LINE - self.partial.len())];
            match room.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    self.emit(time, Extent::Whole, &bytes[..end], out);
                    bytes = &bytes[end + 1..];
                }
                None if self.partial.len() + room.len() < MAX_LINE => {
                    self.partial.extend_from_slice(room);
                    return;
                }
                // A line of exactly the limit is whole.
                None if bytes.get(room.len()) == Some(&b'\n') => {
                    self.emit(time, Extent::Whole, room, out);
                    bytes = &bytes[room.len() + 1..];
                }
                None => {
                    self.emit(time, Extent::Part, room, out);
                    bytes = &bytes[room.len()..];
                }
            }
        }
    }

    /// What is left at the end of the stream is a line too.
    pub fn finish(&mut self, time: Time, out: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.emit(time, Extent::Whole, &[], out);
        }
    }

    fn emit(&mut self, time: Time, extent: Extent, rest: &[u8], out: &mut Vec<u8>) {
        self.partial.extend_from_slice(rest);
        write_record(out, time, self.stream, extent, &self.partial);
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, LogLine, MAX_LINE, Stream};
    use naru_model::Time;

    /// Feeds `chunks` and returns what a reader would see, long texts by their length.
    fn check(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut out) = (Lines::new(Stream::Stderr), Vec::new());
        for chunk in chunks {
            lines.take(Time(7), chunk, &mut out);
        }
        lines.finish(Time(7), &mut out);
        let records = out.strip_suffix(b"\n").map(|all| all.split(|&byte| byte == b'\n'));
        let said = |line: LogLine| {
            let text = if line.text.len() > 99 { format!("{} bytes", line.text.len()) } else { line.text };
            format!("{:?} {}{text}", line.stream, if line.continues { "+" } else { "" })
        };
        records.into_iter().flatten().map(|record| said(LogLine::parse(record))).collect()
    }

    #[test]
    fn lines_are_put_together_and_an_unfinished_one_is_kept() {
        assert_eq!(
            check(&[b"on", b"e\n\ntwo\r\nth", b"ree"]),
            ["Stderr one", "Stderr ", "Stderr two\r", "Stderr three"]
        );
        assert!(check(&[]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_and_marked() {
        let long = vec![b'x'; MAX_LINE * 2 + 5];
        assert_eq!(check(&[&long, b"\n"]), ["Stderr +16384 bytes", "Stderr +16384 bytes", "Stderr xxxxx"]);
        let exact = [&long[..MAX_LINE], b"\nnext\n"].concat();
        assert_eq!(check(&[&exact]), ["Stderr 16384 bytes", "Stderr next"]);
    }

    #[test]
    fn a_torn_record_is_shown_as_it_is() {
        let line = LogLine::parse(b"17638 x what");
        assert_eq!((line.stream, line.text.as_str()), (Stream::Note, "17638 x what"));
    }
}
