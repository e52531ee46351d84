//! A core on a socket, and on the network: accepts, makes sure who is there, and gives each connection to the routes.

mod assets;
mod cost;
mod desk;
mod entry;
mod events;
mod extract;
mod guard;
mod images;
mod jobs;
mod logs;
mod needs;
mod orders;
mod peer;
mod people;
mod questions;
mod reach;
mod roles;
mod router;
mod until;

pub(crate) use reach::PROTOCOL;
pub use router::openapi;

use crate::{Authority, Core, Duplex, Ground, Refused};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use entry::Entry;
pub use entry::Origin;
pub use guard::guarded;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

/// The most bytes of a request's body: a merged Compose file with all its contents, many times over.
pub const BODY_MAX: usize = 16 << 20;

/// The largest secret or config, 1 MiB, as for any file that belongs to a Compose file.
pub const CONTENT_MAX: usize = 1 << 20;

/// The most connections at a time: the roles' few, and some hundred people and scripts that watch. More
/// wait in the kernel until one goes. The network has as many of its own, so that it keeps nobody from the socket.
pub const CONNECTIONS_MAX: usize = 512;

/// A request's head, on a socket of the same machine, takes microseconds; this is for a peer that was
/// stopped half-way, and for slow networks.
const HEAD_MAX: Duration = Duration::from_secs(30);

/// A handshake on a slow network takes a second.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long requests in progress may go on when the server is told to end.
const CLOSING: Duration = Duration::from_millis(500);

/// Where the API is served.
pub enum Door {
    /// A Unix socket, which only the user of this process and root are let in by. They are its owner.
    Socket(UnixListener),
    /// The network, by TLS. Whoever comes shows a token. Beside the API, these pages may be served: all that is not below
    /// `/v1/`, and each request with its [`Origin`]; who comes there is theirs to find out.
    Network(TcpListener, TlsAcceptor, Option<Router>),
}

/// What both doors lead to.
#[derive(Clone)]
struct Inside {
    router: Router,
    pages: Option<Router>,
    authority: Arc<dyn Authority>,
    closed: watch::Receiver<()>,
}

/// Serves the API until `end` resolves, then lets short requests finish.
pub async fn serve(
    door: Door,
    core: Arc<dyn Core>,
    authority: Arc<dyn Authority>,
    end: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (closing, closed) = watch::channel(());
    let pages = door.pages();
    let inside = Inside { router: router::router(core, authority.clone()), pages, authority, closed };
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        let next = async { (places.clone().acquire_owned().await, door.accept().await) };
        let (place, accepted) = tokio::select! {
            () = &mut end => break,
            Some(_) = connections.join_next() => continue,
            both = next => both,
        };
        match accepted {
            Ok(arrival) => {
                let serving = arrival.serve(inside.clone());
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

/// A connection that was just accepted.
enum Arrival {
    Socket(tokio::net::UnixStream, Entry),
    Network(tokio::net::TcpStream, SocketAddr, TlsAcceptor),
}

impl Door {
    fn pages(&self) -> Option<Router> {
        match self {
            Door::Socket(_) => None,
            Door::Network(_, _, pages) => pages.clone(),
        }
    }

    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Door::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                let entry = Entry::of_socket(&stream, peer::own_uid());
                Ok(Arrival::Socket(stream, entry))
            }
            Door::Network(listener, tls, _) => {
                let (stream, from) = listener.accept().await?;
                Ok(Arrival::Network(stream, from, tls.clone()))
            }
        }
    }
}

impl Arrival {
    async fn serve(self, inside: Inside) {
        match self {
            Arrival::Socket(stream, entry) => connection(Box::new(stream), entry, inside).await,
            Arrival::Network(stream, from, tls) => {
                match tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(Box::new(stream), Entry::Network(from), inside).await,
                    Ok(Err(error)) => tracing::debug!(%error, %from, "no TLS came about"),
                    Err(_) => tracing::debug!(%from, "no TLS came about in time"),
                }
            }
        }
    }
}

/// Serves one connection to its end, or until the server ends.
async fn connection(stream: Box<dyn Duplex>, entry: Entry, mut inside: Inside) {
    let within = inside.clone();
    let service = service_fn(move |request| answer(within.clone(), entry.clone(), request));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = inside.closed.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    mut inside: Inside,
    entry: Entry,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    if let Entry::Network(from) = &entry {
        request.extensions_mut().insert(Origin(*from));
        if let Some(pages) = inside.pages.as_mut().filter(|_| !request.uri().path().starts_with("/v1/")) {
            return pages.call(request).await;
        }
    }
    // Whoever signs in has no token yet.
    if !(needs::is_open(request.uri().path()) && matches!(entry, Entry::Network(_))) {
        match entry.who(request.headers(), &*inside.authority).await {
            Ok(who) => request.extensions_mut().insert(who),
            Err(refused) => return Ok(refused.into_response()),
        };
    }
    request.extensions_mut().insert(Closing(inside.closed.clone()));
    inside.router.call(request).await
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
        let mut answer = (status, axum::Json(self.refusal)).into_response();
        if self.ground == Ground::Unknown {
            answer.headers_mut().insert("www-authenticate", axum::http::HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// For a route's part that is gone because the server ends.
fn ending() -> Refused {
    Refused::new(Ground::Unavailable, "the server is ending", "try again in a moment")
}
