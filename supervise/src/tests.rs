//! Lives of instances as text: `TIME WHAT` in, then the phase, the effects and the next waking out.

use super::{Effect, Found, Hook, Input, Probed, Supervisor};
use crate::lease::Death;
use naru_model::*;
use std::collections::BTreeMap;
use std::fmt::Write;

mod adoption;
mod ends;
mod health;
mod restarts;

fn shell(text: &str) -> Process {
    Process { command: vec!["/bin/sh".into(), "-c".into(), text.into()] }
}

fn template() -> Template {
    Template {
        run: Run::Process(shell("serve")),
        environment: BTreeMap::new(),
        working_dir: "/".into(),
        user: None,
        targets: vec![TargetPort { port: 80, protocol: Protocol::Http }],
        health: None,
        restart: Restart {
            policy: RestartPolicy::OnFailure,
            delay: Span::secs(1),
            max_attempts: None,
            window: Span::secs(10),
        },
        stop_signal: "SIGTERM".into(),
        stop_grace: Span::secs(10),
        resources: Resources::default(),
        busy: None,
        quiet: None,
        post_start: vec![],
        pre_stop: vec![],
        labels: BTreeMap::new(),
        content_digest: None,
    }
}

fn desired(template: Template) -> DesiredInstance {
    DesiredInstance {
        stack: "s".into(),
        service: "v".into(),
        release: ReleaseNo(1),
        template,
        environment: BTreeMap::new(),
        hosts: BTreeMap::new(),
        imported: None,
        images: BTreeMap::new(),
        one_off: None,
        intent: Intent::Run,
    }
}

fn http(path: &str) -> HttpCall {
    HttpCall { path: path.into(), port: None }
}

/// A machine and the words to drive it with.
struct Rig {
    machine: Supervisor,
    question: u64,
}

impl Rig {
    fn new(template: Template) -> Rig {
        Rig { machine: Supervisor::new(Time(0), "s.v.1.1".into(), desired(template)), question: 0 }
    }

    fn ledger(&self) -> crate::lease::Ledger {
        crate::lease::Ledger::new("s.v.1.1".into())
    }

    fn status(&self, now: u64) -> InstanceStatus {
        self.machine.status(Time(now), &self.ledger())
    }

    /// One line in, one line out.
    fn step(&mut self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let now = Time(words.next().unwrap().parse().unwrap());
        let words: Vec<&str> = words.collect();
        if let Some(input) = self.input_of(&words) {
            self.machine.input(now, input);
        }
        let mut out = self.status(now.0).phase.to_string();
        while let Some(effect) = self.machine.effect() {
            write!(out, "; {}", self.said(effect)).unwrap();
        }
        match self.machine.wake() {
            Some((at, wait)) => write!(out, " | {wait} at {}", at.0).unwrap(),
            None => write!(out, " |").unwrap(),
        }
        out
    }

    fn input_of(&self, words: &[&str]) -> Option<Input> {
        let run = self.machine.life().run;
        let rest = || words[1..].join(" ");
        let result = || if words[1] == "ok" { Ok(()) } else { Err(rest()) };
        Some(match words[0] {
            "begin" => return None,
            "tick" => Input::Tick,
            "started" => Input::process_started(run, 7, [(80, 20_000)].into(), vec![]),
            "started-checked" => Input::Started {
                run,
                pid: 7,
                address: None,
                ports: [(80, 80)].into(),
                image: Some(UsedImage { id: "sha256:1".into(), digest: None }),
                image_health: health::images(),
                warnings: vec![],
            },
            "waits" => Input::StartWaits { run, what: rest() },
            "not-started" => Input::StartFailed { run, why: rest() },
            "exited" => Input::Exited { run, exit: Exit::Status(words[1].parse().unwrap()) },
            "stale-exit" => Input::Exited { run: run - 1, exit: Exit::Status(1) },
            "killed" => Input::Exited { run, exit: Exit::Signal(9) },
            "passed" => Input::Probed { run, seen: Probed::Passed },
            "refused" => Input::Probed { run, seen: Probed::Refused("refused".into()) },
            "failed" => Input::Probed { run, seen: Probed::Failed("status 503".into()) },
            "told" => Input::QuietTold { run, result: result() },
            "post-start" => Input::HookEnded { run, hook: Hook::PostStart(0), result: result() },
            "pre-stop" => Input::HookEnded { run, hook: Hook::PreStop(0), result: result() },
            "busy" => {
                let answer = words[1].parse().map_err(|_| rest());
                Input::BusyAnswered { run, question: self.question, answer }
            }
            "leases" => Input::Leases(words[1].parse().unwrap()),
            "closed" => Input::LedgerClosed,
            "open" => Input::LedgerRefused(words[1].parse().unwrap()),
            "run" => Input::Intent(Intent::Run),
            "quiet" => Input::Intent(Intent::Quiet),
            "stop" => Input::Intent(Intent::Stop),
            "cut" => Input::Intent(Intent::Cut),
            other => panic!("no such word: {other}"),
        })
    }

    fn said(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Launch { run, prefer } => format!("launch {run} {prefer:?}"),
            Effect::Probe { check: None, .. } => "connect".into(),
            Effect::Probe { .. } => "probe".into(),
            Effect::RunHook { hook, .. } => format!("{hook:?}"),
            Effect::TellQuiet { .. } => "tell quiet".into(),
            Effect::AskBusy { question, .. } => {
                self.question = question;
                "ask busy".into()
            }
            Effect::QuietLedger => "quiet ledger".into(),
            Effect::CloseLedger => "close ledger".into(),
            Effect::CutLedger => "cut ledger".into(),
            Effect::LoseLeases { cause: Death { jobs: 0, cause, .. } } => format!("lose leases ({cause})"),
            Effect::LoseLeases { cause: Death { run, cause, jobs, since, outcome } } => {
                format!("lose leases ({cause}), {jobs} told since {} of run {run} {outcome}", since.0)
            }
            Effect::Signal { signal } => signal,
            Effect::Kill => "kill".into(),
        }
    }
}

/// Each line of `script` is `INPUT => OUTPUT`, and `INPUT => note: …` looks at the note as well.
#[track_caller]
fn check(template: Template, script: &str) -> Rig {
    let mut rig = Rig::new(template);
    run(&mut rig, script);
    rig
}

#[track_caller]
fn run(rig: &mut Rig, script: &str) {
    let mut got = String::new();
    for line in script.trim().lines().map(str::trim) {
        let (input, want) = line.split_once("=>").unwrap();
        match want.trim().strip_prefix("note:") {
            Some(_) => {
                let note = rig.status(0).note.unwrap_or_default();
                writeln!(got, "{} => note: {note}", input.trim()).unwrap();
            }
            None => {
                let out = rig.step(input.trim());
                writeln!(got, "{} => {out}", input.trim()).unwrap();
            }
        }
    }
    let tidy = |text: &str| text.trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
    assert_eq!(tidy(&got), tidy(script), "\ngot:\n{got}");
}
