//! `naru ps`: the instances; those that serve first, then those that retire, with what they wait for.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::waits;
use crate::cli::moment::{now, whole};
use crate::cli::paint::{self, Tone};
use crate::cli::session::Session;
use crate::cli::table::{Table, foreign};
use clap::Args;
use naru_model::{Duty, InstanceStatus, InstanceView, Phase, StackName, Time, plural, quantity};
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
            session.printer.data(&render(&views, detail, now()))?;
        }
        Ok(Code::Done)
    }
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    Usual,
    All,
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

/// One table; a stack's name is shown where there are several.
fn render(views: &[InstanceView], detail: Detail, now: Time) -> String {
    let stacks: BTreeSet<&str> = views.iter().map(|view| view.stack.as_str()).collect();
    let mut sorted: Vec<&InstanceView> = views.iter().collect();
    sorted.sort_by_key(|view| {
        (&view.stack, &view.service, std::cmp::Reverse(view.release), view.made, &view.id)
    });
    let mut table = Table::new(&[
        "STACK", "SERVICE", "RELEASE", "INSTANCE", "STATE", "AGE", "WORK", "PID", "PORTS", "NOTE",
    ]);
    for view in sorted {
        let stack = if stacks.len() > 1 { view.stack.to_string() } else { String::new() };
        let (pid, ports) = match (detail, &view.status) {
            (Detail::All, Some(status)) => process(status),
            _ => Default::default(),
        };
        table.row([
            stack,
            view.service.to_string(),
            view.release.to_string(),
            view.id.to_string(),
            state(view),
            whole(now.since(view.made)),
            work(view),
            pid,
            ports,
            note(view),
        ]);
    }
    table.render()
}

fn process(status: &InstanceStatus) -> (String, String) {
    let ports: Vec<String> = status
        .ports
        .iter()
        .map(|(target, host)| match &status.address {
            Some(address) => format!("{target}→{address}:{host}"),
            None => format!("{target}→{host}"),
        })
        .collect();
    (status.pid.map(|pid| pid.to_string()).unwrap_or_default(), ports.join(" "))
}

fn state(view: &InstanceView) -> String {
    let phase = view.status.as_ref().map_or(Phase::Pending, |status| status.phase);
    let tone = match (phase, view.duty) {
        (Phase::Ready, Duty::Serving) => Tone::Good,
        (Phase::Unready | Phase::Lost, _) => Tone::Bad,
        (Phase::Quiet | Phase::Stopping | Phase::Exited, _) | (_, Duty::Retiring) => Tone::Quiet,
        _ => Tone::Busy,
    };
    let duty = match view.duty {
        Duty::Serving => "",
        Duty::Warming => ", not routed yet",
        Duty::Held => ", held",
        Duty::Retiring => ", retiring",
    };
    paint::tone(tone, format!("{phase}{duty}"))
}

fn work(view: &InstanceView) -> String {
    if view.work.is_idle() { paint::dim("idle") } else { quantity(view.work) }
}

/// What its retirement waits for; or else what its agent says of it.
fn note(view: &InstanceView) -> String {
    waits(view).or_else(|| told(view.status.as_ref()?)).unwrap_or_default()
}

fn told(status: &InstanceStatus) -> Option<String> {
    let mut said = vec![];
    let note = status.note.as_deref().unwrap_or_default();
    if let (Some(exit), Phase::Pending | Phase::Exited) = (&status.last_exit, status.phase) {
        // The agent's note of an end begins with how it was.
        let exit = exit.to_string();
        said.extend(Some(exit).filter(|exit| !note.starts_with(exit.as_str())));
    }
    said.extend(Some(note).filter(|note| !note.is_empty()).map(foreign));
    said.extend(status.restart_in.map(|left| format!("next start in {left}")));
    if status.restarts > 0 {
        said.push(plural(u64::from(status.restarts), "restart"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{Detail, only, render, told};
    use crate::cli::sample;
    use anstream::adapter::strip_str;
    use naru_model::{Duty, Exit, Phase, Span, Time};

    #[test]
    fn what_serves_comes_first_and_what_retires_says_for_what_it_waits() {
        let now = Time(600_000);
        let old = sample::instance("shop", "결제", 1, 1, Phase::Quiet, Duty::Retiring);
        let new = sample::instance("shop", "결제", 2, 3, Phase::Ready, Duty::Serving);
        let shown = render(&[old, new], Detail::Usual, now);
        let want = "\
SERVICE  RELEASE  INSTANCE       STATE            AGE    WORK   NOTE
결제     2        shop.결제.2.3  ready            9 min  idle
결제     1        shop.결제.1.1  quiet, retiring  9 min  1 job  finishes 1 job, about 2 min
";
        assert_eq!(strip_str(&shown).to_string(), want);
    }

    #[test]
    fn how_it_ended_is_said_once() {
        let mut view = sample::instance("shop", "api", 2, 3, Phase::Pending, Duty::Warming);
        let status = view.status.as_mut().unwrap();
        let exit = Exit::NotStarted("no such program".into());
        (status.note, status.last_exit) = (Some(exit.to_string()), Some(exit));
        (status.restart_in, status.restarts) = (Some(Span::secs(2)), 2);
        let want = "could not be started: no such program; next start in 2.0 s; 2 restarts";
        assert_eq!(told(status).as_deref(), Some(want));
        status.note = Some("its stop signal (SIGTERM) was ignored: killed".into());
        let want = "could not be started: no such program; its stop signal (SIGTERM) was ignored: killed; \
                    next start in 2.0 s; 2 restarts";
        assert_eq!(told(status).as_deref(), Some(want));
    }

    #[test]
    fn processes_and_ports_are_shown_on_request() {
        let view = sample::instance("shop", "api", 2, 3, Phase::Ready, Duty::Serving);
        let shown = render(&[view], Detail::All, Time(600_000));
        assert!(shown.contains("4711") && shown.contains("80→40001"), "{shown}");
    }

    #[test]
    fn a_service_that_nobody_knows_is_an_error_with_the_known_ones() {
        let view = sample::instance("shop", "api", 2, 3, Phase::Ready, Duty::Serving);
        let fail = only(vec![view], ["api", "db"].into(), &["ap".into()]).unwrap_err();
        assert_eq!(fail.help.as_deref(), Some("services: api, db"));
        assert_eq!(only(vec![], ["db"].into(), &["db".into()]).unwrap(), vec![]);
    }
}
