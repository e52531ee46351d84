//! The beginning of a client's connection, before anything of its protocol: TLS, where the listener ends it.

use crate::Config;
use crate::route::Route;
use naru_carry::Stream;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// The connection, ready for its protocol. `None`: the client is gone, or did not get that far in time.
pub(crate) async fn greet(config: &Config, route: &Route, stream: TcpStream) -> Option<Stream> {
    let tls = route.tls.borrow().clone();
    let Some(tls) = tls else { return Some(Stream::Plain(stream)) };
    // Boxed: a handshake's state must not make every connection larger.
    let handshake = Box::pin(tokio::time::timeout(config.head_time, TlsAcceptor::from(tls).accept(stream)));
    match handshake.await {
        Ok(Ok(stream)) => Some(stream.into()),
        Ok(Err(error)) => {
            tracing::debug!(%error, listener = %route.address, "no TLS with a client");
            None
        }
        Err(_) => None,
    }
}
