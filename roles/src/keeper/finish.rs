//! How the background processes end.

use super::start::{StartError, ensure};
use naru_api::ShutdownOrder;
use naru_home::{Home, Post, Role};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io;
use std::path::Path;

/// What a shutdown found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Processes, and they are gone.
    Now,
    /// None.
    Before,
}

/// Ends the background processes of a home, and returns when they are gone.
///
/// # Errors
/// The server refuses, since instances run; or it cannot be asked.
pub async fn shutdown(home: &Path, order: ShutdownOrder) -> Result<Ended, StartError> {
    let own = Home::open(home)?;
    let mut posts = [Post::Keeper].into_iter().chain(Role::ALL.map(Post::Role));
    let held = posts.clone().map(|post| own.holder(post)).collect::<io::Result<Vec<_>>>()?;
    if held.iter().all(Option::is_none) && !naru_chain::drains(&own) {
        return Ok(Ended::Before);
    }
    // Only a server knows whether instances run; and if it is gone and others are left, it is started.
    ensure(home).await?.shutdown(order).await?;
    let gone = tokio::task::spawn_blocking(move || posts.try_for_each(|post| own.lock(post).map(drop)));
    gone.await.map_err(io::Error::other)??;
    Ok(Ended::Now)
}

/// Tells the keeper of a home to end itself and all roles; without a keeper, the roles.
///
/// # Errors
/// A signal cannot be sent.
pub fn end(home: &Home) -> io::Result<()> {
    if tell(home, Post::Keeper)? == Told::Yes {
        return Ok(());
    }
    for role in Role::ALL {
        tell(home, Post::Role(role))?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Told {
    Yes,
    NobodyThere,
}

/// The lock is looked at again once the process is in hand: a number that was given to another process
/// since is not signalled.
fn tell(home: &Home, post: Post) -> io::Result<Told> {
    let Some(pid) = home.holder(post)? else { return Ok(Told::NobodyThere) };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(Told::NobodyThere),
        other => other?,
    };
    if home.holder(post)? != Some(pid) {
        return Ok(Told::NobodyThere);
    }
    pidfd_send_signal(&process, Signal::TERM)?;
    Ok(Told::Yes)
}
