//! The edge's own socket, for people and programs of this user that want to look: what was counted, as a text for
//! Prometheus and as JSON. Nothing can be changed by it.

use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use naru_api::metrics;
use naru_home::{Failure, Home};
use naru_model::EdgeSnapshot;
use std::convert::Infallible;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// What can be looked at.
pub(crate) trait LookedAt {
    /// What is seen of it now.
    async fn seen(&self) -> EdgeSnapshot;
}

/// Its name in the home.
const NAME: &str = "edge/admin.sock";

/// Those that look at the same time; more wait.
const LOOKERS: usize = 16;

/// A whole look takes milliseconds; this is for somebody who stopped half-way.
const LOOK: Duration = Duration::from_secs(30);

/// The largest answer that is taken: thousands of routes and instances.
const ANSWER_MAX: usize = 256 << 20;

/// The socket, taken away when dropped, unless another edge has it by then.
pub struct Admin {
    listener: UnixListener,
    path: PathBuf,
    id: (u64, u64),
}

impl Admin {
    /// Takes the place over from whatever edge had it before.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(home: &Home) -> io::Result<Admin> {
        home.folder("edge")?;
        let path = home.socket_at(NAME)?;
        let mut own = path.clone().into_os_string();
        own.push(format!(".{}", std::process::id()));
        // What a process of the same number left.
        let _ = fs::remove_file(&own);
        let listener = UnixListener::bind(&own)?;
        fs::set_permissions(&own, Permissions::from_mode(0o600))?;
        let about = fs::metadata(&own)?;
        fs::rename(&own, &path)?;
        Ok(Admin { listener, path, id: (about.dev(), about.ino()) })
    }

    /// Lets look, for ever.
    async fn serve(&self, looked_at: &impl LookedAt) {
        let mut lookers = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = lookers.next() => {}
                accepted = self.listener.accept(), if lookers.len() < LOOKERS => match accepted {
                    Ok((stream, _)) => lookers.push(look(stream, looked_at)),
                    Err(error) => {
                        tracing::warn!(%error, "somebody who wants to look cannot be let in");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
    }
}

/// Lets look, for ever, where there is a socket.
pub(crate) async fn serve(admin: Option<&Admin>, looked_at: &impl LookedAt) {
    match admin {
        Some(admin) => admin.serve(looked_at).await,
        None => std::future::pending().await,
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.id) {
            // What stays refuses connections, and the next edge replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// One request.
async fn look(stream: UnixStream, looked_at: &impl LookedAt) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, looked_at).await) });
    let mut http = hyper::server::conn::http1::Builder::new();
    let looked = http.keep_alive(false).serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(LOOK, looked).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a look broke off"),
        Err(_) => tracing::debug!("a look took too long"),
    }
}

async fn answer(request: &Request<Incoming>, looked_at: &impl LookedAt) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let seen = looked_at.seen().await;
            (StatusCode::OK, metrics::MEDIA_TYPE, metrics::text(&seen).into())
        }
        (&Method::GET, "/snapshot") => {
            let seen = looked_at.seen().await;
            let json = serde_json::to_vec(&seen).expect("a snapshot has only text keys");
            (StatusCode::OK, "application/json", Bytes::from(json))
        }
        (_, "/metrics" | "/snapshot") => {
            (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "it can be read only: GET\n".into())
        }
        _ => (StatusCode::NOT_FOUND, "text/plain", "there are /metrics and /snapshot\n".into()),
    };
    let answer = Response::builder().status(status).header("content-type", kind);
    answer.body(Full::new(body)).expect("these heads are valid")
}

/// Why one cannot look.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no edge.
    #[error("no edge is running (nobody answers at {})", socket.display())]
    NoEdge {
        /// Where it would be.
        socket: PathBuf,
    },
    /// The home is of no use, or the answer was none.
    #[error("the edge cannot be looked at: {0}")]
    Failed(#[from] Failure),
}

/// What the edge of this home has counted, as a text for Prometheus.
///
/// # Errors
/// There is no edge, or no sense in its answer.
pub async fn metrics(home: &Path) -> Result<String, LookError> {
    let body = ask(home, "/metrics").await?;
    String::from_utf8(body.into()).map_err(|error| LookError::Failed(error.into()))
}

