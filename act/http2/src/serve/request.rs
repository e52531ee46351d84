//! A request's fields, as they come out of a header block, become a head of HTTP/1.1.
//!
//! What only HTTP/2 can get wrong is refused here (RFC 9113, 8.2 and 8.3), and all by which a field could become two, or
//! a head another; the rest is for whoever reads the head, as of any client.

use super::upload::Form;
use crate::hpack::{Field, Name, is_token};
use base64::Engine;
use naru_carry::HeadText;
use naru_wire::{REQUEST_HEAD, content_length};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// A request that breaks the rules of HTTP/2, and is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A request of which more and more is known.
pub(super) struct Asked {
    /// The head, once it is begun: no more pseudo-fields may come.
    text: Option<HeadText>,
    /// The values of pseudo-fields, and then of cookies: these may come in pieces, and are one field in HTTP/1.1
    /// (RFC 9113, 8.2.3).
    aside: HeadText,
    /// Where each of the first is.
    parts: [Option<Range<usize>>; 5],
    /// Where the others begin.
    cookies: usize,
    /// As RFC 9113, 6.5.2, counts.
    size: usize,
    length: Option<u64>,
    has_host: bool,
    is_malformed: bool,
}

/// A request that can be handed on.
pub(super) struct Ready {
    pub(super) text: HeadText,
    pub(super) form: Form,
    pub(super) is_head: bool,
}

const METHOD: usize = 0;
const SCHEME: usize = 1;
const PATH: usize = 2;
const AUTHORITY: usize = 3;
const PROTOCOL: usize = 4;

impl Asked {
    pub(super) fn new() -> Asked {
        Asked {
            text: None,
            aside: HeadText::borrow(),
            parts: Default::default(),
            cookies: 0,
            size: 0,
            length: None,
            has_host: false,
            is_malformed: false,
        }
    }

    /// Takes the next field.
    pub(super) fn field(&mut self, field: &Field<'_>) {
        self.size += field.size();
        if !self.is_long() && !self.is_malformed {
            self.is_malformed = self.take(field).is_none();
        }
    }

    fn is_long(&self) -> bool {
        self.size > REQUEST_HEAD
    }

    fn take(&mut self, field: &Field<'_>) -> Option<()> {
        if !field.is_sound {
            return None;
        }
        match field.kind {
            Name::Method => self.pseudo(METHOD, field.value),
            Name::Scheme => self.pseudo(SCHEME, field.value),
            Name::Path => self.pseudo(PATH, field.value),
            Name::Authority => self.pseudo(AUTHORITY, field.value),
            Name::Protocol => self.pseudo(PROTOCOL, field.value),
            Name::Wrong => None,
            _ => {
                if self.text.is_none() {
                    self.begin()?;
                }
                self.regular(field)
            }
        }
    }

    fn pseudo(&mut self, part: usize, value: &[u8]) -> Option<()> {
        if self.text.is_some() || self.parts[part].is_some() {
            return None;
        }
        let from = self.aside.len();
        self.aside.extend_from_slice(value);
        self.cookies = self.aside.len();
        self.parts[part] = Some(from..self.cookies);
        Some(())
    }

    fn regular(&mut self, field: &Field<'_>) -> Option<()> {
        match field.kind {
            Name::Host => {
                // Of two, somebody may take the other one (RFC 9110, 7.2).
                if std::mem::replace(&mut self.has_host, true) {
                    return None;
                }
                // One that says something else than `:authority` is left out, as RFC 9113 has it for proxies.
                if self.parts[AUTHORITY].is_some() {
                    return Some(());
                }
            }
            Name::Cookie => {
                let between: &[u8] = if self.aside.len() == self.cookies { b"" } else { b"; " };
                extend(&mut self.aside, &[between, field.value]);
                return Some(());
            }
            // It concerns one connection, and says here what is so anyway.
            Name::Te => return (field.value == b"trailers").then_some(()),
            Name::Length => {
                let length = content_length(field.value)?;
                if self.length.replace(length).is_some() {
                    return None;
                }
            }
            _ => {}
        }
        line(field.name, field.value, self.text.as_mut()?);
        Some(())
    }

    fn part(&self, part: usize) -> Option<&[u8]> {
        self.parts[part].clone().map(|range| &self.aside[range])
    }

