//! What is kept of people, by the server's store.

use naru_api::{Answer, Refused};
use naru_model::Time;
use naru_rights::desk::Ruled;
use naru_who::{DeskRequest, People, PeopleChanged, PersonWrite};
use std::sync::Arc;
use tokio::sync::watch;

/// Says what a change makes of the records as they are at that moment.
pub type Judge =
    Box<dyn FnOnce(&Arc<People>, Time) -> Result<(PeopleChanged, Vec<PersonWrite>), Refused> + Send>;

/// Says what an order at the service desk makes of the records as they are at that moment.
pub type DeskJudge = Box<dyn FnOnce(&Arc<People>, Time) -> Result<Ruled, Refused> + Send>;

/// The records of people.
pub trait Records: Send + Sync + 'static {
    /// As they are.
    fn people(&self) -> Arc<People>;
    /// The same, as they change.
    fn changes(&self) -> watch::Receiver<Arc<People>>;
    /// Has a change judged, and stores it whole. Answered once it is stored.
    fn change(&self, judge: Judge) -> Answer<'_, PeopleChanged>;
    /// Has an order at the service desk judged, and stores it whole, with what is done by it: all of it, or nothing.
    fn rule(&self, judge: DeskJudge) -> Answer<'_, DeskRequest>;
}
