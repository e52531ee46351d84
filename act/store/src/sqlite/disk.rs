//! The writing connection: groups of transactions in, outcomes out, and what a failed commit means.

use super::Options;
use super::sql::{Meta, fault, int, uint};
use super::writer::LoseAnswer;
use crate::{Fault, Guard, Key, Outcome, Position, Revision, Txn, Write};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

/// The writing connection.
pub(super) struct Disk {
    db: Connection,
    options: Options,
    /// A failed commit may be found in the log after a crash, until another one takes its place.
    pub unsettled: bool,
    /// What tests ask for.
    pub lose: Option<LoseAnswer>,
}

/// How a group failed, as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing of it happened.
    NotCommitted(Fault),
    /// It may have happened.
    Unknown(Fault),
}

impl Disk {
    pub fn new(db: Connection, options: Options) -> Disk {
        Disk { db, options, unsettled: false, lose: None }
    }

    /// Judges the transactions one after another, each seeing what those before it wrote, and commits all of
    /// them with one sync. The outcomes are true only when this returns, and only if it returns them.
    pub fn group(&mut self, txns: &[Txn]) -> Result<(Vec<Outcome>, Revision), Failure> {
        self.committed(|db, options| {
            let mut meta = Meta::load(db)?;
            let before = meta;
            let outcomes =
                txns.iter().map(|txn| judge(db, &mut meta, txn)).collect::<rusqlite::Result<Vec<_>>>()?;
            if meta != before {
                trim(db, &mut meta, options)?;
                meta.save(db)?;
            }
            Ok((outcomes, meta.revision))
        })
    }

    /// Forgets the history up to and with `to`.
    pub fn compact(&mut self, to: Revision) -> Result<(), Failure> {
        self.committed(|db, _| {
            let mut meta = Meta::load(db)?;
            forget(db, &mut meta, to)?;
            meta.save(db)
        })
    }

    /// Makes it certain that a failed commit did not happen, by committing something else in its place.
    pub fn settle(&mut self) -> Result<(), Fault> {
        if self.unsettled {
            self.roll_back();
            self.db.execute_batch("UPDATE meta SET settled = settled + 1").map_err(fault)?;
            self.unsettled = false;
        }
        Ok(())
    }

    /// Closes the connection; the last one to close moves the log into the file.
    pub fn close(self) {
        // A failure leaves the log, which the next opening reads.
        drop(self.db.close());
    }

    fn committed<T>(
        &mut self,
        work: impl FnOnce(&Connection, &Options) -> rusqlite::Result<T>,
    ) -> Result<T, Failure> {
        self.settle().map_err(Failure::NotCommitted)?;
        self.roll_back();
        let done = self.db.execute_batch("BEGIN IMMEDIATE").and_then(|()| work(&self.db, &self.options));
        match done {
            Ok(done) => self.commit().map(|()| done),
            Err(error) => {
                self.roll_back();
                Err(Failure::NotCommitted(fault(error)))
            }
        }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let lose = self.lose.take();
        if lose == Some(LoseAnswer::NotHappened) {
            self.roll_back();
            return Err(Failure::Unknown(Fault::AnswerLost("a test asked for it".into())));
        }
        let result = self.db.execute_batch("COMMIT");
        if lose == Some(LoseAnswer::Happened) && result.is_ok() {
            return Err(Failure::Unknown(Fault::AnswerLost("a test asked for it".into())));
        }
        let Err(error) = result else { return Ok(()) };
        self.roll_back();
        // A full disk cuts the log short before the frame that commits, so nothing can come back.
        let certain =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy));
        self.unsettled = !certain;
        match self.settle() {
            Ok(()) => Err(Failure::NotCommitted(fault(error))),
            Err(_) => Err(Failure::Unknown(fault(error))),
        }
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit() {
            // If even this fails, the next group's beginning tries again and says so.
            self.db.execute_batch("ROLLBACK").ok();
        }
    }
}

