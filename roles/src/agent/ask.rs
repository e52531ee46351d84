//! Questions to an instance: by TCP, by HTTP, by command. Each has an answer, at the latest at its timeout.

use super::ports::PortMap;
use super::surroundings::expanded;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use naru_docker::ExecRequest;
use naru_model::{Action, Check, Exit, HookCommand, HttpCall, InstanceId, QuietCall, Span};
use naru_process::{Launch, Runtime, Signal};
use naru_supervise::Probed;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// Bytes of an answer that are read: it is a number, or a few words about health.
const BODY: usize = 64 << 10;
/// An answer that tells of more jobs is a fault of the workload: sums of such numbers would overflow.
const MOST_JOBS: u64 = 1_000_000;
/// Characters of a failing command's last words that are shown.
const WORDS: usize = 200;

/// One instance, as one asks it.
pub(super) struct Subject {
    pub(super) id: InstanceId,
    pub(super) address: Ipv4Addr,
    pub(super) ports: PortMap,
    pub(super) first: Option<u16>,
    pub(super) beside: Beside,
}

/// How commands are run beside it.
pub(super) enum Beside {
    /// With a process's surroundings.
    Process { launch: Launch, runtime: Runtime },
    /// In a container.
    Container(naru_docker::Runtime),
}

/// What a command came to.
struct Ran {
    /// `None`: it ran past its time.
    end: Option<Exit>,
    tail: String,
}

/// No good answer.
enum Trouble {
    /// Nothing listens.
    Refused(String),
    /// Anything else.
    Other(String),
}

impl Trouble {
    fn said(self) -> String {
        match self {
            Trouble::Refused(said) | Trouble::Other(said) => said,
        }
    }
}

impl Subject {
    /// Whether it serves.
    pub(super) async fn probe(&self, check: Option<&Check>, timeout: Span) -> Probed {
        let result = match check {
            None => within(timeout, self.all_accept()).await,
            Some(Check::Tcp { port }) => within(timeout, async { self.connect(*port).await.map(drop) }).await,
            Some(Check::Http(call)) => within(timeout, self.is_healthy(call)).await,
            Some(Check::Command(process)) => {
                self.command(&process.clone().into(), timeout).await.map_err(Trouble::Other)
            }
        };
        match result {
            Ok(()) => Probed::Passed,
            Err(Trouble::Refused(said)) => Probed::Refused(said),
            Err(Trouble::Other(said)) => Probed::Failed(said),
        }
    }

    /// How many jobs are in progress.
    pub(super) async fn busy(&self, action: &Action, timeout: Span) -> Result<u64, String> {
        match action {
            Action::Http(call) => within(timeout, self.jobs(call)).await.map_err(Trouble::said),
            Action::Command(process) => {
                let ran = self.exec(&process.clone().into(), timeout).await?;
                match ran.end {
                    Some(Exit::Status(0)) => Ok(1),
                    Some(Exit::Status(status)) if status < 126 => Ok(0),
                    _ => Err(said_of(&ran, timeout)),
                }
            }
        }
    }

    /// Tells it to take no new work.
    pub(super) async fn tell_quiet(&self, call: &QuietCall, timeout: Span) -> Result<(), String> {
        match call {
            QuietCall::Signal(name) => self.signal(name).await,
            QuietCall::Call(Action::Command(process)) => self.command(&process.clone().into(), timeout).await,
            QuietCall::Call(Action::Http(call)) => {
                let told = async {
                    let (status, _) = self.http(Method::POST, call).await?;
                    let told = status.is_success();
                    told.then_some(()).ok_or_else(|| unwanted(&Method::POST, call, status))
                };
                within(timeout, told).await.map_err(Trouble::said)
            }
        }
    }

    async fn signal(&self, name: &str) -> Result<(), String> {
        match &self.beside {
            Beside::Process { runtime, .. } => {
                let signal: Signal = name.parse().map_err(|error| format!("{error}"))?;
                runtime.signal(&self.id, signal).await.map_err(|error| error.to_string())
            }
            Beside::Container(runtime) => {
                runtime.signal(&self.id, name).await.map_err(|error| error.to_string())
            }
        }
    }

    /// Runs a command that is to succeed.
    pub(super) async fn command(&self, command: &HookCommand, timeout: Span) -> Result<(), String> {
        let ran = self.exec(command, timeout).await?;
        if ran.end == Some(Exit::Status(0)) { Ok(()) } else { Err(said_of(&ran, timeout)) }
    }

