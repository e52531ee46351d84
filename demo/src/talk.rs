//! gRPC streams both ways, of messages that the service says back: a tier that speaks HTTP/2 only, and its client.
//!
//! No generated code: a message is its length and its bytes, as gRPC frames them
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{Stream, unfold};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// The name of the service in the stack.
pub const TALK: &str = "talk";

const METHOD: &str = "/naru.demo.Talk/Echo";
/// A message of a stream has at most as many bytes.
const LONGEST: usize = 1 << 10;

/// Says back whatever is said, for as long as the process lives.
///
/// # Errors
/// No connection can be accepted any more.
pub async fn serve(listener: TcpListener, instance: String) -> io::Result<()> {
    let instance: Arc<str> = instance.into();
    loop {
        let (stream, _) = listener.accept().await?;
        let instance = instance.clone();
        let echo = service_fn(move |request| std::future::ready(echo(request, &instance)));
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // The client has left: nobody is to be told.
        tokio::spawn(serving.serve_connection(TokioIo::new(stream), echo));
    }
}

fn echo(
    request: Request<Incoming>,
    instance: &str,
) -> Result<Response<StreamBody<Said>>, hyper::http::Error> {
    let said: Said = Box::pin(unfold(Some(request.into_body()), async |body| {
        let mut body = body?;
        match body.frame().await {
            Some(Ok(frame)) => Some((Ok(frame), Some(body))),
            Some(Err(_)) => None,
            None => Some((Ok(Frame::trailers(well())), None)),
        }
    }));
    Response::builder()
        .header("content-type", "application/grpc")
        .header("x-instance", instance)
        .body(StreamBody::new(said))
}

fn well() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

type Said = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

/// A connection of a client.
pub struct Line {
    sender: SendRequest<StreamBody<Said>>,
    authority: String,
}

/// A stream on it.
pub struct Talk {
    say: mpsc::Sender<Bytes>,
    answer: Incoming,
    heard: BytesMut,
    /// Who answers.
    pub instance: String,
}

impl Line {
    /// Opens a connection to `authority` (`HOST:PORT`), where HTTP/2 is known to be spoken.
    ///
    /// # Errors
    /// Nobody accepts it.
    pub async fn open(authority: &str) -> io::Result<Line> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let opened = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, driver) = opened.map_err(io::Error::other)?;
        tokio::spawn(driver);
        Ok(Line { sender, authority: authority.to_string() })
    }

    /// Whether new streams begin elsewhere: the other side has said so, or has closed.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Begins a stream. `None`: the connection takes no more, and this one was not begun.
    ///
    /// # Errors
    /// It was begun and is not answered as gRPC answers.
    pub async fn begin(&mut self) -> io::Result<Option<Talk>> {
        let (say, said) = mpsc::channel::<Bytes>(1);
        let said: Said = Box::pin(unfold(said, async |mut said| {
            let message = said.recv().await?;
            Some((Ok(Frame::data(message)), said))
        }));
        let request = Request::post(format!("http://{}{METHOD}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(StreamBody::new(said))
            .map_err(io::Error::other)?;
        let (head, answer) = match self.sender.send_request(request).await {
            Ok(answer) => answer.into_parts(),
            // As every client of gRPC does: what was told to be untouched begins once more, elsewhere.
            Err(error) if error.is_canceled() || is_refused(&error) => return Ok(None),
            Err(error) => return Err(io::Error::other(error)),
        };
        let instance = head.headers.get("x-instance").and_then(|by| by.to_str().ok());
        match instance.filter(|_| head.status.is_success()) {
            Some(by) => Ok(Some(Talk { say, answer, heard: BytesMut::new(), instance: by.into() })),
            None => Err(io::Error::other(format!("a stream is answered {}", head.status))),
        }
    }
}

fn is_refused(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.reason() == Some(h2::Reason::REFUSED_STREAM))
}

impl Talk {
    /// Says something, and waits until it has come back.
    ///
    /// # Errors
    /// The stream has ended, or something else came back.
    pub async fn echo(&mut self, text: &str) -> io::Result<()> {
        let mut message = BytesMut::with_capacity(5 + text.len());
        message.put_u8(0);
        message.put_u32(text.len() as u32);
        message.put_slice(text.as_bytes());
        let ended = || io::Error::other("a stream ended before its client ended it");
        self.say.send(message.clone().freeze()).await.map_err(|_| ended())?;
        while self.heard.len() < message.len() {
            let frame = self.answer.frame().await.ok_or_else(ended)?.map_err(io::Error::other)?;
            self.heard.extend_from_slice(&frame.into_data().map_err(|_| ended())?);
            if self.heard.len() > LONGEST {
                return Err(io::Error::other("more came back than was said"));
            }
        }
        let heard = self.heard.split();
        if heard != message {
            return Err(io::Error::other(format!("said {text}, heard {heard:?}")));
        }
        Ok(())
    }

    /// Ends the stream, and waits for the other side's status.
    ///
    /// # Errors
    /// It is none, or one of a failure.
    pub async fn end(self) -> io::Result<()> {
        let Talk { say, answer, .. } = self;
        drop(say);
        let rest = answer.collect().await.map_err(io::Error::other)?;
        let status = rest.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
        match status {
            Some(status) if status == "0" && rest.to_bytes().is_empty() => Ok(()),
            other => Err(io::Error::other(format!("a stream ended with the status {other:?}"))),
        }
    }
}