fn judge(db: &Connection, meta: &mut Meta, txn: &Txn) -> rusqlite::Result<Outcome> {
    if let Some((guard, found)) = first_refusal(db, &txn.guards)? {
        return Ok(Outcome::Refused { guard, found });
    }
    let revision = Revision(meta.revision.0 + 1);
    let mut n = 0;
    for write in &txn.writes {
        if apply(db, revision, write)? {
            record(db, revision, n, write)?;
            meta.history_bytes += write.size() as u64;
            n += 1;
        }
    }
    if n > 0 {
        meta.revision = revision;
    }
    Ok(Outcome::Committed { position: Position { epoch: meta.epoch, revision: meta.revision } })
}

fn first_refusal(db: &Connection, guards: &[Guard]) -> rusqlite::Result<Option<(Guard, Option<Revision>)>> {
    for guard in guards {
        let found = modified(db, guard.key())?;
        if !guard.holds(found) {
            return Ok(Some((guard.clone(), found)));
        }
    }
    Ok(None)
}

fn modified(db: &Connection, key: &Key) -> rusqlite::Result<Option<Revision>> {
    let mut query = db.prepare_cached("SELECT modified FROM item WHERE key = ?")?;
    query.query_row([key.as_str()], |row| Ok(Revision(uint(row.get(0)?)))).optional()
}

/// Writes to the present items; whether that changed anything.
fn apply(db: &Connection, revision: Revision, write: &Write) -> rusqlite::Result<bool> {
    let rows = match write {
        Write::Put(key, value) => db
            .prepare_cached(
                "INSERT INTO item (key, value, modified) VALUES (?, ?, ?)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified = excluded.modified",
            )?
            .execute(params![key.as_str(), value, int(revision.0)])?,
        Write::Delete(key) => db.prepare_cached("DELETE FROM item WHERE key = ?")?.execute([key.as_str()])?,
    };
    Ok(rows > 0)
}

/// Writes to the history.
fn record(db: &Connection, revision: Revision, n: i64, write: &Write) -> rusqlite::Result<()> {
    let value = match write {
        Write::Put(_, value) => Some(value),
        Write::Delete(_) => None,
    };
    db.prepare_cached("INSERT INTO change (revision, n, key, value) VALUES (?, ?, ?, ?)")?
        .execute(params![int(revision.0), n, write.key().as_str(), value])?;
    Ok(())
}

/// Keeps the history within its bounds.
fn trim(db: &Connection, meta: &mut Meta, options: &Options) -> rusqlite::Result<()> {
    forget(db, meta, Revision(meta.revision.0.saturating_sub(options.history_max)))?;
    if meta.history_bytes <= options.history_bytes_max {
        return Ok(());
    }
    let mut over = meta.history_bytes - options.history_bytes_max;
    let mut query = db.prepare_cached(
        "SELECT revision, length(key) + coalesce(length(value), 0) FROM change ORDER BY revision",
    )?;
    let mut rows = query.query(())?;
    let mut to = meta.compacted;
    while let Some(row) = rows.next()?
        && over > 0
    {
        to = Revision(uint(row.get(0)?));
        over = over.saturating_sub(uint(row.get(1)?));
    }
    drop(rows);
    forget(db, meta, to)
}

fn forget(db: &Connection, meta: &mut Meta, to: Revision) -> rusqlite::Result<()> {
    let to = to.min(meta.revision);
    if to <= meta.compacted {
        return Ok(());
    }
    let bytes: i64 = db
        .prepare_cached(
            "SELECT coalesce(sum(length(key) + coalesce(length(value), 0)), 0) FROM change WHERE revision <= ?",
        )?
        .query_row([int(to.0)], |row| row.get(0))?;
    db.prepare_cached("DELETE FROM change WHERE revision <= ?")?.execute([int(to.0)])?;
    meta.history_bytes = meta.history_bytes.saturating_sub(uint(bytes));
    meta.compacted = to;
    Ok(())
}
