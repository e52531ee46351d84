//! What the heads of requests and answers have in common: read strictly, written anew.
//!
//! A head is taken only if every recipient must read it the same way (RFC 9112): anything that two parsers
//! could take for different messages is refused, never repaired. What goes out is written from what was
//! understood, so that no byte passes that was not looked at.

use crate::fields::{Field, Fields};
use crate::reject::Reject;

/// Most names in all `Connection` fields of a head.
const NAMED: usize = 16;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// By chunks, each with its length.
    Chunked,
    /// By the sender's end.
    UntilClose,
}

/// What the sender wants of its connection after this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It is closed.
    Close,
    /// It takes another message.
    Keep,
    /// As `Keep`, and it must be told.
    KeepTold,
}

impl Persistence {
    /// The line that says so; none where nothing has to be said.
    pub fn line(self) -> &'static str {
        match self {
            Persistence::Close => "Connection: close\r\n",
            Persistence::Keep => "",
            Persistence::KeepTold => "Connection: keep-alive\r\n",
        }
    }
}

/// The version that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Whether the client asked for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// No.
    None,
    /// Yes.
    Asked,
}

/// Whether a request may reach an instance twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It is idempotent, by its method or its key.
    Allowed,
    /// It is not.
    Forbidden,
}

/// What matters of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// HEAD, whose answer has no body.
    Head,
    /// Any other.
    Other,
}

/// Where the head at the beginning of `bytes` ends, when it is there whole. The first `seen` bytes were
/// looked at before.
///
/// # Errors
/// A line that ends with LF alone.
pub fn find_end(bytes: &[u8], seen: usize) -> Result<Option<usize>, Reject> {
    let from = seen.saturating_sub(3);
    let (words, tail) = bytes[from..].as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let mut found = line_feeds(*word);
        while found != 0 {
            if let Some(end) = end_at(bytes, from + n * 8 + (found.trailing_zeros() / 8) as usize)? {
                return Ok(Some(end));
            }
            found &= found - 1;
        }
    }
    let tail = tail.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (at, _) in tail {
        if let Some(end) = end_at(bytes, from + words.len() * 8 + at)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// The highest bit of each byte that is LF, the first byte lowest. Lines of a head are so short that a search made for
/// long texts takes longer to begin than to find.
fn line_feeds(word: [u8; 8]) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const LOW: u64 = EACH * 0x7f;
    let other = u64::from_le_bytes(word) ^ (EACH * b'\n' as u64);
    !(((other & LOW) + LOW) | other | LOW)
}

/// Where the head ends, if it does with the LF that is there.
fn end_at(bytes: &[u8], at: usize) -> Result<Option<usize>, Reject> {
    match bytes[..at] {
        [.., b'\r', b'\n', b'\r'] => Ok(Some(at + 1)),
        [.., b'\r'] => Ok(None),
        _ => Err(Reject::bad("the head has a line that ends with LF alone")),
    }
}

/// Appends all of `parts`.
pub fn extend(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// What the fields of a head say together.
pub(crate) struct Summary<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) upgrade: Upgrade,
    pub(crate) keep_alive: Option<&'a [u8]>,
    pub(crate) content_type: &'a [u8],
    pub(crate) has_key: bool,
    expect: Option<&'a [u8]>,
    wants: Option<Persistence>,
    /// How many other fields `Connection` names.
    names: usize,
    says_upgrade: bool,
}

