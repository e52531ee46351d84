//! The machine's outside: inputs in, effects and the next waking out.

use super::CONNECT_TIMEOUT;
use super::effect::{Effect, Hook, Input, Probed, Wait};
use super::life::{Found, Life, Memory, Running, Stage};
use super::notes::{Notes, Subject};
use super::probing::{FIRST_SECOND, Past, Probing, Verdict};
use super::retiring::{Busy, Pace, Telling};
use naru_model::{DesiredInstance, Exit, InstanceId, Intent, Protocol, Time};
use std::collections::VecDeque;

/// One instance on its node.
#[derive(Clone, Debug, PartialEq)]
pub struct Supervisor {
    pub(super) memory: Memory,
    pub(super) probing: Probing,
    pub(super) busy: Busy,
    pub(super) telling: Telling,
    /// Whether the busy check has answered since it was told to be quiet.
    pub(super) confirmed: bool,
    /// When what runs before its start was killed last.
    pub(super) start_cut: Option<Time>,
    /// When to try again to close the ledger.
    pub(super) closing: Option<Time>,
    pub(super) leases: u64,
    pub(super) notes: Notes,
    pub(super) effects: VecDeque<Effect>,
}

impl Supervisor {
    /// An instance that is wanted for the first time.
    pub fn new(now: Time, id: InstanceId, desired: DesiredInstance) -> Supervisor {
        let mut new = Supervisor::of(Memory { id, desired, life: Life::new(now) });
        new.drive(now);
        new
    }

    /// An instance of an earlier agent, as it was written down and as it is found.
    pub fn adopt(now: Time, memory: Memory, leases: u64, found: Found) -> Supervisor {
        let mut new = Supervisor::of(memory);
        new.leases = leases;
        new.take_over(now, found);
        new.drive(now);
        new
    }

    /// Takes what was seen or ordered.
    pub fn input(&mut self, now: Time, input: Input) {
        match input {
            Input::Intent(intent) => self.order(intent),
            Input::Leases(open) => self.leases_changed(open),
            Input::LedgerClosed => self.ledger_closed(now),
            Input::LedgerRefused(open) => self.ledger_refused(now, open),
            Input::StartWaits { run, what } if self.awaits_start(run) => self.notes.say(Subject::Fetch, what),
            Input::Started { run, pid, address, ports, image, image_health, warnings }
                if self.awaits_start(run) =>
            {
                self.notes.drop(Subject::Fetch);
                (self.life_mut().address, self.life_mut().ports) = (address, ports);
                (self.life_mut().image, self.life_mut().image_health) = (image, image_health);
                warnings.into_iter().for_each(|warning| self.notes.say(Subject::Limits, warning));
                self.started(now, Running { pid, started: now, served: None });
            }
            Input::StartFailed { run, why } if self.awaits_start(run) => {
                self.ended(now, Exit::NotStarted(why))
            }
            Input::Exited { run, exit } if run == self.life().run => self.ended(now, exit),
            Input::Probed { run, seen } if run == self.life().run => self.probed(now, seen),
            Input::HookEnded { run, hook, result } if run == self.life().run => {
                self.hook_ended(now, hook, result);
            }
            Input::QuietTold { run, result } if run == self.life().run => self.quiet_told(now, result),
            Input::BusyAnswered { run, question, answer } if run == self.life().run => {
                self.busy_answered(now, question, answer);
            }
            _ => {}
        }
        self.drive(now);
    }

    /// The next thing to be done.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come again with [`Input::Tick`], and what it is for.
    pub fn wake(&self) -> Option<(Time, Wait)> {
        match self.life().stage {
            Stage::Waiting(at) => Some((at, Wait::Restart)),
            Stage::Launching => self.start_cut.map(|at| (at + super::stopping::KILL_AGAIN, Wait::Grace)),
            Stage::Hooks(_) | Stage::PreStop(_) | Stage::Over => None,
            Stage::Starting if self.ready_by_itself().is_some() => {
                self.ready_by_itself().map(|at| (at, Wait::FirstSecond))
            }
            Stage::Starting => self.probing.due().map(|at| (at, Wait::Probe)),
            Stage::Ready | Stage::Unready => {
                let probe = self.probing.due().filter(|_| self.memory.health().is_some());
                let busy = self.busy.due(Pace::Serving).filter(|_| self.template().busy.is_some());
                let both = [probe.map(|at| (at, Wait::Probe)), busy.map(|at| (at, Wait::Busy))];
                both.into_iter().flatten().min()
            }
            Stage::Quiet => self.retiring_wake(),
            Stage::Closing => None,
            Stage::Signalled(at) => Some((at + self.template().stop_grace, Wait::Grace)),
            Stage::Killed(at) => Some((at + super::stopping::KILL_AGAIN, Wait::Grace)),
        }
    }

