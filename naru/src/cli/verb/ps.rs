//! `naru ps`: the instances; those that serve first, then those that retire, with what they wait for.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::moment::now;
use crate::cli::session::Session;
use clap::Args;
use naru_model::{InstanceView, StackName};
use naru_show::{Detail, instances};
use std::collections::BTreeSet;

/// What `naru ps` takes.
#[derive(Args, Debug)]
pub struct Ps {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Processes and ports too
    #[arg(short, long)]
    all: bool,
    /// Print the instances as JSON
    #[arg(long)]
    json: bool,
    /// Print only the instances' ids
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Ps {
    /// Lists instances.
    ///
    /// # Errors
    /// No server, or no such service.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = session.scope()?;
        let client = session.client()?;
        let views = client.instances(stack.as_ref()).await?;
        let stacks = client.stacks().await?;
        let mine = stacks.iter().filter(|view| stack.as_ref().is_none_or(|stack| *stack == view.name));
        let known = mine.flat_map(|view| &view.services).map(|service| service.name.as_str());
        let views = only(views, known.collect(), &self.services)?;
        if self.json {
            session.printer.json(&views)?;
        } else if self.quiet {
            let ids: String = views.iter().map(|view| format!("{}\n", view.id)).collect();
            session.printer.data(&ids)?;
        } else if views.is_empty() {
            session.printer.note(nothing(stack.as_ref()));
        } else {
            let detail = if self.all { Detail::All } else { Detail::Usual };
            session.printer.data(&instances(&views, detail, now()))?;
        }
        Ok(Code::Done)
    }
}

fn nothing(stack: Option<&StackName>) -> String {
    match stack {
        Some(stack) => format!("no instance of stack {stack} runs"),
        None => "no instance runs".into(),
    }
}

fn only(
    views: Vec<InstanceView>,
    known: BTreeSet<&str>,
    services: &[String],
) -> Result<Vec<InstanceView>, Fail> {
    let runs = |name: &String| views.iter().any(|view| view.service.as_str() == name);
    if let Some(stranger) = services.iter().find(|name| !known.contains(name.as_str()) && !runs(name)) {
        let names: Vec<_> = known.into_iter().collect();
        return Err(Fail::usage(format!("there is no service `{stranger}`"))
            .help(format!("services: {}", names.join(", "))));
    }
    let wanted =
        |view: &InstanceView| services.is_empty() || services.iter().any(|s| s == view.service.as_str());
    Ok(views.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::only;
    use crate::cli::sample;
    use naru_model::{Duty, Phase};

    #[test]
    fn a_service_that_nobody_knows_is_an_error_with_the_known_ones() {
        let view = sample::instance("shop", "api", 2, 3, Phase::Ready, Duty::Serving);
        let fail = only(vec![view], ["api", "db"].into(), &["ap".into()]).unwrap_err();
        assert_eq!(fail.help.as_deref(), Some("services: api, db"));
        assert_eq!(only(vec![], ["db"].into(), &["db".into()]).unwrap(), vec![]);
    }
}
