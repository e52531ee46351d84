//! The edge replaced under load: requests on kept and on fresh connections, websockets, uploads and downloads.
//! Nothing may fail, nothing may be cut, and every receipt has to be true, whoever of the edges counted. Then
//! what a kill does: of an old edge that still drains, and of the new one while an old one drains.

use crate::deploys::{bars, end, work};
use crate::report::{Report, median, most};
use crate::roles;
use crate::stage::{begin, with_rig};
use naru_demo::books::{Books, Failing};
use naru_demo::check::lost;
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use naru_demo::talk::TALK;
use naru_model::{Operation, OperationKind};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What waits for a state gives up after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A crashed edge is to accept again within this.
const BACK_WITHIN_MS: f64 = 100.0;

/// Edges in a row.
#[derive(Clone, Debug)]
pub struct Handover {
    /// How often the edge is replaced; every fifth time with all roles.
    pub times: u32,
    /// From one replacement to the next.
    pub every: Duration,
    /// The load; its address is filled in.
    pub load: Load,
}

/// What `naru upgrade --show --json` prints.
#[derive(Deserialize)]
struct Told {
    edge: Option<Standing>,
}

#[derive(Deserialize)]
struct Standing {
    pid: u32,
    draining: Vec<Draining>,
}

#[derive(Deserialize)]
struct Draining {
    pid: u32,
    connections: u64,
}

/// What was seen of the edges.
#[derive(Default)]
struct Seen {
    pids: BTreeSet<u32>,
    draining: usize,
    carried: u64,
    took: Vec<f64>,
}

/// The load of the bar.
pub fn full_load() -> Load {
    Load {
        connections: 32,
        fresh: 8,
        transfers: 8,
        transfer_bytes: 16 << 20,
        transfer_ms: vec![8_000, 3_000, 12_000],
        websocket_ms: vec![3_000, 20_000, 45_000],
        talks: 8,
        talk_ms: vec![2_000, 15_000, 40_000],
        ..crate::deploys::full_load()
    }
}

/// One that a test can afford.
pub fn small_load() -> Load {
    Load {
        fresh: 2,
        transfers: 4,
        transfer_bytes: 2 << 20,
        transfer_ms: vec![2_000, 1_000, 3_000],
        websockets: 4,
        websocket_ms: vec![2_000, 6_000],
        talks: 4,
        talk_ms: vec![1_000, 5_000],
        ..crate::deploys::small_load()
    }
}

