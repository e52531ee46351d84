//! Answers: whole pages, refusals in words, and what every answer tells a browser.

use crate::look;
use crate::visit::{Person, Visit};
use crate::words::{self, Lang, Phrase};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use naru_api::Refused;

/// Nothing is loaded but this page's own style; no other page shows this one in a frame, or takes its forms.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A whole page.
pub struct Page {
    pub status: StatusCode,
    pub html: Markup,
}

impl Page {
    pub fn new(html: Markup) -> Page {
        Page { status: StatusCode::OK, html }
    }

    /// What the server refused, in its words.
    pub fn refused(lang: Lang, person: Option<&Person>, refused: &Refused) -> Page {
        let status = StatusCode::from_u16(refused.ground.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let text = html! {
            p { (refused.refusal.error) }
            @if let Some(hint) = &refused.refusal.hint { p.quiet { (hint) } }
        };
        Page { status, html: look::notice(lang, person, words::WRONG, &text) }
    }

    pub fn wrong(lang: Lang, person: Option<&Person>, status: StatusCode, what: Phrase) -> Page {
        let text = html! { p { (what.in_(lang)) } };
        Page { status, html: look::notice(lang, person, words::WRONG, &text) }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let html = [(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
        (self.status, html, self.html.into_string()).into_response()
    }
}

/// On to another page, after a form.
pub fn redirect(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}

/// No such page.
pub async fn nothing_here(visit: Visit) -> Page {
    Page { status: StatusCode::NOT_FOUND, html: look::notice(visit.lang, None, words::NOT_FOUND, &html! {}) }
}

/// What every answer says, whatever it is.
pub async fn guarded(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    let said = [
        (CONTENT_SECURITY_POLICY.as_str(), POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in said {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}
