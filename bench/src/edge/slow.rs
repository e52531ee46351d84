//! Clients and instances that misbehave, and what other traffic notices of it.
//!
//! The other traffic comes at one pace with and without them, a fifth of what can be done alone: at full load each more
//! thing to do is a wait by itself, whoever does it; and the load generator has one core for the sockets of all clients
//! and instances, so that from half of full load on what is measured is its own queue. Slow clients come one after another over the time for which one
//! is borne, as independent clients do: else all of them would send, be refused and come again in the same instant.

use super::have_a_core;
use super::peer::{Peer, Places, Running, certify, listener, missing};
use crate::load::{Answer, Ask, Engine, Group, Service, Tally, Then};
use crate::report::{Report, median, most};
use clap::Args;
use naru_model::{Generation, Protocol, RouteTable};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

/// Clients of the other traffic.
const OTHERS: usize = 16;
/// What the others' 99th percentile may be, of what it is without.
const P99: f64 = 2.0;
/// So much of the others' pace has to be kept, or the load was too much for whoever makes it.
const KEPT: f64 = 0.99;
/// What the edge may have in memory beyond what it had, in MB: a buffer of 64 KiB for each of some hundreds, not of ten
/// thousand.
const MEMORY_MB: f64 = 100.0;
/// Requests to a bad instance under way at a time; as many again of the others' would fill their share.
const AT_ONCE: usize = 2;
/// Load that is not measured.
const WARM: Duration = Duration::from_millis(500);
/// What is measured of the edge alone, at full load.
const FULL: Duration = Duration::from_secs(1);
/// Of that, the pace of the others.
const PACE: f64 = 0.2;
/// For so long the edge bears with a head that does not end (its default): slow clients come spread over it.
const BORNE: Duration = Duration::from_secs(10);
/// Slow clients that come at once.
const STEP: usize = 25;

/// The measurement.
#[derive(Args, Clone, Debug)]
pub struct Slow {
    /// Clients that send a byte a second, and idle ones
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// How often each is measured, with and without
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each takes, in seconds: as long as a slow client is borne, and longer
    #[arg(long, default_value_t = 12.0)]
    seconds: f64,
}

/// Who misbehaves.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Clients that send a byte a second.
    Slow,
    /// Clients that have had an answer and say nothing.
    Idle,
    /// An instance, asked for this.
    Instance { path: &'static str, at_once: usize },
}

const TROUBLES: [(&str, Trouble); 5] = [
    ("slow clients", Trouble::Slow),
    ("idle clients", Trouble::Idle),
    ("an instance that never answers", Trouble::Instance { path: "/never", at_once: 64 }),
    ("an instance that answers garbage", Trouble::Instance { path: "/garbage", at_once: AT_ONCE }),
    ("an instance that resets", Trouble::Instance { path: "/reset", at_once: AT_ONCE }),
];

/// One round of one trouble.
#[derive(Default)]
struct Sample {
    /// The others' 99th percentile without it and with it, in µs.
    p99: [f64; 2],
    /// How much of their pace was kept with it.
    kept: f64,
    /// What the edge had more in memory at the end, in MB.
    memory: f64,
    failed: u64,
}

impl Slow {
    /// Runs it.
    ///
    /// # Errors
    /// The edge does not start.
    pub fn run(&self) -> io::Result<Report> {
        let absent = missing(&[]);
        if !absent.is_empty() {
            return Err(io::Error::other(format!("not installed: {}", absent.join("; "))));
        }
        have_a_core()?;
        let mut report =
            Report::new(format!("Bad clients and bad instances, medians of {} rounds", self.rounds));
        for (what, trouble) in TROUBLES {
            let mut samples = Vec::new();
            for round in 0..self.rounds {
                let sample = self.play(trouble)?;
                eprintln!(
                    "  round {} {what}: p99 {:.2} → {:.2} ms, {:+.1} MB",
                    round + 1,
                    sample.p99[0] / 1e3,
                    sample.p99[1] / 1e3,
                    sample.memory
                );
                samples.push(sample);
            }
            judge(&mut report, what, &samples);
        }
        Ok(report)
    }

