//! The work ledger of one instance: which jobs hold a lease, and what became of those that did.
//!
//! A pure machine. Each change is an [`Entry`], which the caller writes down before it tells anybody of the
//! change; [`Ledger::replay`] of the entries gives the same ledger again. A heartbeat is no entry: after a
//! restart every open lease has its whole `ttl` again, because the absence of the agent must not end a job.
//!
//! The promise rests on [`Ledger::close`]: in one step it sees that no lease is open and lets no new one in.

mod death;

pub use death::{CUT_BY_ORDER, Death, TOLD_NAME};

use naru_model::{Counts, Durations, InstanceId, JobRecord, Outcome, Span, Time, plural};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// More open leases than this in one instance are a leak in the workload.
pub const MAX_OPEN: usize = 10_000;
/// How many ended leases are remembered, to say what became of them, and how many that ended badly.
pub const MAX_ENDED: usize = 1_000;
/// Bytes of a lease's name: it is shown in one line of a terminal.
pub const MAX_NAME: usize = 200;
/// Bytes of a lease's note: it is shown in a few lines.
pub const MAX_NOTE: usize = 1_000;
/// The `ttl` where the workload gives none.
pub const DEFAULT_TTL: Span = Span::secs(30);
/// The shortest `ttl`: a heartbeat more often than every third of a second would be load, not information.
pub const MIN_TTL: Span = Span::secs(1);
/// The longest `ttl`: for so long a dead job may hold up a retirement.
pub const MAX_TTL: Span = Span::mins(60);

/// What a workload asks for when it takes a lease; valid by construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    name: String,
    ttl: Span,
    key: Option<String>,
}

impl Request {
    /// Checks the name and the `ttl` (`None`: [`DEFAULT_TTL`]).
    pub fn new(name: &str, ttl: Option<Span>) -> Result<Request, Invalid> {
        let ttl = ttl.unwrap_or(DEFAULT_TTL);
        match () {
            () if name.trim().is_empty() => Err(Invalid::NoName),
            () if name.len() > MAX_NAME => Err(Invalid::LongName(name.len())),
            () if ttl < MIN_TTL || ttl > MAX_TTL => Err(Invalid::Ttl(ttl)),
            () => Ok(Request { name: name.into(), ttl, key: None }),
        }
    }

    /// Makes the request one that may be repeated: while a lease with this key is open, it is given again.
    /// Whoever heard no answer can so find out without a second lease.
    pub fn keyed(self, key: &str) -> Result<Request, Invalid> {
        let fits = !key.is_empty() && key.len() <= MAX_NAME;
        if fits { Ok(Request { key: Some(key.into()), ..self }) } else { Err(Invalid::Key(key.len())) }
    }

    /// Without a heartbeat for so long, the job is lost.
    pub fn ttl(&self) -> Span {
        self.ttl
    }
}

/// What a heartbeat tells beside that the job lives; valid by construction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beat {
    progress: Option<f64>,
    note: Option<String>,
}

impl Beat {
    /// Checks the progress (0 to 1) and the note. What is `None` stays as it was.
    pub fn new(progress: Option<f64>, note: Option<String>) -> Result<Beat, Invalid> {
        match (&progress, &note) {
            (Some(share), _) if !(0.0..=1.0).contains(share) => Err(Invalid::Progress(*share)),
            (_, Some(note)) if note.len() > MAX_NOTE => Err(Invalid::LongNote(note.len())),
            _ => Ok(Beat { progress, note }),
        }
    }
}

/// Why what a workload sent cannot be taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Invalid {
    /// A lease needs a name.
    NoName,
    /// The name has so many bytes.
    LongName(usize),
    /// The note has so many bytes.
    LongNote(usize),
    /// The `ttl` is out of range.
    Ttl(Span),
    /// The key is empty or too long: so many bytes.
    Key(usize),
    /// The progress is out of range.
    Progress(f64),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::NoName => write!(f, "the lease has no name"),
            Invalid::LongName(len) => write!(f, "the name has {len} bytes, and {MAX_NAME} are the most"),
            Invalid::LongNote(len) => write!(f, "the note has {len} bytes, and {MAX_NOTE} are the most"),
            Invalid::Key(len) => write!(f, "the key has {len} bytes, and must have 1 to {MAX_NAME}"),
            Invalid::Ttl(ttl) => write!(f, "the ttl is {ttl}, and must be from {MIN_TTL} to {MAX_TTL}"),
            Invalid::Progress(share) => write!(f, "the progress is {share}, and must be from 0 to 1"),
        }
    }
}

/// Why a lease is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The instance is being stopped.
    Closed,
    /// [`MAX_OPEN`] leases are open.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Closed => write!(f, "the instance is being stopped and takes no new work"),
            Refusal::Full => write!(f, "the instance has {MAX_OPEN} leases open, which is the most"),
        }
    }
}

/// Why a lease cannot be changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Gone {
    /// No lease of this instance has that id, or it ended so long ago that it is forgotten.
    Unknown,
    /// It has ended: what became of it.
    Ended(Box<Ending>),
}

/// What became of a lease.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// The lease's id.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Time,
    /// Why, where it was lost or cut.
    pub cause: Option<String>,
}

