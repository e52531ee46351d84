//! A client's frames of HTTP/2 after its greeting: whatever they are, what is made of them are whole requests, what is
//! answered are frames that may be sent, and when the client is gone nobody is left working for it.
//!
//! What must hold:
//!
//! - what is handed on for a stream is one request of HTTP/1.1 by the edge's own reader, with its body, and nothing behind
//!   it that another reader could take for a second one;
//! - what the client hears are frames: settings first, none longer than it takes, about streams that it began, no data
//!   beyond the windows that it gave, and none behind a stream's end;
//! - all ends: who is left waiting hangs, and libFuzzer tells.

use naru_carry::{End, Stream, pipe};
use naru_http2::Times;
use naru_wire::{Body, Request, Room, Upgrade, find_end};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, poll_fn};
use std::time::Duration;

/// How a client begins, and settings that say nothing.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// Turns of all in which nothing comes, after which nothing will.
const SILENT: usize = 16;

/// Longer than any of these takes.
const LONG: Duration = Duration::from_secs(600);

/// Sends frames, and looks at what came of them.
pub fn check(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let heard = runtime.block_on(talk(bytes));
    look(bytes, &heard);
}

/// Has a connection served, and says what its client heard.
async fn talk(bytes: &[u8]) -> Vec<u8> {
    let (near, far) = pipe();
    let mut stream = Stream::Pipe(far);
    let times = Times { greeting: LONG, idle: LONG, stall: LONG, linger: LONG };
    let serve = async {
        naru_http2::serve(&mut stream, vec![], times, pending(), |far| Box::pin(answer(far))).await;
        drop(stream);
    };
    let heard = RefCell::new(Vec::new());
    let tell = async {
        // A connection that has ended takes no more.
        let _ = near.write([GREETING, bytes]).await;
        // Nothing here waits for anybody outside: where nothing more comes, all that can be said is.
        let (mut silent, mut before) = (0, 0);
        while silent < SILENT {
            tokio::task::yield_now().await;
            let now = heard.borrow().len();
            silent = if now == before { silent + 1 } else { 0 };
            before = now;
        }
        near.finish();
    };
    let hear = async {
        while let Ok(true) = poll_fn(|cx| near.poll_arrived(cx)).await {
            near.take(|bytes| {
                heard.borrow_mut().extend_from_slice(bytes);
                (bytes.len(), ())
            });
        }
    };
    tokio::join!(serve, tell, hear);
    heard.into_inner()
}

/// Takes one request, and answers by its target.
async fn answer(far: End) {
    let mut text = Vec::new();
    let end = loop {
        if let Some(end) = find_end(&text, 0).expect("a head has lines that end with CRLF") {
            break end;
        }
        if !more(&far, &mut text).await {
            return;
        }
    };
    let head: Vec<u8> = text.drain(..end).collect();
    let mut room = Room::default();
    // One that is too long for HTTP/1.1 is refused here as there.
    let Ok(request) = Request::read(&head, &mut room) else {
        assert!(head.len() > naru_wire::REQUEST_HEAD || is_refused_by_both(&head), "{}", head.escape_ascii());
        return;
    };
    let upgrades = request.head.upgrade == Upgrade::Asked;
    let mut body = Body::new(request.head.framing);
    while !upgrades && !body.is_done() {
        let n = body.take(&text).expect("a body is as HTTP/1.1 has it");
        text.drain(..n);
        if !body.is_done() && !more(&far, &mut text).await {
            return;
        }
    }
    assert!(upgrades || text.is_empty(), "behind a request: {}", text.escape_ascii());
    let answer: &[u8] = match request.target.len() % 5 {
        0 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
        1 => b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        2 => b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nbroken",
        3 => &[&b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"[..], &[b'x'; 100_000]].concat(),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    };
    // A client that is gone needs no answer.
    let _ = far.write([answer, b""]).await;
}

/// What the edge's reader refuses of what HTTP/2 lets pass: a method that it does not offer.
fn is_refused_by_both(head: &[u8]) -> bool {
    let mut room = Room::default();
    matches!(Request::read(head, &mut room), Err(reject) if [400, 417, 431, 501].contains(&reject.status))
}

async fn more(far: &End, text: &mut Vec<u8>) -> bool {
    let arrived = matches!(poll_fn(|cx| far.poll_arrived(cx)).await, Ok(true));
    far.take(|bytes| {
        text.extend_from_slice(bytes);
        (bytes.len(), ())
    });
    arrived
}

/// A frame, and what follows it.
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
    rest: &'a [u8],
}

fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_at_checked(9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let stream = u32::from_be_bytes(head[5..9].try_into().ok()?) & 0x7fff_ffff;
    let (payload, rest) = rest.split_at_checked(length)?;
    Some(Frame { kind: head[3], flags: head[4], stream, payload, rest })
}

/// What a client has let be sent, and begun, if all that it said was taken.
#[derive(Default)]
struct Given {
    begun: BTreeSet<u32>,
    /// By stream; 0 is the connection.
    windows: BTreeMap<u32, u64>,
    /// The most that its settings gave a stream at first.
    first: u64,
}

fn given(mut bytes: &[u8]) -> Given {
    let mut given = Given { first: 65_535, ..Given::default() };
    while let Some(Frame { kind, flags, stream, payload, rest }) = frame(bytes) {
        bytes = rest;
        match (kind, payload) {
            (HEADERS, _) => drop(given.begun.insert(stream)),
            (WINDOW_UPDATE, [a, b, c, d]) => {
                let by = u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
                *given.windows.entry(stream).or_default() += u64::from(by);
            }
            (SETTINGS, _) if flags & 1 == 0 => {
                for one in payload.chunks_exact(6).filter(|one| one[..2] == [0, 4]) {
                    let first = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
                    given.first = given.first.max(first.into());
                }
            }
            _ => {}
        }
    }
    given
}

fn look(told: &[u8], heard: &[u8]) {
    let given = given(told);
    let (mut rest, mut ended, mut sent) = (heard, BTreeSet::new(), BTreeMap::<u32, u64>::new());
    let mut first = true;
    while let Some(Frame { kind, flags, stream, payload, rest: after }) = frame(rest) {
        assert!(!first || kind == SETTINGS, "settings come first");
        first = false;
        assert!(payload.len() <= 16_384, "a frame of {} bytes", payload.len());
        assert!(stream == 0 || given.begun.contains(&stream) || kind == RST_STREAM, "of stream {stream}");
        if matches!(kind, DATA | HEADERS | CONTINUATION) {
            assert!(stream != 0 && !ended.contains(&stream), "behind the end of {stream}");
        }
        if kind == DATA {
            for (of, first) in [(0, 65_535), (stream, given.first)] {
                let sent = sent.entry(of).or_default();
                *sent += payload.len() as u64;
                let most = first + given.windows.get(&of).copied().unwrap_or(0);
                assert!(*sent <= most, "{sent} bytes of {of}, where {most} may be sent");
            }
        }
        if kind == RST_STREAM || (matches!(kind, DATA | HEADERS) && flags & 1 != 0) {
            ended.insert(stream);
        }
        rest = after;
    }
    assert!(rest.is_empty(), "it ends with half a frame");
}
