//! Load from outside on the shop, and the client's own books.
//!
//! Requests never rest for longer than a few milliseconds, on connections that are used for a while and then made
//! anew. A request has failed where it is not answered as expected, whatever the cause; nothing is sent a second time, but for a
//! job that could not be queued: its client wants it done, and the job's name keeps it from being queued twice.

use crate::dice::Dice;
use hyper::{Method, StatusCode};
use naru_demo::call::{Connection, call};
use naru_shop::shop::Ports;
use naru_shop::tier::{Books as Told, Job};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests at once at each of the two addresses.
const HANDS: u32 = 6;
/// Requests on one connection.
const KEPT: u32 = 20;
/// Between two requests of one hand.
const REST: Duration = Duration::from_millis(10);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two jobs.
const EACH_JOB: Duration = Duration::from_secs(1);
/// How long jobs take, in ms.
const JOB_MS: std::ops::Range<u64> = 3_000..20_000;
/// A job that should have ended so long ago has not.
const OVERDUE_MS: i32 = 10_000;
/// So many failures are kept in words.
const WORDS: usize = 200;

/// What the client saw.
#[derive(Debug, Default)]
pub struct Books {
    /// Requests answered as expected.
    pub answered: u64,
    /// And those that were not.
    pub failures: u64,
    /// The first of them, in words.
    pub failed: Vec<String>,
    /// Jobs that were queued.
    pub jobs: Vec<String>,
    /// The longest time in which nothing was answered, at either address.
    pub gap: Duration,
}

/// What became of everything in the end.
#[derive(Debug)]
pub struct End {
    /// What the client saw.
    pub books: Books,
    /// Jobs that were begun and never finished, or are not known at all.
    pub lost: Vec<String>,
    /// How often the migration ran.
    pub migrations: u64,
}

/// A client at work.
pub struct Client {
    ports: Ports,
    books: Arc<Mutex<Books>>,
    ends: watch::Sender<bool>,
    hands: JoinSet<()>,
}

impl Client {
    /// Begins.
    pub fn start(ports: Ports) -> Client {
        let books = Arc::new(Mutex::new(Books::default()));
        let (ends, _) = watch::channel(false);
        let mut client = Client { ports, books, ends, hands: JoinSet::new() };
        let addresses = [Address::new(ports.web, Kind::Page), Address::new(ports.api, Kind::Api)];
        for address in addresses {
            for n in 0..HANDS {
                let hand = Hand {
                    address: address.clone(),
                    books: client.books.clone(),
                    ends: client.ends.subscribe(),
                };
                client.hands.spawn(hand.ask(u64::from(n)));
            }
        }
        let queue = queue(ports.api, client.books.clone(), client.ends.subscribe());
        client.hands.spawn(queue);
        client
    }

    /// Where it is, in one line.
    pub fn state(&self) -> String {
        let books = locked(&self.books);
        format!("{} requests, {} failed, {} jobs", books.answered, books.failures, books.jobs.len())
    }

    /// Ends the load, waits until every job has ended or is overdue, and closes the books.
    ///
    /// # Errors
    /// The API does not say what became of the jobs.
    pub async fn end(mut self) -> io::Result<End> {
        self.ends.send_replace(true);
        while self.hands.join_next().await.is_some() {}
        let told = loop {
            let told = told(self.ports.api).await?;
            if told.jobs.iter().all(|job| job.ended || (job.begun && job.over_ms > OVERDUE_MS)) {
                break told;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let books = std::mem::take(&mut *locked(&self.books));
        let ended = |name: &String| told.jobs.iter().any(|job: &Job| job.ended && job.name == *name);
        let lost = books.jobs.iter().filter(|name| !ended(name)).cloned().collect();
        Ok(End { books, lost, migrations: told.migrations.max(0) as u64 })
    }
}

async fn told(port: u16) -> io::Result<Told> {
    let answer = call(Method::GET, &format!("http://127.0.0.1:{port}/books"), String::new()).await?;
    if answer.status() != StatusCode::OK {
        return Err(io::Error::other(format!("the API's books: {}", answer.status())));
    }
    Ok(serde_json::from_slice(answer.body())?)
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy)]
enum Kind {
    Page,
    Api,
}

/// One of the two, and when it answered last.
#[derive(Clone)]
struct Address {
    authority: String,
    kind: Kind,
    last: Arc<Mutex<Instant>>,
}

impl Address {
    fn new(port: u16, kind: Kind) -> Address {
        Address { authority: format!("127.0.0.1:{port}"), kind, last: Arc::new(Mutex::new(Instant::now())) }
    }
}

/// One who asks again and again.
struct Hand {
    address: Address,
    books: Arc<Mutex<Books>>,
    ends: watch::Receiver<bool>,
}

impl Hand {
    async fn ask(self, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut connection: Option<(Connection, u32)> = None;
        while !*self.ends.borrow() {
            let kept = connection.take().filter(|(kept, used)| *used < KEPT && !kept.is_closed());
            let asked = tokio::time::timeout(PATIENCE, self.once(kept, &mut dice)).await;
            match asked.unwrap_or_else(|_| Err("no answer within 10 s".into())) {
                Ok(kept) => {
                    connection = Some(kept);
                    self.answered();
                }
                Err(why) => self.failed(why),
            }
            tokio::time::sleep(REST).await;
        }
    }

