//! A command beside a running instance that somebody is attached to: with a terminal of its own, or three pipes.
//!
//! It runs under a short-lived shim, which is the agent's child. The agent tells it signals by its standard input; that this
//! closes (the agent lost interest, or died) is a hang-up. What the command started ends with it, as with the instance itself.

use crate::Signal;
use crate::error::{AttachError, Doing, Error};
use crate::folder::{Folder, LAUNCH, LaunchRecord};
use crate::pty::{self, Pty};
use crate::shim::{ATTACH, AttachReport, AttachRequest};
use crate::streams::{self, Ours};
use crate::user::Identity;
use crate::watch::End;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use naru_model::Exit;
use naru_reach::{Attached, Hold, Size};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::{Mutex, watch};

/// A report is one short sentence.
const MAX_REPORT: u64 = 64 << 10;

/// A command that somebody is to be attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachOrder {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// As whom; `None`: as the instance.
    pub user: Option<String>,
    /// Where; `None`: where the instance began. Relative to that.
    pub working_dir: Option<PathBuf>,
    /// Variables beside the instance's own.
    pub environment: BTreeMap<String, String>,
    /// The size of its terminal; `None`: it has none.
    pub terminal: Option<Size>,
}

/// `over` says when the instance has ended: then nobody needs the command any more.
pub(crate) async fn attach(
    shim: &[String],
    folder: &Path,
    order: &AttachOrder,
    over: watch::Receiver<Option<End>>,
) -> Result<Attached, AttachError> {
    let said = || format!("run {:?}", order.argv.join(" "));
    let user = order.user.as_deref().map(Identity::find).transpose()?;
    let change = user.clone().map(Identity::needed).transpose()?.flatten();
    let (ours, theirs) = streams::ends(order.terminal).doing(said)?;
    let owner = change.clone().or_else(|| owner(folder));
    if let (Some(_), Some(owner)) = (order.terminal, owner) {
        // The terminal works all the same, but for programs that open it by its name.
        let _ = pty::give(&theirs[0], owner.uid, owner.gid);
    }
    let mut environment: BTreeMap<String, String> = user.iter().flat_map(Identity::environment).collect();
    environment.extend(order.environment.clone());
    let request = AttachRequest {
        argv: order.argv.clone(),
        environment,
        working_dir: order.working_dir.clone(),
        identity: change,
        terminal: order.terminal.is_some(),
    };
    let mut child = spawn(shim, folder, theirs).map_err(|error| error_of(said(), error))?;
    let (Some(mut stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err(Error::Command(format!("{}: no pipes", said())).into());
    };
    let mut line = serde_json::to_vec(&request).doing(said)?;
    line.push(b'\n');
    stdin.write_all(&line).await.doing(said)?;
    let mut reports = Reports { from: BufReader::new(stderr) };
    match reports.next().await {
        Some(AttachReport::Begun) => Ok(attached(ours, stdin, child, reports, over)),
        Some(AttachReport::NoProgram(why)) => Err(AttachError::NoProgram(why)),
        Some(AttachReport::Unstartable(why)) => Err(AttachError::Unstartable(why)),
        other => Err(Error::Command(format!("{}: its shim ended ({other:?})", said())).into()),
    }
}

fn error_of(doing: String, source: io::Error) -> Error {
    Error::System { doing, source }
}

/// Whom the instance runs as, where that is another than the agent.
fn owner(folder: &Path) -> Option<Identity> {
    Folder::at(folder.to_owned()).read::<LaunchRecord>(LAUNCH)?.identity
}

/// Starts the shim, with the command's streams as its descriptors [`STREAMS`].
fn spawn(shim: &[String], folder: &Path, theirs: [OwnedFd; 3]) -> io::Result<Child> {
    let [program, arguments @ ..] = shim else {
        return Err(io::Error::other("no command leads to a shim"));
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(folder).arg(ATTACH).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let _open = streams::hand_over(command.as_std_mut(), &theirs)?;
    command.spawn()
}

struct Reports {
    from: BufReader<ChildStderr>,
}

impl Reports {
    async fn next(&mut self) -> Option<AttachReport> {
        let mut line = Vec::new();
        (&mut self.from).take(MAX_REPORT).read_until(b'\n', &mut line).await.ok()?;
        serde_json::from_slice(&line).ok()
    }
}

fn attached(
    ours: Ours,
    control: ChildStdin,
    mut child: Child,
    mut reports: Reports,
    mut over: watch::Receiver<Option<End>>,
) -> Attached {
    let control: Control = Arc::new(Mutex::new(Some(control)));
    let (tell, ended) = watch::channel(None);
    let theirs = control.clone();
    tokio::spawn(async move {
        let exit = {
            let mut report = pin!(reports.next());
            let over = async { over.wait_for(Option::is_some).await.is_ok() };
            tokio::select! {
                report = &mut report => report,
                _ = over => {
                    theirs.lock().await.take();
                    report.await
                }
            }
        };
        let exit = if let Some(AttachReport::Ended(exit)) = exit { exit } else { Exit::Unknown };
        let _ = child.wait().await;
        tell.send_replace(Some(exit));
    });
    let (input, output, pty) = ours.parts();
    Attached { input, output, hold: Box::new(Held { control, ended, pty }) }
}

/// The way to the shim. Closed, it is a hang-up.
type Control = Arc<Mutex<Option<ChildStdin>>>;

struct Held {
    control: Control,
    ended: watch::Receiver<Option<Exit>>,
    pty: Option<Arc<Pty>>,
}

impl Hold for Held {
    fn resize(&self, size: Size) -> BoxFuture<'_, ()> {
        if let Some(pty) = &self.pty {
            let _ = pty.resize(size);
        }
        std::future::ready(()).boxed()
    }

    fn signal<'a>(&'a self, name: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let Ok(signal) = name.parse::<Signal>() else { return };
            if let Some(control) = self.control.lock().await.as_mut() {
                // A shim that is gone has no command any more.
                let _ = control.write_all(format!("{}\n", signal.number()).as_bytes()).await;
            }
        }
        .boxed()
    }

    fn ended(&self) -> BoxFuture<'_, Exit> {
        let mut ended = self.ended.clone();
        async move {
            let exit = ended.wait_for(Option::is_some).await;
            exit.ok().and_then(|exit| exit.clone()).unwrap_or(Exit::Unknown)
        }
        .boxed()
    }

    fn hang_up(&self) -> BoxFuture<'_, ()> {
        async {
            self.control.lock().await.take();
        }
        .boxed()
    }
}
