//! The web page, for whoever just wants something on: what there is, whether it is on, who uses it, and until when; on with
//! one click, or asked for on the same spot.
//!
//! It is made on the server and needs no script. Whoever has signed in sees and does through the same guard as by the API
//! ([`naru_api::guarded`]): there is no second way in. A cookie holds the token that signing in gets; each form has a
//! token of its own, and only forms of this page are taken.

mod answer;
mod look;
mod moment;
mod requests;
mod services;
mod sign_in;
mod visit;
mod words;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use naru_api::{Authority, Core};
use std::sync::Arc;

/// The page's routes, for this core.
pub fn router(core: Arc<dyn Core>, authority: Arc<dyn Authority>) -> Router {
    let site = visit::Site { core, authority };
    Router::new()
        .route("/", get(services::all))
        .route("/services/{stack}/{service}", get(services::one))
        .route("/wake", post(services::wake))
        .route("/ask", post(requests::ask))
        .route("/requests", get(requests::all))
        .route("/requests/{id}", get(requests::one).post(requests::decide))
        .route("/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/language/{lang}", get(sign_in::language))
        .route(look::STYLE, get(look::style))
        .fallback(answer::nothing_here)
        .layer(DefaultBodyLimit::max(visit::FORM_MAX))
        .layer(middleware::map_response(answer::guarded))
        .with_state(site)
}
