//! The command line about people: users, tokens, grants, policies, the audit, notices, what things cost, and signing in to a server
//! elsewhere.
//!
//! The verbs know the world through [`Around`] only: a client, the home, and where to write.

mod ask;
mod audit;
mod cost;
mod desk;
mod directory;
mod grant;
mod notify;
mod policy;
pub mod remote;
mod serve;
mod span;
mod token;
mod user;

pub use desk::offer;
pub use serve::Serve;

use clap::Subcommand;
use naru_api::{Client, ClientError};
use std::path::PathBuf;

/// What a verb has around it.
pub trait Around {
    /// The server that the command is for.
    ///
    /// # Errors
    /// There is no telling which.
    fn client(&self) -> Result<Client, Problem>;
    /// NARU_HOME.
    ///
    /// # Errors
    /// There is none.
    fn home(&self) -> Result<PathBuf, Problem>;
    /// Writes data.
    ///
    /// # Errors
    /// Nobody reads it.
    fn data(&self, text: &str) -> Result<(), Problem>;
    /// Says how it went.
    fn result(&self, text: &str);
    /// Says what one should know.
    fn note(&self, text: &str);
}

/// Why a verb ended other than well.
#[derive(Debug)]
pub enum Problem {
    /// The server said no, or nothing.
    Client(ClientError),
    /// The command was used in a wrong way.
    Usage(String, String),
    /// Something is broken.
    Failed(String, String),
    /// All was said already; the answer is no.
    No,
    /// All was said already; something is not as it should be.
    Bad,
    /// Standard output is closed.
    Closed,
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Problem {
        Problem::Client(error)
    }
}

impl Problem {
    fn failed(error: impl std::fmt::Display, help: &str) -> Problem {
        Problem::Failed(error.to_string(), help.into())
    }
}

/// The verbs about people.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Users of this server: who may come in from elsewhere
    User(user::UserArgs),
    /// Tokens: what programs show instead of a password
    Token(token::TokenArgs),
    /// Grants: who may do what, on what, until when
    Grant(grant::GrantArgs),
    /// Whether somebody may do something, and by which rule
    Can(grant::Can),
    /// The administrator's own policies: `policies/*.cedar` in NARU_HOME
    Policy(policy::PolicyArgs),
    /// The directory (LDAP, Active Directory) that people may come in by
    Directory(directory::DirectoryArgs),
    /// Who did what, and who was refused what
    Audit(audit::Audit),
    /// What a month came to: hours on, not used and asleep, and money where there are prices
    Cost(cost::Cost),
    /// Who is told of what happens, and whether it arrives
    Notify(notify::NotifyArgs),
    /// Ask for what one may not do, with a reason
    Request(desk::RequestArgs),
    /// List requests: one's own, and those that one may decide about
    Requests(desk::Requests),
    /// Approve a request: what was asked for is done
    Approve(desk::Approve),
    /// Deny a request
    Deny(desk::Deny),
    /// Take one's own request back
    Withdraw(desk::Withdraw),
    /// Take back what was approved: a right ends, and so does a wake
    Revoke(desk::Revoke),
    /// Sign in to a server elsewhere, for `--server`
    Login(remote::Login),
    /// Forget a server that was signed in to, and end the token there
    Logout(remote::Logout),
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// It cannot be done.
    pub async fn run(self, around: &impl Around) -> Result<(), Problem> {
        match self {
            Verb::User(user) => user.run(around).await,
            Verb::Token(token) => token.run(around).await,
            Verb::Grant(grant) => grant.run(around).await,
            Verb::Can(can) => can.run(around).await,
            Verb::Policy(policy) => policy.run(around).await,
            Verb::Directory(directory) => directory.run(around).await,
            Verb::Audit(audit) => audit.run(around).await,
            Verb::Cost(cost) => cost.run(around).await,
            Verb::Notify(notify) => notify.run(around).await,
            Verb::Request(request) => request.run(around).await,
            Verb::Requests(requests) => requests.run(around).await,
            Verb::Approve(approve) => approve.run(around).await,
            Verb::Deny(deny) => deny.run(around).await,
            Verb::Withdraw(withdraw) => withdraw.run(around).await,
            Verb::Revoke(revoke) => revoke.run(around).await,
            Verb::Login(login) => login.run(around).await,
            Verb::Logout(logout) => logout.run(around).await,
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, Problem> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| Problem::failed(error, ""))
}
