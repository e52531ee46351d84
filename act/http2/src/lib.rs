//! HTTP/2 on either side of the edge, told as HTTP/1.1.
//!
//! The edge has one way of treating requests, that of HTTP/1.1: rules, retries, counts, limits and the strictness of its
//! framing are written once. A stream of HTTP/2 is one exchange of HTTP/1.1 over a connection inside the process
//! ([`naru_carry::pipe`]): [`serve`] has the client's side of it, and [`open`] the instance's. What only HTTP/2 has
//! is kept in the form that HTTP/1.1 has for it: trailers as those of a chunked body, a stream that is reset as a
//! connection that breaks off, an extended `CONNECT` (RFC 8441) as an upgrade.
//!
//! That costs a copy of each byte and the reading of each head, far less than the frames themselves do. Those of clients
//! are the project's own (`serve`, `hpack`): every request goes through them. Those of instances are the `h2` crate's.

mod body;
mod hpack;
mod serve;
mod text;
mod up;

pub use serve::{Times, serve};
pub use up::open;
