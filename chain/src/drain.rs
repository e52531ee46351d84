//! A process that drains: a successor serves, and what is open here runs to its end, however long that takes.
//!
//! It tells whoever serves what it carries, at once where somebody waits for it and every second otherwise,
//! and takes tables, since a request may still come on an open connection. Whoever serves may change or be
//! away for a while: then it calls again. A signal that says to end changes nothing, since it is ending; what
//! hastens it comes from the process that serves.

use crate::handover::call;
use crate::seen::Gone;
use crate::wire::{self, Carried, Hello, Link, Told};
use crate::{Failure, Member};
use naru_home::{EndSignals, Home, Rest, wall};
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

/// It tells how it stands at least this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing is open any more, and that is told, if anybody is there to be told.
    Drained,
    /// Somebody ordered to cut.
    Cut,
}

/// Drains, and returns when nothing is open.
///
/// # Errors
/// None so far: what it leaves is on disk.
pub(super) async fn run(
    home: &Home,
    member: &Member,
    gone: Gone,
    signals: &mut EndSignals,
) -> Result<(), Failure> {
    let (drained, is_drained) = watch::channel(false);
    let mut leave = pin!(async {
        member.edge.leave().await;
        drained.send_replace(true);
        std::future::pending::<()>().await;
    });
    let mut tell = pin!(tell(home, member, &gone, is_drained));
    let end = loop {
        tokio::select! {
            () = &mut leave => {}
            end = &mut tell => break end,
            () = signals.next() => tracing::info!("told to end; it does, once nothing is open here"),
        }
    };
    match end {
        End::Drained => tracing::info!("nothing is open here any more"),
        End::Cut => tracing::warn!("what is in progress is cut"),
    }
    Ok(())
}

/// Calls whoever serves, as often as that changes.
async fn tell(home: &Home, member: &Member, gone: &Gone, mut drained: watch::Receiver<bool>) -> End {
    let mut rest = Rest::default();
    loop {
        if let Ok(link) = call(home).await {
            match converse(link, member, gone, drained.clone()).await {
                Ok(end) => return end,
                Err(error) => tracing::debug!(%error, "whoever serves is away"),
            }
            // If it is gone, the next one has to open its addresses anew.
            member.edge.release();
        }
        if *drained.borrow() {
            return End::Drained;
        }
        tokio::select! {
            // Then it is looked for once more, to tell the last.
            _ = drained.changed() => {}
            () = rest.take() => {}
        }
    }
}

async fn converse(
    mut link: Link,
    member: &Member,
    gone: &Gone,
    drained: watch::Receiver<bool>,
) -> io::Result<End> {
    let (number, edge) = (member.place.number, member.chain.identity.edge.clone());
    link.say(&Hello::Drains { link: number, pid: std::process::id(), edge }).await?;
    let (mut reads, mut writes) = link.split();
    tokio::select! {
        told = say_all(&mut writes, member, gone, drained) => told.map(|()| End::Drained),
        end = hear_all(&mut reads, member) => end,
    }
}

/// Tells what it carries, until that is nothing.
async fn say_all(
    to: &mut OwnedWriteHalf,
    member: &Member,
    gone: &Gone,
    mut drained: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut news = member.edge.watch();
    let mut shown: Option<Instant> = None;
    loop {
        news.mark_unchanged();
        let is_last = *drained.borrow_and_update();
        let report = member.edge.report(wall()).await;
        let mut seen = None;
        if is_last || shown.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            seen = Some(Box::new(gone.and(member.edge.snapshot(wall()).await)));
            shown = Some(Instant::now());
        }
        wire::say(to, &Carried { report, connections: member.edge.connections() as u64, seen }).await?;
        if is_last {
            return Ok(());
        }
        // The edge lives, and so do the senders.
        tokio::select! {
            _ = news.changed() => {}
            _ = drained.changed() => {}
            () = tokio::time::sleep(TELL_EVERY) => {}
        }
    }
}

async fn hear_all(from: &mut OwnedReadHalf, member: &Member) -> io::Result<End> {
    loop {
        match wire::hear(from).await? {
            Told::Table(table) => {
                if let Err(refused) = member.edge.apply((*table).clone()) {
                    tracing::warn!(%refused, "a table is refused");
                }
            }
            Told::Release => member.edge.release(),
            Told::Gone(seq, gone) => member.edge.confirm(seq, &gone),
            Told::Finish => member.edge.hasten(),
            Told::Cut => return Ok(End::Cut),
        }
    }
}
