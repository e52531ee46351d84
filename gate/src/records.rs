//! What is kept of people, by the server's store.

use naru_api::{Answer, Refused};
use naru_model::Time;
use naru_who::{People, PeopleChanged, PersonWrite};
use std::sync::Arc;
use tokio::sync::watch;

/// Says what a change makes of the records as they are at that moment.
pub type Judge =
    Box<dyn FnOnce(&Arc<People>, Time) -> Result<(PeopleChanged, Vec<PersonWrite>), Refused> + Send>;

/// The records of people.
pub trait Records: Send + Sync + 'static {
    /// As they are.
    fn people(&self) -> Arc<People>;
    /// The same, as they change.
    fn changes(&self) -> watch::Receiver<Arc<People>>;
    /// Has a change judged, and stores it whole. Answered once it is stored.
    fn change(&self, judge: Judge) -> Answer<'_, PeopleChanged>;
}
