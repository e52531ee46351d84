//! What the client saw, and nobody told it.

use std::collections::{BTreeMap, BTreeSet};

/// The client's own account of its work.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By instance, as it named itself.
    pub requests: BTreeMap<String, u64>,
    /// By engine instance: requests that it answered for an API instance.
    pub engine: BTreeMap<String, u64>,
    /// Requests that were refused, broken off, or answered with anything but what was expected.
    pub failed: Vec<String>,
    /// By instance: websockets that the client itself closed.
    pub streams: BTreeMap<String, u64>,
    /// Websockets that ended otherwise.
    pub cut: Vec<String>,
    /// Jobs begun, with the instance that took each.
    pub begun: BTreeMap<String, String>,
    /// Jobs that reported their end.
    pub done: BTreeSet<String>,
}

impl Books {
    /// Requests answered as expected.
    pub fn answered(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Websockets that ended as the client wanted.
    pub fn closed(&self) -> u64 {
        self.streams.values().sum()
    }

    /// Jobs that have not reported their end.
    pub fn missing(&self) -> Vec<&String> {
        self.begun.keys().filter(|job| !self.done.contains(*job)).collect()
    }

    pub(crate) fn fail(&mut self, what: String) {
        // A thousand tell as much as a million.
        if self.failed.len() < 1_000 {
            self.failed.push(what);
        }
    }
}
