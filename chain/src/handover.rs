//! An edge hands over to its successor: the listening sockets, the table, who it is, and the role's lock.
//!
//! The old one goes on accepting until the successor has said that all its workers accept: from the same
//! sockets, so that no connection waits for either. Up to that word the successor may die, refuse or say nothing,
//! and nothing has changed. The lock is passed on as an open file, so that it is free at no moment, and nobody
//! who waits for it comes in between.
//!
//! ```text
//! old          Offer ─────►          ◄─ Prepared      Begin ─►      ◄─ Accepts      Yours ─►   drains
//! successor            starts an edge with the sockets      applies the table       serves
//! ```

use crate::links::DRAINING_MAX;
use crate::serve::{Phase, Shared};
use crate::wire::{Hello, Link, Offer, Standing, Step, VERSION, lent};
use crate::{Chain, Identity, Keep, Member, Sockets, join};
use naru_edge::Edge;
use naru_home::{Home, Lock};
use naru_model::{NodeId, RouteTable};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// A successor takes this long at most, or the old one goes on. It starts a few threads and reads a table, which
/// takes milliseconds; the rest is for a machine that is very busy.
const STEPS_WITHIN: Duration = Duration::from_secs(10);

/// Where the process that serves listens.
const SOCKET: &str = "edge.sock";

/// How a hand-over ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// The successor serves.
    Over,
    /// This one goes on.
    Not,
}

/// A successor that has what it needs.
pub struct Succession {
    pub(super) member: Member,
    pub(super) part: Part,
}

impl Succession {
    /// Whether this process serves now.
    pub fn serves(&self) -> bool {
        matches!(self.part, Part::Serves(_))
    }
}

/// What a successor has become.
#[derive(Debug)]
pub(super) enum Part {
    /// It serves, and listens already: whoever asks once it has said so is answered.
    Serves(UnixListener),
    /// The old one goes on after all, and some connections are here already.
    Drains,
}

/// Takes the place of whoever listened before.
///
/// # Errors
/// The socket cannot be made.
pub(super) fn listen(home: &Home) -> io::Result<UnixListener> {
    let (path, fresh) = (home.beside(SOCKET), home.beside("edge.new"));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    fs::rename(&fresh, &path)?;
    Ok(listener)
}

/// A connection to the process that serves.
///
/// # Errors
/// None does.
pub(super) async fn call(home: &Home) -> io::Result<Link> {
    Ok(Link::new(UnixStream::connect(home.beside(SOCKET)).await?))
}

/// How the edge of a home stands; `None` if none serves.
///
/// # Errors
/// What answers makes no sense.
pub async fn standing(home: &Home) -> io::Result<Option<Standing>> {
    let Ok(mut link) = call(home).await else { return Ok(None) };
    link.say(&Hello::Ask).await?;
    let standing = tokio::time::timeout(STEPS_WITHIN, link.hear()).await;
    standing.map_err(|_| io::Error::other("the edge does not answer"))?.map(Some)
}

/// The old one's side.
pub(super) async fn hand_over(shared: &Shared, mut link: Link, version: u32) -> Handed {
    let Ok(phase) = tokio::time::timeout(STEPS_WITHIN, shared.applying.lock()).await else {
        let why = "another edge takes over at this moment, or a table cannot be kept; try again";
        return refuse(&mut link, why.into()).await;
    };
    let draining = shared.links().draining().len();
    if *phase == Phase::Ending {
        return refuse(&mut link, "the edge is ending".into()).await;
    }
    if version != VERSION {
        let why = format!("the edge that serves hands over in version {VERSION}, not {version}");
        return refuse(&mut link, why).await;
    }
    if draining >= DRAINING_MAX {
        let why = format!("{draining} old edges still carry connections, and there may be {DRAINING_MAX}");
        return refuse(&mut link, why).await;
    }
    match tokio::time::timeout(STEPS_WITHIN, guide(shared, &mut link)).await {
        Ok(Ok(())) => Handed::Over,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a successor gave up; this edge goes on");
            Handed::Not
        }
        Err(_) => {
            tracing::warn!("a successor took longer than {STEPS_WITHIN:?}; this edge goes on");
            Handed::Not
        }
    }
}

async fn refuse(link: &mut Link, why: String) -> Handed {
    tracing::warn!(why, "a successor is refused");
    // One that does not listen is refused all the same.
    let _ = link.say(&Offer::Refused { why }).await;
    Handed::Not
}

