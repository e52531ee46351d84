//! Whether services are on: `wake`, `extend` and `sleep` say it, `power` shows it.

use super::change::{PlainArgs, order, services};
use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::Until;
use crate::cli::moment::now;
use crate::cli::order::OrderArgs;
use crate::cli::session::Session;
use clap::Args;
use naru_model::{Change, ServiceName, Span};
use naru_show::power;
use std::collections::BTreeSet;

/// What `naru wake` takes.
#[derive(Args, Debug)]
pub struct Wake {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// For how long, as 30m or 2h; then the wake ends by itself
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = naru_work::parse_span)]
    within: Span,
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru extend` takes.
#[derive(Args, Debug)]
pub struct Extend {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// By how long, as 30m or 2h
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = naru_work::parse_span)]
    by: Span,
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru sleep` takes.
#[derive(Args, Debug)]
pub struct Sleep {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru power` takes.
#[derive(Args, Debug)]
pub struct Power {
    /// Only these services, with all that is wanted of each, and its week
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// All that is wanted of each service, and its week
    #[arg(short, long)]
    all: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Wake {
    /// Orders that services are on for a time.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let change = Change::Wake { services: services(&self.services), within: self.within };
        order(session, change, self.order.into(), Until::CutOver, vec![]).await
    }
}

impl Extend {
    /// Orders that one's own wake lasts longer.
    ///
    /// # Errors
    /// It was refused.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let change = Change::Extend { services: services(&self.services), by: self.by };
        order(session, change, self.order.into(), Until::CutOver, vec![]).await
    }
}

impl Sleep {
    /// Orders that services fall asleep before their time.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let services = services(&self.services);
        let change = Change::Sleep { services: services.clone() };
        order(session, change, self.order, Until::Ended, services).await
    }
}

impl Power {
    /// Shows what is on, why, and what comes next.
    ///
    /// # Errors
    /// No server, or no such service.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.scope()?;
        let mut stacks = session.client()?.stacks().await?;
        stacks.retain(|view| stack.as_ref().is_none_or(|stack| *stack == view.name));
        let known: BTreeSet<&ServiceName> =
            stacks.iter().flat_map(|stack| &stack.services).map(|service| &service.name).collect();
        if let Some(stranger) =
            self.services.iter().find(|name| !known.iter().any(|one| one.as_str() == *name))
        {
            let names: Vec<_> = known.iter().map(|name| name.as_str()).collect();
            return Err(Fail::usage(format!("there is no service `{stranger}`"))
                .help(format!("services: {}", names.join(", "))));
        }
        let is_meant = |name: &ServiceName| {
            self.services.is_empty() || self.services.iter().any(|one| one == name.as_str())
        };
        for stack in &mut stacks {
            stack.services.retain(|service| service.power.is_some() && is_meant(&service.name));
        }
        stacks.retain(|stack| !stack.services.is_empty());
        if self.json {
            session.printer.json(&stacks)?;
        } else if stacks.is_empty() {
            session
                .printer
                .note("no service here is ever asleep: `x-naru.power` in the file says when one is");
        } else if self.all || !self.services.is_empty() {
            session.printer.data(&power::power_whole(&stacks, &power::Local(now())))?;
        } else {
            session.printer.data(&power::power(&stacks, &power::Local(now())))?;
        }
        Ok(Code::Done)
    }
}
