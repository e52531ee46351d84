//! The API on the network, if the home says so.

use crate::listen;
use naru_api::{Authority, Core, Door, Pages, serve as serve_api};
use naru_home::{Failure, Home};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// An address that is taken may be given up; a server that is replaced has it a moment longer.
const AGAIN: Duration = Duration::from_secs(1);

/// Serves the API, and these pages beside it, until the server ends. What is in the way holds nothing else up.
pub async fn serve(
    home: Home,
    core: Arc<dyn Core>,
    authority: Arc<dyn Authority>,
    pages: Pages,
    mut ended: watch::Receiver<()>,
) {
    let open = async {
        loop {
            match open(&home).await {
                Ok(door) => break door,
                Err(error) => {
                    tracing::error!(%error, "the API is not served on the network; again in {AGAIN:?}")
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let door = tokio::select! {
        door = open => door,
        _ = ended.changed() => return,
    };
    if let Some((listener, tls)) = door {
        let end = async move { drop(ended.changed().await) };
        serve_api(Door::Network(listener, tls, Some(pages)), core, authority, end).await;
    }
}

async fn open(home: &Home) -> Result<Option<(TcpListener, TlsAcceptor)>, Failure> {
    let Some(listen) = listen::wanted(home)? else { return Ok(None) };
    let (tls, fingerprint) = listen::acceptor(home, &listen)?;
    let listener = TcpListener::bind(&listen.address).await?;
    tracing::info!(address = listen.address, %fingerprint, "the API is served on the network");
    Ok(Some((listener, tls)))
}
