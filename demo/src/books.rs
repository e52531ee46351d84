//! What the client saw, and nobody told it.

use naru_model::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

/// So many failures are kept in words: a thousand tell as much as a million.
const MAX_WORDS: usize = 1_000;

/// The client's own account of its work.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By instance, as it named itself: when each request was answered as expected.
    pub requests: BTreeMap<String, Vec<Time>>,
    /// How many of them moved a large body.
    pub transfers: u64,
    /// By engine instance: when each request that it answered for an API instance came back.
    pub engine: BTreeMap<String, Vec<Time>>,
    /// How many requests failed in each way.
    pub failures: BTreeMap<Failing, u64>,
    /// The first of them, in words.
    pub failed: Vec<String>,
    /// By instance: when each websocket was closed, all of them by the client itself.
    pub streams: BTreeMap<String, Vec<Time>>,
    /// By instance: when each gRPC stream ended, all of them as the client wanted.
    pub talks: BTreeMap<String, Vec<Time>>,
    /// gRPC streams that ended otherwise.
    pub talks_cut: Vec<String>,
    /// Websockets that ended otherwise.
    pub cut: Vec<String>,
    /// Those that could not be opened: nobody was there.
    pub unopened: u64,
    /// Jobs that could not be begun: the request for it failed.
    pub unbegun: Vec<String>,
    /// Jobs begun, with the instance that took each.
    pub begun: BTreeMap<String, String>,
    /// The process of that instance, by its id.
    pub processes: BTreeMap<String, u32>,
    /// When each job reported its end.
    pub done: BTreeMap<String, Time>,
    /// Jobs whose process the client itself knows to be gone.
    pub written_off: BTreeSet<String>,
}

/// The ways in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failing {
    /// Nobody accepted the connection: the request was never sent.
    Unreached,
    /// It was sent, and no answer came, or half of one.
    BrokenOff,
    /// It was answered with anything but what was expected.
    Answered,
}

/// A request that failed.
#[derive(Debug)]
pub struct Failure {
    /// How.
    pub failing: Failing,
    /// In words.
    pub what: String,
}

impl Failure {
    /// Nobody accepted the connection.
    pub fn unreached(error: io::Error) -> Failure {
        Failure { failing: Failing::Unreached, what: format!("not reached: {error}") }
    }

    /// No whole answer came.
    pub fn broken_off(error: io::Error) -> Failure {
        Failure { failing: Failing::BrokenOff, what: format!("broken off: {error}") }
    }

    /// The wrong answer came.
    pub fn answered(what: String) -> Failure {
        Failure { failing: Failing::Answered, what }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Books {
    /// Requests answered as expected.
    pub fn answered(&self) -> u64 {
        sum(&self.requests)
    }

    /// Requests of API instances that engines answered.
    pub fn by_engines(&self) -> u64 {
        sum(&self.engine)
    }

    /// Websockets that ended as the client wanted.
    pub fn closed(&self) -> u64 {
        sum(&self.streams)
    }

    /// gRPC streams that ended as the client wanted.
    pub fn talked(&self) -> u64 {
        sum(&self.talks)
    }

    /// Requests that failed, in any way.
    pub fn failures(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Requests that failed in one way.
    pub fn failing(&self, how: Failing) -> u64 {
        self.failures.get(&how).copied().unwrap_or(0)
    }

    /// Jobs that have not reported their end, and might yet.
    pub fn missing(&self) -> Vec<&String> {
        let is_open = |job: &&String| !self.done.contains_key(*job) && !self.written_off.contains(*job);
        self.begun.keys().filter(is_open).collect()
    }

    /// When jobs ended, by the instance that had them.
    pub fn jobs(&self) -> BTreeMap<String, Vec<Time>> {
        let mut jobs: BTreeMap<String, Vec<Time>> = BTreeMap::new();
        for (job, at) in &self.done {
            if let Some(instance) = self.begun.get(job) {
                jobs.entry(instance.clone()).or_default().push(*at);
            }
        }
        jobs
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        *self.failures.entry(failure.failing).or_default() += 1;
        if self.failed.len() < MAX_WORDS {
            self.failed.push(failure.what);
        }
    }
}

fn sum(times: &BTreeMap<String, Vec<Time>>) -> u64 {
    times.values().map(|times| times.len() as u64).sum()
}
