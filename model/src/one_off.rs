//! One-offs: runs that a person makes of a service, with a command of their own perhaps.
//!
//! A one-off is a run like that of a job. It is made from its service's template; what of that is for serving, it has not:
//! ports, checks, hooks, restarts, and whatever there is one of.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a one-off has other than its service's instances. What is left out is as theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OneOff {
    /// Program and arguments; of a container, what its entrypoint is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Of a container: instead of its entrypoint. The command is then none, where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Variables beside the service's own. Their values are kept as long as the run is, and shown nowhere.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where; relative to where instances begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The container's whole name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it does not wait for what its service depends on.
    pub alone: bool,
    /// What somebody has of it, from its start on: it does not start without them, and ends when they go away. `None`: nobody
    /// is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionKind>,
    /// Whether its log goes with it.
    pub forget: bool,
}

/// What an agent is to know of a one-off, beside its template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OneOffTerms {
    /// What somebody has of it; `None`: nobody is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionKind>,
    /// Whether its log goes with it.
    pub forget: bool,
    /// Whether its command was typed by a person, whose shell has replaced what was to be replaced.
    pub literal: bool,
}

/// How somebody has a command's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// By three pipes.
    Pipes,
    /// By a terminal.
    Terminal,
}

impl OneOff {
    /// What its agent is to know.
    pub fn terms(&self) -> OneOffTerms {
        OneOffTerms { session: self.session, forget: self.forget, literal: self.command.is_some() }
    }

    /// The same with no variable's value.
    pub fn without_values(&self) -> OneOff {
        let names = self.environment.keys().map(|name| (name.clone(), String::new()));
        OneOff { environment: names.collect(), ..self.clone() }
    }
}
