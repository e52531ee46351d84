//! Routes for the agents and edges of nodes.

use super::extract::{Json, Named};
use super::router::Shared;
use super::{Closing, events};
use crate::{Ground, Refused, Taken};
use axum::Extension;
use axum::response::IntoResponse;
use naru_model::{AgentReport, Desired, EdgeReport, NodeId, Refusal, RouteTable};

/// Server-sent events `desired`: all that the node's agent is to have, whole, at first and at each change.
#[utoipa::path(get, path = "/v1/nodes/{node}/desired", params(("node" = NodeId, Path, description = "The node.")),
    responses((status = 200, body = Desired, content_type = "text/event-stream"),
        (status = "default", body = Refusal)))]
pub(super) async fn desired(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Named(node): Named<NodeId>,
) -> Result<impl IntoResponse, Refused> {
    Ok(events::newest("desired", core.desired(node).await?, closing))
}

/// Server-sent events: first `routes`, the route table; then, whenever it changes, `change`: what makes the new one of the one
/// before (RouteChange).
#[utoipa::path(get, path = "/v1/nodes/{node}/routes", params(("node" = NodeId, Path, description = "The node.")),
    responses((status = 200, body = RouteTable, content_type = "text/event-stream"),
        (status = "default", body = Refusal)))]
pub(super) async fn node_routes(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Named(node): Named<NodeId>,
) -> Result<impl IntoResponse, Refused> {
    Ok(events::routes(core.node_routes(node).await?, closing))
}

/// What the node's agent sees. Answered once what follows from it is stored.
#[utoipa::path(post, path = "/v1/nodes/{node}/agent-report", request_body = AgentReport,
    params(("node" = NodeId, Path, description = "The node.")),
    responses((status = 200, body = Taken), (status = "default", body = Refusal)))]
pub(super) async fn agent_report(
    Shared(core): Shared,
    Named(node): Named<NodeId>,
    Json(report): Json<AgentReport>,
) -> Result<axum::Json<Taken>, Refused> {
    same_node(&node, &report.node)?;
    core.agent_report(report).await.map(axum::Json)
}

/// What the node's edge sees. Answered once what follows from it is stored, with the `seq` of the report.
#[utoipa::path(post, path = "/v1/nodes/{node}/edge-report", request_body = EdgeReport,
    params(("node" = NodeId, Path, description = "The node.")),
    responses((status = 200, body = Taken), (status = "default", body = Refusal)))]
pub(super) async fn edge_report(
    Shared(core): Shared,
    Named(node): Named<NodeId>,
    Json(report): Json<EdgeReport>,
) -> Result<axum::Json<Taken>, Refused> {
    same_node(&node, &report.node)?;
    core.edge_report(report).await.map(axum::Json)
}

fn same_node(path: &NodeId, report: &NodeId) -> Result<(), Refused> {
    if path == report {
        return Ok(());
    }
    let error = format!("the report of node {report} was sent as one of {path}");
    Err(Refused::new(Ground::Invalid, error, "send it under its own node"))
}
