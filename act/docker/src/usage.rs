//! What containers use of the machine, as the engine tells it.

use crate::engine::now;
use crate::{Error, Runtime};
use bollard::models::{ContainerBlkioStatEntry, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;
use naru_model::{InstanceId, Time};
use naru_reach::Usage;
use std::pin::pin;

/// What an engine says is the limit where there is none is more than any machine has.
const NO_LIMIT: u64 = 1 << 62;

impl Runtime {
    /// What a container uses now; `None`: the engine has nothing to tell.
    ///
    /// # Errors
    /// It does not run, or the engine does not answer.
    pub async fn usage(&self, id: &InstanceId) -> Result<Option<Usage>, Error> {
        let (engine, container) = self.container_of(id).await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut told = pin!(engine.docker.stats(&container, Some(options)));
        let Some(first) = told.next().await else { return Ok(None) };
        let said = engine.ask(std::future::ready(first), || format!("read what instance {id} uses")).await?;
        Ok(Some(usage(id, now(), said)))
    }
}

fn usage(id: &InstanceId, at: Time, said: ContainerStatsResponse) -> Usage {
    let cpu = said.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or_default();
    let memory = said.memory_stats.unwrap_or_default();
    let network = said.networks.map(|networks| {
        let received = networks.values().filter_map(|one| one.rx_bytes).sum();
        (received, networks.values().filter_map(|one| one.tx_bytes).sum())
    });
    let disk = said.blkio_stats.and_then(|disk| disk.io_service_bytes_recursive);
    Usage {
        instance: id.clone(),
        at,
        cpu_us: cpu / 1000,
        memory: in_use(&memory),
        memory_limit: memory.limit.filter(|limit| (1..NO_LIMIT).contains(limit)),
        network,
        disk: disk.map(|disk| (bytes(&disk, "read"), bytes(&disk, "write"))),
        tasks: said.pids_stats.and_then(|tasks| tasks.current).unwrap_or_default(),
    }
}

/// Without what the system keeps of files, and may take back at once: so it is shown by Docker, too.
fn in_use(memory: &ContainerMemoryStats) -> u64 {
    let stats = memory.stats.as_ref();
    let names = ["total_inactive_file", "inactive_file"];
    let cache = stats.and_then(|stats| names.iter().find_map(|name| stats.get(*name)));
    memory.usage.unwrap_or_default().saturating_sub(cache.copied().unwrap_or_default())
}

fn bytes(all: &[ContainerBlkioStatEntry], what: &str) -> u64 {
    let is_it =
        |one: &&ContainerBlkioStatEntry| one.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(what));
    all.iter().filter(is_it).filter_map(|one| one.value).sum()
}

#[cfg(test)]
mod tests {
    use super::usage;
    use naru_model::Time;

    #[test]
    fn what_an_engine_says_is_read_in_our_units() {
        let said = serde_json::from_str(
            r#"{"cpu_stats": {"cpu_usage": {"total_usage": 5000000}},
                "memory_stats": {"usage": 1000, "limit": 9223372036854771712, "stats": {"inactive_file": 300}},
                "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3, "tx_bytes": 4}},
                "blkio_stats": {"io_service_bytes_recursive": [
                    {"major": 8, "minor": 0, "op": "Read", "value": 7}, {"op": "write", "value": 8}]},
                "pids_stats": {"current": 6}}"#,
        );
        let seen = usage(&"shop.web.1.1".into(), Time(9), said.unwrap());
        assert_eq!((seen.cpu_us, seen.memory, seen.memory_limit, seen.tasks), (5000, 700, None, 6));
        assert_eq!((seen.network, seen.disk), (Some((4, 6)), Some((7, 8))));
    }
}
