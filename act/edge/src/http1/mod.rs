//! HTTP/1.1: one task for each client connection, which reads requests, has each answered by an instance,
//! and goes on in order.

mod exchange;
mod forward;
mod local;
mod take;

use crate::Config;
use crate::route::{Route, Stage};
use naru_books::Visit;
use naru_carry::{HeadText, Inbox, Over, Reader, Stream, Waiting, Writer, finish, lend, linger, write_all};
use naru_wire::{Method, Persistence, Reject, RequestHead};
use std::cell::Cell;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;
use take::Taken;

/// How a client of HTTP/2 begins, as HTTP/1.1 sees it (RFC 9113, 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Whose requests they are.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The client, or whom a trusted proxy of the transport names.
    source: IpAddr,
    /// The same, as a text.
    address: Rc<str>,
    scheme: Scheme,
    speaks: Speaks,
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

/// What is spoken to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// The version that its requests say.
    Http1,
    Http2,
}

impl Caller {
    pub(crate) fn new(source: SocketAddr, stream: &Stream) -> Caller {
        let source = source.ip().to_canonical();
        let scheme = if matches!(stream, Stream::Tls(_)) { Scheme::Https } else { Scheme::Http };
        Caller { source, address: source.to_string().into(), scheme, speaks: Speaks::Http1 }
    }

    /// The same, who turned out to speak HTTP/2.
    pub(crate) fn of_http2(self) -> Caller {
        Caller { speaks: Speaks::Http2, ..self }
    }

    /// How the client came, as addresses have it.
    fn scheme(&self) -> &'static str {
        match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// Serves one client until either side has had enough. What speaks HTTP/2 itself does not begin it anew.
pub(crate) async fn serve(config: &Config, route: &Route, mut stream: Stream, caller: &Caller) {
    Client::new(config, route, &mut stream, caller).serve().await;
}

/// A client's connection.
pub(crate) struct Client<'a> {
    config: &'a Config,
    route: &'a Route,
    caller: &'a Caller,
    read: Reader<'a>,
    write: Writer<'a>,
    inbox: Inbox,
    waiting: Waiting<'a>,
    /// How much of the next request's head was looked at.
    seen: u32,
    /// Whether it had a request: what begins a connection is that only at its beginning.
    begun: bool,
    /// Whether it is said how long it may wait.
    timed: bool,
}

/// How a client's connection ended.
pub(crate) enum Ended {
    /// It is to be dropped.
    Over,
    /// It is to be reset: nothing else tells the client that its answer is not whole.
    Broken,
    /// The client speaks HTTP/2, and was served nothing; this was read of it.
    Http2(Vec<u8>),
}

/// What the client's connection is to become after an answer, as far as it is for the client and the
/// listener to say.
fn wanted(head: &RequestHead, route: &Route) -> Persistence {
    if route.is_closed() { Persistence::Close } else { head.persistence }
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// The next request.
    Next,
    /// It closes, as the client wants it: nothing more is to come.
    Done,
    /// It closes, in order.
    Close,
    /// It is dropped: the client is gone, or sees that the answer is not whole.
    Drop,
    /// It is reset, so that the client sees that the answer is not whole.
    Reset,
    /// It is one of HTTP/2.
    Http2,
}

impl<'a> Client<'a> {
    pub(crate) fn new(
        config: &'a Config,
        route: &'a Route,
        stream: &'a mut Stream,
        caller: &'a Caller,
    ) -> Client<'a> {
        let ((read, write), waiting) = (stream.split(), route.waits.enter());
        let inbox = Inbox::default();
        Client { config, route, caller, read, write, inbox, waiting, seen: 0, begun: false, timed: false }
    }
}

