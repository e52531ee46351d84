//! The table that the next life of the edge begins with: one that was written whole, and after it what each later one
//! changed, so that keeping a change of one route among a thousand costs what changes.
//!
//! What has to be survived is the end of the process. A whole table is also brought through to the disk. A change is
//! not: once the machine itself went down, no instance lives that a table of before could name, and waiting for a disk
//! would hold up each change by more than all else that is done for it.

use crate::keep::{json, read};
use naru_home::{put_file, take_file};
use naru_model::{RouteChange, RouteTable};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Changes that take up less than this are not worth a whole table, which is more.
const CHANGES_MIN: usize = 256 * 1024;

/// The files of the table.
pub(super) struct Tables {
    whole: PathBuf,
    changes: PathBuf,
    /// Where this process is in them, once it has written a table.
    written: Arc<Mutex<Option<Written>>>,
}

/// What the files say, as far as this process wrote them.
struct Written {
    last: RouteTable,
    changes: File,
    /// Bytes of the whole table, and of the changes since.
    sizes: (usize, usize),
}

impl Tables {
    pub(super) fn new(dir: &Path) -> Tables {
        let (whole, changes) = (dir.join("table.json"), dir.join("table-changes.jsonl"));
        Tables { whole, changes, written: Arc::default() }
    }

    /// The table that was kept last.
    pub(super) fn read(&self) -> Option<RouteTable> {
        let whole: RouteTable = read(&self.whole)?;
        let changes = take_file(&self.changes);
        let changes = changes.inspect_err(|error| tracing::warn!(%error, "changes of the table: not read"));
        Some(made_of(whole, &changes.ok().flatten().unwrap_or_default()))
    }

