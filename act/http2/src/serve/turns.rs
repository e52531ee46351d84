//! Sending: streams that have something take turns, a frame each.

use super::answer::{Sent, To};
use super::connection::Connection;
use super::frame::{Code, HEAD, MOST};
use naru_carry::End;
use std::future::Future;

/// Bytes that are put together before they are written: few enough to be fair, and more would not make the system's
/// calls cheaper.
const TOGETHER: usize = 64 * 1024;

impl<F: Future<Output = ()>, B: Fn(End) -> F> Connection<F, B> {
    /// Has whoever works on a stream go on, and sees what came of it.
    pub(super) fn work(&mut self, at: u16) {
        if !self.streams.work(at) {
            return;
        }
        let stream = self.streams.at(at);
        if stream.upload.is_waiting() {
            let n = stream.upload.push(&stream.near);
            self.went_on(at, n);
        }
        self.queue(at);
    }

    /// Puts frames together, as many as are written at once. Whether there are more.
    pub(super) fn send(&mut self) -> bool {
        while self.out.bytes().len() + HEAD + MOST <= TOGETHER {
            let Some(at) = self.turns.pop_front() else {
                self.end_if_done();
                return false;
            };
            self.turn(at);
        }
        !self.turns.is_empty()
    }

    fn turn(&mut self, at: u16) {
        let stream = self.streams.at(at);
        if stream.number == 0 {
            stream.is_queued = false;
            return;
        }
        let number = stream.number;
        let sent = stream.answer.send(
            &stream.near,
            To {
                stream: number,
                out: self.out.end(),
                credit: &mut stream.credit,
                connection: &mut self.credit,
                tells_table: &mut self.tells_table,
            },
        );
        if sent == Sent::Switched {
            let n = stream.upload.switch(&stream.near);
            self.went_on(at, n);
        }
        match sent {
            Sent::Part | Sent::Switched => return self.turns.push_back(at),
            Sent::NoRoom => return self.blocked.push(at),
            Sent::Waits | Sent::Whole | Sent::Broken => self.streams.at(at).is_queued = false,
        }
        match sent {
            Sent::Whole => self.answered(at, number),
            Sent::Broken => self.reset(number, Code::Internal),
            _ => {}
        }
    }

    /// The client has the whole answer.
    fn answered(&mut self, at: u16, number: u32) {
        if self.streams.at(at).upload.is_ended() {
            self.close(at);
        } else {
            // What is left of the request is of no use (RFC 9113, 8.1).
            self.reset(number, Code::NoError);
        }
    }
}