    fn play(&self, trouble: Trouble) -> io::Result<Sample> {
        let folder = tempfile::tempdir()?;
        certify(folder.path())?;
        let mut engine = Engine::new()?;
        let web = vec![engine.serve(Service::Http)?, engine.serve(Service::Http)?];
        let bad = engine.serve(Service::Http)?;
        let places = Places::new(&web, &web, folder.path())?;
        let mut running = Running::start(Peer::Naru, &places, folder.path())?;
        let bad_at = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        running.apply(&RouteTable {
            generation: Generation(2),
            listeners: vec![
                listener("bad", bad_at, Protocol::Http, &[bad]),
                listener("http", places.http, Protocol::Http, &places.web),
            ],
        })?;
        let pace = PACE * full_load(&mut engine, places.http)?;
        let ask = Ask { then: Then::Rest, ..Ask::get("/b/1024") };
        let others = engine.open(OTHERS, places.http, ask)?;
        engine.run(WARM)?;
        let memory = running.resident();
        let without = self.others(&mut engine, others, pace)?;
        self.begin(&mut engine, trouble, places.http, bad_at)?;
        let with = self.others(&mut engine, others, pace)?;
        let Tally { done, failed, .. } = *engine.tally(others);
        let kept = done as f64 / (pace * self.seconds);
        let memory = (running.resident() as f64 - memory as f64) * 1.024e-3;
        Ok(Sample { p99: [without, with], kept, memory, failed })
    }

    /// The 99th percentile of the other traffic, in µs.
    fn others(&self, engine: &mut Engine, others: Group, pace: f64) -> io::Result<f64> {
        engine.tally(others).clear();
        engine.pace(others, pace, OTHERS, Duration::from_secs_f64(self.seconds))?;
        Ok(engine.tally(others).percentile(99.0))
    }

    fn begin(
        &self,
        engine: &mut Engine,
        trouble: Trouble,
        good: SocketAddr,
        bad: SocketAddr,
    ) -> io::Result<()> {
        match trouble {
            Trouble::Slow => {
                let slow = engine.open(0, good, Ask::creeping())?;
                let steps = self.clients.div_ceil(STEP);
                for step in 0..steps {
                    engine.join(slow, STEP.min(self.clients - step * STEP))?;
                    engine.run(BORNE / steps as u32)?;
                }
            }
            Trouble::Idle => {
                engine.open(self.clients, good, Ask { then: Then::Rest, ..Ask::get("/b/1024") })?;
            }
            Trouble::Instance { path, at_once } => {
                // An answer of the edge's own, 502, is what is right here.
                engine.open(at_once, bad, Ask { answer: Answer::Any, ..Ask::get(path) })?;
            }
        }
        engine.run(WARM)
    }
}

/// How many requests a second the edge does for the others alone.
fn full_load(engine: &mut Engine, to: SocketAddr) -> io::Result<f64> {
    let group = engine.open(OTHERS, to, Ask::get("/b/1024"))?;
    engine.run(WARM)?;
    engine.tally(group).clear();
    engine.run(FULL)?;
    let done = engine.tally(group).done;
    engine.close(group);
    Ok(done as f64 / FULL.as_secs_f64())
}

fn judge(report: &mut Report, what: &str, samples: &[Sample]) {
    let all = |figure: fn(&Sample) -> f64| samples.iter().map(figure).collect::<Vec<f64>>();
    let p99 = |at: fn(&Sample) -> f64| format!("{:.2} ms", median(&all(at)) / 1e3);
    report.figure(&format!("{what}: others' p99 without"), p99(|sample| sample.p99[0]));
    report.figure(&format!("{what}: others' p99 with"), p99(|sample| sample.p99[1]));
    let ratio = median(&all(|sample| sample.p99[1] / sample.p99[0].max(1.0)));
    report.at_most(&format!("{what}: of it"), ratio, P99, "×");
    report.ratio(&format!("{what}: pace kept"), median(&all(|sample| sample.kept)), KEPT);
    report.at_most(&format!("{what}: memory beyond, at most"), most(&all(|s| s.memory)), MEMORY_MB, "MB");
    report.equal(&format!("{what}: others that failed"), samples.iter().map(|s| s.failed).sum(), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_or_a_failure_misses_its_bar() {
        let judged = |with: f64, kept: f64, memory: f64, failed: u64| {
            let mut report = Report::new("of a test");
            judge(&mut report, "x", &[Sample { p99: [1000.0, with], kept, memory, failed }]);
            report.is_missed()
        };
        assert!(!judged(2000.0, 1.0, 50.0, 0));
        assert!(judged(2100.0, 1.0, 50.0, 0));
        assert!(judged(1000.0, 0.9, 50.0, 0));
        assert!(judged(1000.0, 1.0, 101.0, 0));
        assert!(judged(1000.0, 1.0, 50.0, 1));
    }
}
