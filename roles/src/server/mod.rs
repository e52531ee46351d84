//! The server: keeps the records, decides, and tells everyone what changed.
//!
//! One task, the [`desk`], owns the world. It takes demands and reports, runs the pure judgements, has all
//! writes of a decision committed in one guarded transaction by the [`ledger`], and only then believes them.
//! Everything else asks that task. What the store holds is the only truth: after a write of unknown outcome,
//! or when another server wrote, the world is loaded anew; observations come again by themselves.

mod books;
mod core;
mod desk;
mod images;
mod ledger;
mod observer;
mod people;
mod ports;
mod reach;
mod records;
#[cfg(test)]
mod tests;

use desk::Desk;
use ledger::Ledger;
use naru_api::Door;
use naru_gate::Gate;
use naru_home::{EndSignals, Failure, Home, wall};
use naru_model::NodeId;
use naru_store::{Epoch, Options, Sqlite};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::sync::watch;

/// Serves until a signal says to end.
///
/// # Errors
/// The store cannot be opened or read, or the socket cannot be made.
pub async fn run(home: &Home, node: NodeId) -> Result<(), Failure> {
    let mut signals = EndSignals::catch()?;
    let store = Sqlite::open(&home.path("store"), Epoch(wall().0), Options::default())?;
    let (ledger, world) = Ledger::open(store.clone()).await?;
    let listener = listen(home)?;
    let (desk, handle) = Desk::new(ledger, world, node.clone(), home);
    let deciding = tokio::spawn(desk.run());
    let chronicle = naru_chronicle::Chronicle::open(home)?;
    let people = people::Kept::new(handle.clone());
    let writing = tokio::spawn(naru_chronicle::requests::observe(handle.books.people(), chronicle.clone()));
    let (assets, orders) = naru_cloud::channel();
    let driving =
        tokio::spawn(naru_cloud::run(home.clone(), store.clone(), desk::work_here(&handle), orders));
    let api = Arc::new(core::Api::new(handle, assets, home.clone(), chronicle.clone()));
    let observing = tokio::spawn(observer::observe(api.clone(), chronicle));
    let metered = api.clone();
    let metering = tokio::spawn(naru_metering::run(home.clone(), move || {
        let (api, node) = (metered.clone(), node.clone());
        async move { api.look(node).await }
    }));
    let gate = Arc::new(Gate::open(home, people));
    let keeping = gate.clone();
    let looking_up = tokio::spawn(async move { keeping.keep_fresh().await });
    let telling = tokio::spawn(naru_chronicle::notifier::run(home.clone()));
    let (ending, ended) = watch::channel(());
    let end = async {
        signals.next().await;
        drop(ending);
    };
    let pages = naru_page::router(api.clone(), gate.clone());
    let network = naru_gate::network::serve(home.clone(), api.clone(), gate.clone(), pages, ended);
    tokio::join!(naru_api::serve(Door::Socket(listener), api, gate, end), network);
    observing.abort();
    looking_up.abort();
    telling.abort();
    writing.abort();
    metering.abort();
    driving.abort();
    deciding.abort();
    // Aborted: there is nothing more to hear of it.
    let _ = deciding.await;
    let _ = driving.await;
    store.close().await;
    // A socket that is left says that its server was killed, and is likely to come back.
    fs::remove_file(home.socket())?;
    Ok(())
}

/// The socket of an earlier life is in the way; that life is over, since this one holds the role's lock.
fn listen(home: &Home) -> io::Result<UnixListener> {
    match fs::remove_file(home.socket()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(home.socket())?;
    fs::set_permissions(home.socket(), Permissions::from_mode(0o600))?;
    Ok(listener)
}
