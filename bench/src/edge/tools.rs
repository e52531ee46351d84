//! Load by others' programs, for what the bench's own generator does not speak: `wrk` for HTTP over TLS, `h2load` for
//! HTTP/2.

use crate::load::Engine;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What such a program says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Told {
    /// Requests that were answered as they should be.
    pub done: u64,
    /// And those that were not.
    pub failed: u64,
    /// What half of them took at most, in µs.
    pub p50: f64,
    /// What 99 % took at most, in µs.
    pub p99: f64,
}

/// What [`h2load`] sends.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// Connections.
    pub connections: usize,
    /// Requests under way on each, at most.
    pub streams: usize,
    /// In which version.
    pub speaks: Speaks,
    /// Requests a second of each; as many as it can without it.
    pub per_second: Option<f64>,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// HTTP/1.1 over TLS, for so long. `fields` are sent with each request.
///
/// # Errors
/// wrk cannot be run, or says nothing that can be read.
pub fn wrk(
    engine: &mut Engine,
    url: &str,
    connections: usize,
    fields: &[&str],
    time: Duration,
) -> io::Result<Told> {
    let mut command = Command::new("wrk");
    command.args(["--latency", "-t1", "-c", &connections.to_string()]);
    // It knows whole seconds only.
    command.args(["-d", &format!("{}s", time.as_secs_f64().ceil())]);
    fields.iter().for_each(|field| {
        command.args(["-H", field]);
    });
    let said = output(engine, command.arg(url))?;
    read_wrk(&said).ok_or_else(|| io::Error::other(format!("wrk says:\n{said}")))
}

/// HTTP over TLS, for so long; its log goes to `folder`.
///
/// # Errors
/// h2load cannot be run, or says nothing that can be read.
pub fn h2load(
    engine: &mut Engine,
    to: SocketAddr,
    path: &str,
    clients: Clients,
    (time, folder): (Duration, &Path),
) -> io::Result<Told> {
    let log = folder.join("h2load.log");
    let mut command = Command::new("h2load");
    command.args(["-t1", "-c", &clients.connections.to_string(), "-m", &clients.streams.to_string()]);
    // It knows whole seconds only, too.
    command.args(["-D", &time.as_secs_f64().ceil().to_string(), "--log-file"]).arg(&log);
    if let Some(each) = clients.per_second {
        command.args(["--rps", &format!("{each:.2}")]);
    }
    // It offers HTTP/2 first of its own accord; the option to say so has another name in each of its releases.
    if clients.speaks == Speaks::Http1 {
        command.arg("--h1");
    }
    command.arg(format!("https://{to}{path}"));
    let said = output(engine, &mut command)?;
    let log = fs::read_to_string(&log)?;
    read_h2load(&said, &log).ok_or_else(|| io::Error::other(format!("h2load says:\n{said}")))
}

/// Runs it to its end, with the instances answering meanwhile.
fn output(engine: &mut Engine, command: &mut Command) -> io::Result<String> {
    let mut out = tempfile::tempfile()?;
    let mut child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out.try_clone()?).spawn()?;
    while child.try_wait()?.is_none() {
        engine.turn(Duration::from_millis(5))?;
    }
    io::Seek::rewind(&mut out)?;
    io::read_to_string(out)
}

fn read_wrk(said: &str) -> Option<Told> {
    let after = |begin: &str| said.lines().find_map(|line| line.trim().strip_prefix(begin));
    let done = said.lines().find(|line| line.contains(" requests in "))?.split_whitespace().next()?;
    let errors = after("Socket errors: ").unwrap_or_default();
    let errors: u64 = errors.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum();
    let others: u64 = after("Non-2xx or 3xx responses: ").map_or(Some(0), |n| n.trim().parse().ok())?;
    let done: u64 = done.parse().ok()?;
    Some(Told {
        done: done.checked_sub(others)?,
        failed: errors + others,
        p50: microseconds(after("50%")?)?,
        p99: microseconds(after("99%")?)?,
    })
}

/// From `635.91us`, `12.92ms` or `1.50s`.
fn microseconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let (number, scale) = units.iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    Some(number.parse::<f64>().ok()? * scale)
}

/// `log` has a line for each request: when it began, its status, and how long it took.
fn read_h2load(said: &str, log: &str) -> Option<Told> {
    let line = said.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |what: &str| {
        let part = line.split(", ").find(|part| part.ends_with(what))?;
        part.split(' ').next()?.parse::<u64>().ok()
    };
    let mut times: Vec<u64> =
        log.lines().filter_map(|line| line.split('\t').nth(2)?.trim().parse().ok()).collect();
    times.sort_unstable();
    let rank = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Told {
        done: count("succeeded")?,
        failed: count("failed")?,
        p50: rank(50).unwrap_or(0) as f64,
        p99: rank(99).unwrap_or(0) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read() {
        let said = "  Latency Distribution\n     50%  250.00us\n     75%  491.00us\n     99%    5.80ms\n  \
                    1200 requests in 2.00s, 17.76MB read\n  Socket errors: connect 1, read 2, write 0, \
                    timeout 0\n  Non-2xx or 3xx responses: 5\nRequests/sec: 600.0\n";
        assert_eq!(read_wrk(said), Some(Told { done: 1195, failed: 8, p50: 250.0, p99: 5800.0 }));
        assert_eq!(read_wrk("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
        assert_eq!(microseconds("1.50s"), Some(1.5e6));
    }

    #[test]
    fn what_h2load_says_is_read() {
        let said = "finished in 2.00s, 2.00 req/s, 1.10MB/s\nrequests: 4 total, 5 started, 4 done, 3 succeeded, \
                    1 failed, 1 errored, 0 timeout\n";
        let log = "1\t200\t30\n2\t200\t10\n3\t200\t20\n4\t200\t400\n";
        assert_eq!(read_h2load(said, log), Some(Told { done: 3, failed: 1, p50: 20.0, p99: 400.0 }));
        assert_eq!(read_h2load("", ""), None);
    }
}
