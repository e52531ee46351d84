//! What there is, whether it is on, who uses it and until when; and turning it on.

use crate::answer::{Page, redirect};
use crate::look::{Frame, Place, mark, times};
use crate::moment::{clock, now, time};
use crate::visit::{Person, Posted};
use crate::words::{self, Lang};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use naru_api::Refused;
use naru_model::{
    Change, Demand, Ending, PowerState, PowerView, Reach, ServiceName, ServiceView, Span, StackName,
    StackView, Time, Want, WorkView,
};
use naru_who::{Asked, RequestState, RequestView, Resource, Right};
use std::collections::BTreeMap;

/// While something changes, its page looks again so often.
const SOON: u32 = 2;

/// All that this person needs for a page.
struct Sight<'a> {
    person: &'a Person,
    lang: Lang,
    now: Time,
    stacks: Vec<StackView>,
    work: Vec<WorkView>,
    requests: Vec<RequestView>,
}

impl<'a> Sight<'a> {
    async fn of(person: &'a Person) -> Result<Sight<'a>, Refused> {
        let stacks = person.core.stacks().await?;
        let work = person.core.work(None).await?;
        let requests = person.authority.requests(&person.who);
        Ok(Sight { person, lang: person.visit.lang, now: now(), stacks, work, requests })
    }
}

/// All services that may be seen.
pub async fn all(person: Person) -> Page {
    match Sight::of(&person).await {
        Ok(sight) => Page::new(sight.all()),
        Err(refused) => Page::refused(person.visit.lang, Some(&person), &refused),
    }
}

/// One of them.
pub async fn one(person: Person, Path((stack, service)): Path<(String, String)>) -> Page {
    let sight = match Sight::of(&person).await {
        Ok(sight) => sight,
        Err(refused) => return Page::refused(person.visit.lang, Some(&person), &refused),
    };
    let mut all = sight.stacks.iter().filter(|one| one.name.as_str() == stack);
    let found = all.find_map(|of| {
        let mut services = of.services.iter();
        services.find(|one| one.name.as_str() == service).map(|one| (of, one))
    });
    match found {
        Some((stack, service)) => Page::new(sight.one(stack, service)),
        // Whether there is one that may not be seen is not said.
        None => Page::wrong(person.visit.lang, Some(&person), StatusCode::NOT_FOUND, words::NOT_FOUND),
    }
}

/// Turns a service on, or keeps it on.
pub async fn wake(Posted { person, fields }: Posted) -> Response {
    let (stack, service) = (fields.get("stack"), fields.get("service"));
    let minutes: u64 = fields.get("minutes").parse().unwrap_or_default();
    let services = vec![ServiceName::from(service)];
    let within = Span::mins(minutes.min(MINUTES_MAX));
    let demand = Demand {
        stack: stack.into(),
        change: Change::Wake { services, within },
        ending: Ending::Finish,
        actor: person.who.name.clone(),
        message: Some(fields.get("reason").trim().to_string()).filter(|reason| !reason.is_empty()),
    };
    match person.core.demand(demand).await {
        Ok(_) => redirect(&path(&stack.into(), &service.into())),
        Err(refused) => Page::refused(person.visit.lang, Some(&person), &refused).into_response(),
    }
}

/// What a form can say; the file says how long is too long.
pub const MINUTES_MAX: u64 = 60 * 24 * 366;

/// The address of a service's page.
pub fn path(stack: &StackName, service: &ServiceName) -> String {
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("/services/{}/{}", escaped(stack.as_str()), escaped(service.as_str()))
}

/// A state, as a class of the style.
fn tone(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "on",
        PowerState::Waking | PowerState::FallingAsleep => "between",
        PowerState::Asleep => "off",
    }
}

