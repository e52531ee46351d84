//! The agent's link to the server: what it is to have comes in, what it sees goes out. Losing the server is
//! no event: the agent has what it was told last, and the link comes back by itself.

use crate::agent::{Config, run as run_agent};
use naru_api::Client;
use naru_home::{EndSignals, Failure, Home, Rest};
use naru_model::{AgentReport, Desired, NodeId};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;

/// A report that tells nothing new is sent this often all the same: a server that was restarted has heard
/// none.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// What is being removed has so long once the agent is to end.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The folder of a home in which the contents of secrets and configs lie, by their ids.
pub const CONTENTS: &str = "contents";

/// The agent's own folder.
fn folder(home: &Home) -> PathBuf {
    home.path("agent")
}

/// The folder in which instances and their logs lie.
pub fn instances(home: &Home) -> PathBuf {
    folder(home).join("instances")
}

/// The folder in which the agent keeps which engine it uses.
pub fn containers(home: &Home) -> PathBuf {
    folder(home).join("containers")
}

/// Runs the agent and its link until a signal says to end.
///
/// # Errors
/// The agent cannot begin, or ended by itself.
pub async fn run(home: &Home, node: NodeId) -> Result<(), Failure> {
    let mut signals = EndSignals::catch()?;
    let client = Client::new(home.socket());
    let (told, desired) = watch::channel(None);
    let (sees, reports) = watch::channel(None);
    let shim = vec!["/proc/self/exe".to_string(), "shim".to_string()];
    let config = Config {
        dir: folder(home),
        node: node.clone(),
        shim,
        engines: naru_docker::sockets(),
        contents: home.path(CONTENTS),
        reach: home.beside(crate::door::SOCKET),
        zone: naru_home::zone()?,
    };
    let mut agent = pin!(run_agent(config, desired, sees));
    tokio::select! {
        ended = &mut agent => {
            ended?;
            return Err("the agent ended by itself".into());
        }
        () = listen(&client, &node, &told) => {}
        () = report(&client, reports) => return Err("the agent reports no more".into()),
        () = signals.next() => {}
    }
    drop(told);
    // An engine that does not answer has to be left alone.
    let _ = tokio::time::timeout(END_WITHIN, agent).await;
    Ok(())
}

async fn listen(client: &Client, node: &NodeId, told: &watch::Sender<Option<Desired>>) {
    let mut orders = client.desired(node);
    loop {
        told.send_replace(Some(orders.next().await));
    }
}

/// Hands in each report, and the last one again every while; until the agent is gone.
async fn report(client: &Client, mut reports: watch::Receiver<Option<AgentReport>>) {
    let mut rest = Rest::default();
    loop {
        let report = reports.borrow_and_update().clone();
        let handed_in = match report {
            None => Ok(()),
            Some(report) => client.agent_report(&report).await.map(drop),
        };
        if let Err(error) = handed_in {
            tracing::debug!(%error, "a report could not be handed in");
            rest.take().await;
            continue;
        }
        rest = Rest::default();
        if let Ok(Err(_)) = tokio::time::timeout(REPORT_EVERY, reports.changed()).await {
            return;
        }
    }
}
