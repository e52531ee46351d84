//! What running costs.

use super::extract::Params;
use super::router::Shared;
use crate::Refused;
use axum::Json;
use naru_cost::CostView;
use naru_model::Refusal;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which month.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfMonth {
    /// Of UTC, as `2026-11`; this one if it is missing.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}$")]
    month: Option<String>,
}

/// How long everything was on, asleep and not used in a month; what that came to, where there are prices.
#[utoipa::path(get, path = "/v1/cost", params(OfMonth),
    responses((status = 200, body = CostView), (status = "default", body = Refusal)))]
pub(super) async fn cost(
    Shared(core): Shared,
    Params(of): Params<OfMonth>,
) -> Result<Json<CostView>, Refused> {
    core.cost(of.month).await.map(Json)
}
