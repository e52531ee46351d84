//! What a stack asks of its host, of which there is one each.

use naru_model::{Connection, Protocol, Run, Service, ServiceName, Stack};

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

/// The ports of the host that it wants, published by the edge or without it.
pub fn port_claims(stack: &Stack) -> Vec<PortClaim> {
    let mut all = Vec::new();
    for (name, service) in &stack.services {
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
    all.extend(stack.listeners.iter().map(|listener| PortClaim {
        whose: format!("listener `{}`", listener.name),
        host_ip: listener.host_ip.clone(),
        port: (listener.port, transport(listener.protocol)),
    }));
    all
}

/// The names that services give their containers.
pub fn container_names(stack: &Stack) -> impl Iterator<Item = (String, &ServiceName)> {
    stack.services.iter().filter_map(|(service, definition)| {
        Some((definition.template.run.container()?.name.clone()?, service))
    })
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
