//! Releases in a row under constant load: nothing may fail, and every receipt has to be true.

use crate::report::{Report, median, most};
use crate::stage::{Seen, begin, with_rig};
use naru_demo::books::Books;
use naru_demo::check::{disagreements, lost};
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use naru_model::{Operation, OperationKind};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many releases retire side by side at most: jobs of a minute, a release every five seconds, and some.
pub const MAX_RETIRING: u32 = 20;

/// A row of deploys.
#[derive(Clone, Debug)]
pub struct Deploys {
    /// How many.
    pub deploys: u32,
    /// From the beginning of one to that of the next.
    pub every: Duration,
    /// Instances of each tier.
    pub replicas: u32,
    /// The load; its address is filled in.
    pub load: Load,
}

/// The load of the bar: 64 connections, 8 websockets, and a job of 20 to 60 s begun every second.
pub fn full_load() -> Load {
    Load {
        connections: 64,
        request_ms: vec![0, 2, 5, 20, 120, 0, 10, 1_000],
        pause: Duration::from_millis(10),
        websockets: 8,
        websocket_ms: vec![9_000, 14_000, 20_000, 45_000],
        job_every: Some(Duration::from_secs(1)),
        job_ms: vec![20_000, 60_000, 30_000, 45_000],
        ..Load::default()
    }
}

/// One that a test can afford.
pub fn small_load() -> Load {
    Load {
        connections: 8,
        request_ms: vec![0, 5, 20, 300],
        pause: Duration::from_millis(10),
        websockets: 2,
        websocket_ms: vec![2_000, 3_000],
        job_every: Some(Duration::from_millis(400)),
        job_ms: vec![500, 3_000, 1_500],
        ..Load::default()
    }
}

impl Deploys {
    /// Runs it.
    ///
    /// # Errors
    /// A deploy failed, or something of the run could not be started.
    pub async fn run(&self, exe: &Path) -> io::Result<Report> {
        with_rig(exe, async |rig: &Rig| self.play(rig).await).await
    }

    async fn play(&self, rig: &Rig) -> io::Result<Report> {
        let load = Load { url: rig.url(), ..self.load.clone() };
        let client = begin(rig, &self.shape(0), load).await?;
        let mut seen = Seen::default();
        let took = seen.during(rig, self.row(rig, &client)).await?;
        let longest = self.load.job_ms.iter().max().copied().unwrap_or(0);
        let books = client.finish(Duration::from_millis(longest) + Duration::from_secs(60)).await;
        let operations = end(rig).await?;
        let mut report = Report::new(format!(
            "{} deploys, one every {:?}, rolling and blue-green in turn, {} instances of each tier",
            self.deploys, self.every, self.replicas
        ));
        figures(&mut report, &books, &took, &operations);
        sizes(&mut report, &seen);
        bars(&mut report, &books, &operations);
        report.none("instances restarted", &seen.restarted.iter().collect::<Vec<_>>());
        Ok(report)
    }

    fn shape(&self, n: u32) -> Shape {
        Shape {
            strategy: if n.is_multiple_of(2) { "rolling" } else { "blue-green" },
            api: self.replicas,
            engine: self.replicas,
            talk: 0,
            max_retiring: MAX_RETIRING,
            monitor: "2s",
            start_ms: 0,
        }
    }

    /// The deploys; how long each command took, in ms.
    async fn row(&self, rig: &Rig, client: &Client) -> io::Result<Vec<f64>> {
        let mut took = Vec::new();
        let mut turn = tokio::time::interval(self.every);
        turn.tick().await;
        for n in 0..self.deploys {
            turn.tick().await;
            rig.write(n + 2, &self.shape(n))?;
            let began = Instant::now();
            rig.naru(&["up", "--progress", "quiet"]).await?;
            took.push(began.elapsed().as_secs_f64() * 1e3);
            eprintln!("deploy {:>2}: {:>6.0} ms; {}", n + 1, took.last().unwrap_or(&0.0), state(client));
        }
        turn.tick().await;
        Ok(took)
    }
}

/// Where the client is, in one line.
pub fn state(client: &Client) -> String {
    let books = client.books();
    format!(
        "{} requests, {} failed, {} websockets, {} cut, {} jobs of {}",
        books.answered(),
        books.failures(),
        books.closed(),
        books.cut.len(),
        books.done.len(),
        books.begun.len()
    )
}

/// Takes the stack down as a user would, waits until nothing of it is left, and takes the receipts.
///
/// # Errors
/// Not everything ended in time.
pub async fn end(rig: &Rig) -> io::Result<Vec<Operation>> {
    rig.naru(&["down", "--progress", "quiet"]).await?;
    rig.settled(Duration::from_secs(120)).await?;
    rig.operations().await
}

/// What the client did.
pub fn work(report: &mut Report, books: &Books) {
    report.figure("requests answered", books.answered());
    report.figure("requests between the tiers", books.by_engines());
    report.figure("websockets closed by the client", books.closed());
    report.figure("jobs begun and done", format!("{} and {}", books.begun.len(), books.done.len()));
}

fn figures(report: &mut Report, books: &Books, took: &[f64], operations: &[Operation]) {
    work(report, books);
    let deploys = operations.iter().filter(|one| one.kind == OperationKind::Deploy && one.before.is_some());
    let cut_over = deploys.filter_map(|one| Some(one.cut_over?.since(one.began).0 as f64));
    let cut_over: Vec<f64> = cut_over.collect();
    let both = |of: &[f64]| format!("{:.0} / {:.0} ms", median(of), most(of));
    report.figure("deploy to cut-over, median / most", both(&cut_over));
    report.figure("`naru up` from start to end, median / most", both(took));
}

fn sizes(report: &mut Report, seen: &Seen) {
    report.figure("most releases retiring side by side", seen.generations);
    report.figure("most instances at a time", seen.instances);
    for (role, kib) in &seen.memory {
        report.figure(&format!("most memory of the {role} (resident)"), format!("{:.1} MB", mb(*kib)));
    }
}

/// KiB as MB.
pub fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

/// Nothing failed, nothing was cut, nothing was lost, and the receipts are true.
pub fn bars(report: &mut Report, books: &Books, operations: &[Operation]) {
    report.equal("failed requests", books.failures(), 0);
    report.none("failed requests, in words", &books.failed);
    report.none("jobs that could not be begun", &books.unbegun);
    report.none("cut websockets", &books.cut);
    report.none("cut gRPC streams", &books.talks_cut);
    report.none("lost jobs", &books.missing());
    let lost = lost(operations);
    report.equal("lost or cut, by the receipts", lost.lost() + lost.cut, 0);
    report.none("disagreements of receipts and books", &disagreements(books, operations, "api", "engine"));
}
