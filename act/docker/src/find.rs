//! Whose a container is, by its labels; and what the engine says of it.

use crate::engine::Found;
use crate::{Error, PortMap};
use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum, PortBinding,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};
use naru_model::{Exit, InstanceId, Time};
use std::collections::HashMap;
use std::net::Ipv4Addr;

/// Label: the home that a container, network or volume belongs to.
pub(crate) const HOME: &str = "naru.home";
/// Label: the instance that a container is of.
pub(crate) const INSTANCE: &str = "naru.instance";
/// Label: which start of it.
pub(crate) const RUN: &str = "naru.run";
/// Label: the instance that a container runs before. It is no run of it, and has neither of the labels above.
pub(crate) const PRELUDE: &str = "naru.before";
/// Label: the stack that something belongs to.
pub(crate) const STACK: &str = "naru.stack";
/// Label: the service that a container is of.
pub(crate) const SERVICE: &str = "naru.service";

/// A container of this home.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    pub(crate) container: String,
    pub(crate) id: InstanceId,
    pub(crate) run: u64,
    /// By the list, which knows less than a look.
    pub(crate) is_running: bool,
}

/// What the engine says of a container now.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) container: String,
    pub(crate) state: SeenState,
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) published: PortMap,
    pub(crate) image: String,
    pub(crate) stop_signal: Option<String>,
}

/// Whether it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SeenState {
    /// Made, and never started.
    Made,
    Running {
        pid: u32,
        started: Time,
    },
    Ended {
        exit: Exit,
        at: Option<Time>,
    },
}

/// The containers of a home, or of one instance of it.
pub(crate) async fn list(engine: &Found, home: &str, only: Option<&InstanceId>) -> Result<Vec<Ours>, Error> {
    let mut labels = vec![format!("{HOME}={home}")];
    labels.extend(only.map(|id| format!("{INSTANCE}={id}")));
    let listed = labelled(engine, labels).await?;
    let ours = listed.into_iter().filter_map(|one| {
        let labels = one.labels?;
        let id = InstanceId::from(labels.get(INSTANCE)?.as_str());
        let is_running = one.state == Some(ContainerSummaryStateEnum::RUNNING);
        Some(Ours { container: one.id?, id, run: labels.get(RUN)?.parse().ok()?, is_running })
    });
    Ok(ours.collect())
}

/// All containers with these labels, ended ones too.
pub(crate) async fn labelled(engine: &Found, labels: Vec<String>) -> Result<Vec<ContainerSummary>, Error> {
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = engine.docker.list_containers(Some(options));
    engine.ask(listed, || "list containers".into()).await
}

/// What the engine says of a container; `None`: there is none.
pub(crate) async fn look(engine: &Found, container: &str) -> Result<Option<Seen>, Error> {
    let asked = engine.docker.inspect_container(container, None::<InspectContainerOptions>);
    match engine.ask(asked, || format!("look at container {container}")).await {
        Ok(said) => Ok(Some(seen(container, said))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn seen(container: &str, said: ContainerInspectResponse) -> Seen {
    let state = state_of(said.state.unwrap_or_default());
    let networks = said.network_settings.unwrap_or_default();
    let parse = |text: &String| text.parse().ok();
    let attached = networks.networks.unwrap_or_default();
    // Of several networks, the one that was named at its creation: that is the one that the host was seen to reach.
    let first = said.host_config.and_then(|config| config.network_mode);
    let first = first.and_then(|name| attached.get(&name)).or_else(|| attached.values().next());
    let address = first.and_then(|network| network.ip_address.as_ref()).and_then(parse);
    let published = networks.ports.unwrap_or_default();
    let published = published.iter().filter_map(|(target, bound)| published_port(target, bound.as_ref()?));
    Seen {
        container: said.id.unwrap_or_else(|| container.to_owned()),
        state,
        address,
        published: published.collect(),
        image: said.image.unwrap_or_default(),
        stop_signal: said.config.and_then(|config| config.stop_signal).filter(|signal| !signal.is_empty()),
    }
}

/// `8080/tcp` and where it is bound, as target and port of the host's loopback.
fn published_port(target: &str, bound: &[PortBinding]) -> Option<(u16, u16)> {
    let target = target.split('/').next()?.parse().ok()?;
    let on_loopback = bound.iter().find(|one| one.host_ip.as_deref() == Some("127.0.0.1"))?;
    Some((target, on_loopback.host_port.as_deref()?.parse().ok()?))
}

fn state_of(state: ContainerState) -> SeenState {
    use ContainerStateStatusEnum as Status;
    let (started, finished) = (time_of(state.started_at.as_deref()), time_of(state.finished_at.as_deref()));
    let is_there = matches!(
        state.status,
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING)
    );
    match (state.running.unwrap_or_default() || is_there, started) {
        (true, started) => SeenState::Running {
            pid: state.pid.unwrap_or_default() as u32,
            started: started.unwrap_or_default(),
        },
        (false, None) => SeenState::Made,
        (false, Some(_)) => {
            SeenState::Ended { exit: exit_of(state.exit_code.unwrap_or_default()), at: finished }
        }
    }
}

/// The engine tells an end by signal as 128 and its number, as a shell does. Only of SIGKILL is it sure: no program ends
/// itself so.
fn exit_of(code: i64) -> Exit {
    match code {
        137 => Exit::Signal(9),
        code => Exit::Status(code as i32),
    }
}

/// RFC 3339, and the year 1 for never.
fn time_of(text: Option<&str>) -> Option<Time> {
    let at: jiff::Timestamp = text?.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().filter(|millis| *millis > 0).map(Time)
}

#[cfg(test)]
mod tests {
    use super::{SeenState, published_port, state_of};
    use bollard::models::{ContainerState, PortBinding};
    use naru_model::{Exit, Time};

    fn check(json: &str) -> SeenState {
        state_of(serde_json::from_str::<ContainerState>(json).unwrap())
    }

    #[test]
    fn a_container_that_never_started_is_no_end() {
        let zero = "\"StartedAt\": \"0001-01-01T00:00:00Z\", \"FinishedAt\": \"0001-01-01T00:00:00Z\"";
        let made = format!("{{\"Status\": \"created\", \"Running\": false, \"ExitCode\": 0, {zero}}}");
        assert_eq!(check(&made), SeenState::Made);
    }

    #[test]
    fn ends_are_told_with_their_time() {
        let times = "\"StartedAt\": \"1970-01-01T00:00:01Z\", \"FinishedAt\": \"1970-01-01T00:00:02.5Z\"";
        let ended = |code: i64| check(&format!("{{\"Status\": \"exited\", \"ExitCode\": {code}, {times}}}"));
        let at = Some(Time(2_500));
        assert_eq!(ended(3), SeenState::Ended { exit: Exit::Status(3), at });
        assert_eq!(ended(137), SeenState::Ended { exit: Exit::Signal(9), at });
    }

    #[test]
    fn a_paused_container_runs() {
        let json = "{\"Status\": \"paused\", \"Running\": true, \"Pid\": 7, \"StartedAt\": \"1970-01-01T00:00:01Z\"}";
        assert_eq!(check(json), SeenState::Running { pid: 7, started: Time(1_000) });
    }

    #[test]
    fn only_what_loopback_has_counts_as_published_for_the_edge() {
        let bound = |ip: &str| PortBinding { host_ip: Some(ip.into()), host_port: Some("20001".into()) };
        assert_eq!(published_port("80/tcp", &[bound("0.0.0.0"), bound("127.0.0.1")]), Some((80, 20_001)));
        assert_eq!(published_port("80/tcp", &[bound("0.0.0.0")]), None);
    }
}
