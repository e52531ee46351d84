//! `naru upgrade`: the keeper becomes one of another binary, and has that binary's roles take over.
//!
//! The keeper replaces itself in place, by `exec`: it stays the same process, so that an init system that
//! started it sees nothing, and the roles go on as its children. The new image starts one of each role. The edge
//! takes over from the one that serves; server and agent wait for their locks while those before them are
//! told to end, which takes milliseconds and touches no instance. Whoever asked hears of it over the connection on
//! which it asked, which outlives the `exec`.

use super::child::Kept;
use super::start::{StartError, ensure};
use naru_api::Client;
use naru_home::{Home, Post, Role};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Where the keeper listens.
const SOCKET: &str = "keeper.sock";

/// Who asks says within this time what; an order is one line.
const ORDER_WITHIN: Duration = Duration::from_secs(5);

/// An upgrade takes a second at most where the machine is not overloaded.
const DONE_WITHIN: Duration = Duration::from_secs(60);

/// From a server that has its lock to one that answers, with agent and edge, takes tens of milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The variable by which a keeper tells its next image what it has to do: a descriptor and a scope.
const RENEWAL: &str = "NARU_RENEWAL";

/// What is replaced, beside the keeper itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All roles.
    All,
    /// The edge.
    Edge,
}

/// What an upgrade did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The edge's part.
    pub edge: EdgeRenewed,
    /// The other roles that are new.
    pub roles: Vec<String>,
}

/// What became of the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeRenewed {
    /// A new one serves, and has the sockets of the old one.
    Over,
    /// A new one serves; there was none.
    Alone,
    /// The old one goes on, for this reason.
    Refused(String),
}

/// What whoever asks hears.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Done(Renewed),
    Failed(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    exe: PathBuf,
    scope: Scope,
}

/// Has the keeper of a home, and what it keeps, replaced by this binary. `None`: nothing runs there.
///
/// # Errors
/// It could not be done; then everything goes on as before.
pub async fn upgrade(home: &Path, scope: Scope) -> Result<Option<Renewed>, StartError> {
    let own = Home::open(home)?;
    let posts = [Post::Keeper].into_iter().chain(Role::ALL.map(Post::Role));
    let held = posts.map(|post| own.holder(post)).collect::<io::Result<Vec<_>>>()?;
    if held.iter().all(Option::is_none) {
        return Ok(None);
    }
    // Roles that lost their keeper get one first.
    ensure(home).await?;
    let exe = std::env::current_exe()?;
    let done = tokio::time::timeout(DONE_WITHIN, order(&own, Order { exe, scope }));
    let done = done.await.map_err(|_| io::Error::other(format!("not within {DONE_WITHIN:?}")));
    Ok(Some(done.and_then(|done| done).map_err(StartError::Upgrade)?))
}

async fn order(home: &Home, order: Order) -> io::Result<Renewed> {
    let mut stream = UnixStream::connect(home.beside(SOCKET)).await?;
    stream.write_all(&line(&order)).await?;
    let mut said = String::new();
    BufReader::new(stream).read_line(&mut said).await?;
    if said.is_empty() {
        return Err(io::Error::other("the keeper ended without a word"));
    }
    match serde_json::from_str(&said)? {
        Word::Done(renewed) => Ok(renewed),
        Word::Failed(why) => Err(io::Error::other(why)),
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("orders and words have only text keys");
    line.push(b'\n');
    line
}

/// Where orders come in.
pub struct Orders(UnixListener);

/// An order that came, and who waits for its end.
pub struct Ordered {
    order: Order,
    from: std::os::unix::net::UnixStream,
}

impl Orders {
    /// Begins to listen. The keeper's lock is held.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(home: &Home) -> io::Result<Orders> {
        let path = home.beside(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Orders(listener))
    }

    /// The next order.
    pub async fn next(&self) -> Ordered {
        loop {
            let heard = match self.0.accept().await {
                Ok((stream, _)) => tokio::time::timeout(ORDER_WITHIN, hear(stream)).await,
                Err(error) => Ok(Err(error)),
            };
            match heard {
                Ok(Ok(ordered)) => return ordered,
                Ok(Err(error)) => eprintln!("naru serve: an order makes no sense: {error}"),
                Err(_) => eprintln!("naru serve: an order without a word"),
            }
        }
    }
}

