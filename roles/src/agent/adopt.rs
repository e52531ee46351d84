//! What an earlier agent left: processes by their shims, containers by their engine.

use super::containers::Containers;
use super::role::Tag;
use super::{AgentError, Config, keep};
use naru_model::{Exit, InstanceId};
use naru_process::{Adopted, AdoptedState, RunNo};
use naru_supervise::{Found, Memory};
use naru_work::Book;
use std::collections::BTreeMap;

/// A process, as it was found.
pub(super) fn as_found(adopted: Adopted) -> (Found, Option<(RunNo, u64)>) {
    let Ok(tag) = serde_json::from_slice::<Tag>(&adopted.metadata) else { return (Found::Nothing, None) };
    let known = Some((adopted.run, tag.run));
    match adopted.state {
        AdoptedState::Running { pid, started } => {
            (Found::Running { run: tag.run, pid, started, ports: tag.ports }, known)
        }
        // A start that was cut short did not happen.
        AdoptedState::Ended { exit: Exit::NotStarted(_), .. } => (Found::Nothing, None),
        AdoptedState::Ended { exit, .. } => (Found::Ended { run: tag.run, exit }, known),
    }
}

/// Opens the runtime of containers, and serves the ledger where those of an earlier agent call it.
pub(super) async fn open_containers(
    config: &Config,
    book: &Book,
) -> Result<(Containers, naru_docker::Events), AgentError> {
    let own = config.dir.join("containers");
    keep::make_folder(&own)?;
    let (dir, sockets) = (config.dir.join("instances"), config.engines.clone());
    let opened = naru_docker::Runtime::open(naru_docker::Config { dir, own: own.clone(), sockets });
    let (runtime, ended) = opened.map_err(AgentError::Container)?;
    let containers = Containers::new(runtime, book.clone(), own, config.contents.clone());
    containers.open_known_door().await;
    Ok((containers, ended))
}

/// What became of the containers that the memories tell of. A start that was under way is begun again: the runtime goes
/// on with what there is of it.
pub(super) async fn adopt_containers(
    runtime: &naru_docker::Runtime,
    memories: &[Memory],
) -> BTreeMap<InstanceId, Found> {
    let mut known = Vec::new();
    for memory in memories.iter().filter(|memory| memory.desired.template.run.container().is_some()) {
        runtime.know(&memory.id);
        if memory.life.running.is_some() {
            known.push((memory, naru_docker::Known { id: memory.id.clone(), run: memory.life.run }));
        }
    }
    let asked: Vec<_> = known.iter().map(|(_, known)| known.clone()).collect();
    let adopted = runtime.adopt(&asked).await;
    let found = |((memory, _), adopted): (&(&Memory, _), naru_docker::Adopted)| {
        (memory.id.clone(), found_of(memory, adopted.state))
    };
    known.iter().zip(adopted).map(found).collect()
}

/// An engine that does not answer says nothing of an end: the instance is taken to be as it was.
fn found_of(memory: &Memory, state: naru_docker::AdoptedState) -> Found {
    let (run, ports) = (memory.life.run, memory.life.ports.clone());
    match (state, memory.life.running) {
        (naru_docker::AdoptedState::Running { pid, started }, _) => {
            Found::Running { run, pid, started, ports }
        }
        (naru_docker::AdoptedState::Unknown, Some(running)) => {
            Found::Running { run, pid: running.pid, started: running.started, ports }
        }
        (naru_docker::AdoptedState::Ended { exit, .. }, _) => Found::Ended { run, exit },
        (naru_docker::AdoptedState::Nothing | naru_docker::AdoptedState::Unknown, _) => Found::Nothing,
    }
}
