//! One round: a proxy, started anew, under one load.

use super::case::{Case, Kept, Load};
use super::peer::{Peer, Places, Running, certify};
use super::tools::{Clients, Speaks, Told, h2load, wrk};
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
/// The longest measurement of a pace: of the slowest exchanges it has fewer.
const LONGEST: Duration = Duration::from_secs(3);
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
    /// How long they took, as many at once as there are clients.
    pub full: Times,
    /// How long they took at a pace that leaves the proxy time.
    pub steady: Option<Times>,
    /// Exchanges that failed.
    pub failed: u64,
}

/// How long exchanges took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// What half of them took at most, in µs.
    pub p50: f64,
    /// What 99 % of them took at most, in µs.
    pub p99: f64,
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

    /// How long exchanges take that come at this pace, where a load can be paced; and how many failed.
    ///
    /// # Errors
    /// The proxy does not start, or the load generator fails.
    pub fn pace(&mut self, peer: Peer, case: &Case, per_second: f64) -> io::Result<Option<(Times, u64)>> {
        let places = Places::new(&self.web, &self.raw, self.folder.path())?;
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let running = Running::start(peer, &places, folder.path())?;
        let paced = self.steady(&places, case.load, per_second);
        drop(running);
        self.engine.run(Duration::from_millis(20))?;
        paced
    }

    fn steady(&mut self, places: &Places, load: Load, rate: f64) -> io::Result<Option<(Times, u64)>> {
        let (to, ask, connections, kept) = match load {
            Load::Requests { size, connections, kept } => {
                let path = format!("/b/{size}");
                let ask = if kept == Kept::Yes { Ask::get(&path) } else { Ask::get_once(&path) };
                (places.http, ask, connections, kept)
            }
            Load::Messages { size, answer, connections, kept } => {
                (places.tcp, Ask::message(size, answer), connections, kept)
            }
            Load::Websockets { open, .. } => (places.http, Ask::websocket(MESSAGE), open, Kept::Yes),
            Load::Tls { size, connections, kept: Kept::Yes } => {
                let clients = Clients { connections, streams: 1, speaks: Speaks::Http1, per_second: None };
                return self.steady_tls(places, size, clients, rate).map(Some);
            }
            Load::Http2 { size, connections, streams } => {
                let clients = Clients { connections, streams, speaks: Speaks::Http2, per_second: None };
                return self.steady_tls(places, size, clients, rate).map(Some);
            }
            Load::Tls { kept: Kept::No, .. } | Load::Idle { .. } => return Ok(None),
        };
        let then = if kept == Kept::Yes { Then::Rest } else { Then::Leave };
        let group = self.engine.open(0, to, Ask { then, ..ask })?;
        if kept == Kept::Yes {
            self.rest(group, connections)?;
        }
        self.engine.pace(group, rate, connections, WARM)?;
        self.engine.tally(group).clear();
        // A hundredth of them has to be more than a few.
        let time = self.time.max(Duration::from_secs_f64(200.0 / rate)).min(LONGEST);
        self.engine.pace(group, rate, connections, time)?;
        let tally = self.engine.tally(group).clone();
        self.engine.close(group);
        if let Some(fault) = &tally.fault {
            eprintln!("    {} failed, the first: {fault}", tally.failed);
        }
        Ok(Some((Times { p50: tally.percentile(50.0), p99: tally.percentile(99.0) }, tally.failed)))
    }

    fn steady_tls(
        &mut self,
        places: &Places,
        size: usize,
        clients: Clients,
        rate: f64,
    ) -> io::Result<(Times, u64)> {
        let clients = Clients { per_second: Some(rate / clients.connections as f64), ..clients };
        let path = format!("/b/{size}");
        let at = (self.time, self.folder.path());
        let Told { failed, p50, p99, .. } = h2load(&mut self.engine, places.tls, &path, clients, at)?;
        Ok((Times { p50, p99 }, failed))
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
                let clients = Clients { connections, streams, speaks: Speaks::Http2, per_second: None };
                self.tool(running, |engine, time, folder| {
                    h2load(engine, places.tls, &path, clients, (time, folder))
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
        Ok(sample((cpu, took), (done, failed), Times { p50, p99 }))
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
        let times = Times { p50: tally.percentile(50.0), p99: tally.percentile(99.0) };
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

fn sample((cpu, took): (Duration, Duration), (done, failed): (u64, u64), full: Times) -> Sample {
    Sample {
        cost: cpu.as_secs_f64() * 1e6 / done.max(1) as f64,
        rate: done as f64 / took.as_secs_f64(),
        busy: cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
        full,
        steady: None,
        failed,
    }
}
