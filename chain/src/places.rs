//! One edge as a chain of processes, on disk: each process has a number, a lock that ends with it, and a folder
//! for the copy of its counts. What those that ended had counted is added up in one file, so that an edge that
//! was replaced a hundred times takes no more disk than one that was not.
//!
//! Whoever serves next finds here who still lives and what the others left, whether they ended, were
//! killed, or were replaced by a process that was killed.

use crate::keep::{json, read};
use naru_edge::recover;
use naru_home::{Lock, put_file};
use naru_model::{Counts, EdgeCounts, EdgeId, EdgeReport, Generation, InProgress, InstanceId, NodeId, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

/// The folder of a chain.
#[derive(Clone, Debug)]
pub struct Chain {
    dir: PathBuf,
    /// Who all its processes are to the server.
    pub identity: Identity,
}

/// What stays the same for as long as the chain lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The edge.
    pub edge: EdgeId,
    /// When its first process began.
    pub began: Time,
}

/// A process's place in the chain, for as long as it lives.
pub struct Place {
    /// Its number.
    pub number: u32,
    _lock: Lock,
}

/// What processes of the chain that are gone had counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Past {
    /// Whose counts are in.
    added: BTreeSet<u32>,
    /// No process had a higher number.
    highest: u32,
    instances: BTreeMap<InstanceId, EdgeCounts>,
}

impl Chain {
    /// In a folder, which is made.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn begin(dir: PathBuf, identity: Identity) -> io::Result<Chain> {
        fs::create_dir_all(&dir)?;
        put_file(&dir.join("edge.json"), &json(&identity))?;
        Ok(Chain { dir, identity })
    }

    /// The one in a folder, if there is one.
    pub fn at(dir: PathBuf) -> Option<Chain> {
        let identity = read(&dir.join("edge.json"))?;
        Some(Chain { dir, identity })
    }

    /// Takes the next place.
    ///
    /// # Errors
    /// The folder cannot be read or written.
    pub fn join(&self) -> io::Result<Place> {
        let mut number = self.numbers()?.last().copied().unwrap_or(0).max(self.past().highest);
        loop {
            number += 1;
            if let Some(lock) = Lock::attempt(&self.lock(number))? {
                return Ok(Place { number, _lock: lock });
            }
        }
    }

    /// The places that somebody took, and that are not added up.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn numbers(&self) -> io::Result<BTreeSet<u32>> {
        let names = fs::read_dir(&self.dir)?.flatten().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.to_str()?.strip_suffix(".lock")?.parse().ok()).collect())
    }

    /// Whether a place's process lives.
    pub fn is_alive(&self, number: u32) -> bool {
        // One that cannot be asked is not written off.
        self.lock(number).exists() && !matches!(Lock::holder(&self.lock(number)), Ok(None))
    }

    /// Whether any process of the chain lives.
    pub fn has_life(&self) -> bool {
        self.numbers().unwrap_or_default().into_iter().any(|number| self.is_alive(number))
    }

    /// Where the process of a place keeps a copy of its counts.
    pub fn sheets(&self, number: u32) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// What those that are gone had counted, as far as it is added up.
    pub fn past(&self) -> Past {
        read(&self.dir.join("past.json")).unwrap_or_default()
    }

    /// Adds a process that is gone to the past. What it carried to the last is lost. `known` is what it said last:
    /// it counts where the copy on disk says nothing.
    ///
    /// # Errors
    /// The past cannot be written; then nothing has changed.
    pub fn bury(&self, number: u32, known: Option<&EdgeReport>, past: &mut Past) -> io::Result<()> {
        let left = self.left(number);
        let mut all = known.map(|known| known.instances.clone()).unwrap_or_default();
        all.extend(left.map(|left| left.instances).unwrap_or_default());
        let mut sum = past.clone();
        if sum.added.insert(number) {
            sum.highest = sum.highest.max(number);
            all.iter().for_each(|(id, counts)| add_to(&mut sum.instances, id, &written_off(counts)));
        }
        let still_there = self.numbers()?;
        sum.added.retain(|one| *one == number || still_there.contains(one));
        put_file(&self.dir.join("past.json"), &json(&sum))?;
        *past = sum;
        // What stays is known to be added, and is removed with the whole.
        let _ = fs::remove_dir_all(self.sheets(number));
        let _ = fs::remove_file(self.lock(number));
        Ok(())
    }

    /// The last report of a chain of which no process lives, with all that the last of them carried.
    pub fn last(&self) -> EdgeReport {
        let Identity { node, edge, began } = self.identity.clone();
        let past = self.past();
        let mut report = EdgeReport {
            node,
            edge,
            began,
            seq: u64::MAX,
            acked: Generation(u64::MAX),
            instances: past.instances,
            faults: vec![],
            waiting: Default::default(),
        };
        let left = self.numbers().unwrap_or_default().into_iter().filter(|one| !past.added.contains(one));
        for left in left.filter_map(|number| self.left(number)) {
            report.acked = report.acked.min(left.acked);
            left.instances.iter().for_each(|(id, counts)| add_to(&mut report.instances, id, counts));
        }
        if report.acked == Generation(u64::MAX) {
            report.acked = Generation::default();
        }
        report
    }

    fn left(&self, number: u32) -> Option<EdgeReport> {
        match recover(&self.sheets(number)) {
            Ok(report) => report,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(number, %error, "the counts of an edge before cannot be read");
                None
            }
        }
    }

    fn lock(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number}.lock"))
    }
}

