//! A connection with an instance: after the answer, bytes go both ways as they are.

use super::Closing;
use super::extract::Json;
use super::peer::Peer;
use super::router::Shared;
use crate::{Duplex, Ground, ReachOrder, Refused};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::IntoResponse;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use naru_model::Refusal;
use tokio::io::copy_bidirectional_with_sizes;

/// What an upgraded connection is called.
pub(crate) const PROTOCOL: &str = "naru-reach";

/// Bytes that may be on their way in each direction.
const BUFFER: usize = 16 << 10;

/// Connects with an instance, for as long as both ends want. The connection is upgraded to `naru-reach`, whose frames the two
/// ends understand.
#[utoipa::path(post, path = "/v1/reach", request_body = ReachOrder,
    responses((status = 101, description = "Frames go both ways."),
        (status = 404, body = Refusal, description = "There is no such instance."),
        (status = "default", body = Refusal)))]
pub(super) async fn reach(
    State(core): Shared,
    Extension(peer): Extension<Peer>,
    Extension(closing): Extension<Closing>,
    upgrade: Option<Extension<OnUpgrade>>,
    Json(order): Json<ReachOrder>,
) -> Result<impl IntoResponse, Refused> {
    let Some(Extension(upgrade)) = upgrade else {
        let error = "this route needs a connection that is upgraded to naru-reach";
        return Err(Refused::new(
            Ground::Malformed,
            error,
            "send `connection: upgrade`, `upgrade: naru-reach`",
        ));
    };
    let far = core.reach(order, peer.name).await?;
    tokio::spawn(async move {
        let carried = async {
            match upgrade.await {
                Ok(near) => carry(TokioIo::new(near), far).await,
                Err(error) => tracing::debug!(%error, "whoever asked for a connection has gone"),
            }
        };
        tokio::select! {
            () = carried => {}
            () = closing.begun() => {}
        }
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, PROTOCOL)]))
}

async fn carry(mut near: impl Duplex, mut far: Box<dyn Duplex>) {
    if let Err(error) = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await {
        tracing::debug!(%error, "a connection with an instance broke off");
    }
}
