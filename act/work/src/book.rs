//! The ledgers of a node: in memory for the questions, on disk for the next agent.
//!
//! One file per instance, of JSON lines: first its token and its whole ledger, then each entry since.
//! A file that has grown long is written anew. A line that cannot be read (the machine lost power while it was
//! written, so nobody was told of it) is skipped.

use crate::WorkError;
use crate::clock::now;
use crate::error::OnFile;
use crate::file::{Durable, make_folder, token, write_whole};
use crate::journal::{Change, Journal, Written};
use crate::port::free_port;
use naru_model::{InstanceId, Outcome, Time};
use naru_supervise::lease::{Beat, CUT_BY_ORDER, Death, Entry, Gate, Given, Gone, Ledger, Refusal, Request};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// A file is written anew when it has so many entries beyond its first line.
const LONG: usize = 4_096;
const SUFFIX: &str = "ledger";

/// The ledgers of a node. A cheap handle: clones share one book.
#[derive(Clone)]
pub struct Book {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    port: u16,
    journal: Journal,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
    beats: watch::Sender<u64>,
}

#[derive(Default)]
struct Inner {
    accounts: BTreeMap<InstanceId, Account>,
    tokens: BTreeMap<String, InstanceId>,
    number: u64,
}

#[derive(Serialize, Deserialize)]
struct Account {
    token: String,
    ledger: Ledger,
    #[serde(skip)]
    entries: usize,
    #[serde(skip)]
    touched: bool,
}

