//! Frames: how they are cut out of what came, and how the edge's own are written (RFC 9113, 4 and 6).

use naru_carry::give_back;
use std::cell::RefCell;
use std::mem;

/// Bytes before each frame's payload.
pub(super) const HEAD: usize = 9;

/// Longest payload, of either side: the standard's initial value, which every peer has to take.
pub(super) const MOST: usize = 16 * 1024;

/// What a client begins with (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags.
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 0x20;

/// Why a stream or a connection ends (RFC 9113, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    Refused = 7,
    Compression = 9,
    Calm = 11,
}

/// A frame that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Its stream; 0 is the connection.
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of `bytes`, which are `HEAD` and its payload long. `None`: it is not whole yet.
    ///
    /// # Errors
    /// It is longer than it may be.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<Frame<'a>>, Code> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [a, b, c, kind, flags, ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > MOST {
            return Err(Code::FrameSize);
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Ok(rest.get(..length).map(|payload| Frame { kind, flags, stream, payload }))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What is between its padding.
    ///
    /// # Errors
    /// The padding is longer than the frame.
    pub(super) fn unpadded(&self) -> Result<&'a [u8], Code> {
        if !self.has(PADDED) {
            return Ok(self.payload);
        }
        let (pad, rest) = self.payload.split_first().ok_or(Code::FrameSize)?;
        let length = rest.len().checked_sub(usize::from(*pad)).ok_or(Code::Protocol)?;
        Ok(&rest[..length])
    }

    /// The part of a header block that is in `HEADERS`. Priorities are not kept: RFC 9113 has given them up.
    ///
    /// # Errors
    /// As [`Frame::unpadded`].
    pub(super) fn block(&self) -> Result<&'a [u8], Code> {
        let rest = self.unpadded()?;
        if self.has(PRIORITIZED) { rest.get(5..).ok_or(Code::FrameSize) } else { Ok(rest) }
    }

    /// A payload that is one number.
    ///
    /// # Errors
    /// It has another length.
    pub(super) fn number(&self) -> Result<u32, Code> {
        self.payload.try_into().map(u32::from_be_bytes).map_err(|_| Code::FrameSize)
    }
}

/// Bytes that wait to be written. Its memory is lent only while there are any.
#[derive(Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    written: usize,
}

/// Memory of one that is kept for the next: more than a wake-up's frames.
const KEPT: usize = 256 * 1024;

/// How many a thread keeps: 8 MiB.
const SPARE: usize = 32;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Out {
    /// What is to be written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Where to append.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        &mut self.bytes
    }

    /// So much was written.
    pub(super) fn wrote(&mut self, n: usize) {
        self.written += n;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        } else if self.written >= self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Gives its memory back, if nothing is in it.
    pub(super) fn rest(&mut self) {
        if !self.bytes.is_empty() || self.bytes.capacity() == 0 {
            return;
        }
        let bytes = mem::take(&mut self.bytes);
        if bytes.capacity() <= KEPT {
            give_back(&FREE, SPARE, bytes);
        }
    }

    pub(super) fn window_update(&mut self, stream: u32, by: u32) {
        self.frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    pub(super) fn reset(&mut self, stream: u32, code: Code) {
        self.frame(RST_STREAM, 0, stream, &(code as u32).to_be_bytes());
    }

    pub(super) fn go_away(&mut self, last: u32, code: Code) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&(code as u32).to_be_bytes());
        self.frame(GOAWAY, 0, 0, &payload);
    }

    pub(super) fn settings(&mut self, settings: &[(u16, u32)]) {
        let mut payload = Vec::with_capacity(settings.len() * 6);
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.frame(SETTINGS, 0, 0, &payload);
    }

    pub(super) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let out = self.end();
        out.extend_from_slice(&head(payload.len(), kind, flags, stream));
        out.extend_from_slice(payload);
    }
}

/// What stands before a payload.
pub(super) fn head(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

/// Begins a frame whose length is not known yet, and says where.
pub(super) fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; HEAD]);
    out.len() - HEAD
}

/// Ends the header block that was begun at `at`: one frame, or as many as it takes.
pub(super) fn end_block(out: &mut Vec<u8>, at: usize, flags: u8, stream: u32) {
    let length = out.len() - at - HEAD;
    if length <= MOST {
        out[at..at + HEAD].copy_from_slice(&head(length, HEADERS, flags | END_HEADERS, stream));
        return;
    }
    let block = out.split_off(at + HEAD);
    out.truncate(at);
    let parts = block.chunks(MOST);
    let last = parts.len() - 1;
    for (n, part) in parts.enumerate() {
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        let own = if n == 0 { flags } else { 0 };
        let flags = if n == last { own | END_HEADERS } else { own };
        out.extend_from_slice(&head(part.len(), kind, flags, stream));
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = Out::default();
        out.frame(PING, ACK, 0, b"12345678");
        out.reset(7, Code::Calm);
        let (first, rest) = (Frame::read(out.bytes()).unwrap().unwrap(), &out.bytes()[HEAD + 8..]);
        assert_eq!(first, Frame { kind: PING, flags: ACK, stream: 0, payload: b"12345678" });
        let second = Frame::read(rest).unwrap().unwrap();
        assert_eq!((second.kind, second.stream, second.number()), (RST_STREAM, 7, Ok(11)));
        for cut in 0..rest.len() {
            assert_eq!(Frame::read(&rest[..cut]), Ok(None));
        }
        out.wrote(HEAD + 8);
        assert_eq!(Frame::read(out.bytes()).unwrap().unwrap().kind, RST_STREAM);
        out.wrote(HEAD + 4);
        out.rest();
        assert!(out.bytes().is_empty() && out.bytes.capacity() == 0);
    }

    #[test]
    fn lengths_and_padding_have_bounds() {
        let long = head(MOST + 1, DATA, 0, 1);
        assert_eq!(Frame::read(&long), Err(Code::FrameSize));
        let of = |flags, payload| Frame { kind: HEADERS, flags, stream: 1, payload };
        assert_eq!(of(8, b"\x02abc").unpadded(), Ok(&b"a"[..]));
        assert_eq!(of(8, b"\x03abc").unpadded(), Ok(&b""[..]));
        assert_eq!(of(8, b"\x04abc").unpadded(), Err(Code::Protocol));
        assert_eq!(of(8, b"").unpadded(), Err(Code::FrameSize));
        assert_eq!(of(0x28, b"\x0112345abc").block(), Ok(&b"ab"[..]));
        assert_eq!(of(0x20, b"1234").block(), Err(Code::FrameSize));
    }

    #[test]
    fn a_long_block_is_cut() {
        let mut out = vec![1, 2, 3];
        let at = begin(&mut out);
        out.extend_from_slice(&[b'x'; 2 * MOST + 1]);
        end_block(&mut out, at, END_STREAM, 5);
        let (mut rest, mut told) = (&out[3..], Vec::new());
        while let Some(frame) = Frame::read(rest).unwrap() {
            told.push((frame.kind, frame.flags, frame.stream, frame.payload.len()));
            rest = &rest[HEAD + frame.payload.len()..];
        }
        let (end, most) = (END_HEADERS, MOST);
        assert_eq!(
            told,
            [(HEADERS, END_STREAM, 5, most), (CONTINUATION, 0, 5, most), (CONTINUATION, end, 5, 1)]
        );
    }
}
