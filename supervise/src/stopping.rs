//! The way out: quiet, idle, closed, signalled, gone.

use super::effect::{Effect, Hook, Wait};
use super::life::{Stage, Unleased};
use super::machine::Supervisor;
use super::notes::Subject;
use super::retiring::Pace;
use crate::lease::in_progress;
use naru_model::{Intent, Span, Time};

/// A kill that had no effect is repeated.
pub(super) const KILL_AGAIN: Span = Span::secs(5);
/// A ledger that refused to close is asked again then, should its change not have come through.
const CLOSE_AGAIN: Span = Span::secs(1);

impl Supervisor {
    /// Moves the stage to where the intent wants it.
    pub(super) fn follow_intent(&mut self, now: Time) {
        match (self.intent(), self.life().stage) {
            (Intent::Run, _) | (_, Stage::Over | Stage::Launching) => {}
            (_, Stage::Waiting(_)) => {
                self.notes.drop(Subject::Start);
                self.enter(now, Stage::Over);
            }
            (_, Stage::Signalled(_) | Stage::Killed(_)) => {}
            (Intent::Cut, _) => {
                self.effects.push_back(Effect::CutLedger);
                self.signal(now);
            }
            (_, Stage::Hooks(_) | Stage::Starting | Stage::Ready | Stage::Unready) => {
                self.notes.drop(Subject::Health);
                self.effects.push_back(Effect::QuietLedger);
                self.enter(now, Stage::Quiet);
            }
            _ => {}
        }
    }

    /// A start is awaited, and then ended. What runs before it may never end: an order to cut kills that, again and again,
    /// since the next of them may have begun meanwhile.
    pub(super) fn cut_start(&mut self, now: Time) {
        let preludes = self.template().run.container().is_some_and(|one| !one.pre_start.is_empty());
        if self.intent() != Intent::Cut || self.life().stage != Stage::Launching || !preludes {
            self.start_cut = None;
        } else if self.start_cut.is_none_or(|at| at + KILL_AGAIN <= now) {
            self.start_cut = Some(now);
            self.effects.push_back(Effect::Kill);
        }
    }

    /// Tells, asks, and closes the ledger once all is known to be idle.
    pub(super) fn drive_retiring(&mut self, now: Time) {
        self.tell_if_due(now);
        self.ask_if_due(now, Pace::Retiring);
        if self.intent() != Intent::Stop {
            return;
        }
        match self.obstacle() {
            Some(sentence) => self.notes.say(Subject::Stop, sentence),
            None if self.closing.is_none_or(|at| at <= now) => {
                self.notes.drop(Subject::Stop);
                self.effects.push_back(Effect::CloseLedger);
                self.enter(now, Stage::Closing);
            }
            None => {}
        }
    }

    /// Whether it was told to be quiet, and the busy check, where there is one, has answered since.
    pub(super) fn is_quiet_told(&self) -> bool {
        self.counts_as_told() && (self.template().busy.is_none() || self.confirmed)
    }

    /// Told, or excused from it: one that never served, cannot be told, and answers nothing has no work to be
    /// told of. It is still tried again: it may be a slow starter that begins work of its own.
    fn counts_as_told(&self) -> bool {
        let is_mute = !self.life().has_served() && !self.busy.has_answered();
        self.life().told.is_some() || is_mute && self.telling.has_failed()
    }

    pub(super) fn retiring_wake(&self) -> Option<(Time, Wait)> {
        let told = self.life().told.is_some();
        let tell = self.telling.due().filter(|_| !told).map(|at| (at, Wait::Quiet));
        let busy = self.busy.due(Pace::Retiring).filter(|_| self.template().busy.is_some());
        let stop = self.intent() == Intent::Stop && self.obstacle().is_none();
        let close = self.closing.filter(|_| stop);
        let all = [tell, busy.map(|at| (at, Wait::Busy)), close.map(|at| (at, Wait::Ledger))];
        all.into_iter().flatten().min()
    }

    pub(super) fn quiet_told(&mut self, now: Time, result: Result<(), String>) {
        if self.life().stage != Stage::Quiet || self.life().told.is_some() {
            return;
        }
        let Err(why) = result else { return self.told(now) };
        if !self.telling.has_failed() {
            self.busy.renew();
        }
        let pause = self.telling.failed(now);
        self.notes.say(Subject::Quiet, format!("could not be told to be quiet: {why}; again in {pause}"));
    }

    pub(super) fn ask_if_due(&mut self, now: Time, pace: Pace) {
        let Some(action) = self.template().busy.clone() else { return };
        if self.busy.due(pace).is_some_and(|at| at <= now) {
            let question = self.busy.ask();
            self.effects.push_back(Effect::AskBusy { run: self.life().run, question, action });
        }
    }

