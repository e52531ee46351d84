//! Assets: machines of a cloud that Naru may show, start and stop.

use crate::{AssetId, AssetName, AssetReason, InProgress, OffHours, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// Where a machine is, in the words of EC2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineState {
    /// It starts.
    Pending,
    /// It runs.
    Running,
    /// It stops.
    Stopping,
    /// It does not run, and can be started.
    Stopped,
    /// It is being removed for good.
    ShuttingDown,
    /// It is gone for good.
    Terminated,
}

impl MachineState {
    /// All of them.
    pub const ALL: [MachineState; 6] = [
        MachineState::Pending,
        MachineState::Running,
        MachineState::Stopping,
        MachineState::Stopped,
        MachineState::ShuttingDown,
        MachineState::Terminated,
    ];

    /// The word of the cloud's API.
    pub fn word(self) -> &'static str {
        match self {
            MachineState::Pending => "pending",
            MachineState::Running => "running",
            MachineState::Stopping => "stopping",
            MachineState::Stopped => "stopped",
            MachineState::ShuttingDown => "shutting-down",
            MachineState::Terminated => "terminated",
        }
    }

    /// The state of this word.
    pub fn named(word: &str) -> Option<MachineState> {
        MachineState::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl fmt::Display for MachineState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A machine as its cloud tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Machine {
    /// The cloud's name for it: `i-0123456789abcdef0`.
    pub id: String,
    /// Where it is.
    pub state: MachineState,
    /// What it is: `m7i.large`.
    pub kind: String,
    /// Where it stands: `ap-northeast-2a`.
    pub zone: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When it was started last.
    pub launched: Option<Time>,
    /// When its state was changed last, where the cloud says so.
    pub changed: Option<Time>,
    /// What the cloud says of why: `Client.UserInitiatedShutdown: User initiated shutdown`.
    pub reason: Option<String>,
    /// What the cloud's checks of it say: `ok`, `initializing`, `impaired`.
    pub health: Option<String>,
}

/// What somebody wants of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// That it runs.
    On,
    /// That it is stopped.
    Off,
    /// That it is stopped with what is in its memory kept.
    Hibernated,
}

impl Wanted {
    /// What brings it about.
    pub fn act(self) -> MachineAct {
        match self {
            Wanted::On => MachineAct::Start,
            Wanted::Off => MachineAct::Stop,
            Wanted::Hibernated => MachineAct::Hibernate,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Wanted::On => "on",
            Wanted::Off => "off",
            Wanted::Hibernated => "hibernated",
        })
    }
}

/// What a cloud can be asked for. There is nothing else: Naru neither makes, changes nor removes machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MachineAct {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop it, and keep what is in its memory.
    Hibernate,
}

impl MachineAct {
    /// Whether it begins a machine's run; the others end it.
    pub fn starts(self) -> bool {
        self == MachineAct::Start
    }

    /// The states that this act leads to.
    pub fn leads_to(self, state: MachineState) -> bool {
        match self {
            MachineAct::Start => matches!(state, MachineState::Pending | MachineState::Running),
            MachineAct::Stop | MachineAct::Hibernate => {
                matches!(state, MachineState::Stopping | MachineState::Stopped)
            }
        }
    }
}

impl fmt::Display for MachineAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            MachineAct::Start => "start",
            MachineAct::Stop => "stop",
            MachineAct::Hibernate => "hibernate",
        })
    }
}

/// Why a cloud refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// It has no room for such a machine there.
    Capacity,
    /// The account has as many as it may have.
    Quota,
    /// Not in the machine's present state.
    State,
    /// There is no such machine.
    NotFound,
    /// These credentials may not, or are none.
    Denied,
    /// The clocks of the cloud and of this host are too far apart.
    Clock,
    /// The machine is not of a kind that can do this.
    Unsupported,
    /// Too many requests.
    Throttled,
    /// Something else.
    Other,
}

/// A cloud's no: the request had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CloudRefusal {
    /// The kind of obstacle.
    pub kind: RefusalKind,
    /// The cloud's own word for it.
    pub code: String,
    /// What is the matter, and what to do, as a sentence.
    pub text: String,
}

impl fmt::Display for CloudRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What somebody wants, who, why, since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetWant {
    /// What.
    pub wanted: Wanted,
    /// Whose want it is.
    pub actor: String,
    /// Why.
    pub message: Option<String>,
    /// Since when.
    pub at: Time,
    /// Until when; then it is as its hours say, or off where it has none. Only of what is wanted on.
    pub until: Option<Time>,
    /// Since when wants with an end have kept it on, one after the other.
    pub kept_since: Option<Time>,
    /// The asset that was meant first, and that its cloud has no room for.
    pub instead_of: Option<AssetName>,
}

/// How far a want has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Pursuit {
    /// Not there yet.
    Open,
    /// As wanted, as was seen. What others do with the machine from then on is shown, and not undone.
    Reached {
        /// Since when.
        at: Time,
    },
    /// It cannot be.
    Failed {
        /// Since when.
        at: Time,
    },
    /// Somebody else did the opposite meanwhile, at the cloud, and that stands.
    Overtaken {
        /// Since when.
        at: Time,
    },
    /// Another asset of its group does it.
    Elsewhere {
        /// Since when.
        at: Time,
        /// Which one.
        by: AssetName,
    },
}

/// A step, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetEntry {
    /// When.
    pub at: Time,
    /// Why, as data.
    pub reason: AssetReason,
    /// Why, as a sentence.
    pub text: String,
}

/// An asset, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetView {
    /// `PROVIDER/MACHINE`.
    pub id: AssetId,
    /// What a person calls it.
    pub name: AssetName,
    /// The machine as it was seen last. `None`: it was not seen, or is not there any more.
    pub machine: Option<Machine>,
    /// Since when it is in its state, as far as is known.
    pub since: Option<Time>,
    /// Those with the same stand in for one another.
    pub group: Option<String>,
    /// When it is off, where the file says so.
    pub hours: Option<AssetHours>,
    /// Work in progress on it, as its own agent says. `None`: no agent of this server runs there.
    pub work: Option<InProgress>,
    /// The newest want.
    pub want: Option<AssetWant>,
    /// How far that has come.
    pub pursuit: Option<Pursuit>,
    /// The last steps of this want, oldest first.
    pub log: Vec<AssetEntry>,
}

/// The hours of an asset, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetHours {
    /// When it is off.
    pub off: OffHours,
    /// What they say now.
    pub now: Wanted,
    /// When that changes next; `None`: never.
    pub next: Option<Time>,
    /// Whether they are kept. They are not where they would stop the machine that this server itself runs on: nobody
    /// would be there to start it again.
    pub kept: bool,
}

/// Where assets come from, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderView {
    /// Its name in the file.
    pub name: String,
    /// What it is: `ec2`.
    pub kind: String,
    /// When it was last seen whole.
    pub looked: Option<Time>,
    /// Why it cannot be looked at, at present.
    pub fault: Option<String>,
}

/// All assets, and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetsView {
    /// In the order of their names.
    pub providers: Vec<ProviderView>,
    /// In the order of their names.
    pub assets: Vec<AssetView>,
    /// What is wrong with the file that names the providers. What is shown is by the one before.
    pub fault: Option<String>,
}

/// An order about an asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AssetOrder {
    /// Its name, or the cloud's name of the machine.
    pub asset: String,
    /// What is wanted.
    pub wanted: Wanted,
    /// For how long it is wanted on. Without it: until its hours change; for good where it has none.
    #[serde(default)]
    pub within: Option<Span>,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}
