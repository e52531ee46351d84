//! A stack under load, and what is watched of it from outside meanwhile.

use crate::roles;
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use naru_model::{Duty, InstanceId, InstanceView, ReleaseNo, StackView};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A rig that is ended whatever happens, Ctrl-C included, and what is done with it.
///
/// # Errors
/// What `play` says, or the rig could not be ended.
pub async fn with_rig<T>(exe: &Path, play: impl AsyncFnOnce(&Rig) -> io::Result<T>) -> io::Result<T> {
    let rig = Rig::new(exe)?;
    let played = tokio::select! {
        played = play(&rig) => played,
        _ = tokio::signal::ctrl_c() => Err(io::Error::other("interrupted")),
    };
    let ended = rig.end().await;
    let played = played?;
    ended?;
    Ok(played)
}

/// Deploys the first version and puts load on it.
///
/// # Errors
/// The first `naru up` fails.
pub async fn begin(rig: &Rig, shape: &Shape, load: Load) -> io::Result<Client> {
    rig.write(1, shape)?;
    rig.naru(&["up", "--progress", "quiet"]).await?;
    Client::start(load).await
}

/// The release that serves.
///
/// # Errors
/// The server does not say.
pub async fn serving(rig: &Rig) -> io::Result<Option<ReleaseNo>> {
    let output = rig.naru(&["ls", "--json"]).await?;
    let stacks: Vec<StackView> = serde_json::from_slice(&output.stdout)?;
    Ok(stacks.first().and_then(|stack| stack.serving))
}

/// What was seen of the stack, second by second.
#[derive(Debug, Default)]
pub struct Seen {
    /// The most releases that retired side by side.
    pub generations: usize,
    /// The most instances at a time.
    pub instances: usize,
    /// The most memory that each role had, in KiB.
    pub memory: BTreeMap<&'static str, u64>,
    /// Instances whose process was another than before, or that say they were restarted.
    pub restarted: BTreeSet<String>,
    pids: BTreeMap<InstanceId, u32>,
}

impl Seen {
    /// Watches while `work` goes on.
    pub async fn during<T>(&mut self, rig: &Rig, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.look(rig) => {}
            }
        }
    }

    async fn look(&mut self, rig: &Rig) {
        // A server that is away says nothing, and that is not what is looked for.
        if let Ok(instances) = rig.instances().await {
            self.note(&instances);
        }
        for (role, memory) in roles::memories(&rig.home()) {
            let most = self.memory.entry(role).or_default();
            *most = memory.resident.max(*most);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    fn note(&mut self, instances: &[InstanceView]) {
        let retiring = instances.iter().filter(|one| one.duty == Duty::Retiring);
        let generations: BTreeSet<ReleaseNo> = retiring.map(|one| one.release).collect();
        self.generations = generations.len().max(self.generations);
        self.instances = instances.len().max(self.instances);
        for one in instances {
            let Some(status) = &one.status else { continue };
            let (Some(pid), restarts) = (status.pid, status.restarts) else { continue };
            let known = *self.pids.entry(one.id.clone()).or_insert(pid);
            if known != pid || restarts > 0 {
                self.restarted
                    .insert(format!("{}: process {known}, then {pid}; {restarts} restarts", one.id));
            }
        }
    }
}
