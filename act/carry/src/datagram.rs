//! Datagrams with the address of this machine that they came to. A socket that is bound to none in particular is reached at
//! each; an answer that the system sends from another than the one that was asked is none to the client.

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
    sendmsg, setsockopt, sockopt,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

/// An address of this machine at which a datagram came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Local {
    /// Of IPv4.
    V4(Ipv4Addr),
    /// Of IPv6, and for one that counts on a link only, by which interface.
    V6(Ipv6Addr, u32),
}

/// What is known of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// How many bytes it has; more than the buffer are lost.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Where it came. `None`: the socket does not ask, or it came to a group.
    pub to: Option<Local>,
}

/// Room for what the system tells of a datagram.
pub struct Room(Vec<u8>);

/// Enough for all that is asked for.
impl Default for Room {
    fn default() -> Room {
        Room(nix::cmsg_space!(libc::in6_pktinfo))
    }
}

/// From now on the system tells of each datagram where it came.
///
/// # Errors
/// The system does not.
pub fn ask_where(socket: &impl AsFd, bound: IpAddr) -> io::Result<()> {
    match bound {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// Takes a datagram that is there.
///
/// # Errors
/// There is none (`WouldBlock`), or the system tells what became of one that was sent.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8], room: &mut Room) -> io::Result<Datagram> {
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let got = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut room.0), MsgFlags::MSG_DONTWAIT)?;
    let from = got.address.as_ref().and_then(address).ok_or_else(|| io::Error::other("from nowhere"))?;
    let to = got.cmsgs()?.find_map(local);
    Ok(Datagram { len: got.bytes, from, to })
}

fn address(of: &SockaddrStorage) -> Option<SocketAddr> {
    let four = of.as_sockaddr_in().map(|four| SocketAddr::V4((*four).into()));
    four.or_else(|| of.as_sockaddr_in6().map(|six| SocketAddr::V6((*six).into())))
}

fn local(message: ControlMessageOwned) -> Option<Local> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Local::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = if ip.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
            (!ip.is_multicast()).then_some(Local::V6(ip, interface))
        }
        _ => None,
    }
}

/// Sends a datagram from an address of this machine, or from the one that the system takes.
///
/// # Errors
/// The system has no room for it (`WouldBlock`), or no way.
pub fn send(socket: &impl AsFd, datagram: &[u8], to: SocketAddr, from: Option<Local>) -> io::Result<()> {
    let (four, six);
    let told = match from {
        Some(Local::V4(ip)) => {
            let ipi_spec_dst = libc::in_addr { s_addr: u32::from(ip).to_be() };
            four = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
            Some(ControlMessage::Ipv4PacketInfo(&four))
        }
        Some(Local::V6(ip, interface)) => {
            let ipi6_addr = libc::in6_addr { s6_addr: ip.octets() };
            six = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: interface };
            Some(ControlMessage::Ipv6PacketInfo(&six))
        }
        None => None,
    };
    let (parts, fd) = ([IoSlice::new(datagram)], socket.as_fd().as_raw_fd());
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match to {
        SocketAddr::V4(to) => sendmsg(fd, &parts, told.as_slice(), flags, Some(&SockaddrIn::from(to)))?,
        SocketAddr::V6(to) => sendmsg(fd, &parts, told.as_slice(), flags, Some(&SockaddrIn6::from(to)))?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Local, Room, ask_where, receive, send};
    use std::net::{IpAddr, SocketAddr, UdpSocket};

    fn socket(at: &str) -> UdpSocket {
        UdpSocket::bind(at).unwrap()
    }

    /// What a client hears that asks at an address of a socket that is bound to all of them.
    fn heard(bound: &str, asked: &str, client: &str) -> (SocketAddr, SocketAddr, Option<Local>) {
        let (server, client) = (socket(bound), socket(client));
        ask_where(&server, server.local_addr().unwrap().ip()).unwrap();
        let asked = SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port());
        client.send_to(b"hello", asked).unwrap();
        let mut buffer = [0; 100];
        let there = receive(&server, &mut buffer, &mut Room::default()).unwrap();
        assert_eq!((&buffer[..there.len], there.from), (&b"hello"[..], client.local_addr().unwrap()));
        send(&server, b"world", there.from, there.to).unwrap();
        let (n, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"world");
        (asked, from, there.to)
    }

    #[test]
    fn an_answer_comes_from_the_address_that_was_asked() {
        // All of 127.0.0.0/8 is this machine, and the system would answer from 127.0.0.1.
        let (asked, from, to) = heard("0.0.0.0:0", "127.0.0.77", "127.0.0.1:0");
        assert_eq!((from, to), (asked, Some(Local::V4([127, 0, 0, 77].into()))));
        if UdpSocket::bind("[::1]:0").is_ok() {
            let (asked, from, _) = heard("[::]:0", "::1", "[::1]:0");
            assert_eq!(from, asked);
        }
    }

    #[test]
    fn a_socket_that_does_not_ask_is_not_told_and_sends_all_the_same() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        client.send_to(b"hello", server.local_addr().unwrap()).unwrap();
        let there = receive(&server, &mut [0; 100], &mut Room::default()).unwrap();
        assert_eq!(there.to, None);
        send(&server, b"world", there.from, None).unwrap();
        assert_eq!(client.recv_from(&mut [0; 100]).unwrap().1, server.local_addr().unwrap());
        let nothing = receive(&server, &mut [0; 100], &mut Room::default()).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        ask_where(&server, ip).unwrap();
    }
}
