//! An access log's file: a thread of its own writes it, so that no request ever waits for a disk.
//!
//! Lines come in batches through a queue with a bound. Where the file cannot be written, or not as fast, lines are
//! dropped and counted, and a person is told once each time that it begins. At [`SIZE`] the file is kept under another
//! name and begun anew; one that somebody else moved away is begun anew as well. Another process may append to the
//! same file: an edge that hands over to the next.

use naru_model::LogCounts;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use tokio::sync::oneshot;

/// Where a file is begun anew.
const SIZE: u64 = 64 * 1024 * 1024;

/// Files that are kept, beside the one that is written.
const KEPT: u32 = 3;

/// Batches that may wait, for all workers: some 8 MiB, seconds of the heaviest traffic.
const WAITING: usize = 256;

/// A file, as the workers have it. Its thread ends with the last of them.
pub struct LogFile {
    to: SyncSender<Told>,
    state: Arc<State>,
}

enum Told {
    Lines(Batch),
    /// Say when all before this is done with.
    Settle(oneshot::Sender<()>),
}

/// Whole lines.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) text: Vec<u8>,
    pub(super) lines: u64,
}

struct State {
    path: PathBuf,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Whether lines are being dropped.
    failing: AtomicBool,
}

impl LogFile {
    /// A file that is opened with the first line.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn new(path: &str) -> io::Result<LogFile> {
        let (to, told) = sync_channel(WAITING);
        let state = Arc::new(State {
            path: path.into(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        });
        let own = state.clone();
        thread::Builder::new().name("edge-log".into()).spawn(move || write_all(&own, &told))?;
        Ok(LogFile { to, state })
    }

    /// Hands lines to the thread, or drops them.
    pub(super) fn put(&self, batch: Batch) {
        let lines = batch.lines;
        if self.to.try_send(Told::Lines(batch)).is_err() {
            self.state.drop_lines(lines, "the disk does not take them as fast as they come");
        }
    }

    /// Waits until all lines so far are written or dropped, unless so many wait that this cannot be asked.
    pub async fn settle(&self) {
        let (to, done) = oneshot::channel();
        if self.to.try_send(Told::Settle(to)).is_ok() {
            // It ends with the answer or with the thread.
            let _ = done.await;
        }
    }

    pub(super) fn counts(&self) -> LogCounts {
        LogCounts {
            written: self.state.written.load(Ordering::Relaxed),
            dropped: self.state.dropped.load(Ordering::Relaxed),
        }
    }
}

impl State {
    fn drop_lines(&self, lines: u64, why: &str) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            let file = self.path.display();
            tracing::warn!(%file, why, "lines of the access log are dropped; requests go on");
        }
    }

    fn wrote(&self, lines: u64) {
        self.written.fetch_add(lines, Ordering::Relaxed);
        if self.failing.swap(false, Ordering::Relaxed) {
            let dropped = self.dropped.load(Ordering::Relaxed);
            tracing::info!(file = %self.path.display(), dropped, "the access log is written again");
        }
    }
}

/// The thread.
fn write_all(state: &State, told: &Receiver<Told>) {
    let mut out = Out { path: &state.path, file: None };
    while let Ok(told) = told.recv() {
        match told {
            Told::Lines(batch) => match out.write(&batch.text) {
                Ok(()) => state.wrote(batch.lines),
                Err(error) => state.drop_lines(batch.lines, &error.to_string()),
            },
            // Nobody may wait any more.
            Told::Settle(to) => drop(to.send(())),
        }
    }
}

/// The file as it lies there.
struct Out<'a> {
    path: &'a Path,
    file: Option<File>,
}

impl Out<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        self.turn(text.len() as u64)?;
        let path = self.path;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(path)?),
        };
        let before = file.metadata()?.len();
        file.write_all(text).inspect_err(|_| {
            // Half a line would spoil the next one. Where that cannot be helped, a reader sees a line that is none.
            let _ = file.set_len(before);
        })
    }

    /// Closes a file that is not at its place any more, or is long enough.
    fn turn(&mut self, more: u64) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let own = file.metadata()?;
        let is_there = fs::metadata(self.path).is_ok_and(|there| same(&there, &own));
        let is_full = own.file_type().is_file() && own.len() > 0 && own.len() + more > SIZE;
        if is_there && !is_full {
            return Ok(());
        }
        self.file = None;
        if is_there { keep(self.path) } else { Ok(()) }
    }
}

fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|there| there.file_type().is_fifo()) {
        return Err(io::Error::other("it is a pipe, which would be waited for"));
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Makes room at the path: `FILE` becomes `FILE.1`, that `FILE.2`, and the oldest is gone.
fn keep(path: &Path) -> io::Result<()> {
    let kept = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    };
    for n in (1..KEPT).rev() {
        match fs::rename(kept(n), kept(n + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, kept(1))
}

/// The files that tables name, each open once.
#[derive(Default)]
pub struct Logs(std::collections::BTreeMap<String, Weak<LogFile>>);

impl Logs {
    /// The file at a path; `None` where the system gives no thread for it.
    pub(super) fn file(&mut self, path: &str) -> Option<Arc<LogFile>> {
        self.0.retain(|_, file| file.strong_count() > 0);
        if let Some(file) = self.0.get(path).and_then(Weak::upgrade) {
            return Some(file);
        }
        match LogFile::new(path) {
            Ok(file) => {
                let file = Arc::new(file);
                self.0.insert(path.into(), Arc::downgrade(&file));
                Some(file)
            }
            Err(error) => {
                tracing::error!(%error, path, "no thread can be had for the access log, which is not written");
                None
            }
        }
    }

    /// Those that are in use.
    pub fn all(&self) -> Vec<Arc<LogFile>> {
        self.0.values().filter_map(Weak::upgrade).collect()
    }

    /// Their counts.
    pub fn counts(&self) -> std::collections::BTreeMap<String, LogCounts> {
        let open = self.0.iter().filter_map(|(path, file)| Some((path.clone(), file.upgrade()?.counts())));
        open.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{LogFile, Out, SIZE};
    use std::fs::{self, File};

    #[test]
    fn a_long_file_is_begun_anew_with_three_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let mut out = Out { path: &path, file: None };
        for n in 0..6 {
            out.write(format!("{n}\n").as_bytes()).unwrap();
            // As long as it may be, without the bytes.
            File::options().write(true).open(&path).unwrap().set_len(SIZE).unwrap();
        }
        out.write(b"last\n").unwrap();
        let first = |name: &str| fs::read(dir.path().join(name)).map(|text| text[0]).ok();
        assert_eq!(fs::read(&path).unwrap(), b"last\n");
        assert_eq!(
            ["access.log.1", "access.log.2", "access.log.3", "access.log.4"].map(first),
            [Some(b'5'), Some(b'4'), Some(b'3'), None]
        );
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.log"), dir.path().join("moved"));
        let mut out = Out { path: &path, file: None };
        out.write(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        out.write(b"two\n").unwrap();
        fs::remove_file(&path).unwrap();
        out.write(b"three\n").unwrap();
        assert_eq!(
            (fs::read(&moved).unwrap(), fs::read(&path).unwrap()),
            (b"one\n".into(), b"three\n".into())
        );
    }

    #[tokio::test]
    async fn a_full_disk_drops_lines_and_counts_them() {
        let file = LogFile::new("/dev/full").unwrap();
        file.put(super::Batch { text: b"one\ntwo\n".into(), lines: 2 });
        file.settle().await;
        assert_eq!((file.counts().written, file.counts().dropped), (0, 2));
    }

    #[tokio::test]
    async fn a_folder_that_comes_late_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later/access.log");
        let file = LogFile::new(path.to_str().unwrap()).unwrap();
        let batch = || super::Batch { text: b"line\n".into(), lines: 1 };
        file.put(batch());
        file.settle().await;
        fs::create_dir(dir.path().join("later")).unwrap();
        file.put(batch());
        file.settle().await;
        assert_eq!((file.counts().written, file.counts().dropped), (1, 1));
        assert_eq!(fs::read(path).unwrap(), b"line\n");
    }
}
