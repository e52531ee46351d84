//! The listener of the work API, and the clock that closes leases whose heartbeat has stopped.

use crate::api::answer;
use crate::clock::now;
use crate::{Book, WorkError};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use naru_model::Span;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at a time; more wait to be accepted. Each costs some 20 kB.
const CONNECTIONS: usize = 1_024;
/// A client that takes longer for its headers, or keeps a connection idle for longer, is cut off.
const HEADER_TIME: Duration = Duration::from_secs(70);
/// Bytes of a request's head.
const HEAD: usize = 16 << 10;
/// So long an earlier agent may take to let go of the port.
const PORT_PATIENCE: Duration = Duration::from_secs(10);
/// Between one try to serve at a further address and the next.
const ADDRESS_PAUSE: Duration = Duration::from_millis(500);
/// Waking so much later than planned means that this process stood still, and heard no heartbeats.
const STOOD_STILL: Span = Span::secs(2);

/// The work API, listening.
pub struct WorkServer {
    book: Book,
    listener: TcpListener,
}

impl WorkServer {
    /// Listens at the book's port.
    ///
    /// # Errors
    /// Somebody else listens there, and does so for more than 10 s.
    pub async fn bind(book: &Book) -> Result<WorkServer, WorkError> {
        let port = book.port();
        let deadline = tokio::time::Instant::now() + PORT_PATIENCE;
        loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => return Ok(WorkServer { book: book.clone(), listener }),
                Err(source) if tokio::time::Instant::now() >= deadline => {
                    return Err(WorkError::Port { port, source });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Serves until dropped.
    pub async fn run(self) {
        tokio::join!(accept(&self.book, &self.listener), keep_time(&self.book));
    }
}

/// Serves the work API at one more address of this host, at the book's port, for as long as the future lives. An address
/// that is not there yet (its network comes up later), or that somebody else has, is tried again.
pub async fn serve_at(book: Book, address: Ipv4Addr) {
    loop {
        match TcpListener::bind((address, book.port())).await {
            Ok(listener) => accept(&book, &listener).await,
            Err(error) => {
                tracing::debug!(%error, %address, "the work API is not served there yet");
                tokio::time::sleep(ADDRESS_PAUSE).await;
            }
        }
    }
}

async fn accept(book: &Book, listener: &TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let book = book.clone();
                connections.spawn(async move {
                    serve(book, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the work API could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(book: Book, stream: TcpStream) {
    let service = service_fn(move |request| answer(book.clone(), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the work API ended early");
    }
}

async fn keep_time(book: &Book) {
    let mut changed = book.changed();
    loop {
        let next = book.expire();
        let pause = next.map_or(Duration::from_secs(3_600), |at| at.since(now()).std());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = changed.changed() => {}
        }
        if next.is_some_and(|at| now().since(at) > STOOD_STILL) {
            book.resume();
        }
    }
}
