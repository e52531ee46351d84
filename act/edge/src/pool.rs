//! Connections to an instance that wait for their next request.
//!
//! An instance may close an idle connection at the very moment a request is written to it. Three things
//! keep that from losing a request: a connection is looked at before it is used again; one that waited
//! long, or longer than the instance promised, is not used for a request that may not be repeated; and when
//! it fails all the same, the system is asked whether the peer took any byte of the request.

use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Idle connections kept for an instance by one worker: beyond that, a new one is cheaper than the memory.
const KEPT: usize = 512;

/// How long a connection may wait for a request that can be repeated.
const IDLE: Duration = Duration::from_secs(60);

/// How long for one that cannot: shorter than the idle limit of any server in common use.
const IDLE_UNREPEATABLE: Duration = Duration::from_secs(1);

/// A connection to an instance.
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    /// Bytes that the system took for it, in all its life.
    pub(crate) written: Cell<u64>,
    pub(crate) origin: Origin,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Fresh,
    Reused,
}

/// Whether a request may reach an instance twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Allowed,
    Forbidden,
}

impl Upstream {
    /// Connects.
    ///
    /// # Errors
    /// What the system said, or `TimedOut` after `limit`.
    pub(crate) async fn connect(to: SocketAddr, limit: Duration) -> io::Result<Upstream> {
        let stream = tokio::time::timeout(limit, TcpStream::connect(to)).await??;
        stream.set_nodelay(true)?;
        Ok(Upstream { stream, written: Cell::new(0), origin: Origin::Fresh })
    }

    /// Whether it is certain that the peer's system took nothing written after the first `before` bytes:
    /// then its application cannot have seen any of it.
    pub(crate) fn took_nothing_since(&self, before: u64) -> bool {
        self.written.get() == before || acknowledged(&self.stream).is_some_and(|acked| acked <= before)
    }

    /// Whether the peer has neither closed nor said anything unasked.
    fn is_quiet(&self) -> bool {
        let peek = SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peek, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// The idle connections to one instance.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
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
        now.saturating_duration_since(self.since) < limit.min(promised) && self.upstream.is_quiet()
    }
}

impl Pool {
    /// The connection that waited shortest, if one is fit for the request. Drops those that are dead.
    pub(crate) fn take(&self, repeat: Repeat, now: Instant) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
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

    /// Keeps a connection whose last answer is complete.
    pub(crate) fn put(&self, mut upstream: Upstream, promised: Option<Duration>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < KEPT {
            upstream.origin = Origin::Reused;
            idle.push(Idle { upstream, since: Instant::now(), promised });
        }
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }

    /// Closes those that are dead or have waited too long.
    pub(crate) fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|idle| idle.is_fit(Repeat::Allowed, now));
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
