//! Frames that are about the connection itself: settings, windows, PING, and its end in order (RFC 9113, 6.3 and 6.5 to
//! 6.9).

use super::connection::{Connection, Fault, Stage};
use super::frame::{self, Code, Frame, Out};
use super::window::LARGEST;
use naru_carry::End;
use std::future::Future;

/// Streams of one connection at a time: what browsers, and most servers, have as well.
pub(super) const STREAMS: usize = 128;

/// What a stream may send before it is read: enough for a gigabit over 8 ms.
pub(super) const WINDOW: u32 = 1024 * 1024;

/// The same for all streams of a connection.
pub(super) const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// A window's first size, where nothing is said of it.
pub(super) const FIRST_WINDOW: u32 = 65_535;

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

/// How far its end in order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client was told to begin no more streams.
    Asked,
    /// It has heard that, and was told which was the last.
    Told,
}

/// Says how the edge wants to be spoken to.
pub(super) fn greet(out: &mut Out) {
    out.settings(&[
        (MAX_CONCURRENT_STREAMS, STREAMS as u32),
        (INITIAL_WINDOW_SIZE, WINDOW),
        (MAX_HEADER_LIST_SIZE, naru_wire::REQUEST_HEAD as u32),
        (ENABLE_CONNECT_PROTOCOL, 1),
    ]);
    out.window_update(0, CONNECTION_WINDOW - FIRST_WINDOW);
}

impl<F: Future<Output = ()>, B: Fn(End) -> F> Connection<F, B> {
    pub(super) fn settings(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
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
        if self.stage == Stage::Settings {
            self.stage = Stage::Open;
            // It has as long for its first request as for any.
            self.is_used = true;
        }
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

    pub(super) fn window_update(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
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

    pub(super) fn ping(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
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

    pub(super) fn client_leaves(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match (frame.stream, frame.payload.len()) {
            (0, 8..) => {
                self.is_left = true;
                Ok(())
            }
            (0, _) => Err(Code::FrameSize.into()),
            _ => Err(Code::Protocol.into()),
        }
    }

    pub(super) fn priority(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream == 0 {
            return Err(Code::Protocol.into());
        }
        match (frame.payload.len(), self.streams.find(frame.stream)) {
            (5, _) => Ok(()),
            (_, Some(_)) => Err(Fault::Stream(frame.stream, Code::FrameSize)),
            (_, None) => Err(Code::FrameSize.into()),
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
}
