//! An authority that lets in whoever shows `NAME`, allows what it was told to allow, and remembers what it wrote down.

use super::now;
use naru_api::{Answer, Authority, Ground, Refused};
use naru_who::{
    AuditEntry, AuditEvent, AuditQuery, AuditState, People, PeopleChanged, PeopleOrder, PeopleView,
    RequestOrder, RequestView, Resource, Right, RightQuestion, SignIn, Standing, Verdict, Who,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What it was told, and what it wrote down.
pub struct Ruler {
    allowed: Mutex<BTreeSet<(Right, Resource)>>,
    approved: Mutex<Vec<(Right, Resource)>>,
    notes: Mutex<Vec<AuditEntry>>,
    people: watch::Sender<Arc<People>>,
}

impl Ruler {
    pub fn new() -> Ruler {
        let people = watch::Sender::new(Arc::new(People::default()));
        Ruler { allowed: Mutex::default(), approved: Mutex::default(), notes: Mutex::default(), people }
    }

    pub fn allow(&self, right: Right, on: &str) {
        self.allowed.lock().unwrap().insert((right, on.parse().unwrap()));
    }

    pub fn revoke_all(&self) {
        self.allowed.lock().unwrap().clear();
        self.people.send_modify(|people| {
            *people = Arc::new(People { revision: people.revision + 1, ..People::default() })
        });
    }

    pub fn take_notes(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut self.notes.lock().unwrap())
    }

    /// Allowed with its first use.
    pub fn approve(&self, right: Right, on: &str) {
        self.approved.lock().unwrap().push((right, on.parse().unwrap()));
    }

    fn refuse(&self, who: &Who, action: &str, text: String) {
        let (time, outcome) = (Default::default(), naru_who::AuditOutcome::Refused);
        let (who, from, action, on) = (who.name.clone(), who.from.clone(), action.into(), "all".into());
        self.notes.lock().unwrap().push(AuditEntry { time, who, from, action, on, outcome, by: None, text });
    }

    fn verdict(&self, allowed: bool) -> Verdict {
        Verdict { allowed, by: Some("grant 1".into()), why: "because".into(), near: vec![] }
    }
}

impl Authority for Ruler {
    fn whose(&self, token: &str, from: SocketAddr) -> Answer<'_, Who> {
        let standing = Standing::User { token: None };
        let who = Who { name: token.into(), standing, from: from.to_string() };
        now(match token {
            "nobody" | "kim" => Ok(who),
            _ => Err(Refused::new(Ground::Unknown, "the token is not known", "sign in")),
        })
    }

    fn sign_in(&self, as_whom: SignIn, _: SocketAddr) -> Answer<'_, PeopleChanged> {
        let right = as_whom.password == "right";
        let changed = PeopleChanged { token: Some(as_whom.user), id: None, until: None };
        now(if right { Ok(changed) } else { Err(Refused::new(Ground::Unknown, "wrong", "try another")) })
    }

    fn decide(&self, who: &Who, right: Right, on: &Resource) -> Verdict {
        let allowed = self.allowed.lock().unwrap();
        let granted = |on: &Resource| allowed.contains(&(right, on.clone()));
        self.verdict(
            who.is_owner()
                || (who.name == "kim" && on.chain().is_some_and(|chain| chain.iter().any(granted))),
        )
    }

    fn anywhere(&self, who: &Who, rights: &[Right]) -> bool {
        let (allowed, approved) = (self.allowed.lock().unwrap(), self.approved.lock().unwrap());
        let mut all = allowed.iter().map(|(right, _)| right).chain(approved.iter().map(|(right, _)| right));
        who.is_owner() || (who.name == "kim" && all.any(|right| rights.contains(right)))
    }

    fn changes(&self) -> watch::Receiver<Arc<People>> {
        self.people.subscribe()
    }

    fn note(&self, entry: AuditEntry) -> Answer<'_, ()> {
        self.notes.lock().unwrap().push(entry);
        now(Ok(()))
    }

    fn people(&self, who: &Who) -> PeopleView {
        PeopleView { me: who.name.clone(), ..PeopleView::default() }
    }

    fn change_people(&self, who: &Who, order: PeopleOrder) -> Answer<'_, PeopleChanged> {
        if who.is_owner() {
            return now(Ok(PeopleChanged { token: None, id: Some(order.sentence()), until: None }));
        }
        self.refuse(who, "manage-people", order.sentence());
        now(Err(Refused::new(Ground::Forbidden, "not you", "ask")))
    }

    fn begin(&self, who: &Who, right: Right, on: &Resource) -> Answer<'_, bool> {
        let mut approved = self.approved.lock().unwrap();
        let Some(at) = approved.iter().position(|one| who.name == "kim" && *one == (right, on.clone()))
        else {
            return now(Ok(false));
        };
        self.allowed.lock().unwrap().insert(approved.remove(at));
        now(Ok(true))
    }

    fn requests(&self, _: &Who) -> Vec<RequestView> {
        vec![]
    }

    fn order_request(&self, who: &Who, order: RequestOrder) -> Answer<'_, RequestView> {
        self.refuse(who, order.word(), String::new());
        now(Err(Refused::new(Ground::Forbidden, "not you", "ask")))
    }

    fn can(&self, _: &Who, question: RightQuestion) -> Answer<'_, Verdict> {
        now(Ok(self.verdict(question.user == "kim")))
    }

    fn audit(&self, _: AuditQuery) -> Answer<'_, Vec<AuditEvent>> {
        now(Ok(vec![]))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        now(Ok(AuditState { events: 0, head: "0".into(), fault: None }))
    }
}
