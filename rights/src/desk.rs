//! The service desk: who may ask for what, who decides about it, and what an approval makes of the records.
//!
//! Three rules stand above all. Nobody decides about what they would gain themselves. Nobody approves more than they might
//! do there themselves, or for longer, and what one was lent oneself one does not lend on. And a policy that forbids
//! something forbids it to whoever asks, too: an approval is a grant for a time, and is judged as one.
//!
//! A deed is done in the same change of the records as its approval, so that there is no moment between the two at which
//! a server could end, or a right be lost. A right begins with its first use, when all of this is judged again; from
//! then on it holds only as long as whoever approved it might still do so (`Rights::decide`).

use crate::Rights;
use crate::admit::{Declined, no_right, no_sense};
pub use crate::asking::is_deed;
use crate::asking::{check_reason, check_words, shortened};
use naru_model::{Demand, Ending, Refusal, ServiceName, Span, StackName, Time};
use naru_who::{
    Asked, Decision, DeskRequest, GrantRecord, Granted, Grantee, Outcome, PersonWrite, Rank, RequestAct,
    RequestOrder, RequestState, RequestView, Resource, Right, Ruling, Standing, Who,
};

/// Over a weekend somebody sees it.
const UNDECIDED_MAX: Span = Span::mins(3 * 24 * 60);

/// What is approved and not begun within a day is not needed any more.
const UNUSED_MAX: Span = Span::mins(24 * 60);

/// What an order at the desk makes of the records.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruled {
    /// The request, as it is to be.
    pub request: DeskRequest,
    /// What else changes of people.
    pub writes: Vec<PersonWrite>,
    /// What is done in the same change of the records. Where that cannot be done, nothing changes.
    pub deed: Deed,
}

/// What is done with an order at the desk.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Nothing.
    Nothing,
    /// What was asked for, in the name of whoever asked.
    Demand(Box<Demand>),
    /// A wake is taken back.
    EndWake {
        /// In which stack.
        stack: StackName,
        /// Of which services; empty: of all.
        services: Vec<ServiceName>,
        /// Whose.
        owner: String,
    },
}

pub(crate) fn too_late(error: impl Into<String>) -> Declined {
    Declined::Late(Refusal::new(error, "`naru requests` shows how each of them stands"))
}

/// What an order at the desk makes of the records.
///
/// # Errors
/// Whoever orders it may not, or it makes no sense; nothing is changed.
pub fn rule(rights: &Rights, who: &Who, order: &RequestOrder, now: Time) -> Result<Ruled, Declined> {
    let desk = Desk { rights, who, now };
    match order {
        RequestOrder::Make { asked, reason } => desk.make(asked, reason),
        RequestOrder::Approve { id, lasts, reason } => desk.approve(*id, *lasts, reason.as_deref()),
        RequestOrder::Deny { id, reason } => desk.deny(*id, reason),
        RequestOrder::Withdraw { id } => desk.withdraw(*id),
        RequestOrder::Revoke { id, reason } => desk.revoke(*id, reason.as_deref()),
    }
}

/// The requests that somebody may see: their own, and those that they may decide about. Newest first.
pub fn seen(rights: &Rights, who: &Who, now: Time) -> Vec<RequestView> {
    let desk = Desk { rights, who, now };
    rights.people().requests.values().rev().filter_map(|request| desk.view(request)).collect()
}

/// What begins with the first use of a right that was approved. `None`: there is none that this would be.
pub fn begin(rights: &Rights, who: &Who, right: Right, on: &Resource, now: Time) -> Option<Ruled> {
    let chain = on.chain()?;
    let desk = Desk { rights, who, now };
    if !desk.is_in_scope(right, on) {
        return None;
    }
    let holds = |request: &&DeskRequest| {
        let is_within = request.asked.takes().1.iter().all(|asked| chain.contains(asked));
        let approval = request.approval();
        let stands =
            approval.is_some_and(|one| one.of == Rank::Owner || rights.may_approve(&one.by, right, on, now));
        is_within && stands && desk.might(request).is_ok()
    };
    let request = rights.approved(&who.name, right, now).find(holds)?;
    let grant = desk.grant_of(request)?;
    let (at, until) = (now, grant.until);
    let outcome = Some(Outcome { at, grant: Some(grant.id), until, ..Outcome::default() });
    let request = DeskRequest { state: RequestState::InUse, outcome, ..request.clone() };
    Some(Ruled { request, writes: vec![PersonWrite::Grant(Box::new(grant))], deed: Deed::Nothing })
}

