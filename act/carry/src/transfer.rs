//! Bytes in and out of sockets: what was read and not yet used, and writing that gives up on a peer that
//! stopped reading.

use crate::buffer::{Buffer, HeadText, KEPT_HEAD, SIZE};
use crate::stream::{Reader, Writer};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// What was read from a socket and not yet used. Holds a buffer only while bytes move: what is there while more is
/// waited for, like a head of which half has come, lies in memory of about its own size.
#[derive(Default)]
pub struct Inbox {
    memory: Memory,
    start: usize,
    end: usize,
}

/// Where the bytes are.
#[derive(Default)]
enum Memory {
    #[default]
    None,
    /// There, from the first byte to the last, and no room for more.
    Resting(HeadText),
    Moving(Buffer),
}

impl Inbox {
    /// What is there, oldest byte first.
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::None => &[],
            Memory::Resting(text) => &text[self.start..self.end],
            Memory::Moving(buffer) => &buffer[self.start..self.end],
        }
    }

    /// Whether a read would find no room.
    pub fn is_full(&self) -> bool {
        self.end - self.start == SIZE
    }

    /// Takes of `bytes` what there is room for, and says how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let room = self.room(bytes.len());
        let n = bytes.len().min(room.len());
        room[..n].copy_from_slice(&bytes[..n]);
        self.end += n;
        n
    }

    /// Puts `bytes` before the oldest, if there is room where others were forgotten: what is written together is then in
    /// one piece. Whether there was.
    pub fn prepend(&mut self, bytes: &[u8]) -> bool {
        let Memory::Moving(buffer) = &mut self.memory else { return false };
        let Some(start) = self.start.checked_sub(bytes.len()) else { return false };
        buffer[start..self.start].copy_from_slice(bytes);
        self.start = start;
        true
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
        if let (Memory::None, Reader::Pipe(end)) = (&self.memory, &*from) {
            return end.poll_hand_over(cx, self);
        }
        // Mostly nothing is there when it is asked for: then no buffer is borrowed, and what rests is not moved.
        let filled = match from.poll_ready(cx)? {
            Poll::Ready(()) => self.poll_read(cx, from),
            Poll::Pending => Poll::Pending,
        };
        if filled.is_pending() {
            self.rest();
        }
        filled
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, from: &mut Reader<'_>) -> Poll<io::Result<usize>> {
        let mut room = ReadBuf::new(self.room(1));
        let read = from.poll_read(cx, &mut room);
        let n = room.filled().len();
        self.end += n;
        self.release_if_empty();
        read.map_ok(|()| n)
    }

    /// What follows the bytes that are there; they are moved to the front where that leaves less than `wanted`.
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        if !matches!(self.memory, Memory::Moving(_)) {
            let mut buffer = Buffer::borrow();
            let bytes = self.bytes();
            buffer[..bytes.len()].copy_from_slice(bytes);
            (self.start, self.end) = (0, bytes.len());
            self.memory = Memory::Moving(buffer);
        }
        let Memory::Moving(buffer) = &mut self.memory else { unreachable!("it was just put there") };
        if self.start > 0 && SIZE - self.end < wanted {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut buffer[self.end..]
    }

    /// More is waited for: nobody knows how long.
    fn rest(&mut self) {
        if let Memory::Moving(_) = self.memory
            && self.end - self.start <= KEPT_HEAD
        {
            let mut text = HeadText::borrow();
            text.extend_from_slice(self.bytes());
            (self.start, self.end) = (0, text.len());
            self.memory = Memory::Resting(text);
        }
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

#[cfg(test)]
mod tests {
    use super::{Inbox, Memory, SIZE};
    use crate::Stream;
    use std::future::poll_fn;
    use std::task::Poll;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn what_waits_for_more_is_kept_small_and_stays_what_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = Stream::Plain(listener.accept().await.unwrap().0);
        let (mut from, _) = stream.split();
        let mut inbox = Inbox::default();
        for part in ["GET / HT", "TP/1.1\r\n", "Host"] {
            peer.write_all(part.as_bytes()).await.unwrap();
            inbox.fill(&mut from).await.unwrap();
            inbox.consume(1);
            let more = poll_fn(|cx| Poll::Ready(inbox.poll_fill(cx, &mut from))).await;
            assert!(more.is_pending());
            assert!(matches!(inbox.memory, Memory::Resting(_)));
        }
        let kept = b" / HTTP/1.1\r\nHost";
        assert_eq!(inbox.bytes(), kept);
        assert_eq!(inbox.append(&[b'x'; SIZE]), SIZE - kept.len());
        assert!(inbox.is_full() && inbox.bytes().starts_with(kept));
    }
}
