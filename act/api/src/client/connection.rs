//! One kept-alive connection for questions; streams get one each.

use super::path::Target;
use super::remote::Remote;
use crate::server::PROTOCOL;
use crate::{ClientError, Duplex, Ground, Refused};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use naru_model::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::Instant;

/// The largest answer that is held in memory: a thousand operations with long logs.
pub(super) const ANSWER_MAX: usize = 1 << 30;

/// A keeper has a server that was killed back at work within this time.
const RESTART_WITHIN: Duration = Duration::from_millis(500);

const LOOK_AGAIN: Duration = Duration::from_millis(4);

type Sender = SendRequest<Full<Bytes>>;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Socket(PathBuf),
    Network(Remote),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Socket(socket) => socket.display().fmt(f),
            Place::Network(remote) => write!(f, "{remote:?}"),
        }
    }
}

pub(super) struct Connection {
    place: Place,
    idle: Mutex<Option<Sender>>,
}

impl Connection {
    pub(super) fn new(place: Place) -> Connection {
        Connection { place, idle: Mutex::new(None) }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The head of a request, with what its sender shows.
    fn head(&self, method: Method, target: &Target) -> Result<hyper::http::request::Builder, ClientError> {
        let mut head = Request::builder()
            .method(method)
            .uri(target.as_str())
            .header("host", "naru")
            .header("content-type", "application/json");
        if let Place::Network(Remote { token: Some(token), .. }) = &self.place {
            let mut shown = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| ClientError::Protocol("the token has letters that no token has".into()))?;
            shown.set_sensitive(true);
            head = head.header(AUTHORIZATION, shown);
        }
        Ok(head)
    }

    fn no_server(&self, source: io::Error) -> ClientError {
        ClientError::NoServer { at: self.place.to_string(), source }
    }

    /// Sends a request and returns the head of an answer that is a success. The connection is free for the
    /// next request as soon as the answer's body is read.
    pub(super) async fn request(
        &self,
        method: Method,
        target: &Target,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = || {
            let head = self.head(method.clone(), target)?;
            head.body(Full::new(body.clone())).map_err(ClientError::protocol)
        };
        let kept = self.idle.lock().expect("no code panics with the lock held").take();
        if let Some(mut kept) = kept
            && kept.ready().await.is_ok()
        {
            match kept.try_send_request(request()?).await {
                Ok(answer) => return self.keep(kept, answer).await,
                Err(mut error) => {
                    // If it is given back, it was never sent: the server closed the idle connection.
                    if error.take_message().is_none() {
                        return Err(ClientError::protocol(error.into_error()));
                    }
                }
            }
        }
        let mut fresh = self.connect().await?;
        let answer = fresh.send_request(request()?).await.map_err(ClientError::protocol)?;
        self.keep(fresh, answer).await
    }

    /// Sends a request on a connection of its own, which then is a stream both ways.
    pub(super) async fn upgrade(
        &self,
        target: &Target,
        body: Bytes,
    ) -> Result<TokioIo<Upgraded>, ClientError> {
        let stream = self.reach().await.map_err(|source| self.no_server(source))?;
        let (mut sender, driver) = handshake(TokioIo::new(stream)).await.map_err(ClientError::protocol)?;
        tokio::spawn(driver.with_upgrades());
        let request = self
            .head(Method::POST, target)?
            .header("connection", "upgrade")
            .header("upgrade", PROTOCOL)
            .body(Full::new(body))
            .map_err(ClientError::protocol)?;
        let answer = sender.send_request(request).await.map_err(ClientError::protocol)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refused(answer).await);
        }
        hyper::upgrade::on(answer).await.map(TokioIo::new).map_err(ClientError::protocol)
    }

    async fn connect(&self) -> Result<Sender, ClientError> {
        let stream = self.reach().await.map_err(|source| self.no_server(source))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(ClientError::protocol)?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the server ended");
            }
        });
        Ok(sender)
    }

    /// A server that ends takes its socket away; one that was killed leaves it, and comes back in a moment.
    async fn reach(&self) -> io::Result<Box<dyn Duplex>> {
        let until = Instant::now() + RESTART_WITHIN;
        loop {
            let reached: io::Result<Box<dyn Duplex>> = match &self.place {
                Place::Socket(socket) => {
                    UnixStream::connect(socket).await.map(|stream| Box::new(stream) as _)
                }
                Place::Network(remote) => remote.connect().await.map(|stream| Box::new(stream) as _),
            };
            match reached {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < until => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    async fn keep(
        &self,
        sender: Sender,
        answer: Response<Incoming>,
    ) -> Result<Response<Incoming>, ClientError> {
        *self.idle.lock().expect("no code panics with the lock held") = Some(sender);
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(ClientError::protocol)
}

/// The whole answer.
pub(super) async fn value<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, ClientError> {
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
    let body = body.map_err(ClientError::protocol)?.to_bytes();
    serde_json::from_slice(&body).map_err(ClientError::protocol)
}

async fn refused(answer: Response<Incoming>) -> ClientError {
    let status = answer.status();
    let Some(ground) = Ground::of(status.as_u16()) else {
        return ClientError::Protocol(format!("status {status}"));
    };
    match value::<Refusal>(answer).await {
        Ok(refusal) => ClientError::Refused(Refused { ground, refusal }),
        Err(_) => ClientError::Protocol(format!("status {status} without a reason")),
    }
}
