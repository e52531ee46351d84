//! A connection, from the moment that it was accepted to its end.
//!
//! Ten thousand that wait are the usual case: what one holds while it waits is kept small, and what it needs before and
//! after lies elsewhere.

use crate::entrance::{self, Entered, Who};
use crate::http1::{Caller, Client, Ended};
use crate::room::Place;
use crate::route::Route;
use crate::worker::Worker;
use crate::{http2, tcp};
use naru_carry::Stream;
use naru_model::Protocol;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use tokio::net::TcpStream;

/// Carries a connection that was accepted to its end.
pub(crate) fn begin(worker: &Rc<Worker>, route: Rc<Route>, stream: TcpStream, peer: SocketAddr) {
    let open = Open::new(worker.clone(), route);
    // Boxed: its memory is free again once the connection is in.
    tokio::task::spawn_local(carry(Box::pin(enter(open, stream, peer))));
}

/// A connection that is in.
struct Connection {
    open: Open,
    /// Held for as long as the connection is open.
    place: Place,
    stream: Stream,
}

async fn enter(open: Open, mut stream: TcpStream, peer: SocketAddr) -> Option<(Connection, Who)> {
    let (config, route) = (&open.worker.config, &open.route);
    let Entered { place, who } = entrance::enter(config, route, &mut stream, peer).await?;
    let stream = entrance::greet(config, route, stream).await?;
    Some((Connection { open, place, stream }, who))
}

async fn carry(entering: Pin<Box<impl Future<Output = Option<(Connection, Who)>>>>) {
    let Some((mut connection, who)) = entering.await else { return };
    let Open { worker, route } = &connection.open;
    match route.protocol {
        Protocol::Http | Protocol::Http2 => {
            let caller = Caller::new(who.source, &connection.stream);
            let ended = if connection.stream.chose_http2() {
                Ended::Http2(vec![])
            } else {
                Client::new(&worker.config, route, &mut connection.stream, &caller).serve().await
            };
            match ended {
                Ended::Over => {}
                // A connection that cannot be reset any more is gone.
                Ended::Broken => drop(connection.stream.set_zero_linger()),
                // Boxed: what is rarer must not make every connection larger.
                Ended::Http2(first) => Box::pin(streams(connection, caller, first)).await,
            }
        }
        // The same. Of UDP there are no connections.
        Protocol::Tcp | Protocol::Udp => Box::pin(pass(connection, who)).await,
    }
}

async fn streams(mut connection: Connection, caller: Caller, first: Vec<u8>) {
    let Open { worker, route } = &connection.open;
    http2::serve(&worker.config, route, &caller.of_http2(), &mut connection.stream, first).await;
}

async fn pass(connection: Connection, who: Who) {
    let Connection { open, place: _held, stream } = connection;
    tcp::serve(&open.worker.config, &open.route, stream, who).await;
}

/// A connection that is open, counted.
struct Open {
    worker: Rc<Worker>,
    route: Rc<Route>,
}

impl Open {
    fn new(worker: Rc<Worker>, route: Rc<Route>) -> Open {
        worker.connected();
        route.register.opened();
        Open { worker, route }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.route.register.closed();
        self.worker.disconnected();
    }
}
