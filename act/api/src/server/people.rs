//! Routes about people: who signs in, who may what, and what was written down about it.

use super::entry::Origin;
use super::extract::{Json, Params};
use super::guard::refused;
use super::router::{Both, who};
use crate::{Authority, Ground, Refused};
use axum::Extension;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use naru_model::Refusal;
use naru_who::{
    AuditEvent, AuditQuery, AuditState, PeopleChanged, PeopleOrder, PeopleView, Resource, Right,
    RightQuestion, SignIn, Verdict, Who,
};
use std::sync::Arc;
use std::time::Duration;

/// A name and a password.
const SIGN_IN_MAX: usize = 4096;

const SIGN_IN_WITHIN: Duration = Duration::from_secs(10);

/// Whoever asks, and whom to ask.
pub(super) struct Asking {
    pub(super) who: Who,
    pub(super) authority: Arc<dyn Authority>,
}

impl FromRequestParts<Both> for Asking {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, both: &Both) -> Result<Asking, Refused> {
        Ok(Asking { who: who(parts)?, authority: both.authority.clone() })
    }
}

/// A token for whoever knows a user's password. Only by the network: at the socket one is the owner.
#[utoipa::path(post, path = "/v1/sign-in", request_body = SignIn,
    responses((status = 200, body = PeopleChanged),
        (status = 401, body = Refusal, description = "There is no such user, or it is not the password."),
        (status = 429, body = Refusal, description = "Too many failed."),
        (status = "default", body = Refusal)))]
pub(super) async fn sign_in(
    axum::extract::State(both): axum::extract::State<Both>,
    origin: Option<Extension<Origin>>,
    body: Body,
) -> Result<axum::Json<PeopleChanged>, Refused> {
    let Some(Extension(Origin(from))) = origin else {
        let error = "at the server's own socket nobody signs in: there one is its owner";
        return Err(Refused::new(Ground::Conflict, error, "`naru token create USER` makes a token"));
    };
    // Whoever sends this is nobody yet: little is read of it, and not for long.
    let read = tokio::time::timeout(SIGN_IN_WITHIN, axum::body::to_bytes(body, SIGN_IN_MAX)).await;
    let read = read.ok().and_then(Result::ok).and_then(|body| serde_json::from_slice(&body).ok());
    let as_whom: SignIn = read.ok_or_else(|| {
        let error = format!("the body is no name with a password, of at most {SIGN_IN_MAX} bytes");
        Refused::new(Ground::Invalid, error, "GET /v1/openapi.json describes every route")
    })?;
    both.authority.sign_in(as_whom, from).await.map(axum::Json)
}

/// Users, tokens and grants; for whoever does not manage people: their own.
#[utoipa::path(get, path = "/v1/people",
    responses((status = 200, body = PeopleView), (status = "default", body = Refusal)))]
pub(super) async fn people(asking: Asking) -> axum::Json<PeopleView> {
    axum::Json(asking.authority.people(&asking.who))
}

/// Changes users, tokens or grants.
#[utoipa::path(post, path = "/v1/people", request_body = PeopleOrder,
    responses((status = 200, body = PeopleChanged),
        (status = 403, body = Refusal, description = "It would give somebody more than whoever orders it has."),
        (status = "default", body = Refusal)))]
pub(super) async fn change_people(
    asking: Asking,
    Json(order): Json<PeopleOrder>,
) -> Result<axum::Json<PeopleChanged>, Refused> {
    asking.authority.change_people(&asking.who, order).await.map(axum::Json)
}

/// Whether somebody may do something, and by which rule. About others, for whoever manages people.
#[utoipa::path(post, path = "/v1/can", request_body = RightQuestion,
    responses((status = 200, body = Verdict), (status = "default", body = Refusal)))]
pub(super) async fn can(
    asking: Asking,
    Json(question): Json<RightQuestion>,
) -> Result<axum::Json<Verdict>, Refused> {
    if question.user != asking.who.name || question.at.is_some() {
        asking.manages(Right::ManagePeople).await?;
    }
    asking.authority.can(&asking.who, question).await.map(axum::Json)
}

/// What was done, and what was refused; oldest first.
#[utoipa::path(get, path = "/v1/audit", params(AuditQuery),
    responses((status = 200, body = Vec<AuditEvent>), (status = "default", body = Refusal)))]
pub(super) async fn audit(
    asking: Asking,
    Params(query): Params<AuditQuery>,
) -> Result<axum::Json<Vec<AuditEvent>>, Refused> {
    asking.manages(Right::ReadAudit).await?;
    asking.authority.audit(query).await.map(axum::Json)
}

/// Whether the audit is whole.
#[utoipa::path(get, path = "/v1/audit/state",
    responses((status = 200, body = AuditState), (status = "default", body = Refusal)))]
pub(super) async fn audit_state(asking: Asking) -> Result<axum::Json<AuditState>, Refused> {
    asking.manages(Right::ReadAudit).await?;
    asking.authority.audit_state().await.map(axum::Json)
}

impl Asking {
    async fn manages(&self, right: Right) -> Result<(), Refused> {
        let verdict = self.authority.decide(&self.who, right, &Resource::All);
        if verdict.allowed {
            return Ok(());
        }
        Err(refused(&*self.authority, &self.who, right, "all", verdict).await)
    }
}
