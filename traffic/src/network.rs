//! Networks, as `10.0.0.0/8`.

use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

/// A network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    mask: u128,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write ADDRESS or ADDRESS/BITS, as 10.0.0.0/8 or fd00::/8")]
pub struct BadNetwork(String);

impl Network {
    /// Whether an address is in it. An IPv4 address that was mapped into IPv6 counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        wide(address) & self.mask == self.address
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Network, BadNetwork> {
        let bad = || BadNetwork(text.into());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits: u32 = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| bad()))?;
        if bits > most {
            return Err(bad());
        }
        let mask = u128::MAX.checked_shl(128 - (before + bits)).unwrap_or(0);
        Ok(Network { address: wide(address) & mask, mask })
    }
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}

/// What a rate is counted for: an IPv4 address, or the /64 that an IPv6 subscriber has.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, subscriber};

    #[track_caller]
    fn check(network: &str, inside: &str, outside: &str) {
        let network: Network = network.parse().unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{outside}");
    }

    #[test]
    fn addresses_are_in_their_networks() {
        check("10.0.0.0/8", "10.255.0.1", "11.0.0.0");
        check("10.1.2.3", "10.1.2.3", "10.1.2.4");
        check("10.0.0.0/8", "::ffff:10.0.0.1", "::1");
        check("fd00::/8", "fd12::1", "fe00::1");
        check("::1/128", "::1", "::2");
        check("0.0.0.0/0", "1.2.3.4", "fd00::1");
        for bad in ["", "10.0.0.0/33", "::/129", "ten", "10.0.0.0/-1", "10.0.0/8"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        let of = |text: &str| subscriber(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2::"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
