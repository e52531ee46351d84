//! The listening sockets: opened before a table is handed to the workers, kept for as long as any table
//! names their address, tried again with back-off where the system refuses.
//!
//! Each worker accepts on a socket of its own (`SO_REUSEPORT`). That option would also let another process
//! of the same user share the address unseen, so that the address is first bound without it.
//!
//! Sockets that the edge before lent are used in place of new ones: they are the same ones to the system,
//! with the connections that wait in them, whoever of the two accepts.

use crate::table::Plan;
use naru_model::ListenerFault;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Connections that the system keeps for a worker that is busy.
const BACKLOG: i32 = 4096;

/// The first wait after a refusal; it doubles up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait: what somebody who frees the address has to wait.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A listening socket that one edge process lends to the next.
#[derive(Debug)]
pub struct Lent {
    /// Which of the table's addresses it listens on, as the edge names it among its own.
    pub key: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// The sockets of one address: one for each worker, or more where an edge with more workers lent them.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) key: String,
    pub(crate) address: SocketAddr,
    each: Vec<Mutex<Vec<OwnedFd>>>,
}

/// All sockets that are open, and what could not be opened.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    open: BTreeMap<String, Arc<Sockets>>,
    faults: BTreeMap<String, Fault>,
    /// What the edge before lent, until the first table that is applied takes it.
    lent: BTreeMap<String, Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Fault {
    told: ListenerFault,
    wait: Duration,
    due: Instant,
}

impl Listening {
    /// Nothing is open; what was lent is used once a table names it.
    pub(crate) fn with(lent: Vec<Lent>) -> Listening {
        let mut listening = Listening::default();
        for Lent { key, socket } in lent {
            listening.lent.entry(key).or_default().push(socket);
        }
        listening
    }

    /// Opens what `plan` names and is not open, puts the sockets into it, and forgets the others (the
    /// workers close them once they have taken the plan).
    pub(crate) fn provide(&mut self, plan: &mut Plan, workers: usize, now: Instant) {
        let mut open = BTreeMap::new();
        let mut faults = BTreeMap::new();
        for listener in &mut plan.listeners {
            let transport = Transport::of(listener.protocol);
            let key = key(&listener.name, &listener.address, transport);
            let had = self.faults.remove(&*listener.name).filter(|f| f.told.address == *listener.address);
            let wait = had.as_ref().map(|fault| fault.wait);
            let opened = match (self.open.get(&key), had) {
                _ if open.contains_key(&key) => Err("another listener of the table has this address".into()),
                (Some(sockets), _) => Ok(sockets.clone()),
                (None, Some(fault)) if fault.due > now => {
                    faults.insert(listener.name.to_string(), fault);
                    continue;
                }
                (None, _) => {
                    let lent = self.lent.remove(&key).unwrap_or_default();
                    Sockets::open(key.clone(), &listener.address, transport, workers, lent).map(Arc::new)
                }
            };
            match opened {
                Ok(sockets) => {
                    listener.sockets = Some(sockets.clone());
                    open.insert(key, sockets);
                }
                Err(error) => {
                    let fault = Fault::new(&listener.name, &listener.address, error, wait, now);
                    faults.insert(listener.name.to_string(), fault);
                }
            }
        }
        (self.open, self.faults) = (open, faults);
        // The lender has them, and lets go of them in its own way.
        self.lent.clear();
    }

    /// The addresses that are listened on, each with the one that its table names.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.open.iter().map(|(key, sockets)| (key.as_str(), sockets.address))
    }

    /// What could not be opened.
    pub(crate) fn faults(&self) -> Vec<ListenerFault> {
        self.faults.values().map(|fault| fault.told.clone()).collect()
    }

    /// When to try again, if anything is to be tried.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.faults.values().map(|fault| fault.due).min()
    }
}

impl Fault {
    fn new(name: &str, address: &str, error: String, waited: Option<Duration>, now: Instant) -> Fault {
        let wait = waited.map_or(FIRST_WAIT, |waited| (waited * 2).min(LAST_WAIT));
        let told = ListenerFault { listener: name.into(), address: address.into(), error };
        Fault { told, wait, due: now + wait }
    }
}

impl Sockets {
    fn open(
        key: String,
        address: &str,
        transport: Transport,
        workers: usize,
        lent: Vec<OwnedFd>,
    ) -> Result<Sockets, String> {
        let wanted: SocketAddr =
            address.parse().map_err(|_| format!("the address {address:?} is not IP:PORT"))?;
        let opened = match lent.first().map(address_of) {
            Some(Ok(address)) => Ok((address, spread(lent, address, transport, workers))),
            Some(Err(_)) | None => bind(wanted, transport, workers),
        };
        let (address, each) = opened.map_err(|error| explained(&error, wanted))?;
        Ok(Sockets { key, address, each: each.into_iter().map(Mutex::new).collect() })
    }

