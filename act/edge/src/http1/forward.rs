//! A request's way: to an instance, to another where that is safe, and what the books say of it.

use super::exchange::{End, Exchange, Sending};
use super::take::Request;
use super::{After, Client, wanted};
use crate::drain::{Drain, Form, Limits};
use crate::search::{Failure, NoInstance, Search};
use crate::set::Chosen;
use crate::tunnel::{self, By, Closing};
use naru_answers::Rest;
use naru_books::{Again, Claim, Ending, Kind};
use naru_carry::{Inbox, Origin, Upstream};
use naru_model::Span;
use naru_wire::{Framing, Keep, Persistence, Reject, Repeat, ResponseHead, Version};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The answer when an instance failed with a request that must not be sent again.
const LOST: Reject = Reject::new(502, "the instance broke off before it answered");

/// The answer when an instance took too long with a request that is not sent to another.
const LATE: Reject = Reject::new(504, "the instance did not begin to answer in time");

/// The answer when there is nobody to give it.
fn nobody_there(why: NoInstance) -> Reject {
    Reject::new(
        503,
        match why {
            NoInstance::Named => "no instance of the service is there to answer",
            NoInstance::Asleep => "the service is asleep",
            NoInstance::Waking => "the service is waking up, which takes longer than a request waits",
            NoInstance::Reached => "no instance of the service could be reached",
            NoInstance::TooLate => return LATE,
            NoInstance::Full => "all instances of the service have as much to do as they may",
            NoInstance::Waited => "too many requests wait for an instance of the service",
        },
    )
}

impl Request {
    /// How long its stream has once the instance retires, if it becomes one and the policy says so.
    fn drain(&self, claim: &Claim) -> Option<Drain> {
        let Span(within) = self.set.with_policy(|policy| policy.stream_drain)?;
        Some(Drain { entry: claim.entry().clone(), within: Duration::from_millis(within) })
    }
}

/// Whether a head, as it was written for the instance, asks for a websocket.
fn upgrades_to_websocket(head: &[u8]) -> bool {
    const FIELD: &[u8] = b"upgrade: websocket";
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii().eq_ignore_ascii_case(FIELD))
}

/// Which connections a request may take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Any,
    Fresh,
}

/// A request at the instance that was chosen for it.
struct Try {
    claim: Claim,
    address: SocketAddr,
    upstream: Upstream,
    answer: Inbox,
}

fn wants_close(request: &Request) -> bool {
    request.head.persistence == Persistence::Close
}

