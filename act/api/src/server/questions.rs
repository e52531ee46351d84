//! Routes that change nothing.

use super::extract::{Named, Params};
use super::router::Shared;
use super::{Closing, events};
use crate::{Refused, Status, WatchQuery};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use naru_model::{
    InstanceView, Operation, OperationId, Refusal, Release, RouteTable, StackName, StackView, WorkView,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

type Answered<T> = Result<Json<T>, Refused>;

/// Which stack.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfStack {
    /// Only of this stack.
    pub(super) stack: Option<StackName>,
}

/// Which operations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfOperations {
    /// Only of this stack.
    stack: Option<StackName>,
    /// At most so many: 50 if it is missing, 1,000 at most.
    limit: Option<usize>,
}

impl OfOperations {
    const DEFAULT: usize = 50;
    /// An operation's record is up to 1 MiB; a listing stays within what a client can hold.
    const MAX: usize = 1_000;
}

/// How the server is.
#[utoipa::path(get, path = "/v1/status",
    responses((status = 200, body = Status), (status = "default", body = Refusal)))]
pub(super) async fn status(Shared(core): Shared) -> Answered<Status> {
    core.status().await.map(Json)
}

/// How the server is, once an agent and an edge of its node have reported.
#[utoipa::path(get, path = "/v1/ready",
    responses((status = 200, body = Status), (status = "default", body = Refusal)))]
pub(super) async fn ready(Shared(core): Shared) -> Answered<Status> {
    core.ready().await.map(Json)
}

/// All stacks.
#[utoipa::path(get, path = "/v1/stacks",
    responses((status = 200, body = Vec<StackView>), (status = "default", body = Refusal)))]
pub(super) async fn stacks(Shared(core): Shared) -> Answered<Vec<StackView>> {
    core.stacks().await.map(Json)
}

/// Instances.
#[utoipa::path(get, path = "/v1/instances", params(OfStack),
    responses((status = 200, body = Vec<InstanceView>), (status = "default", body = Refusal)))]
pub(super) async fn instances(
    Shared(core): Shared,
    Params(of): Params<OfStack>,
) -> Answered<Vec<InstanceView>> {
    core.instances(of.stack).await.map(Json)
}

/// Operations with their receipts, newest first.
#[utoipa::path(get, path = "/v1/operations", params(OfOperations),
    responses((status = 200, body = Vec<Operation>), (status = "default", body = Refusal)))]
pub(super) async fn operations(
    Shared(core): Shared,
    Params(of): Params<OfOperations>,
) -> Answered<Vec<Operation>> {
    let limit = of.limit.unwrap_or(OfOperations::DEFAULT).min(OfOperations::MAX);
    core.operations(of.stack, limit).await.map(Json)
}

/// One operation with its receipt.
#[utoipa::path(get, path = "/v1/operations/{id}", params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, body = Operation), (status = "default", body = Refusal)))]
pub(super) async fn operation(Shared(core): Shared, Named(id): Named<u64>) -> Answered<Operation> {
    core.operation(OperationId(id)).await.map(Json)
}

/// Releases with their contents, newest first.
#[utoipa::path(get, path = "/v1/releases", params(OfStack),
    responses((status = 200, body = Vec<Release>), (status = "default", body = Refusal)))]
pub(super) async fn releases(Shared(core): Shared, Params(of): Params<OfStack>) -> Answered<Vec<Release>> {
    core.releases(of.stack).await.map(Json)
}

/// Work in progress.
#[utoipa::path(get, path = "/v1/work", params(OfStack),
    responses((status = 200, body = Vec<WorkView>), (status = "default", body = Refusal)))]
pub(super) async fn work(Shared(core): Shared, Params(of): Params<OfStack>) -> Answered<Vec<WorkView>> {
    core.work(of.stack).await.map(Json)
}

/// The route table in force.
#[utoipa::path(get, path = "/v1/routes",
    responses((status = 200, body = RouteTable), (status = "default", body = Refusal)))]
pub(super) async fn route_table(Shared(core): Shared) -> Answered<RouteTable> {
    core.routes().await.map(Json)
}

/// A server-sent event, by its fields.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the document's alone: events are written as they come")]
struct SentEvent {
    /// What its data is: `operation`, `instances` or `routes`.
    event: String,
    /// A value, as JSON.
    data: String,
}

/// Server-sent events `operation` (an Operation), `instances` (a list of InstanceView) and `routes` (a
/// RouteTable): first the present state, then each value that changes, whole.
#[utoipa::path(get, path = "/v1/watch", params(WatchQuery),
    responses((status = 200, body = SentEvent, content_type = "text/event-stream"),
        (status = "default", body = Refusal)))]
pub(super) async fn watch(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Params(query): Params<WatchQuery>,
) -> impl IntoResponse {
    events::watch(core, query, closing)
}
