//! What a client's frames do to a connection and its streams (RFC 9113, 5 and 6). No byte is read or written here: frames
//! come out of the bytes that are given, and go into those that are to be written.

use super::frame::{self, Code, Frame, HEAD, Out, PREFACE};
use super::patience::Patience;
use super::request::{Asked, Trailers};
use super::ring::Ring;
use super::streams::Streams;
use super::upload::Upload;
use super::window::{Allowance, Credit, LARGEST};
use crate::hpack::Decoder;
use naru_carry::End;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

/// Streams of one connection at a time: what browsers, and most servers, have as well.
const STREAMS: usize = 128;

/// What a stream may send before it is read: enough for a gigabit over 8 ms.
const WINDOW: u32 = 1024 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// A window's first size, where nothing is said of it.
const FIRST_WINDOW: u32 = 65_535;

/// Longest header block: more than a list of fields of the length that is taken makes, however it is written.
const BLOCK: usize = 2 * naru_wire::REQUEST_HEAD;

/// Frames of one block: several times what such a block needs.
const PARTS: usize = 32;

/// Bytes that wait to be written above which no more frames are taken: those that have to be answered.
const UNREAD: usize = 128 * 1024;

/// The last stream's number there can be.
const ALL: u32 = 0x7fff_ffff;

/// What a PING asks whether the client has heard that the connection is to end.
const HEARD: &[u8; 8] = b"leaving?";

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// What a frame does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// To the connection, which ends.
    Connection(Code),
    /// To one stream.
    Stream(u32, Code),
}

impl From<Code> for Fault {
    fn from(code: Code) -> Fault {
        Fault::Connection(code)
    }
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client has still to greet.
    Preface,
    /// Its settings are due.
    Settings,
    Open,
    /// It ends once all is written.
    Over,
}

/// How far its end in order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client was told to begin no more streams.
    Asked,
    /// It has heard that, and was told which was the last.
    Told,
}

/// A header block of which more is to come.
struct Partial {
    stream: u32,
    flags: u8,
    block: Vec<u8>,
    parts: usize,
}

/// A client's connection.
pub(super) struct Connection<F: Future<Output = ()>, B> {
    begin: B,
    pub(super) out: Out,
    decoder: Decoder,
    pub(super) streams: Streams<F>,
    /// Those that have something to send, in turn.
    pub(super) turns: VecDeque<u16>,
    /// Those that have, and no room in the connection's window.
    pub(super) blocked: Vec<u16>,
    pub(super) credit: Credit,
    allowance: Allowance,
    /// What streams may send at first.
    first_credit: u32,
    pub(super) tells_table: bool,
    stage: Stage,
    leaving: Leaving,
    /// Whether the client has said that it is about to go.
    is_left: bool,
    /// The last stream that was begun.
    last: u32,
    partial: Option<Partial>,
    patience: Patience,
    /// Whether a stream was begun since somebody last asked.
    is_used: bool,
}

impl<F: Future<Output = ()>, B: Fn(End) -> F> Connection<F, B> {
    /// A connection that has begun, whose streams are served by what `begin` makes.
    pub(super) fn new(ring: Arc<Ring>, begin: B) -> Connection<F, B> {
        let mut out = Out::default();
        out.settings(&[
            (MAX_CONCURRENT_STREAMS, STREAMS as u32),
            (INITIAL_WINDOW_SIZE, WINDOW),
            (MAX_HEADER_LIST_SIZE, naru_wire::REQUEST_HEAD as u32),
            (ENABLE_CONNECT_PROTOCOL, 1),
        ]);
        out.window_update(0, CONNECTION_WINDOW - FIRST_WINDOW);
        Connection {
            begin,
            out,
            decoder: Decoder::default(),
            streams: Streams::new(ring),
            turns: VecDeque::new(),
            blocked: Vec::new(),
            credit: Credit::new(FIRST_WINDOW),
            allowance: Allowance::new(CONNECTION_WINDOW),
            first_credit: FIRST_WINDOW,
            tells_table: false,
            stage: Stage::Preface,
            leaving: Leaving::No,
            is_left: false,
            last: 0,
            partial: None,
            patience: Patience::default(),
            is_used: false,
        }
    }

    /// Whether it takes bytes now: it does not where the client does not read what it is answered.
    pub(super) fn takes(&self) -> bool {
        self.stage != Stage::Over && self.out.bytes().len() < UNREAD
    }