    /// What is to be written down.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Where it is in its life.
    pub fn life(&self) -> &Life {
        &self.memory.life
    }

    pub(super) fn life_mut(&mut self) -> &mut Life {
        &mut self.memory.life
    }

    pub(super) fn template(&self) -> &naru_model::Template {
        &self.memory.desired.template
    }

    pub(super) fn enter(&mut self, now: Time, stage: Stage) {
        self.memory.life.enter(now, stage);
    }

    fn awaits_start(&self, run: u64) -> bool {
        run == self.life().run && self.life().stage == Stage::Launching
    }

    pub(super) fn intent(&self) -> Intent {
        self.memory.desired.intent
    }

    fn of(memory: Memory) -> Supervisor {
        Supervisor {
            memory,
            probing: Probing::new(Time(0)),
            busy: Busy::default(),
            telling: Telling::default(),
            confirmed: false,
            closing: None,
            start_cut: None,
            leases: 0,
            notes: Notes::default(),
            effects: VecDeque::new(),
        }
    }

    fn order(&mut self, intent: Intent) {
        let present = self.intent();
        if intent < present {
            let said = format!("an order to {} came after one to {}: refused", verb(intent), verb(present));
            self.notes.say(Subject::Order, said);
            return;
        }
        self.memory.desired.intent = intent;
        if intent > present && intent >= Intent::Stop {
            self.busy.renew();
        }
    }

    /// Goes on from where the earlier agent was. What it had under way is done again.
    fn take_over(&mut self, now: Time, found: Found) {
        let run = self.life().run;
        let stage = self.life().stage;
        match found {
            _ if matches!(stage, Stage::Waiting(_) | Stage::Over) => self.tell_last_end(now),
            Found::Running { run: its, pid, started, ports } if its == run => match stage {
                Stage::Launching => {
                    self.life_mut().ports = ports;
                    self.started(now, Running { pid, started, served: None });
                }
                _ => self.go_on(now, stage),
            },
            Found::Ended { run: its, exit } if its == run => self.ended(now, exit),
            _ if stage == Stage::Launching => {
                self.tell_last_end(now);
                self.launch();
            }
            _ => self.ended(now, Exit::Unknown),
        }
    }

    fn go_on(&mut self, now: Time, stage: Stage) {
        self.probing = Probing::new(now);
        match stage {
            Stage::Hooks(n) => self.run_hook(Hook::PostStart(n)),
            Stage::PreStop(n) => self.run_hook(Hook::PreStop(n)),
            Stage::Quiet | Stage::Closing => {
                self.effects.push_back(Effect::QuietLedger);
                self.enter(now, Stage::Quiet);
            }
            Stage::Signalled(_) => {
                if self.intent() == Intent::Cut {
                    self.effects.push_back(Effect::CutLedger);
                }
                self.enter(now, Stage::Signalled(now));
                self.send_stop_signal();
            }
            Stage::Killed(_) => self.effects.push_back(Effect::Kill),
            _ => {}
        }
    }

    /// Does what is due, until nothing is.
    fn drive(&mut self, now: Time) {
        self.follow_intent(now);
        self.cut_start(now);
        match self.life().stage {
            Stage::Waiting(at) if at <= now => self.begin(now),
            Stage::Starting => self.drive_starting(now),
            Stage::Ready | Stage::Unready => self.drive_serving(now),
            Stage::Quiet => self.drive_retiring(now),
            Stage::Signalled(_) | Stage::Killed(_) => self.drive_grace(now),
            _ => {}
        }
    }

    fn begin(&mut self, now: Time) {
        if self.life().run > 0 {
            self.life_mut().restarts += 1;
        }
        self.life_mut().run += 1;
        self.enter(now, Stage::Launching);
        self.launch();
    }

    fn launch(&mut self) {
        // A port that the last start in a row could not use is not tried for ever.
        let prefer = if self.life().row < 2 { self.life().ports.clone() } else { Default::default() };
        self.effects.push_back(Effect::Launch { run: self.life().run, prefer });
    }

