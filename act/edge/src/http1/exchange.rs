//! One request and its answer over two connections: both directions at once, in one task.
//!
//! Upward, the request goes out as it arrives; what was sent stays in the inbox for as long as it fits, so
//! that it can be sent again. Once all is sent, the client is watched: when it leaves, so does the request.
//! A client that closes its sending side has left, as most servers see it: one that is gone looks the same.
//! Downward, each piece of the answer is written before the next is read, which is all the back-pressure
//! there is.

use super::wanted;
use crate::drain::Drain;
use crate::route::Route;
use crate::search::Search;
use naru_answers::Encoder;
use naru_books::{Claim, Visit};
use naru_carry::{HeadText, Inbox, Reader, SIZE, Writer, write_all};
use naru_wire::{
    Answering, Body, Coding, Events, Framing, Nature, Reject, Repeat, RequestHead, ResponseHead, Version,
    What, find_end, response,
};
use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// How long an instance may take no byte of a request's body. Only against connections that never end: an
/// instance may well work on the beginning of a body before it reads on.
const INSTANCE_STALL: Duration = Duration::from_secs(3600);

/// What an exchange works on.
pub(super) struct Exchange<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) text: &'a [u8],
    pub(super) route: &'a Route,
    pub(super) search: &'a Search<'a>,
    /// How the client came: `http` or `https`.
    pub(super) scheme: &'static str,
    pub(super) claim: &'a mut Claim,
    /// What the instance sent and is not passed on yet.
    pub(super) answer: &'a mut Inbox,
    pub(super) sending: &'a Sending,
    pub(super) visit: &'a Visit,
    pub(super) written: &'a Cell<u64>,
    pub(super) stall: Duration,
    /// What is changed of the answer.
    pub(super) answering: &'a Answering<'a>,
    /// What ends the stream that it may become.
    pub(super) drain: Option<&'a Drain>,
}

/// How far the request is.
#[derive(Default)]
pub(super) struct Sending {
    state: Cell<Sent>,
    /// When the instance had the whole request, where it is told how long it may take.
    completed: Cell<Option<Instant>>,
    in_inbox: Cell<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Sent {
    /// All that was sent is still in the inbox.
    #[default]
    Kept,
    /// Part of it is gone.
    Dropped,
    CompleteKept,
    CompleteDropped,
}

impl Sending {
    /// Whether the request can be sent from its beginning once more.
    pub(super) fn can_repeat(&self) -> bool {
        matches!(self.state.get(), Sent::Kept | Sent::CompleteKept)
    }

    /// Whether the whole request was sent.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state.get(), Sent::CompleteKept | Sent::CompleteDropped)
    }

    /// How much of the body is still in the inbox; what follows is the next request's.
    pub(super) fn in_inbox(&self) -> usize {
        self.in_inbox.get()
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The answer was handed to the client whole.
    Complete(ResponseHead),
    /// The answer was 101, and the client has it.
    Upgraded,
    ClientGone,
    /// The instance's connection failed before any byte of an answer.
    NoAnswer,
    /// No answer began in time.
    Silent,
    /// The answer is such that another instance is asked; the client has nothing of it.
    Elsewhere,
    /// What came is no answer; the client has nothing of it.
    BadAnswer(Reject),
    /// The answer's stream was ended here, in order.
    Closed,
    /// The answer began and broke off.
    Broken(Framing),
    /// The request's body is invalid, and no answer has begun.
    BadRequest(Reject),
}

/// What ends the upward direction.
enum Up {
    ClientGone,
    InstanceFailed,
    Bad(Reject),
}

impl Exchange<'_> {
    /// Carries the exchange out.
    pub(super) async fn run(
        self,
        client: (&mut Reader<'_>, &mut Writer<'_>, &mut Inbox),
        instance: (Reader<'_>, Writer<'_>),
    ) -> End {
        let (mut from_instance, mut to_instance) = instance;
        let mut upward = Upward {
            body: Body::new(self.head.framing),
            text: self.text,
            sending: self.sending,
            visit: self.visit,
            written: self.written,
            stall: self.stall,
            patience: self.search.response_timeout(),
        };
        let (patience, sending_state, search) = (upward.patience, self.sending, self.search);
        let begun = Cell::new(false);
        let mut downward = Downward { exchange: self, out: HeadText::borrow(), heard: false, begun: &begun };
        let mut up = pin!(upward.run(client.0, client.2, &mut to_instance));
        let mut down = pin!(downward.run(&mut from_instance, client.1));
        let mut sending = true;
        let both = poll_fn(|cx| {
            // Once all is sent, the answer is what is waited for: the client is looked at after it.
            let sent = sending_state.is_complete();
            if sent && let Poll::Ready(end) = down.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            if sending && let Poll::Ready(up) = up.as_mut().poll(cx) {
                match up {
                    // It may have answered all the same: reading tells.
                    Up::InstanceFailed => sending = false,
                    Up::Bad(reject) if !begun.get() => return Poll::Ready(End::BadRequest(reject)),
                    Up::ClientGone | Up::Bad(_) => return Poll::Ready(End::ClientGone),
                }
            }
            if sent { Poll::Pending } else { down.as_mut().poll(cx) }
        });
        match patience {
            None => both.await,
            // Boxed: what is rare must not make every connection larger.
            Some(limit) => Box::pin(unless_silent(both, limit, sending_state, search)).await,
        }
    }
}

