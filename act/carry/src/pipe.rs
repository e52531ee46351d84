//! A connection inside the process: what one end writes, the other reads, up to a buffer's length at a time.
//!
//! Both ends are of one thread. Like a socket's, its memory is lent only while bytes are in it.

use crate::buffer::SIZE;
use crate::stream::Writer;
use crate::transfer::{Inbox, write_all};
use std::cell::{Cell, RefCell};
use std::io;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::ReadBuf;

/// One end. Dropped, it ends both directions: the peer reads what is still there, and can write no more.
pub struct End {
    lanes: Rc<[RefCell<Lane>; 2]>,
    /// Which of them it reads; it writes the other.
    side: usize,
}

/// One direction.
#[derive(Default)]
struct Lane {
    inbox: Inbox,
    state: State,
    /// Whether what was written was handed to nobody.
    unseen: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Its writer has said the end.
    Finished,
    /// Its writer is gone without saying so.
    Broken,
    /// Its reader is gone.
    Unread,
}

/// What follows the bytes that are there to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More may come.
    More,
    /// The end, as the peer said.
    End,
    /// Nothing: the peer is gone, and has not said the end.
    Broken,
}

/// Two ends of one.
pub fn pipe() -> (End, End) {
    let lanes = Rc::<[RefCell<Lane>; 2]>::default();
    (End { lanes: lanes.clone(), side: 0 }, End { lanes, side: 1 })
}

