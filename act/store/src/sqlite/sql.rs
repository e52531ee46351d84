//! Small things between SQLite's types and ours: integers, faults, the row of facts about the store.

use crate::{Epoch, Fault, Revision};
use rusqlite::{Connection, ErrorCode, params};

/// The one row of `meta`, read and written inside each transaction, so that no copy of it can be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub epoch: Epoch,
    pub revision: Revision,
    pub compacted: Revision,
    pub history_bytes: u64,
}

/// SQLite's integers have a sign; ours do not reach it in the age of the universe.
pub(super) fn int(n: u64) -> i64 {
    n as i64
}

pub(super) fn uint(n: i64) -> u64 {
    n as u64
}

pub(super) fn fault(error: rusqlite::Error) -> Fault {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Fault::Full(text),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Damaged(text),
        _ => Fault::Io(text),
    }
}

impl Meta {
    pub fn load(db: &Connection) -> rusqlite::Result<Meta> {
        db.prepare_cached("SELECT epoch, revision, compacted, history_bytes FROM meta WHERE id = 1")?
            .query_row((), |row| {
                Ok(Meta {
                    epoch: Epoch(uint(row.get(0)?)),
                    revision: Revision(uint(row.get(1)?)),
                    compacted: Revision(uint(row.get(2)?)),
                    history_bytes: uint(row.get(3)?),
                })
            })
    }

    /// Writes all but the epoch, which only an opening changes.
    pub fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached("UPDATE meta SET revision = ?, compacted = ?, history_bytes = ? WHERE id = 1")?
            .execute(params![int(self.revision.0), int(self.compacted.0), int(self.history_bytes)])?;
        Ok(())
    }
}
