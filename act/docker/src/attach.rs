//! A command in a running container that somebody is attached to.
//!
//! The engine gives a connection over for the command's streams. It is read here byte by byte, as it comes: without a terminal
//! it is in frames (a byte that says of which stream, three of nothing, four with the length), with one it is the screen itself.
//! The engine has no word for signals to such a command, so they are sent by the numbers of its processes on this machine, once
//! the kernel has said that they belong to that very container.

use crate::engine::Found;
use crate::error::Doing;
use crate::exec::{self, ExecRequest, inspect};
use crate::{Error, Runtime};
use bollard::exec::{CreateExecOptions, ResizeExecOptions};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use naru_model::{Exit, InstanceId};
use naru_reach::{Attached, Hold, Input, Output, Size, Source};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::json;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// What the engine says when it refuses is a sentence.
const MAX_REFUSAL: usize = 64 << 10;
/// A command whose output is still open is asked after this often: something that it has left may hold it.
const LOOK: Duration = Duration::from_secs(1);
/// The engine knows an exit status a moment after the output has ended.
const LOOK_SOON: Duration = Duration::from_millis(20);
/// So often an engine is asked for the number of a process that has begun.
const LEADER_LOOKS: u32 = 100;
/// A shell that is hung up on saves its history; what takes longer is killed.
const HUNG_UP: Duration = Duration::from_secs(5);
/// The key that ends the input of a terminal, by custom: Ctrl-D.
const END_OF_INPUT: &[u8] = &[4];

/// A connection that the engine has given over.
pub(crate) type Stream = TokioIo<Upgraded>;

impl Runtime {
    /// Runs a command in the container for somebody who is attached to it; with a terminal of that size, if there is one.
    ///
    /// # Errors
    /// The container is not running, the command cannot be run, or the engine refuses or does not answer.
    pub async fn attach(
        &self,
        id: &InstanceId,
        request: &ExecRequest,
        terminal: Option<Size>,
    ) -> Result<Attached, Error> {
        let (engine, container) = self.container_of(id).await?;
        match attach(&engine, &container, request, terminal).await {
            Err(error) if error.is_not_running() => Err(Error::NotRunning(id.clone())),
            other => other,
        }
    }
}

async fn attach(
    engine: &Found,
    container: &str,
    request: &ExecRequest,
    terminal: Option<Size>,
) -> Result<Attached, Error> {
    let said = || format!("run {:?}", request.argv.join(" "));
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        tty: Some(terminal.is_some()),
        ..exec::options(request)
    };
    let exec = engine.ask(engine.docker.create_exec(container, options), said).await?.id;
    let stream = start(engine, &exec, terminal).await?;
    let (read, write) = split(stream);
    let (tell, drained) = watch::channel(false);
    let held = Held { engine: engine.clone(), container: container.into(), exec, drained };
    if let Some(size) = terminal {
        // One that is not there yet has been told with the start.
        held.resize(size).await;
    }
    Ok(Attached {
        input: Box::new(Stdin { to: write, terminal: terminal.is_some() }),
        output: Box::new(Pieces {
            from: read,
            buffer: BytesMut::new(),
            form: Form::of(terminal),
            drained: tell,
        }),
        hold: Box::new(held),
    })
}

/// Starts the command, and has the connection for its streams.
async fn start(engine: &Found, exec: &str, terminal: Option<Size>) -> Result<Stream, Error> {
    let mut body = json!({"Detach": false, "Tty": terminal.is_some()});
    if let Some(size) = terminal {
        body["ConsoleSize"] = json!([size.lines, size.columns]);
    }
    connect(engine, &format!("/exec/{exec}/start"), body.to_string()).await
}

/// Asks the engine for a connection, and has it.
pub(crate) async fn connect(engine: &Found, path: &str, body: String) -> Result<Stream, Error> {
    let away = |error: &dyn std::error::Error| Error::Away {
        socket: engine.socket.clone(),
        why: format!("have the streams of a command: {error}"),
    };
    let socket = UnixStream::connect(&engine.socket).await.map_err(|error| away(&error))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = shaken.map_err(|error| away(&error))?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(path)
        .header("host", "engine")
        .header("content-type", "application/json")
        .header("connection", "Upgrade")
        .header("upgrade", "tcp")
        .body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| Error::Unstartable(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(|error| away(&error))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(answer).await);
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| away(&error))?;
    Ok(TokioIo::new(upgraded))
}

async fn refused(answer: Response<hyper::body::Incoming>) -> Error {
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), MAX_REFUSAL).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let said = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let said = said.and_then(|said| Some(said.get("message")?.as_str()?.to_owned()));
    let said = said.unwrap_or_else(|| String::from_utf8_lossy(&body).trim().to_owned());
    Error::Refused { doing: "run the command".into(), status, said }
}

/// Where a command's input goes.
pub(crate) struct Stdin {
    pub(crate) to: WriteHalf<Stream>,
    pub(crate) terminal: bool,
}

impl Input for Stdin {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        async {
            self.to.write_all(bytes).await?;
            self.to.flush().await
        }
        .boxed()
    }

    fn end(&mut self) -> BoxFuture<'_, ()> {
        async {
            // What cannot be told any more is told to nobody.
            let _ = if self.terminal { self.write(END_OF_INPUT).await } else { self.to.shutdown().await };
        }
        .boxed()
    }
}

/// The form of what the engine passes on.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Screen,
    /// So many bytes of a frame are left, of that stream.
    Frames(Source, usize),
}

impl Form {
    pub(crate) fn of(terminal: Option<Size>) -> Form {
        if terminal.is_some() { Form::Screen } else { Form::Frames(Source::Stdout, 0) }
    }
}