pub(crate) struct Desk<'a> {
    pub(crate) rights: &'a Rights,
    pub(crate) who: &'a Who,
    pub(crate) now: Time,
}

impl Desk<'_> {
    fn make(&self, asked: &Asked, reason: &str) -> Result<Ruled, Declined> {
        if self.who.is_owner() {
            return Err(no_sense("the owner of the server may do everything", "do it"));
        }
        self.check(asked)?;
        check_reason(reason)?;
        let (right, on) = asked.takes();
        if !on.iter().all(|on| self.is_in_scope(right, on)) {
            return Err(no_right("the token is not for that", "`naru login`, or another token"));
        }
        let people = self.rights.people();
        if !people.users.contains_key(&self.who.name) {
            return Err(no_right(format!("there is no user {}", self.who.name), "`naru login`"));
        }
        if on.iter().all(|on| self.rights.decide(self.who, right, on, self.now).allowed) {
            let error = format!("{} may do that already", self.who.name);
            return Err(no_sense(error, "do it: nobody has to approve it"));
        }
        self.check_open(asked)?;
        let request = DeskRequest {
            id: people.next_request.max(1),
            by: self.who.name.clone(),
            asked: asked.clone(),
            reason: reason.trim().into(),
            made: self.now,
            lapses: self.now + UNDECIDED_MAX,
            state: RequestState::Open,
            decisions: vec![],
            outcome: None,
        };
        self.might(&request)?;
        Ok(Ruled { request, writes: self.forgotten(), deed: Deed::Nothing })
    }

    fn approve(&self, id: u64, shorter: Option<Span>, reason: Option<&str>) -> Result<Ruled, Declined> {
        let request = self.found(id)?;
        let lasts = shortened(request, shorter)?;
        self.decides(request, lasts)?;
        self.is_open(request)?;
        check_words(reason.unwrap_or_default())?;
        if !self.rights.people().users.contains_key(&request.by) {
            return Err(too_late(format!("there is no user {} any more", request.by)));
        }
        let decision = Decision { lasts, ..self.decision(Ruling::Approved, reason) };
        let mut approved = DeskRequest { state: RequestState::Approved, ..request.clone() };
        approved.decisions.push(decision);
        self.might(&approved)?;
        let Asked::Deed { stack, .. } = &request.asked else {
            approved.lapses = self.now + UNUSED_MAX;
            return Ok(Ruled { request: approved, writes: vec![], deed: Deed::Nothing });
        };
        let asked = lasts.map_or_else(|| request.asked.clone(), |lasts| request.asked.lasting(lasts));
        let Asked::Deed { change, .. } = asked else { return Err(too_late("it is no deed")) };
        approved.state = RequestState::Done;
        let until = lasts.map(|lasts| self.now + lasts);
        approved.outcome = Some(Outcome { at: self.now, until, ..Outcome::default() });
        let message = format!("{} (request {id}, approved by {})", request.reason, self.who.name);
        let demand = Demand {
            stack: stack.clone(),
            change: *change,
            ending: Ending::Finish,
            actor: request.by.clone(),
            message: Some(message),
        };
        Ok(Ruled { request: approved, writes: vec![], deed: Deed::Demand(Box::new(demand)) })
    }

    fn deny(&self, id: u64, reason: &str) -> Result<Ruled, Declined> {
        let request = self.found(id)?;
        self.decides(request, None)?;
        self.is_open(request)?;
        check_reason(reason)?;
        Ok(self.ended(request, RequestState::Denied, self.decision(Ruling::Denied, Some(reason)), vec![]))
    }

    fn withdraw(&self, id: u64) -> Result<Ruled, Declined> {
        let request = self.found(id)?;
        if request.by != self.who.name || self.who.is_owner() {
            let error = format!("request {id} is taken back by {}, who made it", request.by);
            return Err(no_right(error, "`naru deny` and `naru revoke` are for those who decide"));
        }
        let state = request.state_at(self.now);
        if state.is_over() {
            return Err(too_late(format!("request {id} is {} already", state.word())));
        }
        let decision = self.decision(Ruling::Withdrawn, None);
        Ok(self.ended(request, RequestState::Withdrawn, decision, self.without_grant(request)))
    }

    fn revoke(&self, id: u64, reason: Option<&str>) -> Result<Ruled, Declined> {
        let request = self.found(id)?;
        if !self.revokes(request) {
            self.decides(request, None)?;
        }
        check_words(reason.unwrap_or_default())?;
        let decision = self.decision(Ruling::Revoked, reason);
        let ended = self.ended(request, RequestState::Revoked, decision, self.without_grant(request));
        match request.state_at(self.now) {
            RequestState::Approved | RequestState::InUse => Ok(ended),
            RequestState::Done if request.until().is_some_and(|until| self.now < until) => {
                let Some((stack, services)) = request.wakes() else {
                    return Err(too_late("what was done is not undone by that"));
                };
                let (stack, services, owner) = (stack.clone(), services.to_vec(), request.by.clone());
                Ok(Ruled { deed: Deed::EndWake { stack, services, owner }, ..ended })
            }
            state => Err(too_late(format!(
                "request {id} is {}, and nothing of it can be taken back",
                state.word()
            ))),
        }
    }

    /// One that may be seen: of others, nobody hears whether there are any.
    fn found(&self, id: u64) -> Result<&DeskRequest, Declined> {
        let found = self.rights.people().requests.get(&id).filter(|request| self.sees(request));
        found.ok_or_else(|| no_sense(format!("there is no request {id}"), "`naru requests` lists them"))
    }

    fn sees(&self, request: &DeskRequest) -> bool {
        self.is_mine(request) || self.revokes(request) || self.decides(request, None).is_ok()
    }

    fn is_mine(&self, request: &DeskRequest) -> bool {
        !self.who.is_owner() && request.by == self.who.name
    }

    /// Whoever approved something takes it back, whatever they may by now.
    fn revokes(&self, request: &DeskRequest) -> bool {
        let by = request.approval().is_some_and(|one| one.of == Rank::User && one.by == self.who.name);
        let (_, on) = request.asked.takes();
        by && !self.who.is_owner() && on.iter().all(|on| self.is_in_scope(Right::Approve, on))
    }

    fn view(&self, request: &DeskRequest) -> Option<RequestView> {
        let (mine, decides) = (self.is_mine(request), self.decides(request, None).is_ok());
        let revokes = decides || self.revokes(request);
        if !mine && !revokes {
            return None;
        }
        let state = request.state_at(self.now);
        let is_woken = request.wakes().is_some() && request.until().is_some_and(|until| self.now < until);
        let mut may = vec![];
        match state {
            RequestState::Open if decides => may.push(RequestAct::Decide),
            RequestState::Approved | RequestState::InUse if revokes => may.push(RequestAct::Revoke),
            RequestState::Done if revokes && is_woken => may.push(RequestAct::Revoke),
            _ => {}
        }
        if mine && !state.is_over() {
            may.push(RequestAct::Withdraw);
        }
        Some(RequestView { request: DeskRequest { state, ..request.clone() }, may })
    }

    /// Whether this person may say yes or no: another one than who asks, who might do it there for as long, by what is
    /// their own, and approve.
    fn decides(&self, request: &DeskRequest, lasts: Option<Span>) -> Result<(), Declined> {
        if self.who.is_owner() {
            return Ok(());
        }
        let hint = "somebody else decides: whoever may do it there, and `approve`";
        if request.by == self.who.name {
            return Err(no_right("nobody decides about their own request", hint));
        }
        let (right, on) = request.asked.takes();
        let last = lasts.map_or(self.now, |lasts| Time((self.now + lasts).0.saturating_sub(1)));
        for (right, on) in on.iter().flat_map(|on| [(Right::Approve, on), (right, on)]) {
            let verdict = self.rights.decide_own(self.who, right, on, self.now);
            if !verdict.allowed {
                return Err(no_right(
                    format!("{} may not decide that: {}", self.who.name, verdict.why),
                    hint,
                ));
            }
            // A token's own end is no end of its user's rights.
            let person = Who { standing: Standing::User { token: None }, ..self.who.clone() };
            if !self.rights.decide_own(&person, right, on, last).allowed {
                let error = format!("{} may {right} on {on} for a shorter time only", self.who.name);
                return Err(no_right(error, "approve it for a shorter time: `--for`"));
            }
        }
        Ok(())
    }

    fn is_open(&self, request: &DeskRequest) -> Result<(), Declined> {
        let state = request.state_at(self.now);
        if state == RequestState::Open {
            return Ok(());
        }
        let by = request.decisions.last().map(|one| format!(": {} by {}", one.what.word(), one.by));
        Err(too_late(format!("request {} is {} already{}", request.id, state.word(), by.unwrap_or_default())))
    }

    fn decision(&self, what: Ruling, reason: Option<&str>) -> Decision {
        let of = if self.who.is_owner() { Rank::Owner } else { Rank::User };
        let reason = reason.map(|reason| reason.trim().to_string()).filter(|reason| !reason.is_empty());
        Decision { what, by: self.who.name.clone(), of, at: self.now, reason, lasts: None }
    }

    fn ended(
        &self,
        request: &DeskRequest,
        state: RequestState,
        decision: Decision,
        writes: Vec<PersonWrite>,
    ) -> Ruled {
        let mut ended = DeskRequest { state, ..request.clone() };
        ended.decisions.push(decision);
        Ruled { request: ended, writes, deed: Deed::Nothing }
    }

    fn without_grant(&self, request: &DeskRequest) -> Vec<PersonWrite> {
        let Some(grant) = request.outcome.as_ref().and_then(|outcome| outcome.grant) else { return vec![] };
        vec![PersonWrite::ForgetGrant(grant), PersonWrite::NextGrant(self.rights.people().next_grant)]
    }

    /// The grant that an approval is.
    fn grant_of(&self, request: &DeskRequest) -> Option<GrantRecord> {
        let (right, mut on) = request.asked.takes();
        let by = request.approval().map(|one| one.by.clone()).unwrap_or_default();
        Some(GrantRecord {
            id: self.rights.people().next_grant.max(1),
            who: Grantee::User(request.by.clone()),
            what: Granted::Actions([right].into()),
            on: on.pop()?,
            from: self.now,
            until: request.lasts().map(|lasts| self.now + lasts),
            by,
            reason: Some(request.reason.clone()),
            request: Some(request.id),
        })
    }

    /// Whether it might be done by whoever asks, if it were granted.
    fn might(&self, request: &DeskRequest) -> Result<(), Declined> {
        let standing = Standing::User { token: None };
        let person = Who { name: request.by.clone(), standing, from: String::new() };
        let Some(grant) = self.grant_of(request) else { return Ok(()) };
        let (right, on) = request.asked.takes();
        for on in on {
            let grant = GrantRecord { on: on.clone(), ..grant.clone() };
            let verdict = self.rights.decide_with(&person, &grant, right, &on);
            if !verdict.allowed {
                return Err(no_right(verdict.why, "nobody can approve that"));
            }
        }
        Ok(())
    }

    /// Whether the token that was shown is for that, too.
    fn is_in_scope(&self, right: Right, on: &Resource) -> bool {
        let Standing::User { token: Some(id) } = &self.who.standing else { return true };
        let token = self.rights.people().tokens.get(id);
        let Some(token) = token.filter(|token| token.user == self.who.name && self.now < token.until) else {
            return false;
        };
        token.scope.as_ref().is_none_or(|scope| {
            scope.what.allows(right) && on.chain().is_some_and(|chain| chain.contains(&scope.on))
        })
    }
}