/// A change of the ledger, to be written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A lease was taken.
    Took {
        /// Its job.
        job: JobRecord,
        /// Repetitions of the request that have this key are given the same lease.
        key: Option<String>,
    },
    /// A lease ended.
    Ended(Ending),
    /// A process ended, and jobs without a lease with it.
    Died {
        /// How, and how many.
        death: Death,
        /// When.
        at: Time,
    },
    /// The instance was told to take no new work; a lease is still given, since the work may have begun.
    Quiet,
    /// No lease is given any more.
    Closed,
}

/// Whether new leases are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Yes.
    #[default]
    Open,
    /// Yes, and the workload is asked to take no new work.
    Quiet,
    /// No.
    Closed,
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    instance: InstanceId,
    gate: Gate,
    open: BTreeMap<String, Lease>,
    ended: VecDeque<Ending>,
    ended_badly: VecDeque<JobRecord>,
    counts: Counts,
    durations: Durations,
    /// The last start of which jobs without a lease were counted.
    #[serde(default)]
    died: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lease {
    job: JobRecord,
    /// Its `ttl` runs from here: the last heartbeat, or the start of the agent if that was later.
    clock: Time,
    key: Option<String>,
}

/// A lease that was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A new one.
    New(Entry),
    /// The one that an earlier request with the same key was given: its id.
    Again(String),
}

impl Ledger {
    /// An empty ledger.
    pub fn new(instance: InstanceId) -> Ledger {
        Ledger {
            instance,
            gate: Gate::Open,
            open: BTreeMap::new(),
            ended: VecDeque::new(),
            ended_badly: VecDeque::new(),
            counts: Counts::default(),
            durations: Durations::default(),
            died: 0,
        }
    }

    /// Gives a lease. `number` must be new on this node.
    pub fn take(&mut self, now: Time, number: u64, request: Request) -> Result<Given, Refusal> {
        let same = |lease: &&Lease| request.key.is_some() && lease.key == request.key;
        if let Some(lease) = self.open.values().find(same) {
            return Ok(Given::Again(lease.job.id.clone()));
        }
        match () {
            () if self.gate == Gate::Closed => return Err(Refusal::Closed),
            () if self.open.len() >= MAX_OPEN => return Err(Refusal::Full),
            () => {}
        }
        let job = JobRecord {
            id: number.to_string(),
            name: request.name,
            instance: self.instance.clone(),
            began: now,
            heartbeat: now,
            ttl: request.ttl,
            progress: None,
            note: None,
            outcome: None,
            ended: None,
            cause: None,
        };
        Ok(Given::New(self.enter(Entry::Took { job, key: request.key })))
    }

    /// The job lives.
    pub fn beat(&mut self, now: Time, id: &str, beat: Beat) -> Result<(), Gone> {
        let Some(lease) = self.open.get_mut(id) else { return Err(self.gone(id)) };
        lease.clock = now;
        lease.job.heartbeat = now;
        lease.job.progress = beat.progress.or(lease.job.progress);
        lease.job.note = beat.note.or(lease.job.note.take());
        Ok(())
    }

    /// The workload says that the job has ended: done, or failed.
    pub fn end(&mut self, now: Time, id: &str, outcome: Outcome) -> Result<Entry, Gone> {
        if !self.open.contains_key(id) {
            return Err(self.gone(id));
        }
        Ok(self.enter(Entry::Ended(Ending { id: id.into(), outcome, at: now, cause: None })))
    }

    /// Closes as lost every lease whose heartbeat has stopped for its `ttl`.
    pub fn expire(&mut self, now: Time) -> Vec<Entry> {
        let due = |lease: &&Lease| lease.clock + lease.job.ttl <= now;
        let ends = self.open.values().filter(due).map(|lease| Ending {
            id: lease.job.id.clone(),
            outcome: Outcome::Lost,
            at: now,
            cause: Some(format!("no heartbeat for {}", lease.job.ttl)),
        });
        self.end_all(ends.collect())
    }

    /// Closes every lease as lost, because the process that held it is gone, and counts and lists the jobs
    /// without a lease that ended with it, once for each start.
    pub fn lose(&mut self, now: Time, death: &Death) -> Vec<Entry> {
        let mut entries = self.end_open(now, Outcome::Lost, &death.cause);
        if death.jobs > 0 && death.run > self.died {
            entries.push(self.enter(Entry::Died { death: death.clone(), at: now }));
        }
        entries
    }

    /// Closes the ledger and every lease in it, by order.
    pub fn cut(&mut self, now: Time, cause: &str) -> Vec<Entry> {
        let mut entries = self.end_open(now, Outcome::Cut, cause);
        entries.extend(self.turn(Gate::Closed));
        entries
    }

    /// The workload is asked to take no new work. Nothing to write if it already was.
    pub fn quiet(&mut self) -> Option<Entry> {
        self.turn(Gate::Quiet)
    }

    /// No lease is given any more, if none is open; else the number of those that are.
    pub fn close(&mut self) -> Result<Option<Entry>, u64> {
        if self.open.is_empty() { Ok(self.turn(Gate::Closed)) } else { Err(self.open()) }
    }

