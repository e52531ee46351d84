//! An answer: from the pipe, where it is one of HTTP/1.1, into frames.

use super::frame::{self, DATA, END_STREAM, HEAD, MOST};
use super::window::Credit;
use crate::hpack::{self, Answered, SHORT, Short};
use naru_carry::{End, Next, SIZE};
use naru_wire::{Body, Framing, What, content_length};

/// Longest trailers: what the edge takes of a chunked body.
const TRAILERS: usize = 8 * 1024;

/// An answer under way.
#[derive(Default)]
pub(super) struct Answer {
    state: State,
    /// Whether it has no body, whatever its head says.
    is_head: bool,
    /// Lines of trailers.
    trailers: Vec<u8>,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Body(Body),
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It can go on at once.
    Part,
    /// It cannot, until more comes, or the client gives its stream room.
    Waits,
    /// It cannot, until the client gives the connection room.
    NoRoom,
    /// Another protocol is spoken from here on.
    Switched,
    /// That was all.
    Whole,
    /// It broke off.
    Broken,
}

/// What an answer goes into.
pub(super) struct To<'a> {
    pub(super) stream: u32,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) credit: &'a mut Credit,
    pub(super) connection: &'a mut Credit,
    /// Whether the next header block has to say that the edge's table is empty.
    pub(super) tells_table: &'a mut bool,
}

/// What a head says.
struct Head {
    length: usize,
    status: [u8; 3],
    framing: Framing,
}

impl Answer {
    pub(super) fn new(is_head: bool) -> Answer {
        Answer { is_head, ..Answer::default() }
    }

    /// Sends what comes next: heads as they are there, or one frame of data.
    pub(super) fn send(&mut self, from: &End, mut to: To<'_>) -> Sent {
        match &mut self.state {
            State::Head => self.head(from, &mut to),
            State::Body(body) => {
                let mut body = *body;
                let sent = self.data(&mut body, from, &mut to);
                self.state = State::Body(body);
                sent
            }
        }
    }

    fn head(&mut self, from: &End, to: &mut To<'_>) -> Sent {
        let at = to.begin();
        let read = from.take(|bytes| {
            let read = if bytes.is_empty() { Ok(None) } else { read_head(bytes, to.out) };
            let is_full = bytes.len() == SIZE && matches!(read, Ok(None));
            let used = if let Ok(Some(head)) = &read { head.length } else { 0 };
            (used, if is_full { Err(()) } else { read })
        });
        match read {
            Ok(Some(head)) => self.begun(head, at, to),
            Ok(None) => {
                to.undo(at);
                if from.next() == Next::More { Sent::Waits } else { Sent::Broken }
            }
            Err(()) => {
                to.undo(at);
                Sent::Broken
            }
        }
    }

    /// The block of a head stands at `at`.
    fn begun(&mut self, head: Head, at: usize, to: &mut To<'_>) -> Sent {
        *to.tells_table = false;
        let mut flags = 0;
        let mut sent = Sent::Part;
        match head.status {
            [b'1', b'0', b'1'] => {
                self.state = State::Body(Body::new(Framing::UntilClose));
                sent = Sent::Switched;
            }
            [b'1', ..] => {}
            status => {
                let is_bare = self.is_head || matches!(&status, b"204" | b"304");
                let body = Body::new(if is_bare { Framing::None } else { head.framing });
                if body.is_done() {
                    (flags, sent) = (END_STREAM, Sent::Whole);
                }
                self.state = State::Body(body);
            }
        }
        frame::end_block(to.out, at, flags, to.stream);
        sent
    }

    /// Sends one frame of data at most.
    fn data(&mut self, body: &mut Body, from: &End, to: &mut To<'_>) -> Sent {
        let at = to.out.len();
        to.out.extend_from_slice(&[0; HEAD]);
        let room = MOST.min(to.credit.room()).min(to.connection.room());
        let (left, read) = from.take(|bytes| {
            let read = self.runs(body, bytes, room, to.out);
            let used = read.unwrap_or_default();
            (used, (bytes.len() - used, read))
        });
        let length = to.out.len() - at - HEAD;
        if read.is_none() {
            to.out.truncate(at);
            return Sent::Broken;
        }
        to.credit.spend(length);
        to.connection.spend(length);
        let is_over = left == 0 && from.next() != Next::More;
        let is_done = body.is_done() || (is_over && from.next() == Next::End && body.ends_with_close());
        let has_trailers = is_done && !self.trailers.is_empty();
        if length > 0 || (is_done && !has_trailers) {
            let flags = if is_done && !has_trailers { END_STREAM } else { 0 };
            to.out[at..at + HEAD].copy_from_slice(&frame::head(length, DATA, flags, to.stream));
        } else {
            to.out.truncate(at);
        }
        match (is_done, is_over, left) {
            (true, ..) => {
                if has_trailers {
                    self.end(to);
                }
                Sent::Whole
            }
            (_, true, _) => Sent::Broken,
            (_, _, 0) => Sent::Waits,
            _ if to.credit.room() == 0 => Sent::Waits,
            _ if to.connection.room() == 0 => Sent::NoRoom,
            _ => Sent::Part,
        }
    }