    async fn once(
        &self,
        kept: Option<(Connection, u32)>,
        dice: &mut Dice,
    ) -> Result<(Connection, u32), String> {
        let (mut connection, used) = match kept {
            Some(kept) => kept,
            None => {
                let opened = Connection::open(&self.address.authority).await;
                (opened.map_err(|error| format!("not reached: {error}"))?, 0)
            }
        };
        let id = dice.below(1_000);
        let (method, path, status, says) = match self.address.kind {
            Kind::Page => (Method::GET, "/".to_owned(), StatusCode::OK, "<h1>shop</h1>".to_owned()),
            Kind::Api if id.is_multiple_of(5) => {
                (Method::POST, "/orders".to_owned(), StatusCode::CREATED, String::new())
            }
            Kind::Api => (Method::GET, format!("/items/{id}"), StatusCode::OK, format!("item {id} by ")),
        };
        let answer = connection.send(method.clone(), &path, String::new()).await;
        let answer = answer.map_err(|error| format!("{method} {path}: broken off: {error}"))?;
        let body = String::from_utf8_lossy(answer.body());
        if answer.status() != status || !body.contains(&says) {
            let begin: String = body.chars().take(80).collect();
            return Err(format!("{method} {path}: {}: {begin}", answer.status()));
        }
        Ok((connection, used + 1))
    }

    fn answered(&self) {
        let now = Instant::now();
        let gap = now - std::mem::replace(&mut *locked(&self.address.last), now);
        let mut books = locked(&self.books);
        books.answered += 1;
        books.gap = books.gap.max(gap);
    }

    fn failed(&self, why: String) {
        let mut books = locked(&self.books);
        books.failures += 1;
        if books.failed.len() < WORDS {
            books.failed.push(why);
        }
    }
}

/// Queues a job each second, until the load ends.
async fn queue(port: u16, books: Arc<Mutex<Books>>, ends: watch::Receiver<bool>) {
    let mut dice = Dice::new(7);
    let mut turn = tokio::time::interval(EACH_JOB);
    for n in 0_u32.. {
        turn.tick().await;
        if *ends.borrow() {
            return;
        }
        let ms = JOB_MS.start + dice.below(JOB_MS.end - JOB_MS.start);
        let name = format!("job-{n:05}");
        let url = format!("http://127.0.0.1:{port}/jobs?name={name}&ms={ms}");
        loop {
            let asked = tokio::time::timeout(PATIENCE, call(Method::POST, &url, String::new())).await;
            match asked {
                Ok(Ok(answer)) if answer.status() == StatusCode::ACCEPTED => break,
                other => {
                    let mut books = locked(&books);
                    books.failures += 1;
                    if books.failed.len() < WORDS {
                        books.failed.push(format!(
                            "POST /jobs: {:?}",
                            other.map(|done| done.map(|told| told.status()))
                        ));
                    }
                }
            }
            tokio::time::sleep(REST * 10).await;
        }
        locked(&books).jobs.push(name);
    }
}
