//! What each route takes at the least: checked before anything of a request is read but its head.
//!
//! This keeps out whoever has no such right for anything. What passes is decided again, for what it is about, by the
//! [guard](super::guard). A route that does not stand here is the owner's alone.

use super::guard::refused;
use super::router::Both;
use crate::{Ground, Refused};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use naru_who::{Right, Verdict, Who};

/// Where one signs in, and so has not signed in yet.
pub(super) fn is_open(path: &str) -> bool {
    path == "/v1/sign-in"
}

/// What a route takes.
enum Need {
    /// To be somebody: what one may see or do is one's own, or is judged by what is ordered.
    Nothing,
    /// One of these, with something.
    Any(&'static [Right]),
}

const ORDERS: &[Right] = &[
    Right::Deploy,
    Right::Rollback,
    Right::Scale,
    Right::Start,
    Right::Stop,
    Right::Restart,
    Right::Down,
    Right::Pause,
    Right::Resume,
    Right::Promote,
    Right::Abort,
    Right::Run,
    Right::Cancel,
    Right::Exec,
    Right::Wake,
    Right::Extend,
    Right::Sleep,
];

fn need_of(path: &str) -> Need {
    use Need::Any;
    match path {
        "/v1/sign-in" | "/v1/people" | "/v1/can" | "/v1/requests" | "/v1/requests/{id}"
        | "/v1/openapi.json" => Need::Nothing,
        "/v1/status"
        | "/v1/ready"
        | "/v1/stacks"
        | "/v1/instances"
        | "/v1/operations"
        | "/v1/operations/{id}"
        | "/v1/work"
        | "/v1/jobs"
        | "/v1/runs"
        | "/v1/routes"
        | "/v1/watch"
        | "/v1/events"
        | "/v1/cost" => Any(&[Right::Read]),
        "/v1/assets" => Any(&[Right::Read, Right::Wake, Right::Sleep]),
        "/v1/releases" => Any(&[Right::ReadReleases]),
        "/v1/logs" => Any(&[Right::ReadLogs]),
        "/v1/reach" => Any(&[Right::Exec, Right::ExecPrivileged, Right::Copy, Right::Read]),
        "/v1/images" => Any(&[Right::Images]),
        "/v1/prune" => Any(&[Right::Prune]),
        "/v1/plan" => Any(&[Right::Plan]),
        "/v1/contents" => Any(&[Right::Deploy]),
        "/v1/demands" => Any(ORDERS),
        "/v1/shutdown" => Any(&[Right::Shutdown]),
        "/v1/audit" | "/v1/audit/state" => Any(&[Right::ReadAudit]),
        // Those of nodes, and whatever was forgotten here.
        _ => Any(&[Right::Report]),
    }
}

/// Lets a request pass, or refuses it.
pub(super) async fn check(
    State(both): State<Both>,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_string());
    let Some(path) = path else { return Ok(next.run(request).await) };
    let Need::Any(rights) = need_of(&path) else { return Ok(next.run(request).await) };
    let Some(who) = request.extensions().get::<Who>().cloned() else {
        return Err(Refused::new(Ground::Unknown, "nobody has signed in", "`naru login` does"));
    };
    if both.authority.anywhere(&who, rights) {
        return Ok(next.run(request).await);
    }
    let method = request.method().clone();
    drop(request);
    let why = format!("{} has no right to {method} {path} for anything", who.name);
    let verdict = Verdict { allowed: false, by: None, why: why.clone(), near: vec![] };
    let mut refused = refused(&*both.authority, &who, rights[0], "all", verdict).await;
    refused.refusal.error = why;
    Err(refused)
}
