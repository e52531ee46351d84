//! A core on a socket: accepts, asks the kernel who is there, and gives each connection to the routes.

mod assets;
mod events;
mod extract;
mod images;
mod jobs;
mod logs;
mod orders;
mod peer;
mod questions;
mod reach;
mod roles;
mod router;

pub(crate) use reach::PROTOCOL;
pub use router::openapi;

use crate::{Core, Ground, Refused};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use peer::Peer;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

/// The most bytes of a request's body: a merged Compose file with all its contents, many times over.
pub const BODY_MAX: usize = 16 << 20;

/// The largest secret or config, 1 MiB, as for any file that belongs to a Compose file.
pub const CONTENT_MAX: usize = 1 << 20;

/// The most connections at a time: the roles' few, and some hundred people and scripts that watch. More
/// wait in the kernel until one goes.
pub const CONNECTIONS_MAX: usize = 512;

/// A request's head, on a socket of the same machine, takes microseconds; this is for a peer that was
/// stopped half-way.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// How long requests in progress may go on when the server is told to end.
const CLOSING: Duration = Duration::from_millis(500);

/// Serves the API until `end` resolves, then lets short requests finish. Only the user of this process and
/// root are let in.
pub async fn serve(listener: UnixListener, core: Arc<dyn Core>, end: impl Future<Output = ()>) {
    let owner = peer::own_uid();
    let router = router::router(core);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = &mut end => break,
            Some(_) = connections.join_next() => continue,
            both = next => both,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = connection(stream, router.clone(), owner, closed.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(closing);
    let rest = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING, rest).await;
}

/// Serves one connection to its end, or until `closed` says that the server ends.
async fn connection(stream: UnixStream, router: Router, owner: u32, mut closed: watch::Receiver<()>) {
    let (peer, closing) = (Peer::of(&stream, owner), Closing(closed.clone()));
    let service = service_fn(move |request| answer(router.clone(), peer.clone(), closing.clone(), request));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closed.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    mut router: Router,
    peer: Result<Peer, Refused>,
    closing: Closing,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let peer = match peer {
        Ok(peer) => peer,
        Err(refused) => return Ok(refused.into_response()),
    };
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(closing);
    router.call(request).await
}

/// Tells streams that the server ends: they end with it, and hold nothing up.
#[derive(Clone)]
struct Closing(watch::Receiver<()>);

impl Closing {
    async fn begun(mut self) {
        // The other end is never written to, only dropped.
        let _ = self.0.changed().await;
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        let status = axum::http::StatusCode::from_u16(self.ground.status());
        let status = status.expect("each ground's status is one of HTTP's");
        (status, axum::Json(self.refusal)).into_response()
    }
}

/// For a route's part that is gone because the server ends.
fn ending() -> Refused {
    Refused::new(Ground::Unavailable, "the server is ending", "try again in a moment")
}
