//! `naru config`: the Compose file as it is understood, as `docker compose config` prints it.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::load::StrictArgs;
use crate::cli::session::Session;
use clap::{Args, ValueEnum};
use naru_compose::Loaded;
use serde_json::Value;

/// What `naru config` takes.
#[derive(Args, Debug)]
pub struct Config {
    /// The form of what is printed
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Print the services' names
    #[arg(long, group = "part")]
    services: bool,
    /// Print the services' images
    #[arg(long, group = "part")]
    images: bool,
    /// Print the digest of what a service's instances are made from; `*` for all
    #[arg(long, group = "part", value_name = "SERVICE")]
    hash: Option<String>,
    /// Print nothing: only check
    #[arg(short, long, group = "part")]
    quiet: bool,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

impl Config {
    /// Prints the files, or a part of them.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn run(self, session: &Session) -> Result<Code, Fail> {
        let loaded = session.load(self.strict.unsupported())?;
        let text = match self {
            Config { quiet: true, .. } => String::new(),
            Config { services: true, .. } => lines(each(&loaded).map(|(name, _)| name.as_str())),
            Config { images: true, .. } => {
                lines(each(&loaded).filter_map(|(_, one)| one.get("image")?.as_str()))
            }
            Config { hash: Some(which), .. } => hashes(&loaded, &which)?,
            Config { format: Format::Json, .. } => {
                return session.printer.json(&loaded.canonical).map(|()| Code::Done);
            }
            Config { format: Format::Yaml, .. } => loaded.yaml(),
        };
        session.printer.data(&text)?;
        Ok(Code::Done)
    }
}

fn each(loaded: &Loaded) -> impl Iterator<Item = (&String, &Value)> {
    loaded.canonical.get("services").and_then(Value::as_object).into_iter().flatten()
}

fn lines<'a>(all: impl Iterator<Item = &'a str>) -> String {
    all.map(|line| format!("{line}\n")).collect()
}

fn hashes(loaded: &Loaded, which: &str) -> Result<String, Fail> {
    if which != "*" {
        crate::cli::load::names(&loaded.stack, &[which.to_string()])?;
    }
    let wanted = loaded.stack.services.iter().filter(|(name, _)| which == "*" || name.as_str() == which);
    Ok(wanted.map(|(name, service)| format!("{name} {}\n", service.template.fingerprint())).collect())
}
