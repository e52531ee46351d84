//! A client's connection, plain or with TLS that ends here, and its two directions.
//!
//! Both directions of a connection are driven by one task. So those of a TLS connection, which are one state
//! machine, share it in turns, without a lock.

use crate::pipe::End;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_rustls::server::TlsStream;

/// A client's connection.
pub enum Stream {
    /// As TCP has it.
    Plain(TcpStream),
    /// With TLS that ends here. Boxed: it is large, and must not make a plain connection larger.
    Tls(Box<RefCell<TlsStream<TcpStream>>>),
    /// Inside the process: what speaks another protocol to the client, or to the instance, is at its other end.
    Pipe(End),
}

/// Where bytes come from.
pub enum Reader<'a> {
    /// A TCP connection.
    Plain(ReadHalf<'a>),
    /// A TLS connection.
    Tls(&'a RefCell<TlsStream<TcpStream>>),
    /// A connection inside the process.
    Pipe(&'a End),
}

/// Where bytes go to.
pub enum Writer<'a> {
    /// A TCP connection.
    Plain(WriteHalf<'a>),
    /// A TLS connection.
    Tls(&'a RefCell<TlsStream<TcpStream>>),
    /// A connection inside the process.
    Pipe(&'a End),
}

impl From<TlsStream<TcpStream>> for Stream {
    fn from(stream: TlsStream<TcpStream>) -> Stream {
        Stream::Tls(Box::new(RefCell::new(stream)))
    }
}

impl Stream {
    /// Its two directions.
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>) {
        match self {
            Stream::Plain(stream) => {
                let (read, write) = stream.split();
                (Reader::Plain(read), Writer::Plain(write))
            }
            Stream::Tls(stream) => (Reader::Tls(stream), Writer::Tls(stream)),
            Stream::Pipe(end) => (Reader::Pipe(end), Writer::Pipe(end)),
        }
    }

    /// The address that the client connected to.
    ///
    /// # Errors
    /// What the system said.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Stream::Plain(stream) => stream.local_addr(),
            Stream::Tls(stream) => stream.borrow().get_ref().0.local_addr(),
            Stream::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether the client has chosen HTTP/2 inside TLS.
    pub fn chose_http2(&self) -> bool {
        match self {
            Stream::Tls(stream) => stream.borrow().get_ref().1.alpn_protocol() == Some(b"h2"),
            Stream::Plain(_) | Stream::Pipe(_) => false,
        }
    }

    /// Has the connection reset when it is dropped, so that the peer sees that not all came.
    ///
    /// # Errors
    /// What the system said.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.set_zero_linger(),
            Stream::Tls(stream) => stream.borrow().get_ref().0.set_zero_linger(),
            // Its peer sees that anyway.
            Stream::Pipe(_) => Ok(()),
        }
    }
}

impl Reader<'_> {
    /// Waits, where that can be known beforehand, until there is something to read: so that a connection that
    /// rests needs no memory to read into.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Reader::Plain(read) => read.as_ref().poll_read_ready(cx),
            Reader::Tls(_) => Poll::Ready(Ok(())),
            Reader::Pipe(end) => end.poll_arrived(cx).map_ok(|_| ()),
        }
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Reader::Plain(read) => Pin::new(read).poll_read(cx, room),
            Reader::Tls(stream) => {
                let read = ready!(Pin::new(&mut *stream.borrow_mut()).poll_read(cx, room));
                // Some peers end without saying so. HTTP says by itself where a message ends.
                Poll::Ready(match read {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                    read => read,
                })
            }
            Reader::Pipe(end) => end.poll_read(cx, room),
        }
    }
}

impl Writer<'_> {
    /// Writes what there is room for, of two parts in order.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, parts: [&[u8]; 2]) -> Poll<io::Result<usize>> {
        match self {
            // Mostly there is room, and nobody need be told when there will be.
            Writer::Plain(write) => match try_parts((*write).as_ref(), parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_parts(Pin::new(write), cx, parts)
                }
                tried => Poll::Ready(tried),
            },
            Writer::Tls(stream) => poll_parts(Pin::new(&mut *stream.borrow_mut()), cx, parts),
            Writer::Pipe(end) => end.poll_write(cx, parts),
        }
    }

    /// Hands all that was written to the system.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Plain(_) | Writer::Pipe(_) => Poll::Ready(Ok(())),
            Writer::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_flush(cx),
        }
    }

    /// Says the end.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Plain(write) => Pin::new(write).poll_shutdown(cx),
            Writer::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_shutdown(cx),
            Writer::Pipe(end) => {
                end.finish();
                Poll::Ready(Ok(()))
            }
        }
    }
}

fn try_parts(to: &TcpStream, parts: [&[u8]; 2]) -> io::Result<usize> {
    match parts {
        [one, []] | [[], one] => to.try_write(one),
        [one, two] => to.try_write_vectored(&[IoSlice::new(one), IoSlice::new(two)]),
    }
}

fn poll_parts(
    to: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    parts: [&[u8]; 2],
) -> Poll<io::Result<usize>> {
    match parts {
        [one, []] | [[], one] => to.poll_write(cx, one),
        [one, two] => to.poll_write_vectored(cx, &[IoSlice::new(one), IoSlice::new(two)]),
    }
}
