//! What comes in, read so that every mistake is answered by a refusal.

use super::BODY_MAX;
use crate::{Ground, Refused};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use std::time::Duration;

const DOCUMENTED: &str = "GET /v1/openapi.json describes every route";

/// For 16 MiB on the same machine this is ample; a body that takes longer is not coming.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A JSON body. An empty one counts as `{}`, so that a route whose fields all have defaults takes none.
pub(super) struct Json<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let length =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > BODY_MAX) {
            return Err(too_large());
        }
        let body = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let broke_off = || Refused::new(Ground::Malformed, "the body broke off", "send it again");
        let body =
            body.map_err(|_| broke_off())?.map_err(|rejection| match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => too_large(),
                _ => broke_off(),
            })?;
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        serde_json::from_slice(&body).map(Json).map_err(|error| {
            let ground = if error.is_data() { Ground::Invalid } else { Ground::Malformed };
            Refused::new(ground, format!("the body is not what this route takes: {error}"), DOCUMENTED)
        })
    }
}

fn too_large() -> Refused {
    let error = format!("the body is over {} MiB", BODY_MAX >> 20);
    Refused::new(Ground::TooLarge, error, "send less; large files belong in volumes")
}

/// The query's parameters.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let read = Query::from_request_parts(parts, state).await;
        read.map(|Query(value)| Params(value)).map_err(|rejection| {
            let error = format!("the query is not what this route takes: {}", rejection.body_text());
            Refused::new(Ground::Malformed, error, DOCUMENTED)
        })
    }
}

/// The path's one parameter.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(value)| Named(value)).map_err(|rejection| {
            let error = format!("{} is no such path: {}", parts.uri.path(), rejection.body_text());
            Refused::new(Ground::NotFound, error, DOCUMENTED)
        })
    }
}
