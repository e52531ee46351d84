//! Routes about assets: what there is, and one order.

use super::extract::{Json, Params};
use super::router::Shared;
use crate::{Refused, ShowAssets};
use axum::Extension;
use axum::http::StatusCode;
use naru_model::{AssetOrder, AssetView, AssetsView, Refusal};
use naru_who::Who;
use serde::Deserialize;
use utoipa::IntoParams;

/// What is shown of assets.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfAssets {
    /// `known` (also if it is missing), or `looked`: after a look at every cloud, which takes seconds.
    #[param(inline)]
    show: Option<ShowAssets>,
}

/// Machines of clouds that Naru may start and stop, and what is wanted of them.
#[utoipa::path(get, path = "/v1/assets", params(OfAssets),
    responses((status = 200, body = AssetsView), (status = "default", body = Refusal)))]
pub(super) async fn assets(
    Shared(core): Shared,
    Params(of): Params<OfAssets>,
) -> Result<axum::Json<AssetsView>, Refused> {
    core.assets(of.show.unwrap_or_default()).await.map(axum::Json)
}

/// Wants an asset on or off. How that goes is in the asset's steps; it goes on whoever leaves, and when the server was killed.
#[utoipa::path(post, path = "/v1/assets", request_body = AssetOrder,
    responses((status = 202, body = AssetView),
        (status = 409, body = Refusal, description = "Not in the present state; nothing was changed."),
        (status = "default", body = Refusal)))]
pub(super) async fn want_asset(
    Shared(core): Shared,
    Extension(who): Extension<Who>,
    Json(order): Json<AssetOrder>,
) -> Result<(StatusCode, axum::Json<AssetView>), Refused> {
    Ok((StatusCode::ACCEPTED, axum::Json(core.want_asset(order, who.name).await?)))
}
