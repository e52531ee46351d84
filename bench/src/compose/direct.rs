//! The engine asked directly: how long it takes by itself, when nobody stands before it.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

/// Makes and starts containers of one image, all at once, on a network that is made for them, and waits until each runs. In
/// ms; they are gone afterwards.
///
/// # Errors
/// The engine refuses something.
pub async fn start(socket: &Path, containers: &[Value]) -> io::Result<f64> {
    let began = Instant::now();
    let network = json!({ "Name": "direct_default", "Driver": "bridge" });
    ask(socket, Method::POST, "/networks/create", network).await?;
    let mut starting = JoinSet::new();
    for (n, body) in containers.iter().enumerate() {
        starting.spawn(begin(socket.to_path_buf(), n, body.clone()));
    }
    while let Some(one) = starting.join_next().await {
        one.map_err(io::Error::other)??;
    }
    let took = began.elapsed().as_secs_f64() * 1e3;
    for n in 0..containers.len() {
        ask(socket, Method::DELETE, &format!("/containers/direct-{n}?force=true"), Value::Null).await?;
    }
    ask(socket, Method::DELETE, "/networks/direct_default", Value::Null).await?;
    Ok(took)
}

async fn begin(socket: PathBuf, n: usize, mut body: Value) -> io::Result<()> {
    body["HostConfig"]["NetworkMode"] = "direct_default".into();
    ask(&socket, Method::POST, &format!("/containers/create?name=direct-{n}"), body).await?;
    ask(&socket, Method::POST, &format!("/containers/direct-{n}/start"), Value::Null).await?;
    Ok(())
}

async fn ask(socket: &Path, method: Method, path: &str, body: Value) -> io::Result<Bytes> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, driver) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(driver);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(path).header("host", "engine");
    let request = request.header("content-type", "application/json").body(Full::new(Bytes::from(body)));
    let answer = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    let status = answer.status();
    let said = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    match status.is_success() {
        true => Ok(said),
        false => Err(io::Error::other(format!("{path}: {status}: {}", String::from_utf8_lossy(&said)))),
    }
}
