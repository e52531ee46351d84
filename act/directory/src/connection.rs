//! One connection to one server: reached, made secret, bound, searched, each within its time.
//!
//! The library's own task moves the bytes. It ends with the connection, whatever it is in the middle of: no server can
//! hold it.

use crate::Refusal;
use crate::answer::{ask_policy, of_bind, of_failure, said};
use crate::config::{Begin, Server, Timeouts};
use ldap3::exop::WhoAmI;
use ldap3::result::{ExopResult, SearchResult};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, StdStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::rustls::ClientConfig;

/// A connection over TLS.
pub(crate) struct Connection {
    ldap: Ldap,
    driver: AbortHandle,
    timeouts: Timeouts,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What is searched for.
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [&'a str],
    /// More entries than that are too many.
    pub(crate) most: usize,
}

fn unreachable(why: impl std::fmt::Display) -> Refusal {
    Refusal::Unreachable { why: why.to_string() }
}

/// What did not come in time.
fn late(what: &str, within: Duration) -> Refusal {
    unreachable(format!("{what}: no answer within {within:?}"))
}

impl Connection {
    /// Reaches a server, by TCP alone.
    pub(crate) async fn reach(server: &Server, timeouts: &Timeouts) -> Result<TcpStream, Refusal> {
        let to = (server.host.as_str(), server.port);
        let reached = tokio::time::timeout(timeouts.connect, TcpStream::connect(to)).await;
        let stream = reached.map_err(|_| late("connect", timeouts.connect))?;
        stream.map_err(|error| unreachable(format!("connect: {error}")))
    }

    /// Begins TLS on it. Nothing is said before, but that it begins.
    pub(crate) async fn begin(
        stream: TcpStream,
        server: &Server,
        tls: &Arc<ClientConfig>,
        timeouts: &Timeouts,
    ) -> Result<Connection, Refusal> {
        let stream = stream.into_std().map_err(unreachable)?;
        let settings = LdapConnSettings::new()
            .set_config(tls.clone())
            .set_starttls(server.begin == Begin::StartTls)
            .set_std_stream(StdStream::Tcp(stream));
        let url = server.url();
        let begun = tokio::time::timeout(timeouts.tls, LdapConnAsync::with_settings(settings, &url)).await;
        let (driver, ldap) = begun.map_err(|_| late("TLS", timeouts.tls))?.map_err(|error| match error {
            LdapError::LdapResult { result } => unreachable(format!("StartTLS: {}", said(&result))),
            error => unreachable(format!("TLS: {error}")),
        })?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(%error, "a connection to the directory ended");
            }
        });
        Ok(Connection { ldap, driver: driver.abort_handle(), timeouts: *timeouts })
    }

    /// Both.
    pub(crate) async fn open(
        server: &Server,
        tls: &Arc<ClientConfig>,
        timeouts: &Timeouts,
    ) -> Result<Connection, Refusal> {
        let stream = Connection::reach(server, timeouts).await?;
        Connection::begin(stream, server, tls, timeouts).await
    }

    /// Whether the server has ended it.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Tries a password. A server that takes it for an anonymous bind has not been shown one.
    pub(crate) async fn bind(&mut self, dn: &str, password: &str) -> Result<(), Refusal> {
        if dn.is_empty() || password.is_empty() {
            return Err(Refusal::Wrong("an empty name or password is none".into()));
        }
        let within = self.timeouts.bind;
        let bound = self.ldap.with_controls(vec![ask_policy()]).simple_bind(dn, password);
        let bound = tokio::time::timeout(within, bound).await.map_err(|_| late("bind", within))?;
        of_bind(&bound.map_err(|error| unreachable(format!("bind: {error}")))?)?;
        let asked = tokio::time::timeout(within, self.ldap.extended(WhoAmI)).await;
        let asked = asked.map_err(|_| late("who am I", within))?;
        match asked.map_err(|error| unreachable(format!("who am I: {error}")))? {
            // Servers that do not know the question refuse it. Name and password were not empty, so that they are no
            // anonymous bind by what the protocol says.
            ExopResult(_, result) if result.rc != 0 => Ok(()),
            ExopResult(answer, _) if answer.val.as_ref().is_none_or(Vec::is_empty) => {
                Err(Refusal::Wrong("the server took the password for an anonymous sign-in".into()))
            }
            ExopResult(..) => Ok(()),
        }
    }

    /// Entries that fit. Referrals among them are left out, and never followed.
    pub(crate) async fn search(&mut self, search: &Search<'_>) -> Result<Vec<SearchEntry>, Refusal> {
        let Search { base, scope, filter, attributes, most } = search;
        let within = self.timeouts.search;
        let seconds = i32::try_from(within.as_secs().max(1)).unwrap_or(i32::MAX);
        let limit = i32::try_from(most + 1).unwrap_or(i32::MAX);
        let options = SearchOptions::new().sizelimit(limit).timelimit(seconds);
        let found = self.ldap.with_search_options(options).search(base, *scope, filter, attributes.to_vec());
        let found = tokio::time::timeout(within, found).await.map_err(|_| late("search", within))?;
        let SearchResult(entries, result) = found.map_err(|error| unreachable(format!("search: {error}")))?;
        if entries.len() > *most || result.rc == 4 {
            return Err(Refusal::Unusable(format!("more than {most} entries below {base} fit {filter}")));
        }
        match result.rc {
            0 => Ok(entries.into_iter().map(SearchEntry::construct).collect()),
            // An entry that is named by its own DN, and is not there.
            32 if *scope == Scope::Base => Ok(vec![]),
            32 => Err(Refusal::Unusable(format!(
                "there is nothing at {base}, or it is hidden: {}",
                said(&result)
            ))),
            _ => Err(of_failure(&result)),
        }
    }
}
