//! What the edge that serves knows of those that drain: who they are, what each said last, and what those that
//! are gone left. The report to the server is the sum.
//!
//! Each part of the sum is a report that its process made at one moment, with the table it chose by. What the server
//! concludes from a report (no one chooses an instance any more, and nothing is in progress there) stays true of each
//! part, so the parts need not be of the same moment.

use crate::places::{Chain, Past, add_to};
use crate::seen::{self, Gone};
use crate::wire::{Carried, Told};
use naru_model::{DrainingEdge, EdgeReport, EdgeSnapshot, InstanceId, RouteTable, add_waiting};
use std::collections::BTreeMap;
use tokio::sync::mpsc::UnboundedSender;

/// Old edges that drain side by side; the next hand-over is refused. Each is a process of its own, of some
/// MB: more of them say that something never ends, and somebody should look.
pub const DRAINING_MAX: usize = 64;

/// The other processes of the chain.
pub struct Links {
    chain: Chain,
    own: u32,
    living: BTreeMap<u32, Living>,
    past: Past,
    gone: Gone,
    books: Books,
}

/// Whether this process adds up what others left.
#[derive(PartialEq, Eq)]
enum Books {
    Open,
    Closed,
}

#[derive(Default)]
struct Living {
    pid: u32,
    said: Option<Carried>,
    seen: Option<Box<EdgeSnapshot>>,
    /// While it is connected.
    to: Option<UnboundedSender<Told>>,
}

/// Of which reports a sum was made, by link.
pub type Parts = BTreeMap<u32, u64>;

impl Links {
    /// As found on disk.
    pub fn find(chain: Chain, own: u32) -> Links {
        let past = chain.past();
        let mut links =
            Links { chain, own, living: BTreeMap::new(), past, gone: Gone::default(), books: Books::Open };
        links.look();
        links
    }

    /// Looks who lives: those that appeared since, and those that are gone. Whether anything changed.
    pub fn look(&mut self) -> Changed {
        let mut changed = Changed::No;
        if self.books == Books::Closed {
            return changed;
        }
        let there = self.chain.numbers().unwrap_or_default();
        for number in there.into_iter().filter(|number| *number != self.own) {
            if self.chain.is_alive(number) {
                self.living.entry(number).or_default();
                continue;
            }
            if self.living.get(&number).is_some_and(|living| living.to.is_some()) {
                // What it said last may not be read yet; the end of its connection comes after that.
                continue;
            }
            let known = self.living.get(&number).and_then(|living| Some(&living.said.as_ref()?.report));
            match self.chain.bury(number, known, &mut self.past) {
                Ok(()) => {
                    let seen = self.living.remove(&number).and_then(|living| living.seen);
                    seen.iter().for_each(|seen| self.gone.add(seen));
                }
                Err(error) => tracing::error!(number, %error, "an edge that is gone stays listed"),
            }
            changed = Changed::Yes;
        }
        changed
    }

    /// A successor adds up what others leave from now on.
    pub fn close(&mut self) {
        self.books = Books::Closed;
    }

    /// It does not, after all.
    pub fn open(&mut self) {
        self.books = Books::Open;
    }

    /// One that drains has called. `None`: there is none of that number.
    pub fn connect(&mut self, number: u32, pid: u32, to: UnboundedSender<Told>) -> Option<()> {
        if number == self.own || !self.chain.is_alive(number) {
            return None;
        }
        let living = self.living.entry(number).or_default();
        living.pid = pid;
        living.to = Some(to);
        Some(())
    }

    /// One that drains has told.
    pub fn heard(&mut self, number: u32, mut said: Carried) {
        if let Some(living) = self.living.get_mut(&number) {
            living.seen = said.seen.take().or(living.seen.take());
            living.said = Some(said);
        }
    }

    /// Its connection has ended, since it is gone or for another reason.
    pub fn disconnect(&mut self, number: u32) {
        if let Some(living) = self.living.get_mut(&number) {
            living.to = None;
        }
        self.look();
    }

    /// What all together report. `None` while one that lives has not been heard of: what it carries would
    /// seem to be gone.
    pub fn sum(&self, own: EdgeReport) -> Option<(EdgeReport, Parts)> {
        let mut sum = own;
        let mut parts = Parts::new();
        for (number, living) in &self.living {
            let said = &living.said.as_ref()?.report;
            sum.acked = sum.acked.min(said.acked);
            said.instances.iter().for_each(|(id, counts)| add_to(&mut sum.instances, id, counts));
            add_waiting(&mut sum.waiting, &said.waiting);
            parts.insert(*number, said.seq);
        }
        self.past.instances().iter().for_each(|(id, counts)| add_to(&mut sum.instances, id, counts));
        Some((sum, parts))
    }

    /// A sum was taken, and the server has no record of these any more.
    pub fn confirm(&mut self, parts: &Parts, gone: &[InstanceId]) {
        if gone.is_empty() {
            return;
        }
        self.past.forget(gone);
        for (number, seq) in parts {
            self.tell(*number, Told::Gone(*seq, gone.to_vec()));
        }
    }

    /// Tells all that drain.
    pub fn tell_all(&self, told: &Told) {
        self.living.keys().for_each(|number| self.tell(*number, told.clone()));
    }

    fn tell(&self, number: u32, told: Told) {
        if let Some(to) = self.living.get(&number).and_then(|living| living.to.as_ref()) {
            // One that is gone shows elsewhere.
            let _ = to.send(told);
        }
    }

    /// Adds to what is seen of the one that serves what was seen of the others. `None` while one that lives has not
    /// been heard of: counts would seem to go back.
    pub fn see(&self, own: &EdgeSnapshot) -> Option<EdgeSnapshot> {
        if self.living.values().any(|living| living.said.is_none()) {
            return None;
        }
        let mut sum = self.gone.and(own.clone());
        self.living
            .values()
            .filter_map(|living| living.seen.as_ref())
            .for_each(|seen| seen::join(&mut sum, seen));
        sum.draining = self.draining();
        Some(sum)
    }

    /// What those that are gone had counted, as it was seen.
    pub fn gone(&self) -> Gone {
        self.gone.clone()
    }

    /// What a new table does not name any more is not shown any more.
    pub fn table_changed(&mut self, table: &RouteTable) {
        self.gone.keep_to(table);
    }

    /// Those that drain, oldest first.
    pub fn draining(&self) -> Vec<DrainingEdge> {
        let one = |living: &Living| DrainingEdge {
            pid: living.pid,
            connections: living.said.as_ref().map_or(0, |said| said.connections),
        };
        self.living.values().map(one).collect()
    }

    /// Whether nobody drains.
    pub fn is_empty(&self) -> bool {
        self.living.is_empty()
    }
}

/// Whether there is something to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Yes,
    No,
}
