//! Who has come in: by the kernel's word at the Unix socket, by a token elsewhere.

use super::peer;
use crate::{Authority, Ground, Refused};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use naru_who::Who;
use std::net::SocketAddr;
use tokio::net::UnixStream;

/// By which way a connection came.
#[derive(Clone)]
pub(super) enum Entry {
    /// By the socket in NARU_HOME: the owner or root, or somebody who is refused.
    Socket(Result<Who, Refused>),
    /// By the network: each request shows a token.
    Network(SocketAddr),
}

/// From where a request of the network comes.
#[derive(Clone, Copy, Debug)]
pub struct Origin(pub SocketAddr);

impl Entry {
    pub(super) fn of_socket(stream: &UnixStream, owner: u32) -> Entry {
        Entry::Socket(peer::name_of(stream, owner).map(|name| Who::owner(name, "unix socket")))
    }

    /// Who sends a request.
    pub(super) async fn who(&self, headers: &HeaderMap, authority: &dyn Authority) -> Result<Who, Refused> {
        match self {
            Entry::Socket(who) => who.clone(),
            Entry::Network(from) => {
                let shown =
                    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
                let token = shown.ok_or_else(|| {
                    let hint = "`naru login` gets one; it is sent as `authorization: Bearer TOKEN`";
                    Refused::new(Ground::Unknown, "nobody has signed in: there is no token", hint)
                })?;
                authority.whose(token, *from).await
            }
        }
    }
}
