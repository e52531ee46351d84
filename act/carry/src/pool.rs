//! Connections to an instance that wait for their next request.
//!
//! An instance may close an idle connection at the very moment a request is written to it. Three things
//! keep that from losing a request: a connection is looked at before it is used again; one that waited
//! long, or longer than the instance promised, is not used for a request that may not be repeated; and when
//! it fails all the same, the system is asked whether the peer took any byte of the request.

use crate::stream::{Reader, Stream, Writer};
use crate::waits::{Over, Waits};
use bytes::Bytes;
use h2::client::SendRequest;
use naru_wire::Repeat;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Idle connections kept for an instance by one worker: beyond that, a new one is cheaper than the memory.
const KEPT: usize = 512;

/// Streams of one connection: beyond that, one more connection costs less than waiting for each other.
const STREAMS: usize = 100;

/// How long a connection may wait for a request that can be repeated.
const IDLE: Duration = Duration::from_secs(60);

/// How long for one that cannot: shorter than the idle limit of any server in common use.
const IDLE_UNREPEATABLE: Duration = Duration::from_secs(1);

thread_local! {
    /// Those of this thread that are being made. A timer for each would wake the runtime just to hear of it.
    static CONNECTING: Rc<Waits> = Waits::new();
}

/// A connection to an instance.
pub struct Upstream {
    /// To the instance.
    pub stream: Stream,
    /// Bytes that the system took for it, in all its life.
    pub written: Cell<u64>,
    /// Whether it had a request before.
    pub origin: Origin,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is new.
    Fresh,
    /// It waited for its next request.
    Reused,
}

impl Upstream {
    /// Connects, inside of a runtime that runs on this thread alone.
    ///
    /// # Errors
    /// What the system said, or `TimedOut` after `limit`.
    pub async fn connect(to: SocketAddr, limit: Duration) -> io::Result<Upstream> {
        let waits = CONNECTING.with(Rc::clone);
        let waiting = waits.enter();
        waiting.until(Instant::now() + limit);
        let mut connect = pin!(TcpStream::connect(to));
        let connected = poll_fn(|cx| match (connect.as_mut().poll(cx), waiting.look(cx)) {
            (Poll::Pending, Some(Over::Late)) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            (connected, _) => connected,
        });
        let stream = connected.await?;
        stream.set_nodelay(true)?;
        Ok(Upstream::new(Stream::Plain(stream)))
    }

    /// One that had no request before.
    pub fn new(stream: Stream) -> Upstream {
        Upstream { stream, written: Cell::new(0), origin: Origin::Fresh }
    }

    /// Its two directions, and the count of what was written.
    pub fn split(&mut self) -> (Reader<'_>, Writer<'_>, &Cell<u64>) {
        let (read, write) = self.stream.split();
        (read, write, &self.written)
    }

    /// Whether it is certain that the peer's system took nothing written after the first `before` bytes:
    /// then its application cannot have seen any of it.
    pub fn took_nothing_since(&self, before: u64) -> bool {
        let is_untouched = match &self.stream {
            Stream::Plain(stream) => acknowledged(stream).is_some_and(|acked| acked <= before),
            Stream::Pipe(end) => end.is_unseen(),
            Stream::Tls(_) => false,
        };
        self.written.get() == before || is_untouched
    }

