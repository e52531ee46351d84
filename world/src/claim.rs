//! What a stack asks of its host, of which there is one each; and what belongs together in it.

use crate::{Connection, Protocol, Refusal, Run, Service, ServiceName, Stack};
use std::collections::BTreeSet;

/// A port of the host that a stack wants at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortClaim {
    /// What of the stack wants it, in words.
    pub whose: String,
    /// The address.
    pub host_ip: String,
    /// TCP and UDP may have the same number.
    pub port: (u16, &'static str),
}

impl Stack {
    /// The ports of the host that it wants, published by the edge or without it.
    pub fn port_claims(&self) -> Vec<PortClaim> {
        let mut all = Vec::new();
        for (name, service) in &self.services {
            let whose = || format!("service `{name}`");
            let own = host_ports(service).into_iter();
            all.extend(own.map(|(host_ip, port)| PortClaim { whose: whose(), host_ip, port }));
            let fixed = service.ports.iter().filter_map(|port| Some((port, port.published?)));
            all.extend(fixed.map(|(port, number)| PortClaim {
                whose: whose(),
                host_ip: port.host_ip.clone(),
                port: (number, transport(port.protocol)),
            }));
        }
        all.extend(self.listeners.iter().map(|listener| PortClaim {
            whose: format!("listener `{}`", listener.name),
            host_ip: listener.host_ip.clone(),
            port: (listener.port, transport(listener.protocol)),
        }));
        all
    }

    /// The names that services give their containers.
    pub fn container_names(&self) -> impl Iterator<Item = (String, &ServiceName)> {
        self.services.iter().filter_map(|(service, definition)| {
            Some((definition.template.run.container()?.name.clone()?, service))
        })
    }

    /// The services named, and what they depend on.
    ///
    /// # Errors
    /// One that is named is not there.
    pub fn with_dependencies(&self, only: &[ServiceName]) -> Result<BTreeSet<ServiceName>, Refusal> {
        let mut chosen = BTreeSet::new();
        let mut open: Vec<ServiceName> = only.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(&name) else {
                if !only.contains(&name) {
                    continue;
                }
                let all: Vec<_> = self.services.keys().map(|service| service.as_str()).collect();
                let hint = format!("its services are: {}", all.join(", "));
                return Err(Refusal::new(format!("the file has no service `{name}`"), hint));
            };
            if chosen.insert(name) {
                open.extend(service.depends_on.keys().cloned());
            }
        }
        Ok(chosen)
    }
}

/// Ports of the host that the service's instances take without the edge: address, number and transport.
fn host_ports(service: &Service) -> Vec<(String, (u16, &'static str))> {
    let Run::Container(container) = &service.template.run else { return vec![] };
    let published = container.ports.iter().filter_map(|port| Some((port, port.published?)));
    let published = published.map(|(port, number)| (port.host_ip.clone(), (number, port.transport.word())));
    let own = service.template.targets.iter().filter(|_| container.connection == Connection::Host);
    let own = own.map(|target| ("0.0.0.0".to_string(), (target.port, transport(target.protocol))));
    published.chain(own).collect()
}

fn transport(protocol: Protocol) -> &'static str {
    if protocol == Protocol::Udp { "udp" } else { "tcp" }
}