    /// Appends the data of as many runs as there is room for, and says how many bytes that used. `None`: it is no body.
    fn runs(&mut self, body: &mut Body, bytes: &[u8], room: usize, out: &mut Vec<u8>) -> Option<usize> {
        let (mut at, mut room) = (0, room);
        while at < bytes.len() && !body.is_done() {
            let in_trailers = body.is_in_trailers();
            let mut ahead = *body;
            let mut run = ahead.run(&bytes[at..]).ok()?;
            if run.what == What::Data && run.length > room {
                if room == 0 {
                    break;
                }
                ahead = *body;
                run = ahead.run(&bytes[at..at + room]).ok()?;
            }
            let run_bytes = &bytes[at..at + run.length];
            if run.what == What::Data {
                out.extend_from_slice(run_bytes);
                room -= run.length;
            } else if in_trailers && self.trailers.len() < TRAILERS {
                self.trailers.extend_from_slice(run_bytes);
            }
            at += run.length;
            *body = ahead;
        }
        // The line that ends them is all that trailers most often are.
        if self.trailers == b"\r\n" {
            self.trailers.clear();
        }
        Some(at)
    }

    /// Ends the stream with trailers.
    fn end(&mut self, to: &mut To<'_>) {
        let at = to.begin();
        *to.tells_table = false;
        let (mut rest, mut room) = (&self.trailers[..], [0; SHORT]);
        // The empty line that ends them is no field.
        while let Ok(Some(line)) = field(rest, false, &mut room, to.out) {
            rest = &rest[line.length..];
        }
        frame::end_block(to.out, at, END_STREAM, to.stream);
    }
}

impl To<'_> {
    /// Begins a header block.
    fn begin(&mut self) -> usize {
        let at = frame::begin(self.out);
        if *self.tells_table {
            self.out.push(hpack::NO_TABLE);
        }
        at
    }

    fn undo(&mut self, at: usize) {
        self.out.truncate(at);
    }
}

/// Reads a head, and appends its fields. `None`: it is not whole yet.
fn read_head(bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Head>, ()> {
    let Some(first) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let status: [u8; 3] = bytes.get(9..12).and_then(|status| status.try_into().ok()).ok_or(())?;
    let is_switch = &status == b"101";
    if !status.iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    hpack::status(if is_switch { b"200" } else { &status }, out);
    let (mut at, mut framing, mut room) = (first + 1, Framing::UntilClose, [0; SHORT]);
    loop {
        let rest = &bytes[at..];
        if rest.starts_with(b"\r\n") {
            return Ok(Some(Head { length: at + 2, status, framing }));
        }
        let is_own = is_switch && rest.get(..OWN.len()).is_some_and(|name| name.eq_ignore_ascii_case(OWN));
        let Some(line) = field(rest, is_own, &mut room, out)? else { return Ok(None) };
        match line.answered {
            Answered::Length => framing = Framing::Length(content_length(line.value).ok_or(())?),
            // The edge writes no other.
            Answered::Coding => framing = Framing::Chunked,
            Answered::Field | Answered::Connection => {}
        }
        at += line.length;
    }
}

/// What proves a change of protocol in HTTP/1.1.
const OWN: &[u8] = b"Sec-WebSocket-Accept:";

/// A field's line, with its end.
struct Line<'a> {
    length: usize,
    value: &'a [u8],
    answered: Answered,
}

/// Appends the field whose line `bytes` begin with, unless it is left out. `None`: the line is not whole yet.
fn field<'a>(
    bytes: &'a [u8],
    is_left_out: bool,
    room: &mut Short,
    out: &mut Vec<u8>,
) -> Result<Option<Line<'a>>, ()> {
    let short = hpack::lowered(bytes, room);
    let name = short.unwrap_or(0);
    let Some(end) = memchr::memchr(b'\n', &bytes[name..]).map(|at| name + at) else { return Ok(None) };
    // A name that is not short has its colon further on.
    let colon = if short.is_some() { name } else { memchr::memchr(b':', &bytes[..end]).ok_or(())? };
    let value = bytes[colon + 1..end].trim_ascii();
    let answered = match short {
        _ if is_left_out => Answered::Connection,
        Some(length) => hpack::field(&room[..length], value, out),
        None => {
            hpack::long_field(&bytes[..colon], value, out);
            Answered::Field
        }
    };
    Ok(Some(Line { length: end + 1, value, answered }))
}
