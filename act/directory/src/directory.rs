//! The directory at work: whether a name and a password fit, and of which groups somebody is.

use crate::config::{Config, Service};
use crate::connection::Connection;
use crate::person::{Entry, bind_name, find};
use crate::pool::{Pool, Turn};
use crate::{Refusal, groups};
use futures_util::FutureExt;
use naru_who::DirectoryPerson;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;

/// Passwords that are tried at a time; each takes a connection of its own.
const SIGN_INS_MAX: usize = 16;

/// Longer ones are no passwords.
const PASSWORD_MAX: usize = 1_000;

/// Longer ones are no names.
const NAME_MAX: usize = 256;

/// A directory, and what is needed to ask it.
pub struct Directory {
    pub(crate) config: Config,
    pub(crate) tls: Arc<ClientConfig>,
    /// Of the service account.
    pub(crate) password: Option<String>,
    pool: Pool,
    turns: Semaphore,
    /// The server that answered last: the next question begins there.
    first: AtomicUsize,
}

/// Somebody came in, or not; and whether a server was shown the password, and so may have counted it.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub person: Result<DirectoryPerson, Refusal>,
    /// Whether a server has seen the password.
    pub shown: Shown,
}

/// Whether a server has seen a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It may have.
    Yes,
    /// None has.
    No,
}

/// Somebody tries to come in.
struct Try<'a> {
    name: &'a str,
    password: &'a str,
    shown: AtomicBool,
}

impl Directory {
    pub(crate) fn new(config: Config, tls: Arc<ClientConfig>, password: Option<String>) -> Directory {
        let pool = Pool::new(config.connections);
        Directory {
            config,
            tls,
            password,
            pool,
            turns: Semaphore::new(SIGN_INS_MAX),
            first: AtomicUsize::new(0),
        }
    }

    /// What its file says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether people can be looked up without their passwords.
    pub fn looks_up(&self) -> bool {
        self.service().is_some()
    }

    /// Whether name and password fit, and then who it is. Answered within the time for all of it, whatever servers do.
    pub async fn sign_in(&self, name: &str, password: &str) -> SignedIn {
        let attempt = Try { name, password, shown: AtomicBool::new(false) };
        let person = match check(name, password) {
            Err(refusal) => Err(refusal),
            Ok(()) => {
                let turn =
                    async { self.turns.acquire().await.map_err(|error| unreachable(error.to_string())) };
                self.within(async {
                    let _turn = turn.await?;
                    self.any(&|server| Box::pin(self.sign_in_at(server, &attempt))).await
                })
                .await
            }
        };
        let shown = if attempt.shown.load(Ordering::Relaxed) { Shown::Yes } else { Shown::No };
        SignedIn { person, shown }
    }

    /// Who somebody is now; `None`: nobody any more.
    ///
    /// # Errors
    /// No server answers, or not usably; or there is no service account.
    pub async fn look_up(&self, name: &str) -> Result<Option<DirectoryPerson>, Refusal> {
        check(name, "x")?;
        self.within(self.any(&|server| Box::pin(self.look_up_at(server, name)))).await
    }

    /// Within the time for all of it. The library takes odd bytes of a server for a fault of the program.
    async fn within<T>(&self, asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let most = self.config.timeouts.sign_in;
        match tokio::time::timeout(most, AssertUnwindSafe(asked).catch_unwind()).await {
            Err(_) => Err(late(most)),
            Ok(Err(_)) => Err(Refusal::Unusable("what the server sent is no LDAP".into())),
            Ok(Ok(answer)) => answer,
        }
    }