impl Book {
    /// Opens the book in `dir`, made if missing; every open lease has its whole `ttl` from now on.
    ///
    /// # Errors
    /// The folder cannot be read or written, or a ledger in it makes no sense.
    pub fn open(dir: &Path) -> Result<Book, WorkError> {
        make_folder(dir)?;
        // The clock's milliseconds: greater than any number that an earlier life can have given.
        let mut inner = Inner { number: now().0, ..Inner::default() };
        for entry in std::fs::read_dir(dir).on_file("reading", dir)? {
            let path = entry.on_file("reading", dir)?.path();
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                inner.load(&path)?;
            }
        }
        let port = settle_port(dir, &inner)?;
        let shared = Shared {
            dir: dir.to_owned(),
            port,
            journal: Journal::start()?,
            inner: Mutex::new(inner),
            changed: watch::Sender::new(0),
            beats: watch::Sender::new(0),
        };
        Ok(Book { shared: Arc::new(shared) })
    }

    /// The port of 127.0.0.1 that belongs to this book for as long as its folder exists.
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// Makes the ledger of an instance unless it has one, and returns its `NARU_WORK_URL`.
    ///
    /// Not synced: the first lease is, and a machine that goes down takes the instance with it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn admit(&self, id: &InstanceId) -> Result<String, WorkError> {
        self.admit_at(id, Ipv4Addr::LOCALHOST)
    }

    /// The same, for an instance that calls the API at another address of this host ([`crate::serve_at`]).
    ///
    /// # Errors
    /// It cannot be written.
    pub fn admit_at(&self, id: &InstanceId, address: Ipv4Addr) -> Result<String, WorkError> {
        let mut inner = self.inner();
        let token = match inner.accounts.get(id) {
            Some(account) => account.token.clone(),
            None => {
                let token = token()?;
                let ledger = Ledger::new(id.clone());
                let account = Account { token: token.clone(), ledger, entries: 0, touched: true };
                write_whole(&self.shared.file(id), &line(&account), Durable::No)?;
                inner.tokens.insert(token.clone(), id.clone());
                inner.accounts.insert(id.clone(), account);
                token
            }
        };
        Ok(format!("http://{address}:{}/work/{token}", self.shared.port))
    }

    /// Looks at a ledger; an empty one where the instance has none.
    pub fn read<T>(&self, id: &InstanceId, look: impl FnOnce(&Ledger) -> T) -> T {
        match self.inner().accounts.get(id) {
            Some(account) => look(&account.ledger),
            None => look(&Ledger::new(id.clone())),
        }
    }

    /// Which instances have a ledger.
    pub fn instances(&self) -> Vec<InstanceId> {
        self.inner().accounts.keys().cloned().collect()
    }

    /// From now on the workload is told to take no new work.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn quiet(&self, id: &InstanceId) -> Result<(), WorkError> {
        self.change(id, |ledger, _| ledger.quiet().into_iter().collect()).await
    }

    /// No lease is given any more, if none is open; else how many are.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn close(&self, id: &InstanceId) -> Result<Result<(), u64>, WorkError> {
        let mut refused = Ok(());
        let close = |ledger: &mut Ledger, _| match ledger.close() {
            Ok(entry) => entry.into_iter().collect(),
            Err(open) => {
                refused = Err(open);
                vec![]
            }
        };
        self.change(id, close).await?;
        Ok(refused)
    }

    /// No lease is given any more, and the open ones are listed as cut.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn cut(&self, id: &InstanceId) -> Result<(), WorkError> {
        self.change(id, |ledger, now| ledger.cut(now, CUT_BY_ORDER)).await
    }

    /// The open leases are listed as lost, and the jobs without a lease that ended with their process.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn lose(&self, id: &InstanceId, death: &Death) -> Result<(), WorkError> {
        self.change(id, |ledger, now| ledger.lose(now, death)).await
    }

    /// Forgets an instance, and its file.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub async fn remove(&self, id: &InstanceId) -> Result<(), WorkError> {
        let written = {
            let mut inner = self.inner();
            if let Some(account) = inner.accounts.remove(id) {
                inner.tokens.remove(&account.token);
            }
            self.shared.journal.order(self.shared.file(id), Change::Remove)
        };
        written.wait().await
    }

    /// Changes with every entry in any ledger.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Whose ledger has changed, or heard a heartbeat, since the last call.
    pub fn take_changed(&self) -> BTreeSet<InstanceId> {
        let mut inner = self.inner();
        let accounts = inner.accounts.iter_mut();
        accounts.filter_map(|(id, one)| std::mem::take(&mut one.touched).then(|| id.clone())).collect()
    }

    /// Changes with every heartbeat.
    pub fn beats(&self) -> watch::Receiver<u64> {
        self.shared.beats.subscribe()
    }

    pub(crate) fn owner(&self, token: &str) -> Option<InstanceId> {
        self.inner().tokens.get(token).cloned()
    }

    pub(crate) async fn take(
        &self,
        id: &InstanceId,
        request: Request,
    ) -> Result<Result<(String, Gate), Refusal>, WorkError> {
        let taken = {
            let mut inner = self.inner();
            let Inner { accounts, number, .. } = &mut *inner;
            match accounts.get_mut(id) {
                Some(account) => {
                    *number += 1;
                    self.give(id, account, *number, request)
                }
                None => Err(Refusal::Closed),
            }
        };
        match taken {
            Ok((lease, gate, written)) => written.wait().await.map(|()| Ok((lease, gate))),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    fn give(
        &self,
        id: &InstanceId,
        account: &mut Account,
        number: u64,
        request: Request,
    ) -> Result<(String, Gate, Written), Refusal> {
        let (lease, entries) = match account.ledger.take(now(), number, request)? {
            Given::New(entry) => (number.to_string(), vec![entry]),
            Given::Again(lease) => (lease, vec![]),
        };
        let gate = account.ledger.gate();
        // A lease that is given again may not be on disk yet: nothing is written, and the disk is waited for.
        let wait = || self.shared.journal.order(self.shared.file(id), Change::Append(vec![]));
        let written = self.write_down(id, account, &entries).unwrap_or_else(wait);
        Ok((lease, gate, written))
    }

    pub(crate) fn beat(&self, id: &InstanceId, lease: &str, beat: Beat) -> Result<Gate, Gone> {
        let mut inner = self.inner();
        let account = inner.accounts.get_mut(id).ok_or(Gone::Unknown)?;
        account.ledger.beat(now(), lease, beat)?;
        account.touched = true;
        self.shared.beats.send_modify(|count| *count += 1);
        Ok(account.ledger.gate())
    }

    pub(crate) async fn end(
        &self,
        id: &InstanceId,
        lease: &str,
        outcome: Outcome,
    ) -> Result<Result<(), Gone>, WorkError> {
        let ended = {
            let mut inner = self.inner();
            match inner.accounts.get_mut(id) {
                Some(account) => account
                    .ledger
                    .end(now(), lease, outcome)
                    .map(|entry| self.write_down(id, account, &[entry]).expect("there is an entry to write")),
                None => Err(Gone::Unknown),
            }
        };
        match ended {
            Ok(written) => written.wait().await.map(Ok),
            Err(gone) => Ok(Err(gone)),
        }
    }

    /// Closes as lost what has expired, and returns when the next lease may.
    pub(crate) fn expire(&self) -> Option<Time> {
        let now = now();
        let mut inner = self.inner();
        for (id, account) in &mut inner.accounts {
            let entries = account.ledger.expire(now);
            // A loss that is not on disk is found anew by the next agent.
            drop(self.write_down(id, account, &entries));
        }
        inner.accounts.values().filter_map(|account| account.ledger.wake()).min()
    }

    /// Gives every lease its whole `ttl` again: for a while nobody could hear the heartbeats.
    pub(crate) fn resume(&self) {
        self.inner().accounts.values_mut().for_each(|account| account.ledger.resume(now()));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().expect("nothing panics while it holds the book")
    }

    async fn change(
        &self,
        id: &InstanceId,
        change: impl FnOnce(&mut Ledger, Time) -> Vec<Entry>,
    ) -> Result<(), WorkError> {
        let written = {
            let mut inner = self.inner();
            let Some(account) = inner.accounts.get_mut(id) else { return Ok(()) };
            let entries = change(&mut account.ledger, now());
            self.write_down(id, account, &entries)
        };
        match written {
            Some(written) => written.wait().await,
            None => Ok(()),
        }
    }

    /// Under the book's lock, so that the file has the entries in the order of the ledger.
    fn write_down(&self, id: &InstanceId, account: &mut Account, entries: &[Entry]) -> Option<Written> {
        if entries.is_empty() {
            return None;
        }
        self.shared.changed.send_modify(|count| *count += 1);
        account.entries += entries.len();
        account.touched = true;
        let change = if account.entries > LONG {
            account.entries = 0;
            Change::Replace(line(account))
        } else {
            Change::Append(entries.iter().flat_map(line).collect())
        };
        Some(self.shared.journal.order(self.shared.file(id), change))
    }
}

impl Shared {
    fn file(&self, id: &InstanceId) -> PathBuf {
        self.dir.join(format!("{id}.{SUFFIX}"))
    }
}

impl Inner {
    fn load(&mut self, path: &Path) -> Result<(), WorkError> {
        let text = std::fs::read_to_string(path).on_file("reading", path)?;
        let mut lines = text.lines();
        let corrupt = |why: serde_json::Error| WorkError::Corrupt { path: path.into(), why: why.to_string() };
        let mut account: Account = serde_json::from_str(lines.next().unwrap_or_default()).map_err(corrupt)?;
        for line in lines.filter(|line| !line.is_empty()) {
            match serde_json::from_str(line) {
                Ok(entry) => account.ledger.replay(&entry),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "a torn line of a ledger is skipped")
                }
            }
            account.entries += 1;
        }
        account.ledger.resume(now());
        let highest = account.ledger.jobs().filter_map(|job| job.id.parse().ok()).max().unwrap_or(0);
        self.number = self.number.max(highest);
        let id = account.ledger.instance().clone();
        self.tokens.insert(account.token.clone(), id.clone());
        self.accounts.insert(id, account);
        Ok(())
    }
}

/// The port that an earlier life chose; a new one if there is none, or if nobody was ever told of it.
fn settle_port(dir: &Path, inner: &Inner) -> Result<u16, WorkError> {
    let path = dir.join("port");
    let chosen = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    match chosen {
        Some(port) if !inner.accounts.is_empty() || crate::port::is_free(port) => Ok(port),
        _ => {
            let port = free_port(&BTreeSet::new(), inner.number).ok_or(WorkError::NoPort)?;
            write_whole(&path, port.to_string().as_bytes(), Durable::No)?;
            Ok(port)
        }
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("ledgers have only text keys");
    line.push(b'\n');
    line
}
