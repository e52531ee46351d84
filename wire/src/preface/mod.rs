//! What a connection begins with, before the protocol that it is for: whom a proxy tells (PROXY protocol), and the name
//! that a TLS client asks for.
//!
//! Both readers are given all bytes so far, from the first. `Ok(None)` means that more are needed; what has been said
//! of some bytes holds for them with any that follow, so that it does not matter how they were cut.

mod crc;
mod hello;
mod proxy;

pub use hello::{HELLO, Hello, hello};
pub use proxy::{PROXY_HEADER, Peers, ProxyHeader, proxy_header, write_proxy_header};

/// Why a connection's beginning cannot be what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);
