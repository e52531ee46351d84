//! A worker's step from one table to the next: which instances are named now, and which no more.
//!
//! An instance may move from one listener or rule to another in this step. So those that a place lets go of are looked at
//! when all places have taken theirs.

use crate::table::PlannedBackend;
use naru_books::{Entry, News};
use naru_model::InstanceId;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The step. What is let go of is told when it is dropped.
pub(crate) struct Adoption<'a> {
    entries: &'a mut BTreeMap<InstanceId, Rc<Entry>>,
    new: &'a dyn Fn(&PlannedBackend) -> Rc<Entry>,
    /// Whom to tell that a report is due.
    pub(crate) news: &'a News,
    let_go: Vec<Rc<Entry>>,
}

impl<'a> Adoption<'a> {
    /// Begins it; `new` makes the entry of an instance that is not among `entries`.
    pub(crate) fn new(
        entries: &'a mut BTreeMap<InstanceId, Rc<Entry>>,
        new: &'a dyn Fn(&PlannedBackend) -> Rc<Entry>,
        news: &'a News,
    ) -> Adoption<'a> {
        Adoption { entries, new, news, let_go: vec![] }
    }

    /// The worker's entry of an instance, which one more place names.
    pub(crate) fn take(&mut self, backend: &PlannedBackend) -> Rc<Entry> {
        let new = || (self.new)(backend);
        let entry = self.entries.entry(backend.instance.clone()).or_insert_with(new).clone();
        entry.name();
        entry
    }

    /// A place names it no more.
    pub(crate) fn let_go(&mut self, entry: Rc<Entry>) {
        entry.unname();
        self.let_go.push(entry);
    }
}

impl Drop for Adoption<'_> {
    fn drop(&mut self) {
        for entry in self.let_go.iter().filter(|entry| !entry.is_named()) {
            entry.unnamed.notify_waiters();
            entry.pool.clear();
        }
    }
}