impl Past {
    /// By instance.
    pub fn instances(&self) -> &BTreeMap<InstanceId, EdgeCounts> {
        &self.instances
    }

    /// Nobody asks for these any more.
    pub fn forget(&mut self, gone: &[InstanceId]) {
        gone.iter().for_each(|id| drop(self.instances.remove(id)));
    }
}

/// Adds an instance's counts to those of all.
pub fn add_to(all: &mut BTreeMap<InstanceId, EdgeCounts>, id: &InstanceId, counts: &EdgeCounts) {
    all.entry(id.clone()).or_default().add(counts);
}

/// Counts of a process that is gone: what was in progress is lost.
fn written_off(counts: &EdgeCounts) -> EdgeCounts {
    let InProgress { requests, streams, .. } = counts.in_progress;
    let mut off = EdgeCounts { in_progress: InProgress::default(), oldest: None, ..counts.clone() };
    off.counts += Counts { requests_lost: requests, streams_lost: streams, ..Counts::default() };
    off
}

#[cfg(test)]
mod tests {
    use super::{Chain, Identity, Past};
    use naru_model::{Counts, EdgeCounts, EdgeReport, Generation, InProgress, InstanceId, Time};

    fn chain(dir: &tempfile::TempDir) -> Chain {
        let identity = Identity { node: "node".into(), edge: "node-7-1".into(), began: Time(7) };
        Chain::begin(dir.path().join("7"), identity).unwrap()
    }

    fn report(requests: u64, in_progress: u64) -> EdgeReport {
        let counts = EdgeCounts {
            in_progress: InProgress { requests: in_progress, ..InProgress::default() },
            counts: Counts { requests, ..Counts::default() },
            ..EdgeCounts::default()
        };
        EdgeReport {
            node: "node".into(),
            edge: "node-7-1".into(),
            began: Time(7),
            seq: 1,
            acked: Generation(3),
            instances: [(InstanceId::from("s.web.1.1"), counts)].into(),
            faults: vec![],
            waiting: Default::default(),
        }
    }

    #[test]
    fn places_are_taken_in_turn_and_never_twice() {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain(&dir);
        let (one, two) = (chain.join().unwrap(), chain.join().unwrap());
        assert_eq!((one.number, two.number), (1, 2));
        assert!(chain.is_alive(1) && chain.is_alive(2) && !chain.is_alive(3));
        drop(two);
        assert!(!chain.is_alive(2) && chain.has_life());
        let mut past = Past::default();
        chain.bury(2, None, &mut past).unwrap();
        assert_eq!(chain.join().unwrap().number, 3, "2 is not given again");
        drop(one);
        assert!(!Chain::at(chain.dir.clone()).unwrap().has_life());
    }

    #[test]
    fn what_a_process_carried_when_it_was_killed_is_lost_and_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let chain = chain(&dir);
        let mut past = Past::default();
        for number in [chain.join().unwrap().number, chain.join().unwrap().number] {
            chain.bury(number, Some(&report(5, 2)), &mut past).unwrap();
        }
        // Somebody was killed before it removed what it had added.
        chain.bury(2, Some(&report(5, 2)), &mut past).unwrap();
        let found = Chain::at(chain.dir.clone()).unwrap().last();
        let counts = &found.instances[&InstanceId::from("s.web.1.1")];
        assert_eq!((counts.counts.requests, counts.counts.requests_lost), (10, 4));
        assert!(counts.in_progress.is_idle());
        assert_eq!(found.edge.as_str(), "node-7-1");
    }
}