    fn started(&mut self, now: Time, running: Running) {
        self.life_mut().running = Some(running);
        (self.life_mut().told, self.life_mut().unleased) = Default::default();
        (self.busy, self.telling, self.closing, self.confirmed) = Default::default();
        self.probing = Probing::new(now);
        if self.template().post_start.is_empty() {
            self.enter(now, Stage::Starting);
        } else {
            self.enter(now, Stage::Hooks(0));
            if self.intent() == Intent::Run {
                self.run_hook(Hook::PostStart(0));
            }
        }
    }

    pub(super) fn run_hook(&mut self, hook: Hook) {
        let found = match hook {
            Hook::PostStart(n) => self.template().post_start.get(n),
            Hook::PreStop(n) => self.template().pre_stop.get(n),
        };
        if let Some(command) = found.cloned() {
            self.effects.push_back(Effect::RunHook { run: self.life().run, hook, command });
        }
    }

    fn hook_ended(&mut self, now: Time, hook: Hook, result: Result<(), String>) {
        match (hook, self.life().stage, result) {
            (Hook::PostStart(n), Stage::Hooks(at), Ok(())) if n == at => {
                if n + 1 < self.template().post_start.len() {
                    self.enter(now, Stage::Hooks(n + 1));
                    self.run_hook(Hook::PostStart(n + 1));
                } else {
                    self.enter(now, Stage::Starting);
                }
            }
            (Hook::PostStart(n), Stage::Hooks(at), Err(why)) if n == at => {
                let said = format!("not ready: its post_start command {} failed: {why}", n + 1);
                self.notes.say(Subject::Health, said);
            }
            (Hook::PreStop(n), Stage::PreStop(at), result) if n == at => {
                self.pre_stop_ended(now, n, result);
            }
            _ => {}
        }
    }

    fn drive_starting(&mut self, now: Time) {
        match self.ready_by_itself() {
            Some(at) if at <= now => self.ready(now),
            Some(_) => {}
            None => self.probe_if_due(now),
        }
    }

    fn drive_serving(&mut self, now: Time) {
        if self.memory.health().is_some() {
            self.probe_if_due(now);
        }
        self.ask_if_due(now, Pace::Serving);
    }

    /// When it counts as ready without being asked: neither a check nor a port that accepts, as one for UDP does not.
    fn ready_by_itself(&self) -> Option<Time> {
        let started = self.life().running?.started;
        let accepts = self.template().targets.iter().any(|target| target.protocol != Protocol::Udp);
        let mute = self.memory.health().is_none() && !accepts;
        mute.then_some(started + FIRST_SECOND)
    }

    fn probe_if_due(&mut self, now: Time) {
        if self.probing.due().is_none_or(|at| at > now) {
            return;
        }
        self.probing.asked();
        let health = self.memory.health();
        let timeout = health.map_or(CONNECT_TIMEOUT, |health| health.timeout);
        let check = health.map(|health| health.check.clone());
        self.effects.push_back(Effect::Probe { run: self.life().run, check, timeout });
    }

    fn probed(&mut self, now: Time, seen: Probed) {
        let Some(running) = self.life().running else { return };
        let past = if running.served.is_some() { Past::Served } else { Past::NeverServed };
        let verdict = self.probing.answered(now, running.started, self.memory.health(), past, seen);
        match (self.life().stage, verdict) {
            (Stage::Starting | Stage::Ready | Stage::Unready, Verdict::Serves) => self.ready(now),
            (Stage::Starting, Verdict::Failing(why) | Verdict::Down(why)) => {
                self.notes.say(Subject::Health, format!("not ready yet: {why}"));
            }
            (Stage::Ready | Stage::Unready, Verdict::Failing(why)) => {
                self.notes.say(Subject::Health, format!("its health check fails: {why}"));
            }
            (Stage::Ready | Stage::Unready, Verdict::Down(why)) => {
                self.notes.say(Subject::Health, format!("its health check fails: {why}"));
                self.enter(now, Stage::Unready);
            }
            _ => {}
        }
    }

    fn ready(&mut self, now: Time) {
        self.notes.drop(Subject::Health);
        self.notes.drop(Subject::Start);
        self.enter(now, Stage::Ready);
        if let Some(running) = &mut self.life_mut().running {
            running.served.get_or_insert(now);
        }
    }
}

fn verb(intent: Intent) -> &'static str {
    match intent {
        Intent::Run => "run",
        Intent::Quiet => "be quiet",
        Intent::Stop => "stop",
        Intent::Cut => "cut",
    }
}
