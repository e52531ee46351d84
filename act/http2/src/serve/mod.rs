//! The client's side: a connection whose streams are each a request of HTTP/1.1, in a pipe of its own.
//!
//! One task has the socket, the frames (`frame`), the header blocks (`crate::hpack`), the near ends of all pipes, and
//! drives whoever is at their far ends: so nothing has to be handed from task to task, what comes of one wake-up is
//! written together, and only those are looked at that have something to do (`ring`). What frames do is in
//! `connection`, which reads and writes no socket; `drive` has the socket.
//!
//! A client has a bound for everything that it can make grow: what waits to be read (windows), to be written (no more
//! frames are taken from one who does not read), what it may begin (streams), and how often it may change its mind
//! (`patience`).

mod answer;
mod connection;
mod control;
mod drive;
mod frame;
mod patience;
mod request;
mod ring;
mod streams;
mod turns;
mod upload;
mod window;

use drive::Drive;
use naru_carry::{End, Stream};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the client's greeting.
    pub greeting: Duration,
    /// For the next request; twice that at most.
    pub idle: Duration,
    /// For a client to take any byte of what waits to be written.
    pub stall: Duration,
    /// For a client to close what has ended.
    pub linger: Duration,
}

/// Serves one client until either side has had enough, and all who work for it are done. `first` was read of the
/// connection already. Each stream is served by what `begin` makes of the far end of its pipe. Once `leave` is done the
/// connection ends in order: the client is told ahead, and all that it has begun is answered.
pub async fn serve<F: Future<Output = ()>>(
    stream: &mut Stream,
    first: Vec<u8>,
    times: Times,
    leave: impl Future<Output = ()>,
    begin: impl Fn(End) -> F,
) {
    let leave = pin!(leave);
    Drive::new(stream, first, times, leave, begin).run().await;
}
