//! The same bytes to the edge's reader and to hyper's server: what both take, they take for the same requests.
//!
//! Differences that are allowed have a name and a reason in [`STRICTER`] and [`hyper_may_refuse`]; all others panic.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use naru_wire::{Body, Persistence, Reject, Request, Room, Version, What, find_end};
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What the edge refuses and hyper takes, by what the edge says of it, and why.
const STRICTER: &[(&str, &str)] = &[
    ("the head has a line that ends with LF alone", "hyper takes it for CRLF, as RFC 9112, 2.2 lets it"),
    (
        "both Content-Length and Transfer-Encoding",
        "hyper takes the chunks; RFC 9112, 6.1 lets a server refuse",
    ),
    ("more than one Content-Length", "hyper takes two that agree; RFC 9112, 6.3 lets a recipient refuse"),
    ("more than one Host", "hyper leaves Host to its user; RFC 9112, 3.2 asks for 400"),
    ("no Host", "hyper leaves Host to its user; RFC 9112, 3.2 asks for 400"),
    ("Host is not the name of a host", "hyper leaves Host to its user; RFC 9112, 3.2 asks for 400"),
    ("Content-Length is no number", "hyper takes a list that agrees, and 19 digits"),
    ("a Transfer-Encoding other than chunked, or more than one", "hyper takes any that ends with chunked"),
    ("the request's target is neither a path nor an http address", "hyper takes any URI"),
    ("the request's target has a fragment", "hyper cuts it off"),
    ("CONNECT is not offered here", "hyper leaves it to its user"),
    ("an expectation other than 100-continue", "hyper leaves it to its user"),
    ("Connection names too many fields", "hyper keeps them all"),
    (
        "a field that some programs take for Content-Length or Transfer-Encoding",
        "it is another field to hyper",
    ),
    ("a chunk's size is invalid", "hyper takes spaces and tabs behind it, and 16 digits"),
    ("a chunk's extension is invalid or too long", "hyper skips any bytes but LF, and bounds them otherwise"),
    (
        "a trailer that says how a message is framed, where it goes or who sends it",
        "hyper keeps trailers apart",
    ),
    ("a trailer is invalid", "hyper takes LF alone between trailers"),
    ("the trailers are too long", "hyper's bound is another"),
];

/// A request as a reader has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) method: String,
    /// Of the target, or `Host`; hyper has it elsewhere.
    host: String,
    pub(crate) path: String,
    version: Version,
    /// Names in lower case, sorted.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// `None`: it was not whole, or not valid.
    pub(crate) body: Option<Vec<u8>>,
    /// Lines of framing behind the last of the data.
    pub(crate) lines: usize,
}

/// Why the edge reads no further.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It wants more bytes.
    Partial,
    /// The connection is to end after the last request.
    Closes,
    Refuses(&'static str),
}

/// Reads a connection's bytes both ways.
pub fn check(bytes: &[u8]) {
    let (ours, stop) = ours(bytes);
    let theirs = theirs(bytes);
    for (at, one) in ours.iter().enumerate() {
        let Some(other) = theirs.get(at) else {
            assert!(hyper_may_refuse(one), "hyper does not take {one:?}, and stops after {theirs:?}");
            return;
        };
        if same(one, other, &stop) == Goes::NoFurther {
            return;
        }
    }
    match (theirs.get(ours.len()), stop) {
        // What follows is not looked at.
        (_, Stop::Closes) | (None, _) => {}
        (Some(more), stop) => allowed(&stop, more),
    }
}

#[derive(PartialEq, Eq)]
enum Goes {
    On,
    NoFurther,
}

/// Compares one request; the edge stops after its last one for that reason.
fn same(one: &Taken, other: &Taken, stop: &Stop) -> Goes {
    assert_eq!((&one.method, &one.path, one.version), (&other.method, &other.path, other.version));
    assert_eq!(one.fields, other.fields, "the fields of {} {}", one.method, one.path);
    match (&one.body, &other.body) {
        (Some(one), Some(other)) => assert_eq!(one, other, "the body"),
        (None, None) => return Goes::NoFurther,
        // It takes a hundred trailers; the edge bounds their bytes.
        (Some(_), None) if one.lines > 100 => return Goes::NoFurther,
        (Some(_), None) => panic!("hyper does not take the body of {one:?}"),
        (None, Some(body)) => {
            allowed(stop, body);
            return Goes::NoFurther;
        }
    }
    Goes::On
}

