//! The workload: an API and its engine, the same program with another name.
//!
//! - `GET /healthz`: 200, once `--start-ms` have passed.
//! - `GET /read?ms=N`: answered after N ms; by way of the engine where `NARU_URL_ENGINE` is set. The headers
//!   `x-instance` and `x-engine` say who answered.
//! - `POST /upload`: answered with the body's length, once all of it has come.
//! - `GET /download?bytes=N&ms=T`: a body of N bytes that takes T ms.
//! - `GET /ws`: a websocket that says who it is, then echoes.
//! - `POST /jobs?name=…&ms=N&report=URL`: begins a job that holds a lease for N ms, and then until `URL` is told.
//!
//! As the service `talk` it speaks gRPC instead ([`talk`]).
//!
//! At SIGTERM it ends at once, whatever it is doing: work that survives does so because nobody sent one.

use crate::call::{Connection, call_until, split};
use crate::talk::{self, TALK};
use crate::transfer::PIECES;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long calls to Naru's work API are repeated while the agent restarts.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the tier knows of itself, from its environment.
struct Tier {
    instance: String,
    engine: Option<String>,
    work: Option<String>,
    version: String,
}

/// Runs the workload until it is told to end. Arguments: `VERSION [START_MS]`; the port is `PORT`.
pub fn main(args: &[String]) -> io::Result<()> {
    let var = |name: &str| std::env::var(name).ok();
    let port = var("PORT").and_then(|port| port.parse::<u16>().ok());
    let port =
        port.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "PORT is not set to a port"))?;
    let tier = Tier {
        instance: var("NARU_INSTANCE").unwrap_or_else(|| format!("port-{port}")),
        engine: var("NARU_URL_ENGINE").filter(|_| var("NARU_SERVICE").as_deref() != Some("engine")),
        work: var("NARU_WORK_URL"),
        version: args.first().cloned().unwrap_or_default(),
    };
    let start = args.get(1).and_then(|ms| ms.parse().ok()).unwrap_or(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_millis(start)).await;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        if var("NARU_SERVICE").as_deref() == Some(TALK) {
            return talk::serve(listener, tier.instance).await;
        }
        axum::serve(listener, router(tier)).await
    })
}

fn router(tier: Tier) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/read", get(read))
        .route("/upload", post(upload))
        .route("/download", get(download))
        .route("/ws", get(echo))
        .route("/jobs", post(begin))
        .with_state(Arc::new(tier))
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    ms: u64,
}

async fn read(State(tier): State<Arc<Tier>>, Query(wanted): Query<Read>) -> Response {
    let Some(engine) = &tier.engine else {
        tokio::time::sleep(Duration::from_millis(wanted.ms)).await;
        return (StatusCode::OK, named(&tier, None), tier.version.clone()).into_response();
    };
    match ask_engine(engine, wanted.ms).await {
        Ok(by) => (StatusCode::OK, named(&tier, Some(by)), tier.version.clone()).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, named(&tier, None), error.to_string()).into_response(),
    }
}

fn named(tier: &Tier, engine: Option<String>) -> [(&'static str, String); 2] {
    [("x-instance", tier.instance.clone()), ("x-engine", engine.unwrap_or_default())]
}

thread_local! {
    /// Idle connections to the engine's address. The tier has one thread.
    static IDLE: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

async fn ask_engine(engine: &str, ms: u64) -> io::Result<String> {
    let (authority, _) = split(engine)?;
    let idle = IDLE.with_borrow_mut(|idle| {
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    });
    let mut connection = match idle {
        Some(connection) => connection,
        None => Connection::open(&authority).await?,
    };
    let answer = connection.send(Method::GET, &format!("/read?ms={ms}"), String::new()).await?;
    IDLE.with_borrow_mut(|idle| idle.push(connection));
    if !answer.status().is_success() {
        return Err(io::Error::other(format!("the engine answered {}", answer.status())));
    }
    let by = answer.headers().get("x-instance").and_then(|by| by.to_str().ok());
    Ok(by.unwrap_or_default().to_string())
}

async fn upload(State(tier): State<Arc<Tier>>, body: Body) -> Response {
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => length += piece.len(),
            Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    }
    (StatusCode::OK, named(&tier, None), length.to_string()).into_response()
}

#[derive(Deserialize)]
struct Download {
    bytes: u64,
    ms: u64,
}

async fn download(State(tier): State<Arc<Tier>>, Query(wanted): Query<Download>) -> Response {
    let piece = Bytes::from(vec![b'd'; wanted.bytes.div_ceil(PIECES) as usize]);
    let rest = Duration::from_millis(wanted.ms / PIECES);
    let pieces = futures_util::stream::unfold(wanted.bytes, move |left| {
        let piece = piece.clone();
        async move {
            let now = left.min(piece.len() as u64);
            tokio::time::sleep(rest).await;
            (now > 0).then(|| (io::Result::Ok(piece.slice(..now as usize)), left - now))
        }
    });
    let length = [("content-length", wanted.bytes.to_string())];
    (StatusCode::OK, named(&tier, None), length, Body::from_stream(pieces)).into_response()
}

async fn echo(State(tier): State<Arc<Tier>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| converse(socket, tier))
}

async fn converse(mut socket: WebSocket, tier: Arc<Tier>) {
    if socket.send(Message::Text(tier.instance.clone().into())).await.is_err() {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        let is_said = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_said && socket.send(message).await.is_err() {
            return;
        }
    }
}

#[derive(Deserialize)]
struct Begin {
    name: String,
    ms: u64,
    report: String,
}

async fn begin(State(tier): State<Arc<Tier>>, Query(job): Query<Begin>) -> Response {
    let Some(work) = tier.work.clone() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "NARU_WORK_URL is not set").into_response();
    };
    let lease = match lease(&work, &job.name).await {
        Ok(lease) => lease,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    let report = format!("{}?job={}", job.report, job.name);
    tokio::spawn(async move { work_on(&format!("{work}/{lease}"), job.ms, &report).await });
    // An instance that is started again keeps its name.
    (StatusCode::ACCEPTED, named(&tier, None), [("x-process", std::process::id().to_string())])
        .into_response()
}

async fn lease(work: &str, name: &str) -> io::Result<String> {
    let body = serde_json::json!({ "name": name, "ttl": 30 }).to_string();
    let answer = call_until(Method::POST, work, body, PATIENCE).await?;
    let said: serde_json::Value = serde_json::from_slice(answer.body())?;
    let id = said.get("id").and_then(|id| id.as_str());
    id.map(str::to_string).ok_or_else(|| io::Error::other(format!("no lease: {said}")))
}

/// Does the job, with a heartbeat every five seconds, reports it, and gives the lease back. In this order: once
/// the lease is back, the process may be told to end.
async fn work_on(lease: &str, ms: u64, report: &str) {
    let (mut done, step) = (0, 5_000);
    while done < ms {
        let now = step.min(ms - done);
        tokio::time::sleep(Duration::from_millis(now)).await;
        done += now;
        let body = serde_json::json!({ "progress": done as f64 / ms as f64 }).to_string();
        let _ = call_until(Method::PUT, lease, body, PATIENCE).await;
    }
    // The client may be gone; then nobody asks any more.
    let _ = call_until(Method::POST, report, String::new(), PATIENCE).await;
    let _ = call_until(Method::DELETE, lease, String::new(), PATIENCE).await;
}
