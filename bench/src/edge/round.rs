//! One round: a proxy, started anew, under one load.

use super::case::{Case, Kept, Load};
use super::peer::{Peer, Places, Running, certify};
use super::tools::{Told, h2load, wrk};
use crate::load::{Ask, Engine, Group, Service, Then};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Load before anything is measured: connections are made, buffers had.
const WARM: Duration = Duration::from_millis(300);
/// Connections that are opened at once, where many only rest afterwards.
const STEP: usize = 50;
/// Clients that do not get to rest in this time never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// A websocket's message.
const MESSAGE: usize = 64;

/// What one round says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// CPU for each exchange in µs, or memory for each connection in kB.
    pub cost: f64,
    /// Exchanges a second.
    pub rate: f64,
    /// The share of its core that the proxy used, in percent.
    pub busy: f64,
    /// What half of the exchanges took at most, in µs.
    pub p50: f64,
    /// What 99 % of them took at most, in µs.
    pub p99: f64,
    /// Exchanges that failed.
    pub failed: u64,
}

/// What all rounds share: the load generator and the instances.
pub struct Bench {
    engine: Engine,
    web: Vec<std::net::SocketAddr>,
    raw: Vec<std::net::SocketAddr>,
    time: Duration,
    folder: tempfile::TempDir,
}

impl Bench {
    /// Instances that serve; each round takes `time`.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(time: Duration) -> io::Result<Bench> {
        let mut engine = Engine::new()?;
        let mut two = |service| Ok::<_, io::Error>(vec![engine.serve(service)?, engine.serve(service)?]);
        let (web, raw) = (two(Service::Http)?, two(Service::Messages)?);
        let folder = tempfile::tempdir()?;
        certify(folder.path())?;
        Ok(Bench { engine, web, raw, time, folder })
    }

    /// Takes one round.
    ///
    /// # Errors
    /// The proxy does not start, or the load generator fails.
    pub fn play(&mut self, peer: Peer, case: &Case) -> io::Result<Sample> {
        let places = Places::new(&self.web, &self.raw, self.folder.path())?;
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let running = Running::start(peer, &places, folder.path())?;
        let played = self.load(&running, &places, case.load);
        drop(running);
        // What the proxy's end left behind at the instances.
        self.engine.run(Duration::from_millis(20))?;
        played
    }

    fn load(&mut self, running: &Running, places: &Places, load: Load) -> io::Result<Sample> {
        match load {
            Load::Requests { size, connections, kept } => {
                let path = format!("/b/{size}");
                let ask = if kept == Kept::Yes { Ask::get(&path) } else { Ask::get_once(&path) };
                let group = self.engine.open(connections, places.http, ask)?;
                self.measure(running, group)
            }
            Load::Messages { size, answer, connections, kept } => {
                let then = if kept == Kept::Yes { Then::Again } else { Then::Reconnect };
                let ask = Ask { then, ..Ask::message(size, answer) };
                let group = self.engine.open(connections, places.tcp, ask)?;
                self.measure(running, group)
            }
            Load::Tls { size, connections, kept } => {
                let url = format!("https://{}/b/{size}", places.tls);
                let fields: &[&str] = if kept == Kept::Yes { &[] } else { &["Connection: close"] };
                self.tool(running, |engine, time, _| wrk(engine, &url, connections, fields, time))
            }
            Load::Http2 { size, connections, streams } => {
                let path = format!("/b/{size}");
                self.tool(running, |engine, time, folder| {
                    h2load(engine, places.tls, &path, (connections, streams), (time, folder))
                })
            }
            Load::Websockets { open, at_once } => {
                let group = self.engine.open(0, places.http, Ask::websocket(MESSAGE))?;
                self.rest(group, open)?;
                self.engine.wake(group, at_once)?;
                self.measure(running, group)
            }
            Load::Idle { connections } => self.weigh(running, places, connections),
        }
    }

    /// Measures what another program sends.
    fn tool(
        &mut self,
        running: &Running,
        send: impl FnOnce(&mut Engine, Duration, &Path) -> io::Result<Told>,
    ) -> io::Result<Sample> {
        let (cpu, began) = (running.cpu()?, Instant::now());
        let told = send(&mut self.engine, self.time, self.folder.path())?;
        let (cpu, took) = (running.cpu()? - cpu, began.elapsed());
        let Told { done, failed, p50, p99 } = told;
        Ok(sample((cpu, took), (done, failed), (p50, p99)))
    }

    /// Measures a group that is at work, and closes it.
    fn measure(&mut self, running: &Running, group: Group) -> io::Result<Sample> {
        self.engine.run(WARM)?;
        self.engine.tally(group).clear();
        let (cpu, began) = (running.cpu()?, Instant::now());
        self.engine.run(self.time)?;
        let (cpu, took) = (running.cpu()? - cpu, began.elapsed());
        let tally = self.engine.tally(group).clone();
        self.engine.close(group);
        if let Some(fault) = &tally.fault {
            eprintln!("    {} failed, the first: {fault}", tally.failed);
        }
        let times = (tally.percentile(50.0), tally.percentile(99.0));
        Ok(sample((cpu, took), (tally.done, tally.failed), times))
    }

    /// Opens connections, lets each have its one exchange, and sees what the proxy needs for them.
    fn weigh(&mut self, running: &Running, places: &Places, connections: usize) -> io::Result<Sample> {
        // What the first requests bring into memory belongs to no connection.
        let warm = self.engine.open(STEP, places.http, Ask::get("/b/1024"))?;
        self.engine.run(WARM)?;
        self.engine.close(warm);
        self.engine.run(WARM)?;
        let before = running.resident();
        let ask = Ask { then: Then::Rest, ..Ask::get("/b/1024") };
        let group = self.engine.open(0, places.http, ask)?;
        self.rest(group, connections)?;
        self.engine.run(WARM)?;
        let after = running.resident();
        let failed = self.engine.tally(group).failed;
        self.engine.close(group);
        let cost = after.saturating_sub(before) as f64 * 1.024 / connections as f64;
        Ok(Sample { cost, failed, ..Sample::default() })
    }

    /// Opens so many clients of a group, a few at a time, until all rest.
    fn rest(&mut self, group: Group, clients: usize) -> io::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        for opened in (0..clients).step_by(STEP) {
            let more = STEP.min(clients - opened);
            self.engine.join(group, more)?;
            while self.engine.resting(group) < opened + more {
                self.engine.turn(Duration::from_millis(20))?;
                if Instant::now() > give_up || self.engine.tally(group).failed > 0 {
                    let (resting, tally) = (self.engine.resting(group), self.engine.tally(group));
                    let fault = tally.fault.as_deref().unwrap_or("it takes too long");
                    return Err(io::Error::other(format!("{resting} of {clients} connections: {fault}")));
                }
            }
        }
        Ok(())
    }
}

fn sample((cpu, took): (Duration, Duration), (done, failed): (u64, u64), (p50, p99): (f64, f64)) -> Sample {
    Sample {
        cost: cpu.as_secs_f64() * 1e6 / done.max(1) as f64,
        rate: done as f64 / took.as_secs_f64(),
        busy: cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
        p50,
        p99,
        failed,
    }
}