    /// Applies an entry that was written down earlier. What it names and the ledger does not know is skipped.
    pub fn replay(&mut self, entry: &Entry) {
        match entry {
            Entry::Took { job, key } => {
                let lease = Lease { clock: job.heartbeat, job: job.clone(), key: key.clone() };
                self.open.insert(job.id.clone(), lease);
            }
            Entry::Ended(ending) => self.record_end(ending),
            Entry::Died { death, at } => self.record_death(death, *at),
            Entry::Quiet => self.gate = self.gate.max(Gate::Quiet),
            Entry::Closed => self.gate = Gate::Closed,
        }
    }

    /// Gives every open lease its whole `ttl` from now on: nobody could hear its heartbeat until now.
    pub fn resume(&mut self, now: Time) {
        self.open.values_mut().for_each(|lease| lease.clock = now);
    }

    /// When the next lease expires if its heartbeat does not come.
    pub fn wake(&self) -> Option<Time> {
        self.open.values().map(|lease| lease.clock + lease.job.ttl).min()
    }

    /// Whether new leases are given.
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Whose ledger it is.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// How many leases are open.
    pub fn open(&self) -> u64 {
        self.open.len() as u64
    }

    /// The open leases, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> {
        self.open.values().map(|lease| &lease.job)
    }

    /// The `most` open leases that were taken first, oldest first.
    pub fn oldest_jobs(&self, most: usize) -> Vec<&JobRecord> {
        let mut jobs: Vec<_> = self.jobs().collect();
        jobs.sort_by_key(|job| job.began);
        jobs.truncate(most);
        jobs
    }

    /// When the oldest open lease was taken.
    pub fn oldest(&self) -> Option<Time> {
        self.jobs().map(|job| job.began).min()
    }

    /// When a lease ended last.
    pub fn last_ended(&self) -> Option<Time> {
        self.ended.back().map(|ending| ending.at)
    }

    /// What became of leases, over the life of the instance.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How long the jobs took that ended as done or failed.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// Those lost or cut, oldest first; the last [`MAX_ENDED`].
    pub fn ended_badly(&self) -> impl Iterator<Item = &JobRecord> {
        self.ended_badly.iter()
    }

    fn gone(&self, id: &str) -> Gone {
        let found = self.ended.iter().rev().find(|ending| ending.id == id);
        found.map_or(Gone::Unknown, |ending| Gone::Ended(Box::new(ending.clone())))
    }

    fn enter(&mut self, entry: Entry) -> Entry {
        self.replay(&entry);
        entry
    }

    fn turn(&mut self, gate: Gate) -> Option<Entry> {
        (self.gate < gate)
            .then(|| self.enter(if gate == Gate::Closed { Entry::Closed } else { Entry::Quiet }))
    }

    fn end_open(&mut self, now: Time, outcome: Outcome, cause: &str) -> Vec<Entry> {
        let end = |id: &String| Ending { id: id.clone(), outcome, at: now, cause: Some(cause.into()) };
        let ends = self.open.keys().map(end).collect();
        self.end_all(ends)
    }

    fn end_all(&mut self, ends: Vec<Ending>) -> Vec<Entry> {
        ends.into_iter().map(|ending| self.enter(Entry::Ended(ending))).collect()
    }

    fn record_end(&mut self, ending: &Ending) {
        let Some(Lease { mut job, .. }) = self.open.remove(&ending.id) else { return };
        job.outcome = Some(ending.outcome);
        job.ended = Some(ending.at);
        job.cause = ending.cause.clone();
        match ending.outcome {
            Outcome::Done | Outcome::Failed => {
                self.counts.jobs += 1;
                self.counts.jobs_failed += u64::from(ending.outcome == Outcome::Failed);
                self.durations.record(ending.at.since(job.began));
            }
            Outcome::Lost => self.counts.jobs_lost += 1,
            Outcome::Cut => self.counts.cut += 1,
        }
        if matches!(ending.outcome, Outcome::Lost | Outcome::Cut) {
            push_bounded(&mut self.ended_badly, job);
        }
        push_bounded(&mut self.ended, ending.clone());
    }

    fn record_death(&mut self, death: &Death, at: Time) {
        if death.run <= self.died {
            return;
        }
        self.died = death.run;
        match death.outcome {
            Outcome::Cut => self.counts.cut += death.jobs,
            _ => self.counts.jobs_lost += death.jobs,
        }
        let records = death.records(&self.instance, at);
        records.for_each(|job| push_bounded(&mut self.ended_badly, job));
    }
}

/// What a workload is told of a lease that it named and that is no more.
impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Unknown => write!(f, "no such lease"),
            Gone::Ended(ending) => {
                write!(f, "the lease has ended: {}", ending.outcome)?;
                ending.cause.iter().try_for_each(|cause| write!(f, ", {cause}"))
            }
        }
    }
}

/// `2 jobs are in progress`.
pub fn in_progress(jobs: u64) -> String {
    format!("{} {} in progress", plural(jobs, "job"), if jobs == 1 { "is" } else { "are" })
}

fn push_bounded<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= MAX_ENDED {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests;
