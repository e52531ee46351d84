//! An answer's head: read as strictly as a request's, and passed on untouched except for what concerns one
//! connection only.

use crate::coding::{Coding, is_compressible};
use crate::fields::{FIELDS, Field, Fields};
use crate::head::{self, Framing, Method, Persistence, Summary, Upgrade, Version};
use crate::reject::Reject;
use crate::request::RequestHead;
use httparse::Header;
use naru_model::FieldEdits;
use std::mem::MaybeUninit;
use std::time::Duration;

/// An answer's head, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Its status.
    pub status: u16,
    /// How its body ends.
    pub framing: Framing,
    /// What becomes of the instance's connection.
    pub upstream: Keep,
    /// What becomes of the client's.
    pub client: Persistence,
    /// What kind it is.
    pub nature: Nature,
    /// How the body is to be coded on its way. Its framing toward the client is then chunks.
    pub coding: Option<Coding>,
}

/// Whether a connection to an instance can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It cannot.
    No,
    /// For as long as the instance promised, where it did.
    For(Option<Duration>),
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// Not the answer yet: another follows.
    Interim,
    /// The protocol changes.
    Upgraded,
    /// Server-sent events.
    Events,
    /// Any other.
    Answer,
}

/// What is changed on the way to the client.
#[derive(Clone, Copy, Default)]
pub struct Answering<'a> {
    /// Fields that are removed, set and added.
    pub edits: Option<&'a FieldEdits>,
    /// Whole lines that are added to what is not interim, each with its CRLF.
    pub lines: &'a str,
    /// How the body may be coded, where that is worth it: what the client takes.
    pub coding: Option<Coding>,
}

/// Reads a whole head and writes into `out` what the client gets. `wanted` is what is to become of the
/// client's connection, as far as it depends on the client and the listener.
///
/// # Errors
/// What is invalid, or could be read in two ways.
pub fn response(
    head: &[u8],
    request: &RequestHead,
    wanted: Persistence,
    answering: &Answering<'_>,
    out: &mut Vec<u8>,
) -> Result<ResponseHead, Reject> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, head, &mut room)
        .map_err(Reject::parse)?;
    let status = parsed.code.unwrap_or_default();
    let version = if parsed.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let fields = Fields::of(head, parsed.headers);
    let mut summary = Summary::of(&fields)?;
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
    let answering = if nature == Nature::Interim { &Answering::default() } else { answering };
    let coding = answering.coding.filter(|_| {
        let told = Told { status, framing, request, nature };
        told.is_worth_coding(&parsed)
    });
    // Chunks end where they end: the connection can stay.
    let client = if coding.is_some() && framing == Framing::UntilClose { wanted } else { client };
    let form = Form { client, unchunk: dechunked.then_some(Unchunk), answering, coding };
    write(status, &parsed, (&fields, &summary), &form, out);
    Ok(ResponseHead { status, framing, upstream, client, nature, coding })
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
#[derive(Clone, Copy)]
struct Unchunk;

/// Shortest body that is worth coding: below it, the fields alone take what is gained.
const WORTH: u64 = 512;

/// What an answer's head says, as far as coding goes.
struct Told<'a> {
    status: u16,
    framing: Framing,
    request: &'a RequestHead,
    nature: Nature,
}

impl Told<'_> {
    fn is_worth_coding(&self, parsed: &httparse::Response<'_, '_>) -> bool {
        let field = |name: &str| {
            let field = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.value)
        };
        let long = match self.framing {
            Framing::Length(length) => length >= WORTH,
            Framing::Chunked | Framing::UntilClose => true,
            Framing::None => false,
        };
        // Of a part, the client could not tell which bytes it is of.
        long && self.status != 206
            && self.nature == Nature::Answer
            && self.request.version == Version::Http11
            && field("content-encoding").is_none()
            && !field("cache-control").is_some_and(|value| contains(value, b"no-transform"))
            && field("content-type").is_some_and(is_compressible)
    }
}

fn contains(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// How an answer's head is written for this client.
struct Form<'a> {
    client: Persistence,
    unchunk: Option<Unchunk>,
    answering: &'a Answering<'a>,
    coding: Option<Coding>,
}

impl Form<'_> {
    fn passes(&self, kind: Field, field: &Header<'_>, status: u16) -> bool {
        let of_chunks = kind == Field::TransferEncoding;
        let replaced = self.answering.edits.is_some_and(|edits| {
            let set = edits.set.iter().map(|(name, _)| name);
            edits.remove.iter().chain(set).any(|name| field.name.eq_ignore_ascii_case(name))
        });
        let of_coding = self.coding.is_some()
            && ["content-length", "accept-ranges", "content-md5", "etag", "transfer-encoding"]
                .iter()
                .any(|name| field.name.eq_ignore_ascii_case(name));
        // What has no body must not speak of one (RFC 9110, section 8.6; RFC 9112, section 6.1).
        let bare = status < 200 || status == 204;
        let of_length = kind == Field::ContentLength;
        let misleading = (of_chunks && (self.unchunk.is_some() || bare)) || (of_length && bare);
        !replaced && !of_coding && !misleading
    }

    /// What the coding changes. The same body in another coding is equal only weakly.
    fn write_coding(&self, parsed: &httparse::Response<'_, '_>, out: &mut Vec<u8>) {
        let Some(coding) = self.coding else { return };
        if let Some(tag) = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case("etag")) {
            head::extend(out, &["ETag: ", if tag.value.starts_with(b"W/") { "" } else { "W/" }]);
            out.extend_from_slice(tag.value);
            head::extend(out, &["\r\n"]);
        }
        let name = coding.name();
        head::extend(
            out,
            &["Content-Encoding: ", name, "\r\nVary: Accept-Encoding\r\nTransfer-Encoding: chunked\r\n"],
        );
    }
}

fn write(
    status: u16,
    parsed: &httparse::Response<'_, '_>,
    (fields, summary): (&Fields<'_, '_>, &Summary<'_>),
    form: &Form<'_>,
    out: &mut Vec<u8>,
) {
    let digits = [b'0' + (status / 100) as u8, b'0' + (status / 10 % 10) as u8, b'0' + (status % 10) as u8];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&digits);
    head::extend(out, &[" ", parsed.reason.unwrap_or_default(), "\r\n"]);
    let goes = |kind: Field, field: &Header<'_>| {
        summary.passes(fields, kind, field) && form.passes(kind, field, status)
    };
    fields.write(goes, out);
    form.write_coding(parsed, out);
    let answering = form.answering;
    for (name, value) in answering.edits.into_iter().flat_map(|edits| edits.set.iter().chain(&edits.add)) {
        head::extend(out, &[name, ": ", value, "\r\n"]);
    }
    head::extend(out, &[answering.lines]);
    match form.client {
        _ if summary.upgrade == Upgrade::Asked => head::extend(out, &["Connection: Upgrade\r\n"]),
        client => head::extend(out, &[client.line()]),
    }
    out.extend_from_slice(b"\r\n");
}

/// `Keep-Alive: timeout=5`
fn promised(value: &[u8]) -> Option<Duration> {
    let mut parts = std::str::from_utf8(value).ok()?.split(',').map(str::trim);
    let seconds = parts.find_map(|part| part.strip_prefix("timeout="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
