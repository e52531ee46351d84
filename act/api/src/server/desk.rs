//! Routes of the service desk: what somebody may not do, they ask for; others decide.

use super::extract::{Json, Named};
use super::people::Asking;
use crate::{Ground, Refused};
use naru_model::Refusal;
use naru_who::{RequestOrder, RequestView};

/// One's own requests, and those that one may decide about; newest first.
#[utoipa::path(get, path = "/v1/requests",
    responses((status = 200, body = Vec<RequestView>), (status = "default", body = Refusal)))]
pub(super) async fn requests(asking: Asking) -> axum::Json<Vec<RequestView>> {
    axum::Json(asking.authority.requests(&asking.who))
}

/// One request.
#[utoipa::path(get, path = "/v1/requests/{id}", params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, body = RequestView),
        (status = 404, body = Refusal, description = "There is none that whoever asks may see."),
        (status = "default", body = Refusal)))]
pub(super) async fn request(
    asking: Asking,
    Named(id): Named<u64>,
) -> Result<axum::Json<RequestView>, Refused> {
    let found = asking.authority.requests(&asking.who).into_iter().find(|one| one.request.id == id);
    found.map(axum::Json).ok_or_else(|| {
        Refused::new(Ground::NotFound, format!("there is no request {id}"), "`naru requests` lists them")
    })
}

/// Asks for something, or decides about what was asked for. What is approved is done by the server, in the name of
/// whoever asked.
#[utoipa::path(post, path = "/v1/requests", request_body = RequestOrder,
    responses((status = 200, body = RequestView),
        (status = 403, body = Refusal, description = "Somebody else decides that."),
        (status = 409, body = Refusal, description = "It was decided already, or cannot be done now; nothing was changed."),
        (status = 422, body = Refusal, description = "It makes no sense; nothing was changed."),
        (status = "default", body = Refusal)))]
pub(super) async fn order_request(
    asking: Asking,
    Json(order): Json<RequestOrder>,
) -> Result<axum::Json<RequestView>, Refused> {
    asking.authority.order_request(&asking.who, order).await.map(axum::Json)
}
