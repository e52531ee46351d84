//! Log lines, one JSON object a line, as they come.

use super::Closing;
use super::extract::Params;
use super::router::Shared;
use crate::{LogLine, LogQuery, Refused};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use naru_model::Refusal;
use std::convert::Infallible;

/// Lines of logs, each a LogLine in JSON on a line of its own.
#[utoipa::path(get, path = "/v1/logs", params(LogQuery),
    responses((status = 200, body = LogLine, content_type = "application/x-ndjson"),
        (status = "default", body = Refusal)))]
pub(super) async fn logs(
    State(core): Shared,
    Extension(closing): Extension<Closing>,
    Params(query): Params<LogQuery>,
) -> Result<impl IntoResponse, Refused> {
    let lines = core.logs(query).await?.map(|line| {
        let mut json = serde_json::to_vec(&line).expect("a log line has only text keys");
        json.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(json))
    });
    Ok(([("content-type", "application/x-ndjson")], Body::from_stream(lines.take_until(closing.begun()))))
}
