//! Routes through which people change things, and the one that says what a change would do.

use super::CONTENT_MAX;
use super::extract::Json;
use super::router::Shared;
use crate::{Ground, PlanRequest, Refused, ShutdownOrder};
use axum::Extension;
use axum::body::Body;
use axum::http::StatusCode;
use naru_model::{Admitted, ContentId, Demand, Plan, Refusal};
use naru_who::Who;

/// What a deploy would change, and why. Changes nothing.
#[utoipa::path(post, path = "/v1/plan", request_body = PlanRequest,
    responses((status = 200, body = Plan), (status = "default", body = Refusal)))]
pub(super) async fn plan(
    Shared(core): Shared,
    Json(request): Json<PlanRequest>,
) -> Result<axum::Json<Plan>, Refused> {
    core.plan(request).await.map(axum::Json)
}

/// Keeps what is in a secret or config, by its digest. What no release names is forgotten after an hour.
#[utoipa::path(post, path = "/v1/contents",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = ContentId),
        (status = 413, body = Refusal, description = "It is too large."),
        (status = "default", body = Refusal)))]
pub(super) async fn content(Shared(core): Shared, body: Body) -> Result<axum::Json<ContentId>, Refused> {
    let content = axum::body::to_bytes(body, CONTENT_MAX).await.map_err(|_| {
        let error = format!("a secret or config is over {} KiB, or was broken off", CONTENT_MAX >> 10);
        Refused::new(Ground::TooLarge, error, "mount large files as volumes")
    })?;
    core.keep_content(content).await.map(axum::Json)
}

/// Orders a change. Its actor is whoever is signed in, whatever the body says.
#[utoipa::path(post, path = "/v1/demands", request_body = Demand,
    responses((status = 202, body = Admitted),
        (status = 409, body = Refusal, description = "Not in the present state; nothing was changed."),
        (status = 422, body = Refusal, description = "It makes no sense; nothing was changed."),
        (status = "default", body = Refusal)))]
pub(super) async fn demand(
    Shared(core): Shared,
    Extension(who): Extension<Who>,
    Json(demand): Json<Demand>,
) -> Result<(StatusCode, axum::Json<Admitted>), Refused> {
    let demand = Demand { actor: who.name, ..demand };
    Ok((StatusCode::ACCEPTED, axum::Json(core.demand(demand).await?)))
}

/// Ends the background processes. Refused while instances run, unless they are to be cut.
#[utoipa::path(post, path = "/v1/shutdown", request_body = ShutdownOrder,
    responses((status = 202, description = "They end."),
        (status = 409, body = Refusal, description = "Instances run."),
        (status = "default", body = Refusal)))]
pub(super) async fn shutdown(
    Shared(core): Shared,
    Extension(who): Extension<Who>,
    Json(order): Json<ShutdownOrder>,
) -> Result<(StatusCode, axum::Json<()>), Refused> {
    core.shutdown(order, who.name).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(())))
}
