//! Routes about jobs that change nothing.

use super::extract::Params;
use super::questions::OfStack;
use super::router::Shared;
use crate::Refused;
use axum::Json;
use naru_model::{JobView, Refusal, RunRecord, ServiceName, StackName};
use serde::Deserialize;
use utoipa::IntoParams;

type Answered<T> = Result<Json<T>, Refused>;

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OfJob {
    /// Only of this stack.
    stack: Option<StackName>,
    /// Only of this job.
    job: Option<ServiceName>,
}

/// Jobs: when they are due next, and what became of due times. An order `run` or `cancel` is a demand, as every order.
#[utoipa::path(get, path = "/v1/jobs", params(OfStack),
    responses((status = 200, body = Vec<JobView>), (status = "default", body = Refusal)))]
pub(super) async fn jobs(Shared(core): Shared, Params(of): Params<OfStack>) -> Answered<Vec<JobView>> {
    core.jobs(of.stack).await.map(Json)
}

/// Runs of jobs that are kept, newest first.
#[utoipa::path(get, path = "/v1/runs", params(OfJob),
    responses((status = 200, body = Vec<RunRecord>), (status = "default", body = Refusal)))]
pub(super) async fn runs(Shared(core): Shared, Params(of): Params<OfJob>) -> Answered<Vec<RunRecord>> {
    core.runs(of.stack, of.job).await.map(Json)
}
