//! The next request of a connection: understood, looked at by the gate, and written for its instance.

use super::{After, Client, Speaks};
use crate::Config;
use crate::gate::{self, Pending, Verdict, Way};
use crate::set::Set;
use naru_answers::{Answer, Content};
use naru_books::Visit;
use naru_carry::HeadText;
use naru_model::Doze;
use naru_traffic::{Fields, Hint};
use naru_wire::{
    Answering, Coding, Onward, REQUEST_HEAD, Reject, RequestHead, Room, Sender, Trust, Version, find_end,
};
use std::rc::Rc;
use std::time::Instant;

/// A request that goes to an instance; its body may still be under way.
pub(super) struct Request {
    pub(super) head: RequestHead,
    /// The head as the instance gets it.
    pub(super) text: HeadText,
    pub(super) visit: Visit,
    /// Among whom an instance is chosen.
    pub(super) set: Rc<Set>,
    /// What of it matters for the choice.
    pub(super) hint: Hint,
    /// The rule that took it.
    way: Option<Rc<Way>>,
    /// How its answer may be coded.
    coding: Option<Coding>,
    /// Whether it neither wakes a service nor keeps it awake.
    pub(super) ignored: bool,
    /// Whether it is a browser's that shows a page, for a service that may be asleep.
    pub(super) shows_page: bool,
}

/// A request that was taken.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for each request")]
pub(super) enum Taken {
    Request(Request),
    // Boxed: what is rarer must not make every connection larger.
    Other(Box<Other>),
}

/// A request that no instance answers, or not yet.
pub(super) struct Other {
    head: RequestHead,
    visit: Visit,
    what: What,
}

enum What {
    Answer(Answer),
    /// Leave is waited for; then the head is read once more.
    Wait(Pending, Vec<u8>),
}

/// A request's fields, as rules see them.
struct Lines<'a>(&'a naru_wire::Request<'a, 'a>);

impl Fields for Lines<'_> {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.0.field(name)
    }

    fn each(&self, to: &mut dyn FnMut(&str, &[u8])) {
        self.0.each().for_each(|(name, value)| to(name, value));
    }
}

impl Request {
    /// What is changed of its answer.
    pub(super) fn answering(&self) -> Answering<'_> {
        let edits = self.way.as_ref().and_then(|way| way.answer_edits());
        Answering { edits, coding: self.coding, lines: "" }
    }
}

