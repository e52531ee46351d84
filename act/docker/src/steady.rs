//! A bridge whose hardware address may change under the containers on it.
//!
//! Linux gives a bridge the lowest hardware address of what is on it, unless one was set. Podman sets one from netavark
//! 1.9 on (containers/netavark, pull request 833); before, the address changes as containers come and go. What is on the
//! bridge goes on answering to the old one, and an answer in progress is lost for minutes. Where the kernel tells
//! everybody of the new address at once, nothing is lost.

use crate::subnet::{Route, routes};
use std::net::Ipv4Addr;

/// Has the kernel announce each new hardware address of the interface by which this host reaches `address`.
pub(crate) fn announce_changes(address: Ipv4Addr) {
    let routes = routes();
    let Some(interface) = interface_to(&routes, address) else { return };
    let setting = format!("/proc/sys/net/ipv4/conf/{interface}/arp_notify");
    if std::fs::read_to_string(&setting).is_ok_and(|value| value.trim() != "0") {
        return;
    }
    if let Err(error) = std::fs::write(&setting, "1") {
        tracing::warn!(setting, %error, "answers may be lost when containers come and go: cannot write");
    }
}

/// The interface of the narrowest network that an address is in.
fn interface_to(routes: &[Route], address: Ipv4Addr) -> Option<&str> {
    let there = routes.iter().filter(|route| route.subnet.contains(address));
    there.max_by_key(|route| route.subnet.bits()).map(|route| route.interface.as_str())
}

#[cfg(test)]
mod tests {
    use super::interface_to;
    use crate::subnet::Route;

    #[test]
    fn the_narrowest_network_counts() {
        let route = |subnet: &str, interface: &str| Route {
            subnet: subnet.parse().unwrap(),
            interface: interface.to_owned(),
        };
        let routes =
            [route("10.0.0.0/8", "vpn"), route("10.89.1.0/24", "podman2"), route("10.89.0.0/16", "x")];
        assert_eq!(interface_to(&routes, "10.89.1.7".parse().unwrap()), Some("podman2"));
        assert_eq!(interface_to(&routes, "10.1.1.7".parse().unwrap()), Some("vpn"));
        assert_eq!(interface_to(&routes, "192.0.2.7".parse().unwrap()), None);
    }
}
