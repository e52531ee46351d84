//! Ports on loopback that are free now.

use rustix::net::{AddressFamily, SocketType, bind, socket};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;

/// Below the range from which the kernel takes ports for outgoing connections (32768 and up, by default): a
/// port of an instance that restarts is not taken by somebody's connection in between.
const PORTS: Range<u16> = 20_000..30_000;
/// The file with the range that the kernel takes from.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// A port of 127.0.0.1 that nobody listens on and that is not in `taken`. `seed` says where the search
/// begins. `None` if there is none.
pub fn free_port(taken: &BTreeSet<u16>, seed: u64) -> Option<u16> {
    let ephemeral = ephemeral();
    let count = u64::from(PORTS.end - PORTS.start);
    let nth = |n: u64| PORTS.start + ((seed % count + n) % count) as u16;
    (0..count)
        .map(nth)
        .find(|port| !taken.contains(port) && !ephemeral.contains(&u32::from(*port)) && is_free(*port))
}

/// The `seed` that makes a search begin behind `port`.
pub fn seed_after(port: u16) -> u64 {
    u64::from(port.saturating_sub(PORTS.start)) + 1
}

/// Whether the port could be listened on just now.
/// Whether any program can listen there now, also one that does not set SO_REUSEADDR: to that one, a port on
/// which connections of the last owner still wait for their end (TIME_WAIT) is taken. The standard library
/// sets it, and so would not notice.
/// An instance may want it for TCP, UDP or both.
pub fn is_free(port: u16) -> bool {
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    [SocketType::STREAM, SocketType::DGRAM].into_iter().all(|kind| {
        socket(AddressFamily::INET, kind, None).and_then(|socket| bind(&socket, &address)).is_ok()
    })
}

fn ephemeral() -> Range<u32> {
    let text = std::fs::read_to_string(EPHEMERAL).unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    let from: u32 = numbers.next().unwrap_or(32_768);
    // A system that takes from everywhere leaves no better choice than the usual range.
    if from <= PORTS.start.into() { 0..0 } else { from..numbers.next().unwrap_or(60_999) + 1 }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, Ipv4Addr, free_port, is_free};
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_port_that_is_listened_on_or_taken_is_passed_over() {
        let first = free_port(&BTreeSet::new(), 4_000).unwrap();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let second = free_port(&BTreeSet::new(), 4_000).unwrap();
        let third = free_port(&[second].into(), 4_000).unwrap();
        assert!(first < second && second < third, "{first} {second} {third}");
        drop(held);
    }

    #[test]
    fn a_port_whose_last_owner_hung_up_first_is_passed_over() {
        let port = free_port(&BTreeSet::new(), 5_000).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        drop(listener.accept().unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the owner has hung up");
        drop((client, listener));
        assert!(!is_free(port), "its connection still waits for its end");
    }
}
