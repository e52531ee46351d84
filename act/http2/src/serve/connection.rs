//! What a client's frames do to a connection and its streams (RFC 9113, 5 and 6). No byte is read or written here: frames
//! come out of the bytes that are given, and go into those that are to be written. Here are those that are about streams;
//! `control` has the others.

use super::control::{self, CONNECTION_WINDOW, FIRST_WINDOW, Leaving, STREAMS, WINDOW};
use super::frame::{self, Code, Frame, HEAD, Out, PREFACE};
use super::patience::Patience;
use super::request::{Asked, Trailers};
use super::ring::Ring;
use super::streams::Streams;
use super::upload::Upload;
use super::window::{Allowance, Credit};
use crate::hpack::Decoder;
use naru_carry::End;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

/// Longest header block: more than a list of fields of the length that is taken makes, however it is written.
const BLOCK: usize = 2 * naru_wire::REQUEST_HEAD;

/// Frames of one block: several times what such a block needs.
const PARTS: usize = 32;

/// Bytes that wait to be written above which no more frames are taken: those that have to be answered.
const UNREAD: usize = 128 * 1024;

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
pub(super) enum Stage {
    /// The client has still to greet.
    Preface,
    /// Its settings are due.
    Settings,
    Open,
    /// It ends once all is written.
    Over,
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
    pub(super) first_credit: u32,
    pub(super) tells_table: bool,
    pub(super) stage: Stage,
    pub(super) leaving: Leaving,
    /// Whether the client has said that it is about to go.
    pub(super) is_left: bool,
    /// The last stream that was begun.
    pub(super) last: u32,
    partial: Option<Partial>,
    patience: Patience,
    /// Whether it was opened, or a stream begun, since somebody last asked.
    pub(super) is_used: bool,
}

impl<F: Future<Output = ()>, B: Fn(End) -> F> Connection<F, B> {
    /// A connection that has begun, whose streams are served by what `begin` makes.
    pub(super) fn new(ring: Arc<Ring>, begin: B) -> Connection<F, B> {
        let mut out = Out::default();
        control::greet(&mut out);
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
        if data.is_empty() && !frame.has(frame::END_STREAM) {
            self.spend_patience();
        }
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
    pub(super) fn check_begun(&self, number: u32) -> Result<(), Code> {
        if number % 2 == 1 && number <= self.last { Ok(()) } else { Err(Code::Protocol) }
    }

    fn headers(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream.is_multiple_of(2) {
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

    fn client_reset(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        frame.number()?;
        self.check_begun(frame.stream)?;
        if let Some(at) = self.streams.find(frame.stream) {
            self.close(at);
            self.spend_patience();
        }
        Ok(())
    }

    /// A stream may have something to send.
    pub(super) fn queue(&mut self, at: u16) {
        if !std::mem::replace(&mut self.streams.at(at).is_queued, true) {
            self.turns.push_back(at);
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