/// The request's direction.
struct Upward<'a> {
    body: Body,
    text: &'a [u8],
    sending: &'a Sending,
    visit: &'a Visit,
    written: &'a Cell<u64>,
    stall: Duration,
    /// How long the instance may take to begin its answer.
    patience: Option<Duration>,
}

impl Upward<'_> {
    async fn run(&mut self, from: &mut Reader<'_>, inbox: &mut Inbox, to: &mut Writer<'_>) -> Up {
        match self.send(from, inbox, to).await {
            Ok(()) => watch(from, inbox).await,
            Err(up) => up,
        }
    }

    async fn send(
        &mut self,
        from: &mut Reader<'_>,
        inbox: &mut Inbox,
        to: &mut Writer<'_>,
    ) -> Result<(), Up> {
        let (mut text, mut sent) = (self.text, 0);
        loop {
            let rest = &inbox.bytes()[sent..];
            let n = self.body.take(rest).map_err(Up::Bad)?;
            let written = write_all(to, [text, &rest[..n]], INSTANCE_STALL, self.written).await;
            written.map_err(|_| Up::InstanceFailed)?;
            text = &[];
            sent += n;
            self.visit.received(n);
            self.sending.in_inbox.set(sent);
            if self.body.is_done() {
                let kept = self.sending.can_repeat();
                self.sending.state.set(if kept { Sent::CompleteKept } else { Sent::CompleteDropped });
                self.sending.completed.set(self.patience.map(|_| Instant::now()));
                return Ok(());
            }
            if sent == SIZE || self.sending.state.get() == Sent::Dropped {
                self.sending.state.set(Sent::Dropped);
                inbox.consume(sent);
                sent = 0;
                self.sending.in_inbox.set(0);
            }
            self.receive(from, inbox).await?;
        }
    }

    async fn receive(&self, from: &mut Reader<'_>, inbox: &mut Inbox) -> Result<(), Up> {
        let read = match poll_fn(|cx| Poll::Ready(inbox.poll_fill(cx, from))).await {
            Poll::Ready(read) => read,
            Poll::Pending => match tokio::time::timeout(self.stall, inbox.fill(from)).await {
                Ok(read) => read,
                Err(_) => return Err(Up::ClientGone),
            },
        };
        if matches!(read, Ok(1..)) { Ok(()) } else { Err(Up::ClientGone) }
    }
}

/// Waits until the client is gone. What it sends meanwhile is its next request's.
async fn watch(from: &mut Reader<'_>, inbox: &mut Inbox) -> Up {
    while !inbox.is_full() {
        if !matches!(inbox.fill(from).await, Ok(1..)) {
            return Up::ClientGone;
        }
    }
    pending().await
}

