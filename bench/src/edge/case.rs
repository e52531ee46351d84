//! What is measured: each case is a load, and an aim that Naru's edge has.

use std::fmt::{self, Display};

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As `--only` names it.
    pub name: &'static str,
    /// As the table names it.
    pub what: &'static str,
    /// The load.
    pub load: Load,
    /// What Naru's edge is to reach.
    pub aim: Aim,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// HTTP/1.1.
    Requests {
        /// Bytes of an answer.
        size: usize,
        /// Clients.
        connections: usize,
        /// Whether they keep their connections.
        kept: Kept,
    },
    /// HTTP/1.1 over TLS 1.3, sent by wrk.
    Tls {
        /// Bytes of an answer.
        size: usize,
        /// Clients.
        connections: usize,
        /// Whether they keep their connections.
        kept: Kept,
    },
    /// HTTP/2 over TLS 1.3, sent by h2load.
    Http2 {
        /// Bytes of an answer.
        size: usize,
        /// Clients.
        connections: usize,
        /// Requests under way on each connection.
        streams: usize,
    },
    /// Messages over websockets that are mostly idle.
    Websockets {
        /// Websockets.
        open: usize,
        /// Messages under way at a time.
        at_once: usize,
    },
    /// Messages over TCP.
    Messages {
        /// Bytes of a message.
        size: usize,
        /// Bytes of its answer.
        answer: usize,
        /// Clients.
        connections: usize,
        /// Whether they keep their connections.
        kept: Kept,
    },
    /// Connections that had one request and then nothing.
    Idle {
        /// How many.
        connections: usize,
    },
}

/// Whether a connection carries many exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Many.
    Yes,
    /// One.
    No,
}

/// What Naru's edge is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// So many times HAProxy's requests per second and core.
    Haproxy(f64),
    /// As many requests per second and core as the best of the others.
    Best,
    /// At most HAProxy's memory.
    Memory,
}

const KB: usize = 1024;

/// All cases.
pub const CASES: [Case; 18] = [
    kept("1k-64", "1 KiB, 64 connections", KB, 64, Aim::Haproxy(1.2)),
    kept("1k-256", "1 KiB, 256 connections", KB, 256, Aim::Haproxy(1.2)),
    kept("64k-64", "64 KiB, 64 connections", 64 * KB, 64, Aim::Best),
    kept("64k-256", "64 KiB, 256 connections", 64 * KB, 256, Aim::Best),
    Case {
        name: "1k-once",
        what: "1 KiB, a connection per request, 64 at once",
        load: Load::Requests { size: KB, connections: 64, kept: Kept::No },
        aim: Aim::Best,
    },
    Case {
        name: "64k-once",
        what: "64 KiB, a connection per request, 64 at once",
        load: Load::Requests { size: 64 * KB, connections: 64, kept: Kept::No },
        aim: Aim::Best,
    },
    tls("tls-1k", "TLS, 1 KiB, 64 connections", KB, Kept::Yes),
    tls("tls-64k", "TLS, 64 KiB, 64 connections", 64 * KB, Kept::Yes),
    tls("tls-once", "TLS, 1 KiB, a connection per request, 64 at once", KB, Kept::No),
    http2("h2-1k", "HTTP/2, 1 KiB, 32 connections of 10 streams", KB),
    http2("h2-64k", "HTTP/2, 64 KiB, 32 connections of 10 streams", 64 * KB),
    Case {
        name: "ws",
        what: "1,000 websockets, 64 messages of 64 bytes at once",
        load: Load::Websockets { open: 1000, at_once: 64 },
        aim: Aim::Best,
    },
    messages("tcp-1k", "TCP, 1 KiB both ways, 64 connections", KB, KB, 64, Kept::Yes),
    messages("tcp-64k", "TCP, 64 KiB both ways, 64 connections", 64 * KB, 64 * KB, 64, Kept::Yes),
    messages("tcp-once", "TCP, 1 KiB both ways, a connection per message", KB, KB, 64, Kept::No),
    messages("tcp-bulk", "TCP, 16 MiB down, 8 connections", 8, 16 * KB * KB, 8, Kept::Yes),
    idle("idle-1k", "memory of an idle connection, of 1,000", 1000),
    idle("idle-10k", "memory of an idle connection, of 10,000", 10_000),
];

const fn kept(name: &'static str, what: &'static str, size: usize, connections: usize, aim: Aim) -> Case {
    Case { name, what, load: Load::Requests { size, connections, kept: Kept::Yes }, aim }
}

const fn messages(
    name: &'static str,
    what: &'static str,
    size: usize,
    answer: usize,
    connections: usize,
    kept: Kept,
) -> Case {
    Case { name, what, load: Load::Messages { size, answer, connections, kept }, aim: Aim::Best }
}

const fn tls(name: &'static str, what: &'static str, size: usize, kept: Kept) -> Case {
    Case { name, what, load: Load::Tls { size, connections: 64, kept }, aim: Aim::Best }
}

const fn http2(name: &'static str, what: &'static str, size: usize) -> Case {
    Case { name, what, load: Load::Http2 { size, connections: 32, streams: 10 }, aim: Aim::Best }
}

const fn idle(name: &'static str, what: &'static str, connections: usize) -> Case {
    Case { name, what, load: Load::Idle { connections }, aim: Aim::Memory }
}

impl Case {
    /// Those that are named; all where none is.
    ///
    /// # Errors
    /// A name that no case has.
    pub fn named(names: &[String]) -> Result<Vec<Case>, String> {
        if names.is_empty() {
            return Ok(CASES.to_vec());
        }
        let one = |name: &String| {
            let found = CASES.iter().find(|case| case.name == name).copied();
            let all = || CASES.map(|case| case.name).join(", ");
            found.ok_or_else(|| format!("no case is called {name:?}; there are {}", all()))
        };
        names.iter().map(one).collect()
    }

    /// Whether it is TCP, which not every peer can.
    pub fn is_tcp(&self) -> bool {
        matches!(self.load, Load::Messages { .. })
    }

    /// What its cost is counted in.
    pub fn unit(&self) -> Unit {
        match self.load {
            Load::Idle { .. } => Unit::Memory,
            _ => Unit::Time,
        }
    }
}

/// What a cost is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// µs of CPU for each exchange.
    Time,
    /// kB for each connection.
    Memory,
}

impl Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Time => "µs",
            Unit::Memory => "kB",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{CASES, Case};

    #[test]
    fn cases_are_known_by_name() {
        for case in CASES {
            assert_eq!(Case::named(&[case.name.into()]).unwrap()[0].what, case.what);
        }
        assert_eq!(Case::named(&[]).unwrap().len(), CASES.len());
        assert!(Case::named(&["2k".into()]).unwrap_err().contains("1k-64"));
    }
}
