//! The PROXY protocol, versions 1 and 2: who a connection is really from, told by the proxy before it.
//!
//! Read strictly, since what it says is believed. Of version 2's further fields only the checksum is looked at;
//! the others are skipped.

use super::Unreadable;
use super::crc::crc32c;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use naru_model::ProxyVersion;

/// The longest header that is taken. Version 1 ends at 107 bytes; of version 2 this has room for addresses and
/// a certificate's worth of further fields, which no proxy in use exceeds.
pub const PROXY_HEADER: usize = 4096;

/// The longest line of version 1, its CRLF included.
const LINE: usize = 107;

const WORD: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What stands before the length of version 2, and it.
const FIXED: usize = 16;

/// The field with the checksum.
const CHECKSUM: u8 = 0x03;

/// A header, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its bytes.
    pub length: usize,
    /// Who speaks to whom. `None`: the proxy itself does (as its health checks do), or it does not know, or by
    /// an address that is not of IP.
    pub peers: Option<Peers>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    /// The client.
    pub source: SocketAddr,
    /// What it connected to.
    pub destination: SocketAddr,
}

/// Reads a header of either version.
///
/// # Errors
/// What is not one.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<ProxyHeader>, Unreadable> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(WORD) {
        version_1(bytes)
    } else if begins(SIGNATURE) {
        version_2(bytes)
    } else {
        Err(Unreadable("it does not begin with a PROXY header"))
    }
}

fn version_1(bytes: &[u8]) -> Result<Option<ProxyHeader>, Unreadable> {
    let line = &bytes[..bytes.len().min(LINE)];
    let is_text = |byte: &u8| (b' '..=b'~').contains(byte);
    let text = line.iter().take_while(|byte| is_text(byte)).count();
    match &line[text..] {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] if line.len() < LINE => return Ok(None),
        [] | [b'\r'] => return Err(Unreadable("the PROXY line is longer than 107 bytes")),
        _ => return Err(Unreadable("the PROXY line has a byte that it cannot have")),
    }
    let text = core::str::from_utf8(&line[..text]).unwrap_or_default();
    let peers = line_peers(text).ok_or(Unreadable("the PROXY line is invalid"))?;
    Ok(Some(ProxyHeader { length: text.len() + 2, peers }))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 1000 80`
fn line_peers(text: &str) -> Option<Option<Peers>> {
    let rest = text.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let mut words = rest.split(' ');
    let family = words.next()?;
    let mut ip = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::from),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            _ => None,
        }
    };
    let (source, destination) = (ip()?, ip()?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    let peers = Peers { source: (source, from).into(), destination: (destination, to).into() };
    words.next().is_none().then_some(Some(peers))
}

/// A number as it is written: no sign, no zero before it.
fn port(word: &str) -> Option<u16> {
    let plain = word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| plain)
}

fn version_2(bytes: &[u8]) -> Result<Option<ProxyHeader>, Unreadable> {
    let version = bytes.get(12).copied();
    if version.is_some_and(|byte| !matches!(byte, 0x20 | 0x21)) {
        return Err(Unreadable("the PROXY header's version or command is unknown"));
    }
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > PROXY_HEADER {
        return Err(Unreadable("the PROXY header is longer than 4096 bytes"));
    }
    // Stream and datagram each; of the proxy's own connections it says nothing that counts.
    let addresses = match fixed[13] {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(Unreadable("the PROXY header's kind of address is unknown")),
    };
    let own = fixed[12] == 0x20;
    if !own && length < FIXED + addresses {
        return Err(Unreadable("the PROXY header has no room for its addresses"));
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let addresses = addresses.min(length - FIXED);
    let (told, fields) = header[FIXED..].split_at(addresses);
    check_fields(header, fields)?;
    let peers = if own { None } else { binary_peers(told) };
    Ok(Some(ProxyHeader { length, peers }))
}

fn binary_peers(told: &[u8]) -> Option<Peers> {
    let port = |at: usize| u16::from_be_bytes([told[at], told[at + 1]]);
    let four = |at: usize| told.get(at..at + 4).and_then(|ip| <[u8; 4]>::try_from(ip).ok());
    let sixteen = |at: usize| told.get(at..at + 16).and_then(|ip| <[u8; 16]>::try_from(ip).ok());
    match told.len() {
        12 => Some(Peers { source: (four(0)?, port(8)).into(), destination: (four(4)?, port(10)).into() }),
        36 => Some(Peers {
            source: (sixteen(0)?, port(32)).into(),
            destination: (sixteen(16)?, port(34)).into(),
        }),
        _ => None,
    }
}

/// Looks whether the further fields end where the header does, and whether the checksum is right, if there is one.
fn check_fields(header: &[u8], fields: &[u8]) -> Result<(), Unreadable> {
    let mut rest = fields;
    while let [kind, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(value) = after.get(..length) else {
            return Err(Unreadable("a field of the PROXY header ends after it"));
        };
        if *kind == CHECKSUM {
            let told = <[u8; 4]>::try_from(value)
                .map_err(|_| Unreadable("the PROXY header's checksum is not of four bytes"))?;
            let at = header.len() - after.len();
            let zeroed = |(n, byte): (usize, &u8)| if (at..at + 4).contains(&n) { 0 } else { *byte };
            if crc32c(header.iter().enumerate().map(zeroed)) != u32::from_be_bytes(told) {
                return Err(Unreadable("the PROXY header's checksum is wrong"));
            }
        }
        rest = &after[length..];
    }
    if rest.is_empty() { Ok(()) } else { Err(Unreadable("a field of the PROXY header is cut off")) }
}

/// Writes a header. Ends of two families are told in the larger one.
pub fn write_proxy_header(version: ProxyVersion, peers: &Peers, out: &mut Vec<u8>) {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (source, destination) = (canonical(peers.source), canonical(peers.destination));
    match (version, source.ip(), destination.ip()) {
        (ProxyVersion::V1, IpAddr::V4(from), IpAddr::V4(to)) => {
            let (sport, dport) = (source.port(), destination.port());
            out.extend_from_slice(format!("PROXY TCP4 {from} {to} {sport} {dport}\r\n").as_bytes());
        }
        (ProxyVersion::V1, from, to) => {
            let (from, to) = (wide(from), wide(to));
            let (sport, dport) = (source.port(), destination.port());
            out.extend_from_slice(format!("PROXY TCP6 {from} {to} {sport} {dport}\r\n").as_bytes());
        }
        (ProxyVersion::V2, IpAddr::V4(from), IpAddr::V4(to)) => {
            begin(0x11, 12, out);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            end_with_ports(source, destination, out);
        }
        (ProxyVersion::V2, from, to) => {
            begin(0x21, 36, out);
            out.extend_from_slice(&wide(from).octets());
            out.extend_from_slice(&wide(to).octets());
            end_with_ports(source, destination, out);
        }
    }
}

fn begin(family: u8, length: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0x21, family, 0, length]);
}

fn end_with_ports(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) {
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

fn wide(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