    /// Keeps a table.
    ///
    /// # Errors
    /// It cannot be written. The one before it is still kept, then.
    pub(super) async fn put(&self, table: RouteTable) -> io::Result<()> {
        let (whole, changes) = (self.whole.clone(), self.changes.clone());
        let written = self.written.clone();
        let put = tokio::task::spawn_blocking(move || {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            // What failed half-way is not gone on with: then a whole table is written.
            *written = Some(match written.take() {
                Some(before) if before.sizes.1 < before.sizes.0.max(CHANGES_MIN) => before.add(table)?,
                _ => begin(&whole, &changes, table)?,
            });
            Ok(())
        });
        put.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Writes a table whole. Killed before the changes are emptied, all of them are older than it, and pass for nothing.
fn begin(whole: &Path, changes: &Path, table: RouteTable) -> io::Result<Written> {
    let text = json(&table);
    put_file(whole, &text)?;
    let changes = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(changes)?;
    Ok(Written { last: table, changes, sizes: (text.len(), 0) })
}

impl Written {
    fn add(mut self, table: RouteTable) -> io::Result<Written> {
        let mut line = json(&RouteChange::between(&self.last, &table));
        line.push(b'\n');
        self.changes.write_all(&line)?;
        Ok(Written { last: table, changes: self.changes, sizes: (self.sizes.0, self.sizes.1 + line.len()) })
    }
}

/// A table with the changes after it. A line that is not whole was being written when the process ended, and its table
/// was not acknowledged; one that leads to an older table was there before the whole one was written.
fn made_of(whole: RouteTable, changes: &[u8]) -> RouteTable {
    let lines = changes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.fold(whole, |table, line| {
        let Ok(change) = serde_json::from_slice::<RouteChange>(line) else {
            tracing::warn!("a change of the table makes no sense, and is left aside");
            return table;
        };
        if change.to <= table.generation {
            return table;
        }
        let (from, to, at) = (change.from, change.to, table.generation);
        change.onto(&table).unwrap_or_else(|| {
            tracing::warn!(%from, %to, %at, "a change of another table is left aside");
            table
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use naru_model::{Generation, Listener, Protocol, Respond, Rule, RuleAction};
    use std::fs;

    /// A listener with so many rules, of which the last answers with this status.
    fn table(generation: u64, rules: usize, status: u16) -> RouteTable {
        let rule = |n: usize| {
            let status = if n + 1 == rules { status } else { 200 };
            let content_type = String::new();
            let action = RuleAction::Respond(Respond { status, content_type, body: "x".repeat(200) });
            let (when, guard, edits) = Default::default();
            Arc::new(Rule { name: format!("rule-{n}"), when, guard, edits, action })
        };
        let listener = Listener {
            name: "web".into(),
            address: "127.0.0.1:80".into(),
            protocol: Protocol::Http,
            stack: "s".into(),
            service: None,
            splits: vec![],
            policy: Default::default(),
            entrance: Default::default(),
            rules: (0..rules).map(rule).collect(),
        };
        RouteTable { generation: Generation(generation), listeners: vec![listener] }
    }

    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            Place { dir: tempfile::tempdir().unwrap() }
        }

        /// As another process sees it.
        fn tables(&self) -> Tables {
            Tables::new(self.dir.path())
        }

        fn size(&self, name: &str) -> u64 {
            fs::metadata(self.dir.path().join(name)).unwrap().len()
        }
    }

    #[tokio::test]
    async fn a_change_of_one_rule_is_kept_as_that_and_read_as_the_whole() {
        let place = Place::new();
        let tables = place.tables();
        assert_eq!(tables.read(), None);
        tables.put(table(1, 1_000, 200)).await.unwrap();
        let whole = place.size("table.json");
        for generation in 2..=20 {
            tables.put(table(generation, 1_000, 200 + generation as u16)).await.unwrap();
            assert_eq!(place.tables().read(), Some(table(generation, 1_000, 200 + generation as u16)));
        }
        assert_eq!(place.size("table.json"), whole, "written once");
        assert!(place.size("table-changes.jsonl") < whole / 20, "{}", place.size("table-changes.jsonl"));
    }

    #[tokio::test]
    async fn changes_that_outgrow_the_table_give_way_to_a_whole_one() {
        let place = Place::new();
        let tables = place.tables();
        for generation in 1..=2_000 {
            tables.put(table(generation, 2, 200 + (generation % 300) as u16)).await.unwrap();
            assert!(place.size("table-changes.jsonl") <= CHANGES_MIN as u64 + 1_000);
        }
        assert_eq!(place.tables().read().unwrap().generation, Generation(2_000));
    }

    #[tokio::test]
    async fn a_line_that_was_cut_off_counts_for_nothing_and_the_next_process_goes_on() {
        let place = Place::new();
        let tables = place.tables();
        tables.put(table(1, 10, 201)).await.unwrap();
        tables.put(table(2, 10, 202)).await.unwrap();
        tables.put(table(3, 10, 203)).await.unwrap();
        let path = place.dir.path().join("table-changes.jsonl");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert_eq!(place.tables().read(), Some(table(2, 10, 202)));
        let next = place.tables();
        next.put(table(4, 10, 204)).await.unwrap();
        next.put(table(5, 10, 205)).await.unwrap();
        assert_eq!(place.tables().read(), Some(table(5, 10, 205)));
    }

    #[tokio::test]
    async fn changes_of_before_the_whole_table_do_not_undo_it() {
        let place = Place::new();
        let tables = place.tables();
        tables.put(table(1, 10, 201)).await.unwrap();
        tables.put(table(2, 10, 202)).await.unwrap();
        // Killed between the two files of a whole table.
        put_file(&place.dir.path().join("table.json"), &json(&table(7, 10, 207))).unwrap();
        assert_eq!(place.tables().read(), Some(table(7, 10, 207)));
        // And of one that is not told of, nothing is made up.
        put_file(&place.dir.path().join("table.json"), &json(&table(0, 10, 207))).unwrap();
        assert_eq!(place.tables().read(), Some(table(0, 10, 207)));
    }

    #[tokio::test]
    async fn a_table_that_cannot_be_kept_leaves_the_one_before() {
        let place = Place::new();
        let tables = place.tables();
        tables.put(table(1, 10, 201)).await.unwrap();
        // No change can be added any more.
        let full = File::options().write(true).open("/dev/full").unwrap();
        tables.written.lock().unwrap().as_mut().unwrap().changes = full;
        assert!(tables.put(table(2, 10, 202)).await.is_err());
        assert_eq!(place.tables().read(), Some(table(1, 10, 201)));
        tables.put(table(2, 10, 202)).await.unwrap();
        assert_eq!(place.tables().read(), Some(table(2, 10, 202)));
    }
}
