//! What a process is started with, and the environment that it sees.
//!
//! An instance sees exactly the environment that its launch gives, on top of a small minimum taken from
//! the agent's own ([`Launch::full_environment`]). Nothing else leaks: not the agent's variables, not its
//! open files, not its signal dispositions.

use crate::user::{Identity, UserError};
use naru_logs::LogLimits;
use naru_model::Resources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where programs are sought when neither the launch nor the agent has a `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an instance takes over from the agent where its launch does not say otherwise.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"];

/// What a process is started with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// Program and arguments, with nothing left to expand ([`crate::expand`]). A program without a slash is
    /// sought in the `PATH` of the instance's environment; one with a slash is relative to `working_dir`.
    pub argv: Vec<String>,
    /// What the instance is given, beside the minimum. May hold secrets: it is kept in a file of mode 0600
    /// and never stands on a command line.
    pub environment: BTreeMap<String, String>,
    /// Absolute, and there already.
    pub working_dir: PathBuf,
    /// `USER`, `UID`, `USER:GROUP` or `UID:GID`. `None`: as the agent.
    pub user: Option<String>,
    /// Limits; the reservations are for placement and do nothing here.
    pub resources: Resources,
    /// How much of its output is kept.
    pub log: LogLimits,
}

impl Launch {
    /// The whole environment that the process will see: `PATH`, `HOME`, `USER`, `LOGNAME`, `LANG`, `LC_ALL`
    /// and `TZ` as the agent has them (those that name the user: as the user database has them, where
    /// `user` is another), then what the launch gives.
    ///
    /// # Errors
    /// `user` is not known to this machine.
    pub fn full_environment(&self) -> Result<BTreeMap<String, String>, UserError> {
        let identity = self.user.as_deref().map(Identity::find).transpose()?;
        Ok(self.environment_of(identity.as_ref()))
    }

    pub(crate) fn environment_of(&self, identity: Option<&Identity>) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
        for name in INHERITED {
            all.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        if let Some(identity) = identity {
            for name in ["HOME", "USER", "LOGNAME"] {
                all.remove(name);
            }
            all.extend(identity.environment());
        }
        all.extend(self.environment.clone());
        all
    }
}
