//! What is wanted of images, with how it goes, one JSON object a line.

use super::Closing;
use super::extract::Json;
use super::logs::ndjson;
use super::router::Shared;
use crate::{ImageEvent, ImageOrder, PruneOrder, Refused};
use axum::Extension;
use axum::response::IntoResponse;
use naru_model::{ImageFate, Refusal};

/// Finds, pulls, builds or pushes the images of a stack. Answers with ImageEvents in JSON, each on a line of its own, as it
/// goes; the last one says how it ended. A client that leaves ends what is under way.
#[utoipa::path(post, path = "/v1/images", request_body = ImageOrder,
    responses((status = 200, body = ImageEvent, content_type = "application/x-ndjson"),
        (status = "default", body = Refusal)))]
pub(super) async fn images(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Json(order): Json<ImageOrder>,
) -> Result<impl IntoResponse, Refused> {
    Ok(ndjson(core.images(order).await?, closing))
}

/// What becomes of each image of the engine, and why. Those that nobody needs are removed, if that is ordered.
#[utoipa::path(post, path = "/v1/prune", request_body = PruneOrder,
    responses((status = 200, body = Vec<ImageFate>), (status = "default", body = Refusal)))]
pub(super) async fn prune(
    Shared(core): Shared,
    Json(order): Json<PruneOrder>,
) -> Result<axum::Json<Vec<ImageFate>>, Refused> {
    core.prune(order).await.map(axum::Json)
}
