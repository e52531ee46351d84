//! What `directory.yaml` says, read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Where a name stands in a template.
pub(crate) const NAME: &str = "{name}";

/// A directory, as a file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Tried in turn.
    pub servers: Vec<Server>,
    /// Certificates that a server's certificate may come from; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// How somebody is called when the password is tried; `None`: by the DN of the entry that is found.
    pub bind: Option<String>,
    /// Who looks people up.
    pub service: Option<Service>,
    /// Which entries are people.
    pub people: People,
    /// Which entries are groups; `None`: nobody gets any.
    pub groups: Option<Groups>,
    /// How often people with live tokens are looked up again.
    pub refresh: Duration,
    /// How long the directory's last word of somebody holds.
    pub stale_max: Duration,
    /// Wrong passwords of one person that are passed on in a row.
    pub attempts: u32,
    /// After how long each is forgotten.
    pub forget: Duration,
    /// Connections of the service account at most.
    pub connections: usize,
    /// How long anything may take.
    pub timeouts: Timeouts,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How its TLS begins. There is no other way.
    pub begin: Begin,
}

/// How TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the connection: `ldaps://`.
    AtOnce,
    /// By StartTLS, before anything else is said: `ldap://`.
    StartTls,
}

impl Server {
    /// As the file names it.
    pub fn url(&self) -> String {
        let scheme = match self.begin {
            Begin::AtOnce => "ldaps",
            Begin::StartTls => "ldap",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

/// The account that looks people up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its DN.
    pub dn: String,
    /// The file that its password is in.
    pub password_file: PathBuf,
}

/// Which entries are people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct People {
    /// They are below this one.
    pub base: String,
    /// With `{name}`.
    pub filter: String,
    /// The attribute that the name stands in.
    pub name: String,
}

/// Which entries are groups, and what they are called here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Groups {
    /// They are below this one.
    pub base: String,
    /// How it is found out of which somebody is.
    pub find: Find,
    /// The attribute of a group with its members.
    pub attribute: String,
    /// What a group is.
    pub filter: String,
    /// How deep groups are within groups.
    pub depth: usize,
    /// Names of this server's groups, by the DN in the one form of all its spellings.
    pub map: BTreeMap<String, String>,
}

/// How groups are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Groups that name their members, one level after the other.
    Member,
    /// By what entries say of themselves, one level after the other.
    MemberOf,
    /// By Active Directory's rule that follows all levels itself.
    InChain,
}

/// How long anything may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To reach a server.
    pub connect: Duration,
    /// To begin TLS.
    pub tls: Duration,
    /// To try a password.
    pub bind: Duration,
    /// For one search.
    pub search: Duration,
    /// For all of a sign-in, whatever it takes.
    pub sign_in: Duration,
}
