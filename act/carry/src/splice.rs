//! Bulk from socket to socket through a pipe of the system's: the bytes are moved, not copied, and this process never
//! sees them.
//!
//! A small piece costs more that way than to be read and written, so that this is for a direction in which much is under
//! way, and only for as long as it is. Pipes are on loan as buffers are: a connection that waits has none.

use crate::buffer::give_back;
use crate::stream::{Reader, Writer};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A read of at least so much says that there is bulk.
pub const BULK: usize = 48 * 1024;

/// A piece of less than this is the last that is moved: what comes so thin is cheaper copied.
const THIN: usize = 16 * 1024;

/// What is moved at once, and what a pipe has room for: four buffers.
const PIECE: usize = 256 * 1024;

/// Free pipes that a thread keeps; each is two descriptors.
const SPARE: usize = 16;

thread_local! {
    static PIPES: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// How far bulk was moved.
#[derive(Debug)]
pub enum Moved {
    /// What comes is no bulk any more, or cannot be moved this way. All that was taken is handed over.
    Thin,
    /// The sender has said the end.
    Ended,
    /// The sending socket failed.
    SenderFailed(io::Error),
    /// The receiving socket failed.
    ReceiverFailed(io::Error),
}

/// Moves what comes for as long as it is bulk, and adds to `moved` what the receiver's system took.
pub async fn move_bulk(from: &mut Reader<'_>, to: &mut Writer<'_>, moved: &Cell<u64>) -> Moved {
    let (Reader::Plain(from), Writer::Plain(to)) = (from, to) else { return Moved::Thin };
    let (from, to): (&TcpStream, &TcpStream) = ((*from).as_ref(), (*to).as_ref());
    loop {
        if let Err(error) = poll_fn(|cx| from.poll_read_ready(cx)).await {
            return Moved::SenderFailed(error);
        }
        let Some(mut pipe) = Pipe::borrow() else { return Moved::Thin };
        let taken = match from.try_io(Interest::READABLE, || pipe.fill(from)) {
            Ok(0) => return Moved::Ended,
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            // No socket that this can be done with.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Moved::Thin,
            Err(error) => return Moved::SenderFailed(error),
        };
        if let Err(error) = hand_over(&mut pipe, to, moved).await {
            return Moved::ReceiverFailed(error);
        }
        if taken < THIN {
            return Moved::Thin;
        }
    }
}

async fn hand_over(pipe: &mut Pipe, to: &TcpStream, moved: &Cell<u64>) -> io::Result<()> {
    while pipe.held > 0 {
        match to.try_io(Interest::WRITABLE, || pipe.drain(to)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(handed) => moved.set(moved.get() + handed as u64),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| to.poll_write_ready(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where a pipe is read, and where it is written.
type Ends = (OwnedFd, OwnedFd);

/// A pipe, given back when dropped if nothing is left in it.
struct Pipe {
    /// There until it is dropped.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// `None`: the system gives no more.
    fn borrow() -> Option<Pipe> {
        if let Some(ends) = PIPES.with_borrow_mut(Vec::pop) {
            return Some(Pipe { ends: Some(ends), held: 0 });
        }
        let (reads, writes) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Where a user may not have so much, what it has is enough.
        let _ = fcntl_setpipe_size(&writes, PIECE);
        Some(Pipe { ends: Some((reads, writes)), held: 0 })
    }

    /// Only an empty one: then nothing but the socket can make it wait.
    fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        debug_assert_eq!(self.held, 0, "what is there must be handed over first");
        let Some((_, writes)) = &self.ends else { return Ok(0) };
        let taken = splice(from.as_fd(), None, writes, None, PIECE, FLAGS)?;
        self.held += taken;
        Ok(taken)
    }

    fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let Some((reads, _)) = &self.ends else { return Ok(0) };
        let handed = splice(reads, None, to.as_fd(), None, self.held, FLAGS)?;
        self.held -= handed;
        Ok(handed)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take()
            && self.held == 0
        {
            give_back(&PIPES, SPARE, ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Moved, PIPES, move_bulk};
    use crate::Stream;
    use std::cell::Cell;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (peer, Stream::Plain(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn bulk_arrives_whole_and_what_is_thin_is_left_to_be_copied() {
        let ((mut sender, mut from), (mut receiver, mut to)) = (pair().await, pair().await);
        let sent: Vec<u8> = (0..10_000_000u32).map(|n| (n % 251) as u8).collect();
        let moved = Cell::new(0);
        let moving = async {
            let (mut from, _) = from.split();
            let (_, mut to) = to.split();
            loop {
                match move_bulk(&mut from, &mut to, &moved).await {
                    Moved::Thin => {}
                    other => break other,
                }
            }
        };
        let send = async {
            sender.write_all(&sent).await.unwrap();
            sender.shutdown().await.unwrap();
        };
        let mut got = vec![0; sent.len()];
        let (end, (), _) = tokio::join!(moving, send, async { receiver.read_exact(&mut got).await.unwrap() });
        assert!(matches!(end, Moved::Ended), "{end:?}");
        assert!(got == sent && moved.get() == sent.len() as u64);
        assert_eq!(PIPES.with_borrow(Vec::len), 1, "one pipe was enough, and is free again");
    }

    #[tokio::test]
    async fn a_receiver_that_is_gone_is_told_from_a_sender_that_is() {
        let ((mut sender, mut from), (receiver, mut to)) = (pair().await, pair().await);
        drop(receiver);
        let moved = Cell::new(0);
        let (mut read, _) = from.split();
        let (_, mut write) = to.split();
        let send = async { while sender.write_all(&[7; 100_000]).await.is_ok() {} };
        let end = tokio::select! {
            () = send => panic!("nobody reads any more"),
            end = async {
                loop {
                    match move_bulk(&mut read, &mut write, &moved).await {
                        Moved::Thin => {}
                        other => break other,
                    }
                }
            } => end,
        };
        assert!(matches!(end, Moved::ReceiverFailed(_)), "{end:?}");
        assert_eq!(PIPES.with_borrow(Vec::len), 0, "one with bytes in it is not used again");
        let ((sender, mut from), (_receiver, mut to)) = (pair().await, pair().await);
        sender.set_zero_linger().unwrap();
        drop(sender);
        let (mut read, _) = from.split();
        let (_, mut write) = to.split();
        let end = move_bulk(&mut read, &mut write, &moved).await;
        assert!(matches!(end, Moved::SenderFailed(_)), "{end:?}");
    }
}
