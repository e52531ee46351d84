//! How long `naru up` takes until the stack serves, how much of that is Naru's own, and what the processes
//! weigh that stay.
//!
//! The processes' own start is taken by starting the same two programs directly, the engine and then the API,
//! as the stack's `depends_on` orders, and asking each until it answers.

use crate::deploys::mb;
use crate::report::{Report, median, most};
use crate::roles::{self, Memory, ROLES};
use crate::stage::with_rig;
use hyper::Method;
use naru_demo::call::call;
use naru_demo::rig::{Rig, Shape};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// What Naru itself may add, in ms.
const OWN_MS: f64 = 150.0;
/// What server, agent and edge together may have resident, in MB.
const IDLE_MB: f64 = 60.0;
/// Longer is no start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The measurement.
#[derive(Clone, Debug)]
pub struct Up {
    /// How often each time is taken.
    pub rounds: u32,
}

/// Times of one round, in ms: until an answer comes, and until the command ends.
#[derive(Clone, Copy)]
struct Taken {
    serves: f64,
    returns: f64,
}

impl Up {
    /// Runs it.
    ///
    /// # Errors
    /// Something did not start.
    pub async fn run(&self, exe: &Path) -> io::Result<Report> {
        let mut report = Report::new(format!("naru up of two services, medians of {} rounds", self.rounds));
        let mut own_start = Vec::new();
        let mut cold = Vec::new();
        for _ in 0..self.rounds {
            own_start.push(start_alone(exe).await?);
            cold.push(with_rig(exe, async |rig: &Rig| from_nothing(rig).await).await?);
        }
        let (warm, unchanged, memory) = with_rig(exe, async |rig: &Rig| self.again(rig).await).await?;
        let start = median(&own_start);
        report.figure("the two processes' own starts, one after the other", format!("{start:.1} ms"));
        times(&mut report, "no server runs", &cold, start);
        times(&mut report, "a server runs, the stack is down", &warm, start);
        let returns = median(&unchanged);
        report.figure("nothing changed: until `naru up` returns", format!("{returns:.1} ms"));
        sizes(&mut report, &memory);
        let load = std::fs::read_to_string("/proc/loadavg")?;
        report.figure(
            "what else the machine did: load of the last minute",
            load.split(' ').next().unwrap_or("?"),
        );
        Ok(report)
    }

    /// With a server that runs: the stack down and up again, and nothing changed.
    async fn again(&self, rig: &Rig) -> io::Result<(Vec<Taken>, Vec<f64>, Sizes)> {
        from_nothing(rig).await?;
        let (mut warm, mut unchanged) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            rig.naru(&["down", "--progress", "quiet"]).await?;
            rig.settled(PATIENCE).await?;
            warm.push(take(rig).await?);
            // Past `monitor`: nothing of the deploy is still going on.
            rig.settled(PATIENCE).await?;
            let began = Instant::now();
            rig.naru(&["up", "--progress", "quiet"]).await?;
            unchanged.push(ms(began));
        }
        // What the rounds left to be freed is freed by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok((warm, unchanged, Sizes::of(rig)))
    }
}

async fn from_nothing(rig: &Rig) -> io::Result<Taken> {
    let shape = Shape {
        strategy: "rolling",
        api: 1,
        engine: 1,
        talk: 0,
        max_retiring: 10,
        monitor: "1s",
        start_ms: 0,
    };
    rig.write(1, &shape)?;
    take(rig).await
}

/// `naru up`, and requests to the published address until one is answered.
async fn take(rig: &Rig) -> io::Result<Taken> {
    let began = Instant::now();
    let (up, serves) = tokio::join!(
        async {
            rig.naru(&["up", "--progress", "quiet"]).await?;
            Ok::<f64, io::Error>(ms(began))
        },
        async {
            answers(&format!("{}/read", rig.url())).await?;
            Ok::<f64, io::Error>(ms(began))
        }
    );
    Ok(Taken { serves: serves?, returns: up? })
}

async fn answers(url: &str) -> io::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match call(Method::GET, url, String::new()).await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            _ if Instant::now() > give_up => return Err(io::Error::other(format!("{url} does not answer"))),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

/// Both programs without Naru, one after the other, each until it answers; in ms.
async fn start_alone(exe: &Path) -> io::Result<f64> {
    Ok(start_one(exe).await? + start_one(exe).await?)
}

/// One program without Naru, until it answers; in ms.
pub(crate) async fn start_one(exe: &Path) -> io::Result<f64> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let began = Instant::now();
    let mut tier = Command::new(exe);
    tier.args(["demo-tier", "1", "0"]).env_clear().env("PORT", port.to_string()).stdin(Stdio::null());
    let mut tier = tier.kill_on_drop(true).spawn()?;
    answers(&format!("http://127.0.0.1:{port}/healthz")).await?;
    let took = ms(began);
    tier.kill().await?;
    Ok(took)
}

pub(crate) fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

fn times(report: &mut Report, when: &str, taken: &[Taken], start: f64) {
    let serves: Vec<f64> = taken.iter().map(|one| one.serves).collect();
    let returns: Vec<f64> = taken.iter().map(|one| one.returns).collect();
    let both = |of: &[f64]| format!("{:.1} / {:.1} ms", median(of), most(of));
    report.figure(&format!("{when}: until it serves, median / most"), both(&serves));
    report.figure(&format!("{when}: until `naru up` returns"), both(&returns));
    let own = median(&serves.iter().zip(&returns).map(|(a, b)| a.max(*b)).collect::<Vec<_>>()) - start;
    report.at_most(&format!("{when}: Naru's own part of both"), own, OWN_MS, "ms");
}

/// What the processes weigh.
struct Sizes {
    roles: Vec<(&'static str, Memory)>,
    shims: Vec<Memory>,
}

impl Sizes {
    fn of(rig: &Rig) -> Sizes {
        let roles = roles::memories(&rig.home()).into_iter().collect();
        Sizes { roles, shims: roles::shims(&rig.home()).into_iter().map(roles::memory).collect() }
    }
}

fn sizes(report: &mut Report, sizes: &Sizes) {
    let said = |memory: Memory| format!("{:.1} / {:.1} MB", mb(memory.resident), mb(memory.own_share));
    let mut together = Memory::default();
    for (role, memory) in &sizes.roles {
        report.figure(&format!("memory of the {role}, resident / own share"), said(*memory));
        if ROLES.contains(role) {
            together = together + *memory;
        }
    }
    let shims = sizes.shims.iter().fold(Memory::default(), |sum, one| sum + *one);
    report.figure(&format!("memory of {} shims together", sizes.shims.len()), said(shims));
    report.at_most("server, agent and edge together, own share", mb(together.own_share), IDLE_MB, "MB");
    report.at_most("server, agent and edge together, resident", mb(together.resident), IDLE_MB, "MB");
}