    /// Writes the first lines.
    fn begin(&mut self) -> Option<()> {
        let method = self.part(METHOD).filter(|method| is_token(method))?;
        let protocol = self.part(PROTOCOL);
        let path = match (method, protocol) {
            (b"CONNECT", None) => {
                // What it is to be connected to is in `:authority` alone. It is refused, as of any client.
                let is_bare = self.parts[SCHEME].is_none() && self.parts[PATH].is_none();
                self.part(AUTHORITY).filter(|_| is_bare)?;
                &b"*"[..]
            }
            (b"CONNECT", Some(protocol)) if is_token(protocol) => self.path(method)?,
            (_, Some(_)) => return None,
            (_, None) => self.path(method)?,
        };
        let method = if protocol.is_some() { b"GET" } else { method };
        let host = self.part(AUTHORITY);
        if host.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        let mut text = HeadText::borrow();
        extend(&mut text, &[method, b" ", path, b" HTTP/1.1\r\n"]);
        match protocol {
            Some(protocol) => upgrade(protocol, &mut text),
            // A pipe carries one request: what is at its other end need not wait for the next.
            None => text.extend_from_slice(b"Connection: close\r\n"),
        }
        if let Some(host) = host {
            line(b"Host", host, &mut text);
        }
        self.text = Some(text);
        Some(())
    }

    /// The path, if it and the scheme are what they may be.
    fn path(&self, method: &[u8]) -> Option<&[u8]> {
        let (first, rest) = self.part(SCHEME)?.split_first()?;
        let is_of_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let path = self.part(PATH)?;
        let is_path = (path.first() == Some(&b'/') && !path.iter().any(|byte| matches!(byte, b' ' | b'\t')))
            || (path == b"*" && method == b"OPTIONS");
        (first.is_ascii_alphabetic() && rest.iter().all(is_of_scheme) && is_path).then_some(path)
    }

    /// That was the last field; `is_whole` if no body follows.
    ///
    /// # Errors
    /// It is no request.
    pub(super) fn finish(mut self, is_whole: bool) -> Result<Ready, Malformed> {
        if self.text.is_none() && !self.is_long() && !self.is_malformed {
            self.is_malformed = self.begin().is_none();
        }
        // Nor is there a length of what another protocol says.
        let has_none = is_whole || self.parts[PROTOCOL].is_some();
        if self.is_malformed || (has_none && self.length.is_some_and(|length| length > 0)) {
            return Err(Malformed);
        }
        let (is_head, is_long) = (self.part(METHOD) == Some(b"HEAD"), self.is_long());
        let mut text = self.text.take().unwrap_or_else(HeadText::borrow);
        if is_long {
            // One that is too long for HTTP/1.1 as well: it is answered, and counted, as any that is.
            text.clear();
            text.resize(REQUEST_HEAD + 1, b' ');
            return Ok(Ready { text, form: if is_whole { Form::Length(0) } else { Form::Lost }, is_head });
        }
        if self.aside.len() > self.cookies {
            line(b"Cookie", &self.aside[self.cookies..], &mut text);
        }
        let form = match (self.parts[PROTOCOL].is_some(), is_whole, self.length) {
            (true, ..) => Form::Held,
            (_, true, _) => Form::Length(0),
            (_, false, Some(length)) => Form::Length(length),
            (_, false, None) => {
                text.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                Form::Chunks
            }
        };
        text.extend_from_slice(b"\r\n");
        Ok(Ready { text, form, is_head })
    }
}

/// Trailers, as they come out of a header block, become lines.
#[derive(Default)]
pub(super) struct Trailers {
    lines: Vec<u8>,
    size: usize,
    is_malformed: bool,
}

impl Trailers {
    pub(super) fn field(&mut self, field: &Field<'_>) {
        self.size += field.size();
        let is_good =
            field.is_sound && matches!(field.kind, Name::Other | Name::Host | Name::Cookie | Name::Length);
        self.is_malformed |= !is_good || self.size > REQUEST_HEAD;
        if !self.is_malformed {
            line(field.name, field.value, &mut self.lines);
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// They are none, or too many.
    pub(super) fn finish(self) -> Result<Vec<u8>, Malformed> {
        if self.is_malformed { Err(Malformed) } else { Ok(self.lines) }
    }
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    extend(out, &[name, b": ", value, b"\r\n"]);
}

fn extend(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// An extended `CONNECT` (RFC 8441) as an upgrade. Its key only has to differ from others: what it proves, HTTP/2 proves
/// already.
fn upgrade(protocol: &[u8], out: &mut Vec<u8>) {
    let state = RandomState::new();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&state.hash_one(0).to_be_bytes());
    key[8..].copy_from_slice(&state.hash_one(1).to_be_bytes());
    extend(out, &[b"Connection: Upgrade\r\nUpgrade: ", protocol, b"\r\n"]);
    line(b"Sec-WebSocket-Key", base64::prelude::BASE64_STANDARD.encode(key).as_bytes(), out);
}

#[cfg(test)]
mod tests {
    use super::{Asked, Form, Trailers};
    use crate::hpack::{Field, Name};
    use naru_wire::REQUEST_HEAD;

    const GET: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "http"), (":path", "/p"), (":authority", "t")];

