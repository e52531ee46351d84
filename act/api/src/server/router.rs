//! The routes, each together with its entry in the OpenAPI document: one cannot be without the other.

use super::guard::Guard;
use super::{
    BODY_MAX, assets, cost, desk, images, jobs, logs, needs, orders, people, questions, reach, roles,
};
use crate::{Authority, Core, Ground, Refused};
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::routing::get;
use axum::{Router, middleware};
use naru_who::Who;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What handlers share.
#[derive(Clone)]
pub(super) struct Both {
    pub(super) core: Arc<dyn Core>,
    pub(super) authority: Arc<dyn Authority>,
}

/// The core, as far as whoever sends the request may have to do with it.
pub(super) struct Shared(pub(super) Arc<dyn Core>);

impl FromRequestParts<Both> for Shared {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, both: &Both) -> Result<Shared, Refused> {
        let who = who(parts)?;
        let Both { core, authority } = both.clone();
        Ok(Shared(Arc::new(Guard { core, authority, who })))
    }
}

/// Who sends a request.
pub(super) fn who(parts: &Parts) -> Result<Who, Refused> {
    let known = parts.extensions.get::<Who>().cloned();
    known.ok_or_else(|| Refused::new(Ground::Unknown, "nobody has signed in", "`naru login` does"))
}

/// The OpenAPI document of the API.
pub fn openapi() -> OpenApi {
    documented().split_for_parts().1
}

pub(super) fn router(core: Arc<dyn Core>, authority: Arc<dyn Authority>) -> Router {
    let both = Both { core, authority };
    let (router, document) = documented().split_for_parts();
    let document = axum::body::Bytes::from(document.to_json().expect("the document has only text keys"));
    let json = [("content-type", "application/json")];
    router
        .route("/v1/openapi.json", get(move || async move { (json, document) }))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(both.clone(), needs::check))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(both)
}

fn documented() -> OpenApiRouter<Both> {
    let (mut document, version) = (OpenApi::default(), env!("CARGO_PKG_VERSION"));
    document.info = utoipa::openapi::InfoBuilder::new().title("Naru").version(version).build();
    OpenApiRouter::with_openapi(document)
        .routes(routes!(questions::status))
        .routes(routes!(questions::ready))
        .routes(routes!(questions::stacks))
        .routes(routes!(questions::instances))
        .routes(routes!(questions::operations))
        .routes(routes!(questions::operation))
        .routes(routes!(questions::releases))
        .routes(routes!(questions::work))
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::runs))
        .routes(routes!(questions::route_table))
        .routes(routes!(cost::cost))
        .routes(routes!(questions::watch))
        .routes(routes!(logs::logs))
        .routes(routes!(logs::events))
        .routes(routes!(reach::reach))
        .routes(routes!(images::images))
        .routes(routes!(images::prune))
        .routes(routes!(assets::assets, assets::want_asset))
        .routes(routes!(orders::plan))
        .routes(routes!(orders::content))
        .routes(routes!(orders::demand))
        .routes(routes!(orders::shutdown))
        .routes(routes!(roles::desired))
        .routes(routes!(roles::agent_report))
        .routes(routes!(roles::node_routes))
        .routes(routes!(roles::edge_report))
        .routes(routes!(people::sign_in))
        .routes(routes!(people::people, people::change_people))
        .routes(routes!(people::can))
        .routes(routes!(desk::requests, desk::order_request))
        .routes(routes!(desk::request))
        .routes(routes!(people::audit))
        .routes(routes!(people::audit_state))
}

async fn no_route(uri: Uri) -> Refused {
    let error = format!("there is no route {}", uri.path());
    Refused::new(Ground::NotFound, error, "GET /v1/openapi.json lists all routes")
}

async fn no_method(method: Method, uri: Uri) -> Refused {
    let error = format!("{} takes no {method}", uri.path());
    Refused::new(Ground::NoSuchMethod, error, "GET /v1/openapi.json lists all routes with their verbs")
}