fn allowed(stop: &Stop, theirs: &dyn std::fmt::Debug) {
    let named = matches!(stop, Stop::Refuses(why) if STRICTER.iter().any(|(known, _)| known == why));
    assert!(named, "here: {stop:?}; hyper takes {theirs:?}");
}

/// What the edge takes and hyper does not.
pub(crate) fn hyper_may_refuse(request: &Taken) -> bool {
    // hyper makes a URI of it, which takes fewer characters.
    let whole = format!("http://{}{}", request.host, request.path);
    request.path.parse::<hyper::Uri>().is_err() || whole.parse::<hyper::Uri>().is_err()
}

pub(crate) fn ours(mut bytes: &[u8]) -> (Vec<Taken>, Stop) {
    let mut all = Vec::new();
    loop {
        let stop = match take(&mut bytes) {
            Ok((request, stop)) => {
                all.push(request);
                stop
            }
            Err(stop) => Some(stop),
        };
        if let Some(stop) = stop {
            return (all, stop);
        }
    }
}

/// The next request, and why it is the last.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<(Taken, Option<Stop>), Stop> {
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        *bytes = rest;
    }
    let refuses = |reject: Reject| Stop::Refuses(reject.reason);
    let end = find_end(bytes, 0).map_err(refuses)?.ok_or(Stop::Partial)?;
    let (head, rest) = bytes.split_at(end);
    *bytes = rest;
    let mut room = Room::default();
    let request = Request::read(head, &mut room).map_err(refuses)?;
    let fields = request.each().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()));
    let mut taken = Taken {
        method: request.method.into(),
        host: request.host.unwrap_or_default().into(),
        path: request.target.into(),
        version: request.head.version,
        fields: sorted(fields),
        body: None,
        lines: 0,
    };
    let stop = match body(Body::new(request.head.framing), bytes, &mut taken.lines) {
        Ok(Some(body)) => {
            taken.body = Some(body);
            (request.head.persistence == Persistence::Close).then_some(Stop::Closes)
        }
        Ok(None) => Some(Stop::Partial),
        Err(why) => Some(Stop::Refuses(why)),
    };
    Ok((taken, stop))
}

fn sorted(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields.collect();
    fields.sort();
    fields
}

/// The data of a body, if it is whole.
fn body(mut body: Body, bytes: &mut &[u8], lines: &mut usize) -> Result<Option<Vec<u8>>, &'static str> {
    let mut data = Vec::new();
    while !body.is_done() && !bytes.is_empty() {
        let run = body.run(bytes).map_err(|reject| reject.reason)?;
        if run.what == What::Data {
            data.extend_from_slice(&bytes[..run.length]);
            *lines = 0;
        } else if bytes[0] == b'\n' {
            *lines += 1;
        }
        *bytes = &bytes[run.length..];
    }
    Ok(body.is_done().then_some(data))
}

/// What hyper's server hands to its service.
pub(crate) fn theirs(bytes: &[u8]) -> Vec<Taken> {
    let all = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request| serve(request, all.clone()));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(Tape(bytes.to_vec(), 0), service));
    let mut cx = Context::from_waker(Waker::noop());
    // It never waits for anything but itself: it is ready after as many steps as there are messages.
    for _ in 0..bytes.len() + 16 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    all.take()
}

async fn serve(
    request: hyper::Request<Incoming>,
    all: Rc<RefCell<Vec<Taken>>>,
) -> Result<hyper::Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    let taken = Taken {
        method: head.method.to_string(),
        host: String::new(),
        path: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        version: if head.version == hyper::Version::HTTP_10 { Version::Http10 } else { Version::Http11 },
        fields: sorted(fields),
        body: None,
        lines: 0,
    };
    let at = all.borrow().len();
    all.borrow_mut().push(taken);
    if let Ok(body) = body.collect().await {
        all.borrow_mut()[at].body = Some(body.to_bytes().to_vec());
    }
    Ok(hyper::Response::new(Empty::new()))
}

/// Bytes to read, and then the end; what is written is forgotten.
struct Tape(Vec<u8>, usize);

impl Read for Tape {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let n = room.remaining().min(self.0.len() - self.1);
        room.put_slice(&self.0[self.1..self.1 + n]);
        self.1 += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Tape {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
