//! Requests at the service desk: what somebody may not do, asked for with a reason, and what became of it.

use crate::demand::taken_by;
use crate::{Resource, Right};
use naru_model::{Change, OperationId, ReleaseNo, ServiceName, Span, StackName, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Something that is done once. Naru does it when it is approved.
    Deed {
        /// Of which stack.
        stack: StackName,
        /// Which change.
        change: Box<Change>,
    },
    /// A right, for a time that begins with its first use.
    Right {
        /// To do what.
        right: Right,
        /// With what.
        on: Resource,
        /// For how long.
        lasts: Span,
    },
}

impl Asked {
    /// The right that it takes, on each of these.
    pub fn takes(&self) -> (Right, Vec<Resource>) {
        match self {
            Asked::Deed { stack, change } => taken_by(stack, change),
            Asked::Right { right, on, .. } => (*right, vec![on.clone()]),
        }
    }

    /// The stack that it is about.
    pub fn stack(&self) -> Option<StackName> {
        match self {
            Asked::Deed { stack, .. } => Some(stack.clone()),
            Asked::Right { on, .. } => on.stack(),
        }
    }

    /// For how long, where it is for a time.
    pub fn lasts(&self) -> Option<Span> {
        match self {
            Asked::Right { lasts, .. } => Some(*lasts),
            Asked::Deed { change, .. } => match change.as_ref() {
                Change::Wake { within, .. } => Some(*within),
                Change::Extend { by, .. } => Some(*by),
                _ => None,
            },
        }
    }

    /// The same for another time, where it is for one.
    pub fn lasting(&self, time: Span) -> Asked {
        let mut asked = self.clone();
        match &mut asked {
            Asked::Right { lasts, .. } => *lasts = time,
            Asked::Deed { change, .. } => match change.as_mut() {
                Change::Wake { within, .. } => *within = time,
                Change::Extend { by, .. } => *by = time,
                _ => {}
            },
        }
        asked
    }

    /// Whether the same is asked for, for however long.
    pub fn is_same(&self, other: &Asked) -> bool {
        self.lasting(Span::ZERO) == other.lasting(Span::ZERO)
    }

    /// The command that asks for it, but for the reason.
    pub fn command(&self) -> String {
        let (right, on) = self.takes();
        let mut words = format!("naru request {right}");
        if let Asked::Deed { stack, change } = self
            && let Change::Scale { replicas } = change.as_ref()
        {
            replicas.iter().for_each(|(name, count)| words += &format!(" {stack}/{name}={count}"));
        } else {
            on.iter().for_each(|on| words += &format!(" {}", short(on)));
        }
        if let Asked::Deed { change, .. } = self
            && let Change::Rollback { to: Some(ReleaseNo(to)) } = change.as_ref()
        {
            words += &format!(" --to {to}");
        }
        if let Some(lasts) = self.lasts() {
            words += &format!(" --for {}", typed(lasts));
        }
        words
    }
}

/// `shop`, `shop/engine`; others as they are.
fn short(on: &Resource) -> String {
    match on {
        Resource::Stack(stack) => stack.to_string(),
        Resource::Service(stack, service) => format!("{stack}/{service}"),
        other => other.to_string(),
    }
}

/// The command that asks for a right with something, where that can be asked for and its name says all.
pub fn how_to_ask(right: Right, on: &Resource) -> Option<String> {
    on.stack()?;
    let time = match right {
        right if right.is_lent() => " --for 1h",
        Right::Wake | Right::Extend => " --for 4h",
        Right::Sleep | Right::Start | Right::Stop | Right::Restart | Right::Run => "",
        Right::Rollback | Right::Down | Right::Pause | Right::Resume | Right::Promote | Right::Abort => "",
        _ => return None,
    };
    Some(format!("naru request {right} {}{time} --reason \"…\"", short(on)))
}

/// `4h`, `90m`: as durations are typed.
pub fn typed(span: Span) -> String {
    let seconds = span.0.div_ceil(1000);
    match () {
        () if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}

/// `wake shop/engine for 4h`, `exec on shop/api for 1h`.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command();
        let said = command.strip_prefix("naru request ").unwrap_or(&command);
        f.write_str(&said.replace(" --for ", " for ").replace(" --to ", " to release "))
    }
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// Nobody has decided.
    Open,
    /// A right was approved, and not used yet.
    Approved,
    /// A right is in use: its time runs.
    InUse,
    /// What was asked for was done, or its time is over.
    Done,
    /// Somebody said no.
    Denied,
    /// Whoever asked took it back.
    Withdrawn,
    /// What was approved was taken back.
    Revoked,
    /// Nobody decided in time, or what was approved was not used in time.
    Lapsed,
}