    /// Asks one server after the other, until one answers.
    async fn any<'a, T>(&self, ask: &(dyn Fn(usize) -> Asked<'a, T> + Sync)) -> Result<T, Refusal> {
        let count = self.config.servers.len();
        let first = self.first.load(Ordering::Relaxed);
        let mut whys = vec![];
        for server in (0..count).map(|at| (first + at) % count) {
            match ask(server).await {
                Err(Refusal::Unreachable { why }) => {
                    let url = self.config.servers[server].url();
                    tracing::warn!(server = url, why, "the directory's server does not answer");
                    // Whoever comes next does not wait for this one first.
                    self.first.store((server + 1) % count, Ordering::Relaxed);
                    whys.push(format!("{url}: {why}"));
                }
                answer => {
                    self.first.store(server, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(unreachable(whys.join("; ")))
    }

    async fn sign_in_at(&self, server: usize, attempt: &Try<'_>) -> Result<DirectoryPerson, Refusal> {
        let Try { name, password, .. } = attempt;
        if self.service().is_none() {
            let bound = bind_name(self.config.bind.as_deref().unwrap_or_default(), name);
            let mut own = self.bound(server, &bound, attempt).await?;
            let entry = find(&mut own, &self.config, name).await?.ok_or_else(no_entry)?;
            return self.person(&mut own, name, entry).await;
        }
        let turn = self.pool.turn().await;
        let (mut service, entry) = self.found(&turn, server, name).await?;
        let _own = match (&entry, &self.config.bind) {
            (Some(_), Some(template)) => self.bound(server, &bind_name(template, name), attempt).await?,
            (Some(entry), None) => self.bound(server, &entry.dn, attempt).await?,
            (None, _) => {
                // Nobody is refused sooner than somebody.
                let nobody = format!("cn=nobody,{}", self.config.people.base);
                let _ = Connection::open(&self.config.servers[server], &self.tls, &self.config.timeouts)
                    .await?
                    .bind(&nobody, password)
                    .await;
                turn.give_back(service, server);
                return Err(no_entry());
            }
        };
        let entry = entry.ok_or_else(no_entry)?;
        let person = self.person(&mut service, name, entry).await?;
        turn.give_back(service, server);
        Ok(person)
    }

    async fn look_up_at(&self, server: usize, name: &str) -> Result<Option<DirectoryPerson>, Refusal> {
        let turn = self.pool.turn().await;
        let (mut service, entry) = self.found(&turn, server, name).await?;
        let person = match entry {
            Some(entry) => Some(self.person(&mut service, name, entry).await?),
            None => None,
        };
        turn.give_back(service, server);
        Ok(person)
    }

    /// A connection on which somebody's password was right.
    async fn bound(&self, server: usize, dn: &str, attempt: &Try<'_>) -> Result<Connection, Refusal> {
        let (server, timeouts) = (&self.config.servers[server], &self.config.timeouts);
        let mut own = Connection::open(server, &self.tls, timeouts).await?;
        attempt.shown.store(true, Ordering::Relaxed);
        own.bind(dn, attempt.password).await?;
        Ok(own)
    }

    /// Somebody's entry, and the connection that found it. One that was idle may have ended unseen: then another.
    async fn found(
        &self,
        turn: &Turn<'_>,
        server: usize,
        name: &str,
    ) -> Result<(Connection, Option<Entry>), Refusal> {
        if let Some(mut idle) = turn.idle(server) {
            match find(&mut idle, &self.config, name).await {
                Ok(entry) => return Ok((idle, entry)),
                Err(Refusal::Unreachable { .. }) if idle.is_closed() => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let mut fresh = self.as_service(server).await?;
        let entry = find(&mut fresh, &self.config, name).await?;
        Ok((fresh, entry))
    }

    fn service(&self) -> Option<(&Service, &str)> {
        Some((self.config.service.as_ref()?, self.password.as_deref()?))
    }

    /// A connection of the service account.
    pub(crate) async fn as_service(&self, server: usize) -> Result<Connection, Refusal> {
        let Some((service, password)) = self.service() else {
            return Err(Refusal::Unusable(
                "there is no service account, so that nobody can be looked up".into(),
            ));
        };
        let (server, timeouts) = (&self.config.servers[server], &self.config.timeouts);
        let mut fresh = Connection::open(server, &self.tls, timeouts).await?;
        match fresh.bind(&service.dn, password).await {
            Ok(()) => Ok(fresh),
            Err(unreachable @ Refusal::Unreachable { .. }) => Err(unreachable),
            Err(refusal) => Err(Refusal::Unusable(format!("the service account is refused: {refusal}"))),
        }
    }

    async fn person(
        &self,
        connection: &mut Connection,
        name: &str,
        entry: Entry,
    ) -> Result<DirectoryPerson, Refusal> {
        let groups = match &self.config.groups {
            Some(wanted) => groups::mapped(&groups::of(connection, wanted, &entry).await?, wanted),
            None => Default::default(),
        };
        Ok(DirectoryPerson { name: name.into(), id: entry.id, dn: entry.dn, groups })
    }
}

/// What one server answers, in a while.
type Asked<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send + 'a>>;

/// What no server is asked. An empty password lets anybody in on lax servers, and one that begins with a zero byte is
/// empty for some.
fn check(name: &str, password: &str) -> Result<(), Refusal> {
    let odd = |why: &str| Err(Refusal::Wrong(why.into()));
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return odd("the name is empty, too long, or no text");
    }
    if password.is_empty() || password.len() > PASSWORD_MAX || password.contains('\0') {
        return odd("the password is empty, too long, or no text");
    }
    Ok(())
}

fn no_entry() -> Refusal {
    Refusal::Wrong("no entry of the directory has this name".into())
}

fn unreachable(why: String) -> Refusal {
    Refusal::Unreachable { why }
}

fn late(most: Duration) -> Refusal {
    unreachable(format!("no answer within {most:?}"))
}