impl Sight<'_> {
    fn all(&self) -> Markup {
        let title = words::SERVICES.in_(self.lang);
        let frame = self.frame(title, None);
        frame.around(&html! {
            h1 { (title) }
            @if self.stacks.is_empty() { (self.unseen()) }
            @for stack in &self.stacks {
                section {
                    h2 { (stack.name) }
                    ul.services { @for service in &stack.services { li { (self.row(stack, service)) } } }
                }
            }
        })
    }

    fn frame<'b>(&'b self, title: &'b str, again: Option<u32>) -> Frame<'b> {
        Frame { lang: self.lang, person: Some(self.person), title, place: Place::Services, again }
    }

    /// For whoever sees nothing: asking by name.
    fn unseen(&self) -> Markup {
        html! {
            p { (words::NOTHING_SEEN.in_(self.lang)) }
            p { (words::NOTHING_SEEN_MORE.in_(self.lang)) }
            form.stacked.card method="post" action="/ask" {
                (mark(self.person, "/ask"))
                label for="stack" { (words::STACK.in_(self.lang)) }
                input #stack name="stack" maxlength="128" required autocapitalize="none" spellcheck="false";
                label for="service" { (words::SERVICE.in_(self.lang)) }
                input #service name="service" maxlength="128" required autocapitalize="none" spellcheck="false";
                label for="reason" { (words::REASON.in_(self.lang)) }
                input #reason name="reason" maxlength="300" required;
                div.together {
                    (times(self.lang, "minutes", Span::mins(720), words::FOR_HOW_LONG))
                    button { (words::REQUEST.in_(self.lang)) }
                }
            }
        }
    }

    fn row(&self, stack: &StackView, service: &ServiceView) -> Markup {
        let to = path(&stack.name, &service.name);
        html! {
            div.about {
                h3 { a href=(to) { (service.name) } (self.chip(service)) }
                @if let Some(want) = service.power.as_ref().and_then(|power| power.wants.first()) {
                    p { (self.want(want)) }
                }
                (self.in_use(stack, service))
            }
            div.act { (self.action(stack, service)) }
        }
    }

    fn chip(&self, service: &ServiceView) -> Markup {
        let (tone, said) = match &service.power {
            Some(power) => (tone(power.state), words::state(self.lang, power.state)),
            None if service.wanted == 0 => ("off", words::STOPPED.in_(self.lang)),
            None if service.ready == 0 => ("between", words::STARTING.in_(self.lang)),
            None => ("on", words::ALWAYS_ON.in_(self.lang)),
        };
        html! { span class={ "chip " (tone) } { (said) } }
    }

    fn want(&self, want: &Want) -> Markup {
        html! {
            (words::want(self.lang, want))
            @if let Some(until) = want.until().filter(|until| *until > self.now) {
                ", " (time(until, &words::until(self.lang, &clock(self.lang, until, self.now))))
                " " span.quiet { "(" (words::left(self.lang, until.since(self.now))) ")" }
            }
        }
    }

    /// What is in progress there, by its kinds.
    fn in_use(&self, stack: &StackView, service: &ServiceView) -> Markup {
        let whole = format!("{}.{}.", stack.name, service.name);
        let is_here = |one: &&WorkView| {
            let rest = one.instance.as_str().strip_prefix(&whole);
            rest.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        };
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for one in self.work.iter().filter(is_here) {
            *counts.entry(one.kind.as_str()).or_default() += one.count;
        }
        let said: Vec<String> =
            counts.iter().map(|(kind, count)| words::work(self.lang, kind, *count)).collect();
        html! {
            @if !said.is_empty() { p.quiet { (said.join(", ")) " " (words::WORKING.in_(self.lang)) } }
        }
    }

    fn may_wake(&self, stack: &StackView, service: &ServiceView) -> bool {
        let on = Resource::Service(stack.name.clone(), service.name.clone());
        self.person.authority.decide(&self.person.who, Right::Wake, &on).allowed
    }

    /// What can be done there: turn it on, ask for it, or nothing.
    fn action(&self, stack: &StackView, service: &ServiceView) -> Markup {
        let Some(power) = &service.power else { return html! {} };
        if !power.power.by_person {
            return html! { p.quiet { (words::NOT_BY_PERSON.in_(self.lang)) } };
        }
        if let Some(open) = self.open_request(stack, service) {
            let state = words::request_state(self.lang, open.request.state);
            return html! { a.button.second href={ "/requests/" (open.request.id) } { (words::REQUEST.in_(self.lang)) ": " (state) } };
        }
        if self.may_wake(stack, service) {
            return self.wake_form(stack, service, power);
        }
        match power.state {
            PowerState::On | PowerState::Waking => html! {
                details {
                    summary { (words::KEEP_ON.in_(self.lang)) }
                    (self.ask_form(stack, service, power))
                }
            },
            _ => self.ask_form(stack, service, power),
        }
    }

    fn wake_form(&self, stack: &StackView, service: &ServiceView, power: &PowerView) -> Markup {
        let is_on = matches!(power.state, PowerState::On | PowerState::Waking);
        let label = if is_on { words::KEEP_ON } else { words::TURN_ON };
        let id = format!("time-{}-{}", stack.name, service.name);
        html! {
            form.together method="post" action="/wake" {
                (mark(self.person, "/wake"))
                input type="hidden" name="stack" value=(stack.name);
                input type="hidden" name="service" value=(service.name);
                (times(self.lang, &id, power.power.wake_max, words::FOR_HOW_LONG))
                button.second[is_on] { (label.in_(self.lang)) span.unseen { " " (service.name) } }
            }
        }
    }

    fn ask_form(&self, stack: &StackView, service: &ServiceView, power: &PowerView) -> Markup {
        let id = |what: &str| format!("{what}-{}-{}", stack.name, service.name);
        html! {
            form.ask method="post" action="/ask" {
                (mark(self.person, "/ask"))
                input type="hidden" name="stack" value=(stack.name);
                input type="hidden" name="service" value=(service.name);
                p.quiet { (words::REQUEST_IT.in_(self.lang)) }
                label.unseen for=(id("reason")) { (words::REASON.in_(self.lang)) }
                input id=(id("reason")) name="reason" maxlength="300" required
                    placeholder=(words::REASON_HINT.in_(self.lang));
                div.together {
                    (times(self.lang, &id("for"), power.power.wake_max, words::FOR_HOW_LONG))
                    button { (words::REQUEST.in_(self.lang)) span.unseen { " " (service.name) } }
                }
            }
        }
    }

    /// This person's own request to wake this, that nobody has decided about.
    fn open_request(&self, stack: &StackView, service: &ServiceView) -> Option<&RequestView> {
        self.requests.iter().find(|view| {
            let request = &view.request;
            let is_this = match (&request.asked, request.wakes()) {
                (Asked::Deed { .. }, Some((of, services))) => {
                    *of == stack.name && services.contains(&service.name)
                }
                _ => false,
            };
            is_this && request.by == self.person.who.name && request.state == RequestState::Open
        })
    }

    fn one(&self, stack: &StackView, service: &ServiceView) -> Markup {
        let title = format!("{} · {}", service.name, stack.name);
        let state = service.power.as_ref().map(|power| power.state);
        let again = matches!(state, Some(PowerState::Waking | PowerState::FallingAsleep)).then_some(SOON);
        let published = service.addresses.iter().filter(|one| one.reach == Reach::Published);
        let is_there = service.ready > 0;
        self.frame(&title, again).around(&html! {
            p.back { a href="/" { "← " (words::BACK.in_(self.lang)) } }
            h1 { (service.name) " " span.of { (stack.name) } (self.chip(service)) }
            @for address in published {
                p.open {
                    @if is_there && address.url.starts_with("http") {
                        a.button href=(address.url) rel="noreferrer" { (words::OPEN.in_(self.lang)) }
                    }
                    code { (address.url) }
                }
            }
            @if again.is_some() { p.wait role="status" { span.dot {} (words::WAITS.in_(self.lang)) } }
            @if let Some(power) = &service.power { (self.wants(power)) }
            section {
                h2 { (words::USED_BY.in_(self.lang)) }
                @let used = self.in_use(stack, service);
                @if used.0.is_empty() { p.quiet { (words::NOBODY.in_(self.lang)) } } @else { (used) }
            }
            @if again.is_none() { section.act { (self.action(stack, service)) } }
        })
    }

    fn wants(&self, power: &PowerView) -> Markup {
        let is_on = matches!(power.state, PowerState::On | PowerState::Waking);
        let title = if is_on { words::NOW_ON } else { words::NOW_OFF };
        html! {
            section {
                h2 { (title.in_(self.lang)) }
                ul.wants { @for want in &power.wants { li { (self.want(want)) } } }
                @if let Some((at, state)) = power.next {
                    p.quiet {
                        (words::NEXT.in_(self.lang)) ": " (words::state(self.lang, state)) ", "
                        (time(at, &clock(self.lang, at, self.now)))
                    }
                }
            }
        }
    }
}