impl Client<'_> {
    /// Has one request answered, which is due `now`.
    pub(super) async fn answer(&mut self, request: &Request, now: Instant) -> After {
        let search = Search::new(self.config, &request.set, Kind::Request, request.hint, now);
        let mut search = search.ignored(request.ignored);
        loop {
            let chosen = match search.next().await {
                Ok(chosen) => chosen,
                Err(why @ (NoInstance::Asleep | NoInstance::Waking)) => {
                    // Boxed: what is rare must not make every connection larger.
                    return Box::pin(self.tell_asleep(why, request)).await;
                }
                Err(nobody) => return self.refuse_unread(nobody_there(nobody), request).await,
            };
            if let Some(after) = self.try_at(request, chosen, &mut search).await {
                return after;
            }
        }
    }

    /// `None`: it failed, and another try is due.
    async fn try_at(&mut self, request: &Request, chosen: Chosen, search: &mut Search<'_>) -> Option<After> {
        let Chosen { mut claim, address, .. } = chosen;
        let mut take = if search.is_first() { Take::Any } else { Take::Fresh };
        loop {
            let Ok(upstream) = self.connect(request, &claim, address, take).await else {
                search.fail(claim, Failure::Unreachable);
                return None;
            };
            let before = upstream.written.get();
            let sending = Sending::default();
            let again = if search.is_first() { Again::No } else { Again::Yes };
            request.visit.handed(claim.entry(), again);
            let mut at = Try { claim, address, upstream, answer: Inbox::default() };
            let end = self.exchange(request, &mut at, &sending, search).await;
            let failure = match end {
                End::NoAnswer => Failure::BrokeOff,
                End::Silent => Failure::TooLate,
                End::Elsewhere => Failure::Elsewhere,
                end => return Some(self.conclude(request, at, end, &sending, search).await),
            };
            let untouched = end == End::NoAnswer && at.upstream.took_nothing_since(before);
            claim = at.claim;
            if untouched && at.upstream.origin == Origin::Reused && sending.can_repeat() {
                take = Take::Fresh;
                continue;
            }
            let allowed = untouched || request.head.repeat == Repeat::Allowed;
            let somewhere = end != End::Silent || search.has_another(&claim);
            if allowed && somewhere && sending.can_repeat() && search.may_repeat() {
                search.fail(claim, failure);
                return None;
            }
            search.lose(claim);
            let reject = if end == End::Silent { LATE } else { LOST };
            return Some(self.refuse_unread(reject, request).await);
        }
    }

    async fn connect(
        &self,
        request: &Request,
        claim: &Claim,
        address: SocketAddr,
        take: Take,
    ) -> io::Result<Upstream> {
        if request.set.http2 {
            let open = naru_http2::open(&claim.entry().pool, address, self.config.connect_time);
            // Boxed: what is rare must not make every connection larger.
            return Box::pin(open).await;
        }
        let pooled = match take {
            Take::Any => claim.entry().pool.take(address, request.head.repeat, claim.began()),
            Take::Fresh => None,
        };
        match pooled {
            Some(upstream) => Ok(upstream),
            None => Upstream::connect(address, self.config.connect_time).await,
        }
    }

    async fn exchange(
        &mut self,
        request: &Request,
        at: &mut Try,
        sending: &Sending,
        search: &Search<'_>,
    ) -> End {
        let drain = request.drain(&at.claim);
        let (read, write, written) = at.upstream.split();
        let exchange = Exchange {
            head: &request.head,
            text: &request.text,
            route: self.route,
            search,
            scheme: self.caller.scheme(),
            claim: &mut at.claim,
            answer: &mut at.answer,
            sending,
            visit: &request.visit,
            written,
            stall: self.config.stall_time,
            answering: &request.answering(),
            drain: drain.as_ref(),
        };
        exchange.run((&mut self.read, &mut self.write, &mut self.inbox), (read, write)).await
    }

    async fn conclude(
        &mut self,
        request: &Request,
        at: Try,
        end: End,
        sending: &Sending,
        search: &Search<'_>,
    ) -> After {
        match end {
            End::Complete(head) => {
                let now = request.visit.whole();
                self.complete(request, at, head, sending, now)
            }
            // Boxed: what is rare must not make every connection larger.
            End::Upgraded => Box::pin(self.tunnel(at, request)).await,
            End::ClientGone => {
                at.claim.end(Ending::ClientLeft);
                After::Drop
            }
            End::NoAnswer | End::Silent | End::Elsewhere | End::BadAnswer(_) => {
                if let End::BadAnswer(why) = end {
                    tracing::warn!(instance = %at.claim.entry().id, why = why.reason, "a bad answer");
                }
                search.lose(at.claim);
                self.refuse_unread(Reject::new(502, "the instance's answer is not valid HTTP"), request).await
            }
            End::Closed => {
                request.visit.closed();
                at.claim.end(Ending::Full { status: 0 });
                After::Close
            }
            End::Broken(framing) => {
                search.lose(at.claim);
                request.visit.broke();
                let whole_by_close =
                    framing == Framing::UntilClose || request.head.version == Version::Http10;
                if whole_by_close { After::Reset } else { After::Drop }
            }
            End::BadRequest(reject) => {
                at.claim.end(Ending::ClientLeft);
                self.refuse(reject, request.head.method, Persistence::Close, &request.visit).await
            }
        }
    }

    /// The answer was handed to the client whole.
    fn complete(
        &mut self,
        request: &Request,
        at: Try,
        head: ResponseHead,
        sending: &Sending,
        now: Instant,
    ) -> After {
        self.rest_from(now);
        let entry = at.claim.entry().clone();
        at.claim.end_at(Ending::Full { status: head.status }, now);
        if !sending.is_complete() {
            // What is left of the request would be taken for the next one, on both sides.
            return After::Close;
        }
        if let Keep::For(promised) = head.upstream
            && entry.is_named()
            && at.answer.bytes().is_empty()
        {
            entry.pool.put(at.address, at.upstream, promised, now);
        }
        self.inbox.consume(sending.in_inbox());
        match head.client {
            Persistence::Keep | Persistence::KeepTold => After::Next,
            // The client itself wants no more of it, and has sent nothing that closing at once could make a reset of.
            Persistence::Close if wants_close(request) && self.inbox.bytes().is_empty() => After::Done,
            Persistence::Close => After::Close,
        }
    }

    async fn tunnel(&mut self, mut at: Try, request: &Request) -> After {
        let visit = &request.visit;
        let form = if upgrades_to_websocket(&request.text) { Form::Frames } else { Form::Bytes };
        // One that upgrades may rest for as long as it likes.
        let limits = Limits { idle: None, drain: request.drain(&at.claim), form };
        let (read, write, _) = at.upstream.split();
        let client = (&mut self.read, &mut self.write, &mut self.inbox);
        let (answer, closing) = (&mut at.answer, Closing::Together);
        let ended =
            tunnel::run(client, (read, write), answer, at.address, closing, &limits, self.config).await;
        match ended.ending {
            Ending::Full { .. } if ended.by == By::Edge => visit.closed(),
            Ending::Full { .. } => drop(visit.whole()),
            Ending::Lost | Ending::Gone => visit.broke(),
            _ => {}
        }
        at.claim.end(ended.ending);
        After::Drop
    }

    /// Says that the service is asleep, or still waking: to a person by a page, which asks again by itself.
    async fn tell_asleep(&mut self, why: NoInstance, request: &Request) -> After {
        let doze = request.set.with_policy(|policy| policy.doze.clone());
        let until = doze.and_then(|doze| doze.until).filter(|_| why == NoInstance::Asleep);
        let rest = Rest::until(nobody_there(why).reason, until);
        let answer = if request.shows_page { rest.page() } else { rest.plain() };
        self.give(&answer, &request.head, &request.visit).await
    }

    async fn refuse_unread(&mut self, reject: Reject, request: &Request) -> After {
        // A body that was not read cannot be skipped.
        let unread = request.head.framing != Framing::None;
        let persistence = if unread { Persistence::Close } else { wanted(&request.head, self.route) };
        self.refuse(reject, request.head.method, persistence, &request.visit).await
    }
}
