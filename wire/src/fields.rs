//! The fields of a head: what each means here, found out once, and their lines as they go on.

use crate::head::extend;
use httparse::Header;
use std::ops::Range;

/// Most fields in a head.
pub(crate) const FIELDS: usize = 100;

/// The fields of a head.
pub(crate) struct Fields<'b, 'r> {
    /// What they were read from.
    head: &'b [u8],
    each: &'r [Header<'b>],
    /// As `each` is.
    kinds: [Field; FIELDS],
    /// Whether one says who sent the message.
    pub(crate) has_forwarded: bool,
}

impl<'b, 'r> Fields<'b, 'r> {
    /// Those that were read from `head`.
    pub(crate) fn of(head: &'b [u8], each: &'r [Header<'b>]) -> Fields<'b, 'r> {
        let (mut kinds, mut has_forwarded) = ([Field::Other; FIELDS], false);
        for (kind, field) in kinds.iter_mut().zip(each) {
            *kind = Field::of(field.name);
            has_forwarded |= *kind == Field::Forwarded;
        }
        Fields { head, each, kinds, has_forwarded }
    }

    /// Each as it came, and what it means.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Field, &'r Header<'b>)> {
        self.kinds.iter().copied().zip(self.each)
    }

    /// All values of a field, by its name in any case.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.each.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Appends the lines of those that `goes`, as they came; but the one coding that is understood in the spelling that
    /// everybody understands.
    pub(crate) fn write(&self, goes: impl Fn(Field, &Header<'b>) -> bool, out: &mut Vec<u8>) {
        // Lines that follow each other are one copy.
        let mut run = 0..0;
        for (kind, field) in self.iter().filter(|(kind, field)| goes(*kind, field)) {
            match self.line(field).filter(|_| kind != Field::TransferEncoding) {
                Some(line) if line.start == run.end => run.end = line.end,
                Some(line) => out.extend_from_slice(&self.head[std::mem::replace(&mut run, line)]),
                None => {
                    out.extend_from_slice(&self.head[std::mem::replace(&mut run, 0..0)]);
                    write_field(out, kind, field);
                }
            }
        }
        out.extend_from_slice(&self.head[run]);
    }

    /// Where its line is, if it has the very form in which it would be written.
    fn line(&self, field: &Header<'_>) -> Option<Range<usize>> {
        let at = |part: *const u8| (part as usize).wrapping_sub(self.head.as_ptr() as usize);
        let (start, colon) = (at(field.name.as_ptr()), field.name.len());
        let end = start.checked_add(colon + field.value.len() + 4)?;
        let line = self.head.get(start..end)?;
        let whole = at(field.value.as_ptr()) == start + colon + 2
            && line[colon..].starts_with(b": ")
            && line.ends_with(b"\r\n");
        whole.then_some(start..end)
    }
}

fn write_field(out: &mut Vec<u8>, kind: Field, field: &Header<'_>) {
    if kind == Field::TransferEncoding {
        return extend(out, &["Transfer-Encoding: chunked\r\n"]);
    }
    extend(out, &[field.name, ": "]);
    out.extend_from_slice(field.value);
    extend(out, &["\r\n"]);
}

/// The fields that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    KeepAlive,
    ContentType,
    Expect,
    IdempotencyKey,
    /// For one connection only, whatever `Connection` says.
    OneHop,
    /// Who sent it: not the client's to say.
    Forwarded,
    /// `Content_Length` and its like.
    Disguised,
    Other,
}

impl Field {
    fn of(name: &str) -> Field {
        let is = |wanted: &str| is(name.as_bytes(), wanted);
        match name.len() {
            2 if is("te") => Field::OneHop,
            4 if is("host") => Field::Host,
            6 if is("expect") => Field::Expect,
            7 if is("upgrade") => Field::Upgrade,
            9 if is("forwarded") => Field::Forwarded,
            10 if is("connection") => Field::Connection,
            10 if is("keep-alive") => Field::KeepAlive,
            12 if is("content-type") => Field::ContentType,
            14 if is("content-length") => Field::ContentLength,
            14 if is("http2-settings") => Field::OneHop,
            14 if alike(name, "content-length") => Field::Disguised,
            15 if is("idempotency-key") => Field::IdempotencyKey,
            16 if is("proxy-connection") => Field::OneHop,
            17 if is("transfer-encoding") => Field::TransferEncoding,
            17 if alike(name, "transfer-encoding") => Field::Disguised,
            12.. if name.get(..12).is_some_and(|prefix| alike(prefix, "x-forwarded-")) => Field::Forwarded,
            _ => Field::Other,
        }
    }
}

/// Whether a name, of which all bytes may be in a name, is that one, which is in lower case.
fn is(name: &[u8], lower: &str) -> bool {
    // Of the bytes of a name, only the two cases of a letter differ in this bit alone from a letter or `-`.
    name.len() == lower.len() && name.iter().zip(lower.as_bytes()).all(|(byte, lower)| byte | 0x20 == *lower)
}

/// Whether two names are the same to programs that cannot tell `-` and `_` apart.
pub(crate) fn alike(name: &str, wanted: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == wanted.len() && name.bytes().zip(wanted.bytes()).all(|(a, b)| fold(a) == fold(b))
}
