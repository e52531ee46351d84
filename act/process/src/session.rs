//! Somebody who has an instance's own streams, from its start to its end.
//!
//! The instance runs under a shim as any does, and the shim writes its log. Beside that, the shim passes on what the instance
//! writes, no faster than it is taken; and when nobody is there any more, it hangs up on the instance. So the end of whoever is
//! attached, and the death of the agent, come to the same.

use crate::error::{Doing, StartError};
use crate::pid::{all, send};
use crate::pty::{self, Pty};
use crate::streams::{self, Ours};
use crate::user::Identity;
use crate::watch::Watched;
use crate::{Launch, Signal};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use naru_model::{Exit, SessionKind};
use naru_reach::{Attached, Hold, Size};
use std::sync::Arc;
use std::time::Duration;

/// A shell that is hung up on saves its history; what takes longer is killed.
const HUNG_UP: Duration = Duration::from_secs(5);

/// The instance's ends of its streams.
pub(crate) struct Theirs {
    pub(crate) kind: SessionKind,
    pub(crate) fds: streams::Theirs,
}

/// Both ends of the streams of an instance that is about to be started.
pub(crate) fn streams(launch: &Launch, terminal: Option<Size>) -> Result<(Ours, Theirs), StartError> {
    let said = || format!("have the streams of {:?}", launch.argv.join(" "));
    let (ours, fds) = streams::ends_past_shim(terminal).doing(said)?;
    let user = launch.user.as_deref().map(Identity::find).transpose()?;
    if let (Some(_), Some(user)) = (terminal, user) {
        // The terminal works all the same, but for programs that open it by its name.
        let _ = pty::give(&fds[0], user.uid, user.gid);
    }
    let kind = if terminal.is_some() { SessionKind::Terminal } else { SessionKind::Pipes };
    Ok((ours, Theirs { kind, fds }))
}

/// What whoever is attached has of it.
pub(crate) fn attached(ours: Ours, watched: Arc<Watched>) -> Attached {
    let (input, output, pty) = ours.parts();
    Attached { input, output, hold: Box::new(Main { watched, pty }) }
}

struct Main {
    watched: Arc<Watched>,
    pty: Option<Arc<Pty>>,
}

impl Main {
    /// To all of its session: it has one of its own.
    fn send(&self, signal: Signal) {
        let leader = self.watched.state.main.pid;
        for stat in all().into_iter().filter(|stat| stat.session == leader) {
            if let Ok(Some(held)) = stat.process.open() {
                // One that has ended meanwhile needs none.
                let _ = send(held, signal);
            }
        }
    }
}

impl Hold for Main {
    fn resize(&self, size: Size) -> BoxFuture<'_, ()> {
        if let Some(pty) = &self.pty {
            let _ = pty.resize(size);
        }
        std::future::ready(()).boxed()
    }

    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        if let Ok(signal) = name.parse() {
            self.send(signal);
        }
        std::future::ready(()).boxed()
    }

    fn ended(&self) -> BoxFuture<'_, Exit> {
        let mut end = self.watched.end.subscribe();
        async move {
            let end = end.wait_for(Option::is_some).await;
            end.ok().and_then(|end| Some(end.as_ref()?.exit.clone())).unwrap_or(Exit::Unknown)
        }
        .boxed()
    }

    fn hang_up(&self) -> BoxFuture<'_, ()> {
        async {
            self.send(Signal::HUP);
            // A stopped one does not hear it.
            self.send(Signal::CONT);
            if tokio::time::timeout(HUNG_UP, self.ended()).await.is_err() {
                self.send(Signal::KILL);
            }
        }
        .boxed()
    }
}
