//! The command: `naru-bench NAME`. README.md beside this folder says what each measures.

use clap::{Parser, Subcommand};
use naru_bench::compose::{self, Compose};
use naru_bench::deploys::{Deploys, full_load};
use naru_bench::edge::routes::Routes;
use naru_bench::edge::slow::Slow;
use naru_bench::edge::{self, Beside};
use naru_bench::handover::{self, Handover};
use naru_bench::kills::Kills;
use naru_bench::report::Report;
use naru_bench::rights;
use naru_bench::up::Up;
use naru_bench::wake::Wake;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use tikv_jemallocator::Jemalloc;
use tokio::runtime::Runtime;

/// As `naru` has it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[derive(Parser)]
#[command(about = "Measures naru as a whole; ends with 1 where a bar is missed")]
struct Args {
    /// The `naru` to measure, instead of the one that is built beside this program
    #[arg(long, global = true)]
    naru: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Releases in a row under load
    Deploys {
        /// How many
        #[arg(long, default_value_t = 30)]
        deploys: u32,
        /// Instances of each tier; without it, once with 3 and once with 1
        #[arg(long)]
        replicas: Option<u32>,
    },
    /// Processes killed in the middle of releases
    Kills {
        /// How many releases
        #[arg(long, default_value_t = 20)]
        deploys: u32,
        /// Chooses who is killed, and when
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Instances of each tier
        #[arg(long, default_value_t = 2)]
        replicas: u32,
    },
    /// The edge replaced under load
    Handover {
        /// How often
        #[arg(long, default_value_t = 20)]
        times: u32,
    },
    /// The edge beside HAProxy, nginx and Caddy
    Edge(Beside),
    /// The edge with many routes, and routes that change
    EdgeRoutes(Routes),
    /// The edge with clients and instances that misbehave
    EdgeSlow(Slow),
    /// Naru's edge alone, by tables from its input: what `edge` starts
    #[command(hide = true)]
    EdgeProcess {
        /// A folder for the copy of its counts
        sheets: PathBuf,
    },
    /// Naru beside Docker Compose, on one container engine
    Compose(Compose),
    /// The program in the images of `compose`
    #[command(hide = true)]
    ShopTier { role: compose::Role },
    /// What a decision about a right costs
    Rights,
    /// A request that wakes a service
    Wake {
        /// How often each is measured
        #[arg(long, default_value_t = 21)]
        rounds: u32,
    },
    /// Times of `naru up`, and what the processes weigh
    Up {
        /// How often each is measured
        #[arg(long, default_value_t = 11)]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let reports = match args.what {
        What::Edge(beside) => beside.run().map(|report| vec![shown(report)]),
        What::EdgeRoutes(routes) => routes.run().map(|report| vec![shown(report)]),
        What::EdgeSlow(slow) => slow.run().map(|report| vec![shown(report)]),
        What::EdgeProcess { sheets } => alone().and_then(|runtime| {
            runtime.block_on(edge::process::run(sheets))?;
            Ok(vec![])
        }),
        What::Compose(compose) => compose::network::alone().and_then(|()| together()).and_then(|runtime| {
            let exe = naru(args.naru)?;
            let reports = runtime.block_on(compose.run(&exe))?;
            Ok(reports.into_iter().map(shown).collect())
        }),
        What::ShopTier { role } => compose::tier(role).map(|()| vec![]),
        What::Rights => Ok(vec![shown(rights::run())]),
        what => together().and_then(|runtime| {
            let exe = naru(args.naru)?;
            runtime.block_on(measure(&exe, what))
        }),
    };
    match reports {
        Ok(reports) if reports.iter().any(Report::is_missed) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn together() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// As little as can be beside what is measured.
fn alone() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn measure(exe: &Path, what: What) -> io::Result<Vec<Report>> {
    let mut reports = Vec::new();
    match what {
        What::Deploys { deploys, replicas } => {
            for replicas in replicas.map_or(vec![3, 1], |one| vec![one]) {
                let every = Duration::from_secs(5);
                let row = Deploys { deploys, every, replicas, load: full_load() };
                reports.push(shown(row.run(exe).await?));
            }
        }
        What::Kills { deploys, seed, replicas } => {
            let kills = Kills { deploys, seed, replicas, load: Kills::load(), start_ms: 300 };
            reports.push(shown(kills.control(exe).await?));
            reports.push(shown(kills.instance(exe).await?));
            reports.push(shown(kills.edge(exe).await?));
        }
        What::Handover { times } => {
            let handover = Handover { times, every: Duration::from_secs(3), load: handover::full_load() };
            reports.push(shown(handover.run(exe).await?));
            reports.push(shown(handover.drainer_killed(exe).await?));
            reports.push(shown(handover.successor_killed(exe).await?));
        }
        What::Wake { rounds } => reports.push(shown(Wake { rounds }.run(exe).await?)),
        What::Up { rounds } => reports.push(shown(Up { rounds }.run(exe).await?)),
        What::Edge(_) | What::EdgeRoutes(_) | What::EdgeSlow(_) | What::EdgeProcess { .. } => {}
        What::Compose(_) | What::ShopTier { .. } | What::Rights => {}
    }
    Ok(reports)
}

fn shown(report: Report) -> Report {
    println!("{report}");
    report
}

/// The program to measure: the one given, or the one beside this program. Where cargo runs this, it first
/// brings that one up to date.
fn naru(given: Option<PathBuf>) -> io::Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize();
    }
    let beside = std::env::current_exe()?.with_file_name("naru");
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "naru"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        if !build.status()?.success() {
            return Err(io::Error::other("naru could not be built"));
        }
    }
    match beside.exists() {
        true => Ok(beside),
        false => Err(io::Error::other(format!("there is no {}: build it", beside.display()))),
    }
}
