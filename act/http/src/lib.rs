//! One request, one answer, over HTTP or HTTPS: bounded in bytes and time, and with a word on whether it was sent.
//!
//! It is for what Naru asks of others now and then: a cloud, a chat, a calendar. Each request has a connection of its own: they
//! are few, and one that the other side closed meanwhile would be a fault that nothing is learnt from. No redirect is followed.
//!
//! Of an address, messages have the host and the port only: the rest may be a secret.

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The request was sent, and no answer came that can be used: whether it had an effect is not known.
    #[error("{0}")]
    Lost(String),
    /// The request never left.
    #[error("{0}")]
    NotSent(String),
    /// This host is not fit to ask anybody.
    #[error("{0}")]
    Settings(String),
}

/// How a request may take its time.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the whole answer is here.
    pub answer: Duration,
}

/// A client.
#[derive(Clone)]
pub struct Http {
    way: Way,
    patience: Patience,
}

#[derive(Clone)]
enum Way {
    /// For addresses of this machine, or next to it.
    Plain(Client<HttpConnector, Full<Bytes>>),
    /// For all others, with the authorities that this host trusts.
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// What became of the request.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// What it says, whole; or why it is not: [`Fault::Lost`].
    pub body: Result<Bytes, Fault>,
}

impl Http {
    /// For `http://` only.
    pub fn plain(patience: Patience) -> Http {
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector(patience));
        Http { way: Way::Plain(client), patience }
    }

    /// For `https://`, and `http://`.
    ///
    /// # Errors
    /// The authorities that this host trusts cannot be read.
    pub fn secure(patience: Patience) -> Result<Http, Fault> {
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider());
        let builder = builder.map_err(|error| {
            Fault::Settings(format!(
                "the certificate authorities of this host cannot be read ({error}): install ca-certificates"
            ))
        })?;
        let mut inner = connector(patience);
        inner.enforce_http(false);
        let connector = builder.https_or_http().enable_http1().wrap_connector(inner);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Http { way: Way::Secure(client), patience })
    }

    /// Sends a request, and waits for the whole answer, of `most` bytes.
    ///
    /// # Errors
    /// [`Fault::NotSent`] where it never left, [`Fault::Lost`] where that is not known or no answer came in time.
    pub async fn send(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, Fault> {
        let host = request.uri().authority().map(place).unwrap_or_default();
        let exchange = async {
            let answer = match &self.way {
                Way::Plain(client) => client.request(request).await,
                Way::Secure(client) => client.request(request).await,
            };
            let answer = answer.map_err(|error| told(&host, &error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| {
                let what = match error.downcast_ref::<LengthLimitError>() {
                    Some(_) => format!("its answer is over {}", size(most)),
                    None => "its answer broke off".to_string(),
                };
                Fault::Lost(format!("{host}: {what}"))
            });
            let body = body.map(|body| body.to_bytes());
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let in_time = tokio::time::timeout(self.patience.answer, exchange).await;
        in_time.unwrap_or_else(|_| {
            Err(Fault::Lost(format!("{host} did not answer within {:?}", self.patience.answer)))
        })
    }
}

/// Without the name and the password that may stand before it.
fn place(authority: &Authority) -> String {
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}{port}", authority.host())
}

fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{bytes} bytes"),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

fn connector(patience: Patience) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(patience.connect));
    connector.set_nodelay(true);
    connector
}

/// An error and its causes, in one line.
fn told(host: &str, error: &Error) -> Fault {
    let mut causes = vec![];
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    // The outer ones only say that the inner ones happened.
    let cause = causes.pop().unwrap_or_else(|| error.to_string());
    if error.is_connect() {
        return Fault::NotSent(format!("{host} cannot be reached: {cause}"));
    }
    Fault::Lost(format!("{host} did not answer: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Http, Patience};
    use http::Request;
    use http_body_util::Full;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const PATIENCE: Patience =
        Patience { connect: Duration::from_millis(300), answer: Duration::from_millis(300) };

    async fn asked(answer: Option<&'static str>) -> Result<usize, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://mina:secret@{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => std::future::pending().await,
            }
        });
        let request = Request::get(url).body(Full::default()).unwrap();
        Http::plain(PATIENCE).send(request, 8).await?.body.map(|body| body.len())
    }

    #[tokio::test]
    async fn an_answer_has_its_time_and_its_bytes() {
        assert_eq!(asked(Some("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")).await, Ok(3));
        let lost = |answer: Result<usize, Fault>| match answer {
            Err(Fault::Lost(what)) if what.starts_with("127.0.0.1:") => what,
            other => panic!("{other:?}"),
        };
        assert!(lost(asked(None).await).contains("did not answer within 300ms"));
        assert!(
            lost(asked(Some("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789")).await)
                .contains("its answer is over 8 bytes")
        );
        assert!(
            lost(asked(Some("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na")).await).contains("broke off")
        );
        assert!(lost(asked(Some("")).await).contains("did not answer"));
    }

    #[tokio::test]
    async fn what_never_left_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let request = Request::get(url).body(Full::default()).unwrap();
        let sent = Http::plain(PATIENCE).send(request, 8).await;
        assert!(matches!(&sent, Err(Fault::NotSent(what)) if what.contains("cannot be reached")), "{sent:?}");
    }
}
