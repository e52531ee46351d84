//! The service desk: asking, and deciding.

use crate::answer::{Page, redirect};
use crate::look::{Frame, Place, mark};
use crate::moment::{clock, now, time};
use crate::services::{MINUTES_MAX, path};
use crate::visit::{Fields, Person, Posted};
use crate::words::{self, Lang};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use naru_model::{Change, Span};
use naru_who::{Asked, RequestAct, RequestOrder, RequestState, RequestView};

/// While somebody waits for a decision, the request's page looks again so often.
const SOMETIMES: u32 = 3;

/// Asks for a service to be woken.
pub async fn ask(Posted { person, fields }: Posted) -> Response {
    let services = vec![fields.get("service").trim().into()];
    let change = Box::new(Change::Wake { services, within: minutes(&fields).unwrap_or_default() });
    let asked = Asked::Deed { stack: fields.get("stack").trim().into(), change };
    let order = RequestOrder::Make { asked, reason: fields.get("reason").into() };
    match person.authority.order_request(&person.who, order).await {
        Ok(made) => redirect(&format!("/requests/{}", made.request.id)),
        Err(refused) => Page::refused(person.visit.lang, Some(&person), &refused).into_response(),
    }
}

fn minutes(fields: &Fields) -> Option<Span> {
    let minutes: u64 = fields.get("minutes").parse().ok()?;
    Some(Span::mins(minutes.min(MINUTES_MAX)))
}

/// Says what was decided about one.
pub async fn decide(Path(id): Path<u64>, Posted { person, fields }: Posted) -> Response {
    let reason = Some(fields.get("reason").trim().to_string()).filter(|reason| !reason.is_empty());
    let order = match fields.get("act") {
        "approve" => RequestOrder::Approve { id, lasts: minutes(&fields), reason },
        "deny" => RequestOrder::Deny { id, reason: reason.unwrap_or_default() },
        "withdraw" => RequestOrder::Withdraw { id },
        "revoke" => RequestOrder::Revoke { id, reason },
        _ => return redirect("/requests"),
    };
    match person.authority.order_request(&person.who, order).await {
        Ok(_) => redirect(&format!("/requests/{id}")),
        Err(refused) => Page::refused(person.visit.lang, Some(&person), &refused).into_response(),
    }
}

/// All that this person may see.
pub async fn all(person: Person) -> Page {
    let desk = Desk { person: &person, lang: person.visit.lang };
    let requests = person.authority.requests(&person.who);
    let (to_decide, rest): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|view| view.may.contains(&RequestAct::Decide));
    let (mine, others): (Vec<_>, Vec<_>) =
        rest.into_iter().partition(|view| view.request.by == person.who.name);
    let title = words::REQUESTS.in_(desk.lang);
    Page::new(desk.frame(title, None).around(&html! {
        h1 { (title) }
        @if to_decide.is_empty() && mine.is_empty() && others.is_empty() {
            p.quiet { (words::NO_REQUESTS.in_(desk.lang)) }
        }
        @for (title, requests) in [(words::TO_DECIDE, to_decide), (words::YOURS, mine), (words::OTHERS, others)] {
            @if !requests.is_empty() {
                section {
                    h2 { (title.in_(desk.lang)) }
                    ul.requests { @for view in requests.iter().take(LISTED) { li { (desk.card(view)) } } }
                }
            }
        }
    }))
}

/// More of each kind are found by `naru requests --all`.
const LISTED: usize = 50;

/// One request.
pub async fn one(person: Person, Path(id): Path<u64>) -> Page {
    let desk = Desk { person: &person, lang: person.visit.lang };
    let requests = person.authority.requests(&person.who);
    let Some(view) = requests.into_iter().find(|view| view.request.id == id) else {
        return Page::wrong(desk.lang, Some(&person), StatusCode::NOT_FOUND, words::NOT_FOUND);
    };
    let is_mine = view.request.by == person.who.name;
    let waits = is_mine && view.request.state == RequestState::Open;
    let title = format!("{} {id}", words::REQUEST.in_(desk.lang));
    Page::new(desk.frame(&title, waits.then_some(SOMETIMES)).around(&html! {
        p.back { a href="/requests" { "← " (words::ALL_REQUESTS.in_(desk.lang)) } }
        h1 { (words::REQUESTS.in_(desk.lang)) " " (id) }
        @if waits {
            p.wait role="status" {
                span.dot {} (words::WAITING.in_(desk.lang)) ". " (words::WAITS.in_(desk.lang))
            }
        }
        (desk.card(&view))
        @if let Some((stack, services)) = view.request.wakes() {
            @for service in services {
                p { a.button.second href=(path(stack, service)) { (service) " — " (words::DETAILS.in_(desk.lang)) } }
            }
        }
    }))
}

