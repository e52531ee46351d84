//! Ports of instances: found free on loopback, and never given to two.
//!
//! Between the search and the instance's own bind, a port looks free to everybody. So that the agent of another
//! `NARU_HOME` on the machine does not give it, too, each agent lays claim to its ports: it holds an abstract
//! Unix socket with the port's number in its name, which ends with the agent and is seen where the port is seen,
//! in the network namespace.

use naru_model::{InstanceId, TargetPort};
use naru_work::is_free;
use std::collections::{BTreeMap, BTreeSet};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Target port → port on loopback.
pub(super) type PortMap = BTreeMap<u16, u16>;

/// What is said where no port is left.
pub(super) const NONE_FREE: &str = "no port from 20000 to 29999 is free on 127.0.0.1";

/// Which instance has which ports.
pub(super) struct Ports {
    given: BTreeMap<InstanceId, PortMap>,
    claims: BTreeMap<u16, UnixDatagram>,
    reserved: BTreeSet<u16>,
    /// Where the next search begins: a port that became free is the last to be given again, so that a late
    /// request for its former owner meets nobody.
    next: u64,
}

impl Ports {
    /// `reserved` are the agent's own.
    pub(super) fn new(reserved: BTreeSet<u16>, seed: u64) -> Ports {
        Ports { given: BTreeMap::new(), claims: BTreeMap::new(), reserved, next: seed }
    }

    /// The instance has these already.
    pub(super) fn adopt(&mut self, id: &InstanceId, ports: PortMap) {
        for port in ports.values() {
            // The instance has the port, whoever claims it.
            self.claim(*port);
        }
        self.given.insert(id.clone(), ports);
    }

    /// A port for each target: those of `prefer`, if they are free. `None`: there are not enough.
    pub(super) fn give(
        &mut self,
        id: &InstanceId,
        targets: &[TargetPort],
        prefer: &PortMap,
    ) -> Option<PortMap> {
        self.free(id);
        let mut taken: BTreeSet<u16> =
            self.given.values().flat_map(|ports| ports.values().copied()).collect();
        taken.extend(&self.reserved);
        let mut ports = PortMap::new();
        for target in targets {
            let former = prefer.get(&target.port).copied();
            let former = former.filter(|port| !taken.contains(port) && is_free(*port) && self.claim(*port));
            let Some(port) = former.or_else(|| self.search(&mut taken)) else {
                ports.values().for_each(|port| drop(self.claims.remove(port)));
                return None;
            };
            taken.insert(port);
            ports.insert(target.port, port);
        }
        self.given.insert(id.clone(), ports.clone());
        Some(ports)
    }

    /// The instance is gone.
    pub(super) fn free(&mut self, id: &InstanceId) {
        for port in self.given.remove(id).unwrap_or_default().values() {
            self.claims.remove(port);
        }
    }

    fn search(&mut self, taken: &mut BTreeSet<u16>) -> Option<u16> {
        loop {
            let port = naru_work::free_port(taken, self.next)?;
            self.next = naru_work::seed_after(port);
            if self.claim(port) {
                return Some(port);
            }
            taken.insert(port);
        }
    }

    /// Whether no other agent of the machine has claimed it.
    fn claim(&mut self, port: u16) -> bool {
        let name = SocketAddr::from_abstract_name(format!("naru-port-{port}"));
        match name.and_then(|name| UnixDatagram::bind_addr(&name)) {
            Ok(socket) => {
                self.claims.insert(port, socket);
                true
            }
            Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PortMap, Ports, TargetPort};
    use naru_model::Protocol;

    #[test]
    fn no_two_instances_have_the_same_port_and_a_restart_keeps_its_own() {
        let mut ports = Ports::new([20_500].into(), 500);
        let targets = [80, 81].map(|port| TargetPort { port, protocol: Protocol::Http });
        let first = ports.give(&"a".into(), &targets, &PortMap::new()).unwrap();
        let second = ports.give(&"b".into(), &targets, &first).unwrap();
        assert!(first.values().all(|port| *port > 20_500 && second.values().all(|other| other != port)));
        assert_eq!(ports.give(&"a".into(), &targets, &first).unwrap(), first);
        ports.free(&"a".into());
        let third = ports.give(&"c".into(), &targets, &PortMap::new()).unwrap();
        assert!(third.values().min() > second.values().max(), "{third:?} {second:?}");
    }

    #[test]
    fn two_agents_of_one_machine_give_different_ports_before_any_instance_has_bound_one() {
        let target = [TargetPort { port: 80, protocol: Protocol::Http }];
        let (mut one, mut other) = (Ports::new([].into(), 700), Ports::new([].into(), 700));
        let first = one.give(&"a".into(), &target, &PortMap::new()).unwrap();
        let second = other.give(&"a".into(), &target, &PortMap::new()).unwrap();
        assert_ne!(first[&80], second[&80]);
        assert_ne!(other.give(&"b".into(), &target, &first).unwrap()[&80], first[&80]);
        one.free(&"a".into());
        assert_eq!(other.give(&"c".into(), &target, &first).unwrap(), first);
        drop(one);
    }
}