/// An exchange that ends where the instance has the whole request for so long and has not begun to answer.
async fn unless_silent(
    both: impl Future<Output = End>,
    limit: Duration,
    sending: &Sending,
    search: &Search<'_>,
) -> End {
    let silent = async {
        while !search.is_answered() {
            let due = sending.completed.get().map(|since| since + limit);
            if due.is_some_and(|due| due <= Instant::now()) {
                return;
            }
            tokio::time::sleep_until(due.unwrap_or_else(|| Instant::now() + limit)).await;
        }
        pending().await
    };
    tokio::select! {
        biased;
        end = both => end,
        () = silent => End::Silent,
    }
}

/// The answer's direction.
struct Downward<'a> {
    exchange: Exchange<'a>,
    /// The answer's head as the client gets it.
    out: HeadText,
    /// Whether any byte of an answer came.
    heard: bool,
    /// Whether the client has any of the answer; interim ones do not count.
    begun: &'a Cell<bool>,
}

impl Downward<'_> {
    async fn run(&mut self, from: &mut Reader<'_>, to: &mut Writer<'_>) -> End {
        loop {
            let head = match self.head(from).await {
                Ok(head) => head,
                Err(end) => return end,
            };
            match head.nature {
                Nature::Interim if self.exchange.head.version == Version::Http10 => continue,
                Nature::Interim => {
                    if self.write(to, 0).await.is_err() {
                        return End::ClientGone;
                    }
                    self.begun.set(false);
                    continue;
                }
                Nature::Upgraded => {
                    self.exchange.claim.become_stream();
                    self.exchange.visit.became_stream();
                    let written = self.write(to, 0).await;
                    return if written.is_ok() { End::Upgraded } else { End::ClientGone };
                }
                Nature::Events => {
                    self.exchange.claim.become_stream();
                    self.exchange.visit.became_stream();
                }
                Nature::Answer => {}
            }
            return match self.body(head, from, to).await {
                Ok(()) => End::Complete(head),
                Err(end) => end,
            };
        }
    }

    /// Reads the next head into `out`.
    async fn head(&mut self, from: &mut Reader<'_>) -> Result<ResponseHead, End> {
        let mut seen = 0;
        loop {
            let answer = &mut *self.exchange.answer;
            if let Some(end) = find_end(answer.bytes(), seen).map_err(End::BadAnswer)? {
                self.out.clear();
                let wanted = wanted(self.exchange.head, self.exchange.route);
                let head = &answer.bytes()[..end];
                let stay = self.exchange.search.stay_lines(self.exchange.scheme);
                let head = self.exchange.visit.with_answer_lines(|lines| {
                    let both = if stay.is_empty() { stay } else { stay + lines };
                    let lines = if both.is_empty() { lines } else { &both };
                    let answering = Answering { lines, ..*self.exchange.answering };
                    response(head, self.exchange.head, wanted, &answering, &mut self.out)
                });
                answer.consume(end);
                let head = head.map_err(End::BadAnswer)?;
                if head.nature != Nature::Interim {
                    self.exchange.search.answered(head.status);
                    if self.is_better_elsewhere(head) {
                        return Err(End::Elsewhere);
                    }
                    self.exchange.visit.answered(head.status);
                }
                return Ok(head);
            }
            seen = answer.bytes().len();
            if answer.is_full() {
                return Err(End::BadAnswer(Reject::bad("the head is too long")));
            }
            if !matches!(answer.fill(from).await, Ok(1..)) {
                let broken = End::BadAnswer(Reject::bad("it broke off in the head"));
                return Err(if self.heard { broken } else { End::NoAnswer });
            }
            self.heard = true;
        }
    }

    /// Whether another instance is asked instead: this one's answer is no good, and asking again is safe.
    fn is_better_elsewhere(&self, head: ResponseHead) -> bool {
        let Exchange { head: request, sending, search, claim, .. } = &self.exchange;
        head.nature == Nature::Answer
            && request.repeat == Repeat::Allowed
            && sending.can_repeat()
            && search.is_better_elsewhere(head.status, claim)
    }

    /// Passes the body on; the head goes out with its first piece.
    async fn body(
        &mut self,
        head: ResponseHead,
        from: &mut Reader<'_>,
        to: &mut Writer<'_>,
    ) -> Result<(), End> {
        if let Some(coding) = head.coding {
            // Boxed: what is rare must not make every connection larger.
            return Box::pin(self.coded(head, coding, from, to)).await;
        }
        if let Some(drain) = self.exchange.drain
            && head.nature == Nature::Events
            && !matches!(head.framing, Framing::Length(_))
        {
            return Box::pin(self.events(head, drain, from, to)).await;
        }
        let mut body = Body::new(head.framing);
        let unchunk = head.framing == Framing::Chunked && self.exchange.head.version == Version::Http10;
        loop {
            let passed =
                if unchunk { self.unchunk(&mut body, to).await } else { self.pass(&mut body, to).await };
            match passed {
                Ok(()) => {}
                Err(Passing::Client) => return Err(End::ClientGone),
                Err(Passing::Invalid(reject)) if !self.begun.get() => return Err(End::BadAnswer(reject)),
                Err(Passing::Invalid(_)) => return Err(End::Broken(head.framing)),
            }
            if body.is_done() {
                return Ok(());
            }
            match self.exchange.answer.fill(from).await {
                Ok(1..) => {}
                Ok(_) if body.ends_with_close() => return Ok(()),
                Ok(_) | Err(_) => return Err(End::Broken(head.framing)),
            }
        }
    }

    /// Passes the body on in another coding, in chunks.
    async fn coded(
        &mut self,
        head: ResponseHead,
        coding: Coding,
        from: &mut Reader<'_>,
        to: &mut Writer<'_>,
    ) -> Result<(), End> {
        let broken = |_: io::Error| End::Broken(Framing::Chunked);
        let mut body = Body::new(head.framing);
        let mut encoder = Encoder::new(coding).map_err(broken)?;
        loop {
            let mut data = Vec::new();
            while !body.is_done() && !self.exchange.answer.bytes().is_empty() {
                let bytes = self.exchange.answer.bytes();
                let run = body.run(bytes).map_err(|_| End::Broken(Framing::Chunked))?;
                if run.what == What::Data {
                    data.extend(encoder.encode(&bytes[..run.length]).map_err(broken)?);
                }
                self.exchange.answer.consume(run.length);
            }
            self.chunk(&data, to).await?;
            if body.is_done() {
                break;
            }
            match self.exchange.answer.fill(from).await {
                Ok(1..) => {}
                Ok(_) if body.ends_with_close() => break,
                Ok(_) | Err(_) => return Err(End::Broken(Framing::Chunked)),
            }
        }
        self.chunk(&encoder.finish().map_err(broken)?, to).await?;
        self.out.extend_from_slice(b"0\r\n\r\n");
        self.write(to, 0).await.map_err(|_| End::ClientGone)
    }

    /// Passes server-sent events on, until they end or, between two of them, it is time to end them. Chunks are made
    /// anew, so that the last one can follow any event.
    async fn events(
        &mut self,
        head: ResponseHead,
        drain: &Drain,
        from: &mut Reader<'_>,
        to: &mut Writer<'_>,
    ) -> Result<(), End> {
        let chunked = head.framing == Framing::Chunked && self.exchange.head.version == Version::Http11;
        let mut passed = Passed { body: Body::new(head.framing), events: Events::default(), due: false };
        let mut due = pin!(drain.due());
        self.write(to, 0).await.map_err(|_| End::ClientGone)?;
        let end = loop {
            let data = passed.take(self.exchange.answer).map_err(|_| End::Broken(head.framing))?;
            if chunked {
                self.chunk(&data, to).await?;
            } else {
                self.raw(&data, to).await?;
            }
            if passed.is_over() {
                break Err(End::Closed);
            }
            if passed.body.is_done() {
                break Ok(());
            }
            let answer = &mut *self.exchange.answer;
            let arrived = poll_fn(|cx| {
                if !passed.due && due.as_mut().poll(cx).is_ready() {
                    passed.due = true;
                    return Poll::Ready(None);
                }
                answer.poll_fill(cx, from).map(Some)
            });
            match arrived.await {
                None | Some(Ok(1..)) => {}
                Some(Ok(_)) if passed.body.ends_with_close() => break Ok(()),
                Some(_) => return Err(End::Broken(head.framing)),
            }
        };
        if chunked {
            self.out.extend_from_slice(b"0\r\n\r\n");
            self.write(to, 0).await.map_err(|_| End::ClientGone)?;
        }
        end
    }

    async fn raw(&mut self, data: &[u8], to: &mut Writer<'_>) -> Result<(), End> {
        self.out.extend_from_slice(data);
        self.hand(data.len(), to).await
    }

    /// Writes the head, if it is still to be written, and a chunk; an empty one would be the last.
    async fn chunk(&mut self, data: &[u8], to: &mut Writer<'_>) -> Result<(), End> {
        if !data.is_empty() {
            self.out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
            self.out.extend_from_slice(data);
            self.out.extend_from_slice(b"\r\n");
        }
        self.hand(data.len(), to).await
    }

    /// Writes what is made, with `n` bytes of the answer in it.
    async fn hand(&mut self, n: usize, to: &mut Writer<'_>) -> Result<(), End> {
        self.write(to, 0).await.map_err(|_| End::ClientGone)?;
        self.exchange.visit.sent(n);
        Ok(())
    }

    async fn pass(&mut self, body: &mut Body, to: &mut Writer<'_>) -> Result<(), Passing> {
        let n = body.take(self.exchange.answer.bytes()).map_err(Passing::Invalid)?;
        self.write(to, n).await.map_err(|_| Passing::Client)
    }

    /// Passes the data alone, for a client that knows no chunks.
    async fn unchunk(&mut self, body: &mut Body, to: &mut Writer<'_>) -> Result<(), Passing> {
        self.write(to, 0).await.map_err(|_| Passing::Client)?;
        while !body.is_done() && !self.exchange.answer.bytes().is_empty() {
            let run = body.run(self.exchange.answer.bytes()).map_err(Passing::Invalid)?;
            match run.what {
                What::Data => self.write(to, run.length).await.map_err(|_| Passing::Client)?,
                What::Framing => self.exchange.answer.consume(run.length),
            }
        }
        Ok(())
    }

    /// Writes the head, if it is still to be written, and the first `n` bytes of what the instance sent.
    async fn write(&mut self, to: &mut Writer<'_>, n: usize) -> io::Result<()> {
        self.begun.set(true);
        let (answer, head) = (&mut *self.exchange.answer, self.out.len());
        // One piece costs the system less than two.
        let joined = n > 0 && head > 0 && answer.prepend(&self.out);
        let length = if joined { head + n } else { n };
        let out = if joined { &[] } else { &self.out[..] };
        let handed = Cell::new(0);
        write_all(to, [out, &answer.bytes()[..length]], self.exchange.stall, &handed).await?;
        self.exchange.visit.sent(n);
        self.out.clear();
        answer.consume(length);
        Ok(())
    }
}

/// How far a stream of events is.
struct Passed {
    body: Body,
    events: Events,
    /// Whether it is to end after the event that is under way.
    due: bool,
}

impl Passed {
    fn is_over(&self) -> bool {
        self.due && self.events.is_between()
    }

    /// Takes what is there; if the stream is to end, up to where it can.
    fn take(&mut self, answer: &mut Inbox) -> Result<Vec<u8>, Reject> {
        let mut data = Vec::new();
        while !(self.body.is_done() || answer.bytes().is_empty() || self.is_over()) {
            let bytes = answer.bytes();
            let run = self.body.run(bytes)?;
            let mut rest = if run.what == What::Data { &bytes[..run.length] } else { &[] };
            while !(rest.is_empty() || self.is_over()) {
                let (event, after) = rest.split_at(self.events.pass(rest).unwrap_or(rest.len()));
                data.extend_from_slice(event);
                rest = after;
            }
            answer.consume(run.length);
        }
        Ok(data)
    }
}

/// Why a piece could not be passed on.
enum Passing {
    Client,
    Invalid(Reject),
}
