//! What a client asks of a file: conditions (RFC 9110, section 13) and ranges (section 14).

use std::fmt::Write;

/// A file as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub length: u64,
    /// When it was changed, in nanoseconds since 1970.
    pub modified: u64,
    /// Its entity tag, with the quotes.
    pub tag: String,
}

/// The fields of a request that concern a file, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileAsk<'a> {
    /// `If-Match`
    pub if_match: Option<&'a [u8]>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`, in seconds since 1970, where it makes sense.
    pub if_modified_since: Option<u64>,
    /// `If-Unmodified-Since`, likewise.
    pub if_unmodified_since: Option<u64>,
    /// `If-Range`
    pub if_range: Option<&'a [u8]>,
    /// `Range`
    pub range: Option<&'a [u8]>,
}

/// What a client gets of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAnswer {
    /// 200, all of it.
    Whole,
    /// 206, `length` bytes from `start`.
    Part {
        /// The first byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// 304
    NotModified,
    /// 412
    Failed,
    /// 416
    NotSatisfiable,
}

impl Stored {
    /// A file of that length and age. `salt` tells apart what one file yields in several codings.
    pub fn new(length: u64, modified: u64, salt: &str) -> Stored {
        let mut tag = String::new();
        // Writing to a text does not fail.
        let _ = write!(tag, "\"{modified:x}-{length:x}{salt}\"");
        Stored { length, modified, tag }
    }

    /// What the client gets, in the order of precedence of section 13.2.2. Several ranges are answered with the
    /// whole, as the standard allows.
    pub fn answer(&self, ask: &FileAsk<'_>) -> FileAnswer {
        let seconds = self.modified / 1_000_000_000;
        match (ask.if_match, ask.if_unmodified_since) {
            (Some(tags), _) if !self.is_among(tags) => return FileAnswer::Failed,
            (None, Some(since)) if seconds > since => return FileAnswer::Failed,
            _ => {}
        }
        match (ask.if_none_match, ask.if_modified_since) {
            (Some(tags), _) if self.is_among(tags) => return FileAnswer::NotModified,
            (None, Some(since)) if seconds <= since => return FileAnswer::NotModified,
            _ => {}
        }
        match ask.range {
            // A date is no strong validator, so only the tag counts.
            Some(range) if ask.if_range.is_none_or(|tag| tag == self.tag.as_bytes()) => self.part(range),
            _ => FileAnswer::Whole,
        }
    }

    fn is_among(&self, tags: &[u8]) -> bool {
        tags.trim_ascii() == b"*"
            || tags
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii)
                .any(|tag| tag.strip_prefix(b"W/").unwrap_or(tag) == self.tag.as_bytes())
    }

    fn part(&self, range: &[u8]) -> FileAnswer {
        let parsed = range.strip_prefix(b"bytes=").and_then(|set| {
            let dash = set.iter().position(|byte| *byte == b'-')?;
            Some((number(&set[..dash])?, number(&set[dash + 1..])?))
        });
        match parsed {
            // Another unit, several ranges, or no sense: as if it had not been asked.
            None | Some((None, None)) => FileAnswer::Whole,
            Some((Some(first), Some(last))) if last < first => FileAnswer::Whole,
            Some((Some(first), _)) if first >= self.length => FileAnswer::NotSatisfiable,
            Some((Some(first), last)) => {
                let end = last.map_or(self.length, |last| last.saturating_add(1).min(self.length));
                FileAnswer::Part { start: first, length: end - first }
            }
            Some((None, Some(0))) => FileAnswer::NotSatisfiable,
            Some((None, Some(_))) if self.length == 0 => FileAnswer::NotSatisfiable,
            Some((None, Some(suffix))) => {
                let length = suffix.min(self.length);
                FileAnswer::Part { start: self.length - length, length }
            }
        }
    }
}

/// A number, or nothing where there is none; `None` where it is no number.
fn number(text: &[u8]) -> Option<Option<u64>> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| Some(text.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::{FileAnswer, FileAsk, Stored};

    fn stored() -> Stored {
        Stored { length: 100, modified: 5_000_000_000, tag: "\"a\"".into() }
    }

    #[track_caller]
    fn range(text: &str, want: FileAnswer) {
        let ask = FileAsk { range: Some(text.as_bytes()), ..FileAsk::default() };
        assert_eq!(stored().answer(&ask), want, "{text}");
    }

    #[test]
    fn ranges() {
        range("bytes=0-9", FileAnswer::Part { start: 0, length: 10 });
        range("bytes=90-", FileAnswer::Part { start: 90, length: 10 });
        range("bytes=90-1000", FileAnswer::Part { start: 90, length: 10 });
        range("bytes=-10", FileAnswer::Part { start: 90, length: 10 });
        range("bytes=-1000", FileAnswer::Part { start: 0, length: 100 });
        range("bytes=100-", FileAnswer::NotSatisfiable);
        range("bytes=-0", FileAnswer::NotSatisfiable);
        range("bytes=0-18446744073709551615", FileAnswer::Whole);
        for odd in ["bytes=9-0", "bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b"] {
            range(odd, FileAnswer::Whole);
        }
    }

    #[track_caller]
    fn condition(ask: FileAsk<'_>, want: FileAnswer) {
        assert_eq!(stored().answer(&ask), want, "{ask:?}");
    }

    #[test]
    fn conditions() {
        let none = FileAsk::default();
        condition(none, FileAnswer::Whole);
        condition(FileAsk { if_none_match: Some(b"\"b\", W/\"a\""), ..none }, FileAnswer::NotModified);
        condition(
            FileAsk { if_none_match: Some(b"\"b\""), if_modified_since: Some(9), ..none },
            FileAnswer::Whole,
        );
        condition(FileAsk { if_modified_since: Some(5), ..none }, FileAnswer::NotModified);
        condition(FileAsk { if_modified_since: Some(4), ..none }, FileAnswer::Whole);
        condition(FileAsk { if_match: Some(b"\"b\""), ..none }, FileAnswer::Failed);
        condition(FileAsk { if_match: Some(b"*"), ..none }, FileAnswer::Whole);
        condition(FileAsk { if_unmodified_since: Some(4), ..none }, FileAnswer::Failed);
        let range = Some(&b"bytes=0-0"[..]);
        condition(FileAsk { if_range: Some(b"\"b\""), range, ..none }, FileAnswer::Whole);
        let part = FileAnswer::Part { start: 0, length: 1 };
        condition(FileAsk { if_range: Some(b"\"a\""), range, ..none }, part);
    }
}
