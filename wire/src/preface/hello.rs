//! A TLS client's first message (RFC 8446, 4.1.2), as far as it says where the connection is to go: the name it asks
//! for (RFC 6066, 3) and the protocols it offers (RFC 7301). Nothing is decrypted.

use super::Unreadable;
use std::borrow::Cow;

/// The most bytes that a client's first message may take, records and all: five times what the largest hello in use
/// has, with keys that withstand quantum computers.
pub const HELLO: usize = 16 * 1024;

/// The longest record (RFC 8446, 5.1).
const RECORD: usize = 1 << 14;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name of the server, lower case and without a dot at its end. `None`: it names none.
    pub name: Option<String>,
    /// Protocols, the preferred one first.
    pub protocols: Vec<Vec<u8>>,
}

/// Reads a client's first message, which may be spread over several records.
///
/// # Errors
/// What is not one, or is longer than [`HELLO`].
pub fn hello(bytes: &[u8]) -> Result<Option<Hello>, Unreadable> {
    let Some(message) = message(&bytes[..bytes.len().min(HELLO)])? else { return Ok(None) };
    let mut rest = Rest(&message);
    client_hello(&mut rest).ok_or(Unreadable("the TLS hello is invalid")).and_then(|read| read).map(Some)
}

/// The handshake message, without its header.
fn message(bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Unreadable> {
    let (mut at, mut found, mut had) = (0, Vec::new(), 0);
    // What the message has in all, once its header is there.
    let mut wanted = None;
    loop {
        let header = &bytes[at.min(bytes.len())..];
        let looked = [(0x16, "it is not TLS"), (0x03, "its version of TLS is unknown")];
        for (byte, (right, what)) in header.iter().zip(looked) {
            if *byte != right {
                return Err(Unreadable(what));
            }
        }
        let [_, _, _, high, low, after @ ..] = header else { return more(bytes) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > RECORD {
            return Err(Unreadable("a TLS record has a length that it cannot have"));
        }
        let part = &after[..length.min(after.len())];
        found.push(part);
        had += part.len();
        if let (None, Some(header)) = (wanted, first_four(&found)) {
            wanted = Some(4 + handshake_length(header)?);
        } else if wanted.is_none()
            && found.iter().flat_map(|part| part.iter()).next().is_some_and(|b| *b != 1)
        {
            return Err(Unreadable("its first TLS message is no hello"));
        }
        if wanted.is_some_and(|wanted| had >= wanted) {
            break;
        }
        if part.len() < length {
            return more(bytes);
        }
        at += 5 + length;
    }
    let wanted = wanted.unwrap_or(had);
    if let [one] = found[..] {
        return Ok(Some(Cow::Borrowed(&one[4..wanted])));
    }
    let whole: Vec<u8> = found.concat();
    Ok(Some(Cow::Owned(whole[4..wanted].to_vec())))
}

const LONG: Unreadable = Unreadable("the TLS hello is longer than 16 KiB");

/// More is needed, if more may come.
fn more<T>(bytes: &[u8]) -> Result<Option<T>, Unreadable> {
    if bytes.len() < HELLO { Ok(None) } else { Err(LONG) }
}

fn first_four(parts: &[&[u8]]) -> Option<[u8; 4]> {
    let mut bytes = parts.iter().flat_map(|part| part.iter().copied());
    Some([bytes.next()?, bytes.next()?, bytes.next()?, bytes.next()?])
}

fn handshake_length([kind, a, b, c]: [u8; 4]) -> Result<usize, Unreadable> {
    if kind != 1 {
        return Err(Unreadable("its first TLS message is no hello"));
    }
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length + 9 > HELLO { Err(LONG) } else { Ok(length) }
}

/// What is left of a structure.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// What follows its own length, which has so many bytes.
    fn vector(&mut self, bytes: usize) -> Option<Rest<'a>> {
        let length = self.number(bytes)?;
        self.take(length).map(Rest)
    }
}

/// Whether its structure is sound, and what it says.
fn client_hello(rest: &mut Rest<'_>) -> Option<Result<Hello, Unreadable>> {
    let version = rest.number(2)?;
    rest.take(32)?;
    let session = rest.vector(1)?;
    let suites = rest.vector(2)?;
    let compression = rest.vector(1)?;
    let sound = version >> 8 == 3
        && session.0.len() <= 32
        && !suites.0.is_empty()
        && suites.0.len().is_multiple_of(2)
        && !compression.0.is_empty();
    if !sound {
        return None;
    }
    let mut hello = Hello::default();
    if rest.0.is_empty() {
        return Some(Ok(hello));
    }
    let mut extensions = rest.vector(2)?;
    let mut seen = Seen::default();
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let mut body = extensions.vector(2)?;
        match kind {
            0 if std::mem::replace(&mut seen.name, true) => return None,
            16 if std::mem::replace(&mut seen.protocols, true) => return None,
            0 => match server_name(&mut body)? {
                Ok(name) => hello.name = Some(name),
                Err(unreadable) => return Some(Err(unreadable)),
            },
            16 => hello.protocols = protocols(&mut body)?,
            _ => {}
        }
    }
    rest.0.is_empty().then_some(Ok(hello))
}

/// Extensions that were there: a second one could be read for the first.
#[derive(Default)]
struct Seen {
    name: bool,
    protocols: bool,
}

fn server_name(body: &mut Rest<'_>) -> Option<Result<String, Unreadable>> {
    let mut list = body.vector(2)?;
    // Only names of hosts were ever defined, and one of each kind may be there.
    let kind = list.number(1)?;
    let name = list.vector(2)?;
    if kind != 0 || !list.0.is_empty() || !body.0.is_empty() {
        return None;
    }
    let name = name.0.strip_suffix(b".").unwrap_or(name.0);
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if name.is_empty() || name.len() > 253 || !name.iter().all(is_plain) {
        return Some(Err(Unreadable("the TLS hello asks for what is no name of a host")));
    }
    Some(Ok(name.iter().map(|byte| char::from(byte.to_ascii_lowercase())).collect()))
}

fn protocols(body: &mut Rest<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = body.vector(2)?;
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector(1)?.0;
        if name.is_empty() {
            return None;
        }
        protocols.push(name.to_vec());
    }
    (!protocols.is_empty() && body.0.is_empty()).then_some(protocols)
}