struct Desk<'a> {
    person: &'a Person,
    lang: Lang,
}

fn tone(state: RequestState) -> &'static str {
    match state {
        RequestState::Open => "between",
        RequestState::Approved | RequestState::InUse | RequestState::Done => "on",
        _ => "off",
    }
}

impl Desk<'_> {
    fn frame<'b>(&'b self, title: &'b str, again: Option<u32>) -> Frame<'b> {
        Frame { lang: self.lang, person: Some(self.person), title, place: Place::Requests, again }
    }

    fn card(&self, view: &RequestView) -> Markup {
        let (request, now) = (&view.request, now());
        html! {
            article.card {
                h3 {
                    a href={ "/requests/" (request.id) } { (words::asked(self.lang, &request.asked)) }
                    span class={ "chip " (tone(request.state)) } { (words::request_state(self.lang, request.state)) }
                }
                p.reason { (request.reason) }
                p.quiet { (request.by) ", " (time(request.made, &words::ago(self.lang, now.since(request.made)))) }
                @for decision in &request.decisions {
                    p {
                        (words::ruling(self.lang, decision.what, &decision.by))
                        @if let Some(lasts) = decision.lasts { ", " (words::span(self.lang, lasts)) }
                        @if let Some(why) = &decision.reason { ": " (why) }
                    }
                }
                @if let Some(until) = request.until().filter(|until| *until > now) {
                    p.quiet { (time(until, &words::until(self.lang, &clock(self.lang, until, now)))) }
                }
                (self.acts(view))
            }
        }
    }

    fn acts(&self, view: &RequestView) -> Markup {
        let path = format!("/requests/{}", view.request.id);
        html! {
            @if view.may.contains(&RequestAct::Decide) {
                div.decide { (self.approve(view, &path)) (self.deny(view, &path)) }
            }
            @for (act, name, label) in [
                (RequestAct::Withdraw, "withdraw", words::WITHDRAW),
                (RequestAct::Revoke, "revoke", words::REVOKE),
            ] {
                @if view.may.contains(&act) {
                    form method="post" action=(path) {
                        (mark(self.person, &path))
                        input type="hidden" name="act" value=(name);
                        button.second { (label.in_(self.lang)) }
                    }
                }
            }
        }
    }

    fn approve(&self, view: &RequestView, path: &str) -> Markup {
        let id = format!("approve-{}", view.request.id);
        html! {
            form.together method="post" action=(path) {
                (mark(self.person, path))
                input type="hidden" name="act" value="approve";
                @if let Some(most) = view.request.asked.lasts() { (times_up_to(self.lang, &id, most)) }
                button { (words::APPROVE.in_(self.lang)) }
            }
        }
    }

    fn deny(&self, view: &RequestView, path: &str) -> Markup {
        let id = format!("deny-{}", view.request.id);
        html! {
            details {
                summary { (words::DENY.in_(self.lang)) }
                form.together method="post" action=(path) {
                    (mark(self.person, path))
                    input type="hidden" name="act" value="deny";
                    label.unseen for=(id) { (words::WHY_NOT.in_(self.lang)) }
                    input id=(id) name="reason" maxlength="300" required placeholder=(words::WHY_NOT.in_(self.lang));
                    button.second { (words::DENY.in_(self.lang)) }
                }
            }
        }
    }
}

/// As long as was asked for, or shorter.
fn times_up_to(lang: Lang, id: &str, most: Span) -> Markup {
    let whole = most.0 / 60_000;
    html! {
        label.unseen for=(id) { (words::FOR_HOW_LONG.in_(lang)) }
        select id=(id) name="minutes" {
            option value=(whole) selected { (words::span(lang, most)) }
            @for minutes in [480, 240, 120, 60, 30].into_iter().filter(|minutes| *minutes < whole) {
                option value=(minutes) { (words::span(lang, Span::mins(minutes))) }
            }
        }
    }
}
