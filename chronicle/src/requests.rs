//! What happens at the service desk, told as events: the differences between one state of its records and the next.

use crate::events::Chronicle;
use naru_api::{Event, EventKind};
use naru_home::wall;
use naru_model::Time;
use naru_who::{DeskRequest, People, RequestState, Resource};
use std::sync::Arc;
use tokio::sync::watch;

/// Tells events, for as long as the desk works.
pub async fn observe(mut people: watch::Receiver<Arc<People>>, chronicle: Chronicle) {
    let mut before = people.borrow_and_update().clone();
    while people.changed().await.is_ok() {
        let now = people.borrow_and_update().clone();
        since(&before, &now, wall()).iter().for_each(|event| chronicle.tell(event));
        before = now;
    }
}

fn since(before: &People, now: &People, at: Time) -> Vec<Event> {
    let mut events = vec![];
    for (id, request) in &now.requests {
        let was = before.requests.get(id);
        if was.is_none() {
            events.extend(event(request, EventKind::RequestMade, at));
        }
        if was.map_or(RequestState::Open, |was| was.state) != request.state {
            events.extend(kind(request.state).and_then(|kind| event(request, kind, at)));
        }
    }
    events
}

fn kind(state: RequestState) -> Option<EventKind> {
    Some(match state {
        // A deed is done as it is approved.
        RequestState::Approved | RequestState::Done => EventKind::RequestApproved,
        RequestState::InUse => EventKind::RequestUsed,
        RequestState::Denied => EventKind::RequestDenied,
        RequestState::Withdrawn => EventKind::RequestWithdrawn,
        RequestState::Revoked => EventKind::RequestRevoked,
        RequestState::Open | RequestState::Lapsed => return None,
    })
}

fn event(request: &DeskRequest, kind: EventKind, time: Time) -> Option<Event> {
    let (_, on) = request.asked.takes();
    let service = match on.as_slice() {
        [Resource::Service(_, service)] => Some(service.clone()),
        _ => None,
    };
    let is_own = matches!(kind, EventKind::RequestMade | EventKind::RequestUsed);
    let decision = request.decisions.last().filter(|_| !is_own);
    let why = match decision {
        None => Some(request.reason.as_str()),
        Some(decision) => decision.reason.as_deref(),
    };
    Some(Event {
        time,
        kind,
        stack: request.asked.stack()?,
        service,
        instance: None,
        operation: request.outcome.as_ref().and_then(|outcome| outcome.operation),
        actor: Some(decision.map_or_else(|| request.by.clone(), |decision| decision.by.clone())),
        text: format!("{}{}", request.sentence(), why.map(|why| format!(": {why}")).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::since;
    use naru_model::{Change, Span, Time};
    use naru_who::{Asked, Decision, DeskRequest, People, PersonWrite, Rank, RequestState, Ruling};

    fn people(state: RequestState, decisions: &[Decision]) -> People {
        let change = Change::Wake { services: vec!["engine".into()], within: Span::mins(60) };
        let mut people = People::default();
        people.apply(PersonWrite::Request(Box::new(DeskRequest {
            id: 1,
            by: "kim".into(),
            asked: Asked::Deed { stack: "shop".into(), change: Box::new(change) },
            reason: "a demo".into(),
            made: Time(0),
            lapses: Time(9),
            state,
            decisions: decisions.to_vec(),
            outcome: None,
        })));
        people
    }

    #[test]
    fn a_request_is_told_from_its_making_to_its_end() {
        let (none, open) = (People::default(), people(RequestState::Open, &[]));
        let said = Decision {
            what: Ruling::Approved,
            by: "lee".into(),
            of: Rank::User,
            at: Time(1),
            reason: None,
            lasts: None,
        };
        let done = people(RequestState::Done, &[said]);
        let told = |before, now| {
            let events = since(before, now, Time(2));
            let line = |one: &naru_api::Event| {
                format!("{} {} {}", one.kind.word(), one.actor.clone().unwrap_or_default(), one.text)
            };
            events.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&none, &open),
            ["request-made kim request 1: wake shop/engine for 1h, by kim: a demo"]
        );
        assert_eq!(told(&open, &open), Vec::<String>::new());
        assert_eq!(told(&open, &done), ["request-approved lee request 1: wake shop/engine for 1h, by kim"]);
    }
}
