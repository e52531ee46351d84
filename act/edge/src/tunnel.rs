//! Bytes both ways, unread: TCP connections, and what a 101 leaves behind.

use crate::Config;
use crate::drain::Limits;
use crate::frames::Frames;
use naru_books::Ending;
use naru_carry::{BULK, Inbox, Moved as Bulk, Reader, Writer, finish, linger, move_bulk, write_all};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;

/// What an instance's end means for the other direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Nothing: each direction ends for itself, as TCP has it.
    Apart,
    /// An upgraded protocol is over once the instance has closed.
    Together,
}

/// How one direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// The sender said the end, and the receiver has all.
    Through,
    /// The sending socket failed.
    SenderFailed,
    /// The receiving socket failed: so.
    ReceiverFailed(io::ErrorKind),
}

/// Carries bytes both ways until both directions, or one of the peers, are done. `inbox`es hold what was
/// read already. A stream that the instance ends first was lost if it does not listen at `address` any more: the
/// system closes what a killed process had open as properly as the process itself would have. A direction that moves nothing for `stall_time` after the other has ended ends as well.
pub(crate) async fn run(
    client: (&mut Reader<'_>, &mut Writer<'_>, &mut Inbox),
    instance: (Reader<'_>, Writer<'_>),
    answer: &mut Inbox,
    address: SocketAddr,
    closing: Closing,
    limits: &Limits,
    config: &Config,
) -> Ended {
    let (mut from_instance, mut to_instance) = instance;
    let (from_client, to_client, inbox) = client;
    let moved = Cell::new(0);
    let by = Cell::new(By::Peers);
    let mut presence = Presence::NotAsked;
    let ended = {
        let mut up = pin!(pump(from_client, &mut to_instance, inbox, &moved));
        let mut down = pin!(async {
            match Frames::of(limits, &by, config.linger_time) {
                Some(frames) => Box::pin(frames.pump(&mut from_instance, to_client, answer, &moved)).await,
                None => pump(&mut from_instance, to_client, answer, &moved).await,
            }
        });
        // Boxed: what is rare must not make every connection larger.
        let mut over = limits.are_of_bytes().then(|| Box::pin(limits.over(&moved)));
        let mut open = Open { up: None, down: None };
        loop {
            let half = open.is_half();
            let step = poll_fn(|cx| {
                let before = open;
                if open.up.is_none()
                    && let Poll::Ready(end) = up.as_mut().poll(cx)
                {
                    open.up = Some(end);
                }
                if open.down.is_none()
                    && let Poll::Ready(end) = down.as_mut().poll(cx)
                {
                    open.down = Some(end);
                }
                if over.as_mut().is_some_and(|over| over.as_mut().poll(cx).is_ready()) {
                    by.set(By::Edge);
                }
                if open == before && by.get() == By::Peers { Poll::Pending } else { Poll::Ready(()) }
            });
            if !half {
                step.await;
            } else if unless_stalled(step, &moved, config.stall_time).await == Moved::No {
                break Ending::Full { status: 0 };
            }
            if by.get() == By::Edge {
                break Ending::Full { status: 0 };
            }
            if presence == Presence::NotAsked && open.is_ended_by_instance() {
                presence = Presence::ask(address, config.connect_time).await;
            }
            if let Some(ending) = open.ending(closing) {
                break ending;
            }
        }
    };
    let is_full = matches!(ended, Ending::Full { .. });
    let ended = if is_full && presence == Presence::Gone { Ending::Gone } else { ended };
    if by.get() == By::Edge {
        finish(&mut to_instance).await;
    }
    if (closing == Closing::Together || by.get() == By::Edge) && ended != Ending::Lost {
        linger(from_client, to_client, config.linger_time).await;
    }
    Ended { ending: ended, by: by.get() }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    pub(crate) by: By,
}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Peers,
    /// The service's policy.
    Edge,
}

/// Which directions have ended, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open {
    up: Option<Pumped>,
    down: Option<Pumped>,
}

impl Open {
    fn is_half(&self) -> bool {
        self.up.is_some() != self.down.is_some()
    }

    fn is_ended_by_instance(&self) -> bool {
        self.down == Some(Pumped::Through) && self.up.is_none()
    }

    fn ending(&self, closing: Closing) -> Option<Ending> {
        // A reset of a peer that had said its end before shows as a broken pipe: it died in order.
        let reset = Pumped::ReceiverFailed(io::ErrorKind::ConnectionReset);
        match (self.up, self.down) {
            (_, Some(Pumped::SenderFailed)) => Some(Ending::Lost),
            (Some(up), _) if up == reset => Some(Ending::Lost),
            (Some(Pumped::SenderFailed), _) | (_, Some(Pumped::ReceiverFailed(_))) => {
                Some(Ending::ClientLeft)
            }
            (_, Some(Pumped::Through)) if closing == Closing::Together => Some(Ending::Full { status: 0 }),
            (Some(_), Some(_)) => Some(Ending::Full { status: 0 }),
            _ => None,
        }
    }
}

/// Whether an instance is still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    NotAsked,
    /// Or nobody knows.
    There,
    Gone,
}

impl Presence {
    /// Asks after a moment: a process that is killed closes what it listens on after its connections. The moment is
    /// shorter than the delay before a restart, after which another listens there.
    async fn ask(address: SocketAddr, limit: Duration) -> Presence {
        const MOMENT: Duration = Duration::from_millis(20);
        tokio::time::sleep(MOMENT).await;
        match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Reset at once, most servers never hand it to the program. If it cannot be, it is closed.
                let _ = stream.set_zero_linger();
                Presence::There
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Presence::Gone,
            _ => Presence::There,
        }
    }
}

async fn pump(from: &mut Reader<'_>, to: &mut Writer<'_>, inbox: &mut Inbox, moved: &Cell<u64>) -> Pumped {
    /// A stream may rest for as long as it likes, in either direction.
    const NEVER: Duration = Duration::MAX;
    loop {
        let n = inbox.bytes().len();
        if let Err(error) = write_all(to, [inbox.bytes(), &[]], NEVER, moved).await {
            return Pumped::ReceiverFailed(error.kind());
        }
        inbox.consume(n);
        // Boxed: what is rare must not make every connection larger.
        let bulk = if n < BULK { Bulk::Thin } else { Box::pin(move_bulk(from, to, moved)).await };
        let end = match bulk {
            Bulk::Thin => match inbox.fill(from).await {
                Ok(1..) => continue,
                Ok(_) => Pumped::Through,
                Err(_) => Pumped::SenderFailed,
            },
            Bulk::Ended => Pumped::Through,
            Bulk::SenderFailed(_) => Pumped::SenderFailed,
            Bulk::ReceiverFailed(error) => Pumped::ReceiverFailed(error.kind()),
        };
        if end == Pumped::Through {
            finish(to).await;
        }
        return end;
    }
}

#[derive(PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

/// Waits for `step`, as long as bytes move meanwhile.
async fn unless_stalled(step: impl Future<Output = ()>, moved: &Cell<u64>, stall: Duration) -> Moved {
    let mut step = pin!(step);
    loop {
        let before = moved.get();
        if tokio::time::timeout(stall, step.as_mut()).await.is_ok() {
            return Moved::Yes;
        }
        if moved.get() == before {
            return Moved::No;
        }
    }
}
