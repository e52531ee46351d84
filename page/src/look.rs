//! How pages look: the frame around each, and its pieces.

use crate::answer::Page;
use crate::visit::Person;
use crate::words::{self, Lang, Phrase};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use naru_model::Span;
use naru_who::RequestAct;

/// Where the style is. A version that changes it changes its address.
pub const STYLE: &str = concat!("/style-", env!("CARGO_PKG_VERSION"), "-1.css");

/// The style, which a browser may keep.
pub async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, include_str!("style.css")).into_response()
}

/// Where in the page somebody is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Services,
    Requests,
    Elsewhere,
}

/// A page around its content. With `again`, it is loaded again by itself after so many seconds.
pub struct Frame<'a> {
    pub lang: Lang,
    pub person: Option<&'a Person>,
    pub title: &'a str,
    pub place: Place,
    pub again: Option<u32>,
}

impl Frame<'_> {
    pub fn around(&self, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang=(self.lang.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if let Some(seconds) = self.again { meta http-equiv="refresh" content=(seconds); }
                    title { (self.title) " · Naru" }
                    link rel="stylesheet" href=(STYLE);
                }
                body {
                    a.skip href="#content" { (words::SKIP.in_(self.lang)) }
                    (self.header())
                    main #content { (content) }
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let (lang, current) = (self.lang, |place| (self.place == place).then_some("page"));
        html! {
            header {
                div.bar {
                    a.brand href="/" { "Naru" }
                    @if let Some(person) = self.person {
                        nav {
                            a href="/" aria-current=[current(Place::Services)] { (words::SERVICES.in_(lang)) }
                            a href="/requests" aria-current=[current(Place::Requests)] {
                                (words::REQUESTS.in_(lang))
                                @let waiting = waiting(person);
                                @if waiting > 0 { span.count { (waiting) } }
                            }
                        }
                    }
                    div.right {
                        (languages(lang))
                        @if let Some(person) = self.person {
                            span.who { (person.who.name) }
                            form method="post" action="/sign-out" {
                                (mark(person, "/sign-out"))
                                button.plain { (words::SIGN_OUT.in_(lang)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many requests wait for this person's decision.
fn waiting(person: &Person) -> usize {
    let all = person.authority.requests(&person.who);
    all.iter().filter(|view| view.may.contains(&RequestAct::Decide)).count()
}

fn languages(lang: Lang) -> Markup {
    let (code, name) = match lang {
        Lang::En => ("ko", "한국어"),
        Lang::Ko => ("en", "English"),
    };
    html! { a.language href={ "/language/" (code) } hreflang=(code) lang=(code) { (name) } }
}

/// What a form of this page holds, so that it is known as one.
pub fn mark(person: &Person, path: &str) -> Markup {
    html! { input type="hidden" name="mark" value=(person.mark(path)); }
}

/// A page that only says something.
pub fn notice(lang: Lang, person: Option<&Person>, title: Phrase, text: &Markup) -> Markup {
    let title = title.in_(lang);
    let frame = Frame { lang, person, title, place: Place::Elsewhere, again: None };
    frame.around(&html! {
        section.notice role="status" {
            h1 { (title) }
            (text)
            p { a href="/" { (words::GO_BACK.in_(lang)) } }
        }
    })
}

/// Loads the same again, from here.
pub fn again(lang: Lang, path: &str) -> Page {
    Page::new(html! {
        (DOCTYPE)
        html lang=(lang.code()) {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content={ "0;url=" (path) };
                title { "Naru" }
                link rel="stylesheet" href=(STYLE);
            }
            body { main { p { a href=(path) { "Naru" } } } }
        }
    })
}

/// A choice of times up to `most`, in minutes.
pub fn times(lang: Lang, id: &str, most: Span, label: Phrase) -> Markup {
    const OFFERED: [u64; 6] = [30, 60, 120, 240, 480, 720];
    let most = most.0 / 60_000;
    let mut minutes: Vec<u64> = OFFERED.into_iter().filter(|minutes| *minutes <= most).collect();
    if minutes.is_empty() {
        minutes.push(most.max(1));
    }
    let usual = minutes.iter().copied().filter(|minutes| *minutes <= 120).max();
    html! {
        label.unseen for=(id) { (label.in_(lang)) }
        select id=(id) name="minutes" {
            @for minutes in minutes {
                option value=(minutes) selected[Some(minutes) == usual] {
                    (words::span(lang, Span::mins(minutes)))
                }
            }
        }
    }
}
