//! Message heads: read strictly, written anew.
//!
//! A head is taken only if every recipient must read it the same way (RFC 9112): anything that two parsers
//! could take for different messages is refused, never repaired. What goes out is written from what was
//! understood, so that no byte passes that was not looked at.

use super::reject::Reject;
use crate::pool::Repeat;
use crate::route::Route;
use std::mem::MaybeUninit;

/// Longest request head.
pub(crate) const REQUEST_HEAD: usize = 32 * 1024;

/// Most fields in a head.
pub(super) const FIELDS: usize = 100;

/// Most names in all `Connection` fields of a head.
const NAMED: usize = 16;

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the sender wants of its connection after this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Close,
    Keep,
    /// As `Keep`, and it must be told.
    KeepTold,
}

/// The version that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

/// Whether the client asked for another protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    None,
    Asked,
}

/// What matters of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Head,
    Other,
}

/// A request's head, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    pub(crate) persistence: Persistence,
    pub(crate) upgrade: Upgrade,
    pub(crate) repeat: Repeat,
}

impl RequestHead {
    /// What the client's connection is to become after an answer, as far as it is for the client and the
    /// listener to say.
    pub(crate) fn wanted(&self, route: &Route) -> Persistence {
        if route.is_closed() { Persistence::Close } else { self.persistence }
    }
}

/// Who sends the request, as instances are told.
pub(crate) struct Sender<'a> {
    /// The lines `X-Forwarded-For` and `X-Forwarded-Proto`.
    pub(crate) forwarded: &'a str,
    /// What a request without `Host` was sent to.
    pub(crate) address: &'a str,
}

/// Where the head at the beginning of `bytes` ends, when it is there whole. The first `seen` bytes were
/// looked at before.
pub(crate) fn find_end(bytes: &[u8], seen: usize) -> Result<Option<usize>, Reject> {
    let from = seen.saturating_sub(3);
    for at in memchr::memchr_iter(b'\n', &bytes[from..]).map(|at| at + from) {
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(Reject::bad("the head has a line that ends with LF alone"));
        }
        if bytes[..=at].ends_with(b"\r\n\r\n") {
            return Ok(Some(at + 1));
        }
    }
    Ok(None)
}

/// Reads a request's whole head and writes into `out` what the instance gets.
pub(crate) fn request(head: &[u8], sender: &Sender<'_>, out: &mut Vec<u8>) -> Result<RequestHead, Reject> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    parsed.parse_with_uninit_headers(head, &mut room).map_err(Reject::parse)?;
    let method = parsed.method.unwrap_or_default();
    if method == "CONNECT" {
        return Err(Reject::new(501, "CONNECT is not offered here"));
    }
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let mut summary = Summary::of(parsed.headers)?;
    let target = Target::of(parsed.path.unwrap_or_default(), method)?;
    let framing = summary.request_framing(version)?;
    summary.check_host(version)?;
    summary.check_expect(version)?;
    if framing != Framing::None || version == Version::Http10 {
        summary.upgrade = Upgrade::None;
    }
    write_request(method, &target, &parsed, &summary, sender, out);
    let idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE" | "TRACE");
    Ok(RequestHead {
        method: if method == "HEAD" { Method::Head } else { Method::Other },
        version,
        framing,
        persistence: summary.persistence(version),
        upgrade: summary.upgrade,
        repeat: if idempotent || summary.has_key { Repeat::Allowed } else { Repeat::Forbidden },
    })
}

fn write_request(
    method: &str,
    target: &Target<'_>,
    parsed: &httparse::Request<'_, '_>,
    summary: &Summary<'_>,
    sender: &Sender<'_>,
    out: &mut Vec<u8>,
) {
    let host = target.authority.or(summary.host).unwrap_or(sender.address);
    extend(out, &[method, " ", target.path, " HTTP/1.1\r\nHost: ", host, "\r\n"]);
    for field in parsed.headers.iter() {
        if !matches!(Field::of(field.name), Field::Host) && summary.passes(field) {
            write_field(out, field);
        }
    }
    if summary.upgrade == Upgrade::Asked {
        extend(out, &["Connection: Upgrade\r\n"]);
    }
    extend(out, &[sender.forwarded, "X-Forwarded-Host: ", host, "\r\n\r\n"]);
}

