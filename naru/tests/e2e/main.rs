//! The whole, end to end: the binary as a user runs it, under load from clients that keep their own books.
//!
//! These are the measurements of `bench/` with small numbers, the demo, and the example. Each has a
//! `NARU_HOME` and ports of its own, and ends all that it started.

mod assets;
mod browser;
mod containers;
mod directory;
#[path = "../../../act/docker/tests/engine/mod.rs"]
mod engine;
mod example;
mod flows;
mod handover;
mod images;
mod jobs;
#[path = "../../../act/ec2/tests/moto/mod.rs"]
mod moto;
mod observed;
mod one_off;
mod page;
mod power;
mod published;
mod reach;
mod schemas;
#[path = "../../../act/directory/tests/slapd/mod.rs"]
#[allow(dead_code, reason = "the directory's own tests use more of it")]
mod slapd;
mod stays;
mod taken;
mod zone;

use naru_bench::deploys::{Deploys, small_load};
use naru_bench::kills::Kills;
use naru_bench::report::Report;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::Mutex;

/// One at a time: each brings load enough for the machine, and a measurement beside another measures both.
pub static TURN: Mutex<()> = Mutex::const_new(());

/// The binary under test.
pub fn naru() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_naru"))
}

/// What a command in a folder, with a home of its own there, says; if it fails, its errors.
pub fn command(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(naru());
    command.args(args).current_dir(folder).env("NARU_HOME", folder.join("home"));
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = || format!("{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(text).ok_or_else(error)
}

fn kills(deploys: u32) -> Kills {
    Kills { deploys, seed: 3, replicas: 2, load: small_load(), start_ms: 100 }
}

/// But for what a busy machine excuses: that is measured by the bench.
fn meets_its_bars(report: io::Result<Report>) {
    let report = report.unwrap();
    assert!(!report.is_wrong(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_under_load_lose_nothing_and_receipts_are_true() {
    let _turn = TURN.lock().await;
    let deploys = Deploys { deploys: 4, every: Duration::from_secs(2), replicas: 2, load: small_load() };
    meets_its_bars(deploys.run(naru()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_converge_while_server_and_agent_are_killed() {
    let _turn = TURN.lock().await;
    meets_its_bars(kills(4).control(naru()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_instance_loses_is_on_the_receipt() {
    let _turn = TURN.lock().await;
    meets_its_bars(kills(0).instance(naru()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_edge_loses_is_on_the_receipt() {
    let _turn = TURN.lock().await;
    meets_its_bars(kills(0).edge(naru()).await);
}

#[test]
fn the_demo_ends_well() {
    let _turn = TURN.blocking_lock();
    let mut demo = Command::new(naru());
    demo.args(["demo", "--deploys", "2", "--longest-job", "4"]).stdin(Stdio::null());
    let output = demo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("every number agrees"), "{said}");
}
