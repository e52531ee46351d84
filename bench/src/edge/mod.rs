//! Naru's edge beside HAProxy, nginx and Caddy: the same work, the same load, side by side in one run.
//!
//! The proxy has one core and one thread for its work; load and instances have the other core. What is compared
//! is CPU time for each request, as the system accounts it to the proxy, since the rate also depends on which of the
//! two cores is full first. Rounds are interleaved, so that whatever else the machine does meets all alike.
//!
//! [`peer`] starts proxies, [`case`] lists the loads, [`round`] takes one round, and [`table`] puts them together.
//! [`routes`] and [`slow`] look at Naru's edge alone: at many routes, and at those who misbehave.

pub mod case;
pub mod peer;
pub mod process;
pub mod round;
pub mod routes;
pub mod slow;
pub mod table;
pub mod tools;

use crate::report::Report;
use case::Case;
use clap::Args;
use peer::Peer;
use round::{Bench, Sample};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::io;
use std::time::Duration;
use table::Samples;

/// The core of load and instances; the proxy has the other one.
const LOAD_CORE: usize = 1;

/// The comparison.
#[derive(Args, Clone, Debug)]
pub struct Beside {
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Cases, as `1k-64,tcp-64k`; all without it
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Proxies
    #[arg(long, value_delimiter = ',', default_value = "naru,haproxy,nginx,caddy")]
    peers: Vec<Peer>,
}

impl Beside {
    /// Runs it.
    ///
    /// # Errors
    /// Something that is needed is not installed, or a proxy does not start.
    pub fn run(&self) -> io::Result<Report> {
        let cases = Case::named(&self.only).map_err(io::Error::other)?;
        let missing = peer::missing(&self.peers);
        if !missing.is_empty() {
            return Err(io::Error::other(format!("not installed: {}", missing.join("; "))));
        }
        have_a_core()?;
        let mut bench = Bench::new(Duration::from_secs_f64(self.seconds))?;
        let mut samples = Samples::default();
        for round in 0..self.rounds {
            for (n, case) in cases.iter().enumerate() {
                let order = self.order(round, case);
                let mut played = Vec::with_capacity(order.len());
                for peer in &order {
                    let sample = bench.play(*peer, case)?;
                    eprintln!(
                        "  round {} {:<9} {peer:<8} {:>8.1} {}  {:>8.0}/s  {:>3.0} %  p99 {:>7.2} ms",
                        round + 1,
                        case.name,
                        sample.cost,
                        case.unit(),
                        sample.rate,
                        sample.busy,
                        sample.full.p99 / 1e3,
                    );
                    played.push((*peer, sample));
                }
                pace(&mut bench, case, &mut played)?;
                played.into_iter().for_each(|(peer, sample)| samples.add(n, peer, sample));
            }
        }
        println!("{}", samples.markdown(&cases, &self.peers));
        let mut report = Report::new(format!("The edge beside others, medians of {} rounds", self.rounds));
        samples.judge(&mut report, &cases, &self.peers);
        Ok(report)
    }

    /// Who is measured, and in which order: each is once the first.
    fn order(&self, round: usize, case: &Case) -> Vec<Peer> {
        let mut peers = self.peers.clone();
        peers.retain(|peer| *peer != Peer::Caddy || !case.is_tcp());
        let first = round % peers.len().max(1);
        peers.rotate_left(first);
        peers
    }
}

/// Has all do the same at half of the pace that the slowest has kept up: how long exchanges take when all that is
/// slower is the proxy itself. Caddy is left out: half of its pace is a small part of the others'.
fn pace(bench: &mut Bench, case: &Case, played: &mut [(Peer, Sample)]) -> io::Result<()> {
    let paced = || played.iter().filter(|(peer, sample)| *peer != Peer::Caddy && sample.rate > 0.0);
    let Some(slowest) = paced().map(|(_, sample)| sample.rate).reduce(f64::min) else { return Ok(()) };
    for (peer, sample) in played.iter_mut().filter(|(peer, _)| *peer != Peer::Caddy) {
        let Some((times, failed)) = bench.pace(*peer, case, slowest / 2.0)? else { continue };
        let (p50, p99) = (times.p50 / 1e3, times.p99 / 1e3);
        eprintln!("    {:<9} {peer:<8} at {:.0}/s: {p50:.3} ms, p99 {p99:.3} ms", case.name, slowest / 2.0);
        sample.steady = Some(times);
        sample.failed += failed;
    }
    Ok(())
}

/// Gives this thread, and what it starts unless told otherwise, the core of the load.
fn have_a_core() -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(LOAD_CORE);
    sched_setaffinity(None, &cores).map_err(|error| {
        io::Error::other(format!("two cores are needed, and the second cannot be had: {error}"))
    })
}
