//! Log lines and events, one JSON object a line, as they come.

use super::Closing;
use super::extract::Params;
use super::router::Shared;
use crate::{Event, EventQuery, LogLine, LogQuery, Refused};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use futures_util::{Stream, StreamExt};
use naru_model::Refusal;
use serde::Serialize;
use std::convert::Infallible;

/// Lines of logs, each a LogLine in JSON on a line of its own.
#[utoipa::path(get, path = "/v1/logs", params(LogQuery),
    responses((status = 200, body = LogLine, content_type = "application/x-ndjson"),
        (status = "default", body = Refusal)))]
pub(super) async fn logs(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Params(query): Params<LogQuery>,
) -> Result<impl IntoResponse, Refused> {
    Ok(ndjson(core.logs(query).await?, closing))
}

/// What happened, each an Event in JSON on a line of its own.
#[utoipa::path(get, path = "/v1/events", params(EventQuery),
    responses((status = 200, body = Event, content_type = "application/x-ndjson"),
        (status = "default", body = Refusal)))]
pub(super) async fn events(
    Shared(core): Shared,
    Extension(closing): Extension<Closing>,
    Params(query): Params<EventQuery>,
) -> Result<impl IntoResponse, Refused> {
    Ok(ndjson(core.events(query).await?, closing))
}

/// Values as they come, until the server ends.
pub(super) fn ndjson<T: Serialize + 'static>(
    values: impl Stream<Item = T> + Send + 'static,
    closing: Closing,
) -> impl IntoResponse {
    let lines = values.map(|value| {
        let mut json = serde_json::to_vec(&value).expect("what is sent has only text keys");
        json.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(json))
    });
    ([("content-type", "application/x-ndjson")], Body::from_stream(lines.take_until(closing.begun())))
}