    /// Whether the client has greeted.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether it ends once all is written.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether a stream was begun since the last time that this was asked, or is there.
    pub(super) fn was_used(&mut self) -> bool {
        std::mem::take(&mut self.is_used) || self.streams.open() > 0
    }

    /// Takes of `bytes` what is whole, and says how much that was.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut at = if self.stage == Stage::Preface { self.greet(bytes) } else { 0 };
        while self.stage != Stage::Preface && self.takes() {
            match Frame::read(&bytes[at..]) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    at += HEAD + frame.payload.len();
                    if let Err(fault) = self.frame(frame) {
                        self.fail(fault);
                    }
                }
                Err(code) => self.fail(Fault::Connection(code)),
            }
        }
        self.end_if_done();
        if self.is_over() { bytes.len() } else { at }
    }

    fn greet(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(PREFACE.len());
        if bytes[..n] != PREFACE[..n] {
            self.fail(Fault::Connection(Code::Protocol));
        } else if n == PREFACE.len() {
            self.stage = Stage::Settings;
            return n;
        }
        0
    }

    fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Connection(code) if !self.is_over() => {
                self.out.go_away(self.last, code);
                self.stage = Stage::Over;
            }
            Fault::Connection(_) => {}
            Fault::Stream(stream, code) => {
                self.reset(stream, code);
                // Those that are one too many cost no more than their frames.
                if code != Code::Refused {
                    self.spend_patience();
                }
            }
        }
    }

    fn spend_patience(&mut self) {
        if self.patience.spend(Instant::now()).is_none() {
            self.fail(Fault::Connection(Code::Calm));
        }
    }

    /// Resets a stream, whether or not it is open.
    pub(super) fn reset(&mut self, stream: u32, code: Code) {
        self.out.reset(stream, code);
        self.streams.was_reset(stream);
        if let Some(at) = self.streams.find(stream) {
            self.close(at);
        }
    }

    pub(super) fn close(&mut self, at: u16) {
        let unread = self.streams.close(at);
        self.release(unread);
        // What has its turn finds that out by itself; what has none would keep the place from the next stream.
        if let Some(blocked) = self.blocked.iter().position(|blocked| *blocked == at) {
            self.blocked.swap_remove(blocked);
            self.streams.at(at).is_queued = false;
        }
    }

    fn frame(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if let Some(partial) = &self.partial
            && (frame.kind != frame::CONTINUATION || frame.stream != partial.stream)
        {
            return Err(Code::Protocol.into());
        }
        if self.stage == Stage::Settings && (frame.kind != frame::SETTINGS || frame.has(frame::ACK)) {
            return Err(Code::Protocol.into());
        }
        match frame.kind {
            frame::DATA => self.data(frame),
            frame::HEADERS => self.headers(frame),
            frame::PRIORITY => self.priority(frame),
            frame::RST_STREAM => self.client_reset(frame),
            frame::SETTINGS => self.settings(frame),
            frame::PUSH_PROMISE => Err(Code::Protocol.into()),
            frame::PING => self.ping(frame),
            frame::GOAWAY => self.client_leaves(frame),
            frame::WINDOW_UPDATE => self.window_update(frame),
            frame::CONTINUATION => self.continuation(frame),
            _ => Ok(()),
        }
    }

    fn data(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let (number, whole) = (frame.stream, frame.payload.len());
        self.allowance.spend(whole).ok_or(Code::FlowControl)?;
        self.check_begun(number)?;
        let data = frame.unpadded()?;
        let Some(at) = self.streams.find(number) else {
            self.release(whole);
            return if self.streams.may_be_late(number) { Ok(()) } else { Err(closed(number)) };
        };
        let stream = self.streams.at(at);
        if stream.upload.is_ended() {
            self.release(whole);
            return Err(closed(number));
        }
        if stream.allowance.spend(whole).is_none() {
            self.release(whole);
            return Err(Fault::Stream(number, Code::FlowControl));
        }
        let taken = stream.upload.data(data, &stream.near);
        let padding = whole - data.len();
        self.went_on(at, taken.unwrap_or(data.len()) + padding);
        let malformed = |_| Fault::Stream(number, Code::Protocol);
        taken.map_err(malformed)?;
        if frame.has(frame::END_STREAM) {
            let stream = self.streams.at(at);
            stream.upload.end(Vec::new(), &stream.near).map_err(malformed)?;
        }
        Ok(())
    }

    /// So much of what came on a stream has gone on.
    pub(super) fn went_on(&mut self, at: u16, n: usize) {
        if n > 0 {
            let stream = self.streams.at(at);
            if let Some(by) = stream.release(n) {
                self.out.window_update(stream.number, by);
            }
            self.release(n);
        }
    }

    fn release(&mut self, n: usize) {
        if let Some(by) = self.allowance.release(n) {
            self.out.window_update(0, by);
        }
    }

    /// Whether a stream is, or was, one that the client has begun.
    fn check_begun(&self, number: u32) -> Result<(), Code> {
        if number % 2 == 1 && number <= self.last { Ok(()) } else { Err(Code::Protocol) }
    }

    fn headers(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream % 2 == 0 {
            return Err(Code::Protocol.into());
        }
        let block = frame.block()?;
        if frame.has(frame::END_HEADERS) {
            return self.block(frame.stream, frame.flags, block);
        }
        let block = block.to_vec();
        self.partial = Some(Partial { stream: frame.stream, flags: frame.flags, block, parts: 1 });
        Ok(())
    }

    fn continuation(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let mut partial = self.partial.take().ok_or(Code::Protocol)?;
        partial.block.extend_from_slice(frame.payload);
        partial.parts += 1;
        if partial.block.len() > BLOCK || partial.parts > PARTS {
            return Err(Code::Calm.into());
        }
        if frame.has(frame::END_HEADERS) {
            return self.block(partial.stream, partial.flags, &partial.block);
        }
        self.partial = Some(partial);
        Ok(())
    }

    /// A whole header block. Whatever becomes of it, the table is as it says.
    fn block(&mut self, number: u32, flags: u8, block: &[u8]) -> Result<(), Fault> {
        let is_last = flags & frame::END_STREAM != 0;
        if number > self.last {
            self.last = number;
            return self.request(number, is_last, block);
        }
        let mut trailers = Trailers::default();
        let read = self.decoder.decode(block, |field| trailers.field(&field));
        read.map_err(|_| Code::Compression)?;
        let Some(at) = self.streams.find(number) else {
            let is_late = self.streams.may_be_late(number);
            return if is_late { Ok(()) } else { Err(Code::Protocol.into()) };
        };
        let stream = self.streams.at(at);
        if stream.upload.is_ended() {
            return Err(closed(number));
        }
        let malformed = Fault::Stream(number, Code::Protocol);
        let trailers = trailers.finish().ok().filter(|_| is_last).ok_or(malformed)?;
        stream.upload.end(trailers, &stream.near).map_err(|_| malformed)
    }

    fn request(&mut self, number: u32, is_last: bool, block: &[u8]) -> Result<(), Fault> {
        let mut asked = Asked::new();
        let read = self.decoder.decode(block, |field| asked.field(&field));
        read.map_err(|_| Code::Compression)?;
        if self.streams.open() >= STREAMS || self.leaving == Leaving::Told {
            return Err(Fault::Stream(number, Code::Refused));
        }
        let ready = asked.finish(is_last).map_err(|_| Fault::Stream(number, Code::Protocol))?;
        let at = self.streams.open_one(number, &self.begin);
        let at = at.ok_or(Fault::Stream(number, Code::Refused))?;
        self.is_used = true;
        let stream = self.streams.at(at);
        stream.near.put(&ready.text);
        stream.upload = Upload::new(ready.form);
        stream.answer = super::answer::Answer::new(ready.is_head);
        stream.credit = Credit::new(self.first_credit);
        stream.allowance = Allowance::new(WINDOW);
        if is_last {
            // It is as long as it says, which was looked at.
            let _ = stream.upload.end(Vec::new(), &stream.near);
        }
        Ok(())
    }

    fn priority(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream == 0 {
            return Err(Code::Protocol.into());
        }
        match (frame.payload.len(), self.streams.find(frame.stream)) {
            (5, _) => Ok(()),
            (_, Some(_)) => Err(Fault::Stream(frame.stream, Code::FrameSize)),
            (_, None) => Err(Code::FrameSize.into()),
        }
    }

    fn client_reset(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        frame.number()?;
        self.check_begun(frame.stream)?;
        if let Some(at) = self.streams.find(frame.stream) {
            self.close(at);
            self.spend_patience();
        }
        Ok(())
    }

    fn settings(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Code::Protocol.into());
        }
        if frame.has(frame::ACK) {
            return if frame.payload.is_empty() { Ok(()) } else { Err(Code::FrameSize.into()) };
        }
        let (settings, rest) = frame.payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Code::FrameSize.into());
        }
        let mut window = self.first_credit;
        for [a, b, value @ ..] in settings {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*a, *b]) {
                // The next block begins with the edge's own, which is none (RFC 7541, 4.2).
                HEADER_TABLE_SIZE => self.tells_table = true,
                ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Code::Protocol.into()),
                INITIAL_WINDOW_SIZE if value > ALL => return Err(Code::FlowControl.into()),
                INITIAL_WINDOW_SIZE => window = value,
                MAX_FRAME_SIZE if !(frame::MOST..1 << 24).contains(&(value as usize)) => {
                    return Err(Code::Protocol.into());
                }
                _ => {}
            }
        }
        self.stage = Stage::Open;
        self.out.frame(frame::SETTINGS, frame::ACK, 0, &[]);
        self.set_window(window)
    }

    /// Changes the windows of all streams (RFC 9113, 6.9.2).
    fn set_window(&mut self, window: u32) -> Result<(), Fault> {
        let by = i64::from(window) - i64::from(self.first_credit);
        self.first_credit = window;
        if by == 0 {
            return Ok(());
        }
        for at in self.streams.all() {
            self.streams.at(at).widen(by)?;
            self.queue(at);
        }
        Ok(())
    }

    fn ping(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream != 0 {
            return Err(Code::Protocol.into());
        }
        if frame.payload.len() != 8 {
            return Err(Code::FrameSize.into());
        }
        if !frame.has(frame::ACK) {
            self.out.frame(frame::PING, frame::ACK, 0, frame.payload);
        } else if frame.payload == HEARD && self.leaving == Leaving::Asked {
            self.out.go_away(self.last, Code::NoError);
            self.leaving = Leaving::Told;
        }
        Ok(())
    }

    fn client_leaves(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match (frame.stream, frame.payload.len()) {
            (0, 8..) => {
                self.is_left = true;
                Ok(())
            }
            (0, _) => Err(Code::FrameSize.into()),
            _ => Err(Code::Protocol.into()),
        }
    }

    fn window_update(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let by = i64::from(frame.number()?) & LARGEST;
        if frame.stream == 0 {
            if by == 0 {
                return Err(Code::Protocol.into());
            }
            self.credit.add(by).ok_or(Code::FlowControl)?;
            self.turns.extend(self.blocked.drain(..));
            return Ok(());
        }
        self.check_begun(frame.stream)?;
        let Some(at) = self.streams.find(frame.stream) else { return Ok(()) };
        if by == 0 {
            return Err(Fault::Stream(frame.stream, Code::Protocol));
        }
        self.streams.at(at).widen(by).map_err(|code| Fault::Stream(frame.stream, code))?;
        self.queue(at);
        Ok(())
    }

    /// A stream may have something to send.
    pub(super) fn queue(&mut self, at: u16) {
        if !std::mem::replace(&mut self.streams.at(at).is_queued, true) {
            self.turns.push_back(at);
        }
    }

    /// Asks the client to begin no more streams (RFC 9113, 6.8). Those that it begins before it hears that are answered.
    pub(super) fn leave(&mut self) {
        if self.leaving == Leaving::No && !self.is_over() {
            self.leaving = Leaving::Asked;
            self.out.go_away(ALL, Code::NoError);
            self.out.frame(frame::PING, 0, 0, HEARD);
        }
    }

    /// Ends it where one side is about to go and all is answered.
    pub(super) fn end_if_done(&mut self) {
        let is_ending = self.is_left || self.leaving == Leaving::Told;
        if is_ending && self.streams.open() == 0 && !self.is_over() {
            if self.leaving != Leaving::Told {
                self.out.go_away(self.last, Code::NoError);
            }
            self.stage = Stage::Over;
        }
    }

    /// Gives back what a connection that rests need not hold.
    pub(super) fn rest(&mut self) {
        self.out.rest();
        if self.turns.is_empty() && self.streams.are_done() {
            self.streams.rest();
        }
    }

    /// The client is gone: nobody works for it any more than has to be.
    pub(super) fn lose(&mut self) {
        self.stage = Stage::Over;
        self.partial = None;
        for at in self.streams.all() {
            self.close(at);
        }
    }
}

fn closed(number: u32) -> Fault {
    Fault::Stream(number, Code::StreamClosed)
}
