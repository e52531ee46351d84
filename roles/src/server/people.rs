//! Who may do what, as the desk keeps it.

use super::desk::{Handle, Message};
use naru_api::{Answer, Ground, Refused};
use naru_gate::{DeskJudge, Judge, Records};
use naru_who::{DeskRequest, People, PeopleChanged};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The desk's records of people, for the gate.
pub struct Kept {
    desk: Handle,
    people: watch::Receiver<Arc<People>>,
}

impl Kept {
    /// Those of this desk.
    pub fn new(desk: Handle) -> Kept {
        let people = desk.books.people();
        Kept { desk, people }
    }
}

impl Records for Kept {
    fn people(&self) -> Arc<People> {
        self.people.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<Arc<People>> {
        self.desk.books.people()
    }

    fn change(&self, judge: Judge) -> Answer<'_, PeopleChanged> {
        Box::pin(self.ordered(|answer| Message::People(judge, answer)))
    }

    fn rule(&self, judge: DeskJudge) -> Answer<'_, DeskRequest> {
        Box::pin(self.ordered(|answer| Message::Request(judge, answer)))
    }
}

impl Kept {
    async fn ordered<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Message,
    ) -> Result<T, Refused> {
        let no_answer = || {
            Refused::new(Ground::Unavailable, "the server cannot answer at present", "try again in a moment")
        };
        let (sender, answer) = oneshot::channel();
        self.desk.messages.send(message(sender)).await.map_err(|_| no_answer())?;
        answer.await.map_err(|_| no_answer())?
    }
}