impl End {
    /// Waits until there are bytes to read (`true`), or the peer has said the end (`false`).
    ///
    /// # Errors
    /// `ConnectionReset`: the peer is gone and has not said the end.
    pub fn poll_arrived(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut lane = self.incoming().borrow_mut();
        if !lane.inbox.bytes().is_empty() {
            return Poll::Ready(Ok(true));
        }
        match lane.state {
            State::Finished => Poll::Ready(Ok(false)),
            State::Broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            State::Open | State::Unread => {
                note(&mut lane.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Whether a read would not have to wait.
    pub fn has_arrived(&self) -> bool {
        let lane = self.incoming().borrow();
        !lane.inbox.bytes().is_empty() || matches!(lane.state, State::Finished | State::Broken)
    }

    /// Reads all that is there into an inbox that is empty, as [`Inbox::poll_fill`]: the memory changes hands.
    pub(crate) fn poll_hand_over(&self, cx: &mut Context<'_>, to: &mut Inbox) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_arrived(cx))? {
            return Poll::Ready(Ok(0));
        }
        let mut lane = self.incoming().borrow_mut();
        *to = mem::take(&mut lane.inbox);
        lane.wake_writer();
        Poll::Ready(Ok(to.bytes().len()))
    }

    /// Calls `take` with all bytes that are there; it returns how many it has used.
    pub fn take<T>(&self, take: impl FnOnce(&[u8]) -> (usize, T)) -> T {
        let mut lane = self.incoming().borrow_mut();
        let (used, value) = take(lane.inbox.bytes());
        lane.consume(used);
        value
    }

    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.poll_arrived(cx) {
            Poll::Ready(Ok(true)) => {}
            other => return other.map_ok(|_| ()),
        }
        self.take(|bytes| {
            let n = bytes.len().min(room.remaining());
            room.put_slice(&bytes[..n]);
            (n, ())
        });
        Poll::Ready(Ok(()))
    }

    /// What follows the bytes that are there.
    pub fn next(&self) -> Next {
        match self.incoming().borrow().state {
            State::Open | State::Unread => Next::More,
            State::Finished => Next::End,
            State::Broken => Next::Broken,
        }
    }

    /// How many bytes can be written now. `None`: the peer reads no more.
    pub fn room(&self) -> Option<usize> {
        let lane = self.outgoing().borrow();
        (lane.state == State::Open).then(|| SIZE - lane.inbox.bytes().len())
    }

    /// Writes what there is room for, and says how much that was.
    pub fn put(&self, bytes: &[u8]) -> usize {
        let mut lane = self.outgoing().borrow_mut();
        if lane.state != State::Open {
            return 0;
        }
        let n = lane.inbox.append(bytes);
        if n > 0 {
            lane.wake_reader();
        }
        n
    }

    /// Ends both directions, as dropping it does.
    pub fn leave(&self) {
        if Rc::strong_count(&self.lanes) == 1 {
            // Nobody is to be told.
            return self.lanes.iter().for_each(|lane| *lane.borrow_mut() = Lane::default());
        }
        let mut out = self.outgoing().borrow_mut();
        if out.state == State::Open {
            out.state = State::Broken;
        }
        out.wake_reader();
        drop(out);
        let mut lane = self.incoming().borrow_mut();
        lane.state = State::Unread;
        lane.inbox = Inbox::default();
        lane.wake_writer();
    }

    /// Another peer, in the memory of the last one, if that is gone.
    pub fn renew(&self) -> Option<End> {
        if Rc::strong_count(&self.lanes) > 1 {
            return None;
        }
        self.lanes.iter().for_each(|lane| *lane.borrow_mut() = Lane::default());
        Some(End { lanes: self.lanes.clone(), side: 1 - self.side })
    }

    /// Writes what there is room for, of two parts in order.
    ///
    /// # Errors
    /// `BrokenPipe`: the peer is gone.
    pub fn poll_write(&self, cx: &mut Context<'_>, parts: [&[u8]; 2]) -> Poll<io::Result<usize>> {
        let mut lane = self.outgoing().borrow_mut();
        if lane.state != State::Open {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let first = lane.inbox.append(parts[0]);
        let n = if first == parts[0].len() { first + lane.inbox.append(parts[1]) } else { first };
        if n == 0 {
            note(&mut lane.writer, cx);
            return Poll::Pending;
        }
        lane.wake_reader();
        Poll::Ready(Ok(n))
    }

    /// Writes all of two parts, however long the peer takes.
    ///
    /// # Errors
    /// As [`End::poll_write`].
    pub async fn write(&self, parts: [&[u8]; 2]) -> io::Result<()> {
        write_all(&mut Writer::Pipe(self), parts, Duration::MAX, &Cell::new(0)).await
    }

    /// Says the end: the peer reads it after all that was written.
    pub fn finish(&self) {
        let mut lane = self.outgoing().borrow_mut();
        if lane.state == State::Open {
            lane.state = State::Finished;
            lane.wake_reader();
        }
    }

    /// Waits until the peer can be written to no more.
    pub fn poll_unread(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut lane = self.outgoing().borrow_mut();
        if lane.state == State::Unread {
            return Poll::Ready(());
        }
        note(&mut lane.writer, cx);
        Poll::Pending
    }

    /// What the peer wrote was handed to nobody: whoever it was for has certainly not seen any of it.
    pub fn set_unseen(&self) {
        self.incoming().borrow_mut().unseen = true;
    }

    /// Whether the peer said so.
    pub fn is_unseen(&self) -> bool {
        self.outgoing().borrow().unseen
    }

    fn incoming(&self) -> &RefCell<Lane> {
        &self.lanes[self.side]
    }

    fn outgoing(&self) -> &RefCell<Lane> {
        &self.lanes[1 - self.side]
    }
}

/// Keeps whom to wake.
fn note(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        // Most often it is the same.
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

impl Lane {
    fn consume(&mut self, n: usize) {
        self.inbox.consume(n);
        if n > 0 {
            self.wake_writer();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, pipe};
    use crate::{Inbox, SIZE, Stream};
    use std::future::poll_fn;
    use std::io::ErrorKind;

    #[tokio::test]
    async fn bytes_arrive_in_order_and_a_full_pipe_waits_for_its_reader() {
        let (left, right) = pipe();
        let sent: Vec<u8> = (0..3 * SIZE + 5).map(|n| (n % 251) as u8).collect();
        let mut heard = Vec::new();
        let writing = async {
            left.write([&sent[..7], &sent[7..]]).await.unwrap();
            left.finish();
        };
        let reading = async {
            while poll_fn(|cx| right.poll_arrived(cx)).await.unwrap() {
                right.take(|bytes| {
                    let n = bytes.len().min(1000);
                    heard.extend_from_slice(&bytes[..n]);
                    (n, ())
                });
            }
        };
        tokio::join!(writing, reading);
        assert!(heard == sent);
    }

    #[tokio::test]
    async fn an_end_that_is_dropped_is_told_from_one_that_has_finished() {
        let (left, right) = pipe();
        left.write([b"last", b""]).await.unwrap();
        drop(left);
        assert!(poll_fn(|cx| right.poll_arrived(cx)).await.unwrap(), "what was written is still there");
        right.take(|bytes| (bytes.len(), ()));
        let ended = poll_fn(|cx| right.poll_arrived(cx)).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(right.write([b"x", b""]).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        poll_fn(|cx| right.poll_unread(cx)).await;
    }

    #[tokio::test]
    async fn an_inbox_takes_what_is_there_and_adds_to_what_it_has() {
        let (left, right) = pipe();
        let (mut stream, mut inbox) = (Stream::Pipe(right), Inbox::default());
        let (mut reader, _) = stream.split();
        left.put(b"one");
        assert_eq!(inbox.fill(&mut reader).await.unwrap(), 3);
        left.put(b" and two");
        assert_eq!((inbox.fill(&mut reader).await.unwrap(), inbox.bytes()), (8, &b"one and two"[..]));
        left.finish();
        assert_eq!(inbox.fill(&mut reader).await.unwrap(), 0);
        inbox.consume(11);
        assert_eq!(inbox.fill(&mut reader).await.unwrap(), 0);
        drop(left);
        assert_eq!(inbox.fill(&mut reader).await.unwrap(), 0, "it was said");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_makes_room_for_another() {
        let (near, far) = pipe();
        far.put(b"old");
        assert!(near.renew().is_none(), "it is there");
        near.leave();
        assert_eq!((far.next(), far.room(), far.put(b"x")), (Next::Broken, None, 0));
        drop(far);
        let far = near.renew().unwrap();
        assert_eq!((near.next(), near.room()), (Next::More, Some(SIZE)));
        assert_eq!(near.put(&[b'x'; SIZE + 1]), SIZE);
        far.take(|bytes| (bytes.len(), ()));
        far.finish();
        assert_eq!(near.next(), Next::End);
        assert!(near.take(|bytes| (0, bytes.is_empty())), "what the last one wrote went with it");
    }
}
