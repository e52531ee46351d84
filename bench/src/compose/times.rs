//! How long Naru and Docker Compose need for the same twenty small services, on one engine.
//!
//! In each round both bring their stack up from nothing, are told of files in which nothing changed, and change one
//! service after the other; they take turns at every step. The engine's own part is what it takes to make and start the same
//! containers when it is asked directly, all at once; what is left of `up` is the own share of each.

use super::direct;
use super::tool::{Reference, Tool, Which};
use crate::report::{Report, median};
use hyper::Method;
use naru_demo::call::call;
use naru_shop::engine::Engine;
use naru_shop::images::Root;
use serde_json::{Value, json};
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many services.
const SERVICES: usize = 20;
/// How many of them are changed in a round, one after the other.
const CHANGES: usize = 10;
/// What `naru up` of unchanged files may take, in ms.
const UNCHANGED_MS: f64 = 100.0;
/// Longer is no start.
const PATIENCE: Duration = Duration::from_secs(120);
/// An answer comes within this time, or another is asked for: the engine's proxy holds calls to a container that has
/// just gone, and that is not what is measured.
const ANSWER: Duration = Duration::from_millis(100);
/// Between two looks at a service.
const LOOK: Duration = Duration::from_millis(5);
/// Says its version to who asks, and ends when it is told to.
const SCRIPT: &str = "trap 'exit 0' TERM; echo $$VERSION > /www/index.html; httpd -p 8080 -h /www; \
    while :; do sleep 1000 & wait $$!; done";

/// One of the two, with its stack and what it took.
struct Side {
    tool: Tool,
    name: &'static str,
    ports: Vec<u16>,
    versions: Vec<u32>,
    taken: Taken,
}

/// Times in ms, one for each time it was taken.
#[derive(Default)]
struct Taken {
    serves: Vec<f64>,
    returns: Vec<f64>,
    unchanged: Vec<f64>,
    cut_over: Vec<f64>,
    change: Vec<f64>,
}

/// Takes them.
///
/// # Errors
/// One of the two refuses.
pub async fn run(engine: &Engine, exe: &Path, reference: &Reference, rounds: u32) -> io::Result<Report> {
    Root::new()?.load(engine, "small", 0)?;
    let mut naru = Side::new("naru", Which::Naru(exe.to_owned()), engine)?;
    let mut other = Side::new("reference", Which::Compose(reference.clone()), engine)?;
    let taken = take(engine, &mut naru, &mut other, rounds).await;
    let ended = (naru.tool.end().await, other.tool.end().await);
    let engines = taken?;
    ended.0.and(ended.1)?;
    Ok(told(&naru.taken, &other.taken, &engines, rounds))
}

async fn take(engine: &Engine, naru: &mut Side, other: &mut Side, rounds: u32) -> io::Result<Vec<f64>> {
    // The server starts, and what both read from the disk has been read.
    for side in [&mut *naru, &mut *other] {
        side.up().await?;
        side.down(engine).await?;
    }
    naru.taken = Taken::default();
    other.taken = Taken::default();
    let mut engines = Vec::new();
    for round in 1..=rounds {
        engines.push(direct::start(&engine.socket(), &containers()).await?);
        naru.up().await?;
        other.up().await?;
        for _ in 0..2 {
            naru.unchanged().await?;
            other.unchanged().await?;
        }
        for n in 0..CHANGES {
            naru.change(n).await?;
            other.change(n).await?;
        }
        naru.down(engine).await?;
        other.down(engine).await?;
        eprintln!("round {round} of {rounds}");
    }
    Ok(engines)
}

impl Side {
    fn new(name: &'static str, which: Which, engine: &Engine) -> io::Result<Side> {
        let bound: Vec<TcpListener> =
            (0..SERVICES).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
        let ports = bound.iter().map(|one| Ok(one.local_addr()?.port())).collect::<io::Result<_>>()?;
        let tool = Tool::new(which, engine.socket())?;
        let mut side = Side { tool, name, ports, versions: vec![0; SERVICES], taken: Taken::default() };
        side.write()?;
        Ok(side)
    }

    fn write(&mut self) -> io::Result<()> {
        let mut text = format!("name: {}\nservices:\n", self.name);
        for (n, (port, version)) in self.ports.iter().zip(&self.versions).enumerate() {
            text += &format!(
                "  s{n}:\n    image: localhost/small:0\n    command: [sh, -c, \"{SCRIPT}\"]\n    \
                 environment: {{ VERSION: \"{version}\" }}\n    ports: [\"127.0.0.1:{port}:8080\"]\n"
            );
        }
        self.tool.write("compose.yaml", &text)
    }