async fn hear(stream: UnixStream) -> io::Result<Ordered> {
    let mut reader = BufReader::new(stream);
    let mut said = String::new();
    reader.read_line(&mut said).await?;
    let order = serde_json::from_str(&said)?;
    let from = reader.into_inner().into_std()?;
    from.set_nonblocking(false)?;
    Ok(Ordered { order, from })
}

impl Ordered {
    /// Becomes the other binary, with the same arguments, which goes on from [`Renewal::find`]. Returns only where
    /// that fails, and has said so then.
    pub fn carry_out(mut self, home: &Home, args: &[&str]) {
        let Err(error) = self.become_it(home, args);
        eprintln!("naru serve: {} cannot take over: {error}", self.order.exe.display());
        // Who asked may be gone.
        let _ = self.from.write_all(&line(&Word::Failed(error.to_string())));
    }

    fn become_it(&self, home: &Home, args: &[&str]) -> Result<std::convert::Infallible, io::Error> {
        use std::os::unix::process::CommandExt;
        let inherited = rustix::io::dup(&self.from)?;
        let scope = serde_json::to_string(&self.order.scope)?;
        let error = std::process::Command::new(&self.order.exe)
            .arg0("naru")
            .args(args)
            .env("NARU_HOME", home.dir())
            .env(RENEWAL, format!("{} {scope}", inherited.as_raw_fd()))
            .exec();
        Err(error)
    }
}

/// What this image of a keeper has to do.
pub struct Renewal {
    scope: Scope,
    to: OwnedFd,
}

/// Whether this process goes on from another image: what it was told when it began still holds.
pub fn is_renewed() -> bool {
    std::env::var_os(RENEWAL).is_some()
}

impl Renewal {
    /// Whether the image before left something to do.
    pub fn find() -> Option<Renewal> {
        let told = std::env::var(RENEWAL).ok()?;
        let (descriptor, scope) = told.split_once(' ')?;
        let descriptor: RawFd = descriptor.parse().ok().filter(|fd| *fd > 2)?;
        let scope = serde_json::from_str(scope).ok()?;
        // SAFETY: the image before left it open for this one, and nothing else here knows of it.
        let to = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // Children are not to have it.
        rustix::io::fcntl_setfd(&to, rustix::io::FdFlags::CLOEXEC).ok()?;
        Some(Renewal { scope, to })
    }

    /// Has the roles take over, and tells whoever asked. `edge` was started to do so.
    pub async fn carry_out(self, home: &Home, server: &mut Kept, agent: &mut Kept, edge: &mut Kept) {
        let done = self.renew(home, server, agent, edge).await;
        let word = match done {
            Ok(renewed) => Word::Done(renewed),
            Err(error) => Word::Failed(error.to_string()),
        };
        // Who asked may be gone.
        let _ = std::fs::File::from(self.to).write_all(&line(&word));
    }

    async fn renew(
        &self,
        home: &Home,
        server: &mut Kept,
        agent: &mut Kept,
        edge: &mut Kept,
    ) -> io::Result<Renewed> {
        let edge = edge.took_over().await;
        let mut roles = Vec::new();
        if self.scope == Scope::All {
            for kept in [server, agent] {
                kept.replace_holder().await?;
                roles.push(kept.role().word().to_string());
            }
            let client = Client::new(home.socket());
            let ready = async {
                while client.ready().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let late = || io::Error::other("the new server is not ready in time");
            tokio::time::timeout(READY_WITHIN, ready).await.map_err(|_| late())?;
        }
        Ok(Renewed { edge, roles })
    }
}

/// For children.
pub fn hide(command: &mut tokio::process::Command) {
    command.env_remove(RENEWAL);
}
