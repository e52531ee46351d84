//! `naru pull`, `naru build`, `naru push`: images, without a release of them.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::images::{self, Pull as When};
use crate::cli::load::names;
use crate::cli::session::Session;
use crate::cli::table::{Table, foreign};
use clap::Args;
use naru_api::{PruneAct, PruneOrder};
use naru_compose::Unsupported;
use naru_model::{BuildSettings, ImageAct, PullPolicy, Stack, plural};

/// What `naru pull` takes.
#[derive(Args, Debug)]
pub struct Pull {
    /// Only the images of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Pull only what is not here, or in any case
    #[arg(long, value_enum, value_name = "POLICY")]
    policy: Option<When>,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru build` takes.
#[derive(Args, Debug)]
pub struct Build {
    /// Only the images of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// The value of an argument of the recipe; without one, that of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    build_arg: Vec<String>,
    /// Use no layer of earlier builds
    #[arg(long)]
    no_cache: bool,
    /// Pull the images that they begin with anew
    #[arg(long)]
    pull: bool,
    /// Push them, too
    #[arg(long)]
    push: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru prune` takes.
#[derive(Args, Debug)]
pub struct Prune {
    /// Only show what would be removed, and what is kept for whom
    #[arg(long)]
    dry_run: bool,
    /// Print what becomes of each image as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru push` takes.
#[derive(Args, Debug)]
pub struct Push {
    /// Only the images of these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Pull {
    /// Pulls.
    ///
    /// # Errors
    /// The files cannot be used, or an image cannot be had.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.load(Unsupported::Warn)?.stack;
        let policy = self.policy.map(PullPolicy::from);
        if stack.templates().all(|(_, template, _)| template.run.container().is_none()) {
            session.printer.note("nothing in the file is a container");
        }
        order(session, &stack, &self.services, ImageAct::Pull { policy }).await?;
        Ok(Code::Done)
    }
}

impl Build {
    /// Builds.
    ///
    /// # Errors
    /// The files cannot be used, or a build or push failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.load(Unsupported::Warn)?.stack;
        if !stack.templates().any(|(_, _, build)| build.is_some()) {
            session.printer.note("nothing in the file has `build`");
            return Ok(Code::Done);
        }
        let environment = &session.settings.environment;
        let args = self.build_arg.iter().filter_map(|typed| match typed.split_once('=') {
            Some((name, value)) => Some((name.to_owned(), value.to_owned())),
            None => Some((typed.clone(), environment.get(typed)?.clone())),
        });
        let settings = BuildSettings { args: args.collect(), no_cache: self.no_cache, pull: self.pull };
        order(session, &stack, &self.services, ImageAct::Build(settings)).await?;
        if self.push {
            push(session, &stack, &self.services).await?;
        }
        Ok(Code::Done)
    }
}

impl Push {
    /// Pushes.
    ///
    /// # Errors
    /// The files cannot be used, an image is not here, or its registry refuses.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.load(Unsupported::Warn)?.stack;
        push(session, &stack, &self.services).await?;
        Ok(Code::Done)
    }
}

async fn push(session: &Session, stack: &Stack, services: &[String]) -> Result<(), Fail> {
    let pushed = order(session, stack, services, ImageAct::Push).await?;
    if pushed == 0 {
        session
            .printer
            .note("nothing to push: no service has both `build` and an `image` to name it in a registry");
    }
    Ok(())
}

/// How many images it was done with.
async fn order(session: &Session, stack: &Stack, services: &[String], act: ImageAct) -> Result<usize, Fail> {
    let only = names(stack, services)?;
    let client = session.ensured().await?;
    Ok(images::settled(session, &client, stack, &only, act).await?.len())
}

impl Prune {
    /// Removes images that nobody needs.
    ///
    /// # Errors
    /// No server, or no engine answers.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let act = if self.dry_run { PruneAct::Show } else { PruneAct::Remove };
        let fates = session.ensured().await?.prune(PruneOrder { act }).await?;
        if self.json {
            session.printer.json(&fates)?;
            return Ok(Code::Done);
        }
        let shown =
            fates.iter().filter(|fate| fate.why.goes() || self.dry_run && fate.image.brought.is_some());
        let mut table = Table::new(&["IMAGE", "NAME", "SIZE", "WHAT", "WHY"]);
        for fate in shown {
            let image = &fate.image;
            let what = match (&fate.refused, act) {
                (Some(_), _) => "left",
                (None, _) if !fate.why.goes() => "kept",
                (None, PruneAct::Show) => "would go",
                (None, PruneAct::Remove) => "removed",
            };
            let id = image.id.rsplit(':').next().unwrap_or_default();
            let id = id.get(..12).unwrap_or(id).to_owned();
            // A digest in a name is too long for a table, and says no more than the id.
            let name = image.names.first().and_then(|name| name.split('@').next()).unwrap_or_default();
            let why = fate.refused.clone().unwrap_or_else(|| fate.why.to_string());
            table.row([id, foreign(name), megabytes(image.bytes), what.into(), foreign(&why)]);
        }
        session.printer.data(&if table.is_empty() { String::new() } else { table.render() })?;
        let gone: Vec<u64> = fates
            .iter()
            .filter(|fate| fate.why.goes() && fate.refused.is_none())
            .map(|fate| fate.image.bytes)
            .collect();
        let (count, bytes) = (plural(gone.len() as u64, "image"), megabytes(gone.iter().sum()));
        session.printer.result(match (gone.len(), act) {
            (0, _) => "nothing to remove: all that Naru brought is needed".to_string(),
            (_, PruneAct::Show) => format!("{count} would go, {bytes}"),
            (_, PruneAct::Remove) => format!("{count} removed, {bytes}"),
        });
        Ok(Code::Done)
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
