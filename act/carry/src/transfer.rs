//! Bytes in and out of sockets: what was read and not yet used, and writing that gives up on a peer that
//! stopped reading.

use crate::buffer::{Buffer, SIZE};
use crate::stream::{Reader, Writer};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// What was read from a socket and not yet used. Holds a buffer only while it is not empty.
#[derive(Default)]
pub struct Inbox {
    buffer: Option<Buffer>,
    start: usize,
    end: usize,
}

impl Inbox {
    /// What is there, oldest byte first.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[self.start..self.end])
    }

    /// Whether a read would find no room.
    pub fn is_full(&self) -> bool {
        self.end - self.start == SIZE
    }

    /// Takes of `bytes` what there is room for, and says how much that was.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let buffer = self.buffer.get_or_insert_with(Buffer::borrow);
        if self.start > 0 && SIZE - self.end < bytes.len() {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let n = bytes.len().min(SIZE - self.end);
        buffer[self.end..self.end + n].copy_from_slice(&bytes[..n]);
        self.end += n;
        n
    }

    /// Forgets the oldest `n` bytes, of those that are there.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        debug_assert!(self.start <= self.end, "consumed more than was there");
        self.release_if_empty();
    }

    /// Waits until something can be read, and reads it. 0: the peer will send no more.
    ///
    /// Must not be called when full.
    pub async fn fill(&mut self, from: &mut Reader<'_>) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx, from)).await
    }

    /// As [`Inbox::fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &mut Reader<'_>) -> Poll<io::Result<usize>> {
        ready!(from.poll_ready(cx))?;
        let buffer = self.buffer.get_or_insert_with(Buffer::borrow);
        if self.start > 0 && self.end == SIZE {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut room = ReadBuf::new(&mut buffer[self.end..]);
        let read = from.poll_read(cx, &mut room);
        let n = room.filled().len();
        self.end += n;
        self.release_if_empty();
        read.map_ok(|()| n)
    }

    fn release_if_empty(&mut self) {
        if self.start == self.end {
            *self = Inbox::default();
        }
    }
}

/// Writes all of `parts`, in order, and adds to `accepted` what the system took.
///
/// # Errors
/// What the system said, or `TimedOut` once nothing was taken for as long as `stall`.
pub async fn write_all(
    to: &mut Writer<'_>,
    mut parts: [&[u8]; 2],
    stall: Duration,
    accepted: &Cell<u64>,
) -> io::Result<()> {
    while !(parts[0].is_empty() && parts[1].is_empty()) {
        // The timer costs more than the write: it is made only for a peer that does not read.
        let n = match poll_fn(|cx| Poll::Ready(poll_write(cx, to, parts))).await {
            Poll::Ready(taken) => taken?,
            Poll::Pending => tokio::time::timeout(stall, poll_fn(|cx| poll_write(cx, to, parts))).await??,
        };
        accepted.set(accepted.get() + n as u64);
        let first = n.min(parts[0].len());
        parts = [&parts[0][first..], &parts[1][n - first..]];
    }
    match poll_fn(|cx| Poll::Ready(to.poll_flush(cx))).await {
        Poll::Ready(flushed) => flushed,
        Poll::Pending => tokio::time::timeout(stall, poll_fn(|cx| to.poll_flush(cx))).await?,
    }
}

fn poll_write(cx: &mut Context<'_>, to: &mut Writer<'_>, parts: [&[u8]; 2]) -> Poll<io::Result<usize>> {
    match ready!(to.poll_write(cx, parts))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        n => Poll::Ready(Ok(n)),
    }
}

/// Tells the peer that no more will come. A peer that is gone already needs no telling.
pub async fn finish(to: &mut Writer<'_>) {
    let _ = poll_fn(|cx| to.poll_shutdown(cx)).await;
}

/// Closes so that the peer still reads what was written: says the end, then takes what the peer had under
/// way, for as long as `limit` and up to a bound. Closing at once would reset the connection when unread
/// bytes are there, and a reset can destroy an answer that the peer has not read yet.
pub async fn linger(from: &mut Reader<'_>, to: &mut Writer<'_>, limit: Duration) {
    /// What a peer that does not listen may have sent before it sees the end.
    const UNREAD: usize = 1024 * 1024;
    finish(to).await;
    let drain = async {
        let mut inbox = Inbox::default();
        let mut taken = 0;
        while let Ok(n) = inbox.fill(from).await
            && n > 0
            && taken < UNREAD
        {
            inbox.consume(n);
            taken += n;
        }
    };
    let _ = tokio::time::timeout(limit, drain).await;
}