/// The same, as data.
///
/// # Errors
/// There is no edge, or no sense in its answer.
pub async fn snapshot(home: &Path) -> Result<EdgeSnapshot, LookError> {
    let body = ask(home, "/snapshot").await?;
    serde_json::from_slice(&body).map_err(|error| LookError::Failed(error.into()))
}

async fn ask(home: &Path, path: &str) -> Result<Bytes, LookError> {
    let home = Home::open(home).map_err(|error| LookError::Failed(error.into()))?;
    let socket = home.socket_at(NAME).map_err(|error| LookError::Failed(error.into()))?;
    let shown = home.path(NAME);
    let stream = UnixStream::connect(socket).await.map_err(|_| LookError::NoEdge { socket: shown })?;
    let asked = tokio::time::timeout(LOOK, exchange(stream, path)).await;
    Ok(asked.map_err(|late| LookError::Failed(late.into()))??)
}

async fn exchange(stream: UnixStream, path: &str) -> Result<Bytes, Failure> {
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header("host", "edge").body(Full::<Bytes>::default())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(format!("it answers {}", answer.status()).into());
        }
        Ok(Limited::new(answer.into_body(), ANSWER_MAX).collect().await?.to_bytes())
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        done = &mut exchange => done,
        // It ends with the connection; what was answered is still to be read.
        ended = driver => {
            ended?;
            exchange.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Admin, LookError, LookedAt, metrics, snapshot};
    use naru_edge::{Config, Edge};
    use naru_home::{Home, wall};
    use naru_model::{EdgeSnapshot, Generation, Listener, Protocol, RouteTable, Time};
    use std::future::Future;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    impl LookedAt for Edge {
        async fn seen(&self) -> EdgeSnapshot {
            self.snapshot(wall()).await
        }
    }

    fn edge(generation: u64) -> Edge {
        let edge = Edge::start(Config::new("node".into(), "edge".into(), Time(1), 1)).unwrap();
        let listener = Listener {
            name: "shop/api:80@127.0.0.1:0".into(),
            address: "127.0.0.1:0".into(),
            protocol: Protocol::Http,
            stack: "shop".into(),
            service: Some("api".into()),
            splits: vec![],
            policy: Default::default(),
            entrance: Default::default(),
            rules: vec![],
        };
        edge.apply(RouteTable { generation: Generation(generation), listeners: vec![listener] }).unwrap();
        edge
    }

    async fn while_served<T>(admin: &Admin, edge: &Edge, what: impl Future<Output = T>) -> T {
        tokio::select! {
            () = admin.serve(edge) => unreachable!("it serves for ever"),
            done = what => done,
        }
    }

    async fn generation(home: &Path) -> Generation {
        snapshot(home).await.unwrap().acked
    }

    #[tokio::test]
    async fn who_may_look_sees_what_was_counted() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        assert!(matches!(metrics(dir.path()).await, Err(LookError::NoEdge { .. })));
        let (admin, edge) = (Admin::open(&home).unwrap(), edge(4));
        let mode = std::fs::metadata(home.path("edge/admin.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        while_served(&admin, &edge, async {
            while generation(dir.path()).await != Generation(4) {}
            let text = metrics(dir.path()).await.unwrap();
            assert!(text.contains("\nnaru_route_table_generation 4\n"), "{text}");
            let seen = snapshot(dir.path()).await.unwrap();
            assert_eq!(seen.listeners[0].stack.as_str(), "shop");
            assert!(matches!(super::ask(dir.path(), "/none").await, Err(LookError::Failed(_))));
        })
        .await;
        drop(admin);
        assert!(!home.path("edge/admin.sock").exists());
    }

    #[tokio::test]
    async fn the_next_edge_takes_the_place_over() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let (before, after) = (edge(1), edge(2));
        let first = Admin::open(&home).unwrap();
        let second = Admin::open(&home).unwrap();
        drop(first);
        while_served(&second, &after, async { while generation(dir.path()).await != Generation(2) {} }).await;
        drop((second, before));
    }

    #[tokio::test]
    async fn a_home_with_a_long_path_can_be_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long-".repeat(40));
        let (admin, edge) = (Admin::open(&Home::open(&long).unwrap()).unwrap(), edge(1));
        while_served(&admin, &edge, async { metrics(&long).await.unwrap() }).await;
    }
}
