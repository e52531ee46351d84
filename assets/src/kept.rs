//! What is kept of an asset from one life of its driver to the next.

use naru_model::{AssetEntry, AssetId, AssetName, AssetWant, MachineAct, Pursuit, Time};
use serde::{Deserialize, Serialize};

/// What became of a request to start or stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskState {
    /// It is being asked, or was when its server ended.
    Open,
    /// Whether it reached the cloud is not known.
    Lost,
    /// The cloud said yes.
    Taken,
    /// Its effect was seen.
    Seen,
}

/// A request to start or stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What was asked for.
    pub act: MachineAct,
    /// Which of this asset's it is.
    pub number: u64,
    /// When it was asked.
    pub began: Time,
    /// When its answer came, or was given up.
    pub ended: Option<Time>,
    /// What became of it.
    pub state: AskState,
    /// When its effect was seen first.
    pub seen: Option<Time>,
    /// When the machine had been started last, as was seen before.
    pub launched: Option<Time>,
}

/// What is kept of an asset: what is wanted of it, and how far that has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetRecord {
    /// Which.
    pub id: AssetId,
    /// What it was called when it was wanted.
    pub name: AssetName,
    /// The newest want.
    pub want: AssetWant,
    /// How far that has come.
    pub pursuit: Pursuit,
    /// How many requests were made, over all wants.
    pub asked: u64,
    /// The newest request.
    pub ask: Option<Ask>,
    /// Until when a start may still take effect that was asked for by an earlier want, or was lost.
    pub may_start_until: Option<Time>,
    /// Until when a stop may, likewise.
    pub may_stop_until: Option<Time>,
    /// Nothing is asked before.
    pub not_before: Option<Time>,
    /// How often in a row the cloud refused, or the machine fell back.
    pub tries: u32,
    /// Assets of the group that the cloud has had no room for, in this round.
    pub tried: Vec<AssetId>,
    /// The last steps of this want, oldest first.
    pub log: Vec<AssetEntry>,
}
