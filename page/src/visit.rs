//! Who visits: by which cookie, in which language, and whether a form is one of this page.

use crate::answer::{Page, redirect};
use crate::look;
use crate::words::{Lang, NOT_YOURS};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use naru_api::{Authority, Core, Ground, Origin, guarded};
use naru_who::Who;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// A reason of a kilobyte, escaped, and a few short fields.
pub const FORM_MAX: usize = 16 << 10;

const FORM_WITHIN: Duration = Duration::from_secs(10);

/// Holds the token. Its prefix keeps everybody but this very host from setting it.
const SESSION: &str = "__Host-naru";
/// What ties the form of signing in to the browser that loaded it.
const GUEST: &str = "__Host-naru-guest";
const LANGUAGE: &str = "naru-language";

/// What all handlers share.
#[derive(Clone)]
pub struct Site {
    pub core: Arc<dyn Core>,
    pub authority: Arc<dyn Authority>,
}

/// Somebody, signed in or not.
#[derive(Clone)]
pub struct Visit {
    pub lang: Lang,
    pub from: SocketAddr,
    session: Option<String>,
    guest: Option<String>,
}

/// Somebody who has signed in.
#[derive(Clone)]
pub struct Person {
    pub visit: Visit,
    pub who: Who,
    /// As far as this person may have to do with it.
    pub core: Arc<dyn Core>,
    pub authority: Arc<dyn Authority>,
    secret: String,
}

/// A form that this person sent from this page.
pub struct Posted {
    pub person: Person,
    pub fields: Fields,
}

/// A form's fields.
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// One of them; empty, if it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Visit {
    /// `None`: it comes from nowhere on the network.
    fn of(parts: &Parts) -> Option<Visit> {
        let Origin(from) = parts.extensions.get::<Origin>().copied()?;
        let chosen = cookie(&parts.headers, LANGUAGE).and_then(|code| Lang::of(&code));
        let accepted = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let lang = chosen.unwrap_or_else(|| Lang::preferred(accepted.unwrap_or_default()));
        let (session, guest) = (cookie(&parts.headers, SESSION), cookie(&parts.headers, GUEST));
        Some(Visit { lang, from, session, guest })
    }

    pub fn is_signed_in(&self) -> bool {
        self.session.is_some()
    }

    /// What the form of signing in holds: the guest's own, made if there is none yet.
    pub fn guest(&self) -> Option<(String, Option<HeaderValue>)> {
        if let Some(guest) = self.guest.clone().filter(|guest| guest.len() == 32) {
            return Some((guest, None));
        }
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        let guest = hex(&bytes);
        let set = HeaderValue::from_str(&format!("{GUEST}={guest}; {ATTRIBUTES}")).ok();
        Some((guest, set))
    }
}

const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";

/// Sets the cookie that holds a token.
pub fn signed_in(token: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{SESSION}={token}; {ATTRIBUTES}")).ok()
}

/// Takes it away.
pub fn signed_out() -> HeaderValue {
    HeaderValue::from_static("__Host-naru=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// Keeps the language that was chosen.
pub fn language(lang: Lang) -> Option<HeaderValue> {
    let value = format!("{LANGUAGE}={}; {ATTRIBUTES}; Max-Age=31536000", lang.code());
    HeaderValue::from_str(&value).ok()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(of, _)| *of == name).map(|(_, value)| value.to_string()).filter(|value| !value.is_empty())
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visit, Response> {
        Visit::of(parts).ok_or_else(|| StatusCode::NOT_FOUND.into_response())
    }
}

impl FromRequestParts<Site> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Person, Response> {
        let visit = Visit::of(parts).ok_or_else(|| StatusCode::NOT_FOUND.into_response())?;
        let Some(secret) = visit.session.clone() else {
            // A browser that follows a link from elsewhere leaves the cookie out; from this page it sends it.
            let site = parts.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
            let again = parts.uri.path();
            return Err(match site {
                Some("cross-site") => look::again(visit.lang, again).into_response(),
                _ => redirect("/sign-in"),
            });
        };
        let who = match site.authority.whose(&secret, visit.from).await {
            Ok(who) => who,
            Err(refused) if refused.ground == Ground::Unknown => {
                let mut answer = redirect("/sign-in");
                answer.headers_mut().append(SET_COOKIE, signed_out());
                return Err(answer);
            }
            Err(refused) => return Err(Page::refused(visit.lang, None, &refused).into_response()),
        };
        let core = guarded(site.core.clone(), site.authority.clone(), who.clone());
        Ok(Person { visit, who, core, authority: site.authority.clone(), secret })
    }
}

impl Person {
    /// What a form of this person at this address holds.
    pub fn mark(&self, path: &str) -> String {
        mark(&self.secret, path)
    }
}

/// Nobody who does not know the secret can make one, and one for a path is good for no other.
pub fn mark(secret: &str, path: &str) -> String {
    let mut digest = Sha256::new();
    for part in ["naru form", secret, path] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex(&digest.finalize()[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl FromRequest<Site> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, site: &Site) -> Result<Posted, Response> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, site).await?;
        let fields = fields(&parts, body, &person.secret).await;
        let refused = || Page::wrong(person.visit.lang, Some(&person), StatusCode::FORBIDDEN, NOT_YOURS);
        Ok(Posted { fields: fields.ok_or_else(|| refused().into_response())?, person })
    }
}

/// The fields of a form, if this page made it for whoever has this secret.
pub async fn fields(parts: &Parts, body: axum::body::Body, secret: &str) -> Option<Fields> {
    if !is_from_here(&parts.headers) {
        return None;
    }
    let read = tokio::time::timeout(FORM_WITHIN, axum::body::to_bytes(body, FORM_MAX)).await.ok()?.ok()?;
    let pairs = form_urlencoded::parse(&read).take(50);
    let fields = Fields(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect());
    let wanted = mark(secret, parts.uri.path());
    bool::from(fields.get("mark").as_bytes().ct_eq(wanted.as_bytes())).then_some(fields)
}

/// Browsers say with each form from which page it was sent.
fn is_from_here(headers: &HeaderMap) -> bool {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (said(ORIGIN), said(HOST)) {
        (Some(origin), Some(host)) => origin.strip_prefix("https://") == Some(host),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{cookie, is_from_here, mark};
    use axum::http::HeaderMap;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn forms_of_other_pages_are_known() {
        let host = ("host", "naru.example:7700");
        assert!(is_from_here(&headers(&[host, ("origin", "https://naru.example:7700")])));
        for origin in ["https://naru.example", "http://naru.example:7700", "null", "https://evil.example"] {
            assert!(!is_from_here(&headers(&[host, ("origin", origin)])), "{origin}");
        }
        assert!(!is_from_here(&headers(&[host])));
    }

    #[test]
    fn a_form_is_good_for_one_person_and_one_address() {
        let one = mark("kim", "/wake");
        assert_eq!(one, mark("kim", "/wake"));
        assert_ne!(one, mark("kim", "/ask"));
        assert_ne!(one, mark("lee", "/wake"));
        assert_ne!(mark("a", "bc"), mark("ab", "c"));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let all = headers(&[("cookie", "x__Host-naru=1; __Host-naru=naru_a; __Host-naru=other; e=")]);
        assert_eq!(cookie(&all, "__Host-naru").as_deref(), Some("naru_a"));
        assert_eq!(cookie(&all, "e"), None);
        assert_eq!(cookie(&all, "naru"), None);
    }
}
