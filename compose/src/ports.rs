//! Ports in Compose's short form: `80`, `8080:80`, `127.0.0.1:8080:80/udp`, `3000-3005:3000-3005`.

use naru_yaml::units::port_range;
use std::net::IpAddr;

/// A port of the short form; a range gives several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShortPort {
    pub host_ip: String,
    /// A number, a range to choose from, or nothing.
    pub published: String,
    pub target: u16,
    pub protocol: String,
}

/// Ports that one entry may stand for, and that one service may have. A range is checked before anything is
/// made of it.
pub(crate) const MOST_PORTS: usize = 10_000;

/// What `text` stands for, sorted as the reference sorts it. `Err` says what is wrong.
pub(crate) fn parse(text: &str) -> Result<Vec<ShortPort>, String> {
    let (host_ip, published, target) = split(text);
    let (target, protocol) = transport(target)?;
    let host_ip = host_ip.trim_start_matches('[').trim_end_matches(']');
    if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
        return Err(format!("\"{host_ip}\" is not an IP address"));
    }
    let (first, last) = port_range(target)?;
    let outside = if published.is_empty() { None } else { Some(port_range(published)?) };
    let published = published_for(first, last, outside)?;
    let port = |(target, published): (u16, String)| ShortPort {
        host_ip: host_ip.to_string(),
        published,
        target,
        protocol: protocol.clone(),
    };
    let mut ports: Vec<ShortPort> = (first..=last).zip(published).map(port).collect();
    ports.sort_by_cached_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(ports)
}

/// The target without its protocol, and the protocol.
fn transport(target: &str) -> Result<(&str, String), String> {
    let (target, protocol) = match target.split_once('/') {
        Some((target, "")) => (target, "tcp".to_string()),
        Some((target, protocol)) => (target, protocol.to_lowercase()),
        None => (target, "tcp".to_string()),
    };
    match protocol.as_str() {
        _ if target.is_empty() => Err("the port of the container is missing".into()),
        "tcp" | "udp" | "sctp" => Ok((target, protocol)),
        _ => Err(format!("\"{protocol}\" is not a protocol: tcp, udp and sctp are")),
    }
}

/// What is published for each target from `first` to `last`: the port beside it, for a single target a range
/// to choose from, or nothing.
fn published_for(first: u16, last: u16, outside: Option<(u16, u16)>) -> Result<Vec<String>, String> {
    let count = usize::from(last - first) + 1;
    if count > MOST_PORTS {
        return Err(format!("{count} ports are too many; {MOST_PORTS} are the most"));
    }
    match outside {
        None => Ok(vec![String::new(); count]),
        Some((low, high)) if high - low == last - first => {
            Ok((low..=high).map(|port| port.to_string()).collect())
        }
        Some((low, high)) if count == 1 => Ok(vec![format!("{low}-{high}")]),
        Some(_) => Err("the two ranges differ in length".into()),
    }
}

/// Address, published port and target. An IPv6 address has colons of its own.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((rest, target)) = text.rsplit_once(':') else { return ("", "", text) };
    match rest.rsplit_once(':') {
        Some((host_ip, published)) => (host_ip, published, target),
        None => ("", rest, target),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn shown(text: &str) -> String {
        match parse(text) {
            Err(what) => what,
            Ok(ports) => ports
                .iter()
                .map(|port| format!("{}|{}|{}/{}", port.host_ip, port.published, port.target, port.protocol))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    #[test]
    fn short_ports_in_every_form() {
        let cases = [
            ("80", "||80/tcp"),
            ("8080:80", "|8080|80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1|8080|80/udp"),
            ("127.0.0.1::80", "127.0.0.1||80/tcp"),
            ("[::1]:8080:80", "::1|8080|80/tcp"),
            ("::1:8080:80", "::1|8080|80/tcp"),
            ("3000-3001:4000-4001", "|3000|4000/tcp |3001|4001/tcp"),
            ("3000-3005:80", "|3000-3005|80/tcp"),
            ("9999-10000", "||10000/tcp ||9999/tcp"),
            ("8080:80/", "|8080|80/tcp"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn bad_ports_say_what_is_wrong() {
        let cases = [
            ("", "the port of the container is missing"),
            ("8080:", "the port of the container is missing"),
            ("80x:80", "\"80x\" is not a port: 1 to 65535 are"),
            ("70000", "\"70000\" is not a port: 1 to 65535 are"),
            ("1-2:1-3", "the two ranges differ in length"),
            ("5-3", "the range 5-3 ends before it begins"),
            ("80/ftp", "\"ftp\" is not a protocol: tcp, udp and sctp are"),
            ("host:80:80", "\"host\" is not an IP address"),
            ("1-65535", "65535 ports are too many; 10000 are the most"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text}");
        }
    }
}
