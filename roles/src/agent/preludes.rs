//! What has been run before instances start, so that what is for a whole release is run once, and not for each instance.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::carry::locked;

/// What was run for the newest version of each service, on disk. A cheap handle.
#[derive(Clone)]
pub(super) struct Preludes {
    path: PathBuf,
    /// By `STACK/SERVICE`.
    ran: Arc<Mutex<BTreeMap<String, Ran>>>,
    turns: Arc<Mutex<BTreeMap<String, Arc<Turn<()>>>>>,
}

/// What was run for one version of a service.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Ran {
    /// The fingerprint of its template and images.
    version: String,
    /// Which commands, from 0.
    done: BTreeSet<usize>,
}

impl Preludes {
    pub(super) fn open(path: PathBuf) -> Preludes {
        let known = std::fs::read(&path).ok();
        let ran = known.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Preludes { path, ran: Arc::new(Mutex::new(ran)), turns: Arc::default() }
    }

    /// The turn of one instance of a service: others of it wait for what it runs for all of them.
    pub(super) async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = locked(&self.turns).entry(key.to_owned()).or_default().clone();
        turn.lock_owned().await
    }

    pub(super) fn has_run(&self, key: &str, version: &str, number: usize) -> bool {
        let ran = locked(&self.ran);
        ran.get(key).is_some_and(|ran| ran.version == version && ran.done.contains(&number))
    }

    pub(super) fn note(&self, key: &str, version: &str, number: usize) {
        let mut all = locked(&self.ran);
        let ran = all.entry(key.to_owned()).or_default();
        if ran.version != version {
            *ran = Ran { version: version.to_owned(), ..Ran::default() };
        }
        ran.done.insert(number);
        self.write(&all);
    }

    /// Nothing of these services is left here.
    pub(super) fn forget(&self, prefix: &str) {
        let mut all = locked(&self.ran);
        let before = all.len();
        all.retain(|key, _| !key.starts_with(prefix));
        if all.len() != before {
            self.write(&all);
        }
        locked(&self.turns).retain(|key, _| !key.starts_with(prefix));
    }

    /// Without the file, the commands are run once more: they are told, and the start goes on.
    fn write(&self, all: &BTreeMap<String, Ran>) {
        let fresh = self.path.with_extension("new");
        let json = serde_json::to_vec(all).map_err(std::io::Error::from);
        let written = json.and_then(|json| std::fs::write(&fresh, json));
        if let Err(error) = written.and_then(|()| std::fs::rename(&fresh, &self.path)) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Preludes;

    #[test]
    fn what_has_run_is_known_to_the_next_agent_and_only_of_its_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("preludes.json");
        let preludes = Preludes::open(path.clone());
        preludes.note("shop/api", "v1", 0);
        preludes.note("shop/api", "v1", 1);
        preludes.note("other/api", "v1", 0);
        let next = Preludes::open(path.clone());
        assert!(next.has_run("shop/api", "v1", 0) && next.has_run("shop/api", "v1", 1));
        assert!(!next.has_run("shop/api", "v2", 0) && !next.has_run("shop/web", "v1", 0));
        next.note("shop/api", "v2", 1);
        assert!(!next.has_run("shop/api", "v2", 0) && !next.has_run("shop/api", "v1", 0));
        next.forget("shop/");
        let last = Preludes::open(path);
        assert!(!last.has_run("shop/api", "v2", 1) && last.has_run("other/api", "v1", 0));
    }
}
