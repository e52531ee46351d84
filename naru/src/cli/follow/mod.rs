//! Following an operation: every order is followed in the same way, until it has cut over or ended.
//!
//! The server tells whole states; [`State`] holds the newest and says when following is over, [`naru_show::rows`] puts it
//! into words, [`display`] shows what is new. Losing the server for a while is no event: the watch comes back
//! by itself. Ctrl-C detaches, and the operation goes on without anybody who watches.

mod display;
mod summary;

pub use naru_show::{Until, Wish};

use super::fail::{Code, Fail};
use super::moment::now;
use super::session::Session;
use display::Display;
use naru_api::{Client, WatchQuery};
use naru_model::{OperationId, ServiceName, StackName, Time};
use naru_show::{End, State};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ten pictures a second look alive, and cost nothing.
const TICK: Duration = Duration::from_millis(100);

/// What is to be followed.
pub struct Following {
    /// The stack.
    pub stack: StackName,
    /// The operation.
    pub id: OperationId,
    /// Until when.
    pub until: Until,
    /// How it is to go.
    pub wish: Wish,
    /// What its log told before is not told again.
    pub from: Time,
}

/// Follows an operation, and tells how it went.
///
/// # Errors
/// It failed, or did not go as wished.
pub async fn follow(session: &Session, client: &Client, what: Following) -> Result<Code, Fail> {
    let mut display = Display::new(session.printer, session.settings.progress);
    let wanted = wanted(client, &what.stack).await?;
    let mut state = State::new(what.id, wanted, what.from);
    let mut events = client.follow(&WatchQuery { stack: Some(what.stack.clone()), operation: Some(what.id) });
    let mut tick = tokio::time::interval(TICK);
    let end = loop {
        tokio::select! {
            event = events.next() => state.hear(event),
            _ = tick.tick(), if display.is_lively() => {}
            _ = tokio::signal::ctrl_c() => return Ok(summary::detached(session, &what)),
        }
        display.update(&mut state, now());
        if let Some(end) = state.end(what.until, what.wish) {
            break end;
        }
    };
    match end {
        End::Well => summary::well(session, client, &state, &what).await,
        End::AwaitsPromotion => summary::awaits_promotion(session, client, &state).await,
        End::Stuck => Err(summary::failure(session, client, &state, None).await),
        End::Badly(outcome) => Err(summary::failure(session, client, &state, Some(outcome)).await),
    }
}

async fn wanted(client: &Client, stack: &StackName) -> Result<BTreeMap<ServiceName, u32>, Fail> {
    let stacks = client.stacks().await?;
    let services = stacks.into_iter().filter(|view| view.name == *stack).flat_map(|view| view.services);
    Ok(services.map(|service| (service.name, service.wanted)).collect())
}
