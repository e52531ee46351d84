//! Naru beside Docker Compose, on one container engine of the measurement's own.
//!
//! [`updates`] changes a shop of real programs again and again under load and counts what a user would miss:
//! requests, jobs, and how often a migration ran. [`times`] takes how long the two need for the same files, in rounds
//! that take turns, so that what else the machine does slows both.
//!
//! The images are made on the spot of what Debian has installed ([`naru_shop`]); no registry is asked. All of it is on a
//! network of its own ([`network`]).

mod client;
mod direct;
pub mod network;
mod times;
mod tool;
mod updates;

pub use naru_shop::tier::{Role, main as tier};

use crate::report::Report;
use naru_shop::engine::{Engine, Kind};
use std::io;
use std::path::{Path, PathBuf};
use tool::Reference;

/// What is measured, and with what.
#[derive(Clone, Debug, clap::Args)]
pub struct Compose {
    /// The `docker-compose` to measure beside Naru; without it, the one in PATH, or `docker compose`
    #[arg(long)]
    docker_compose: Option<PathBuf>,
    /// How many updates the shop goes through
    #[arg(long, default_value_t = 20)]
    updates: u32,
    /// How often each time is taken
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// One of the two parts only
    #[arg(long)]
    only: Option<Part>,
}

/// The two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The shop under load.
    Updates,
    /// Times of twenty small services.
    Times,
}

impl Compose {
    /// Runs it.
    ///
    /// # Errors
    /// There is no engine or no Docker Compose, or one of them refuses.
    pub async fn run(&self, exe: &Path) -> io::Result<Vec<Report>> {
        let reference = Reference::find(self.docker_compose.as_deref())?;
        let engine = Engine::start(Kind::Docker);
        let engine = engine.ok_or_else(|| io::Error::other("no container engine can be started here"))?;
        eprintln!("beside Docker Compose {}", reference.version());
        let mut reports = Vec::new();
        if self.only != Some(Part::Times) {
            reports.extend(updates::run(&engine, exe, &reference, self.updates).await?);
        }
        if self.only != Some(Part::Updates) {
            reports.push(times::run(&engine, exe, &reference, self.rounds).await?);
        }
        Ok(reports)
    }
}