    async fn exec(&self, command: &HookCommand, timeout: Span) -> Result<Ran, String> {
        match &self.beside {
            Beside::Process { launch, runtime } => {
                let argv = expanded(&command.process, launch)?;
                let ran = runtime.exec(&self.id, &argv, timeout.std()).await;
                let naru_process::ExecOutput { end, tail } = ran.map_err(|error| error.to_string())?;
                let end = match end {
                    naru_process::ExecEnd::Exit(exit) => Some(exit),
                    naru_process::ExecEnd::TimedOut => None,
                };
                Ok(Ran { end, tail })
            }
            // As it is written: the container's own shell, if the command names one, knows its variables.
            Beside::Container(runtime) => {
                let request = ExecRequest {
                    argv: command.process.command.clone(),
                    user: command.user.clone(),
                    working_dir: command.working_dir.clone(),
                    environment: command.environment.clone(),
                    privileged: command.privileged,
                };
                let ran = runtime.exec(&self.id, &request, timeout.std()).await;
                let naru_docker::ExecOutput { end, tail } = ran.map_err(|error| error.to_string())?;
                let end = match end {
                    naru_docker::ExecEnd::Exit(exit) => Some(exit),
                    naru_docker::ExecEnd::TimedOut => None,
                };
                Ok(Ran { end, tail })
            }
        }
    }

    async fn all_accept(&self) -> Result<(), Trouble> {
        for target in self.ports.keys() {
            self.connect(Some(*target)).await?;
        }
        Ok(())
    }

    async fn is_healthy(&self, call: &HttpCall) -> Result<(), Trouble> {
        let (status, _) = self.http(Method::GET, call).await?;
        let healthy = status.is_success() || status.is_redirection();
        healthy.then_some(()).ok_or_else(|| unwanted(&Method::GET, call, status))
    }

    async fn jobs(&self, call: &HttpCall) -> Result<u64, Trouble> {
        let (status, body) = self.http(Method::GET, call).await?;
        if status != StatusCode::OK {
            return Err(unwanted(&Method::GET, call, status));
        }
        let jobs = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let jobs = jobs.and_then(|body| body.get("jobs")?.as_u64());
        match jobs {
            Some(jobs) if jobs <= MOST_JOBS => Ok(jobs),
            Some(jobs) => {
                let said = format!("GET {} answered {jobs} jobs, and {MOST_JOBS} are the most", call.path);
                Err(Trouble::Other(said))
            }
            None => Err(Trouble::Other(format!("GET {} answered without {{\"jobs\": n}}", call.path))),
        }
    }

    async fn connect(&self, target: Option<u16>) -> Result<(TcpStream, u16), Trouble> {
        let target = target.or(self.first).ok_or_else(|| Trouble::Other("it has no port".into()))?;
        let no_port = || Trouble::Other(format!("it has no port {target}"));
        let port = *self.ports.get(&target).ok_or_else(no_port)?;
        match TcpStream::connect((self.address, port)).await {
            Ok(stream) => Ok((stream, port)),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                let said = format!("nothing listens on port {port} of {}", self.address);
                Err(Trouble::Refused(match self.beside {
                    Beside::Process { .. } => format!("{said} (NARU_PORT_{target} in its environment)"),
                    Beside::Container(_) => said,
                }))
            }
            Err(error) => Err(Trouble::Other(format!("port {port}: {error}"))),
        }
    }

    async fn http(&self, method: Method, call: &HttpCall) -> Result<(StatusCode, Bytes), Trouble> {
        let other = |error: hyper::Error| Trouble::Other(format!("{}: {error}", call.path));
        let (stream, port) = self.connect(call.port).await?;
        let io = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(other)?;
        let request = Request::builder()
            .method(method)
            .uri(&call.path)
            .header(HOST, format!("localhost:{port}"))
            .header(USER_AGENT, "naru")
            .header(hyper::header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| Trouble::Other(format!("{}: {error}", call.path)))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), BODY).collect().await;
            Ok((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(other(error)),
            },
        }
    }
}

async fn within<T>(timeout: Span, ask: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match tokio::time::timeout(timeout.std(), ask).await {
        Ok(answer) => answer,
        Err(_) => Err(Trouble::Other(format!("no answer within {timeout}"))),
    }
}

fn unwanted(method: &Method, call: &HttpCall, status: StatusCode) -> Trouble {
    Trouble::Other(format!("{method} {} answered {}", call.path, status.as_u16()))
}

/// How a command ended, and its last words.
fn said_of(ran: &Ran, timeout: Span) -> String {
    let end = match &ran.end {
        None => format!("did not end within {timeout}"),
        Some(exit) => exit.to_string(),
    };
    let last = ran.tail.trim().lines().next_back().unwrap_or_default();
    let last: String = last.chars().take(WORDS).collect();
    if last.is_empty() { format!("the command {end}") } else { format!("the command {end}: {last}") }
}