impl Client<'_> {
    /// Serves it until either side has had enough.
    pub(crate) async fn serve(&mut self) -> Ended {
        while let Some(head) = poll_fn(|cx| self.poll_head(cx)).await {
            match lend(|| self.turn(head)).await {
                After::Next => {}
                After::Close => {
                    Box::pin(linger(&mut self.read, &mut self.write, self.config.linger_time)).await;
                    break;
                }
                After::Done => {
                    // Of TCP, closing says the end; the others have a word of their own for it.
                    match &self.write {
                        Writer::Tls(_) => Box::pin(finish(&mut self.write)).await,
                        Writer::Pipe(end) => end.finish(),
                        Writer::Plain(_) => {}
                    }
                    break;
                }
                After::Drop => break,
                After::Reset => return Ended::Broken,
                After::Http2 => return Ended::Http2(self.inbox.bytes().to_vec()),
            }
        }
        Ended::Over
    }

    /// Waits for the head of a request, and says where it ends, or why there will be none. That is all that an idle
    /// connection does, and one whose client is slow, so their memory is what this needs. `None`: the client is gone, or
    /// has waited long enough.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<usize, Reject>>> {
        if !self.timed {
            self.rest_from(Instant::now());
        }
        loop {
            if let Some(found) = self.find_head().transpose() {
                (self.seen, self.timed) = (0, false);
                return Poll::Ready(Some(found));
            }
            let length = self.inbox.bytes().len() as u32;
            if length > 0 && self.seen == 0 {
                self.waiting.until(Instant::now() + self.config.head_time);
            }
            self.seen = length;
            match self.poll_arrival(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Arrived::More) => {}
                Poll::Ready(Arrived::TooLate) if length > 0 => {
                    return Poll::Ready(Some(Err(Reject::new(408, "the head took too long to arrive"))));
                }
                Poll::Ready(Arrived::TooLate | Arrived::End) => return Poll::Ready(None),
            }
        }
    }

    /// It waits for its next request since then.
    fn rest_from(&mut self, since: Instant) {
        // Who comes while the listener closes may still have a request under way.
        let closed = self.route.stage() == Stage::Closed;
        let limit = if closed { self.config.linger_time } else { self.config.idle_time };
        self.waiting.until(since + limit);
        self.timed = true;
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Arrived> {
        if let Poll::Ready(read) = self.inbox.poll_fill(cx, &mut self.read) {
            return Poll::Ready(if matches!(read, Ok(1..)) { Arrived::More } else { Arrived::End });
        }
        match self.waiting.look(cx) {
            Some(Over::Late) => Poll::Ready(Arrived::TooLate),
            // A request that is under way is let finish.
            Some(Over::Closing) if self.inbox.bytes().is_empty() => Poll::Ready(Arrived::End),
            Some(Over::Closing) | None => Poll::Pending,
        }
    }

    /// One request whose head has arrived, or cannot be one, and its answer.
    async fn turn(&mut self, head: Result<usize, Reject>) -> After {
        match head.and_then(|end| self.take_request(end)) {
            Ok(Taken::Request(request)) => self.answer(&request, request.visit.began()).await,
            Ok(Taken::Other(other)) => Box::pin(self.other(*other)).await,
            Err(_) if self.begins_http2() => After::Http2,
            Err(reject) => {
                let visit = Visit::begin(&self.route.register, &self.caller.address, None);
                self.refuse(reject, Method::Other, Persistence::Close, &visit).await
            }
        }
    }

    /// One inside a connection of HTTP/2 cannot begin another.
    fn begins_http2(&self) -> bool {
        !self.begun && self.caller.speaks == Speaks::Http1 && self.inbox.bytes().starts_with(HTTP2)
    }

    /// Answers in the edge's own words.
    async fn refuse(
        &mut self,
        reject: Reject,
        method: Method,
        persistence: Persistence,
        visit: &Visit,
    ) -> After {
        visit.own(reject.status, reject.reason);
        visit.sent(if method == Method::Head { 0 } else { reject.reason.len() + 1 });
        let mut text = HeadText::borrow();
        reject.write(method, persistence, &mut text);
        let written = Cell::new(0);
        match write_all(&mut self.write, [&text, &[]], self.config.stall_time, &written).await {
            Err(_) => return After::Drop,
            Ok(()) => drop(visit.whole()),
        }
        if persistence == Persistence::Close { After::Close } else { After::Next }
    }
}

/// What ended the wait for a client.
enum Arrived {
    More,
    End,
    TooLate,
}
