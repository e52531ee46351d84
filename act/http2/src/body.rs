//! Bodies: from the frames of HTTP/2 into a pipe, and back.

use crate::text::{line, trailers};
use bytes::Bytes;
use h2::{RecvStream, SendStream};
use naru_carry::End;
use naru_wire::{Body, Framing, What};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

/// Longest trailers: what the edge takes of a chunked body.
const TRAILERS: usize = 8 * 1024;

/// How a body is written into a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: its length is told, or another protocol follows.
    Plain,
    Chunked,
}

/// Writes what comes in frames into a pipe, up to its end.
///
/// # Errors
/// The sender broke off, or the reader is gone.
pub(crate) async fn draw(from: &mut RecvStream, form: Form, to: &End) -> io::Result<()> {
    while let Some(data) = poll_fn(|cx| from.poll_data(cx)).await {
        let data = data.map_err(io::Error::other)?;
        if !data.is_empty() {
            match form {
                Form::Plain => to.write([&data, &[]]).await?,
                Form::Chunked => {
                    to.write([format!("{:x}\r\n", data.len()).as_bytes(), &data]).await?;
                    to.write([b"\r\n", &[]]).await?;
                }
            }
        }
        // Only what has room here makes room for more at the sender.
        from.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
    }
    let fields = poll_fn(|cx| from.poll_trailers(cx)).await.map_err(io::Error::other)?;
    if form == Form::Plain {
        return Ok(());
    }
    let mut text = b"0\r\n".to_vec();
    for (name, value) in fields.iter().flatten() {
        line(name, value.as_bytes(), &mut text);
    }
    text.extend_from_slice(b"\r\n");
    to.write([&text, &[]]).await
}

/// Sends in frames what a pipe has, up to the body's end.
///
/// # Errors
/// The pipe broke off, or the receiver has reset the stream.
pub(crate) async fn pour(from: &End, framing: Framing, to: &mut SendStream<Bytes>) -> io::Result<()> {
    let mut body = Body::new(framing);
    let mut after = Vec::new();
    while !body.is_done() {
        if !poll_fn(|cx| arrived(from, to, cx)).await? {
            if body.ends_with_close() {
                break;
            }
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let ready = skip(from, &mut body, &mut after)?;
        if ready > 0 {
            let room = room(to, ready).await?;
            let data = next(from, &mut body, room)?;
            // Nothing follows a body whose length was told.
            let last = body.is_done() && framing != Framing::Chunked;
            to.send_data(data, last).map_err(io::Error::other)?;
            if last {
                return Ok(());
            }
        }
    }
    let fields = trailers(&after);
    let ended = if fields.is_empty() { to.send_data(Bytes::new(), true) } else { to.send_trailers(fields) };
    ended.map_err(io::Error::other)
}

/// Waits for bytes, unless the receiver resets the stream.
fn arrived(from: &End, to: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
    if to.poll_reset(cx).is_ready() {
        return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
    }
    from.poll_arrived(cx)
}

/// Takes the framing that comes next, and says how many bytes of data follow it in the pipe.
fn skip(from: &End, body: &mut Body, after: &mut Vec<u8>) -> io::Result<usize> {
    from.take(|bytes| {
        let mut at = 0;
        while at < bytes.len() && !body.is_done() {
            let in_trailers = body.is_in_trailers();
            let mut ahead = *body;
            match ahead.run(&bytes[at..]) {
                Err(reject) => return (at, Err(io::Error::other(reject.reason))),
                Ok(run) if run.what == What::Data => return (at, Ok(run.length)),
                Ok(run) => {
                    if in_trailers && after.len() < TRAILERS {
                        after.extend_from_slice(&bytes[at..at + run.length]);
                    }
                    at += run.length;
                    *body = ahead;
                }
            }
        }
        (at, Ok(0))
    })
}

/// Waits until some of `wanted` bytes may be sent.
async fn room(to: &mut SendStream<Bytes>, wanted: usize) -> io::Result<usize> {
    to.reserve_capacity(wanted);
    let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
    loop {
        let room = poll_fn(|cx| to.poll_capacity(cx)).await.ok_or_else(gone)?.map_err(io::Error::other)?;
        if room > 0 {
            return Ok(room.min(wanted));
        }
    }
}

/// The next data, of at most `room` bytes.
fn next(from: &End, body: &mut Body, room: usize) -> io::Result<Bytes> {
    from.take(|bytes| {
        let bytes = &bytes[..room.min(bytes.len())];
        match body.run(bytes) {
            Ok(run) => (run.length, Ok(Bytes::copy_from_slice(&bytes[..run.length]))),
            Err(reject) => (0, Err(io::Error::other(reject.reason))),
        }
    })
}
