//! Ports of instances: found free on loopback, and never given to two.

use naru_model::{InstanceId, TargetPort};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};

/// Target port → port on loopback.
pub(super) type PortMap = BTreeMap<u16, u16>;

/// Which instance has which ports.
pub(super) struct Ports {
    given: BTreeMap<InstanceId, PortMap>,
    reserved: BTreeSet<u16>,
    /// Where the next search begins: a port that became free is the last to be given again, so that a late
    /// request for its former owner meets nobody.
    next: u64,
}

impl Ports {
    /// `reserved` are the agent's own.
    pub(super) fn new(reserved: BTreeSet<u16>, seed: u64) -> Ports {
        Ports { given: BTreeMap::new(), reserved, next: seed }
    }

    /// The instance has these already.
    pub(super) fn adopt(&mut self, id: &InstanceId, ports: PortMap) {
        self.given.insert(id.clone(), ports);
    }

    /// A port for each target: those of `prefer`, if they are free. `None`: there are not enough.
    pub(super) fn give(
        &mut self,
        id: &InstanceId,
        targets: &[TargetPort],
        prefer: &PortMap,
    ) -> Option<PortMap> {
        self.given.remove(id);
        let mut taken: BTreeSet<u16> =
            self.given.values().flat_map(|ports| ports.values().copied()).collect();
        taken.extend(&self.reserved);
        let mut ports = PortMap::new();
        for target in targets {
            let former = prefer.get(&target.port).copied();
            let former = former.filter(|port| !taken.contains(port) && is_free(*port));
            let port = match former {
                Some(port) => port,
                None => self.search(&taken)?,
            };
            taken.insert(port);
            ports.insert(target.port, port);
        }
        self.given.insert(id.clone(), ports.clone());
        Some(ports)
    }

    /// The instance is gone.
    pub(super) fn free(&mut self, id: &InstanceId) {
        self.given.remove(id);
    }

    fn search(&mut self, taken: &BTreeSet<u16>) -> Option<u16> {
        let port = naru_work::free_port(taken, self.next)?;
        self.next = naru_work::seed_after(port);
        Some(port)
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
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
}