/// Appends all of `parts`.
pub(super) fn extend(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// Appends a field's line as it came; but the one coding that is understood in the spelling that everybody
/// understands.
pub(super) fn write_field(out: &mut Vec<u8>, field: &httparse::Header<'_>) {
    if Field::of(field.name) == Field::TransferEncoding {
        return extend(out, &["Transfer-Encoding: chunked\r\n"]);
    }
    out.extend_from_slice(field.name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(field.value);
    out.extend_from_slice(b"\r\n");
}

/// A request's target: a path, or `*`.
struct Target<'a> {
    /// The host, where the client wrote a whole address: it then counts instead of `Host`.
    authority: Option<&'a str>,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn of(text: &'a str, method: &str) -> Result<Target<'a>, Reject> {
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

/// What the fields of a head say together.
pub(super) struct Summary<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) upgrade: Upgrade,
    pub(super) keep_alive: Option<&'a [u8]>,
    pub(super) content_type: &'a [u8],
    has_key: bool,
    expect: Option<&'a [u8]>,
    wants: Option<Persistence>,
    named: [&'a [u8]; NAMED],
    names: usize,
    says_upgrade: bool,
}

impl<'a> Summary<'a> {
    pub(super) fn of(fields: &[httparse::Header<'a>]) -> Result<Summary<'a>, Reject> {
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
            named: [&[]; NAMED],
            names: 0,
            says_upgrade: false,
        };
        fields.iter().try_for_each(|field| summary.take(field))?;
        if !summary.says_upgrade {
            summary.upgrade = Upgrade::None;
        }
        if summary.chunked && summary.length.is_some() {
            return Err(Reject::bad("both Content-Length and Transfer-Encoding"));
        }
        Ok(summary)
    }

    fn take(&mut self, field: &httparse::Header<'a>) -> Result<(), Reject> {
        match Field::of(field.name) {
            Field::Host => {
                let host = std::str::from_utf8(field.value).ok().filter(|h| is_host(h.as_bytes()));
                let host = host.ok_or(Reject::bad("Host is not the name of a host"))?;
                if self.host.replace(host).is_some() {
                    return Err(Reject::bad("more than one Host"));
                }
            }
            Field::ContentLength => {
                let length = content_length(field.value).ok_or(Reject::bad("Content-Length is no number"))?;
                if self.length.replace(length).is_some() {
                    return Err(Reject::bad("more than one Content-Length"));
                }
            }
            Field::TransferEncoding => {
                if !field.value.eq_ignore_ascii_case(b"chunked") || self.chunked {
                    return Err(Reject::new(501, "a Transfer-Encoding other than chunked, or more than one"));
                }
                self.chunked = true;
            }
            Field::Connection => return self.take_connection(field.value),
            Field::Upgrade if !is_h2c(field.value) => self.upgrade = Upgrade::Asked,
            Field::KeepAlive => self.keep_alive = Some(field.value),
            Field::ContentType => self.content_type = field.value,
            Field::Expect => self.expect = Some(field.value),
            Field::IdempotencyKey => self.has_key = true,
            Field::Upgrade | Field::OneHop | Field::Forwarded | Field::Other => {}
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &'a [u8]) -> Result<(), Reject> {
        for name in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|n| !n.is_empty()) {
            if name.eq_ignore_ascii_case(b"close") {
                self.wants = Some(Persistence::Close);
            } else if name.eq_ignore_ascii_case(b"keep-alive") {
                self.wants = self.wants.or(Some(Persistence::KeepTold));
            } else if name.eq_ignore_ascii_case(b"upgrade") {
                self.says_upgrade = true;
            } else if self.names == NAMED {
                return Err(Reject::new(431, "Connection names too many fields"));
            } else {
                self.named[self.names] = name;
                self.names += 1;
            }
        }
        Ok(())
    }

    fn request_framing(&self, version: Version) -> Result<Framing, Reject> {
        match (self.length, self.chunked) {
            (_, true) if self.is_misplaced_chunked(version) => {
                Err(Reject::bad("Transfer-Encoding in a message of HTTP/1.0"))
            }
            (_, true) => Ok(Framing::Chunked),
            (Some(0) | None, _) => Ok(Framing::None),
            (Some(length), _) => Ok(Framing::Length(length)),
        }
    }

    fn check_host(&self, version: Version) -> Result<(), Reject> {
        match self.host {
            None if version == Version::Http11 => Err(Reject::bad("no Host")),
            _ => Ok(()),
        }
    }

    fn check_expect(&mut self, version: Version) -> Result<(), Reject> {
        match self.expect {
            Some(value) if version == Version::Http11 && !value.eq_ignore_ascii_case(b"100-continue") => {
                Err(Reject::new(417, "an expectation other than 100-continue"))
            }
            _ => Ok(()),
        }
    }

    /// Whether chunks are in a version that has none.
    pub(super) fn is_misplaced_chunked(&self, version: Version) -> bool {
        self.chunked && version == Version::Http10
    }

    /// What the sender of this head wants of the connection.
    pub(super) fn persistence(&self, version: Version) -> Persistence {
        match (version, self.wants) {
            (_, Some(Persistence::Close)) | (Version::Http10, None) => Persistence::Close,
            (Version::Http10, Some(wants)) => wants,
            (Version::Http11, _) => Persistence::Keep,
        }
    }

    /// Whether a field goes on to the other side.
    pub(super) fn passes(&self, field: &httparse::Header<'_>) -> bool {
        match Field::of(field.name) {
            Field::Host | Field::ContentLength => true,
            Field::TransferEncoding => true,
            Field::Upgrade => self.upgrade == Upgrade::Asked && !is_h2c(field.value),
            Field::Connection | Field::KeepAlive | Field::OneHop | Field::Forwarded => false,
            Field::ContentType | Field::Expect | Field::IdempotencyKey | Field::Other => {
                !self.named[..self.names].iter().any(|n| n.eq_ignore_ascii_case(field.name.as_bytes()))
            }
        }
    }
}

/// The fields that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
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
    Other,
}

