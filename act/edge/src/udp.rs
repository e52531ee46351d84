//! UDP listeners: the datagrams between a client's address and one instance are a flow, which counts as a stream.
//!
//! A flow's instance is chosen by a hash of where it comes from, so that every worker, an edge that is begun anew and a
//! successor choose the same while the instances are the same. A flow that has begun stays with its instance, also when
//! that retires, until nothing moves for the policy's `idle_timeout`. Where the instance refuses, because its process is
//! gone, the flow moves to another, and so does the datagram that was refused.
//!
//! A successor reads from the same sockets. So this edge stops reading the moment it leaves; what the instances still
//! have to say to clients of its flows is passed on until those are idle.
//!
//! An answer comes from the address of this machine that was asked: where the listener is bound to all of them, the system
//! tells of each datagram where it came, and flows to two of them are two.
//!
//! Datagrams are sent by the system's call, not by the runtime's, which takes a socket that it has not waited on yet
//! for one without room.

use crate::drain::Drain;
use crate::route::{Route, Stage};
use crate::set::Chosen;
use crate::worker::Worker;
use naru_books::{Claim, Ending, Entry, Kind, Passing};
use naru_carry::{Buffer, Datagram, Local, Room};
use naru_model::Span;
use naru_traffic::Ticket;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a flow may be silent where the policy does not say: the least that NATs on its way keep to (RFC 4787,
/// REQ-5), so that who wants a flow to stay sends more often anyway; and what a retiring instance has to wait for.
const IDLE: Duration = Duration::from_secs(120);

/// Datagrams that are taken at once before others have their turn.
const BATCH: usize = 64;

/// To how many instances a datagram is sent: if so many refuse it, the others will hardly be there either.
const TRIES: usize = 3;

/// How long to wait when the system has no socket for a new flow.
const NO_SOCKET: Duration = Duration::from_millis(20);

/// The flows of one socket.
struct Flows {
    socket: Rc<UdpSocket>,
    each: RefCell<HashMap<Ends, Rc<Flow>>>,
    /// Those whose claims are not ended yet, and who is told when one is.
    open: Cell<usize>,
    ended: Notify,
    /// It counts those of all its listeners.
    worker: Rc<Worker>,
}

/// Where a client's datagrams come from, and where they come, if that is to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ends {
    client: SocketAddr,
    here: Option<Local>,
}

/// One client's datagrams to one instance, and back.
struct Flow {
    ends: Ends,
    upstream: UdpSocket,
    route: Rc<Route>,
    entry: Rc<Entry>,
    ticket: Ticket,
    began: Instant,
    /// When something did, in either direction.
    moved: Cell<Instant>,
    /// Whether the instance has said anything.
    answered: Cell<bool>,
    /// How it ends before its time, told by `over`.
    ending: Cell<Ending>,
    over: Notify,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// The system has it, or dropped it, as it may.
    Done,
    /// Nobody is there.
    Refused,
}

/// Carries flows until `stop` is told, and then those that are there to their ends.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    route: &RefCell<Rc<Route>>,
    socket: Rc<UdpSocket>,
    stop: &Notify,
) {
    if let Err(error) = ask_where_bound_to_all(&socket) {
        tracing::warn!(%error, "answers of UDP come from the address that the system takes");
    }
    let (each, open, ended) = (RefCell::default(), Cell::new(0), Notify::new());
    let flows = Rc::new(Flows { socket, each, open, ended, worker });
    {
        let mut stopped = pin!(stop.notified());
        loop {
            let readable = tokio::select! {
                biased;
                () = stopped.as_mut() => break,
                readable = flows.socket.readable() => readable,
            };
            let at = route.borrow().clone();
            match readable.and_then(|()| flows.take(&at)) {
                // Others of this thread have their turn.
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => {
                    tracing::warn!(%error, "there is no socket for a flow of UDP");
                    tokio::time::sleep(NO_SOCKET).await;
                }
            }
        }
    }
    let route = route.borrow().clone();
    flows.rest(&route, flows.worker.config.linger_time).await;
}

