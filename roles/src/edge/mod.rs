//! The edge role: the edge's process, and its link to the server.
//!
//! Losing the server is no event: the edge serves by the last table, which it also keeps on disk, so that a
//! restarted edge serves at once, server or not. What it counts goes out whole, at once where somebody waits
//! for it (a table acknowledged, an instance's work at zero) and every second otherwise.

pub mod admin;
mod keep;
mod metrics;

use crate::role::{EndSignals, Failure, Home, Rest, wall};
use admin::Admin;
use keep::Keep;
use naru_api::{Client, ClientError, Taken};
use naru_edge::{Config, Edge};
use naru_model::{EdgeReport, NodeId, Time};
use std::thread::available_parallelism;
use std::time::Duration;

/// A report is handed in at least this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Beyond this many threads a node's edge waits for the kernel, not for cores.
const WORKERS_MAX: usize = 16;

/// Serves until a signal says to end; then accepts nothing more and lets what is in progress finish. A
/// second signal cuts that.
///
/// # Errors
/// The edge cannot begin.
pub async fn run(home: &Home, node: NodeId) -> Result<(), Failure> {
    let mut signals = EndSignals::catch()?;
    let client = Client::new(home.socket());
    let keep = Keep::open(home)?;
    let began = keep.begin(wall())?;
    let id = format!("{node}-{}-{}", began.0, std::process::id()).into();
    let workers = available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let sheets = Some(keep.sheets(began));
    let edge = Edge::start(Config { sheets, ..Config::new(node.clone(), id, began, workers) })?;
    if let Some(table) = keep.table()
        && let Err(refused) = edge.apply(table)
    {
        tracing::warn!(%refused, "the table of the edge before is of no use");
    }
    let admin = Admin::open(home);
    let admin = admin.inspect_err(|error| tracing::error!(%error, "nobody can look at this edge")).ok();
    tokio::select! {
        () = take_tables(&client, &node, &edge, &keep) => {}
        () = hand_in(&client, &edge, &keep, began) => {}
        () = admin::serve(admin.as_ref(), &edge) => {}
        () = signals.next() => {}
    }
    tokio::select! {
        () = edge.shutdown() => {}
        () = admin::serve(admin.as_ref(), &edge) => {}
        () = hand_in(&client, &edge, &keep, began) => {}
        () = signals.next() => tracing::warn!("told to end a second time: what is in progress is cut"),
    }
    let last = edge.report(wall()).await;
    if hand_in_once(&client, &last).await.is_err() {
        keep.put_last(&last)?;
    }
    keep.drop_sheets(began);
    Ok(())
}

/// Applies each new table, but not before it is on disk: an acknowledged table must be the one that the next
/// life begins with. An older one may name an instance that was told to be quiet on the strength of the
/// acknowledgement.
async fn take_tables(client: &Client, node: &NodeId, edge: &Edge, keep: &Keep) {
    let mut tables = client.node_routes(node);
    let mut kept = keep.table().map(|table| table.generation).unwrap_or_default();
    loop {
        let table = tables.next().await;
        let generation = table.generation;
        if generation < kept {
            tracing::warn!(%generation, %kept, "an older table is refused");
            continue;
        }
        while let Err(error) = keep.put_table(table.clone()).await {
            tracing::error!(%error, %generation, "the table cannot be kept, and is not applied");
            tokio::time::sleep(REPORT_EVERY).await;
        }
        kept = generation;
        match edge.apply(table) {
            Ok(()) => tracing::info!(%generation, "chooses by a new table"),
            Err(refused) => tracing::warn!(%refused, "a table is refused"),
        }
    }
}

/// Hands in reports for ever.
async fn hand_in(client: &Client, edge: &Edge, keep: &Keep, began: Time) {
    hand_in_first(client, edge, &keep.last(began)).await;
    keep.drop_last(began);
    let mut news = edge.watch();
    let mut rest = Rest::default();
    loop {
        news.mark_unchanged();
        match hand_in_once(client, &edge.report(wall()).await).await {
            Ok(taken) => {
                edge.confirm(taken.seq, &taken.gone);
                rest = Rest::default();
                // The edge lives, and so does its sender.
                let _ = tokio::time::timeout(REPORT_EVERY, news.changed()).await;
            }
            Err(error) => {
                tracing::debug!(%error, "a report could not be handed in");
                rest.take().await;
            }
        }
    }
}

/// What edges before this one could not hand in any more comes first: once the server has heard of this one, the
/// others count as gone. A server that ends in between has forgotten them, so all are told again until this
/// one's is taken.
async fn hand_in_first(client: &Client, edge: &Edge, before: &[EdgeReport]) {
    let mut rest = Rest::default();
    'again: loop {
        for report in before {
            if hand_in_once(client, report).await.is_err() {
                rest.take().await;
                continue 'again;
            }
        }
        match hand_in_once(client, &edge.report(wall()).await).await {
            Ok(taken) => return edge.confirm(taken.seq, &taken.gone),
            Err(_) => rest.take().await,
        }
    }
}

async fn hand_in_once(client: &Client, report: &EdgeReport) -> Result<Taken, ClientError> {
    client.edge_report(report).await
}