async fn guide(shared: &Shared, link: &mut Link) -> io::Result<()> {
    let member = &shared.member;
    let lock = member.pass_lock()?;
    let (mut keys, mut files) = (vec![], vec![lock]);
    for lent in member.edge.lend().await {
        keys.push(lent.key);
        files.push(lent.socket);
    }
    let Identity { edge, began, .. } = member.chain.identity.clone();
    let (table, place) = (member.edge.table(), member.place.number);
    link.say(&Offer::Ready { edge, began, place, table, keys }).await?;
    link.give(&files).await?;
    expect(link, Step::Prepared).await?;
    link.say(&Step::Begin).await?;
    expect(link, Step::Accepts).await?;
    // From that word on the successor keeps the books of those that are gone.
    shared.links().close();
    let told = link.say(&Step::Yours).await;
    if told.is_err() {
        shared.links().open();
    }
    told?;
    member.let_go();
    Ok(())
}

async fn expect(link: &mut Link, step: Step) -> io::Result<()> {
    match link.hear::<Step>().await? {
        said if said == step => Ok(()),
        Step::Failed(why) => Err(io::Error::other(why)),
        other => Err(io::Error::other(format!("{other:?} instead of {step:?}"))),
    }
}

/// What an offer brings.
struct Estate {
    identity: Identity,
    /// The old one's place.
    place: u32,
    table: RouteTable,
    keys: Vec<String>,
    lock: OwnedFd,
    sockets: Vec<OwnedFd>,
}

/// The successor's side. `None`: nobody serves, so there is nothing to take over.
///
/// # Errors
/// Why the old one goes on, in words.
pub async fn succeed(home: &Home, node: NodeId) -> Result<Option<Succession>, String> {
    let Ok(mut link) = call(home).await else { return Ok(None) };
    let taken = tokio::time::timeout(2 * STEPS_WITHIN, take_over(home, node, &mut link));
    match taken.await {
        Ok(taken) => taken.map(Some),
        Err(_) => Err("the edge that serves does not answer".into()),
    }
}

async fn take_over(home: &Home, node: NodeId, link: &mut Link) -> Result<Succession, String> {
    let text = |error: io::Error| error.to_string();
    let estate = receive(link, node).await?;
    let keep = Keep::open(home).map_err(text)?;
    let chain = Chain::at(keep.chain(estate.identity.began)).ok_or("the folder of the edge is gone")?;
    if chain.identity != estate.identity {
        return Err(format!("the edge that serves is {}, of another home", estate.identity.edge));
    }
    let begun = join(&chain, keep.certificates(), lent(estate.keys, estate.sockets)).map_err(text);
    let (place, edge) = match begun {
        Ok(begun) => begun,
        Err(why) => return fail(link, why).await,
    };
    link.say(&Step::Prepared).await.map_err(text)?;
    expect(link, Step::Begin).await.map_err(text)?;
    if let Err(why) = accept(&edge, estate.table).await {
        return fail(link, why).await;
    }
    let said = link.say(&Step::Accepts).await;
    let yours = match said {
        Ok(()) => expect(link, Step::Yours).await,
        Err(error) => Err(error),
    };
    // One that died in between has nobody else to serve.
    let serves = yours.is_ok() || !chain.is_alive(estate.place);
    let (lock, part) = match serves {
        true => (Some(Lock::passed(estate.lock).map_err(text)?), Part::Serves(listen(home).map_err(text)?)),
        false => (None, Part::Drains),
    };
    let sockets = Sockets::Inherited;
    Ok(Succession { member: Member { keep, chain, place, sockets, lock: Mutex::new(lock), edge }, part })
}

async fn receive(link: &mut Link, node: NodeId) -> Result<Estate, String> {
    let text = |error: io::Error| error.to_string();
    link.say(&Hello::TakeOver { version: VERSION }).await.map_err(text)?;
    match link.hear().await.map_err(text)? {
        Offer::Refused { why } => Err(why),
        Offer::Ready { edge, began, place, table, keys } => {
            let mut files = link.take(keys.len() + 1).await.map_err(text)?;
            let sockets = files.split_off(1);
            let lock = files.pop().ok_or("the role's lock did not arrive")?;
            let identity = Identity { node, edge, began };
            Ok(Estate { identity, place, table, keys, lock, sockets })
        }
    }
}

async fn fail<T>(link: &mut Link, why: String) -> Result<T, String> {
    // The old one goes on if it hears nothing, too.
    let _ = link.say(&Step::Failed(why.clone())).await;
    Err(why)
}

/// Applies the table, and waits until all workers accept by it.
async fn accept(edge: &Edge, table: RouteTable) -> Result<(), String> {
    let (mut news, generation) = (edge.watch(), table.generation);
    edge.apply(table).map_err(|refused| refused.to_string())?;
    // The sender lives as long as the edge.
    let _ = news.wait_for(|_| edge.acked() == generation).await;
    Ok(())
}
