//! How a connection comes in, before its protocol: it waits for a place, it comes from where clients may, a trusted
//! proxy says who it is really from, its source has no more than its share, and its TLS ends here where that is the
//! listener's to do.

use crate::Config;
use crate::room::Place;
use crate::route::Route;
use naru_books::Register;
use naru_carry::Stream;
use naru_wire::{PROXY_HEADER, Peers, Unreadable, proxy_header};
use std::io;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// A connection that came in.
pub(crate) struct Entered {
    /// Held for as long as the connection is open.
    pub(crate) place: Place,
    /// Who it is from, as far as is known.
    pub(crate) who: Who,
}

/// Who speaks to whom.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    /// The client, or whom a trusted proxy names.
    pub(crate) source: SocketAddr,
    /// What it connected to, where a proxy said so.
    pub(crate) destination: Option<SocketAddr>,
}

/// Lets a connection in. `None`: it is to be closed, and was counted as turned away.
pub(crate) async fn enter(
    config: &Config,
    route: &Route,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Option<Entered> {
    let mut place = route.room.enter().await;
    let entrance = route.entrance();
    if !entrance.admits(peer.ip()) {
        tracing::warn!(%peer, listener = %route.address, "one who is not of this machine is turned away");
        return turn_away(stream, &route.register);
    }
    let mut who = Who { source: peer, destination: None };
    if entrance.accept_proxy && entrance.trusts(peer.ip()) {
        // Boxed: what is rare must not make every connection larger.
        match Box::pin(told(config, stream)).await {
            Ok(Some(Peers { source, destination })) => {
                who = Who { source, destination: Some(destination) };
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%peer, listener = %route.address, %error, "a trusted proxy is turned away");
                return turn_away(stream, &route.register);
            }
        }
    }
    if let Some(most) = entrance.max_connections_per_source
        && place.is_of(who.source.ip(), most).is_err()
    {
        return turn_away(stream, &route.register);
    }
    Some(Entered { place, who })
}

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

/// Reset, so that it costs nothing more on this side. Where that fails, it is closed in order.
fn turn_away(stream: &TcpStream, register: &Register) -> Option<Entered> {
    register.turned_away();
    let _ = stream.set_zero_linger();
    None
}

/// Reads what a proxy says, and not a byte more.
async fn told(config: &Config, stream: &mut TcpStream) -> io::Result<Option<Peers>> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "its PROXY header took too long to arrive");
    tokio::time::timeout(config.head_time, read_header(stream)).await.map_err(late)?
}

async fn read_header(stream: &mut TcpStream) -> io::Result<Option<Peers>> {
    let invalid = |unreadable: Unreadable| io::Error::new(io::ErrorKind::InvalidData, unreadable.0);
    let (mut header, mut taken) = (vec![0; PROXY_HEADER], 0);
    loop {
        let there = stream.peek(&mut header[taken..]).await?;
        if there == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before its PROXY header"));
        }
        let read = proxy_header(&header[..taken + there]).map_err(invalid)?;
        let end = read.map_or(taken + there, |header| header.length);
        // What was looked at is there: this waits for nothing.
        stream.read_exact(&mut header[taken..end]).await?;
        taken = end;
        if let Some(header) = read {
            return Ok(header.peers);
        }
    }
}
