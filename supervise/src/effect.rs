//! What goes into the machine and what comes out of it.

use crate::lease::Death;
use naru_model::{Action, Check, Exit, Health, HookCommand, Intent, QuietCall, Span, UsedImage};
use std::collections::BTreeMap;
use std::fmt;

/// What was seen, or ordered. `run` is the number of the start that it is about; what is about another than
/// the present one is dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// What is wanted now. An intent above the present one is stale, and refused.
    Intent(Intent),
    /// [`Effect::Launch`] succeeded.
    Started {
        /// Which start.
        run: u64,
        /// The main process.
        pid: u32,
        /// Where its ports are; `None`: on loopback.
        address: Option<String>,
        /// Target port → port there.
        ports: BTreeMap<u16, u16>,
        /// What its container is made from.
        image: Option<UsedImage>,
        /// The health check that the image comes with.
        image_health: Option<Health>,
        /// What was asked for and could not be given.
        warnings: Vec<String>,
    },
    /// [`Effect::Launch`] is under way, and takes its time.
    StartWaits {
        /// Which start.
        run: u64,
        /// For what.
        what: String,
    },
    /// [`Effect::Launch`] failed.
    StartFailed {
        /// Which start.
        run: u64,
        /// Why.
        why: String,
    },
    /// The process ended, with all that it left behind.
    Exited {
        /// Which start.
        run: u64,
        /// How.
        exit: Exit,
    },
    /// An answer to [`Effect::Probe`].
    Probed {
        /// Which start.
        run: u64,
        /// The answer.
        seen: Probed,
    },
    /// An answer to [`Effect::RunHook`].
    HookEnded {
        /// Which start.
        run: u64,
        /// Which hook.
        hook: Hook,
        /// Why it failed, if it did.
        result: Result<(), String>,
    },
    /// An answer to [`Effect::TellQuiet`].
    QuietTold {
        /// Which start.
        run: u64,
        /// Why it failed, if it did.
        result: Result<(), String>,
    },
    /// An answer to [`Effect::AskBusy`].
    BusyAnswered {
        /// Which start.
        run: u64,
        /// The question's number.
        question: u64,
        /// Jobs in progress, or why that is not known.
        answer: Result<u64, String>,
    },
    /// The ledger changed: so many leases are open.
    Leases(u64),
    /// [`Effect::CloseLedger`] was carried out: no lease was open, and none will be.
    LedgerClosed,
    /// [`Effect::CloseLedger`] was refused: so many leases are open.
    LedgerRefused(u64),
    /// Time has passed.
    Tick,
}

impl Input {
    /// A process was started: it is on loopback, and made from no image.
    pub fn process_started(run: u64, pid: u32, ports: BTreeMap<u16, u16>, warnings: Vec<String>) -> Input {
        Input::Started { run, pid, address: None, ports, image: None, image_health: None, warnings }
    }
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start the process.
    Launch {
        /// Which start.
        run: u64,
        /// The ports that it had before, to be had again if they are free.
        prefer: BTreeMap<u16, u16>,
    },
    /// Ask whether it serves.
    Probe {
        /// Which start.
        run: u64,
        /// What to ask; `None`: whether all its ports accept.
        check: Option<Check>,
        /// When the answer comes too late.
        timeout: Span,
    },
    /// Run a command in its surroundings.
    RunHook {
        /// Which start.
        run: u64,
        /// Which hook.
        hook: Hook,
        /// The command.
        command: HookCommand,
    },
    /// Tell it to take no new work.
    TellQuiet {
        /// Which start.
        run: u64,
        /// How.
        call: QuietCall,
    },
    /// Ask how many jobs are in progress.
    AskBusy {
        /// Which start.
        run: u64,
        /// The question's number, to be handed back.
        question: u64,
        /// How.
        action: Action,
    },
    /// From now on a look at the leases says `quiet`.
    QuietLedger,
    /// Give no lease any more, if none is open.
    CloseLedger,
    /// Give no lease any more, and list the open ones as cut.
    CutLedger,
    /// List the open leases as lost, and the jobs that only the busy check told of.
    LoseLeases {
        /// The end of their process.
        cause: Death,
    },
    /// Send a signal to the main process.
    Signal {
        /// By name or number.
        signal: String,
    },
    /// Kill all processes of the instance.
    Kill,
}

/// Which command of the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// After the start, by place in the list.
    PostStart(usize),
    /// Before the stop signal, by place in the list.
    PreStop(usize),
}

/// The answer to a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It serves.
    Passed,
    /// Nothing listens: cheap to ask again soon.
    Refused(String),
    /// It answered, and not well; or too late.
    Failed(String),
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wait {
    /// Its next start.
    Restart,
    /// Its first second, as it has neither ports nor a health check.
    FirstSecond,
    /// Its next probe.
    Probe,
    /// The next try to tell it to be quiet.
    Quiet,
    /// The next busy check.
    Busy,
    /// The next try to close its ledger.
    Ledger,
    /// Its end, before SIGKILL.
    Grace,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Wait::Restart => "the next start",
            Wait::FirstSecond => "its first second",
            Wait::Probe => "the next probe",
            Wait::Quiet => "the next try to tell it to be quiet",
            Wait::Busy => "the next busy check",
            Wait::Ledger => "the next try to close its ledger",
            Wait::Grace => "its end, before SIGKILL",
        })
    }
}
