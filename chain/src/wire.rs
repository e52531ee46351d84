//! What edge processes of one node say to each other, over a Unix socket in the home: frames of JSON, each
//! after its length, and open files beside them.
//!
//! The one that serves listens. Three kinds of callers come: a successor, which asks for the sockets; one that
//! drains, which tells what it still carries; and a command, which asks how it stands.

use naru_edge::Lent;
use naru_model::{DrainingEdge, EdgeId, EdgeReport, EdgeSnapshot, InstanceId, RouteTable, Time};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The format of all that follows. A successor of another version is refused, and the old edge serves on.
pub const VERSION: u32 = 1;

/// A frame is not longer: a table of 100,000 instances takes less.
const FRAME_MAX: usize = 64 << 20;

/// Files that go with one byte; the system takes up to 253.
const FILES: usize = 200;

/// The first word of who calls.
#[derive(Debug, Serialize, Deserialize)]
pub enum Hello {
    /// A successor.
    TakeOver {
        /// The [`VERSION`] that it speaks.
        version: u32,
    },
    /// An edge that drains.
    Drains {
        /// Its number in the chain.
        link: u32,
        /// Its process.
        pid: u32,
        /// The edge that both are.
        edge: EdgeId,
    },
    /// A command.
    Ask,
}

/// What the old edge answers to a successor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Offer {
    /// It may not take over.
    Refused {
        /// Why.
        why: String,
    },
    /// All that it needs; the files follow: the role's lock, then one socket for each key.
    Ready {
        /// Who it becomes.
        edge: EdgeId,
        /// When that edge began.
        began: Time,
        /// The old one's number in the chain.
        place: u32,
        /// The table that is applied.
        table: RouteTable,
        /// What each socket listens on.
        keys: Vec<String>,
    },
}

/// The steps of a hand-over after the offer, in this order.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The successor: it has all and could begin.
    Prepared,
    /// The old one: begin.
    Begin,
    /// The successor: all its workers accept.
    Accepts,
    /// The old one: it accepts no more, and the successor is the edge now.
    Yours,
    /// The successor: it cannot, for this reason.
    Failed(String),
}

/// What one that drains says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Carried {
    /// All that it has counted.
    pub report: EdgeReport,
    /// Connections that are still open.
    pub connections: u64,
    /// What is seen of it from outside, with what those had counted that were gone when it stopped to serve. Now and
    /// then, and at last: it is larger than all the rest.
    #[serde(default)]
    pub seen: Option<Box<EdgeSnapshot>>,
}

/// What one that drains is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Told {
    /// Choose by this.
    Table(Arc<RouteTable>),
    /// Its report of that number was taken, and these instances are gone.
    Gone(u64, Vec<InstanceId>),
    /// Whoever serves has not taken over these sockets, and opens the addresses anew.
    Release,
    /// The edge as a whole ends: idle connections need not be kept.
    Finish,
    /// What is in progress is to be cut.
    Cut,
}

/// What a command is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The process that serves.
    pub pid: u32,
    /// Its open connections.
    pub connections: u64,
    /// Those that drain, oldest first.
    pub draining: Vec<DrainingEdge>,
}

/// A connection between two edge processes.
pub struct Link {
    reads: OwnedReadHalf,
    writes: OwnedWriteHalf,
}

impl Link {
    /// Over an open connection.
    pub fn new(stream: UnixStream) -> Link {
        let (reads, writes) = stream.into_split();
        Link { reads, writes }
    }