    pub(super) fn busy_answered(&mut self, now: Time, question: u64, answer: Result<u64, String>) {
        if !self.busy.awaits(question) {
            return;
        }
        match &answer {
            Ok(_) => self.notes.drop(Subject::Busy),
            Err(why) => self.notes.say(
                Subject::Busy,
                format!("its busy check does not tell its jobs, which counts as 1 job: {why}"),
            ),
        }
        self.busy.answered(now, answer.ok());
        self.note_unleased(now);
        self.confirmed = self.counts_as_told() && (self.confirmed || self.idle_answer().is_some());
    }

    /// Remembers of the answer what the ledger does not know.
    fn note_unleased(&mut self, now: Time) {
        if self.life().running.is_none() {
            return;
        }
        let run = self.life().run;
        let since = match self.life().unleased {
            Unleased::Jobs { since, .. } => since,
            _ => now,
        };
        let known = self.life().unleased;
        self.life_mut().unleased = match self.busy.told().map(|told| told.saturating_sub(self.leases)) {
            // A check that fails takes nothing back: its process may be the one that is just ending.
            None if matches!(known, Unleased::Jobs { .. }) => known,
            None => Unleased::Unknown,
            Some(0) => Unleased::None,
            Some(jobs) => Unleased::Jobs { run, jobs, since },
        };
    }

    /// A job that has, or had, a lease since the last answer is the ledger's to count.
    pub(super) fn leases_changed(&mut self, open: u64) {
        (self.leases, self.closing) = (open, None);
        let (Unleased::Jobs { run, jobs, since }, Some(told)) = (self.life().unleased, self.busy.told())
        else {
            return;
        };
        self.life_mut().unleased = match jobs.min(told.saturating_sub(open)) {
            0 => Unleased::None,
            jobs => Unleased::Jobs { run, jobs, since },
        };
    }

    pub(super) fn ledger_closed(&mut self, now: Time) {
        if self.life().stage != Stage::Closing {
            return;
        }
        self.notes.drop(Subject::Stop);
        if self.template().pre_stop.is_empty() {
            return self.signal(now);
        }
        self.enter(now, Stage::PreStop(0));
        self.run_hook(Hook::PreStop(0));
    }

    pub(super) fn ledger_refused(&mut self, now: Time, open: u64) {
        if self.life().stage == Stage::Closing {
            self.leases_changed(open);
            self.closing = Some(now + CLOSE_AGAIN);
            self.enter(now, Stage::Quiet);
        }
    }

    pub(super) fn pre_stop_ended(&mut self, now: Time, n: usize, result: Result<(), String>) {
        if let Err(why) = result {
            self.notes.say(Subject::Stop, format!("its pre_stop command {} failed: {why}", n + 1));
        }
        if n + 1 < self.template().pre_stop.len() {
            self.enter(now, Stage::PreStop(n + 1));
            self.run_hook(Hook::PreStop(n + 1));
        } else {
            self.signal(now);
        }
    }

    pub(super) fn drive_grace(&mut self, now: Time) {
        if self.wake().is_some_and(|(at, _)| at <= now) {
            let signal = match self.template().stop_signal.as_str() {
                "" => "its image's",
                signal => signal,
            };
            let ignored = format!("its stop signal ({signal}) was ignored: killed");
            self.notes.say(Subject::Stop, ignored);
            self.effects.push_back(Effect::Kill);
            self.enter(now, Stage::Killed(now));
        }
    }

    pub(super) fn send_stop_signal(&mut self) {
        self.effects.push_back(Effect::Signal { signal: self.template().stop_signal.clone() });
    }

    fn signal(&mut self, now: Time) {
        self.enter(now, Stage::Signalled(now));
        self.send_stop_signal();
    }

    fn tell_if_due(&mut self, now: Time) {
        if self.life().told.is_some() || self.telling.due().is_none_or(|at| at > now) {
            return;
        }
        match self.template().quiet.clone() {
            None => self.told(now),
            Some(call) => {
                self.telling.asked();
                self.effects.push_back(Effect::TellQuiet { run: self.life().run, call });
            }
        }
    }

    fn told(&mut self, now: Time) {
        self.life_mut().told = Some(now);
        self.notes.drop(Subject::Quiet);
        self.busy.renew();
    }

    /// The busy check's last word since it was told and ordered. One that never served was given no work:
    /// there, no answer is an answer.
    fn idle_answer(&self) -> Option<u64> {
        let answer = self.busy.fresh()?;
        if self.life().has_served() { answer } else { Some(answer.unwrap_or(0)) }
    }

    /// What keeps an instance from being stopped that is ordered to.
    fn obstacle(&self) -> Option<String> {
        let stays =
            |jobs| Some(format!("ordered to stop, and {}: it stays until that ends", in_progress(jobs)));
        if !self.counts_as_told() {
            return Some("ordered to stop, and not told yet to take no new work".into());
        }
        match (self.template().busy.is_some(), self.idle_answer()) {
            _ if self.leases > 0 => stays(self.leases),
            (false, _) | (true, Some(0)) => None,
            (true, Some(jobs)) => stays(jobs),
            (true, None) => Some("ordered to stop, and its busy check has not told its jobs since".into()),
        }
    }
}
