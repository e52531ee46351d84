//! How a simulated process behaves: told to it by its environment, as a real one's code is by its release.

use naru_model::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The variable that holds it.
const VARIABLE: &str = "SIM_BEHAVIOUR";

/// How a process behaves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Behaviour {
    /// Which code it is.
    pub version: u64,
    /// From its start until it can serve.
    pub start: Span,
    /// What becomes of it.
    pub fate: Fate,
    /// What it does at its stop signal.
    pub term: Term,
    /// Where its jobs come from.
    pub jobs: Jobs,
    /// Whom it calls in the course of a request.
    pub calls: Calls,
}

/// Whom a process calls in the course of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calls {
    /// Nobody.
    Nobody,
    /// The service named engine.
    Engine,
}

/// What becomes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// It serves.
    Serves,
    /// It runs, and never serves.
    NeverReady,
    /// It ends with this status instead of serving.
    ExitsAtStart(i32),
    /// It serves for about so long and dies.
    CrashesAfter(Span),
    /// It serves, and answers so many requests of a thousand with an error.
    Errs(u64),
    /// It has nothing to serve: it ends well after so long.
    Finishes(Span),
}

/// What a process does at its stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Term {
    /// Ends at once.
    Prompt,
    /// Ends after so long.
    Slow(Span),
    /// Nothing.
    Ignores,
}

/// Where a process's jobs come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Jobs {
    /// So many requests of a thousand leave one behind.
    FromRequests(u64),
    /// It takes one about so often, until it is told to be quiet.
    ByItself(Span),
}

impl Behaviour {
    /// The variable that tells it.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("plain data has a JSON form");
        BTreeMap::from([(VARIABLE.into(), text)])
    }

    /// Whether a process of it comes to serve, and goes on.
    pub fn works(self) -> bool {
        !matches!(self.fate, Fate::NeverReady | Fate::ExitsAtStart(_) | Fate::CrashesAfter(_))
    }

    /// What a template's variable tells.
    pub fn of(environment: &BTreeMap<String, String>) -> Behaviour {
        let text = environment.get(VARIABLE).expect("every simulated template carries it");
        serde_json::from_str(text).expect("it was written by this type")
    }
}