impl Flows {
    /// Hands on what has come from clients.
    fn take(self: &Rc<Flows>, route: &Rc<Route>) -> io::Result<()> {
        let (mut buffer, mut room) = (Buffer::borrow(), Room::default());
        for _ in 0..BATCH {
            let take = || naru_carry::receive(&self.socket, &mut buffer, &mut room);
            match self.socket.try_io(Interest::READABLE, take) {
                Ok(Datagram { len, from, to }) => {
                    self.pass(route, Ends { client: from, here: to }, &buffer[..len])?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Of a datagram that this socket sent before: the client is not there any more.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Hands on a datagram, to another instance if one refuses it. One that nobody takes is dropped.
    fn pass(self: &Rc<Flows>, route: &Rc<Route>, ends: Ends, datagram: &[u8]) -> io::Result<()> {
        let mut tried: Vec<Rc<Entry>> = Vec::new();
        for _ in 0..TRIES {
            let known = self.each.borrow().get(&ends).cloned();
            let flow = match known {
                Some(flow) => flow,
                None => match self.begin(route, ends, &tried)? {
                    Some(flow) => flow,
                    None => break,
                },
            };
            flow.moved.set(Instant::now());
            if flow.send(datagram) == Sent::Done {
                return Ok(());
            }
            tried.push(flow.entry.clone());
            self.leave(&flow, flow.refused(&tried));
        }
        Ok(())
    }

    /// Begins a flow at an instance that was not tried. `None`: there is none, or no room.
    fn begin(
        self: &Rc<Flows>,
        route: &Rc<Route>,
        ends: Ends,
        tried: &[Rc<Entry>],
    ) -> io::Result<Option<Rc<Flow>>> {
        let may_come = route.entrance().admits(ends.client.ip());
        let chosen = (may_come && self.has_room()).then(|| {
            route.own.choose(Kind::Stream, route.own.hint_of(ends.client), tried, Instant::now().into_std())
        });
        let Some(Ok(Chosen { claim, address, ticket })) = chosen else {
            route.register.turned_away();
            return Ok(None);
        };
        let upstream = match connect(address) {
            Ok(upstream) => upstream,
            Err(error) => {
                route.own.failed(ticket);
                claim.end(Ending::Lost);
                if is_refusal(&error) {
                    return Ok(None);
                }
                self.give_way();
                return Err(error);
            }
        };
        let flow = Rc::new(Flow::new(ends, upstream, route.clone(), &claim, ticket));
        self.each.borrow_mut().insert(ends, flow.clone());
        self.worker.flow_began();
        self.open.set(self.open.get() + 1);
        tokio::task::spawn_local(flow.clone().run(self.clone(), claim));
        Ok(Some(flow))
    }

    /// Whether there is room for one more, made if need be.
    fn has_room(&self) -> bool {
        let (flows, most) = (|| self.worker.flows(), self.worker.config.max_flows);
        if flows() >= most {
            self.give_way();
        }
        flows() < most
    }

    /// Ends those that were silent for longest: one of them that wakes begins again, and at the same instance. Were new
    /// ones refused instead, forged addresses would keep all clients out. It is one of sixteen, so that looking for
    /// them costs each new flow little.
    fn give_way(&self) {
        let mut by_age: Vec<Rc<Flow>> = self.each.borrow().values().cloned().collect();
        by_age.sort_unstable_by_key(|flow| flow.moved.get());
        for flow in by_age.iter().take(by_age.len().div_ceil(16)) {
            self.leave(flow, Ending::Full { status: 0 });
        }
    }

    /// The flow takes nothing more, and ends.
    fn leave(&self, flow: &Rc<Flow>, ending: Ending) {
        flow.ending.set(ending);
        flow.over.notify_one();
        self.forget(flow);
    }

    /// The client's next datagram begins another.
    fn forget(&self, flow: &Rc<Flow>) {
        let mut each = self.each.borrow_mut();
        if each.get(&flow.ends).is_some_and(|known| Rc::ptr_eq(known, flow)) {
            each.remove(&flow.ends);
            self.worker.flow_ended();
        }
    }

    /// Lets those that are there come to their ends. Left to a successor, their instances may answer until they are
    /// silent, but no longer than a client may be: one that is still there has a flow at the successor by then. Where
    /// the address is removed, or the edge ends, only what is on its way comes.
    async fn rest(&self, route: &Route, linger_time: Duration) {
        let mut closing = pin!(route.closing.notified());
        closing.as_mut().enable();
        if route.stage() == Stage::Leaving {
            tokio::select! {
                () = closing => {}
                () = tokio::time::sleep(idle(route)) => {}
                () = self.all_ended() => {}
            }
        }
        let linger_time = if route.stage() == Stage::Released { Duration::ZERO } else { linger_time };
        if tokio::time::timeout(linger_time, self.all_ended()).await.is_err() {
            let all: Vec<Rc<Flow>> = self.each.borrow().values().cloned().collect();
            all.iter().for_each(|flow| flow.over.notify_one());
            self.all_ended().await;
        }
    }

    async fn all_ended(&self) {
        while self.open.get() > 0 {
            self.ended.notified().await;
        }
    }
}

impl Flow {
    fn new(ends: Ends, upstream: UdpSocket, route: Rc<Route>, claim: &Claim, ticket: Ticket) -> Flow {
        let now = Instant::now();
        Flow {
            ends,
            upstream,
            route,
            entry: claim.entry().clone(),
            ticket,
            began: now,
            moved: Cell::new(now),
            answered: Cell::new(false),
            ending: Cell::new(Ending::Full { status: 0 }),
            over: Notify::new(),
        }
    }

    /// Sends to the instance. What the system says of it at once, as it does of its own ports, is heard at once.
    fn send(&self, datagram: &[u8]) -> Sent {
        let socket = SockRef::from(&self.upstream);
        match socket.send(datagram).and_then(|_| socket.take_error()) {
            Ok(Some(error)) | Err(error) if is_refusal(&error) => Sent::Refused,
            // It may have had no room for it, or found it too large for the way.
            _ => Sent::Done,
        }
    }

    /// The instance is not there; what that means, where `tried` are the ones that took nothing.
    fn refused(&self, tried: &[Rc<Entry>]) -> Ending {
        self.route.own.failed(self.ticket);
        let elsewhere = !self.answered.get() && self.route.own.has_another(tried.iter());
        if elsewhere { Ending::HandedOver } else { Ending::Lost }
    }

    /// Passes on what the instance says, until the flow is over.
    async fn run(self: Rc<Flow>, flows: Rc<Flows>, claim: Claim) {
        self.route.register.opened();
        let seen = Passing::begin(&self.route.register, None);
        let drain = self.route.own.with_policy(|policy| policy.stream_drain);
        let drained = async {
            match drain {
                Some(within) => Drain { entry: self.entry.clone(), within: span(within) }.due().await,
                None => pending().await,
            }
        };
        let ending = tokio::select! {
            biased;
            () = self.over.notified() => self.ending.get(),
            () = drained => {
                seen.closed();
                Ending::Full { status: 0 }
            }
            () = self.silence(idle(&self.route)) => Ending::Full { status: 0 },
            ending = self.answers(&flows.socket) => ending,
        };
        claim.end(ending);
        self.route.register.closed();
        flows.forget(&self);
        flows.open.set(flows.open.get() - 1);
        flows.ended.notify_one();
    }

    /// Until nothing has moved for so long.
    async fn silence(&self, idle: Duration) {
        loop {
            let due = self.moved.get() + idle;
            if due <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }

    /// Until the instance is gone.
    async fn answers(&self, to: &UdpSocket) -> Ending {
        loop {
            if self.upstream.readable().await.is_err() {
                return Ending::Lost;
            }
            let mut buffer = Buffer::borrow();
            for _ in 0..BATCH {
                match self.upstream.try_recv(&mut buffer) {
                    Ok(n) => {
                        self.note_answer();
                        // One that cannot be sent is dropped.
                        let Ends { client, here } = self.ends;
                        let send = || naru_carry::send(to, &buffer[..n], client, here);
                        let _ = to.async_io(Interest::WRITABLE, send).await;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_refusal(&error) => {
                        return self.refused(std::slice::from_ref(&self.entry));
                    }
                    Err(_) => {}
                }
            }
            drop(buffer);
            tokio::task::yield_now().await;
        }
    }

    fn note_answer(&self) {
        let now = Instant::now();
        self.moved.set(now);
        if !self.answered.replace(true) {
            self.route.own.answered(self.ticket, now.into_std(), now - self.began, 0);
        }
    }
}

/// How long a flow may be silent.
fn idle(route: &Route) -> Duration {
    route.own.with_policy(|policy| policy.idle_timeout).map_or(IDLE, span)
}

fn span(span: Span) -> Duration {
    Duration::from_millis(span.0)
}

/// Whether it means that nobody is there.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// A socket that is bound to one address is asked at that one, and answers from it.
fn ask_where_bound_to_all(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()?.ip() {
        all if all.is_unspecified() => naru_carry::ask_where(socket, all),
        _ => Ok(()),
    }
}

/// A socket for what goes to an instance and comes from it, and nobody else.
fn connect(to: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.connect(&to.into())?;
    UdpSocket::from_std(socket.into())
}
