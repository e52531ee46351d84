//! A rule at one worker: what it asks of a request, and what it makes of it.

use super::ask::{Judge, Question};
use super::{Asked, Passage, Target, Verdict, captures_of};
use crate::adopt::Adoption;
use crate::set::Set;
use naru_answers::{Answer, Basic, Claimed, Content, Folder, Shown, Wanted};
use naru_model::{Edits, FieldEdits, Guard, Redirect, Rule, RuleAction};
use naru_traffic::{Ask, Captures, Parts, Rates, edit_path, location};
use naru_wire::Onward;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// A rule at one worker. What few rules have is boxed, so that a request touches little memory on its way by one that
/// has none of it.
pub(crate) struct Way {
    pub(super) action: Action,
    guards: Option<Box<Guards>>,
    edits: Option<Box<Edits>>,
    pub(super) rule: Box<Rule>,
}

/// What a rule asks of a request.
struct Guards {
    began: Instant,
    rates: Option<RefCell<Rates>>,
    basic: Option<Basic>,
    judge: Option<Judge>,
}

/// What a rule does.
pub(super) enum Action {
    Forward(Rc<Set>),
    Redirect(Redirect),
    Respond { status: u16, lines: String, body: Rc<[u8]> },
    Files(Folder),
}

/// A request that has to wait for leave.
pub(crate) struct Pending {
    way: Rc<Way>,
    claimed: Option<Claimed>,
    question: Option<Question>,
}

impl Way {
    /// One that knows no instances yet. Each of `workers` keeps an equal part of a rate.
    pub(super) fn new(rule: &Rule, workers: usize) -> Way {
        let action = match &rule.action {
            RuleAction::Forward(forward) => Action::Forward(Rc::new(Set::new(forward.http2))),
            RuleAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
            RuleAction::Respond(respond) => Action::Respond {
                status: respond.status,
                lines: format!("Content-Type: {}\r\n", respond.content_type),
                body: respond.body.as_bytes().into(),
            },
            RuleAction::Files(files) => Action::Files(Folder::new(files)),
        };
        let edits = (!rule.edits.is_default()).then(|| rule.edits.clone().into());
        Way { action, guards: Guards::new(&rule.guard, workers), edits, rule: rule.clone().into() }
    }

    pub(super) fn remove(&self, adoption: &mut Adoption<'_>) {
        if let Action::Forward(set) = &self.action {
            set.remove(adoption);
        }
    }

    pub(super) fn set(&self) -> Option<&Set> {
        match &self.action {
            Action::Forward(set) => Some(set),
            _ => None,
        }
    }

    /// What is changed of an answer.
    pub(crate) fn answer_edits(&self) -> Option<&FieldEdits> {
        self.edits.as_ref()?.response.some()
    }

