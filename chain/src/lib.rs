//! The edge role: the edge's process, its link to the server, and its replacement.
//!
//! Losing the server is no event: the edge serves by the last table, which it also keeps on disk, so that a
//! restarted edge serves at once, server or not. What it counts goes out whole, at once where somebody waits
//! for it (a table acknowledged, an instance's work at zero) and every second otherwise.
//!
//! To the server an edge is one, however many processes it is made of: a chain of [`places`]. One of them serves: it
//! listens, and talks to the server for all. The others drain: each finishes the connections that it has, tells
//! the one that serves what it carries, and ends. A successor takes the listening sockets and the role's lock by
//! [`handover`]; one that is started after a kill finds the chain on disk, and goes on with it if a
//! process of it lives.

pub mod admin;
mod drain;
mod handover;
mod keep;
mod links;
mod places;
mod seen;
mod serve;
mod tables;
mod wire;

pub use handover::{Succession, standing, succeed};
pub use wire::Standing;

use handover::Part;
use keep::Keep;
use naru_edge::{Config, Edge, Lent};
use naru_home::{EndSignals, Failure, Home, Lock, wall};
use naru_model::NodeId;
use places::{Chain, Identity, Place};
use seen::Gone;
use serve::{Ended, Serving};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;

/// Beyond this many threads a node's edge waits for the kernel, not for cores.
const WORKERS_MAX: usize = 16;

/// Whether old edges of a home still carry connections, or one serves.
pub fn drains(home: &Home) -> bool {
    Keep::open(home).is_ok_and(|keep| keep.living().is_some())
}

/// How a process becomes the one that serves.
pub enum Start {
    /// Nobody serves: it has the role's lock.
    Alone(Lock),
    /// Another serves, and hands over.
    Successor(Box<Succession>),
}

/// A process of the chain, with what it needs to serve.
struct Member {
    keep: Keep,
    chain: Chain,
    place: Place,
    sockets: Sockets,
    /// The role's, until a successor has it.
    lock: Mutex<Option<Lock>>,
    edge: Edge,
}

/// Serves until a signal says to end, or a successor takes over; then lets what is in progress finish. Where
/// a signal said so, a second one cuts that.
///
/// # Errors
/// The edge cannot begin.
pub async fn run(home: &Home, node: NodeId, start: Start) -> Result<(), Failure> {
    let mut signals = EndSignals::catch()?;
    let (member, listener) = match start {
        Start::Alone(lock) => (Member::alone(home, node, lock)?, handover::listen(home)?),
        Start::Successor(succession) => match succession.part {
            Part::Serves(listener) => (succession.member, listener),
            Part::Drains => return drain::run(home, &succession.member, Gone::default(), &mut signals).await,
        },
    };
    let serving = Serving::new(home, member, listener);
    match serving.run(&mut signals).await {
        Ended::Told => Ok(serving.finish(&mut signals).await?),
        Ended::Replaced => {
            let shared = serving.hang_up();
            let gone = shared.links().gone();
            drain::run(home, &shared.member, gone, &mut signals).await
        }
    }
}

/// Where the sockets are from that a process of the chain listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sockets {
    /// It opens them itself: the edge before it was gone.
    Own,
    /// The edge before it handed them over, and those that drain have them too.
    Inherited,
}

impl Member {
    fn alone(home: &Home, node: NodeId, lock: Lock) -> Result<Member, Failure> {
        let keep = Keep::open(home)?;
        let chain = match keep.living() {
            Some(chain) => chain,
            None => Member::begin(&keep, node)?,
        };
        let (place, edge) = join(&chain, keep.certificates(), vec![])?;
        if let Some(table) = keep.table()
            && let Err(refused) = edge.apply(table)
        {
            tracing::warn!(%refused, "the table of the edge before is of no use");
        }
        Ok(Member { keep, chain, place, sockets: Sockets::Own, lock: Mutex::new(Some(lock)), edge })
    }

    /// The role's lock for a successor, while this one has it too.
    fn pass_lock(&self) -> io::Result<OwnedFd> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        lock.as_ref().ok_or_else(|| io::Error::other("the role's lock is passed on"))?.pass()
    }

    /// A successor has the role's lock.
    fn let_go(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn begin(keep: &Keep, node: NodeId) -> io::Result<Chain> {
        let began = keep.begin(wall())?;
        let edge = format!("{node}-{}-{}", began.0, std::process::id()).into();
        Chain::begin(keep.chain(began), Identity { node, edge, began })
    }
}

/// Takes a place in the chain, and starts an edge for it.
fn join(chain: &Chain, certificates: PathBuf, lent: Vec<Lent>) -> io::Result<(Place, Edge)> {
    let place = chain.join()?;
    let Identity { node, edge, began } = chain.identity.clone();
    let workers = available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let config = Config {
        sheets: Some(chain.sheets(place.number)),
        certificates: Some(naru_edge::Home::new(certificates)),
        // Reports of a process come after all of those before it: none makes four billion.
        seq: u64::from(place.number) << 32,
        zone: naru_home::zone().map_err(io::Error::other)?,
        ..Config::new(node, edge, began, workers)
    };
    Ok((place, Edge::start_with(config, lent)?))
}
