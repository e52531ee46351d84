//! The machines' processes: they live on without their agent, as behind a shim, and behave as their release
//! has it.

use crate::event::{Event, ProcessEvent};
use crate::ground::Ground;
use crate::work::WorkId;
use naru_model::{Exit, InstanceId, Span, Time};
use naru_sim_stacks::{Behaviour, Fate, Jobs, Term};
use naru_supervise::Found;
use std::collections::{BTreeMap, BTreeSet};

/// All processes of all nodes.
#[derive(Default)]
pub(crate) struct Host {
    processes: Vec<Process>,
    /// The last start of each instance whose files are kept.
    runs: BTreeMap<InstanceId, u32>,
}

/// A process. The number of the start, and its pid, are its place in the list of all, from 1.
pub(crate) struct Process {
    pub(crate) instance: InstanceId,
    pub(crate) node: usize,
    pub(crate) run: u64,
    pub(crate) started: Time,
    pub(crate) ports: BTreeMap<u16, u16>,
    pub(crate) behaviour: Behaviour,
    pub(crate) customs: Customs,
    pub(crate) state: State,
    /// Whether it was told to take no new work.
    pub(crate) mood: Mood,
    /// When it got its stop signal.
    pub(crate) signalled: Option<Time>,
    /// Its work in progress.
    pub(crate) open: BTreeSet<WorkId>,
}

/// What a process's file and release have it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Customs {
    /// How it tells of jobs.
    pub(crate) tells: Tells,
    /// How it hears that it is to take no new work.
    pub(crate) hears: Hears,
}

/// How a process tells of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    ByLease,
    ByCheck,
}

/// How a process hears that it is to take no new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hears {
    /// By a call.
    Call,
    /// It asks the ledger now and then.
    Ledger,
}

/// What a process can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It will serve then, if ever.
    Booting(Option<Time>),
    Serving,
    /// It serves, and fails its health check.
    Sick,
    Dead(Exit),
}

/// Whether a process takes new jobs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Takes,
    Quiet,
}

/// What ends a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Its own doing.
    Own(Exit),
    /// A fault from outside.
    Struck,
    /// Its stop signal.
    Term,
    /// SIGKILL by its agent.
    Killed,
}

impl Host {
    /// Starts a process, unless that start of the instance was made already. Its pid.
    pub(crate) fn launch(
        &mut self,
        ground: &mut Ground,
        node: usize,
        instance: &InstanceId,
        run: u64,
        (behaviour, customs): (Behaviour, Customs),
    ) -> u32 {
        if let Some(&pid) = self.runs.get(instance)
            && self.get(pid).run == run
        {
            return pid;
        }
        let pid = self.processes.len() as u32 + 1;
        let serves_at = ground.now + ground.fate.around(behaviour.start);
        let state = match behaviour.fate {
            Fate::Serves | Fate::CrashesAfter(_) | Fate::Errs(_) => State::Booting(Some(serves_at)),
            Fate::NeverReady | Fate::ExitsAtStart(_) | Fate::Finishes(_) => State::Booting(None),
        };
        let then = |what| Event::Process { pid, what };
        match behaviour.fate {
            Fate::Serves | Fate::Errs(_) => ground.at(serves_at, then(ProcessEvent::Serves)),
            Fate::CrashesAfter(mean) => {
                ground.at(serves_at, then(ProcessEvent::Serves));
                let dies = serves_at + ground.fate.around(mean);
                ground.at(dies, then(ProcessEvent::Ends(Death::Own(Exit::Signal(11)))));
            }
            Fate::ExitsAtStart(status) => {
                ground.at(serves_at, then(ProcessEvent::Ends(Death::Own(Exit::Status(status)))));
            }
            Fate::Finishes(after) => {
                let exit = Death::Own(Exit::Status(0));
                ground.after(after, then(ProcessEvent::Ends(exit)));
            }
            Fate::NeverReady => {}
        }
        let started = ground.now;
        self.processes.push(Process {
            instance: instance.clone(),
            node,
            run,
            started,
            ports: BTreeMap::new(),
            behaviour,
            customs,
            state,
            mood: Mood::Takes,
            signalled: None,
            open: BTreeSet::new(),
        });
        self.runs.insert(instance.clone(), pid);
        ground.note(u64::from(pid), || format!("{instance}: process {pid} starts ({behaviour:?})"));
        pid
    }

    pub(crate) fn get(&self, pid: u32) -> &Process {
        &self.processes[pid as usize - 1]
    }

    pub(crate) fn get_mut(&mut self, pid: u32) -> &mut Process {
        &mut self.processes[pid as usize - 1]
    }

    pub(crate) fn open_mut(&mut self, pid: u32) -> &mut BTreeSet<WorkId> {
        &mut self.get_mut(pid).open
    }

    /// The last process of an instance.
    pub(crate) fn last(&self, instance: &InstanceId) -> Option<(u32, &Process)> {
        let pid = *self.runs.get(instance)?;
        Some((pid, self.get(pid)))
    }

    /// What an agent that starts finds of an instance.
    pub(crate) fn found(&self, instance: &InstanceId) -> Found {
        let Some((pid, process)) = self.last(instance) else { return Found::Nothing };
        match &process.state {
            State::Dead(exit) => Found::Ended { run: process.run, exit: exit.clone() },
            _ => Found::Running {
                run: process.run,
                pid,
                started: process.started,
                ports: process.ports.clone(),
            },
        }
    }

    /// Forgets the files of an instance.
    pub(crate) fn forget(&mut self, instance: &InstanceId) {
        self.runs.remove(instance);
    }

    /// Pids of the processes that live.
    pub(crate) fn living(&self) -> impl Iterator<Item = (u32, &Process)> {
        self.runs.values().map(|pid| (*pid, self.get(*pid))).filter(|(_, process)| process.lives())
    }

    /// Delivers the stop signal.
    pub(crate) fn term(&mut self, ground: &mut Ground, pid: u32) {
        let process = self.get_mut(pid);
        if !process.lives() || process.signalled.is_some() {
            return;
        }
        process.signalled = Some(ground.now);
        let after = match process.behaviour.term {
            Term::Prompt => Span(ground.fate.below(200)),
            Term::Slow(span) => span,
            Term::Ignores => return,
        };
        ground.after(after, Event::Process { pid, what: ProcessEvent::Ends(Death::Term) });
    }
}

impl Process {
    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, State::Dead(_))
    }

    /// Whether it accepts connections.
    pub(crate) fn accepts(&self) -> bool {
        matches!(self.state, State::Serving | State::Sick) && self.signalled.is_none()
    }

    /// Whether it serves as it should.
    pub(crate) fn is_well(&self) -> bool {
        self.state == State::Serving && self.signalled.is_none()
    }

    /// From one job that it takes by itself to the next.
    pub(crate) fn job_pace(&self) -> Option<Span> {
        match self.behaviour.jobs {
            Jobs::ByItself(pace) => Some(pace),
            Jobs::FromRequests(_) => None,
        }
    }
}
