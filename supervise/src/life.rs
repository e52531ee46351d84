//! The part of an instance that outlives the agent.

use naru_model::{DesiredInstance, Exit, Health, ImageHealth, InstanceId, Phase, Time, UsedImage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is written down before effects are carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Which instance.
    pub id: InstanceId,
    /// What is wanted of it; the intent is the lowest that was ever ordered.
    pub desired: DesiredInstance,
    /// Where it is in its life.
    pub life: Life,
}

impl Memory {
    /// Whether `later`, a memory of the same instance, says the same. Only the intent of what is desired ever
    /// changes.
    pub fn is_same(&self, later: &Memory) -> bool {
        self.life == later.life && self.desired.intent == later.desired.intent
    }

    /// The check that tells whether it serves: the file's, else its image's, which the file may turn off.
    pub fn health(&self) -> Option<&Health> {
        let template = &self.desired.template;
        let counts =
            template.run.container().is_some_and(|container| container.image_health == ImageHealth::Counts);
        let images = || self.life.image_health.as_ref().filter(|_| counts);
        template.health.as_ref().or_else(images)
    }
}

/// Where an instance is in its life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Life {
    /// Its stage.
    pub stage: Stage,
    /// Since when its phase is what it is.
    pub since: Time,
    /// The number of its last start, from 1; 0 before the first.
    pub run: u64,
    /// The process of that start, while there is one.
    pub running: Option<Running>,
    /// Where those of its last start are; `None`: on loopback.
    #[serde(default)]
    pub address: Option<String>,
    /// The ports that it was started with last.
    pub ports: BTreeMap<u16, u16>,
    /// What its container was made from last: the next one is made from the same.
    #[serde(default)]
    pub image: Option<UsedImage>,
    /// The health check that its image comes with. It holds where the file has none and does not turn it off.
    #[serde(default)]
    pub image_health: Option<Health>,
    /// How often it was started again, in all.
    pub restarts: u32,
    /// How often in a row.
    pub row: u32,
    /// How it ended last.
    pub last_exit: Option<Exit>,
    /// When it was told to take no new work.
    pub told: Option<Time>,
    /// The jobs of its last process that no lease is of, by the last answer of its busy check.
    #[serde(default)]
    pub unleased: Unleased,
}

/// Jobs that only a busy check tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unleased {
    /// There is no check, it did not tell, or it was not asked yet.
    #[default]
    Unknown,
    /// There are none.
    None,
    /// There are some.
    Jobs {
        /// The start whose they are.
        run: u64,
        /// So many, at least one.
        jobs: u64,
        /// Since when there were any.
        since: Time,
    },
}

/// A process of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The main process.
    pub pid: u32,
    /// When it was started.
    pub started: Time,
    /// When it was ready first: from then on it may have been given work.
    pub served: Option<Time>,
}

/// Where an instance is, finer than its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// To be started then.
    Waiting(Time),
    /// Being started.
    Launching,
    /// It runs, and its `post_start` command of this place in the list does.
    Hooks(usize),
    /// It runs, and is not known to serve.
    Starting,
    /// It serves.
    Ready,
    /// It served, and its check fails.
    Unready,
    /// It takes no new work, or is being told so.
    Quiet,
    /// The same, and its ledger is asked to close.
    Closing,
    /// Its `pre_stop` command of this place in the list runs.
    PreStop(usize),
    /// It got its stop signal then.
    Signalled(Time),
    /// It was killed then.
    Killed(Time),
    /// It is gone for good.
    Over,
}

/// What a new agent finds of an instance that it has a memory of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The process of this start runs.
    Running {
        /// Which start.
        run: u64,
        /// Its main process.
        pid: u32,
        /// When it was started.
        started: Time,
        /// The ports that it was started with.
        ports: BTreeMap<u16, u16>,
    },
    /// The process of this start has ended.
    Ended {
        /// Which start.
        run: u64,
        /// How.
        exit: Exit,
    },
    /// No start is known.
    Nothing,
}

impl Stage {
    /// The phase that others see.
    pub fn phase(self) -> Phase {
        match self {
            Stage::Waiting(_) => Phase::Pending,
            Stage::Launching | Stage::Hooks(_) | Stage::Starting => Phase::Starting,
            Stage::Ready => Phase::Ready,
            Stage::Unready => Phase::Unready,
            Stage::Quiet | Stage::Closing => Phase::Quiet,
            Stage::PreStop(_) | Stage::Signalled(_) | Stage::Killed(_) => Phase::Stopping,
            Stage::Over => Phase::Exited,
        }
    }
}

impl Life {
    pub(super) fn new(now: Time) -> Life {
        Life {
            stage: Stage::Waiting(now),
            since: now,
            run: 0,
            running: None,
            address: None,
            ports: BTreeMap::new(),
            image: None,
            image_health: None,
            restarts: 0,
            row: 0,
            last_exit: None,
            told: None,
            unleased: Unleased::Unknown,
        }
    }

    /// Whether its present process was ever ready, and so may have been given work.
    pub fn has_served(&self) -> bool {
        self.running.is_some_and(|running| running.served.is_some())
    }

    pub(super) fn enter(&mut self, now: Time, stage: Stage) {
        if self.stage.phase() != stage.phase() {
            self.since = now;
        }
        self.stage = stage;
    }
}
