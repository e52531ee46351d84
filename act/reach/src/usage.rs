//! What instances use of the machine: read by the agent, whenever whoever looks wants the next reading.

use crate::{Failure, Frame, FrameReader, FrameWriter, Lost, PAYLOAD_MAX, Source};
use futures_util::future::BoxFuture;
use naru_model::{InstanceId, Time};
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};

/// The longest reading: that of tens of thousands of instances.
const READING_MAX: usize = 16 << 20;

/// What one instance uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Which.
    pub instance: InstanceId,
    /// When it was read.
    pub at: Time,
    /// Time on a CPU so far, in microseconds.
    pub cpu_us: u64,
    /// Bytes of memory, without what the system may take back at once.
    pub memory: u64,
    /// The most that it may have; `None`: no limit of its own.
    pub memory_limit: Option<u64>,
    /// Bytes received and sent so far; `None`: it has the host's network.
    pub network: Option<(u64, u64)>,
    /// Bytes read from and written to disks so far; `None`: nobody may know.
    pub disk: Option<(u64, u64)>,
    /// Threads of all its processes.
    pub tasks: u64,
}

impl Usage {
    /// Of an instance that uses nothing.
    pub fn none(instance: InstanceId, at: Time) -> Usage {
        Usage { instance, at, cpu_us: 0, memory: 0, memory_limit: None, network: None, disk: None, tasks: 0 }
    }

    /// How much of one CPU it had since an earlier reading, in percent.
    pub fn cpu_percent(&self, before: &Usage) -> Option<f64> {
        let passed = self.at.0.checked_sub(before.at.0).filter(|passed| *passed > 0)? as f64 * 1000.0;
        // Processes that have ended take their time with them.
        Some(self.cpu_us.saturating_sub(before.cpu_us) as f64 / passed * 100.0)
    }
}

/// Readings, for whoever looks.
pub struct Usages<S> {
    reader: FrameReader<ReadHalf<S>>,
    writer: FrameWriter<WriteHalf<S>>,
    is_first: bool,
}

impl<S: AsyncRead + AsyncWrite> Usages<S> {
    /// From an agent at the other end of the stream.
    pub fn new(stream: S) -> Usages<S> {
        let (read, write) = split(stream);
        Usages { reader: FrameReader::new(read), writer: FrameWriter::new(write), is_first: true }
    }

    /// The next reading, made now.
    ///
    /// # Errors
    /// The agent is gone, or says no.
    pub async fn next(&mut self) -> Result<Vec<Usage>, Lost> {
        let broken = |error: io::Error| Lost::Broken(error.to_string());
        if !std::mem::take(&mut self.is_first) {
            self.writer.send(&Frame::Input(vec![1])).await.map_err(broken)?;
        }
        let mut json = Vec::new();
        while json.len() < READING_MAX {
            match self.reader.next().await.map_err(broken)? {
                Some(Frame::Output(_, part)) => json.extend(part),
                Some(Frame::Failed(failure)) => return Err(Lost::Failed(failure)),
                _ => break,
            }
            if json.last() == Some(&b'\n') {
                return serde_json::from_slice(&json).map_err(|error| Lost::Broken(error.to_string()));
            }
        }
        Err(Lost::Broken("the reading broke off".into()))
    }
}

/// The agent's end: reads whenever it is asked, until the other end is gone.
pub async fn serve_usage<S: AsyncRead + AsyncWrite>(
    stream: S,
    read: impl Fn() -> BoxFuture<'static, Result<Vec<Usage>, Failure>>,
) {
    let (from, to) = split(stream);
    let (mut reader, mut writer) = (FrameReader::new(from), FrameWriter::new(to));
    loop {
        let sent = match read().await {
            Ok(usages) => send(&mut writer, &usages).await,
            Err(failure) => writer.send(&Frame::Failed(failure)).await,
        };
        if sent.is_err() || !matches!(reader.next().await, Ok(Some(Frame::Input(_)))) {
            return;
        }
    }
}

async fn send(writer: &mut FrameWriter<impl AsyncWrite + Unpin>, usages: &[Usage]) -> io::Result<()> {
    let mut json = serde_json::to_vec(usages)?;
    json.push(b'\n');
    for part in json.chunks(PAYLOAD_MAX) {
        writer.send(&Frame::Output(Source::Stdout, part.to_vec())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Usage, Usages, serve_usage};
    use futures_util::FutureExt;
    use naru_model::Time;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn each_reading_is_made_when_it_is_asked_for() {
        let (near, far) = tokio::io::duplex(100);
        let count = AtomicU64::new(0);
        let read = || {
            let n = count.fetch_add(1, Ordering::Relaxed);
            let one = Usage { cpu_us: n * 500_000, ..Usage::none("a".into(), Time(n * 1000)) };
            std::future::ready(Ok(vec![one; 10_000])).boxed()
        };
        let looking = async {
            let mut usages = Usages::new(near);
            let before = usages.next().await.unwrap();
            let now = usages.next().await.unwrap();
            assert_eq!((before.len(), now[9_999].cpu_percent(&before[9_999])), (10_000, Some(50.0)));
        };
        tokio::join!(serve_usage(far, read), looking);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn without_time_between_there_is_no_rate() {
        let usage = Usage::none("a".into(), Time(0));
        assert_eq!(usage.cpu_percent(&usage), None);
        let later = Usage::none("a".into(), Time(1000));
        let ended = Usage { cpu_us: 7, ..usage };
        assert_eq!(later.cpu_percent(&ended), Some(0.0));
    }
}
