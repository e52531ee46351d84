//! Who is let in and what they may do, as the API asks for it.

use crate::Answer;
use naru_who::{
    AuditEntry, AuditEvent, AuditQuery, AuditState, People, PeopleChanged, PeopleOrder, PeopleView,
    RequestOrder, RequestView, Resource, Right, RightQuestion, SignIn, Verdict, Who,
};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::watch;

/// Decides who is who and who may what, and writes down what was asked of it. An answer always rests on the newest
/// records: what was taken back a moment ago is gone.
pub trait Authority: Send + Sync + 'static {
    /// Whose token this is.
    fn whose(&self, token: &str, from: SocketAddr) -> Answer<'_, Who>;
    /// A token for whoever knows a password.
    fn sign_in(&self, as_whom: SignIn, from: SocketAddr) -> Answer<'_, PeopleChanged>;
    /// Whether somebody may.
    fn decide(&self, who: &Who, right: Right, on: &Resource) -> Verdict;
    /// Whether somebody might do any of these with anything at all.
    fn anywhere(&self, who: &Who, rights: &[Right]) -> bool;
    /// Changes whenever rights may have.
    fn changes(&self) -> watch::Receiver<Arc<People>>;
    /// Writes something down; answered once it is on the disk.
    fn note(&self, entry: AuditEntry) -> Answer<'_, ()>;
    /// Users, tokens and grants, as far as somebody may see them.
    fn people(&self, who: &Who) -> PeopleView;
    /// Changes them.
    fn change_people(&self, who: &Who, order: PeopleOrder) -> Answer<'_, PeopleChanged>;
    /// Begins a right that was approved for somebody, if there is one that this would be the first use of. Answers whether.
    fn begin(&self, who: &Who, right: Right, on: &Resource) -> Answer<'_, bool>;
    /// Requests at the service desk, as far as somebody may see them; newest first.
    fn requests(&self, who: &Who) -> Vec<RequestView>;
    /// Makes one, or decides about it.
    fn order_request(&self, who: &Who, order: RequestOrder) -> Answer<'_, RequestView>;
    /// Whether a user may, and by what; for whoever may ask that.
    fn can(&self, who: &Who, question: RightQuestion) -> Answer<'_, Verdict>;
    /// What was written down.
    fn audit(&self, query: AuditQuery) -> Answer<'_, Vec<AuditEvent>>;
    /// Whether that is whole.
    fn audit_state(&self) -> Answer<'_, AuditState>;
}
