//! A connection that never blocks, and what is still to be written to it.

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::rc::Rc;

/// Addresses that clients come from, 127.0.0.1 and on: a new connection a request would otherwise use up the
/// ports of one.
const SOURCES: u8 = 64;

/// One end of a connection.
pub struct Line {
    /// The socket.
    pub stream: TcpStream,
    out: Option<Outgoing>,
}

/// Bytes to write: `total` of them, `data` over and over.
struct Outgoing {
    data: Rc<[u8]>,
    sent: usize,
    total: usize,
}

/// How far writing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it is with the kernel.
    Whole,
    /// The kernel takes no more for now.
    Part,
}

impl Line {
    /// Takes an accepted connection.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(stream: TcpStream) -> io::Result<Line> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Line { stream, out: None })
    }

    /// Begins a connection. It is there once the socket is writable.
    ///
    /// # Errors
    /// What the system said; a refusal shows later.
    pub fn connect(to: SocketAddr, number: usize) -> io::Result<Line> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_tcp_nodelay(true)?;
        socket.set_reuse_address(true)?;
        let last = 1 + (number % usize::from(SOURCES)) as u8;
        socket.bind(&SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0)).into())?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                Err(error)
            }
            _ => Ok(Line { stream: socket.into(), out: None }),
        }
    }

    /// Writes `total` bytes, `data` over and over, as far as the kernel takes them.
    ///
    /// # Errors
    /// The connection failed, or the last write is not whole yet.
    pub fn write(&mut self, data: &Rc<[u8]>, total: usize) -> io::Result<Written> {
        if self.out.is_some() {
            return Err(io::Error::other("one answer after the other: the other side does not read"));
        }
        self.out = Some(Outgoing { data: data.clone(), sent: 0, total });
        self.go_on()
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The connection failed.
    pub fn go_on(&mut self) -> io::Result<Written> {
        let Some(out) = &mut self.out else { return Ok(Written::Whole) };
        while out.sent < out.total {
            let from = out.sent % out.data.len();
            let until = out.data.len().min(from + out.total - out.sent);
            match self.stream.write(&out.data[from..until]) {
                Ok(n) => out.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Written::Part),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out = None;
        Ok(Written::Whole)
    }

    /// Reads what is there. `None`: nothing yet; 0: the end.
    ///
    /// # Errors
    /// The connection failed.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(into) {
            Ok(n) => Ok(Some(n)),
            Err(error) if is_later(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drops up to `room`'s length of what is there, in the kernel. `None`: nothing yet; 0: the end.
    ///
    /// # Errors
    /// The connection failed.
    pub fn drop_up_to(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match rustix::net::recv(&self.stream, room, RecvFlags::TRUNC) {
            Ok((_, n)) => Ok(Some(n)),
            Err(error) if is_later(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_later(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