impl<'a> Summary<'a> {
    pub(crate) fn of(fields: &Fields<'a, '_>) -> Result<Summary<'a>, Reject> {
        let mut summary = Summary {
            host: None,
            length: None,
            chunked: false,
            upgrade: Upgrade::None,
            keep_alive: None,
            content_type: &[],
            has_key: false,
            expect: None,
            wants: None,
            names: 0,
            says_upgrade: false,
        };
        fields.iter().try_for_each(|(kind, field)| summary.take(kind, field.value))?;
        if !summary.says_upgrade {
            summary.upgrade = Upgrade::None;
        }
        if summary.chunked && summary.length.is_some() {
            return Err(Reject::bad("both Content-Length and Transfer-Encoding"));
        }
        Ok(summary)
    }

    fn take(&mut self, kind: Field, value: &'a [u8]) -> Result<(), Reject> {
        match kind {
            Field::Host => {
                let host = std::str::from_utf8(value).ok().filter(|h| is_host(h.as_bytes()));
                let host = host.ok_or(Reject::bad("Host is not the name of a host"))?;
                if self.host.replace(host).is_some() {
                    return Err(Reject::bad("more than one Host"));
                }
            }
            Field::ContentLength => {
                let length = content_length(value).ok_or(Reject::bad("Content-Length is no number"))?;
                if self.length.replace(length).is_some() {
                    return Err(Reject::bad("more than one Content-Length"));
                }
            }
            Field::TransferEncoding => {
                if !value.eq_ignore_ascii_case(b"chunked") || self.chunked {
                    return Err(Reject::new(501, "a Transfer-Encoding other than chunked, or more than one"));
                }
                self.chunked = true;
            }
            Field::Connection => return self.take_connection(value),
            Field::Upgrade if !is_h2c(value) => self.upgrade = Upgrade::Asked,
            Field::KeepAlive => self.keep_alive = Some(value),
            Field::ContentType => self.content_type = value,
            // The first that is not understood counts.
            Field::Expect if self.expect.is_some_and(|known| !is_continue(known)) => {}
            Field::Expect => self.expect = Some(value),
            Field::IdempotencyKey => self.has_key = true,
            Field::Disguised => {
                return Err(Reject::bad(
                    "a field that some programs take for Content-Length or Transfer-Encoding",
                ));
            }
            Field::Upgrade | Field::OneHop | Field::Forwarded | Field::Other => {}
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &'a [u8]) -> Result<(), Reject> {
        for name in listed(value) {
            if name.eq_ignore_ascii_case(b"close") {
                self.wants = Some(Persistence::Close);
            } else if name.eq_ignore_ascii_case(b"keep-alive") {
                self.wants = self.wants.or(Some(Persistence::KeepTold));
            } else if name.eq_ignore_ascii_case(b"upgrade") {
                self.says_upgrade = true;
            } else if self.names == NAMED {
                return Err(Reject::new(431, "Connection names too many fields"));
            } else {
                self.names += 1;
            }
        }
        Ok(())
    }

    pub(crate) fn request_framing(&self, version: Version) -> Result<Framing, Reject> {
        match (self.length, self.chunked) {
            (_, true) if self.is_misplaced_chunked(version) => {
                Err(Reject::bad("Transfer-Encoding in a message of HTTP/1.0"))
            }
            (_, true) => Ok(Framing::Chunked),
            (Some(0) | None, _) => Ok(Framing::None),
            (Some(length), _) => Ok(Framing::Length(length)),
        }
    }

    pub(crate) fn check_host(&self, version: Version) -> Result<(), Reject> {
        match self.host {
            None if version == Version::Http11 => Err(Reject::bad("no Host")),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_expect(&mut self, version: Version) -> Result<(), Reject> {
        match self.expect {
            Some(value) if version == Version::Http11 && !is_continue(value) => {
                Err(Reject::new(417, "an expectation other than 100-continue"))
            }
            _ => Ok(()),
        }
    }

    /// Whether chunks are in a version that has none.
    pub(crate) fn is_misplaced_chunked(&self, version: Version) -> bool {
        self.chunked && version == Version::Http10
    }

    /// What the sender of this head wants of the connection.
    pub(crate) fn persistence(&self, version: Version) -> Persistence {
        match (version, self.wants) {
            (_, Some(Persistence::Close)) | (Version::Http10, None) => Persistence::Close,
            (Version::Http10, Some(wants)) => wants,
            (Version::Http11, _) => Persistence::Keep,
        }
    }

    /// Whether one of the `fields` that this is of goes on to the other side.
    pub(crate) fn passes(&self, fields: &Fields<'_, '_>, kind: Field, field: &httparse::Header<'_>) -> bool {
        match kind {
            Field::Host | Field::ContentLength => true,
            Field::TransferEncoding => true,
            Field::Upgrade => self.upgrade == Upgrade::Asked && !is_h2c(field.value),
            Field::Connection | Field::KeepAlive | Field::OneHop | Field::Forwarded | Field::Disguised => {
                false
            }
            Field::ContentType | Field::Expect | Field::IdempotencyKey | Field::Other => {
                self.names == 0 || !is_named(fields, field.name)
            }
        }
    }
}

/// Whether `Connection` names a field.
fn is_named(fields: &Fields<'_, '_>, name: &str) -> bool {
    let connection = fields.iter().filter(|(kind, _)| *kind == Field::Connection);
    connection.flat_map(|(_, field)| listed(field.value)).any(|n| n.eq_ignore_ascii_case(name.as_bytes()))
}

/// The names in a value that is a list of them.
fn listed(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

/// The number that a `Content-Length` is, of which nobody sends one of more digits. `None`: it is none.
pub fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// The bytes of a host's name, by their number.
const IN_NAME: [bool; 256] = {
    let (others, mut table, mut byte) = (b"-._~%!$&'()*+;=", [false; 256], 0);
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether it is a name or an address, which is in brackets where it has colons, and perhaps a port.
pub(crate) fn is_host(text: &[u8]) -> bool {
    if !text.is_empty() && text.iter().all(|byte| IN_NAME[usize::from(*byte)]) {
        return true;
    }
    let in_brackets = text.first() == Some(&b'[');
    let end = match in_brackets {
        true => text.iter().position(|byte| *byte == b']').map_or(0, |at| at + 1),
        false => text.iter().position(|byte| *byte == b':').unwrap_or(text.len()),
    };
    let (name, port) = text.split_at(end);
    let named = match name {
        [b'[', address @ .., b']'] => {
            !address.is_empty() && address.iter().all(|b| b.is_ascii_hexdigit() || b":.".contains(b))
        }
        name => name.iter().all(|byte| IN_NAME[usize::from(*byte)]),
    };
    let ported = matches!(port, [] | [b':', ..]) && port.iter().skip(1).all(u8::is_ascii_digit);
    named && ported && name.is_empty() == text.is_empty()
}

/// An upgrade to HTTP/2 would take the requests that follow out of sight.
fn is_h2c(value: &[u8]) -> bool {
    let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| {
        let protocol = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        protocol.trim_ascii().eq_ignore_ascii_case(b"h2c")
    })
}

fn is_continue(expectation: &[u8]) -> bool {
    expectation.eq_ignore_ascii_case(b"100-continue")
}
