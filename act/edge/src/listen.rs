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
use std::net::{SocketAddr, TcpListener};
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
    each: Vec<Mutex<Vec<TcpListener>>>,
}

/// All sockets that are open, and what could not be opened.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    open: BTreeMap<String, Arc<Sockets>>,
    faults: BTreeMap<String, Fault>,
    /// What the edge before lent, until the first table that is applied takes it.
    lent: BTreeMap<String, Vec<TcpListener>>,
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
            listening.lent.entry(key).or_default().push(socket.into());
        }
        listening
    }

    /// Opens what `plan` names and is not open, puts the sockets into it, and forgets the others (the
    /// workers close them once they have taken the plan).
    pub(crate) fn provide(&mut self, plan: &mut Plan, workers: usize, now: Instant) {
        let mut open = BTreeMap::new();
        let mut faults = BTreeMap::new();
        for listener in &mut plan.listeners {
            let key = key(&listener.name, &listener.address);
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
                    Sockets::open(key.clone(), &listener.address, workers, lent).map(Arc::new)
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
    fn open(key: String, address: &str, workers: usize, lent: Vec<TcpListener>) -> Result<Sockets, String> {
        let wanted: SocketAddr =
            address.parse().map_err(|_| format!("the address {address:?} is not IP:PORT"))?;
        let opened = match lent.first().map(TcpListener::local_addr) {
            Some(Ok(address)) => Ok((address, spread(lent, address, workers))),
            Some(Err(_)) | None => bind(wanted, workers),
        };
        let (address, each) = opened.map_err(|error| explained(&error, wanted))?;
        Ok(Sockets { key, address, each: each.into_iter().map(Mutex::new).collect() })
    }

    /// The worker's own sockets, which it closes once no table names the address. Only its first call gets them.
    pub(crate) fn take(&self, worker: usize) -> Vec<TcpListener> {
        std::mem::take(&mut *self.each[worker].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// New sockets, and the address that they have.
fn bind(wanted: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<Vec<TcpListener>>)> {
    if wanted.port() != 0 {
        let probe = socket(wanted)?;
        probe.bind(&wanted.into())?;
    }
    let mut each = Vec::with_capacity(workers);
    let mut address = wanted;
    for _ in 0..workers {
        let listener = share(address)?;
        // Port 0 is one of the system's choice: the same one for all workers.
        address = listener.local_addr()?;
        each.push(vec![listener]);
    }
    // Only once all are bound: a connection that arrives in between would find part of the workers.
    each.iter().flatten().try_for_each(|listener| SockRef::from(listener).listen(BACKLOG))?;
    Ok((address, each))
}

/// Gives every worker its part of what was lent: none of those may be left unheard, since connections wait in
/// each. A worker beyond them gets a new one, and is without if the system gives none.
fn spread(lent: Vec<TcpListener>, address: SocketAddr, workers: usize) -> Vec<Vec<TcpListener>> {
    let mut each: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for (n, listener) in lent.into_iter().enumerate() {
        each[n % workers].push(listener);
    }
    for own in each.iter_mut().filter(|own| own.is_empty()) {
        let new = share(address).and_then(|new| SockRef::from(&new).listen(BACKLOG).map(|()| new));
        match new {
            Ok(new) => own.push(new),
            Err(error) => tracing::warn!(%error, %address, "a worker listens on no socket"),
        }
    }
    each
}

/// A bound socket beside others of the same address.
fn share(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
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

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Under which sockets are kept: by address, so that another listener can take an address over without a
/// gap; a port of the system's choice belongs to its listener.
fn key(name: &str, address: &str) -> String {
    if address.ends_with(":0") { format!("{address} {name}") } else { address.into() }
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
