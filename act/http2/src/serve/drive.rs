//! The task of a connection: its socket, its timers, and those that rang.

use super::Times;
use super::connection::Connection;
use super::ring::{LEAVE, Ring, SOCKET, TIME};
use naru_carry::{End, Inbox, Reader, Stream, Writer, linger};
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::task::coop::{has_budget_remaining, unconstrained};
use tokio::time::{Instant, Sleep, sleep};

/// How often it is looked at those that have something to do before others get the thread.
const ROUNDS: usize = 16;

/// How often the socket is read, or written, at a time: a buffer's length each.
const CALLS: usize = 4;

/// A connection, and its socket.
pub(super) struct Drive<'a, L, F: Future<Output = ()>, B> {
    read: Reader<'a>,
    write: Writer<'a>,
    inbox: Inbox,
    connection: Connection<F, B>,
    ring: Arc<Ring>,
    /// Who rang.
    rung: Vec<u16>,
    socket: Waker,
    time: Waker,
    leaves: Waker,
    /// When it is looked whether the connection is of use.
    rest: Pin<Box<Sleep>>,
    /// When a client that takes nothing has had its time.
    stall: Option<Pin<Box<Sleep>>>,
    leave: Option<Pin<&'a mut L>>,
    times: Times,
    state: State,
}

/// What the socket is like.
#[derive(Default)]
struct State {
    /// It takes no more for now.
    is_full: bool,
    /// What was written waits to be handed to the system.
    is_unflushed: bool,
    /// It is not read, since the client does not read.
    is_unread: bool,
    /// The connection was told to end.
    is_leaving: bool,
    /// It is over, and its last bytes have their time.
    is_ending: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All was said; the client has still to hear it.
    Said,
    /// The client is gone, or has had its time.
    Lost,
}

