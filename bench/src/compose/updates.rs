//! The shop changed again and again under load, by each of the two.

use super::client::{Client, End};
use super::tool::{Reference, Tool, Which};
use crate::report::{Report, median, most};
use naru_demo::check::lost;
use naru_model::Operation;
use naru_shop::engine::Engine;
use naru_shop::front;
use naru_shop::shop::{self, Ports, Versions};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// From one update to the next, at least.
const EACH: Duration = Duration::from_secs(4);
/// Load before the first update, and after the last.
const CALM: Duration = Duration::from_secs(5);

/// Who, and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    /// The file as it is.
    Naru,
    /// One replica of what is published.
    Alone,
    /// Two replicas behind a proxy.
    Front,
}

/// What one of them made of it.
struct Run {
    end: End,
    took: Vec<f64>,
    refused: Vec<String>,
}

/// All settings, one after the other.
///
/// # Errors
/// A stack does not come up at all.
pub async fn run(
    engine: &Engine,
    exe: &Path,
    reference: &Reference,
    updates: u32,
) -> io::Result<Vec<Report>> {
    shop::images(engine, updates)?;
    let mut reports = Vec::new();
    for setting in [Setting::Naru, Setting::Front, Setting::Alone] {
        let ports = Ports::free()?;
        let mut tool = Tool::new(which(setting, exe, reference), engine.socket())?;
        eprintln!("{setting:?}");
        let run = change(&mut tool, setting, ports, updates).await;
        let receipts = match (setting, &run) {
            (Setting::Naru, Ok(_)) => Some(receipts(&tool).await),
            _ => None,
        };
        tool.end().await?;
        let run = run?;
        reports.push(told(setting, updates, &run, receipts.transpose()?));
    }
    Ok(reports)
}

fn which(setting: Setting, exe: &Path, reference: &Reference) -> Which {
    match setting {
        Setting::Naru => Which::Naru(exe.to_owned()),
        Setting::Alone | Setting::Front => Which::Compose(reference.clone()),
    }
}

async fn change(tool: &mut Tool, setting: Setting, ports: Ports, updates: u32) -> io::Result<Run> {
    let mut versions = Versions::default();
    tool.write("compose.yaml", &versions.file(ports))?;
    match setting {
        Setting::Naru => {}
        Setting::Alone => tool.write("one.yaml", front::ALONE)?,
        Setting::Front => tool.write("front.yaml", &front::before(ports))?,
    }
    tool.up().await?;
    let client = Client::start(ports);
    tokio::time::sleep(CALM).await;
    let (mut took, mut refused) = (Vec::new(), Vec::new());
    let mut turn = interval(EACH);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 1..=updates {
        turn.tick().await;
        versions.change(n);
        tool.write("compose.yaml", &versions.file(ports))?;
        match tool.up().await {
            Ok(ms) => {
                took.push(ms);
                eprintln!("update {n:>2}: {ms:>6.0} ms; {}", client.state());
            }
            Err(error) => {
                eprintln!("update {n:>2}: {error}");
                refused.push(error.to_string());
            }
        }
    }
    tokio::time::sleep(CALM).await;
    Ok(Run { end: client.end().await?, took, refused })
}

async fn receipts(tool: &Tool) -> io::Result<Vec<Operation>> {
    let output = tool.run("history", &["--json", "-n", "1000"]).await?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn told(setting: Setting, updates: u32, run: &Run, receipts: Option<Vec<Operation>>) -> Report {
    let name = match setting {
        Setting::Naru => "naru, the file as it is",
        Setting::Front => "Docker Compose, two replicas behind HAProxy, grace period of 60 s",
        Setting::Alone => "Docker Compose, the file with one replica of what is published",
    };
    let mut report = Report::new(format!("{updates} updates under load: {name}"));
    let books = &run.end.books;
    report.figure("requests answered", books.answered);
    report.figure("jobs", books.jobs.len());
    report.figure("longest time without an answer", format!("{} ms", books.gap.as_millis()));
    report.figure(
        "an update, median / most",
        format!("{:.1} / {:.1} s", median(&run.took) / 1e3, most(&run.took) / 1e3),
    );
    let wanted = u64::from(Versions::migrations(updates));
    let Some(receipts) = receipts else {
        report.figure("failed requests", books.failures);
        report.figure("lost jobs", run.end.lost.len());
        report.figure("runs of the migration", format!("{} of {wanted}", run.end.migrations));
        report.figure("updates that failed", run.refused.len());
        for words in books.failed.iter().chain(&run.refused).take(3) {
            report.figure(words.lines().last().unwrap_or_default(), "");
        }
        return report;
    };
    report.equal("failed requests", books.failures, 0);
    report.none("failed requests, in words", &books.failed);
    report.none("lost jobs", &run.end.lost);
    report.equal("runs of the migration", run.end.migrations, wanted);
    report.none("updates that failed", &run.refused);
    let lost = lost(&receipts);
    report.equal("lost or cut, by the receipts", lost.lost() + lost.cut, 0);
    report
}