impl Client<'_> {
    /// Finds where the next request's head ends, if it is there whole.
    pub(super) fn find_head(&mut self) -> Result<Option<usize>, Reject> {
        // Empty lines before a request are tolerated, as the standard asks.
        while self.inbox.bytes().starts_with(b"\r\n") {
            self.inbox.consume(2);
            self.seen = 0;
        }
        let bytes = self.inbox.bytes();
        let end = find_end(bytes, self.seen as usize)?;
        if end.unwrap_or(bytes.len()) > REQUEST_HEAD {
            return Err(Reject::new(431, "the head is too long"));
        }
        Ok(end)
    }

    /// Takes the next request, whose head ends there.
    pub(super) fn take_request(&mut self, end: usize) -> Result<Taken, Reject> {
        let taken = self.look(&self.inbox.bytes()[..end])?;
        self.inbox.consume(end);
        self.begun = true;
        Ok(taken)
    }

    fn look(&self, head: &[u8]) -> Result<Taken, Reject> {
        let mut room = Room::default();
        let request = naru_wire::Request::read(head, &mut room)?;
        let mut visit = self.visit(&request);
        if let Some(answer) = challenge(self.config, &request) {
            return Ok(Taken::other(request.head, visit, What::Answer(answer)));
        }
        let gate = self.route.gate.borrow().clone();
        let lines = Lines(&request);
        let (verdict, rule) = gate.look(&self.asked(&request, &lines), visit.began());
        if let Some(rule) = rule {
            visit.matched(&self.route.register, rule);
        }
        Ok(self.taken(&request, verdict, visit, head))
    }

    fn taken(
        &self,
        request: &naru_wire::Request<'_, '_>,
        verdict: Verdict,
        visit: Visit,
        bytes: &[u8],
    ) -> Taken {
        let mut text = HeadText::borrow();
        let sender = self.sender();
        let (set, way) = match verdict {
            Verdict::Own => {
                let onward = Onward { lines: visit.request_lines(), ..Onward::default() };
                request.write(&sender, &onward, &mut text);
                (self.route.own.clone(), None)
            }
            Verdict::Forward(passage) => {
                let lines = passage.lines.clone() + visit.request_lines();
                request.write(&sender, &passage.way.onward(&passage, &lines), &mut text);
                (passage.set, Some(passage.way))
            }
            Verdict::Answer(answer) => return Taken::other(request.head, visit, What::Answer(answer)),
            Verdict::Wait(pending) => {
                return Taken::other(request.head, visit, What::Wait(pending, bytes.to_vec()));
            }
        };
        let (compress, ignored) = set.with_policy(|policy| {
            let is_ignored = |doze: &Doze| doze.ignore.has(request.target, request.field("user-agent"));
            (policy.compress, policy.doze.as_deref().map(is_ignored))
        });
        let shows_page = ignored.is_some() && request.wants_page();
        let accept = if compress { request.field("accept-encoding") } else { None };
        let coding = accept.and_then(|accept| Coding::accepted(accept, &Coding::ALL));
        let lines = Lines(request);
        let hint = set.hint(|| (self.asked(request, &lines).source, request.target, &lines));
        let (head, ignored) = (request.head, ignored.unwrap_or(false));
        Taken::Request(Request { head, text, visit, set, hint, way, coding, ignored, shows_page })
    }

    fn visit(&self, request: &naru_wire::Request<'_, '_>) -> Visit {
        let asked = naru_books::Asked {
            method: request.method,
            host: request.host.unwrap_or_default(),
            target: request.target,
            protocol: match (self.caller.speaks, request.head.version) {
                (Speaks::Http2, _) => "HTTP/2.0",
                (Speaks::Http1, Version::Http10) => "HTTP/1.0",
                (Speaks::Http1, Version::Http11) => "HTTP/1.1",
            },
            field: &|name| request.field(name),
        };
        Visit::begin(&self.route.register, &self.caller.address, Some(&asked))
    }

    fn asked<'a>(&self, request: &'a naru_wire::Request<'a, 'a>, lines: &'a Lines<'a>) -> gate::Asked<'a> {
        let gate = self.route.gate.borrow();
        let forwarded = if request.is_forwarded() { request.fields("x-forwarded-for").last() } else { None };
        gate::Asked {
            method: request.method,
            host: request.host,
            target: request.target,
            scheme: self.caller.scheme(),
            source: if forwarded.is_some() {
                gate.source(self.caller.source, forwarded)
            } else {
                self.caller.source
            },
            fields: lines,
        }
    }

    fn sender(&self) -> Sender<'_> {
        let trusted = self.route.gate.borrow().trusts(self.caller.source);
        let trust = if trusted { Trust::Forwarded } else { Trust::Nothing };
        Sender {
            client: &self.caller.address,
            scheme: self.caller.scheme(),
            address: &self.route.address,
            trust,
        }
    }

    /// Sees to a request that no instance answers, or not yet.
    pub(super) async fn other(&mut self, other: Other) -> After {
        let Other { head, visit, what } = other;
        let (mut pending, bytes) = match what {
            What::Answer(answer) => return self.give(&answer, &head, &visit).await,
            What::Wait(pending, bytes) => (pending, bytes),
        };
        let lines = match pending.leave().await {
            Ok(lines) => lines,
            Err(answer) => return self.give(&answer, &head, &visit).await,
        };
        let mut room = Room::default();
        let taken = match naru_wire::Request::read(&bytes, &mut room) {
            Ok(request) => {
                let verdict = pending.go(&self.asked(&request, &Lines(&request)), lines);
                self.taken(&request, verdict, visit, &bytes)
            }
            // It was read before, and is what it was.
            Err(reject) => {
                return self.give(&Answer::told(reject.status, reject.reason), &head, &visit).await;
            }
        };
        match taken {
            Taken::Request(request) => self.answer(&request, Instant::now()).await,
            Taken::Other(other) => match other.what {
                What::Answer(answer) => self.give(&answer, &other.head, &other.visit).await,
                What::Wait(..) => unreachable!("leave is asked for once"),
            },
        }
    }
}

/// The answer to an authority that looks whether a name is this node's, before it certifies it: it comes first, since
/// it has to be found whatever the rules are.
fn challenge(config: &Config, request: &naru_wire::Request<'_, '_>) -> Option<Answer> {
    let text = config.certificates.as_ref()?.challenge(request.target)?;
    let (reason, lines) = ("an authority's challenge", "Content-Type: text/plain\r\n".into());
    Some(Answer { status: 200, reason, lines, body: Content::Text(text.into_bytes().into()) })
}

impl Taken {
    fn other(head: RequestHead, visit: Visit, what: What) -> Taken {
        Taken::Other(Box::new(Other { head, visit, what }))
    }
}