    /// The worker's own sockets, which it closes once no table names the address. Only its first call gets them.
    pub(crate) fn take(&self, worker: usize) -> Vec<OwnedFd> {
        std::mem::take(&mut *self.each[worker].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// New sockets, and the address that they have.
fn bind(
    wanted: SocketAddr,
    transport: Transport,
    workers: usize,
) -> io::Result<(SocketAddr, Vec<Vec<OwnedFd>>)> {
    if wanted.port() != 0 {
        let probe = socket(wanted, transport)?;
        probe.bind(&wanted.into())?;
    }
    let mut each = Vec::with_capacity(workers);
    let mut address = wanted;
    for _ in 0..workers {
        let listener = share(address, transport)?;
        // Port 0 is one of the system's choice: the same one for all workers.
        address = address_of(&listener)?;
        each.push(vec![listener]);
    }
    // Only once all are bound: a connection that arrives in between would find part of the workers.
    each.iter().flatten().try_for_each(|listener| transport.listen(listener))?;
    Ok((address, each))
}

/// Gives every worker its part of what was lent: none of those may be left unheard, since connections wait in
/// each. A worker beyond them gets a new one, and is without if the system gives none.
fn spread(
    lent: Vec<OwnedFd>,
    address: SocketAddr,
    transport: Transport,
    workers: usize,
) -> Vec<Vec<OwnedFd>> {
    let mut each: Vec<Vec<OwnedFd>> = (0..workers).map(|_| Vec::new()).collect();
    for (n, listener) in lent.into_iter().enumerate() {
        each[n % workers].push(listener);
    }
    for own in each.iter_mut().filter(|own| own.is_empty()) {
        let new = share(address, transport).and_then(|new| transport.listen(&new).map(|()| new));
        match new {
            Ok(new) => own.push(new),
            Err(error) => tracing::warn!(%error, %address, "a worker listens on no socket"),
        }
    }
    each
}

/// A bound socket beside others of the same address.
fn share(address: SocketAddr, transport: Transport) -> io::Result<OwnedFd> {
    let socket = socket(address, transport)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The system's words, and what to do where that is known.
fn explained(error: &io::Error, wanted: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{error}; another program has it: `ss -ltnp` shows which")
        }
        io::ErrorKind::PermissionDenied if wanted.port() < 1024 => {
            format!("{error}; a port below 1024 needs root, or a lower net.ipv4.ip_unprivileged_port_start")
        }
        _ => error.to_string(),
    }
}

fn socket(address: SocketAddr, transport: Transport) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Stream => (Type::STREAM, Protocol::TCP),
        Transport::Datagram => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if transport == Transport::Stream {
        // Of datagrams, it would let two processes have the address, and one of them hear nothing.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn address_of(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let address = SockRef::from(socket).local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::other("its address is not of IP"))
}

/// What sockets carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Stream,
    Datagram,
}

impl Transport {
    fn of(protocol: naru_model::Protocol) -> Transport {
        match protocol {
            naru_model::Protocol::Udp => Transport::Datagram,
            _ => Transport::Stream,
        }
    }

    fn listen(self, socket: &OwnedFd) -> io::Result<()> {
        match self {
            Transport::Stream => SockRef::from(socket).listen(BACKLOG),
            // Its datagrams come from the moment that it is bound.
            Transport::Datagram => Ok(()),
        }
    }
}

/// Under which sockets are kept: by address, so that another listener can take an address over without a
/// gap; a port of the system's choice belongs to its listener. TCP and UDP may have the same one.
fn key(name: &str, address: &str, transport: Transport) -> String {
    let transport = if transport == Transport::Datagram { "/udp" } else { "" };
    if address.ends_with(":0") {
        format!("{address}{transport} {name}")
    } else {
        format!("{address}{transport}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: io::ErrorKind, address: &str, told: &str) {
        let address = address.parse().expect("the test writes addresses");
        assert_eq!(explained(&kind.into(), address), told);
    }

    #[test]
    fn a_port_that_cannot_be_had_is_told_with_what_to_do() {
        let low =
            "permission denied; a port below 1024 needs root, or a lower net.ipv4.ip_unprivileged_port_start";
        check(io::ErrorKind::PermissionDenied, "127.0.0.1:80", low);
        check(io::ErrorKind::PermissionDenied, "127.0.0.1:8080", "permission denied");
        let taken = "address in use; another program has it: `ss -ltnp` shows which";
        check(io::ErrorKind::AddrInUse, "127.0.0.1:8080", taken);
        check(io::ErrorKind::AddrNotAvailable, "10.9.8.7:8080", "address not available");
    }
}
