//! A rule at one worker: what it asks of a request, and what it makes of it.

use super::ask::{Judge, Question};
use super::{Asked, Passage, Target, Verdict, captures_of};
use crate::adopt::Adoption;
use crate::set::Set;
use naru_answers::{Answer, Basic, Claimed, Content, Folder, Shown, Wanted};
use naru_model::{Edits, FieldEdits, Redirect, Rule, RuleAction};
use naru_traffic::{Ask, Captures, Parts, Rates, edit_path, location};
use naru_wire::Onward;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// A rule at one worker.
pub(crate) struct Way {
    pub(super) rule: Rule,
    began: Instant,
    rates: Option<RefCell<Rates>>,
    basic: Option<Basic>,
    judge: Option<Judge>,
    pub(super) action: Action,
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
        let guard = &rule.guard;
        Way {
            rule: rule.clone(),
            began: Instant::now(),
            rates: guard.rate_limit.as_ref().map(|limit| Rates::new(limit, workers).into()),
            basic: guard.basic_auth.as_ref().map(Basic::new),
            judge: guard.forward_auth.as_ref().map(Judge::new),
            action,
        }
    }

    pub(super) fn remove(&self, adoption: &mut Adoption<'_>) {
        if let Action::Forward(set) = &self.action {
            set.remove(adoption);
        }
    }

    pub(super) fn held(&self) -> usize {
        match &self.action {
            Action::Forward(set) => set.held.get(),
            _ => 0,
        }
    }

    /// What is changed of an answer.
    pub(crate) fn answer_edits(&self) -> Option<&FieldEdits> {
        let edits = &self.rule.edits.response;
        (*edits != FieldEdits::default()).then_some(edits)
    }

    /// What is changed of a request.
    pub(crate) fn onward<'a>(&'a self, passage: &'a Passage, lines: &'a str) -> Onward<'a> {
        let Edits { host, request, .. } = &self.rule.edits;
        Onward {
            host: host.as_deref(),
            path: passage.path.as_deref(),
            edits: (*request != FieldEdits::default()).then_some(request),
            reserved: self.judge.as_ref().map_or(&[], |judge| &judge.copied),
            lines,
        }
    }

    pub(super) fn look(
        self: &Rc<Way>,
        asked: &Asked<'_>,
        ask: &Ask<'_>,
        captures: &Captures,
        now: Instant,
    ) -> Verdict {
        if let Some(rates) = &self.rates {
            let since = now.saturating_duration_since(self.began).as_micros() as u64;
            if let Err(wait) = rates.borrow_mut().take(ask, since) {
                let seconds = wait.0.div_ceil(1_000_000).to_string();
                return Verdict::Answer(Answer::told(429, "too many requests").with("Retry-After", &seconds));
            }
        }
        match self.guard(asked) {
            Ok(None) => self.go(asked, ask.path, ask.query, captures, String::new()),
            Ok(Some(pending)) => Verdict::Wait(pending),
            Err(answer) => Verdict::Answer(answer),
        }
    }

    /// Who has to be waited for, if anybody.
    fn guard(self: &Rc<Way>, asked: &Asked<'_>) -> Result<Option<Pending>, Answer> {
        let mut pending = Pending { way: self.clone(), claimed: None, question: None };
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

    fn go(
        self: &Rc<Way>,
        asked: &Asked<'_>,
        path: &str,
        query: Option<&str>,
        captures: &Captures,
        lines: String,
    ) -> Verdict {
        let paths = &self.rule.when.paths;
        let answer = match &self.action {
            Action::Forward(set) => {
                let edit = self.rule.edits.path.as_ref();
                let path = edit.map(|edit| edit_path(edit, path, query, paths, captures));
                return Verdict::Forward(Passage { way: self.clone(), set: set.clone(), path, lines });
            }
            Action::Redirect(redirect) => {
                let authority = asked.host.unwrap_or_default();
                let parts = Parts { scheme: asked.scheme, authority, path, query };
                let to = location(&redirect.location, &parts, paths, captures);
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

impl Pending {
    /// Waits for leave. What comes back are lines for the instance.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    pub(crate) async fn leave(&mut self) -> Result<String, Answer> {
        if let (Some(claimed), Some(basic)) = (self.claimed.take(), &self.way.basic)
            && !basic.is_right(claimed).await
        {
            return Err(basic.refusal());
        }
        match (self.question.take(), &self.way.judge) {
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
