//! The streams of a connection, each in a place that is used again: what it takes to answer a request is there already
//! when the next one comes.

use super::answer::Answer;
use super::frame::Code;
use super::ring::{Ring, SOCKET};
use super::upload::Upload;
use super::window::{Allowance, Credit};
use naru_carry::{End, Lent, pipe};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

/// Places: streams that are open, and as many whose client has gone while somebody works on them.
const PLACES: usize = SOCKET as usize;

/// Places that a connection without streams keeps.
const KEPT: usize = 8;

/// Streams that the edge has reset, and of which frames may still be under way.
const RESETS: usize = 256;

/// Where streams were found last, by their number.
const HINTS: usize = 128;

/// A stream, and who works on it.
pub(super) struct Stream<F: Future<Output = ()>> {
    /// Its number; 0 once neither side has anything more to say.
    pub(super) number: u32,
    /// The end of its pipe.
    pub(super) near: End,
    /// What is at the other end.
    work: Option<Lent<F>>,
    bell: Waker,
    pub(super) upload: Upload,
    pub(super) answer: Answer,
    pub(super) credit: Credit,
    pub(super) allowance: Allowance,
    /// Whether it waits for its turn to send.
    pub(super) is_queued: bool,
    /// Whether nobody has looked at it yet.
    is_fresh: bool,
}

/// All of a connection's.
pub(super) struct Streams<F: Future<Output = ()>> {
    places: Vec<Stream<F>>,
    free: Vec<u16>,
    open: usize,
    hints: [u8; HINTS],
    resets: VecDeque<u32>,
    ring: Arc<Ring>,
}

impl<F: Future<Output = ()>> Streams<F> {
    pub(super) fn new(ring: Arc<Ring>) -> Streams<F> {
        Streams {
            places: Vec::new(),
            free: Vec::new(),
            open: 0,
            hints: [0; HINTS],
            resets: VecDeque::new(),
            ring,
        }
    }

    /// How many are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether nobody works on any of them.
    pub(super) fn are_done(&self) -> bool {
        self.free.len() == self.places.len()
    }

    pub(super) fn at(&mut self, at: u16) -> &mut Stream<F> {
        &mut self.places[usize::from(at)]
    }

    /// The places of those that are open.
    pub(super) fn all(&self) -> impl Iterator<Item = u16> + use<F> {
        let open = self.places.iter().enumerate().filter(|(_, stream)| stream.number != 0);
        open.map(|(at, _)| at as u16).collect::<Vec<_>>().into_iter()
    }

    /// Where an open stream is.
    pub(super) fn find(&self, number: u32) -> Option<u16> {
        let hint = u16::from(self.hints[hint(number)]);
        if self.places.get(usize::from(hint)).is_some_and(|stream| stream.number == number) {
            return Some(hint);
        }
        self.places.iter().position(|stream| stream.number == number).map(|at| at as u16)
    }

    /// Opens a stream, whose other end is served by what `begin` makes. `None`: there are too many.
    pub(super) fn open_one(&mut self, number: u32, begin: impl FnOnce(End) -> F) -> Option<u16> {
        let at = self.place()?;
        let stream = &mut self.places[usize::from(at)];
        let far = match stream.near.renew() {
            Some(far) => far,
            None => {
                let (near, far) = pipe();
                stream.near = near;
                far
            }
        };
        stream.work = Some(naru_carry::lend(|| begin(far)));
        (stream.number, stream.is_fresh) = (number, true);
        self.hints[hint(number)] = at as u8;
        self.open += 1;
        self.ring.ring(at);
        Some(at)
    }

    /// A place that is free.
    fn place(&mut self) -> Option<u16> {
        if let Some(at) = self.free.pop() {
            return Some(at);
        }
        let at = u16::try_from(self.places.len()).ok().filter(|at| usize::from(*at) < PLACES)?;
        self.places.push(Stream {
            number: 0,
            near: pipe().0,
            work: None,
            bell: self.ring.bell(at),
            upload: Upload::default(),
            answer: Answer::default(),
            credit: Credit::default(),
            allowance: Allowance::new(0),
            is_queued: false,
            is_fresh: false,
        });
        Some(at)
    }

    /// Neither side has anything more to say. Says how much of what the client sent went nowhere.
    pub(super) fn close(&mut self, at: u16) -> usize {
        let stream = &mut self.places[usize::from(at)];
        let unread = stream.upload.waiting();
        stream.number = 0;
        stream.near.leave();
        stream.upload = Upload::default();
        stream.answer = Answer::default();
        if stream.is_fresh {
            stream.work = None;
        }
        self.open -= 1;
        self.free_if_done(at);
        unread
    }

    /// Has whoever works on a stream go on. Whether that stream is open.
    pub(super) fn work(&mut self, at: u16) -> bool {
        let Some(stream) = self.places.get_mut(usize::from(at)) else { return false };
        stream.is_fresh = false;
        let Some(work) = &mut stream.work else { return false };
        if Pin::new(work).poll(&mut Context::from_waker(&stream.bell)).is_ready() {
            stream.work = None;
            if stream.number == 0 {
                self.free_if_done(at);
                return false;
            }
        }
        stream.number != 0
    }

    fn free_if_done(&mut self, at: u16) {
        let stream = &self.places[usize::from(at)];
        if stream.number == 0 && stream.work.is_none() {
            self.free.push(at);
        }
    }

    /// Gives back what a connection that rests need not hold.
    pub(super) fn rest(&mut self) {
        if self.are_done() && self.places.len() > KEPT {
            self.places.truncate(KEPT);
            self.places.shrink_to_fit();
            self.free = (0..KEPT as u16).collect();
        }
    }

    /// The edge has reset that one.
    pub(super) fn was_reset(&mut self, number: u32) {
        if self.resets.len() == RESETS {
            self.resets.pop_front();
        }
        self.resets.push_back(number);
    }

    /// Whether frames of a closed stream may have been sent before its client knew.
    pub(super) fn may_be_late(&self, number: u32) -> bool {
        self.resets.contains(&number)
    }
}

impl<F: Future<Output = ()>> Stream<F> {
    /// So much of what came has gone on. Says by how much the client is to be told that its window grows, if it is.
    pub(super) fn release(&mut self, n: usize) -> Option<u32> {
        let told = self.allowance.release(n);
        told.filter(|_| !self.upload.is_ended())
    }

    /// # Errors
    /// The client makes the window larger than the largest.
    pub(super) fn widen(&mut self, by: i64) -> Result<(), Code> {
        self.credit.add(by).ok_or(Code::FlowControl)
    }
}

fn hint(number: u32) -> usize {
    (number / 2) as usize % HINTS
}
