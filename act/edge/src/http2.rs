//! A client's connection of HTTP/2: each of its streams is one request, and is carried as one of HTTP/1.1 is, at the
//! other end of a connection inside the process (`naru_http2` has the reasons).
//!
//! A connection that is to end says so ahead (GOAWAY): the client begins no more streams on it, and those that are there
//! are finished. A request that is whole here counts as handed to the client once the last of its bytes, at most a
//! buffer's length, waits for the client alone.

use crate::Config;
use crate::http1::{self, Caller};
use crate::route::Route;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use http::Request;
use naru_carry::{Stream, pipe};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// Streams of one connection at a time: what browsers, and most servers, have as well.
const STREAMS: u32 = 128;

/// What a stream may send before it is read: enough for a gigabit over 8 ms.
const WINDOW: u32 = 1024 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Bytes of a stream's answer that wait to be sent.
const SEND_BUFFER: usize = 256 * 1024;

/// Longest head, as of HTTP/1.1.
const HEAD: u32 = naru_wire::REQUEST_HEAD as u32;

/// What the streams of a connection share.
pub(crate) struct Served {
    pub(crate) config: Arc<Config>,
    pub(crate) route: Rc<Route>,
    pub(crate) caller: Caller,
    /// Held until the last stream has ended: the connection counts as open for as long.
    pub(crate) _held: Rc<dyn Any>,
}

/// What comes next on a connection.
enum Next {
    Stream(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    /// The listener is removed, or left to a successor.
    Leaving,
    Rested,
    End,
}

/// Serves one client until either side has had enough. `first` was read of the connection already.
pub(crate) async fn serve(served: Rc<Served>, stream: Stream, first: Vec<u8>) {
    match stream {
        Stream::Plain(stream) => connection(&served, Resumed { first, at: 0, rest: stream }).await,
        Stream::Tls(stream) => {
            connection(&served, Resumed { first, at: 0, rest: stream.into_inner() }).await;
        }
        Stream::Pipe(_) => {}
    }
}

async fn connection(served: &Rc<Served>, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_concurrent_streams(STREAMS).max_header_list_size(HEAD).max_send_buffer_size(SEND_BUFFER);
    builder.enable_connect_protocol();
    let greeting = timeout(served.config.head_time, builder.handshake(stream));
    let Ok(Ok(connection)) = greeting.await else { return };
    let mut leaving = pin!(served.route.leaving.notified());
    leaving.as_mut().enable();
    let mut talk = Talk { connection, streams: Rc::default(), last: false };
    if served.route.is_closed() {
        talk.leave();
    }
    let (idle_time, linger_time) = (served.config.idle_time, served.config.linger_time);
    let mut rest = pin!(sleep(idle_time));
    loop {
        let next = poll_fn(|cx| {
            if !talk.last && leaving.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Leaving);
            }
            match talk.poll_next(cx) {
                Poll::Ready(next) => Poll::Ready(next),
                Poll::Pending => rest.as_mut().poll(cx).map(|()| Next::Rested),
            }
        });
        match next.await {
            Next::Stream(stream) => talk.carry(served, *stream),
            Next::Rested if !talk.is_idle() => rest.as_mut().reset(Instant::now() + idle_time),
            // It was told, and does not close.
            Next::Rested if talk.last => return,
            Next::Leaving | Next::Rested => {
                talk.leave();
                rest.as_mut().reset(Instant::now() + linger_time);
            }
            Next::End => return,
        }
    }
}

/// A connection, and what is known of its streams.
struct Talk<T: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<T, Bytes>,
    /// There are as many of these as streams, and one more.
    streams: Rc<()>,
    /// Whether the client was told that no more streams are taken.
    last: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Talk<T> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        self.connection.poll_accept(cx).map(|accepted| match accepted {
            Some(Ok(stream)) => Next::Stream(Box::new(stream)),
            // What a client does against the protocol ends its connection, and is its own matter.
            Some(Err(_)) | None => Next::End,
        })
    }

    fn is_idle(&self) -> bool {
        Rc::strong_count(&self.streams) == 1
    }

    fn leave(&mut self) {
        self.last = true;
        self.connection.graceful_shutdown();
    }

    fn carry(&self, served: &Rc<Served>, stream: (Request<RecvStream>, SendResponse<Bytes>)) {
        let (served, counted) = (served.clone(), self.streams.clone());
        let (request, respond) = stream;
        tokio::task::spawn_local(async move {
            let (near, far) = pipe();
            let far = Stream::Pipe(far);
            // In this order: the request is there before it is looked for.
            tokio::join!(
                biased;
                naru_http2::answer(request, respond, near),
                http1::serve(&served.config, &served.route, far, &served.caller)
            );
            drop((counted, served));
        });
    }
}

/// A connection of which something was read already.
struct Resumed<T> {
    first: Vec<u8>,
    at: usize,
    rest: T,
}

impl<T: AsyncRead + Unpin> AsyncRead for Resumed<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.first.len() {
            return Pin::new(&mut this.rest).poll_read(cx, room);
        }
        let n = room.remaining().min(this.first.len() - this.at);
        room.put_slice(&this.first[this.at..this.at + n]);
        this.at += n;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Resumed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.rest.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}
