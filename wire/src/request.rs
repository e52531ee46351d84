//! A request's head: understood first, so that its way can be chosen by it, and then written anew for the
//! instance, changed as that way asks.

use crate::fields::{FIELDS, Field, Fields, alike};
use crate::head::{Framing, Method, Persistence, Repeat, Summary, Upgrade, Version, extend, is_host};
use crate::reject::Reject;
use httparse::Header;
use naru_model::FieldEdits;
use std::mem::MaybeUninit;

/// Longest request head.
pub const REQUEST_HEAD: usize = 32 * 1024;

/// Room for the fields of one head.
pub struct Room<'b>([MaybeUninit<Header<'b>>; FIELDS]);

impl Default for Room<'_> {
    fn default() -> Self {
        Room([const { MaybeUninit::uninit() }; FIELDS])
    }
}

/// What matters of a request once its head is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Its method, as far as framing goes.
    pub method: Method,
    /// The client's version.
    pub version: Version,
    /// How its body ends.
    pub framing: Framing,
    /// What the client wants of its connection.
    pub persistence: Persistence,
    /// Whether another protocol is asked for.
    pub upgrade: Upgrade,
    /// Whether it may be sent twice.
    pub repeat: Repeat,
}

/// Who sends a request, as instances are told.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The client's address, without a port.
    pub client: &'a str,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What a request without `Host` was sent to.
    pub address: &'a str,
    /// What the client says of those before it.
    pub trust: Trust,
}

/// Whether a client is believed about who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is not: its `X-Forwarded-*` and `Forwarded` are dropped.
    Nothing,
    /// It is a proxy of the operator's: they are kept, and it is added.
    Forwarded,
}

/// What is changed on the way to an instance.
#[derive(Clone, Copy, Default)]
pub struct Onward<'a> {
    /// The host that it is told.
    pub host: Option<&'a str>,
    /// The path and query that it is told.
    pub path: Option<&'a str>,
    /// Fields that are removed, set and added.
    pub edits: Option<&'a FieldEdits>,
    /// Fields that somebody else sets: the client's own are dropped.
    pub reserved: &'a [String],
    /// Whole lines that are added, each with its CRLF.
    pub lines: &'a str,
}

/// A request's head, understood.
pub struct Request<'b, 'r> {
    /// What matters of it later.
    pub head: RequestHead,
    /// Its method.
    pub method: &'b str,
    /// The host and port that it is for, as the client wrote them.
    pub host: Option<&'b str>,
    /// Path and query, or `*`.
    pub target: &'b str,
    fields: Fields<'b, 'r>,
    summary: Summary<'b>,
}

