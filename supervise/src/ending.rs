//! The end of a process: what ended with it, and what comes next.

use super::effect::Effect;
use super::life::{Stage, Unleased};
use super::machine::Supervisor;
use super::notes::{Notes, Subject};
use super::row::{self, Next};
use crate::lease::Death;
use naru_model::{Exit, Intent, Outcome, Phase, Time, plural};

impl Supervisor {
    /// The process of the present start is gone, or never came to be.
    pub(super) fn ended(&mut self, now: Time, exit: Exit) {
        if matches!(self.life().stage, Stage::Waiting(_) | Stage::Over) {
            return;
        }
        let ordered = self.life().stage.phase() == Phase::Stopping;
        let mut said = exit.to_string();
        if self.life().running.is_some() {
            self.effects.push_back(Effect::LoseLeases { cause: self.death(now, &exit) });
            if self.takes_untold_jobs(&exit) {
                said +=
                    ", and its busy check had not told its jobs: whether any were in progress is not known";
            }
        }
        self.notes = Notes::default();
        let next = if ordered || self.intent() > Intent::Run {
            Next::Stays
        } else {
            row::next(now, &self.memory.desired.template.restart, &mut self.memory.life, &exit)
        };
        match next {
            Next::At(at) => {
                self.notes.say(Subject::Start, said);
                self.enter(now, Stage::Waiting(at));
            }
            Next::Stays => {
                if ordered && self.takes_untold_jobs(&exit) {
                    self.notes.say(Subject::Start, said);
                } else if !ordered && !exit.is_success() {
                    self.notes.say(Subject::Start, format!("{said}, not by order"));
                }
                self.enter(now, Stage::Over);
            }
            Next::GivenUp(times) => {
                let times = plural(times.into(), "restart");
                self.notes.say(Subject::Start, format!("{said}; given up after {times} in a row"));
                self.enter(now, Stage::Over);
            }
        }
        self.life_mut().running = None;
        self.life_mut().last_exit = Some(exit);
    }

    /// Of an end that an earlier agent saw, the ledger may not have heard.
    pub(super) fn tell_last_end(&mut self, now: Time) {
        if self.leases > 0 || matches!(self.life().unleased, Unleased::Jobs { .. }) {
            let exit = self.life().last_exit.clone().unwrap_or(Exit::Unknown);
            self.effects.push_back(Effect::LoseLeases { cause: self.death(now, &exit) });
        }
    }

    fn death(&self, now: Time, exit: &Exit) -> Death {
        let cause = format!("its process {exit}");
        let outcome = if self.intent() == Intent::Cut { Outcome::Cut } else { Outcome::Lost };
        match self.life().unleased {
            Unleased::Jobs { run, jobs, since } if self.breaks_off(exit) => {
                Death { run, cause, jobs, since, outcome }
            }
            _ => Death { run: self.life().run, cause, jobs: 0, since: now, outcome },
        }
    }

    /// Whether an end takes jobs with it that only a check tells of. One that ends well by itself has done
    /// them: the check's word is older than that.
    fn breaks_off(&self, exit: &Exit) -> bool {
        self.intent() == Intent::Cut || !exit.is_success()
    }

    fn takes_untold_jobs(&self, exit: &Exit) -> bool {
        let asked = self.template().busy.is_some() && self.life().has_served();
        asked && self.life().unleased == Unleased::Unknown && self.breaks_off(exit)
    }
}
