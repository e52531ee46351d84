//! `sni` of a listener: TLS that is passed on unread, by the name that a client asks for.

use crate::Setting;
use crate::actions::{Among, service_port};
use crate::conditions::one_host;
use crate::reader::Reader;
use naru_model::{Match, SniRoute, StackListener, Tls};
use naru_yaml::Node;
use std::cmp::Reverse;

/// More are a program's doing.
const MOST: usize = 1_000;

/// What says something of requests, which nobody reads here.
const OF_REQUESTS: &[&str] = &["tls", "redirect", "access_log", "server_timing"];

/// Names and where their connections go, the narrow ones first.
pub(crate) fn passthrough(reader: &mut Reader<'_>, listener: &Node, setting: &Setting<'_>) -> Option<Tls> {
    let node = listener.get("sni")?;
    for (key, other) in OF_REQUESTS.iter().filter_map(|key| Some((key, listener.get(key)?))) {
        let what = format!("{key} has no meaning beside sni");
        reader.error(other.key, what, "TLS is passed on unread: remove it, or put it at another listener");
    }
    let mut reader = reader.below("sni");
    if !reader.is_map(node) {
        return None;
    }
    if node.entries().next().is_none() || node.entries().count() > MOST {
        let what = format!("has {} names", node.entries().count());
        reader.wrong(node.key, what, format!("write 1 to {MOST}, as shop.example.com: shop"));
    }
    let add = |name: &str| format!("write app_protocol: tcp at a port of {name}");
    let mut routes = Vec::new();
    for (name, to) in node.entries() {
        let hosts = match name.as_str() {
            "*" => Some(vec![]),
            name => one_host(&mut reader, name, to.key).map(|host| vec![host]),
        };
        let among = Among {
            key: name,
            keys: "listeners.NAME.sni.NAME",
            spoken: "TCP",
            ports: setting.tcp,
            add: &add,
        };
        let forward = service_port(&mut reader, to, &among);
        routes.extend(hosts.zip(forward).map(|(hosts, forward)| SniRoute { hosts, forward }));
    }
    routes.sort_by_key(|route| {
        let when = Match { hosts: route.hosts.clone(), ..Match::default() };
        (Reverse(naru_traffic::specificity(&when)), route.hosts.clone())
    });
    for two in routes.windows(2).filter(|two| two[0].hosts == two[1].hosts) {
        reader.wrong(node.key, format!("has {} twice", two[0].hosts.concat()), "remove one of them");
    }
    Some(Tls::Passthrough(routes))
}

/// Whether a listener reads no requests.
pub(crate) fn passes(listener: &StackListener) -> bool {
    listener.forward.is_some() || matches!(listener.entrance.tls, Some(Tls::Passthrough(_)))
}