impl Handover {
    /// Replaces the edge again and again; nothing is killed.
    ///
    /// # Errors
    /// A replacement failed, or something of the run could not be started.
    pub async fn run(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| self.play(rig).await).await
    }

    async fn play(&self, rig: &Rig) -> io::Result<Report> {
        let client = self.begin(rig).await?;
        let mut seen = Seen::default();
        seen.note(&standing(rig).await?);
        let mut turn = tokio::time::interval(self.every);
        turn.tick().await;
        for n in 1..=self.times {
            turn.tick().await;
            let began = Instant::now();
            let args: &[&str] = if n.is_multiple_of(5) { &["upgrade"] } else { &["upgrade", "--edge"] };
            rig.naru(args).await?;
            seen.took.push(began.elapsed().as_secs_f64() * 1e3);
            let now = standing(rig).await?;
            seen.note(&now);
            eprintln!(
                "edge {n:>2}: {:>4.0} ms; {} drain",
                seen.took.last().unwrap_or(&0.0),
                now.draining.len()
            );
        }
        turn.tick().await;
        let books = client.finish(Duration::from_secs(120)).await;
        let back = restart(rig).await?;
        let operations = end(rig).await?;
        let mut report =
            Report::new(format!("the edge replaced {} times, every {:?}", self.times, self.every));
        work(&mut report, &books);
        report.figure("uploads and downloads among the requests", books.transfers);
        report.figure("gRPC streams ended by the client", books.talked());
        let took = format!("{:.0} / {:.0} ms", median(&seen.took), most(&seen.took));
        report.figure("`naru upgrade` from start to end, median / most", took);
        report.figure("most old edges that drained side by side", seen.draining);
        report.figure("most connections that an old edge was seen to carry", seen.carried);
        report.equal("edge processes that served", seen.pids.len() as u64, u64::from(self.times) + 1);
        bars(&mut report, &books, &operations);
        report.at_most("an edge that is killed: until another accepts", back, BACK_WITHIN_MS, "ms");
        Ok(report)
    }

    /// An old edge is killed while it carries websockets: those, and nothing else, are lost, and on a receipt.
    ///
    /// # Errors
    /// Something of the run could not be started.
    pub async fn drainer_killed(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| {
            let (client, old) = self.replaced(rig).await?;
            roles::kill(old)?;
            until(rig, |standing| standing.draining.is_empty()).await?;
            let mut report = Report::new("an old edge killed while it carries websockets");
            self.losses(&mut report, rig, client, 1).await?;
            report.at_least("websockets lost, by the receipts", self.streams_lost(rig).await?, 1);
            Ok(report)
        })
        .await
    }

    /// The edge is killed while an old one carries websockets: those go on.
    ///
    /// # Errors
    /// Something of the run could not be started.
    pub async fn successor_killed(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| {
            let (client, old) = self.replaced(rig).await?;
            roles::replace(&rig.home(), &["edge"]).await?;
            until(rig, |standing| standing.draining.iter().any(|one| one.pid == old.cast_unsigned())).await?;
            // Once more: the next one finds the same.
            roles::replace(&rig.home(), &["edge"]).await?;
            until(rig, |standing| standing.draining.iter().any(|one| one.pid == old.cast_unsigned())).await?;
            let mut report = Report::new("the edge killed twice while an old one carries websockets");
            report.none("websockets of the old edge that were cut", &client.books().cut);
            self.losses(&mut report, rig, client, 2).await?;
            Ok(report)
        })
        .await
    }

    async fn begin(&self, rig: &Rig) -> io::Result<Client> {
        let shape = Shape {
            strategy: "rolling",
            api: 2,
            engine: 2,
            talk: 2,
            max_retiring: 3,
            monitor: "2s",
            start_ms: 0,
        };
        begin(rig, &shape, Load { url: rig.url(), talk: rig.talk(), ..self.load.clone() }).await
    }

    /// Websockets are open, and the edge that has them was replaced: which process that is.
    async fn replaced(&self, rig: &Rig) -> io::Result<(Client, i32)> {
        let client = self.begin(rig).await?;
        let wanted = self.load.websockets as u64;
        let give_up = Instant::now() + PATIENCE;
        loop {
            let streams: u64 = rig.instances().await?.iter().map(|one| one.work.streams).sum();
            if streams >= wanted {
                break;
            }
            if Instant::now() > give_up {
                return Err(io::Error::other(format!("{streams} of {wanted} websockets are open")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        rig.naru(&["upgrade", "--edge"]).await?;
        let pid = |standing: &Standing| standing.draining.first().map_or(0, |one| one.pid);
        let now = until(rig, |standing| pid(standing) != 0).await?;
        Ok((client, pid(&now).cast_signed()))
    }

    /// What was lost in so many kills is on a receipt, and nothing else failed.
    async fn losses(&self, report: &mut Report, rig: &Rig, client: Client, kills: u64) -> io::Result<()> {
        let books = client.finish(Duration::from_secs(60)).await;
        rig.settled(PATIENCE).await?;
        let operations = rig.operations().await?;
        let lost = lost(&operations);
        work(report, &books);
        report.equal("websockets lost, by books and receipts", books.cut.len() as u64, lost.streams_lost);
        let broken = books.failing(Failing::BrokenOff) + broken_posts(&books);
        // On each connection, one may be sent and not read yet, or answered and not counted yet.
        let Load { connections, fresh, transfers, talks, .. } = &self.load;
        let undecided = kills * (connections + fresh + transfers) as u64;
        report.near("requests lost, by books and receipts", broken, lost_by(&operations, "api"), undecided);
        let (cut, lost) = (books.talks_cut.len() as u64, lost_by(&operations, TALK));
        report.near("gRPC streams lost, by books and receipts", cut, lost, kills * *talks as u64);
        // An instance of the API that asks the engine by the killed edge, for a client of the other, says so.
        let otherwise = books.failing(Failing::Answered).saturating_sub(lost_by(&operations, "engine"));
        report.equal("requests answered otherwise, the engine's lost ones aside", otherwise, 0);
        report.none("lost jobs", &books.missing());
        Ok(())
    }

    async fn streams_lost(&self, rig: &Rig) -> io::Result<u64> {
        Ok(lost(&rig.operations().await?).streams_lost)
    }
}

impl Seen {
    fn note(&mut self, standing: &Standing) {
        self.pids.insert(standing.pid);
        self.draining = self.draining.max(standing.draining.len());
        let carried = standing.draining.iter().map(|one| one.connections).max().unwrap_or(0);
        self.carried = self.carried.max(carried);
    }
}

/// Requests of clients that were lost with a service's instances, by the incidents. (One of the API may lose one at the
/// engine with each.)
fn lost_by(operations: &[Operation], service: &str) -> u64 {
    let incidents = operations.iter().filter(|one| one.kind == OperationKind::Incident);
    let lines = incidents.flat_map(|one| one.receipt.instances.values());
    lines.filter(|line| line.service.as_str() == service).map(|line| line.during.requests_lost).sum()
}

/// Those whose request was on its way; the others found nobody.
fn broken_posts(books: &Books) -> u64 {
    books.unbegun.iter().filter(|what| what.starts_with("broken off")).count() as u64
}

async fn standing(rig: &Rig) -> io::Result<Standing> {
    let output = rig.naru(&["upgrade", "--show", "--json"]).await?;
    let told: Told = serde_json::from_slice(&output.stdout)?;
    told.edge.ok_or_else(|| io::Error::other("no edge serves"))
}

/// Waits until the edge stands so.
async fn until(rig: &Rig, so: impl Fn(&Standing) -> bool) -> io::Result<Standing> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        // While it restarts, nobody answers.
        if let Ok(now) = standing(rig).await
            && so(&now)
        {
            return Ok(now);
        }
        if Instant::now() > give_up {
            return Err(io::Error::other("the edges do not come to stand as they should"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills the edge, and says how many ms it took until a connection was accepted again.
async fn restart(rig: &Rig) -> io::Result<f64> {
    let pid = roles::pid(&rig.home(), "edge").ok_or_else(|| io::Error::other("there is no edge"))?;
    let address = rig.url().replace("http://", "");
    let began = Instant::now();
    roles::kill(pid)?;
    // The killed one may still listen for a moment.
    while roles::pid(&rig.home(), "edge").is_none_or(|now| now == pid) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while tokio::net::TcpStream::connect(&address).await.is_err() {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("no edge came after the one that was killed"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
