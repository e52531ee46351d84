//! One HTTP request to the work API, on a connection of its own.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// The agent is on this machine: an answer that takes longer will not come.
const TIME: Duration = Duration::from_secs(5);
/// An answer lists 10,000 jobs at most; the calls made here are answered in a line.
const BODY: usize = 64 << 10;

/// Where `NARU_WORK_URL` points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkUrl {
    authority: String,
    path: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl WorkUrl {
    /// `http://HOST:PORT/PATH`.
    pub(crate) fn parse(text: &str) -> Option<WorkUrl> {
        let (authority, path) = text.trim().strip_prefix("http://")?.split_once('/')?;
        let port = authority.rsplit_once(':')?.1;
        port.parse::<u16>().ok()?;
        let path = format!("/{}", path.trim_end_matches('/'));
        Some(WorkUrl { authority: authority.into(), path })
    }

    /// Sends a request to what `suffix` names below the address; the same `key` makes it the same request.
    ///
    /// # Errors
    /// Nobody answers, in words.
    pub(crate) async fn call(
        &self,
        method: Method,
        suffix: &str,
        key: &str,
        body: &str,
    ) -> Result<Reply, String> {
        let exchange = self.exchange(method, suffix, key, body.to_owned());
        match tokio::time::timeout(TIME, exchange).await {
            Ok(reply) => reply,
            Err(_) => Err(format!("no answer within {} s", TIME.as_secs())),
        }
    }

    async fn exchange(&self, method: Method, suffix: &str, key: &str, body: String) -> Result<Reply, String> {
        let said = |error: hyper::Error| error.to_string();
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{suffix}", self.path))
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(said)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY).collect().await;
        driver.abort();
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }
}

impl Reply {
    /// The answer's own words for what is wrong.
    pub(crate) fn error(&self) -> String {
        match self.body.get("error").and_then(Value::as_str) {
            Some(error) => error.to_owned(),
            None => format!("status {}", self.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::WorkUrl;

    #[test]
    fn only_an_address_with_a_port_and_a_path_is_taken() {
        assert!(WorkUrl::parse("http://127.0.0.1:2/work/x").is_some());
        for bad in ["", "127.0.0.1:2/work", "https://127.0.0.1:2/w", "http://127.0.0.1/w", "http://a:b/w"] {
            assert_eq!(WorkUrl::parse(bad), None, "{bad}");
        }
    }
}
