//! Where a one-off that is about to be started and the person who is to have its streams find each other.
//!
//! They come by two ways: the order to start it with what the server wants of this node, and the person through the door. So
//! either may be here first, and waits for the other; not for long, since both set out at once. A one-off whose person does not
//! come is not started: nobody would see what it says, or end it.

use crate::{Attached, Failure, Size};
use naru_model::InstanceId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Both set out within moments of each other, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// Those who wait, by instance. A cheap handle.
#[derive(Clone)]
pub struct Lobby {
    waiting: Arc<Mutex<BTreeMap<InstanceId, Waiting>>>,
    patience: Duration,
}

enum Waiting {
    Person(Person),
    Start(oneshot::Sender<Person>),
}

/// Somebody who is to have an instance's streams.
pub struct Person {
    /// The size of the terminal; `None`: three pipes.
    pub terminal: Option<Size>,
    /// Its kind, as TERM says it.
    pub kind: Option<String>,
    answer: oneshot::Sender<Result<Attached, Failure>>,
}

impl Person {
    /// Says what came of the start. One who has gone meanwhile leaves the streams to nobody: what was started is hung up on.
    pub fn answer(self, came: Result<Attached, Failure>) {
        if let Err(Ok(attached)) = self.answer.send(came) {
            tokio::spawn(async move { attached.hold.hang_up().await });
        }
    }
}

impl Lobby {
    /// An empty one.
    pub fn open() -> Lobby {
        Lobby { waiting: Arc::default(), patience: PATIENCE }
    }

    /// Has the streams of an instance once it is started.
    ///
    /// # Errors
    /// It was not, or is not about to be.
    pub async fn enter(
        &self,
        id: &InstanceId,
        terminal: Option<Size>,
        kind: Option<String>,
    ) -> Result<Attached, Failure> {
        let (answer, came) = oneshot::channel();
        let person = Person { terminal, kind, answer };
        {
            let mut waiting = self.waiting();
            match waiting.remove(id) {
                Some(Waiting::Start(start)) => drop(start.send(person)),
                _ => drop(waiting.insert(id.clone(), Waiting::Person(person))),
            }
        }
        let (lobby, named) = (self.clone(), id.clone());
        let waited = tokio::spawn(async move {
            tokio::time::sleep(lobby.patience).await;
            lobby.leave(&named);
        });
        // One who was taken along is answered; one who was not is let go, and hears that by the channel's end.
        let came = came.await;
        waited.abort();
        came.unwrap_or_else(|_| {
            let error = format!("instance {id} was not started");
            Err(Failure { status: 125, error, hint: Some("`naru job runs` shows what became of it".into()) })
        })
    }

    /// Whom an instance is started for; `None`: nobody came.
    pub async fn meet(&self, id: &InstanceId) -> Option<Person> {
        let (start, person) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            match waiting.remove(id) {
                Some(Waiting::Person(person)) if !person.answer.is_closed() => return Some(person),
                _ => drop(waiting.insert(id.clone(), Waiting::Start(start))),
            }
        }
        let met = tokio::time::timeout(self.patience, person).await;
        if met.is_err() {
            self.leave(id);
        }
        met.ok()?.ok()
    }

    /// Nothing panics while it holds it.
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever still waits for an instance waits no longer.
    fn leave(&self, id: &InstanceId) {
        self.waiting().remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::Lobby;
    use crate::Failure;
    use std::time::Duration;

    fn failure(error: &str) -> Failure {
        Failure { status: 126, error: error.into(), hint: None }
    }

    async fn told(lobby: Lobby) -> String {
        lobby.enter(&"a".into(), None, None).await.err().expect("no start went well").error
    }

    #[tokio::test]
    async fn whoever_comes_first_waits_for_the_other() {
        let lobby = Lobby::open();
        let person = tokio::spawn(told(lobby.clone()));
        tokio::task::yield_now().await;
        lobby.meet(&"a".into()).await.expect("a person").answer(Err(failure("first")));
        assert_eq!(person.await.unwrap(), "first");
        let start = async { lobby.meet(&"a".into()).await.expect("a person").answer(Err(failure("second"))) };
        let (said, ()) = tokio::join!(told(lobby.clone()), start);
        assert_eq!(said, "second");
    }

    #[tokio::test]
    async fn nobody_is_waited_for_for_ever() {
        let lobby = Lobby { patience: Duration::from_millis(20), ..Lobby::open() };
        assert!(lobby.meet(&"a".into()).await.is_none());
        assert_eq!(told(lobby.clone()).await, "instance a was not started");
        let patient = Lobby { patience: Duration::from_secs(60), ..lobby.clone() };
        assert!(tokio::time::timeout(Duration::from_millis(20), told(patient)).await.is_err());
        assert!(lobby.meet(&"a".into()).await.is_none(), "one who has gone is nobody");
    }
}