    /// From nothing until every service answers, and until the command returns.
    async fn up(&mut self) -> io::Result<()> {
        let began = Instant::now();
        let (returns, serves) = tokio::join!(self.tool.up_plainly(), self.all_answer());
        serves?;
        let serves = ms(began);
        let returns = returns?;
        self.taken.returns.push(returns);
        self.taken.serves.push(serves.max(returns));
        Ok(())
    }

    async fn all_answer(&self) -> io::Result<()> {
        for (port, version) in self.ports.iter().zip(&self.versions) {
            answers(*port, *version).await?;
        }
        Ok(())
    }

    async fn unchanged(&mut self) -> io::Result<()> {
        let took = self.tool.up_plainly().await?;
        self.taken.unchanged.push(took);
        Ok(())
    }

    /// One service's environment: until the new one answers, and until the command returns.
    async fn change(&mut self, n: usize) -> io::Result<()> {
        self.versions[n] += 1;
        self.write()?;
        let began = Instant::now();
        let seen = async {
            answers(self.ports[n], self.versions[n]).await?;
            Ok::<f64, io::Error>(ms(began))
        };
        let (returns, cut_over) = tokio::join!(self.tool.up_plainly(), seen);
        self.taken.cut_over.push(cut_over?);
        self.taken.change.push(returns?);
        Ok(())
    }

    async fn down(&self, engine: &Engine) -> io::Result<()> {
        self.tool.down().await?;
        let give_up = Instant::now() + PATIENCE;
        let mine = ["naru.stack", "com.docker.compose.project"].map(|label| format!("{label}={}", self.name));
        while mine.iter().any(|label| !engine.containers(label).is_empty()) {
            if Instant::now() > give_up {
                return Err(io::Error::other(format!("containers of {} are left", self.name)));
            }
            tokio::time::sleep(LOOK * 20).await;
        }
        Ok(())
    }
}

async fn answers(port: u16, version: u32) -> io::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    let url = format!("http://127.0.0.1:{port}/");
    loop {
        let asked = tokio::time::timeout(ANSWER, call(Method::GET, &url, String::new())).await;
        let body = asked.ok().and_then(Result::ok).map(|answer| answer.into_body()).unwrap_or_default();
        if String::from_utf8_lossy(&body).trim() == version.to_string() {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(io::Error::other(format!("nobody answers at {url} as version {version}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The same containers, in the engine's own words.
fn containers() -> Vec<Value> {
    let script = SCRIPT.replace("$$", "$");
    let body = json!({
        "Image": "localhost/small:0",
        "Cmd": ["sh", "-c", script],
        "Env": ["VERSION=0"],
        "ExposedPorts": { "8080/tcp": {} },
    });
    vec![body; SERVICES]
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn told(naru: &Taken, other: &Taken, engines: &[f64], rounds: u32) -> Report {
    let title = format!("twenty services on one engine, medians of {rounds} rounds: naru / Docker Compose");
    let mut report = Report::new(title);
    let mut both = |what: &str, ours: &[f64], theirs: &[f64]| {
        report.figure(what, format!("{:.0} / {:.0} ms", median(ours), median(theirs)));
        median(ours) / median(theirs).max(0.001)
    };
    both("up from nothing: until the command returns", &naru.returns, &other.returns);
    let serves = both("up from nothing: until it has returned and all answer", &naru.serves, &other.serves);
    let less = |all: &[f64]| all.iter().zip(engines).map(|(all, engine)| all - engine).collect::<Vec<_>>();
    let own =
        both("  of that, more than the engine takes by itself", &less(&naru.serves), &less(&other.serves));
    let unchanged = both("nothing changed", &naru.unchanged, &other.unchanged);
    let cut_over = both("one service changed: until the new one answers", &naru.cut_over, &other.cut_over);
    both("one service changed: until the command returns", &naru.change, &other.change);
    let each = |all: &[f64]| 60_000.0 * all.len() as f64 / all.iter().sum::<f64>().max(0.001);
    let (ours, theirs) = (each(&naru.change), each(&other.change));
    report.figure("updates a minute, one after the other", format!("{ours:.0} / {theirs:.0}"));
    report.figure("the engine by itself, asked directly", format!("{:.0} ms", median(engines)));
    report.figure("ratio: up from nothing", format!("{serves:.2} ×"));
    report.figure("ratio: own share of it", format!("{own:.2} ×"));
    report.figure("ratio: nothing changed", format!("{unchanged:.2} ×"));
    report.figure("ratio: updates a minute", format!("{:.2} ×", ours / theirs.max(0.001)));
    report.at_most("naru, nothing changed", median(&naru.unchanged), UNCHANGED_MS, "ms");
    report.at_most("ratio: one service changed, until the new one answers", cut_over, 1.0, "×");
    report
}
