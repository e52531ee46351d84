//! The instance's side: a request that is read from a pipe goes to an instance as a stream of HTTP/2, and its answer is
//! written into the pipe.
//!
//! Requests share the connections to an instance; another is opened when all have as many streams as the instance
//! allows.

use crate::body::{Form, draw, pour};
use crate::text::{Head, head, left, line, lines};
use base64::Engine;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use naru_carry::{End, HeadText, Pool, Shared, Stream, Upstream, pipe};
use naru_wire::Framing;
use sha1::{Digest, Sha1};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;

/// What a stream may send before it is read: enough for a gigabit over 8 ms.
const WINDOW: u32 = 1024 * 1024;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// What RFC 6455 has a server add to a key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A stream at an instance, to which HTTP/1.1 is spoken.
///
/// # Errors
/// What the system said, or `TimedOut` after `limit`.
pub async fn open(pool: &Pool, to: SocketAddr, limit: Duration) -> io::Result<Upstream> {
    let shared = match pool.shared(to) {
        Some(shared) => shared,
        None => {
            let shared = Shared::from(tokio::time::timeout(limit, connect(to)).await??);
            pool.share(to, shared.clone());
            shared
        }
    };
    let (near, far) = pipe();
    tokio::task::spawn_local(carry(shared, far));
    Ok(Upstream::new(Stream::Pipe(near)))
}

async fn connect(to: SocketAddr) -> io::Result<SendRequest<Bytes>> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(CONNECTION_WINDOW).enable_push(false);
    let (sender, connection) = builder.handshake(stream).await.map_err(io::Error::other)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, instance = %to, "a connection of HTTP/2 to an instance broke off");
        }
    });
    Ok(sender)
}

