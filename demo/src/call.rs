//! One HTTP call over a connection of its own: for the rare calls, where keeping one open is not worth it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// An open connection to `authority` (`HOST:PORT`).
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

/// Where a base URL points: `http://HOST:PORT/PATH` → (`HOST:PORT`, `/PATH`).
pub fn split(url: &str) -> io::Result<(String, String)> {
    let rest = url.strip_prefix("http://");
    let rest = rest.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("not http: {url}")))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((authority.to_string(), format!("/{path}")))
}

impl Connection {
    /// Opens a connection.
    pub async fn open(authority: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(driver);
        Ok(Connection { sender, authority: authority.to_string() })
    }

    /// Sends a request and reads the whole answer. An error says that none came, or that it broke off.
    pub async fn send(&mut self, method: Method, path: &str, body: String) -> io::Result<Response<Bytes>> {
        self.sender.ready().await.map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(io::Error::other)?;
        let answer = self.sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    /// Whether the other side has closed it, as far as is known.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// One call to a URL, over a connection of its own.
pub async fn call(method: Method, url: &str, body: String) -> io::Result<Response<Bytes>> {
    let (authority, path) = split(url)?;
    Connection::open(&authority).await?.send(method, &path, body).await
}

/// The same, repeated until it is answered: for calls that may be repeated, to something that may be
/// restarting. Gives up after `patience`.
pub async fn call_until(
    method: Method,
    url: &str,
    body: String,
    patience: Duration,
) -> io::Result<Response<Bytes>> {
    let give_up = tokio::time::Instant::now() + patience;
    loop {
        match call(method.clone(), url, body.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) if tokio::time::Instant::now() > give_up => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
