//! Opening the file: whose it is, whether it is sound, and which life of the data it holds.
//!
//! A file that was put there from a copy holds an older state under the same epoch, and watchers would
//! believe its revisions. It is recognised by two marks: the file's identity (device and inode), which a
//! file that was moved into place does not share; and the number of the last opening, which stands both in
//! the database and in the lock file, and which a copy written over the old file has wrong. When either does
//! not fit, the epoch is new. A mark that misses without cause costs a list, no more.
//!
//! Whoever restores a copy puts it in the file's place with the store closed, and takes `PATH-wal` away if
//! it lies there and is not the copy's own: SQLite cannot tell whose log it is.

use super::Options;
use super::sql::{int, uint};
use crate::{Epoch, Revision};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Made by a later version of Naru.
    #[error(
        "the store {path} has format {found}, and this version of Naru knows formats up to {known}: \
         use the version that wrote it, or a later one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The file's contents make no sense.
    #[error("the store {path} is damaged ({detail}): restore it from a copy, or move it away to start anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// A sound SQLite file of something else.
    #[error("{path} is a database, but not a store of Naru: choose another path")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("the store {path} is in use by another process: end that one first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It could not be read or written.
    #[error("the store {path} cannot be opened: {detail}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        detail: String,
    },
}

/// A store's file, open for writing and locked.
pub(super) struct Opened {
    pub db: Connection,
    /// Held for as long as the store is open.
    pub lock: File,
    pub epoch: Epoch,
    pub revision: Revision,
}

/// The number of this format.
const FORMAT: i64 = 1;

/// Marks the file as ours: "naru" in ASCII.
const APPLICATION: i64 = 0x6e61_7275;

const SCHEMA: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        compacted INTEGER NOT NULL,
        history_bytes INTEGER NOT NULL,
        opening INTEGER NOT NULL,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        settled INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE item (key TEXT PRIMARY KEY, value BLOB NOT NULL, modified INTEGER NOT NULL) STRICT;
    CREATE TABLE change (
        revision INTEGER NOT NULL,
        n INTEGER NOT NULL,
        key TEXT NOT NULL,
        value BLOB,
        PRIMARY KEY (revision, n)
    ) STRICT;
";

pub(super) fn open(path: &Path, fresh: Epoch, options: Options) -> Result<Opened, OpenError> {
    let mut lock = lock(path)?;
    let file = private().create(true).write(true).open(path).map_err(|e| OpenError::io(path, &e))?;
    let identity = file.metadata().map_err(|e| OpenError::io(path, &e))?;
    drop(file);
    sync_folder(path)?;
    let mut db = connect(path)?;
    let opening = (|| {
        check_format(&db, path)?;
        configure(&db, options).map_err(|e| OpenError::sqlite(path, &e))?;
        check_sound(&db, path)?;
        begin_opening(&mut db, fresh, &identity, read_mark(&mut lock))
            .map_err(|e| OpenError::sqlite(path, &e))
    })()?;
    write_mark(&mut lock, opening.number).map_err(|e| OpenError::io(path, &e))?;
    Ok(Opened { db, lock, epoch: opening.epoch, revision: opening.revision })
}

/// A connection to the file, which exists.
pub(super) fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|e| OpenError::sqlite(path, &e))?;
    // The writer and the reader never block each other in WAL mode but for moments at opening and closing.
    db.busy_timeout(Duration::from_secs(5)).map_err(|e| OpenError::sqlite(path, &e))?;
    Ok(db)
}

impl OpenError {
    pub(super) fn io(path: &Path, error: &std::io::Error) -> OpenError {
        OpenError::Io { path: path.into(), detail: error.to_string() }
    }

    fn sqlite(path: &Path, error: &rusqlite::Error) -> OpenError {
        let (path, detail) = (path.into(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => OpenError::Damaged { path, detail },
            _ => OpenError::Io { path, detail },
        }
    }
}

struct Opening {
    number: u64,
    epoch: Epoch,
    revision: Revision,
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private().create(true).truncate(false).read(true).write(true).open(&name);
    let file = file.map_err(|e| OpenError::io(Path::new(&name), &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.into() }),
        Err(TryLockError::Error(e)) => Err(OpenError::io(path, &e)),
    }
}

/// A crash right after the file was made must not take the file's name with it.
fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| OpenError::io(folder, &e))
}

fn check_format(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let pragma = |name: &str| {
        db.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(|e| OpenError::sqlite(path, &e))
    };
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .map_err(|e| OpenError::sqlite(path, &e))?;
    match (application, found) {
        (APPLICATION, found) if found > FORMAT => {
            Err(OpenError::Newer { path: path.into(), found, known: FORMAT })
        }
        (APPLICATION, _) => Ok(()),
        (0, 0) if tables == 0 => Ok(()),
        _ => Err(OpenError::Foreign { path: path.into() }),
    }
}

fn configure(db: &Connection, options: Options) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // What a burst has made of the log is given back to the disk at the next checkpoint.
    db.pragma_update(None, "journal_size_limit", 16 << 20)?;
    let page: i64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = (options.file_bytes_max / uint(page)).clamp(1, u64::from(u32::MAX - 1));
    db.pragma_update(None, "max_page_count", int(pages))?;
    Ok(())
}

fn check_sound(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let said: String = db
        .query_row("PRAGMA quick_check(1)", (), |row| row.get(0))
        .map_err(|e| OpenError::sqlite(path, &e))?;
    if said == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.into(), detail: said }) }
}

/// Makes the tables when there are none, numbers this opening, and settles which epoch it is.
fn begin_opening(
    db: &mut Connection,
    fresh: Epoch,
    identity: &fs::Metadata,
    mark: Option<u64>,
) -> rusqlite::Result<Opening> {
    let txn = db.transaction()?;
    let formatted: i64 = txn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if formatted == 0 {
        txn.execute_batch(SCHEMA)?;
        txn.pragma_update(None, "application_id", APPLICATION)?;
        txn.pragma_update(None, "user_version", FORMAT)?;
        txn.execute("INSERT INTO meta VALUES (1, ?, 0, 0, 0, 0, 0, 0, 0)", [int(fresh.0)])?;
    }
    let (epoch, revision, last, device, inode) =
        txn.query_row("SELECT epoch, revision, opening, device, inode FROM meta", (), |row| {
            Ok((
                uint(row.get(0)?),
                uint(row.get(1)?),
                uint(row.get(2)?),
                uint(row.get(3)?),
                uint(row.get(4)?),
            ))
        })?;
    let same = mark == Some(last) && (device, inode) == (identity.dev(), identity.ino());
    // Above every number that was given out here, so that a clock that went back makes no epoch twice.
    let number = fresh.0.max(last + 1).max(mark.map_or(0, |mark| mark + 1));
    let epoch = if same || formatted == 0 { epoch } else { number };
    txn.execute(
        "UPDATE meta SET epoch = ?, opening = ?, device = ?, inode = ?",
        params![int(epoch), int(number), int(identity.dev()), int(identity.ino())],
    )?;
    txn.commit()?;
    Ok(Opening { number, epoch: Epoch(epoch), revision: Revision(revision) })
}

fn read_mark(lock: &mut File) -> Option<u64> {
    let mut text = String::new();
    // 20 digits and a line's end; a longer mark was not written here.
    lock.take(24).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

fn write_mark(lock: &mut File, opening: u64) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(format!("{opening}\n").as_bytes())?;
    lock.sync_all()
}