impl RequestState {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            RequestState::Open => "open",
            RequestState::Approved => "approved",
            RequestState::InUse => "in use",
            RequestState::Done => "done",
            RequestState::Denied => "denied",
            RequestState::Withdrawn => "withdrawn",
            RequestState::Revoked => "revoked",
            RequestState::Lapsed => "lapsed",
        }
    }

    /// Whether nothing follows any more.
    pub fn is_over(self) -> bool {
        !matches!(self, RequestState::Open | RequestState::Approved | RequestState::InUse)
    }
}

/// What somebody said to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// What.
    pub what: Ruling,
    /// Who.
    pub by: String,
    /// As whom.
    #[serde(default)]
    pub of: Rank,
    /// When.
    pub at: Time,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long, where it was approved for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// What can be said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// Yes.
    Approved,
    /// No.
    Denied,
    /// Whoever asked wants it no longer.
    Withdrawn,
    /// No longer.
    Revoked,
}

impl Ruling {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Ruling::Approved => "approved",
            Ruling::Denied => "denied",
            Ruling::Withdrawn => "withdrawn",
            Ruling::Revoked => "revoked",
        }
    }
}

/// As whom somebody decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// As a user, who may do what was granted.
    #[default]
    User,
    /// As the owner of the server.
    Owner,
}

/// What came of an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// When it was done, or first used.
    pub at: Time,
    /// The operation that carries it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// The grant that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u64>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What the server said of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeskRequest {
    /// Its number; never used again.
    pub id: u64,
    /// Who asks.
    pub by: String,
    /// For what.
    pub asked: Asked,
    /// Why.
    pub reason: String,
    /// When.
    pub made: Time,
    /// When it lapses: as long as nobody has decided, or what was approved was not used.
    pub lapses: Time,
    /// Where it is.
    pub state: RequestState,
    /// What was said to it, in order.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl DeskRequest {
    /// Where it is by now: time alone makes it lapse, and ends what was for a time.
    pub fn state_at(&self, now: Time) -> RequestState {
        match self.state {
            RequestState::Open | RequestState::Approved if self.lapses <= now => RequestState::Lapsed,
            RequestState::InUse if self.until().is_some_and(|until| until <= now) => RequestState::Done,
            state => state,
        }
    }

    /// When what was approved ends by itself.
    pub fn until(&self) -> Option<Time> {
        self.outcome.as_ref()?.until
    }

    /// Who approved it.
    pub fn approval(&self) -> Option<&Decision> {
        self.decisions.iter().find(|one| one.what == Ruling::Approved)
    }

    /// For how long it is, as approved, or as asked for.
    pub fn lasts(&self) -> Option<Span> {
        self.approval().and_then(|one| one.lasts).or_else(|| self.asked.lasts())
    }

    /// `request 7: wake shop/engine for 4h, by kim`.
    pub fn sentence(&self) -> String {
        format!("request {}: {}, by {}", self.id, self.asked, self.by)
    }

    /// The services that an approved wake keeps on, and in which stack.
    pub fn wakes(&self) -> Option<(&StackName, &[ServiceName])> {
        let Asked::Deed { stack, change } = &self.asked else { return None };
        let Change::Wake { services, .. } = change.as_ref() else { return None };
        Some((stack, services))
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, typed};
    use naru_model::{Change, ReleaseNo, Span};

    fn deed(change: Change) -> Asked {
        Asked::Deed { stack: "shop".into(), change: Box::new(change) }
    }

    #[test]
    fn what_is_asked_for_is_said_as_it_is_typed() {
        let wake = deed(Change::Wake { services: vec!["engine".into()], within: Span::mins(240) });
        assert_eq!(wake.command(), "naru request wake shop/engine --for 4h");
        assert_eq!(wake.to_string(), "wake shop/engine for 4h");
        assert!(wake.is_same(&wake.lasting(Span::mins(1))));
        let scale = deed(Change::Scale { replicas: [("api".into(), 3)].into() });
        assert_eq!(scale.command(), "naru request scale shop/api=3");
        let back = deed(Change::Rollback { to: Some(ReleaseNo(2)) });
        assert_eq!(back.to_string(), "rollback shop to release 2");
        let on = "instance/shop.api.1.1".parse().unwrap();
        let exec = Asked::Right { right: crate::Right::Exec, on, lasts: Span::mins(90) };
        assert_eq!(exec.command(), "naru request exec instance/shop.api.1.1 --for 90m");
        assert_eq!(exec.stack(), Some("shop".into()));
        assert_eq!(typed(Span::secs(5)), "5s");
    }
}
