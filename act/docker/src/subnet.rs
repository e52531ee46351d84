//! IPv4 networks: read, compared, and found free.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// The kernel's table of routes.
const ROUTES: &str = "/proc/net/route";

/// A network, as `10.231.0.8/29`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    first: u32,
    bits: u8,
}

impl Subnet {
    pub(crate) const fn new(address: Ipv4Addr, bits: u8) -> Subnet {
        let bits = if bits > 32 { 32 } else { bits };
        let mask = if bits == 0 { 0 } else { u32::MAX << (32 - bits) };
        Subnet { first: address.to_bits() & mask, bits }
    }

    fn last(self) -> u32 {
        self.first | u32::MAX.checked_shr(self.bits.into()).unwrap_or(0)
    }

    /// How many bits of an address name the network.
    pub(crate) fn bits(self) -> u8 {
        self.bits
    }

    pub(crate) fn contains(self, address: Ipv4Addr) -> bool {
        self.overlaps(Subnet::new(address, 32))
    }

    pub(crate) fn overlaps(self, other: Subnet) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    /// Its first address that a host can have.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first + 1)
    }

    /// The parts of it that have `bits` bits, in their order, the one of number `from` first.
    pub(crate) fn parts(self, bits: u8, from: u32) -> impl Iterator<Item = Subnet> {
        let count = 1_u32 << (bits - self.bits);
        let step = 1_u32 << (32 - bits);
        (0..count).map(move |n| Subnet { first: self.first + (n.wrapping_add(from) % count) * step, bits })
    }
}

impl FromStr for Subnet {
    type Err = ();
    fn from_str(text: &str) -> Result<Subnet, ()> {
        let (address, bits) = text.split_once('/').ok_or(())?;
        let bits = bits.parse().map_err(drop)?;
        if bits > 32 { Err(()) } else { Ok(Subnet::new(address.parse().map_err(drop)?, bits)) }
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.first), self.bits)
    }
}

/// A network that this host has a route to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) subnet: Subnet,
    /// By which it is reached.
    pub(crate) interface: String,
}

/// The routes that this host has, the default route aside.
pub(crate) fn routes() -> Vec<Route> {
    parse_routes(&std::fs::read_to_string(ROUTES).unwrap_or_default())
}

fn parse_routes(table: &str) -> Vec<Route> {
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Numbers as the kernel has them in memory: the first byte of the address is the lowest.
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(u32::swap_bytes);
        let (destination, mask) = (number(1)?, number(7)?);
        let subnet = Subnet::new(Ipv4Addr::from_bits(destination), mask.count_ones() as u8);
        (mask != 0).then(|| Route { subnet, interface: fields[0].to_owned() })
    };
    table.lines().skip(1).filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{Route, Subnet, parse_routes};

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn overlaps_are_seen() {
        let pool = subnet("10.231.0.0/16");
        assert!(pool.overlaps(subnet("10.231.8.0/29")) && subnet("10.0.0.0/8").overlaps(pool));
        assert!(!pool.overlaps(subnet("10.232.0.0/16")));
        assert!(subnet("0.0.0.0/0").overlaps(pool));
        assert_eq!(subnet("10.231.0.9/29").to_string(), "10.231.0.8/29");
        assert_eq!(subnet("10.231.0.9/29").gateway().to_string(), "10.231.0.9");
    }

    #[test]
    fn the_search_begins_anywhere_and_comes_round() {
        let parts: Vec<String> = subnet("10.0.0.0/28").parts(30, 2).map(|part| part.to_string()).collect();
        assert_eq!(parts, ["10.0.0.8/30", "10.0.0.12/30", "10.0.0.0/30", "10.0.0.4/30"]);
    }

    #[test]
    fn the_kernels_routes_are_read() {
        let table = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                     eth0 00000000 0102A8C0 0003 0 0 0 00000000 0 0 0\n\
                     docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\n";
        let route = Route { subnet: subnet("172.17.0.0/16"), interface: "docker0".into() };
        assert_eq!(parse_routes(table), [route]);
    }
}
