//! A lease that the agent itself holds, for work that it carries out by order of a person: a command that somebody is attached
//! to.

use crate::{Book, WorkError};
use naru_model::{InstanceId, Outcome};
use naru_supervise::lease::{Beat, DEFAULT_TTL, MAX_NAME, Refusal, Request};
use tokio::task::JoinHandle;

/// Kept up for as long as it is there. Dropped without an end, it is lost as if its holder had died.
pub struct Held {
    book: Book,
    id: InstanceId,
    lease: String,
    beating: JoinHandle<()>,
}

impl Book {
    /// Takes a lease of an instance, whose ledger is made if it has none. A name that is too long is cut.
    ///
    /// # Errors
    /// It cannot be written. Within: the instance takes no more work.
    pub async fn hold(&self, id: &InstanceId, name: &str) -> Result<Result<Held, Refusal>, WorkError> {
        self.admit(id)?;
        let Ok(request) = Request::new(cut(name), None) else { return Ok(Err(Refusal::Closed)) };
        let lease = match self.take(id, request).await? {
            Ok((lease, _)) => lease,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (book, theirs, of) = (self.clone(), lease.clone(), id.clone());
        let beating = tokio::spawn(async move {
            loop {
                tokio::time::sleep(DEFAULT_TTL.std() / 3).await;
                if book.beat(&of, &theirs, Beat::default()).is_err() {
                    return;
                }
            }
        });
        Ok(Ok(Held { book: self.clone(), id: id.clone(), lease, beating }))
    }
}

impl Held {
    /// The work has ended so.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn end(self, outcome: Outcome) -> Result<(), WorkError> {
        // One that was cut or lost meanwhile has an end already.
        self.book.end(&self.id, &self.lease, outcome).await.map(drop)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

fn cut(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;
    use crate::Book;
    use naru_model::{InstanceId, Outcome};

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(cut("exec sh"), "exec sh");
        assert_eq!(cut(&"쪽".repeat(100)).chars().count(), 66);
    }

    #[tokio::test]
    async fn work_of_a_persons_is_on_the_ledger_for_as_long_as_it_takes() {
        let dir = tempfile::tempdir().unwrap();
        let (book, id) = (Book::open(dir.path()).unwrap(), InstanceId::from("shop.web.1.1"));
        let held = book.hold(&id, "exec sh").await.unwrap().unwrap();
        assert_eq!(book.read(&id, |ledger| ledger.open()), 1);
        assert_eq!(book.close(&id).await.unwrap(), Err(1));
        held.end(Outcome::Done).await.unwrap();
        assert_eq!(book.close(&id).await.unwrap(), Ok(()));
        assert!(book.hold(&id, "exec sh").await.unwrap().is_err());
    }
}
