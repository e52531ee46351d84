//! The routes, each together with its entry in the OpenAPI document: one cannot be without the other.

use super::{BODY_MAX, assets, images, jobs, logs, orders, questions, reach, roles};
use crate::{Core, Ground, Refused};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::get;
use std::sync::Arc;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What handlers share.
pub(super) type Shared = axum::extract::State<Arc<dyn Core>>;

/// The OpenAPI document of the API.
pub fn openapi() -> OpenApi {
    documented().split_for_parts().1
}

pub(super) fn router(core: Arc<dyn Core>) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = axum::body::Bytes::from(document.to_json().expect("the document has only text keys"));
    let json = [("content-type", "application/json")];
    router
        .route("/v1/openapi.json", get(move || async move { (json, document) }))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(core)
}

fn documented() -> OpenApiRouter<Arc<dyn Core>> {
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
}

async fn no_route(uri: Uri) -> Refused {
    let error = format!("there is no route {}", uri.path());
    Refused::new(Ground::NotFound, error, "GET /v1/openapi.json lists all routes")
}

async fn no_method(method: Method, uri: Uri) -> Refused {
    let error = format!("{} takes no {method}", uri.path());
    Refused::new(Ground::NoSuchMethod, error, "GET /v1/openapi.json lists all routes with their verbs")
}
