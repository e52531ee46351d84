//! What an agent's machines have done: the act side of a simulated node.

use crate::event::{Event, ProcessEvent};
use crate::host::{Customs, Death, Hears, Mood, State, Tells};
use crate::sabotage::Sabotage;
use crate::sim::Sim;
use crate::work::{End, Kind};
use naru_model::{Action, Check, InstanceId, Span, Time};
use naru_sim_stacks::Behaviour;
use naru_supervise::lease::{Entry, Ledger};
use naru_supervise::{Effect, Hook, Input, Probed};
use std::collections::BTreeMap;

/// A workload that asks its ledger whether to go on does so at least this often.
const ASKS_LEDGER: Span = Span::secs(10);

impl Sim {
    /// Carries one effect out.
    pub(crate) fn carry_out(&mut self, node: usize, id: &InstanceId, effect: Effect) {
        match effect {
            Effect::Launch { run, prefer } => self.launch(node, id, run, prefer),
            Effect::Probe { run, check, timeout } => self.probe(node, id, run, check.as_ref(), timeout),
            Effect::RunHook { run, hook, .. } => self.run_hook(node, id, run, hook),
            Effect::TellQuiet { run, .. } => self.tell_quiet(node, id, run),
            Effect::AskBusy { run, question, action } => self.ask_busy(node, id, run, question, &action),
            Effect::QuietLedger => self.quiet_ledger(node, id),
            Effect::CloseLedger => self.close_ledger(node, id),
            Effect::CutLedger => self.end_leases(node, id, End::Cut, |ledger, now| ledger.cut(now, "cut")),
            Effect::LoseLeases { cause } => {
                self.end_leases(node, id, End::Lost, |ledger, now| ledger.lose(now, &cause));
            }
            Effect::Signal { .. } => self.signal(id, Death::Term),
            Effect::Kill => self.signal(id, Death::Killed),
        }
    }

    fn end_leases(
        &mut self,
        node: usize,
        id: &InstanceId,
        end: End,
        how: impl FnOnce(&mut Ledger, Time) -> Vec<Entry>,
    ) {
        let now = self.ground.now;
        let entries = self.ledger(id, node).map(|ledger| how(ledger, now)).unwrap_or_default();
        self.close_books(&entries, end);
        if !entries.is_empty() {
            self.agent_input(node, id, Input::Leases(0));
        }
    }

    fn launch(&mut self, node: usize, id: &InstanceId, run: u64, prefer: BTreeMap<u16, u16>) {
        let Some(template) = self.agents[node].template(id) else { return };
        let customs = Customs {
            tells: if template.busy.is_some() { Tells::ByCheck } else { Tells::ByLease },
            hears: if template.quiet.is_some() { Hears::Call } else { Hears::Ledger },
        };
        let behaviour = Behaviour::of(&template.environment);
        let targets: Vec<u16> = template.targets.iter().map(|target| target.port).collect();
        self.check_launch(id, run);
        let pid = self.host.launch(&mut self.ground, node, id, run, (behaviour, customs));
        let port = |at: usize| 20_000 + (pid as u16).wrapping_mul(2) + at as u16;
        let fresh = targets.iter().enumerate().map(|(at, target)| (*target, port(at))).collect();
        let ports = if prefer.len() == targets.len() { prefer } else { fresh };
        let process = self.host.get_mut(pid);
        if process.ports.is_empty() {
            process.ports = ports;
        }
        let ports = process.ports.clone();
        let after = Span(self.ground.fate.within(2, 60));
        let started = Input::process_started(run, pid, ports, vec![]);
        self.answer(node, id, after, started);
    }

    fn probe(&mut self, node: usize, id: &InstanceId, run: u64, check: Option<&Check>, timeout: Span) {
        let now = self.ground.now;
        let refused = || Probed::Refused("connection refused".into());
        let (after, seen) = match self.host.last(id).map(|(_, process)| process) {
            Some(process) if process.is_well() => (Span(2), Probed::Passed),
            Some(process) if process.accepts() => match check {
                Some(_) => (Span(5), Probed::Failed("500 Internal Server Error".into())),
                None => (Span(2), Probed::Passed),
            },
            Some(process) => match process.state {
                State::Booting(Some(at)) if at <= now + timeout => (at.since(now) + Span(1), Probed::Passed),
                _ => (timeout, refused()),
            },
            None => (Span(1), refused()),
        };
        self.answer(node, id, after, Input::Probed { run, seen });
    }

    fn run_hook(&mut self, node: usize, id: &InstanceId, run: u64, hook: Hook) {
        let after = Span(self.ground.fate.within(5, 800));
        self.answer(node, id, after, Input::HookEnded { run, hook, result: Ok(()) });
    }

    fn tell_quiet(&mut self, node: usize, id: &InstanceId, run: u64) {
        let fails = self.ground.window().is_some() && self.ground.fate.hits(200);
        let Some((pid, process)) = self.host.last(id) else { return };
        let result = if process.accepts() && !fails { Ok(()) } else { Err("connection refused".into()) };
        if result.is_ok() {
            self.host.get_mut(pid).mood = Mood::Quiet;
        }
        let after = Span(self.ground.fate.within(1, 50));
        self.answer(node, id, after, Input::QuietTold { run, result });
    }

    fn ask_busy(&mut self, node: usize, id: &InstanceId, run: u64, question: u64, _how: &Action) {
        let Some((_, process)) = self.host.last(id) else { return };
        let jobs = process.open.iter().filter(|work| self.books.get(**work).kind == Kind::Unleased).count();
        let answer = if process.accepts() { Ok(jobs as u64) } else { Err("connection refused".into()) };
        let after = Span(self.ground.fate.within(1, 300));
        self.answer(node, id, after, Input::BusyAnswered { run, question, answer });
    }

    fn quiet_ledger(&mut self, node: usize, id: &InstanceId) {
        self.check_quiet(id);
        if let Some(ledger) = self.ledger(id, node) {
            ledger.quiet();
        }
        let Some((pid, process)) = self.host.last(id) else { return };
        if process.customs.hears == Hears::Ledger {
            let after = Span(self.ground.fate.below(ASKS_LEDGER.0));
            self.ground.after(after, Event::Process { pid, what: ProcessEvent::Hushes });
        }
    }

    fn close_ledger(&mut self, node: usize, id: &InstanceId) {
        let careless = self.ground.sabotages(Sabotage::SignalBeforeIdle);
        let Some(ledger) = self.ledger(id, node) else { return };
        let closed = ledger.close();
        let input = match closed {
            Err(open) if !careless => Input::LedgerRefused(open),
            _ => Input::LedgerClosed,
        };
        self.agent_input(node, id, input);
    }

    fn signal(&mut self, id: &InstanceId, how: Death) {
        let Some((pid, process)) = self.host.last(id) else { return };
        if !process.lives() {
            return;
        }
        self.check_signal(id, pid, &how);
        match how {
            Death::Killed => {
                self.ground.after(Span(1), Event::Process { pid, what: ProcessEvent::Ends(how) })
            }
            _ => self.host.term(&mut self.ground, pid),
        }
    }
}
