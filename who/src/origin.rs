//! Where users come from: this server's own records, or a directory.

use naru_model::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Where a user comes from, and so who says what groups it has and whether it may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It was added here.
    #[default]
    Local,
    /// It came in by the directory.
    Directory {
        /// Which entry it is, whatever that is called now.
        id: String,
        /// What it was called when it was seen last.
        dn: String,
        /// When that was.
        seen: Time,
        /// Until when that holds: tokens are refused from then on, unless it was seen again.
        until: Time,
        /// Since when the directory has it no more.
        #[serde(default)]
        gone: Option<Time>,
    },
}

/// Somebody as a directory has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPerson {
    /// The name.
    pub name: String,
    /// What stays the same when the entry is renamed or moved, and is never given to another one.
    pub id: String,
    /// What the entry is called now.
    pub dn: String,
    /// Of which groups of this server.
    pub groups: BTreeSet<String>,
}
