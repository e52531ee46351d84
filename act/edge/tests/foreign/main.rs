//! Programs that are not ours on both sides of the edge: curl and nghttp, single frames of HTTP/2, and a
//! Python server; the Autobahn suite for websockets and the server of Python's `websockets`. What they say is listed in
//! docs/edge-conformance.md; `UPDATE=1` writes it.

#[path = "../edge/lab.rs"]
#[allow(dead_code, reason = "the other tests of the edge need more of it")]
mod lab;

mod curl;
mod frames;
mod nghttp;
mod page;
mod server;
mod websockets;
