//! Who is on this machine: the machine itself, and what is behind its bridges, as containers are.
//!
//! An address of the host's is reached from outside too, by whoever sends packets for it here. A client counts as of this
//! machine if the way back to it is a bridge that only virtual interfaces belong to: then no wire leads to it, and an
//! address that is made up gets no answer.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A bridge that is gone is believed in for so long. One that is new is seen at once.
const FRESH: Duration = Duration::from_secs(1);

/// The networks behind bridges, and when they were looked at.
static KNOWN: Mutex<Option<(Instant, Vec<Network>)>> = Mutex::new(None);

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: Ipv4Addr,
    mask: Ipv4Addr,
}

impl Network {
    fn contains(self, ip: Ipv4Addr) -> bool {
        ip & self.mask == self.address
    }
}

/// Whether `peer`, who connected to `here`, is on this machine: of the host itself or of a container.
///
/// Containers are found by IPv4, and by the main table of routes of this process's network namespace.
pub fn is_on_this_machine(peer: IpAddr, here: IpAddr) -> bool {
    let (peer, here) = (peer.to_canonical(), here.to_canonical());
    if peer.is_loopback() || peer == here {
        return true;
    }
    let IpAddr::V4(peer) = peer else { return false };
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let is_behind = |networks: &[Network]| networks.iter().any(|network| network.contains(peer));
    if let Some((looked, networks)) = &*known
        && looked.elapsed() < FRESH
        && is_behind(networks)
    {
        return true;
    }
    let networks = look();
    let found = is_behind(&networks);
    *known = Some((Instant::now(), networks));
    found
}

fn look() -> Vec<Network> {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    behind(&routes, |interface| is_virtual_bridge(&Path::new("/sys/class/net").join(interface)))
}

/// The networks that are directly behind such interfaces, from a table of routes as Linux prints it (proc_net(5)):
/// numbers in hexadecimal, as they lie in memory.
fn behind(routes: &str, is_bridge: impl Fn(&str) -> bool) -> Vec<Network> {
    let network = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, address, gateway, _, _, _, _, mask, ..] = fields[..] else { return None };
        let number = |text| u32::from_str_radix(text, 16).ok().map(|n| Ipv4Addr::from(n.to_ne_bytes()));
        let network = Network { address: number(address)?, mask: number(mask)? };
        let is_direct = number(gateway)?.is_unspecified() && !network.mask.is_unspecified();
        (is_direct && is_bridge(interface)).then_some(network)
    };
    routes.lines().skip(1).filter_map(network).collect()
}

/// Whether it is a bridge, and none of its ports is a device or rests on one, as VLANs and bonds do.
fn is_virtual_bridge(interface: &Path) -> bool {
    let Ok(ports) = fs::read_dir(interface.join("brif")) else { return false };
    ports.flatten().all(|port| {
        // A port is a link into the folder of its interface.
        let port = port.path().join("..");
        let Ok(entries) = fs::read_dir(port) else { return false };
        entries.flatten().map(|entry| entry.file_name()).all(|name| {
            let name = name.to_string_lossy();
            name != "device" && !name.starts_with("lower_")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br-1\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
br-1\t000016AC\t020012AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0
br-1\tno number
";

    #[cfg(target_endian = "little")]
    #[test]
    fn what_is_directly_behind_a_bridge_is_found() {
        let found = behind(ROUTES, |interface| interface == "br-1");
        let wanted = Network { address: Ipv4Addr::new(172, 18, 0, 0), mask: Ipv4Addr::new(255, 255, 0, 0) };
        assert_eq!(found, [wanted]);
        assert!(wanted.contains(Ipv4Addr::new(172, 18, 3, 4)));
        assert!(!wanted.contains(Ipv4Addr::new(172, 19, 0, 1)));
        assert_eq!(behind(ROUTES, |_| false), []);
    }

    #[test]
    fn a_bridge_with_a_wire_is_none_of_this_machine_alone() {
        let net = tempfile::tempdir().unwrap();
        let devices = net.path().join("devices");
        let made = |path: &str| {
            std::fs::create_dir_all(devices.join(path)).unwrap();
            devices.join(path)
        };
        let (veth, wire, vlan) = (made("veth0/brport"), made("eth0/brport"), made("vlan0/brport"));
        made("eth0/device");
        made("vlan0/lower_eth0");
        for (name, other) in [("wired", &wire), ("tagged", &vlan)] {
            let ports = made(&format!("{name}/brif"));
            symlink(&veth, ports.join("veth0")).unwrap();
            assert!(is_virtual_bridge(&devices.join(name)));
            symlink(other, ports.join("other")).unwrap();
            assert!(!is_virtual_bridge(&devices.join(name)), "{name}");
        }
        assert!(!is_virtual_bridge(&devices.join("veth0")));
    }

    #[test]
    fn the_host_itself_is_on_this_machine_and_the_world_is_not() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(is_on_this_machine(ip("127.0.0.1"), ip("10.231.0.1")));
        assert!(is_on_this_machine(ip("10.231.0.1"), ip("10.231.0.1")));
        assert!(is_on_this_machine(ip("::ffff:10.231.0.1"), ip("10.231.0.1")));
        // Addresses of documents (RFC 5737, RFC 3849): nobody's.
        assert!(!is_on_this_machine(ip("203.0.113.9"), ip("10.231.0.1")));
        assert!(!is_on_this_machine(ip("2001:db8::9"), ip("10.231.0.1")));
    }
}