impl<'a, L: Future<Output = ()>, F: Future<Output = ()>, B: Fn(End) -> F> Drive<'a, L, F, B> {
    pub(super) fn new(
        stream: &'a mut Stream,
        first: Vec<u8>,
        times: Times,
        leave: Pin<&'a mut L>,
        begin: B,
    ) -> Drive<'a, L, F, B> {
        let (read, write) = stream.split();
        let (mut inbox, ring) = (Inbox::default(), Arc::<Ring>::default());
        // What was read before is less than a buffer.
        inbox.append(&first);
        [SOCKET, TIME, LEAVE].into_iter().for_each(|bell| ring.ring(bell));
        Drive {
            read,
            write,
            inbox,
            connection: Connection::new(ring.clone(), begin),
            rung: Vec::new(),
            socket: ring.bell(SOCKET),
            time: ring.bell(TIME),
            leaves: ring.bell(LEAVE),
            ring,
            rest: Box::pin(sleep(times.greeting)),
            stall: None,
            leave: Some(leave),
            times,
            state: State::default(),
        }
    }

    /// Serves until either side has had enough.
    pub(super) async fn run(mut self) {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        self.finish(ended).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.ring.wake();
        for round in 1..=ROUNDS {
            let Some(any) = self.look() else { return Poll::Ready(Ended::Lost) };
            // What all have to say is written together.
            if any && round < ROUNDS && has_budget_remaining() {
                continue;
            }
            if self.write().is_none() {
                return Poll::Ready(Ended::Lost);
            }
            if !self.ring.is_rung() || !has_budget_remaining() {
                break;
            }
        }
        if self.connection.is_over() && !self.is_behind() {
            return Poll::Ready(Ended::Said);
        }
        self.connection.rest();
        self.ring.rest(cx.waker());
        Poll::Pending
    }

    /// Looks at those that rang. Whether there were any; `None`: the client is gone.
    fn look(&mut self) -> Option<bool> {
        let mut rung = mem::take(&mut self.rung);
        let any = self.ring.take(&mut rung);
        let mut is_there = Some(());
        for number in rung.drain(..) {
            match number {
                SOCKET => is_there = is_there.and(self.read()),
                TIME => is_there = is_there.and(self.look_at_time()),
                LEAVE => self.look_whether_to_leave(),
                // The thread is somebody else's for a while.
                _ if !has_budget_remaining() => self.ring.ring(number),
                stream => self.connection.work(stream),
            }
        }
        self.rung = rung;
        is_there.map(|()| any)
    }

    fn read(&mut self) -> Option<()> {
        self.state.is_full = false;
        for _ in 0..CALLS {
            let n = self.connection.receive(self.inbox.bytes());
            self.inbox.consume(n);
            if !self.connection.takes() {
                self.state.is_unread = true;
                return Some(());
            }
            match self.poll_read() {
                Poll::Ready(n) => n?,
                Poll::Pending => return Some(()),
            }
        }
        self.ring.ring(SOCKET);
        Some(())
    }

    fn poll_read(&mut self) -> Poll<Option<()>> {
        let mut cx = Context::from_waker(&self.socket);
        let read = pin!(unconstrained(poll_fn(|cx| self.inbox.poll_fill(cx, &mut self.read))));
        read.poll(&mut cx).map(|read| matches!(read, Ok(1..)).then_some(()))
    }

    /// Writes what there is, as far as the client takes it. `None`: it is gone.
    fn write(&mut self) -> Option<()> {
        for _ in 0..CALLS {
            if self.state.is_full {
                return self.wait_for_client();
            }
            let more = self.connection.send();
            if !self.is_behind() {
                self.stall = None;
                self.read_on();
                return Some(());
            }
            match self.poll_write() {
                Poll::Ready(written) => written?,
                Poll::Pending => return self.wait_for_client(),
            }
            if !more && !self.is_behind() {
                self.stall = None;
                self.read_on();
                return Some(());
            }
        }
        self.ring.ring(SOCKET);
        Some(())
    }

    /// Whether something waits to be written.
    fn is_behind(&self) -> bool {
        self.state.is_unflushed || !self.connection.out.bytes().is_empty()
    }

    fn poll_write(&mut self) -> Poll<Option<()>> {
        let mut cx = Context::from_waker(&self.socket);
        let Drive { write, connection, state, .. } = self;
        let out = &mut connection.out;
        let written = pin!(unconstrained(poll_fn(|cx| {
            if out.bytes().is_empty() {
                return write.poll_flush(cx).map_ok(|()| 0);
            }
            let written = write.poll_write(cx, [out.bytes(), &[]]);
            if let (Writer::Tls(_), Poll::Ready(Ok(_))) = (&write, &written) {
                // Its last bytes may wait in it.
                state.is_unflushed = true;
            }
            written
        })));
        written.poll(&mut cx).map(|written| match written {
            Ok(0) if out.bytes().is_empty() => {
                state.is_unflushed = false;
                Some(())
            }
            Ok(0) | Err(_) => None,
            Ok(n) => {
                out.wrote(n);
                self.stall = None;
                Some(())
            }
        })
    }

    fn wait_for_client(&mut self) -> Option<()> {
        self.state.is_full = true;
        if self.stall.is_none() {
            self.stall = Some(Box::pin(sleep(self.times.stall)));
            self.ring.ring(TIME);
        }
        if self.connection.is_over() && !mem::replace(&mut self.state.is_ending, true) {
            self.rest.as_mut().reset(Instant::now() + self.times.linger);
            self.ring.ring(TIME);
        }
        Some(())
    }

    /// Goes on with a client that did not read, and does now.
    fn read_on(&mut self) {
        if self.connection.takes() && mem::take(&mut self.state.is_unread) {
            self.ring.ring(SOCKET);
        }
    }

    /// `None`: the client has had its time.
    fn look_at_time(&mut self) -> Option<()> {
        let mut cx = Context::from_waker(&self.time);
        if self.stall.as_mut().is_some_and(|stall| stall.as_mut().poll(&mut cx).is_ready()) {
            return None;
        }
        while self.rest.as_mut().poll(&mut cx).is_ready() {
            let used = self.connection.was_used();
            let next = match (self.connection.is_open(), used, self.state.is_leaving) {
                // It was told, and does not close; or it has not greeted, or does not take the last bytes.
                (false, ..) | (_, false, true) => return None,
                (_, true, true) => self.times.linger,
                (_, true, false) => self.times.idle,
                (_, false, false) => {
                    self.state.is_leaving = true;
                    self.connection.leave();
                    self.times.linger
                }
            };
            self.rest.as_mut().reset(Instant::now() + next);
        }
        Some(())
    }

    fn look_whether_to_leave(&mut self) {
        let mut cx = Context::from_waker(&self.leaves);
        if self.leave.as_mut().is_some_and(|leave| leave.as_mut().poll(&mut cx).is_ready()) {
            self.leave = None;
            self.state.is_leaving = true;
            self.connection.leave();
            self.rest.as_mut().reset(Instant::now() + self.times.linger);
            self.ring.ring(TIME);
        }
    }

    /// Waits until the client has heard the end, and all who work for it have.
    async fn finish(mut self, ended: Ended) {
        self.connection.lose();
        let Drive { mut read, mut write, mut connection, ring, mut rung, times, .. } = self;
        let works = poll_fn(|cx| {
            ring.wake();
            for _ in 0..ROUNDS {
                if !ring.take(&mut rung) || !has_budget_remaining() {
                    break;
                }
                for number in rung.drain(..) {
                    connection.streams.work(number);
                }
            }
            if connection.streams.are_done() {
                return Poll::Ready(());
            }
            ring.rest(cx.waker());
            Poll::Pending
        });
        let hearing = async {
            if ended == Ended::Said {
                linger(&mut read, &mut write, times.linger).await;
            }
        };
        tokio::join!(works, hearing);
    }
}
