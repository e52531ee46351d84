//! Tells people what happens: follows the events on disk, and sends what `notify.yaml` says to whom it says. Nothing of the server waits
//! for it.

use crate::events::FOLDER;
use crate::notices::{Kept, Told};
use crate::outbox::{Outbox, Place, Tried};
use naru_home::{Home, put_file, take_file, wall};
use naru_logs::LogReader;

use naru_notify::{Channels, Fault, Notice, load};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// In the folder of the home.
const STATE: &str = "notify.json";

/// The file is looked at so often, and what could not be read or written is tried again.
const PULSE: Duration = Duration::from_secs(2);

/// What was sent and what waits, as the server has written it down; for the command line.
///
/// # Errors
/// It cannot be read.
pub fn outbox(home: &Path) -> io::Result<Outbox> {
    let kept = take_file(&home.join(STATE))?;
    kept.map_or(Ok(Outbox::default()), |text| serde_json::from_slice(&text).map_err(io::Error::other))
}

/// So many events are read before other tasks have their turn.
const TURN: u64 = 64;

struct Notifier {
    home: Home,
    channels: Option<Arc<Channels>>,
    /// What the file was when it was read.
    stamp: Option<(u64, i64, i64, u64)>,
    outbox: Outbox,
    /// The last event that was read, and how many were at its time.
    last: Place,
    /// What was seen last is not on disk yet.
    unsaved: bool,
    sending: JoinSet<(String, Result<(), Fault>)>,
}

/// Tells, for as long as the server lives.
pub async fn run(home: Home) {
    let now = wall();
    let outbox = match outbox(home.dir()) {
        // What was before anybody wanted to be told is not told.
        Ok(outbox) if outbox == Outbox::default() => Outbox { seen: Place(now, 0), ..outbox },
        Ok(outbox) => outbox.taken_up(now),
        Err(error) => {
            tracing::error!(%error, "{STATE} cannot be read: what waited to be sent is lost");
            Outbox { seen: Place(now, 0), ..Outbox::default() }
        }
    };
    let (channels, stamp, last) = (None, None, Place::default());
    let mut notifier =
        Notifier { home, channels, stamp, outbox, last, unsaved: false, sending: JoinSet::new() };
    notifier.read_file();
    notifier.keep().await;
    loop {
        match LogReader::open(notifier.home.dir(), &FOLDER.into(), naru_logs::From::Start) {
            Ok(log) => notifier.follow(log).await,
            Err(error) => tracing::error!(%error, "events cannot be read, and so nobody is told"),
        }
        notifier.last = Place::default();
        tokio::time::sleep(PULSE).await;
    }
}

impl Notifier {
    /// Until the log cannot be read any more.
    async fn follow(&mut self, mut log: LogReader) {
        let mut read = 0_u64;
        loop {
            // Weeks of events may be there when a server begins, and others have their turn.
            read += 1;
            if read.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
            self.send_due().await;
            let next = self.outbox.next().filter(|_| self.channels.is_some());
            let due = next.map_or(PULSE, |due| Duration::from_millis(due.since(wall()).0).min(PULSE));
            tokio::select! {
                line = log.follow() => match line {
                    Ok(line) => self.heard(&line.text).await,
                    Err(error) => return tracing::error!(%error, "events cannot be read"),
                },
                Some(done) = self.sending.join_next() => self.done(done).await,
                () = tokio::time::sleep(due) => {
                    self.read_file();
                    // What nobody was told of then is not told later, to whoever is named in the file by then.
                    if std::mem::take(&mut self.unsaved) {
                        self.keep().await;
                    }
                }
            }
        }
    }

    async fn heard(&mut self, line: &str) {
        // The log's own notes are no events.
        let Ok(told) = serde_json::from_str::<Told>(line) else { return };
        let place =
            if told.time == self.last.0 { Place(told.time, self.last.1 + 1) } else { Place(told.time, 0) };
        self.last = place;
        if place <= self.outbox.seen {
            return;
        }
        self.outbox.seen = place;
        self.unsaved = true;
        self.read_file();
        let (Some(kind), Some(channels)) = (told.kind(), &self.channels) else { return };
        let to: Vec<String> = channels.config.to(kind, &told.stack).map(str::to_string).collect();
        for channel in &to {
            self.outbox.add(channel, Kept::from(told.notice(kind)), wall());
        }
        if !to.is_empty() {
            self.keep().await;
        }
    }

    /// Sends what is due, once it is written down that it is.
    async fn send_due(&mut self) {
        let Some(channels) = self.channels.clone() else { return };
        let due = self.outbox.due(wall());
        if due.is_empty() {
            return;
        }
        self.keep().await;
        for (name, kept) in due {
            let channels = channels.clone();
            self.sending.spawn(async move {
                let sent = match channels.channels.get(&name) {
                    Some(channel) => channel.send(&Notice::from(&kept)).await,
                    None => Err(Fault::Lasting("the channel is not in the file any more".into())),
                };
                (name, sent)
            });
        }
    }

    async fn done(&mut self, done: Result<(String, Result<(), Fault>), tokio::task::JoinError>) {
        let (name, sent) = match done {
            Ok(done) => done,
            Err(error) => return tracing::error!(%error, "a notice was not sent"),
        };
        let now = wall();
        match sent {
            Ok(()) => self.outbox.sent(&name, now),
            Err(fault) => match self.outbox.not_sent(&name, &fault, now) {
                Tried::Again => {
                    tracing::warn!(channel = name, %fault, "a notice was not sent; it is tried again")
                }
                Tried::Failed => {
                    tracing::error!(channel = name, %fault, "a notice was not sent, and is given up")
                }
            },
        }
        self.keep().await;
    }

    async fn keep(&self) {
        let (path, outbox) = (self.home.path(STATE), self.outbox.clone());
        let kept = tokio::task::spawn_blocking(move || {
            put_file(&path, &serde_json::to_vec(&outbox).map_err(io::Error::other)?)
        });
        if let Err(error) = kept.await.map_err(io::Error::other).flatten() {
            tracing::error!(%error, "{STATE} cannot be written: after a restart notices may be sent again");
        }
    }

    /// Reads the file if it is another one than before. One that is wrong does not take the place of one that was right.
    fn read_file(&mut self) {
        let about = std::fs::metadata(self.home.path(naru_notify::FILE)).ok();
        let stamp = about.map(|about| (about.ino(), about.mtime(), about.mtime_nsec(), about.len()));
        if stamp == self.stamp {
            return;
        }
        self.stamp = stamp;
        match load(self.home.dir()) {
            Ok(read) => {
                let names =
                    read.iter().flat_map(|channels| channels.channels.keys()).cloned().collect::<Vec<_>>();
                tracing::info!(channels = names.join(" "), "people are told of what happens");
                self.outbox.keep(|name| names.iter().any(|one| one == name));
                for name in names {
                    self.outbox.channels.entry(name).or_default();
                }
                self.channels = read.map(Arc::new);
            }
            Err(error) => {
                tracing::error!(%error, "{} is not taken; what was read before stays in force", naru_notify::FILE);
            }
        }
    }
}

/// What `naru notify test` sends.
pub fn test_notice(channel: &str) -> Notice {
    Notice {
        time: wall(),
        title: "Naru: a test".into(),
        text: format!(
            "`naru notify test {channel}` sent this. Whatever is routed to {channel} arrives here."
        ),
        link: None,
        fields: vec![("channel".into(), channel.into())],
    }
}