/// What a command says, piece by piece.
pub(crate) struct Pieces {
    pub(crate) from: ReadHalf<Stream>,
    pub(crate) buffer: BytesMut,
    pub(crate) form: Form,
    /// True once all is said.
    pub(crate) drained: watch::Sender<bool>,
}

impl Pieces {
    /// What is there of output, if anything is.
    fn take(&mut self) -> Option<(Source, Vec<u8>)> {
        let (source, left) = match self.form {
            Form::Screen => (Source::Stdout, self.buffer.len()),
            Form::Frames(source, left) => (source, left),
        };
        let count = left.min(self.buffer.len());
        if count > 0 {
            if let Form::Frames(_, left) = &mut self.form {
                *left -= count;
            }
            return Some((source, self.buffer.split_to(count).to_vec()));
        }
        if let Form::Frames(_, 0) = self.form
            && let Some(&[stream, _, _, _, a, b, c, d]) = self.buffer.get(..8)
        {
            let source = if stream == 2 { Source::Stderr } else { Source::Stdout };
            self.buffer.advance(8);
            self.form = Form::Frames(source, u32::from_be_bytes([a, b, c, d]) as usize);
            return self.take();
        }
        None
    }
}

impl Output for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Option<(Source, Vec<u8>)>> {
        async {
            loop {
                if let Some(piece) = self.take() {
                    return Some(piece);
                }
                self.buffer.reserve(READ);
                if !matches!(self.from.read_buf(&mut self.buffer).await, Ok(count) if count > 0) {
                    self.drained.send_replace(true);
                    return None;
                }
            }
        }
        .boxed()
    }
}

struct Held {
    engine: Found,
    container: String,
    exec: String,
    /// Whether the output has ended.
    drained: watch::Receiver<bool>,
}

/// Which of a command's processes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Those of its own group: what a terminal's Ctrl-C reaches of a command without job control.
    Group,
    /// All of its session.
    Session,
}

impl Held {
    /// How it ended; `None`: it runs, or nobody can say now.
    async fn look(&self) -> Option<Exit> {
        match inspect(&self.engine, &self.exec).await {
            Ok(said) if said.running == Some(false) => {
                Some(said.exit_code.map_or(Exit::Unknown, |code| Exit::Status(code as i32)))
            }
            // The container was removed, and with it the engine's memory of the command.
            Err(error) if error.is_missing() => Some(Exit::Unknown),
            _ => None,
        }
    }

    /// The command's process. `None`: it does not run. An engine passes on what a command says before it tells its number.
    async fn leader(&self) -> Option<i32> {
        for _ in 0..LEADER_LOOKS {
            let said =
                inspect(&self.engine, &self.exec).await.ok().filter(|said| said.running == Some(true))?;
            let pid = said.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
            if pid.is_some() {
                return pid;
            }
            tokio::time::sleep(LOOK_SOON).await;
        }
        None
    }

    async fn send(&self, signal: Signal, part: Part) {
        let Some(leader) = self.leader().await else { return };
        for pid in processes() {
            let Some(held) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            else {
                continue;
            };
            // First held, then known: the number cannot become another's in between.
            if is_of(pid, leader, part) && is_in(pid, &self.container) {
                let _ = pidfd_send_signal(&held, signal);
            }
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process is one of those that a command leads.
fn is_of(pid: i32, leader: i32, part: Part) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold anything: state, parent, group, session.
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let at = if part == Part::Group { 2 } else { 3 };
    pid == leader || fields.split(' ').nth(at).and_then(|field| field.parse().ok()) == Some(leader)
}

fn is_in(pid: i32, container: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(container))
}

fn signal_of(name: &str) -> Option<Signal> {
    Some(match name {
        "SIGHUP" => Signal::HUP,
        "SIGINT" => Signal::INT,
        "SIGQUIT" => Signal::QUIT,
        "SIGTERM" => Signal::TERM,
        "SIGKILL" => Signal::KILL,
        _ => return None,
    })
}

impl Hold for Held {
    fn resize(&self, size: Size) -> BoxFuture<'_, ()> {
        async move {
            let options = ResizeExecOptions { height: size.lines, width: size.columns };
            let asked = self.engine.docker.resize_exec(&self.exec, options);
            if let Err(error) = asked.await.doing(&self.engine.socket, || "resize a terminal".into()) {
                tracing::debug!(%error, "a terminal keeps its size");
            }
        }
        .boxed()
    }

    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        async move {
            if let Some(signal) = signal_of(name) {
                self.send(signal, Part::Group).await;
            }
        }
        .boxed()
    }

    fn ended(&self) -> BoxFuture<'_, Exit> {
        let mut drained = self.drained.clone();
        async move {
            loop {
                let is_drained = *drained.borrow();
                let news = async { drained.changed().await.is_ok() };
                if is_drained {
                    tokio::time::sleep(LOOK_SOON).await;
                } else if tokio::time::timeout(LOOK, news).await == Ok(false) {
                    // Nobody reads it any more.
                    tokio::time::sleep(LOOK).await;
                }
                if let Some(exit) = self.look().await {
                    return exit;
                }
            }
        }
        .boxed()
    }

    fn hang_up(&self) -> BoxFuture<'_, ()> {
        async {
            self.send(Signal::HUP, Part::Session).await;
            let deadline = Instant::now() + HUNG_UP;
            while Instant::now() < deadline {
                if self.look().await.is_some() {
                    return;
                }
                tokio::time::sleep(LOOK_SOON * 5).await;
            }
            self.send(Signal::KILL, Part::Session).await;
        }
        .boxed()
    }
}
