//! One request, from its head to the last byte of its answer.

use crate::access::{Asked, Noted, Went};
use crate::count::Entry;
use crate::register::Register;
use crate::tally::{Tally, add};
use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One request as it is seen. Counts when it is dropped.
pub struct Visit {
    tally: Rc<Tally>,
    /// Boxed: a log is rare, and must not make every connection larger.
    noted: Option<Box<Noted>>,
    timing: bool,
    began: Instant,
    /// When it was handed to an instance, the last time.
    handed: Cell<Option<Instant>>,
    /// When its answer began.
    first: Cell<Option<Instant>>,
    tries: Cell<u32>,
    status: Cell<u16>,
    own: Cell<Option<&'static str>>,
    received: Cell<u64>,
    sent: Cell<u64>,
    kind: Cell<Kind>,
    end: Cell<End>,
    /// When, where that was looked at.
    ended: Cell<Option<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Stream,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Left,
    Whole,
    Broken,
    Closed,
}

impl Visit {
    /// A client's request whose head was understood, or could not be: then nothing is known of it.
    pub fn begin(register: &Register, client: &str, asked: Option<&Asked<'_>>) -> Visit {
        let tally = register.tally(None);
        add(&tally.requests, 1);
        let noted = register.outlet().map(|outlet| Box::new(Noted::new(outlet, client, asked)));
        Visit {
            tally,
            noted,
            timing: register.tells_timing(),
            began: Instant::now(),
            handed: Cell::new(None),
            first: Cell::new(None),
            tries: Cell::new(0),
            status: Cell::new(0),
            own: Cell::new(None),
            received: Cell::new(0),
            sent: Cell::new(0),
            kind: Cell::new(Kind::Request),
            end: Cell::new(End::Left),
            ended: Cell::new(None),
        }
    }

    /// The rule at this place of the table takes it.
    pub fn matched(&mut self, register: &Register, rule: usize) {
        self.tally.requests.set(self.tally.requests.get() - 1);
        self.tally = register.tally(Some(rule));
        add(&self.tally.requests, 1);
    }

    /// Lines that the instance gets beside those of the request: an id that the log has too, where it has none.
    pub fn request_lines(&self) -> &str {
        self.noted.as_ref().map_or("", |noted| noted.lines())
    }

    /// It is handed to an instance, as the first or as one more.
    pub fn handed(&self, to: &Rc<Entry>, again: Again) {
        if again == Again::Yes {
            add(&self.tally.retries, 1);
        }
        self.tries.set(self.tries.get() + 1);
        if self.timing {
            self.handed.set(Some(Instant::now()));
        }
        if let Some(noted) = &self.noted {
            noted.handed(to);
        }
    }

    /// The head of an instance's answer is there; one that is not interim.
    pub fn answered(&self, status: u16) {
        self.status.set(status);
        if self.noted.is_some() {
            self.first.set(Some(Instant::now()));
        }
    }

    /// Calls `then` with the lines that an instance's answer is given.
    pub fn with_answer_lines<T>(&self, then: impl FnOnce(&str) -> T) -> T {
        if !self.timing {
            return then("");
        }
        let now = Instant::now();
        let instance = self.handed.get().map_or(Duration::ZERO, |handed| now - handed);
        let edge = (now - self.began).saturating_sub(instance);
        let ms = |span: Duration| span.as_secs_f64() * 1000.0;
        let mut line = [0; 128];
        let mut rest = &mut line[..];
        // Two durations of whole years have room.
        let _ = write!(rest, "Server-Timing: edge;dur={:.3}, instance;dur={:.3}\r\n", ms(edge), ms(instance));
        let length = 128 - rest.len();
        then(std::str::from_utf8(&line[..length]).unwrap_or_default())
    }

    /// It has become a stream: a websocket, or server-sent events.
    pub fn became_stream(&self) {
        if self.kind.replace(Kind::Stream) == Kind::Request {
            let tally = &self.tally;
            tally.requests.set(tally.requests.get() - 1);
            add(&tally.streams, 1);
            self.count_answer();
        }
    }

    /// Bytes of its body came.
    pub fn received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    /// Bytes of the answer's body were handed to the client's socket.
    pub fn sent(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
    }

    /// The edge itself answers it.
    pub fn own(&self, status: u16, reason: &'static str) {
        self.status.set(status);
        self.own.set(Some(reason));
    }

    /// The answer was handed to the client whole: at the moment that this returns.
    pub fn whole(&self) -> Instant {
        let now = Instant::now();
        self.end.set(End::Whole);
        self.ended.set(Some(now));
        now
    }

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    fn took(&self) -> Duration {
        self.ended.get().unwrap_or_else(Instant::now) - self.began
    }

    /// The edge ended the stream, as the service's policy says.
    pub fn closed(&self) {
        self.end.set(End::Closed);
    }

    /// The answer broke off at the instance.
    pub fn broke(&self) {
        self.end.set(End::Broken);
    }

    fn write_down(&self, noted: &Noted) {
        let went = Went {
            status: self.status.get(),
            received: self.received.get(),
            sent: self.sent.get(),
            took: self.took(),
            first: self.first.get().map(|first| first - self.began),
            tries: self.tries.get(),
            reason: self.own.get(),
            end: match self.end.get() {
                End::Left => "client-left",
                End::Whole => "whole",
                End::Broken => "broken-off",
                End::Closed => "closed",
            },
        };
        noted.write(&went, &self.tally.named.borrow());
    }

    fn count_answer(&self) {
        let class = usize::from(self.status.get() / 100).min(5);
        add(&self.tally.answers[class], 1);
    }
}

/// A connection that is a stream as a whole, as it is seen. Counts when it is dropped.
pub struct Passing(Rc<Tally>);

impl Passing {
    /// It has begun, by the rule at this place of the table, if one took it.
    pub fn begin(register: &Register, rule: Option<usize>) -> Passing {
        let tally = register.tally(rule);
        add(&tally.streams, 1);
        Passing(tally)
    }
}

impl Passing {
    /// The edge ended it, as the service's policy says.
    pub fn closed(&self) {
        add(&self.0.closed, 1);
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        add(&self.0.streams_over, 1);
        self.0.streams.set(self.0.streams.get() - 1);
    }
}

/// Whether an instance had a request before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is the first.
    No,
    /// Another had it, or the same.
    Yes,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(noted) = &self.noted {
            self.write_down(noted);
        }
        let tally = &self.tally;
        add(&tally.received, self.received.get());
        add(&tally.sent, self.sent.get());
        if let Some(reason) = self.own.get() {
            tally.own(self.status.get(), reason);
        }
        match self.end.get() {
            End::Left => add(&tally.left, 1),
            End::Broken => add(&tally.broken, 1),
            End::Closed => add(&tally.closed, 1),
            End::Whole if self.kind.get() == Kind::Request => tally.latencies.record(self.took()),
            End::Whole => {}
        }
        match self.kind.get() {
            Kind::Request => {
                self.count_answer();
                tally.requests.set(tally.requests.get() - 1);
            }
            Kind::Stream => {
                add(&tally.streams_over, 1);
                tally.streams.set(tally.streams.get() - 1);
            }
        }
    }
}
