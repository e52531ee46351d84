//! A client's connection of HTTP/2: each of its streams is one request, and is carried as one of HTTP/1.1 is, at the
//! other end of a connection inside the process (`naru_http2` has the reasons).
//!
//! A connection that is to end says so ahead (GOAWAY): the client begins no more streams on it, and those that are there
//! are finished. A request that is whole here counts as handed to the client once the last of its bytes, at most a
//! buffer's length, waits for the client alone.

use crate::Config;
use crate::http1::{self, Caller};
use crate::route::Route;
use naru_carry::Stream;
use naru_http2::Times;
use std::pin::pin;

/// Serves one client until either side has had enough. `first` was read of the connection already.
pub(crate) async fn serve(
    config: &Config,
    route: &Route,
    caller: &Caller,
    stream: &mut Stream,
    first: Vec<u8>,
) {
    let times = Times {
        greeting: config.head_time,
        idle: config.idle_time,
        stall: config.stall_time,
        linger: config.linger_time,
    };
    let mut leaving = pin!(route.leaving.notified());
    // In this order: it is told from here on, and what was told before is known.
    leaving.as_mut().enable();
    let is_closed = route.is_closed();
    let leave = async {
        if !is_closed {
            leaving.await;
        }
    };
    let request = |far| http1::serve(config, route, Stream::Pipe(far), caller);
    naru_http2::serve(stream, first, times, leave, request).await;
}
