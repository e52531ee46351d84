//! An answer's head: read as strictly as a request's, and passed on untouched except for what concerns one
//! connection only.

use super::head::{self, FIELDS, Framing, Method, Persistence, RequestHead, Summary, Upgrade, Version};
use super::reject::Reject;
use std::mem::MaybeUninit;
use std::time::Duration;

/// An answer's head, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    /// What becomes of the instance's connection.
    pub(crate) upstream: Keep,
    /// What becomes of the client's.
    pub(crate) client: Persistence,
    pub(crate) nature: Nature,
}

/// Whether a connection to an instance can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    No,
    /// For as long as the instance promised, where it did.
    For(Option<Duration>),
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Not the answer yet: another follows.
    Interim,
    /// The protocol changes.
    Upgraded,
    /// Server-sent events.
    Events,
    Answer,
}

/// Reads a whole head and writes into `out` what the client gets. `wanted` is what is to become of the
/// client's connection, as far as it depends on the client and the listener.
pub(crate) fn response(
    head: &[u8],
    request: &RequestHead,
    wanted: Persistence,
    out: &mut Vec<u8>,
) -> Result<ResponseHead, Reject> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, head, &mut room)
        .map_err(Reject::parse)?;
    let status = parsed.code.unwrap_or_default();
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let mut summary = Summary::of(parsed.headers)?;
    if summary.is_misplaced_chunked(version) {
        return Err(Reject::bad("Transfer-Encoding in a message of HTTP/1.0"));
    }
    let nature = nature(status, request, &summary)?;
    if nature != Nature::Upgraded {
        summary.upgrade = Upgrade::None;
    }
    let framing = framing(status, request.method, &summary);
    let client = match (nature, framing) {
        (Nature::Interim | Nature::Upgraded, _) => Persistence::Keep,
        (_, Framing::UntilClose) => Persistence::Close,
        (_, Framing::Chunked) if request.version == Version::Http10 => Persistence::Close,
        _ => wanted,
    };
    let upstream = match (summary.persistence(version), framing) {
        (Persistence::Close, _) | (_, Framing::UntilClose) => Keep::No,
        _ => Keep::For(summary.keep_alive.and_then(promised)),
    };
    let dechunked = request.version == Version::Http10;
    write(status, &parsed, &summary, client, dechunked.then_some(Unchunk), out);
    Ok(ResponseHead { status, framing, upstream, client, nature })
}

fn nature(status: u16, request: &RequestHead, summary: &Summary<'_>) -> Result<Nature, Reject> {
    match status {
        101 if request.upgrade == Upgrade::Asked && summary.upgrade == Upgrade::Asked => Ok(Nature::Upgraded),
        101 => Err(Reject::bad("it changes to a protocol that was not asked for")),
        100..200 => Ok(Nature::Interim),
        200..1000 => {
            let event_stream = b"text/event-stream";
            let kind = summary.content_type.get(..event_stream.len());
            let events = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(event_stream));
            Ok(if events && request.method != Method::Head { Nature::Events } else { Nature::Answer })
        }
        _ => Err(Reject::bad("the status is no status")),
    }
}

fn framing(status: u16, method: Method, summary: &Summary<'_>) -> Framing {
    match (status, summary.length) {
        (100..200 | 204 | 304, _) => Framing::None,
        _ if method == Method::Head => Framing::None,
        _ if summary.chunked => Framing::Chunked,
        (_, Some(0)) => Framing::None,
        (_, Some(length)) => Framing::Length(length),
        (_, None) => Framing::UntilClose,
    }
}

/// The client knows no chunks: it gets the data alone.
struct Unchunk;

fn write(
    status: u16,
    parsed: &httparse::Response<'_, '_>,
    summary: &Summary<'_>,
    client: Persistence,
    unchunk: Option<Unchunk>,
    out: &mut Vec<u8>,
) {
    let digits = [b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits);
    head::extend(out, &[" ", parsed.reason.unwrap_or_default(), "\r\n"]);
    for field in parsed.headers.iter().filter(|field| summary.passes(field)) {
        let of_chunks = field.name.eq_ignore_ascii_case("transfer-encoding");
        if !(of_chunks && (unchunk.is_some() || status < 200 || status == 204)) {
            head::write_field(out, field);
        }
    }
    match client {
        _ if summary.upgrade == Upgrade::Asked => head::extend(out, &["Connection: Upgrade\r\n"]),
        Persistence::Close => head::extend(out, &["Connection: close\r\n"]),
        Persistence::KeepTold => head::extend(out, &["Connection: keep-alive\r\n"]),
        Persistence::Keep => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// `Keep-Alive: timeout=5`
fn promised(value: &[u8]) -> Option<Duration> {
    let mut parts = std::str::from_utf8(value).ok()?.split(',').map(str::trim);
    let seconds = parts.find_map(|part| part.strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