    /// Whether the peer has neither closed nor said anything unasked: for a request that may be repeated, as far as
    /// the runtime has heard, which costs no system call (it hears of what came before a request no later than of the
    /// request); for one that may not, as the system says.
    fn is_quiet(&self, repeat: Repeat) -> bool {
        let Stream::Plain(stream) = &self.stream else { return false };
        let peek = || SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
        let heard = match repeat {
            Repeat::Allowed => stream.try_io(Interest::READABLE, peek),
            Repeat::Forbidden => peek(),
        };
        matches!(heard, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The idle connections to one instance, by address: each of its ports is another server.
#[derive(Default)]
pub struct Pool {
    ports: RefCell<Vec<(SocketAddr, Vec<Idle>)>>,
    /// Connections of HTTP/2, which many requests share.
    shared: RefCell<Vec<(SocketAddr, Shared)>>,
}

/// A connection of HTTP/2, as one of those that share it has it.
#[derive(Clone)]
pub struct Shared {
    /// Begins streams.
    pub sender: SendRequest<Bytes>,
    /// There are as many of these as streams, and one more.
    streams: Rc<()>,
}

impl From<SendRequest<Bytes>> for Shared {
    fn from(sender: SendRequest<Bytes>) -> Shared {
        Shared { sender, streams: Rc::default() }
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        Rc::strong_count(&self.streams) <= self.sender.current_max_send_streams().min(STREAMS)
    }
}

struct Idle {
    upstream: Upstream,
    since: Instant,
    /// How long the instance promised to wait.
    promised: Option<Duration>,
}

impl Idle {
    fn is_fit(&self, repeat: Repeat, now: Instant) -> bool {
        let limit = match repeat {
            Repeat::Allowed => IDLE,
            Repeat::Forbidden => IDLE_UNREPEATABLE,
        };
        // A second less than promised: its clock started before ours.
        let promised = self.promised.map_or(IDLE, |p| p.saturating_sub(Duration::from_secs(1)));
        now.saturating_duration_since(self.since) < limit.min(promised) && self.upstream.is_quiet(repeat)
    }
}

impl Pool {
    /// The connection that waited shortest, if one is fit for the request. Drops those that are dead.
    pub fn take(&self, to: SocketAddr, repeat: Repeat, now: Instant) -> Option<Upstream> {
        let mut ports = self.ports.borrow_mut();
        let (_, idle) = ports.iter_mut().find(|(address, _)| *address == to)?;
        while let Some(last) = idle.pop() {
            if last.is_fit(repeat, now) {
                return Some(last.upstream);
            }
            if last.is_fit(Repeat::Allowed, now) {
                // Those below it have waited longer still.
                idle.push(last);
                return None;
            }
        }
        None
    }

    /// A connection of HTTP/2 on which another stream may begin. Forgets those that are over.
    pub fn shared(&self, to: SocketAddr) -> Option<Shared> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut shared = self.shared.borrow_mut();
        let mut found = None;
        shared.retain_mut(|(address, one)| {
            // A clone, since only a handle that has sent nothing tells whether it may.
            let state = if *address == to { one.sender.clone().poll_ready(&mut cx) } else { Poll::Pending };
            if matches!(state, Poll::Ready(Ok(()))) && one.has_room() && found.is_none() {
                found = Some(one.clone());
            }
            !matches!(state, Poll::Ready(Err(_)))
        });
        found
    }

    /// Keeps a connection of HTTP/2 for those that come.
    pub fn share(&self, to: SocketAddr, one: Shared) {
        self.shared.borrow_mut().push((to, one));
    }

    /// Keeps a connection whose last answer is complete `now`. One that is a stream of another has no more use.
    pub fn put(&self, to: SocketAddr, mut upstream: Upstream, promised: Option<Duration>, now: Instant) {
        if !matches!(upstream.stream, Stream::Plain(_)) {
            return;
        }
        let mut ports = self.ports.borrow_mut();
        let at = ports.iter().position(|(address, _)| *address == to).unwrap_or_else(|| {
            ports.push((to, Vec::new()));
            ports.len() - 1
        });
        let idle = &mut ports[at].1;
        if idle.len() < KEPT {
            upstream.origin = Origin::Reused;
            idle.push(Idle { upstream, since: now, promised });
        }
    }

    /// Closes all.
    pub fn clear(&self) {
        self.ports.borrow_mut().clear();
        // Each ends once its last stream has.
        self.shared.borrow_mut().clear();
    }

    /// Closes those that are dead or have waited too long, and forgets addresses without any.
    pub fn sweep(&self, now: Instant) {
        self.ports.borrow_mut().retain_mut(|(_, idle)| {
            idle.retain(|idle| idle.is_fit(Repeat::Allowed, now));
            !idle.is_empty()
        });
    }
}

/// Bytes of ours that the peer's system has acknowledged. `None` where the system does not tell.
fn acknowledged(stream: &TcpStream) -> Option<u64> {
    /// Where `struct tcp_info` has `tcpi_bytes_acked`, since Linux 4.1.
    const AT: usize = 120;
    let mut info = [0u8; AT + 8];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the pointers are to `info` and to `length`, which says how long `info` is.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if failed != 0 || (length as usize) < info.len() {
        return None;
    }
    let acked = u64::from_ne_bytes(info[AT..].try_into().expect("eight bytes"));
    // The connection's opening counts as one.
    Some(acked.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::{Duration, SocketAddr, Stream, Upstream};
    use socket2::{Domain, Socket, Type};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    fn tcp(upstream: &mut Upstream) -> &mut tokio::net::TcpStream {
        match &mut upstream.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(_) | Stream::Pipe(_) => panic!("it was connected by TCP"),
        }
    }

    async fn send(upstream: &mut Upstream, text: &[u8]) {
        tcp(upstream).write_all(text).await.unwrap();
        upstream.written.set(upstream.written.get() + text.len() as u64);
    }

    #[tokio::test]
    async fn it_is_known_whether_a_peer_that_closed_took_the_request() {
        LocalSet::new().run_until(took_or_not()).await;
    }

    async fn took_or_not() {
        for (taken, text) in [(false, &b""[..]), (true, b"first")] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let limit = Duration::from_secs(20);
            let mut upstream = Upstream::connect(listener.local_addr().unwrap(), limit).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            send(&mut upstream, b"before").await;
            peer.read_exact(&mut [0; 6]).await.unwrap();
            let before = upstream.written.get();
            send(&mut upstream, text).await;
            peer.read_exact(&mut vec![0; text.len()]).await.unwrap();
            drop(peer);
            assert_eq!(tcp(&mut upstream).read(&mut [0; 1]).await.unwrap(), 0);
            // The peer's system answers this with a reset: it has no more use for it.
            send(&mut upstream, b"after").await;
            tcp(&mut upstream).ready(tokio::io::Interest::ERROR).await.unwrap();
            assert_eq!(upstream.took_nothing_since(before), !taken);
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_no_connection_is_waited_for_until_the_limit() {
        let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let to = full.local_addr().unwrap().as_socket().unwrap();
        let connect = || Upstream::connect(to, Duration::from_millis(1));
        let late = async {
            // A few find room in the queue of those that nobody accepts.
            let mut queued = vec![];
            loop {
                match connect().await {
                    Ok(one) => queued.push(one),
                    Err(error) => return error,
                }
            }
        };
        let error = LocalSet::new().run_until(late).await;
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