    /// What is changed of a request.
    pub(crate) fn onward<'a>(&'a self, passage: &'a Passage, lines: &'a str) -> Onward<'a> {
        let edits = self.edits.as_deref();
        Onward {
            host: edits.and_then(|edits| edits.host.as_deref()),
            path: passage.path.as_deref(),
            edits: edits.and_then(|edits| edits.request.some()),
            reserved: self.judge().map_or(&[], |judge| &judge.copied),
            lines,
        }
    }

    fn judge(&self) -> Option<&Judge> {
        self.guards.as_ref()?.judge.as_ref()
    }

    pub(super) fn look(
        self: &Rc<Way>,
        asked: &Asked<'_>,
        ask: &Ask<'_>,
        captures: &Captures,
        now: Instant,
    ) -> Verdict {
        match self.guards.as_ref().map(|guards| guards.look(self, asked, ask, now)) {
            None | Some(Ok(None)) => self.go(asked, ask.path, ask.query, captures, String::new()),
            Some(Ok(Some(pending))) => Verdict::Wait(pending),
            Some(Err(answer)) => Verdict::Answer(answer),
        }
    }

    fn go(
        self: &Rc<Way>,
        asked: &Asked<'_>,
        path: &str,
        query: Option<&str>,
        captures: &Captures,
        lines: String,
    ) -> Verdict {
        let paths = || &self.rule.when.paths;
        let answer = match &self.action {
            Action::Forward(set) => {
                let edit = self.edits.as_ref().and_then(|edits| edits.path.as_ref());
                let path = edit.map(|edit| edit_path(edit, path, query, paths(), captures));
                return Verdict::Forward(Passage { way: self.clone(), set: set.clone(), path, lines });
            }
            Action::Redirect(redirect) => {
                let authority = asked.host.unwrap_or_default();
                let parts = Parts { scheme: asked.scheme, authority, path, query };
                let to = location(&redirect.location, &parts, paths(), captures);
                Answer::bare(redirect.status, format!("Location: {to}\r\n"))
            }
            Action::Respond { status, lines, body } => Answer {
                status: *status,
                reason: "",
                lines: lines.clone(),
                body: Content::Text(body.clone()),
            },
            Action::Files(folder) => {
                let field = |name: &str| asked.fields.field(name);
                folder.answer(&Wanted { method: asked.method, target: asked.target, field: &field })
            }
        };
        Verdict::Answer(answer.edited(&self.rule.edits.response))
    }
}

impl Guards {
    fn new(guard: &Guard, workers: usize) -> Option<Box<Guards>> {
        let guards = Guards {
            began: Instant::now(),
            rates: guard.rate_limit.as_ref().map(|limit| Rates::new(limit, workers).into()),
            basic: guard.basic_auth.as_ref().map(Basic::new),
            judge: guard.forward_auth.as_ref().map(Judge::new),
        };
        let none = guards.rates.is_none() && guards.basic.is_none() && guards.judge.is_none();
        (!none).then(|| guards.into())
    }

    /// Who has to be waited for, if anybody.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    fn look(
        &self,
        way: &Rc<Way>,
        asked: &Asked<'_>,
        ask: &Ask<'_>,
        now: Instant,
    ) -> Result<Option<Pending>, Answer> {
        if let Some(rates) = &self.rates {
            let since = now.saturating_duration_since(self.began).as_micros() as u64;
            if let Err(wait) = rates.borrow_mut().take(ask, since) {
                let seconds = wait.0.div_ceil(1_000_000).to_string();
                return Err(Answer::told(429, "too many requests").with("Retry-After", &seconds));
            }
        }
        let mut pending = Pending { way: way.clone(), claimed: None, question: None };
        if let Some(basic) = &self.basic {
            match basic.look(asked.fields.field("authorization"))? {
                Shown::Right => {}
                Shown::Wrong => return Err(basic.refusal()),
                Shown::Compare(claimed) => pending.claimed = Some(claimed),
            }
        }
        pending.question = self.judge.as_ref().map(|judge| judge.question(asked));
        Ok((pending.claimed.is_some() || pending.question.is_some()).then_some(pending))
    }
}

impl Pending {
    /// Waits for leave. What comes back are lines for the instance.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    pub(crate) async fn leave(&mut self) -> Result<String, Answer> {
        let Some(guards) = &self.way.guards else { return Ok(String::new()) };
        if let (Some(claimed), Some(basic)) = (self.claimed.take(), &guards.basic)
            && !basic.is_right(claimed).await
        {
            return Err(basic.refusal());
        }
        match (self.question.take(), &guards.judge) {
            (Some(question), Some(judge)) => judge.ask(question).await,
            _ => Ok(String::new()),
        }
    }

    /// What becomes of the request, once it has leave.
    pub(crate) fn go(&self, asked: &Asked<'_>, lines: String) -> Verdict {
        let target: Target<'_> = match asked.split() {
            Ok(target) => target,
            Err(answer) => return Verdict::Answer(answer),
        };
        let captures = captures_of(&self.way, &target);
        self.way.go(asked, &target.path, target.query, &captures, lines)
    }
}
