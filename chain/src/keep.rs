//! What one life of the edge leaves to the next: its table, its last report or what that can be made of, and
//! when it began.

use crate::places::Chain;
use crate::tables::Tables;
use naru_home::{Home, put_file, take_file};
use naru_model::{EdgeReport, RouteTable, Time};
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The edge's folder.
pub struct Keep {
    dir: PathBuf,
    tables: Tables,
}

impl Keep {
    /// In the home.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(home: &Home) -> io::Result<Keep> {
        let dir = home.folder("edge")?;
        Ok(Keep { tables: Tables::new(&dir), dir })
    }

    /// When this life begins: now, and in any case after the one before it, even if the clock was set back,
    /// since the server takes the later one for the one that lives.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn begin(&self, now: Time) -> io::Result<Time> {
        let path = self.dir.join("began.json");
        let before: Option<Time> = read(&path);
        let began = before.map_or(now, |before| now.max(Time(before.0 + 1)));
        put_file(&path, &json(&began))?;
        Ok(began)
    }

    /// Where certificates from authorities lie.
    pub fn certificates(&self) -> PathBuf {
        self.dir.join("certificates")
    }

    /// The table that the life before this one had applied last.
    pub fn table(&self) -> Option<RouteTable> {
        self.tables.read()
    }

    /// Keeps a table for the next life.
    ///
    /// # Errors
    /// It cannot be written.
    pub async fn put_table(&self, table: RouteTable) -> io::Result<()> {
        self.tables.put(table).await
    }

    /// Where the processes of the life that began then keep what they leave to each other.
    pub fn chain(&self, began: Time) -> PathBuf {
        self.dir.join("sheets").join(began.0.to_string())
    }

    /// The life before, if processes of it live: then it is not over.
    pub fn living(&self) -> Option<Chain> {
        let began: Time = read(&self.dir.join("began.json"))?;
        Chain::at(self.chain(began)).filter(Chain::has_life)
    }

    /// The last reports of lives before the one that began then, oldest first: what one could not hand in any
    /// more, or was killed with.
    pub fn last(&self, began: Time) -> Vec<EdgeReport> {
        let mut reports: Vec<EdgeReport> = read(&self.dir.join("last.json")).into_iter().collect();
        let chains = self.before(began).into_iter().filter_map(|(_, folder)| Chain::at(folder));
        reports.extend(chains.map(|chain| chain.last()));
        reports.sort_by_key(|report| report.began);
        reports
    }

    fn before(&self, began: Time) -> Vec<(Time, PathBuf)> {
        let entries = fs::read_dir(self.dir.join("sheets")).into_iter().flatten().flatten();
        let life = |entry: fs::DirEntry| {
            let began = entry.file_name().to_str()?.parse().ok()?;
            Some((Time(began), entry.path()))
        };
        entries.filter_map(life).filter(|(life, _)| *life < began).collect()
    }

    /// Keeps the last report of this life.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put_last(&self, report: &EdgeReport) -> io::Result<()> {
        put_file(&self.dir.join("last.json"), &json(report))
    }

    /// The reports of lives before the one that began then were handed in.
    pub fn drop_last(&self, began: Time) {
        // Handed in twice they do no harm.
        let _ = fs::remove_file(self.dir.join("last.json"));
        for (_, folder) in self.before(began) {
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// The life that began then has told all.
    pub fn drop_chain(&self, began: Time) {
        // What stays is handed in once more, which does no harm.
        let _ = fs::remove_dir_all(self.chain(began));
    }
}

/// What is there and makes sense.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let content = take_file(path).map_err(|error| tracing::warn!(?path, %error, "cannot be read")).ok()??;
    let value = serde_json::from_slice(&content);
    value.map_err(|error| tracing::warn!(?path, %error, "makes no sense, and is left aside")).ok()
}

pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("reports and tables have only text keys")
}

#[cfg(test)]
mod tests {
    use super::{Keep, Time};
    use naru_home::Home;
    use naru_model::{Generation, RouteTable};

    #[tokio::test]
    async fn the_next_life_finds_the_table_and_begins_later() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::open(&Home::open(dir.path()).unwrap()).unwrap();
        assert_eq!(keep.table(), None);
        assert_eq!(keep.begin(Time(50)).unwrap(), Time(50));
        assert_eq!(keep.begin(Time(20)).unwrap(), Time(51), "the clock was set back");
        let table = RouteTable { generation: Generation(7), listeners: vec![] };
        keep.put_table(table.clone()).await.unwrap();
        assert_eq!(keep.table(), Some(table));
        std::fs::write(dir.path().join("edge/table.json"), "half").unwrap();
        assert_eq!(keep.table(), None);
    }
}
