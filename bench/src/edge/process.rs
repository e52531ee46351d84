//! Naru's edge in a process of its own: tables, and what changes of them, come in as lines of JSON, and what it acknowledges
//! goes out.
//!
//! It is the edge as the role runs it, with one worker: all is counted, a copy of the counts is kept in a mapped
//! file, and a report of all counts is made every second, and for each table. What has ended is confirmed, as the
//! server does.

use naru_edge::{Config, Edge};
use naru_model::{RouteChange, RouteTable, Time};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};

/// As often as the role hands in a report when nothing happens.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A line that comes in.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum News {
    /// A table.
    Whole(RouteTable),
    /// What makes one of the table that was told before.
    Change(RouteChange),
}

/// Serves until no more tables can come.
///
/// # Errors
/// A table that cannot be read or is refused; the edge cannot begin.
pub async fn run(sheets: PathBuf) -> io::Result<()> {
    let usual = Config::new("bench".into(), "bench-edge".into(), now(), 1);
    let edge = Edge::start(Config { sheets: Some(sheets), ..usual })?;
    let mut tables = BufReader::new(stdin()).lines();
    let mut told = RouteTable::default();
    let mut tick = tokio::time::interval(REPORT_EVERY);
    loop {
        tokio::select! {
            line = tables.next_line() => match line? {
                Some(line) => {
                    let other = || io::Error::other("a change of another table than was told before");
                    told = match serde_json::from_str(&line)? {
                        News::Whole(table) => table,
                        News::Change(change) => change.onto(&told).ok_or_else(other)?,
                    };
                    apply(&edge, told.clone()).await?;
                }
                None => return Ok(()),
            },
            _ = tick.tick() => report(&edge).await?,
        }
    }
}

async fn apply(edge: &Edge, table: RouteTable) -> io::Result<()> {
    let generation = table.generation;
    let mut news = edge.watch();
    edge.apply(table).map_err(io::Error::other)?;
    // The edge lives, and so does its sender.
    let _ = news.wait_for(|_| edge.acked() >= generation).await;
    report(edge).await?;
    let mut out = stdout();
    out.write_all(format!("acknowledged {generation}\n").as_bytes()).await?;
    out.flush().await
}

async fn report(edge: &Edge) -> io::Result<()> {
    let report = edge.report(now()).await;
    if let Some(fault) = report.faults.first() {
        return Err(io::Error::other(format!("{}: {}", fault.address, fault.error)));
    }
    let idle = report.instances.iter().filter(|(_, counts)| counts.in_progress.is_idle());
    // Of those that a table names it knows better.
    edge.confirm(report.seq, &idle.map(|(id, _)| id.clone()).collect::<Vec<_>>());
    Ok(())
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(since.as_millis() as u64)
}
