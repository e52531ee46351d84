//! Signing in and out, by the same way as by the API; and the choice of a language.

use crate::answer::{Page, redirect};
use crate::look::{Frame, Place};
use crate::visit::{self, Posted, Site, Visit};
use crate::words::{self, Lang};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use naru_api::Refused;
use naru_who::{PeopleOrder, SignIn, Standing};

const PATH: &str = "/sign-in";

/// The form.
pub async fn form(visit: Visit) -> Response {
    if visit.is_signed_in() {
        return redirect("/");
    }
    shown(&visit, "", None)
}

fn shown(visit: &Visit, name: &str, refused: Option<&Refused>) -> Response {
    let Some((guest, cookie)) = visit.guest() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (lang, title) = (visit.lang, words::SIGN_IN.in_(visit.lang));
    let frame = Frame { lang, person: None, title, place: Place::Elsewhere, again: None };
    let page = frame.around(&fields(lang, name, &visit::mark(&guest, PATH), refused));
    let status = refused.and_then(|refused| StatusCode::from_u16(refused.ground.status()).ok());
    let mut answer = Page { status: status.unwrap_or(StatusCode::OK), html: page }.into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

fn fields(lang: Lang, name: &str, mark: &str, refused: Option<&Refused>) -> Markup {
    html! {
        section.sign-in {
            h1 { (words::SIGN_IN.in_(lang)) }
            @if let Some(refused) = refused {
                p.error #wrong role="alert" { (refused.refusal.error) }
            }
            form.stacked method="post" action=(PATH) {
                input type="hidden" name="mark" value=(mark);
                label for="user" { (words::NAME.in_(lang)) }
                input #user name="user" value=(name) autocomplete="username" autocapitalize="none" spellcheck="false"
                    maxlength="64" required autofocus[name.is_empty()]
                    aria-describedby=[refused.map(|_| "wrong")];
                label for="password" { (words::PASSWORD.in_(lang)) }
                input #password name="password" type="password" autocomplete="current-password" maxlength="1000" required
                    autofocus[!name.is_empty()];
                button { (words::SIGN_IN.in_(lang)) }
            }
        }
    }
}

/// Signs in: the token that the API would give, in a cookie.
pub async fn enter(State(site): State<Site>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut parts, &site).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let Some((guest, None)) = visit.guest() else { return redirect(PATH) };
    let Some(fields) = visit::fields(&parts, body, &guest).await else {
        let page = Page::wrong(visit.lang, None, StatusCode::FORBIDDEN, words::NOT_YOURS);
        return page.into_response();
    };
    let user = fields.get("user").trim().to_string();
    let as_whom = SignIn { user: user.clone(), password: fields.get("password").into() };
    let token = match site.authority.sign_in(as_whom, visit.from).await {
        Ok(changed) => changed.token.unwrap_or_default(),
        Err(refused) => return shown(&visit, &user, Some(&refused)),
    };
    let mut answer = redirect("/");
    if let Some(cookie) = visit::signed_in(&token) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}

/// Signs out: the token ends.
pub async fn leave(Posted { person, .. }: Posted) -> Response {
    if let Standing::User { token: Some(id) } = &person.who.standing {
        let order = PeopleOrder::RemoveToken { id: id.clone() };
        if let Err(refused) = person.authority.change_people(&person.who, order).await {
            return Page::refused(person.visit.lang, Some(&person), &refused).into_response();
        }
    }
    let mut answer = redirect(PATH);
    answer.headers_mut().append(SET_COOKIE, visit::signed_out());
    answer
}

/// Keeps the language that was chosen.
pub async fn language(Path(code): Path<String>) -> Response {
    let mut answer = redirect("/");
    if let Some(cookie) = Lang::of(&code).and_then(visit::language) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    answer
}