    /// Both directions apart.
    pub fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.reads, self.writes)
    }

    /// Says a frame.
    ///
    /// # Errors
    /// The other side is gone.
    pub async fn say(&mut self, frame: &impl Serialize) -> io::Result<()> {
        say(&mut self.writes, frame).await
    }

    /// Hears the next frame.
    ///
    /// # Errors
    /// The other side is gone, or makes no sense.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        hear(&mut self.reads).await
    }

    /// Sends open files, which the other side gets copies of.
    ///
    /// # Errors
    /// The other side is gone, or the system refuses.
    pub async fn give(&mut self, files: &[OwnedFd]) -> io::Result<()> {
        let stream = self.writes.as_ref();
        for some in files.chunks(FILES) {
            stream.async_io(Interest::WRITABLE, || give(stream, some)).await?;
        }
        Ok(())
    }

    /// Takes as many open files as the other side said it gives.
    ///
    /// # Errors
    /// The other side is gone, or fewer came: the system gives this process no more.
    pub async fn take(&mut self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let stream = self.reads.as_ref();
        let mut all = Vec::new();
        while all.len() < count {
            let wanted = FILES.min(count - all.len());
            let some = stream.async_io(Interest::READABLE, || take(stream)).await?;
            if some.len() != wanted {
                return Err(io::Error::other(format!("{} of {wanted} open files arrived", some.len())));
            }
            all.extend(some);
        }
        Ok(all)
    }
}

/// Says a frame.
///
/// # Errors
/// The other side is gone.
pub async fn say(to: &mut OwnedWriteHalf, frame: &impl Serialize) -> io::Result<()> {
    let content = serde_json::to_vec(frame)?;
    let length = u32::try_from(content.len()).ok().filter(|length| *length as usize <= FRAME_MAX);
    let length = length.ok_or_else(|| io::Error::other("a frame is too long"))?;
    to.write_all(&length.to_be_bytes()).await?;
    to.write_all(&content).await
}

/// Hears the next frame. Not safe to cancel and go on.
///
/// # Errors
/// The other side is gone, or makes no sense.
pub async fn hear<T: DeserializeOwned>(from: &mut OwnedReadHalf) -> io::Result<T> {
    let length = from.read_u32().await? as usize;
    if length > FRAME_MAX {
        return Err(io::Error::other("a frame is too long"));
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    Ok(serde_json::from_slice(&content)?)
}

/// Sockets as what was sent with them says.
pub fn lent(keys: Vec<String>, sockets: Vec<OwnedFd>) -> Vec<Lent> {
    keys.into_iter().zip(sockets).map(|(key, socket)| Lent { key, socket }).collect()
}

fn give(stream: &UnixStream, files: &[OwnedFd]) -> io::Result<()> {
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut beside = SendAncillaryBuffer::new(&mut room);
    if !beside.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("too many open files at once"));
    }
    sendmsg(stream, &[IoSlice::new(b"+")], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn take(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES))];
    let mut beside = RecvAncillaryBuffer::new(&mut room);
    let mut byte = [0];
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let messages = beside.drain();
    let files = messages.filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    Ok(files.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::{Link, Step};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;
    use tokio::net::UnixStream;

    /// More than the system takes in one message; each is the same file as before.
    #[tokio::test]
    async fn many_files_arrive_in_order_between_frames() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut gives, mut takes) = (Link::new(one), Link::new(other));
        let listeners: Vec<_> = (0..450).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = listeners.iter().map(|one| one.local_addr().unwrap()).collect();
        let files: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();
        let give = async {
            gives.say(&Step::Prepared).await.unwrap();
            gives.give(&files).await.unwrap();
            gives.say(&Step::Begin).await.unwrap();
        };
        let take = async {
            assert_eq!(takes.hear::<Step>().await.unwrap(), Step::Prepared);
            let taken = takes.take(450).await.unwrap();
            assert_eq!(takes.hear::<Step>().await.unwrap(), Step::Begin);
            taken
        };
        let ((), taken) = tokio::join!(give, take);
        drop(files);
        let taken: Vec<TcpListener> = taken.into_iter().map(TcpListener::from).collect();
        assert_eq!(taken.iter().map(|one| one.local_addr().unwrap()).collect::<Vec<_>>(), ports);
        let mut client = TcpStream::connect(ports[449]).unwrap();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        taken[449].accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }
}
