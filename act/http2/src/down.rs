//! The client's side: a request that came as a stream of HTTP/2 is written into a pipe, and its answer read from there.

use crate::body::{Form, draw, pour};
use crate::text::{Head, head, line, lines};
use base64::Engine;
use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{COOKIE, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use naru_carry::{End, HeadText};
use naru_wire::Framing;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

/// How a request's body goes into the pipe.
enum Upload {
    None,
    Body(Form),
    /// What follows is another protocol's.
    Other,
}

/// Has a request answered by what is at the other end of `pipe`. A client that resets the stream leaves the pipe, as one
/// of HTTP/1.1 leaves its connection.
pub async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, pipe: End) {
    let (parts, mut body) = request.into_parts();
    if !is_sound(&parts.headers) {
        return respond.send_reset(Reason::PROTOCOL_ERROR);
    }
    let is_head = parts.method == Method::HEAD;
    let mut text = HeadText::borrow();
    let upload = write_head(&parts, body.is_end_stream(), &mut text);
    let mut sent = Sent::Nothing;
    let ended = {
        let mut up = pin!(async {
            pipe.write([&text, &[]]).await?;
            match upload {
                Upload::None => {}
                Upload::Body(form) => draw(&mut body, form, &pipe).await?,
                Upload::Other => {
                    draw(&mut body, Form::Plain, &pipe).await?;
                    pipe.finish();
                }
            }
            io::Result::Ok(())
        });
        let mut down = pin!(pass(&pipe, &mut respond, is_head, &mut sent));
        let mut going_up = true;
        poll_fn(|cx| {
            if going_up && let Poll::Ready(up) = up.as_mut().poll(cx) {
                going_up = false;
                // A pipe that takes no more has its answer, or breaks off: reading it tells.
                if up.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
            }
            down.as_mut().poll(cx)
        })
        .await
    };
    if ended.is_err() {
        match sent {
            Sent::Nothing => respond.send_reset(Reason::INTERNAL_ERROR),
            Sent::Part(mut stream) => stream.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Whether a request's fields are what they may be, as far as `h2` has not seen to it: no value begins or ends with
/// white space (RFC 9113, 8.2.1), and there are no two hosts of which somebody may take the other one (RFC 9110, 7.2).
fn is_sound(fields: &HeaderMap) -> bool {
    let is_trim = |value: &HeaderValue| value.as_bytes().trim_ascii().len() == value.len();
    fields.values().all(is_trim) && fields.get_all(HOST).iter().nth(1).is_none()
}

/// How far the answer is.
enum Sent {
    Nothing,
    Part(h2::SendStream<Bytes>),
}

/// Passes the answer on.
async fn pass(
    pipe: &End,
    respond: &mut SendResponse<Bytes>,
    is_head: bool,
    sent: &mut Sent,
) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
    loop {
        let reset = |cx: &mut Context<'_>| respond.poll_reset(cx).map(|_| gone());
        let text = head(pipe, reset).await?.ok_or_else(gone)?;
        let read = Head::read(text).ok_or_else(|| io::Error::other("no head"))?;
        let status = read.first.get(9..12).and_then(|status| status.parse::<StatusCode>().ok());
        let status = status.ok_or_else(|| io::Error::other("no status"))?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let mut fields = read.fields;
            fields.remove(SEC_WEBSOCKET_ACCEPT);
            return send(pipe, respond, (StatusCode::OK, fields), Framing::UntilClose, sent).await;
        }
        if status.is_informational() {
            // One that the client does not want is no loss.
            let _ = respond.send_informational(response(status, read.fields));
            continue;
        }
        let bare = is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        let framing = if bare { Framing::None } else { read.framing.unwrap_or(Framing::UntilClose) };
        return send(pipe, respond, (status, read.fields), framing, sent).await;
    }
}

async fn send(
    pipe: &End,
    respond: &mut SendResponse<Bytes>,
    (status, fields): (StatusCode, HeaderMap),
    framing: Framing,
    sent: &mut Sent,
) -> io::Result<()> {
    let is_bare = matches!(framing, Framing::None | Framing::Length(0));
    let stream = respond.send_response(response(status, fields), is_bare).map_err(io::Error::other)?;
    *sent = Sent::Part(stream);
    match sent {
        Sent::Part(stream) if !is_bare => pour(pipe, framing, stream).await,
        _ => Ok(()),
    }
}

fn response(status: StatusCode, fields: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = fields;
    response
}

/// Writes a request's head as HTTP/1.1 has it.
fn write_head(parts: &http::request::Parts, is_whole: bool, out: &mut Vec<u8>) -> Upload {
    let protocol = parts.extensions.get::<Protocol>().filter(|_| parts.method == Method::CONNECT);
    let method = if protocol.is_some() { "GET" } else { parts.method.as_str() };
    let path = parts.uri.path_and_query().map_or("*", |path| path.as_str());
    let path = if path.is_empty() { "/" } else { path };
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // A `Host` that says something else than `:authority` is left out, as RFC 9113 has it for proxies.
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = authority.or_else(|| parts.headers.get(HOST).map(|host| host.as_bytes()));
    if let Some(host) = host {
        line(&HOST, host, out);
    }
    lines(&parts.headers, &[HOST, COOKIE], out);
    cookies(&parts.headers, out);
    let upload = match (protocol, is_whole) {
        (Some(protocol), _) => {
            upgrade(protocol, out);
            Upload::Other
        }
        (None, true) => Upload::None,
        (None, false) if parts.headers.contains_key(http::header::CONTENT_LENGTH) => {
            Upload::Body(Form::Plain)
        }
        (None, false) => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            Upload::Body(Form::Chunked)
        }
    };
    out.extend_from_slice(b"\r\n");
    upload
}

/// Cookies may come in pieces, and are one field in HTTP/1.1 (RFC 9113, 8.2.3).
fn cookies(fields: &HeaderMap, out: &mut Vec<u8>) {
    for (n, cookie) in fields.get_all(COOKIE).iter().enumerate() {
        out.extend_from_slice(if n == 0 { b"Cookie: " } else { b"; " });
        out.extend_from_slice(cookie.as_bytes());
    }
    if fields.contains_key(COOKIE) {
        out.extend_from_slice(b"\r\n");
    }
}

/// An extended `CONNECT` as an upgrade. Its key only has to differ from others: what it proves, HTTP/2 proves already.
fn upgrade(protocol: &Protocol, out: &mut Vec<u8>) {
    let state = RandomState::new();
    let mut key = [0; 16];
    key[..8].copy_from_slice(&state.hash_one(0).to_be_bytes());
    key[8..].copy_from_slice(&state.hash_one(1).to_be_bytes());
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    out.extend_from_slice(protocol.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    line(&SEC_WEBSOCKET_KEY, base64::prelude::BASE64_STANDARD.encode(key).as_bytes(), out);
}
