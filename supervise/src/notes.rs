//! What is to be said of an instance: at most one sentence per subject, the weightiest shown.

use std::collections::BTreeMap;

/// What a sentence is about, weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Order,
    Stop,
    Quiet,
    Busy,
    Fetch,
    Start,
    Health,
    Limits,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Notes(BTreeMap<Subject, String>);

impl Notes {
    pub(super) fn say(&mut self, subject: Subject, sentence: impl Into<String>) {
        self.0.insert(subject, sentence.into());
    }

    pub(super) fn drop(&mut self, subject: Subject) {
        self.0.remove(&subject);
    }

    pub(super) fn shown(&self) -> Option<String> {
        self.0.values().next().cloned()
    }
}