impl Field {
    fn of(name: &str) -> Field {
        let is = |wanted: &str, field: Field| name.eq_ignore_ascii_case(wanted).then_some(field);
        let found = match name.len() {
            2 => is("te", Field::OneHop),
            4 => is("host", Field::Host),
            6 => is("expect", Field::Expect),
            7 => is("upgrade", Field::Upgrade),
            9 => is("forwarded", Field::Forwarded),
            10 => is("connection", Field::Connection).or_else(|| is("keep-alive", Field::KeepAlive)),
            12 => is("content-type", Field::ContentType),
            14 => is("content-length", Field::ContentLength).or_else(|| is("http2-settings", Field::OneHop)),
            15 => is("idempotency-key", Field::IdempotencyKey),
            16 => is("proxy-connection", Field::OneHop),
            17 => is("transfer-encoding", Field::TransferEncoding),
            _ => None,
        };
        let forwarded = || name.get(..12).is_some_and(|p| p.eq_ignore_ascii_case("x-forwarded-"));
        found.unwrap_or_else(|| if forwarded() { Field::Forwarded } else { Field::Other })
    }
}

fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// The names and punctuation that a host, with or without a port, can have.
fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(byte))
}

/// An upgrade to HTTP/2 would take the requests that follow out of sight.
fn is_h2c(value: &[u8]) -> bool {
    let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| name.eq_ignore_ascii_case(b"h2c"))
}
