//! Lines of instances' logs, of several put together by their times, and followed.

use futures_util::stream;
use naru_api::{Ground, LogLine, LogQuery, LogSource, LogStream, Refused};
use naru_logs::{From, LogReader, Stream};
use naru_model::{InstanceId, ServiceName};
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// How soon a line that was just written is seen by those who follow.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// So many lines are read before other tasks have their turn.
const TURN: usize = 64;

/// The lines that the query asks for, from the logs in the runtime's folder `dir`.
pub fn open(dir: PathBuf, query: LogQuery, changes: watch::Receiver<u64>) -> Result<LogStream, Refused> {
    if let Some(wanted) = &query.instance
        && parse(wanted.as_str()).is_none()
    {
        let error = format!("{wanted} is no instance: they are called STACK.SERVICE.RELEASE.N");
        return Err(Refused::new(Ground::Invalid, error, "`naru ps` lists them"));
    }
    let from = query.tail.map_or(From::Start, |tail| From::Tail(tail.try_into().unwrap_or(usize::MAX)));
    let mut logs = Logs { dir, query, changes, readers: BTreeMap::new(), read: 0 };
    logs.find(from);
    if logs.readers.is_empty() && logs.query.instance.is_some() && !logs.query.follow {
        let error = "nothing is kept of that instance's log";
        return Err(Refused::new(Ground::NotFound, error, "`naru ps` lists instances"));
    }
    Ok(Box::pin(stream::unfold(logs, |mut logs| async move {
        let line = logs.next().await?;
        Some((line, logs))
    })))
}

struct Logs {
    dir: PathBuf,
    query: LogQuery,
    changes: watch::Receiver<u64>,
    readers: BTreeMap<InstanceId, Reader>,
    read: usize,
}

struct Reader {
    service: ServiceName,
    log: LogReader,
    /// Read, and not handed out yet: one line at most.
    head: VecDeque<naru_logs::LogLine>,
}

impl Logs {
    async fn next(&mut self) -> Option<LogLine> {
        loop {
            self.read += 1;
            if self.read.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
            if let Some(line) = self.oldest() {
                return Some(line);
            }
            if !self.query.follow {
                return None;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            if self.changes.has_changed().ok()? {
                self.changes.mark_unchanged();
                self.find(From::Start);
            }
        }
    }

    /// The line with the earliest time of all that are there.
    fn oldest(&mut self) -> Option<LogLine> {
        for (id, reader) in &mut self.readers {
            if reader.head.is_empty() {
                match reader.log.read() {
                    Ok(line) => reader.head.extend(line),
                    Err(error) => tracing::warn!(instance = %id, %error, "a log cannot be read"),
                }
            }
        }
        let heads = self.readers.iter().filter_map(|(id, one)| Some((one.head.front()?.time, id.clone())));
        let (_, id) = heads.min()?;
        let reader = self.readers.get_mut(&id)?;
        let line = reader.head.pop_front()?;
        let (service, stream) = (reader.service.clone(), source(line.stream));
        Some(LogLine { instance: id, service, time: line.time, stream, line: line.text })
    }

    /// Opens the logs that are wanted and not open yet.
    fn find(&mut self, from: From) {
        // A folder that is not there yet has no logs.
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = InstanceId::from(name.as_str());
            let Some((stack, service)) = parse(&name) else { continue };
            let wanted = self.query.stack.as_ref().is_none_or(|wanted| wanted.as_str() == stack)
                && self.query.service.as_ref().is_none_or(|wanted| wanted.as_str() == service)
                && self.query.instance.as_ref().is_none_or(|wanted| *wanted == id);
            if !wanted || self.readers.contains_key(&id) {
                continue;
            }
            match LogReader::open(&self.dir, &id, from) {
                Ok(log) => {
                    let reader = Reader { service: service.into(), log, head: VecDeque::new() };
                    self.readers.insert(id, reader);
                }
                Err(error) => tracing::warn!(instance = %id, %error, "a log cannot be opened"),
            }
        }
    }
}

/// Stack and service of `STACK.SERVICE.RELEASE.N`. Stacks have no dot in their names, services may.
fn parse(id: &str) -> Option<(&str, &str)> {
    let (stack, rest) = id.split_once('.')?;
    let (rest, n) = rest.rsplit_once('.')?;
    let (service, release) = rest.rsplit_once('.')?;
    let numbers = n.parse::<u64>().is_ok() && release.parse::<u64>().is_ok();
    (numbers && !stack.is_empty() && !service.is_empty()).then_some((stack, service))
}

fn source(stream: Stream) -> LogSource {
    match stream {
        Stream::Stdout => LogSource::Stdout,
        Stream::Stderr => LogSource::Stderr,
        Stream::Note => LogSource::Note,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_of_instances_are_taken_apart() {
        assert_eq!(parse("shop.web.3.17"), Some(("shop", "web")));
        assert_eq!(parse("shop.web.v2.3.17"), Some(("shop", "web.v2")));
        for other in ["shop", "shop.web", "shop.web.1", "shop.web.x.1", "ledger"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