    fn each<'a>(fields: &[(&'a str, &'a str)], mut to: impl FnMut(Field<'a>)) {
        for (name, value) in fields {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            to(Field { kind: Name::of(name), name, value, is_sound: crate::hpack::is_value(value) });
        }
    }

    /// The head's lines, and how a body that follows would go on.
    fn read(fields: &[(&str, &str)], is_whole: bool) -> Option<(String, Form)> {
        let mut asked = Asked::new();
        each(fields, |field| asked.field(&field));
        let ready = asked.finish(is_whole).ok()?;
        Some((String::from_utf8(ready.text.to_vec()).unwrap(), ready.form))
    }

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        [&GET[..], more].concat()
    }

    #[test]
    fn a_request_is_a_head() {
        let first = "GET /p HTTP/1.1\r\nConnection: close\r\nHost: t\r\n";
        assert_eq!(read(&GET, true).unwrap(), (format!("{first}\r\n"), Form::Length(0)));
        let fields =
            [("cookie", "a=b"), ("x", "y"), ("te", "trailers"), ("host", "other"), ("cookie", "c=d")];
        assert_eq!(read(&with(&fields), true).unwrap().0, format!("{first}x: y\r\nCookie: a=b; c=d\r\n\r\n"));
        let chunks = (format!("{first}Transfer-Encoding: chunked\r\n\r\n"), Form::Chunks);
        assert_eq!(read(&GET, false).unwrap(), chunks);
        let told = (format!("{first}content-length: 7\r\n\r\n"), Form::Length(7));
        assert_eq!(read(&with(&[("content-length", "7")]), false).unwrap(), told);
        let host = [GET[0], GET[1], GET[2], ("host", "h")];
        assert_eq!(read(&host, true).unwrap().0, "GET /p HTTP/1.1\r\nConnection: close\r\nhost: h\r\n\r\n");
    }

    #[test]
    fn a_websocket_is_an_upgrade() {
        let fields = [(":method", "CONNECT"), GET[1], GET[2], GET[3], (":protocol", "websocket")];
        let (text, form) = read(&fields, false).unwrap();
        assert!(text.starts_with(
            "GET /p HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        ));
        assert_eq!(form, Form::Held);
        assert!(read(&with(&[(":protocol", "websocket")]), false).is_none(), "a GET");
    }

    #[test]
    fn what_only_http2_can_get_wrong_is_refused() {
        for more in [
            ("connection", "close"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("X", "y"),
            ("x y", "z"),
            ("", "z"),
            ("x", " y"),
            ("x", "a\r\nb: c"),
            (":status", "200"),
            (":path", "/q"),
            ("content-length", "1"),
            ("content-length", "+0"),
        ] {
            assert!(read(&with(&[more]), true).is_none(), "{more:?}");
        }
        for path in ["", "p", "*", "/a b", "/a\tb", "http://t/"] {
            assert!(read(&[GET[0], GET[1], (":path", path), GET[3]], true).is_none(), "{path}");
        }
        for without in 0..3 {
            let mut fields = GET.to_vec();
            fields.remove(without);
            assert!(read(&fields, true).is_none(), "{fields:?}");
        }
        assert!(
            read(&[GET[0], GET[1], GET[3], ("x", "y"), GET[2]], true).is_none(),
            "a pseudo-field behind a field"
        );
        assert!(read(&with(&[("host", "a"), ("host", "a")]), true).is_none(), "two hosts");
    }

    #[test]
    fn one_that_is_too_long_is_so_for_http1_too() {
        let value = "v".repeat(1000);
        let fields = vec![("x", &*value); 33];
        let (text, form) = read(&with(&fields), false).unwrap();
        assert_eq!((text.len(), form), (REQUEST_HEAD + 1, Form::Lost));
    }

    #[test]
    fn trailers_are_lines() {
        let read = |fields: &[(&str, &str)]| {
            let mut trailers = Trailers::default();
            each(fields, |field| trailers.field(&field));
            trailers.finish().map(|lines| String::from_utf8(lines).unwrap()).ok()
        };
        assert_eq!(read(&[("x", "y"), ("z", "")]).unwrap(), "x: y\r\nz: \r\n");
        for field in [(":path", "/"), ("X", "y"), ("connection", "x"), ("x", "a\nb"), ("te", "trailers")] {
            assert_eq!(read(&[field]), None, "{field:?}");
        }
    }
}