impl<'b, 'r> Request<'b, 'r> {
    /// Reads a whole head.
    ///
    /// # Errors
    /// What is invalid, or could be read in two ways.
    pub fn read(head: &'b [u8], room: &'r mut Room<'b>) -> Result<Request<'b, 'r>, Reject> {
        let mut parsed = httparse::Request::new(&mut []);
        parsed.parse_with_uninit_headers(head, &mut room.0).map_err(Reject::parse)?;
        let method = parsed.method.unwrap_or_default();
        if method == "CONNECT" {
            return Err(Reject::new(501, "CONNECT is not offered here"));
        }
        let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let path = parsed.path.unwrap_or_default();
        let each: &'r [Header<'b>] = parsed.headers;
        let fields = Fields::of(head, each);
        let mut summary = Summary::of(&fields)?;
        let target = Target::of(path, method)?;
        let framing = summary.request_framing(version)?;
        summary.check_host(version)?;
        summary.check_expect(version)?;
        if framing != Framing::None || version == Version::Http10 {
            summary.upgrade = Upgrade::None;
        }
        let idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE");
        let head = RequestHead {
            method: if method == "HEAD" { Method::Head } else { Method::Other },
            version,
            framing,
            persistence: summary.persistence(version),
            upgrade: summary.upgrade,
            repeat: if idempotent || summary.has_key { Repeat::Allowed } else { Repeat::Forbidden },
        };
        let host = target.authority.or(summary.host);
        Ok(Request { head, method, host, target: target.path, fields, summary })
    }

    /// The first value of a field, by its name in any case.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields(name).next()
    }

    /// Whether a person waits before a browser for the answer.
    pub fn wants_page(&self) -> bool {
        let accept = self.field("accept").unwrap_or_default();
        self.method == "GET" && accept.windows(9).any(|part| part.eq_ignore_ascii_case(b"text/html"))
    }

    /// Every field, as it came.
    pub fn each(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> {
        self.fields.iter().map(|(_, field)| (field.name, field.value))
    }

    /// All values of a field.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields.named(name)
    }

    /// Whether it says by fields who sent it, where it may be believed.
    pub fn is_forwarded(&self) -> bool {
        self.fields.has_forwarded
    }

    /// Writes what the instance gets.
    pub fn write(&self, sender: &Sender<'_>, onward: &Onward<'_>, out: &mut Vec<u8>) {
        let asked = self.host.unwrap_or(sender.address);
        let path = onward.path.unwrap_or(self.target);
        extend(out, &[self.method, " ", path, " HTTP/1.1\r\nHost: ", onward.host.unwrap_or(asked), "\r\n"]);
        self.fields.write(|kind, field| self.goes_on(kind, field, sender.trust, onward), out);
        if self.summary.upgrade == Upgrade::Asked {
            extend(out, &["Connection: Upgrade\r\n"]);
        }
        self.write_sender(sender, asked, out);
        for (name, value) in onward.edits.into_iter().flat_map(|edits| edits.set.iter().chain(&edits.add)) {
            extend(out, &[name, ": ", value, "\r\n"]);
        }
        extend(out, &[onward.lines, "\r\n"]);
    }

    fn goes_on(&self, kind: Field, field: &Header<'_>, trust: Trust, onward: &Onward<'_>) -> bool {
        match kind {
            Field::Host => return false,
            // It means nothing there (RFC 9110, section 10.1.1), and would once the instance is sent HTTP/1.1.
            Field::Expect if self.head.version == Version::Http10 => return false,
            // `X-Forwarded-For` is written anew, with the client added to it.
            Field::Forwarded if trust == Trust::Nothing || is_alike(field, "x-forwarded-for") => {
                return false;
            }
            Field::Forwarded => {}
            _ if !self.summary.passes(&self.fields, kind, field) => return false,
            _ => {}
        }
        let changed = onward.edits.is_some_and(|edits| {
            let set = edits.set.iter().map(|(name, _)| name);
            edits.remove.iter().chain(set).any(|name| is_alike(field, name))
        });
        !changed && !onward.reserved.iter().any(|name| is_alike(field, name))
    }

    /// Who sent it: the client itself, or whom the client says, if it is believed.
    fn write_sender(&self, sender: &Sender<'_>, asked: &str, out: &mut Vec<u8>) {
        let believed = sender.trust == Trust::Forwarded && self.is_forwarded();
        out.extend_from_slice(b"X-Forwarded-For: ");
        for earlier in believed.then(|| self.fields("x-forwarded-for")).into_iter().flatten() {
            out.extend_from_slice(earlier);
            out.extend_from_slice(b", ");
        }
        extend(out, &[sender.client, "\r\n"]);
        let told = |name: &str| believed && self.field(name).is_some();
        if !told("x-forwarded-proto") {
            extend(out, &["X-Forwarded-Proto: ", sender.scheme, "\r\n"]);
        }
        if !told("x-forwarded-host") {
            extend(out, &["X-Forwarded-Host: ", asked, "\r\n"]);
        }
    }
}

/// Whether many a program takes a field for the one of that name: those that get fields as variables (CGI, WSGI,
/// Rack, PHP) cannot tell `-` and `_` apart.
fn is_alike(field: &Header<'_>, name: &str) -> bool {
    alike(field.name, name)
}

/// A request's target: a path, or `*`.
struct Target<'a> {
    /// The host, where the client wrote a whole address: it then counts instead of `Host`.
    authority: Option<&'a str>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn of(text: &'a str, method: &str) -> Result<Target<'a>, Reject> {
        // Some servers cut it off, and others take it for a part of the path.
        if text.contains('#') {
            return Err(Reject::bad("the request's target has a fragment"));
        }
        if text.starts_with('/') || (text == "*" && method == "OPTIONS") {
            return Ok(Target { authority: None, path: text });
        }
        let bad = Reject::bad("the request's target is neither a path nor an http address");
        let scheme = text.get(..7).filter(|s| s.eq_ignore_ascii_case("http://")).ok_or(bad)?;
        let rest = &text[scheme.len()..];
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !is_host(authority.as_bytes()) || authority.is_empty() || path.starts_with('?') {
            return Err(bad);
        }
        Ok(Target { authority: Some(authority), path: if path.is_empty() { "/" } else { path } })
    }
}