/// Carries one request, and its answer.
async fn carry(shared: Shared, pipe: End) {
    let never = |_: &mut Context<'_>| Poll::Pending;
    let Ok(Some(text)) = head(&pipe, never).await else { return };
    let Some(asked) = Asked::read(text) else { return };
    let mut sender = match shared.sender.clone().ready().await {
        Ok(sender) => sender,
        Err(_) => return pipe.set_unseen(),
    };
    if asked.key.is_some() && !sender.is_extended_connect_protocol_enabled() {
        // It may have written in the meantime; nothing is to be done about one that is gone.
        let _ = pipe.write([b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n", &[]]).await;
        return pipe.finish();
    }
    let is_whole = asked.framing == Framing::None;
    let is_head = asked.request.method() == Method::HEAD;
    let (answer, mut stream) = match sender.send_request(asked.request, is_whole) {
        Ok(sent) => sent,
        Err(_) => return pipe.set_unseen(),
    };
    // Only the count of streams is still wanted: a handle that stays would keep others from being told of an end.
    drop(sender);
    let ended = {
        let mut up = pin!(send(&pipe, asked.framing, &mut stream));
        let mut down = pin!(pass(answer, &pipe, is_head, asked.key.as_ref()));
        poll_fn(|cx| match up.as_mut().poll(cx) {
            Poll::Ready(gone) => Poll::Ready(Err(gone)),
            Poll::Pending => down.as_mut().poll(cx),
        })
        .await
    };
    match ended {
        Ok(()) => pipe.finish(),
        Err(_) => stream.send_reset(Reason::CANCEL),
    }
}

/// Sends the body, and then waits until nobody wants the answer.
async fn send(pipe: &End, framing: Framing, to: &mut SendStream<Bytes>) -> io::Error {
    if framing != Framing::None
        && let Err(error) = pour(pipe, framing, to).await
    {
        // An instance that does not want the rest may have answered all the same.
        if error.kind() != io::ErrorKind::ConnectionReset || is_gone(pipe).await {
            return error;
        }
    }
    left(pipe).await
}

/// Whether the pipe's other end is gone, as far as is known.
async fn is_gone(pipe: &End) -> bool {
    poll_fn(|cx| Poll::Ready(matches!(pipe.poll_arrived(cx), Poll::Ready(Err(_))))).await
}

/// Passes the answer on.
async fn pass(
    answer: ResponseFuture,
    pipe: &End,
    is_head: bool,
    key: Option<&HeaderValue>,
) -> io::Result<()> {
    let answer = match after_interim(answer, pipe, key).await? {
        Ok(answer) => answer,
        Err(error) => {
            if error.reason() == Some(Reason::REFUSED_STREAM) || (error.is_go_away() && error.is_remote()) {
                pipe.set_unseen();
            }
            return Err(io::Error::other(error));
        }
    };
    let (parts, mut body) = answer.into_parts();
    let answer = Response::from_parts(parts, ());
    let is_whole = body.is_end_stream();
    let mut text = HeadText::borrow();
    let form = write_head(&answer, is_whole, is_head, key, &mut text);
    pipe.write([&text, &[]]).await?;
    match form {
        Some(form) => draw(&mut body, form, pipe).await,
        None => Ok(()),
    }
}

/// Passes interim answers on, and waits for the answer that they come before.
async fn after_interim(
    mut answer: ResponseFuture,
    pipe: &End,
    key: Option<&HeaderValue>,
) -> io::Result<Result<Response<RecvStream>, h2::Error>> {
    enum Came {
        Interim(Response<()>),
        Answer(Result<Response<RecvStream>, h2::Error>),
    }
    loop {
        let came = poll_fn(|cx| match answer.poll_informational(cx) {
            Poll::Ready(Some(Ok(interim))) => Poll::Ready(Came::Interim(interim)),
            _ => Pin::new(&mut answer).poll(cx).map(Came::Answer),
        });
        let interim = match came.await {
            Came::Interim(interim) => interim,
            Came::Answer(answer) => return Ok(answer),
        };
        // One who asked for a websocket takes none; and 101 is no answer of HTTP/2 (RFC 9113, 8.6).
        if key.is_none() && interim.status() != StatusCode::SWITCHING_PROTOCOLS {
            let mut text = HeadText::borrow();
            write_first(interim.status(), &mut text);
            lines(interim.headers(), &[CONTENT_LENGTH], &mut text);
            text.extend_from_slice(b"\r\n");
            pipe.write([&text, &[]]).await?;
        }
    }
}

fn write_first(status: StatusCode, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes an answer's head as HTTP/1.1 has it. `None`: no body follows.
fn write_head(
    answer: &Response<()>,
    is_whole: bool,
    is_head: bool,
    key: Option<&HeaderValue>,
    out: &mut Vec<u8>,
) -> Option<Form> {
    if let Some(key) = key.filter(|_| answer.status().is_success()) {
        switch(answer, key, out);
        return Some(Form::Plain);
    }
    let status = answer.status();
    write_first(status, out);
    lines(answer.headers(), &[], out);
    let has_length = answer.headers().contains_key(CONTENT_LENGTH);
    let bare = is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let form = match (bare, is_whole, has_length) {
        (true, ..) | (_, true, true) => None,
        (_, true, false) => {
            line(&CONTENT_LENGTH, b"0", out);
            None
        }
        (_, false, true) => Some(Form::Plain),
        (_, false, false) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Some(Form::Chunked)
        }
    };
    out.extend_from_slice(b"\r\n");
    form
}

/// The instance speaks another protocol from here on.
fn switch(answer: &Response<()>, key: &HeaderValue, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    );
    let proof = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    let proof = base64::prelude::BASE64_STANDARD.encode(proof);
    line(&SEC_WEBSOCKET_ACCEPT, proof.as_bytes(), out);
    lines(answer.headers(), &[CONTENT_LENGTH], out);
    out.extend_from_slice(b"\r\n");
}

/// A request, as the instance gets it.
struct Asked {
    request: Request<()>,
    framing: Framing,
    /// The key of a websocket.
    key: Option<HeaderValue>,
}

impl Asked {
    /// `None`: it is no request.
    fn read(text: Vec<u8>) -> Option<Asked> {
        let Head { first, host, mut fields, framing, upgrade } = Head::read(text)?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let host = host?;
        let authority = host.to_str().ok()?;
        let uri = Uri::builder().scheme("http").authority(authority);
        let uri = uri.path_and_query(target).build().ok()?;
        // The edge takes trailers, whoever asks.
        fields.insert(TE, HeaderValue::from_static("trailers"));
        let is_websocket = upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
        let key = if is_websocket { fields.remove(SEC_WEBSOCKET_KEY) } else { None };
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
        if key.is_some() {
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = fields;
        let framing = if key.is_some() { Framing::UntilClose } else { framing.unwrap_or(Framing::None) };
        Some(Asked {
            request,
            framing: if framing == Framing::Length(0) { Framing::None } else { framing },
            key,
        })
    }
}
