//! Somebody who has a container's own streams, from before its start to its end.
//!
//! The engine is asked for them between making and starting the container, so that nothing that it says is missed; it
//! writes what is said to the container's log as well. The container's input ends with the connection.

use crate::Error;
use crate::attach::{Form, Pieces, Stdin, Stream, connect};
use crate::engine::Found;
use bollard::query_parameters::{KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use naru_model::Exit;
use naru_reach::{Attached, Hold, Size};
use std::time::Duration;
use tokio::io::split;
use tokio::sync::watch;

/// Keys that nobody presses in this order, instead of Ctrl-P, Ctrl-Q: the engine keeps keys back by which one would leave.
const NO_KEYS: &str = "ctrl-%5E%2Cctrl-%5D%2Cctrl-%5E%2Cctrl-%5D";
/// A program that is hung up on saves what it has; what takes longer is killed.
const HUNG_UP: Duration = Duration::from_secs(5);
/// The engine that does not take a kill is asked again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// How somebody is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    /// The size of the terminal; `None`: it is three pipes.
    pub(crate) terminal: Option<Size>,
}

/// Has the streams of a container that is about to be started.
pub(crate) async fn streams(engine: &Found, container: &str) -> Result<Stream, Error> {
    let path =
        format!("/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1&detachKeys={NO_KEYS}");
    connect(engine, &path, String::new()).await
}

/// What whoever is there has of a container that was started. `end` tells how it ends.
pub(crate) async fn attached(
    engine: &Found,
    container: &str,
    stream: Stream,
    seat: Seat,
    end: watch::Receiver<Option<Exit>>,
) -> Attached {
    let (read, write) = split(stream);
    let (tell, _) = watch::channel(false);
    let main = Main::of(engine, container, end);
    if let Some(size) = seat.terminal {
        main.resize(size).await;
    }
    Attached {
        input: Box::new(Stdin { to: write, terminal: seat.terminal.is_some() }),
        output: Box::new(Pieces {
            from: read,
            buffer: BytesMut::new(),
            form: Form::of(seat.terminal),
            drained: tell,
        }),
        hold: Box::new(main),
    }
}

struct Main {
    engine: Found,
    container: String,
    end: watch::Receiver<Option<Exit>>,
}

/// Nobody has the streams of a container that runs any more.
pub(crate) async fn hang_up(engine: &Found, container: &str, end: watch::Receiver<Option<Exit>>) {
    Main::of(engine, container, end).hang_up().await;
}

impl Main {
    fn of(engine: &Found, container: &str, end: watch::Receiver<Option<Exit>>) -> Main {
        Main { engine: engine.clone(), container: container.into(), end }
    }

    async fn send(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::default().signal(signal).build();
        let asked = self.engine.docker.kill_container(&self.container, Some(options));
        if let Err(error) = self.engine.ask(asked, || format!("send {signal}")).await {
            tracing::debug!(container = self.container, %error, "it gets no signal");
        }
    }
}

impl Hold for Main {
    fn resize(&self, size: Size) -> BoxFuture<'_, ()> {
        async move {
            let options = ResizeContainerTTYOptionsBuilder::default();
            let options = options.h(i32::from(size.lines)).w(i32::from(size.columns)).build();
            let asked = self.engine.docker.resize_container_tty(&self.container, options);
            if let Err(error) = self.engine.ask(asked, || "resize a terminal".into()).await {
                tracing::debug!(%error, "a terminal keeps its size");
            }
        }
        .boxed()
    }

    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        self.send(name).boxed()
    }

    fn ended(&self) -> BoxFuture<'_, Exit> {
        let mut end = self.end.clone();
        async move {
            let end = end.wait_for(Option::is_some).await;
            end.ok().and_then(|end| end.clone()).unwrap_or(Exit::Unknown)
        }
        .boxed()
    }

    fn hang_up(&self) -> BoxFuture<'_, ()> {
        async {
            self.send("SIGHUP").await;
            let mut limit = HUNG_UP;
            while tokio::time::timeout(limit, self.ended()).await.is_err() {
                self.send("SIGKILL").await;
                limit = AGAIN;
            }
        }
        .boxed()
    }
}
