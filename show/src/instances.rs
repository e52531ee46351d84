//! Instances as a table: those that serve first, then those that retire, with what they wait for.

use crate::moment::whole;
use crate::paint::{self, Tone};
use crate::table::{Table, foreign};
use crate::waits;
use naru_model::{Duty, InstanceStatus, InstanceView, Phase, Time, plural, quantity};
use std::collections::BTreeSet;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What one wants to see as a rule.
    Usual,
    /// Processes and ports too.
    All,
}

/// One table; a stack's name is shown where there are several.
pub fn instances(views: &[InstanceView], detail: Detail, now: Time) -> String {
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
            service(view),
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
        // Nothing is ever routed to a run.
        Duty::Warming if view.run.is_some() => "",
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

/// A run that a person made is not one of those that serve.
fn service(view: &InstanceView) -> String {
    match view.run {
        Some(run) if view.one_off => format!("{} (one-off {run})", view.service),
        _ => view.service.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, instances, told};
    use crate::sample;
    use anstream::adapter::strip_str;
    use naru_model::{Duty, Exit, Phase, Span, Time};

    #[test]
    fn what_serves_comes_first_and_what_retires_says_for_what_it_waits() {
        let now = Time(600_000);
        let old = sample::instance("shop", "결제", 1, 1, Phase::Quiet, Duty::Retiring);
        let new = sample::instance("shop", "결제", 2, 3, Phase::Ready, Duty::Serving);
        let shown = instances(&[old, new], Detail::Usual, now);
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
        let shown = instances(&[view], Detail::All, Time(600_000));
        assert!(shown.contains("4711") && shown.contains("80→40001"), "{shown}");
    }

    #[test]
    fn a_one_off_is_told_from_those_that_serve() {
        let view = sample::instance("shop", "api", 2, 3, Phase::Ready, Duty::Warming);
        let view = naru_model::InstanceView { run: Some(4), one_off: true, ..view };
        let shown = strip_str(&instances(&[view], Detail::Usual, Time(600_000))).to_string();
        assert!(shown.contains("api (one-off 4)") && !shown.contains("not routed yet"), "{shown}");
    }
}
